//! `internal_heartbeat`: the runtime beats by itself, for a box that no agent reaches. By the monotonic clock, so that it
//! goes on while the wall clock is not set.

use super::{Outcome, Runtime};
use crate::store::Claim;
use crate::time::{Monotonic, Now};

/// Stands for the agent in the runs that it starts.
pub const AGENT: &str = "internal";

impl Runtime {
    /// Beats, if it is time to. One that could not be recorded is made up for as soon as the store can be written.
    pub(super) fn beat(&mut self, now: Now) {
        let Some(every) = self.settings.internal_heartbeat else { return };
        if self.next_beat_at().is_none_or(|at| now.monotonic < at) || self.round_is_lost() {
            return;
        }
        let claim = Claim { agent: AGENT, heartbeat_id: None };
        // Dropped with the round, if that is lost.
        self.tick.delta.beat_at = Some(now.monotonic + every);
        match self.claim_due(claim, None, None, now) {
            Ok(found) => self.count_heartbeat(AGENT, found.outcome()),
            Err(error) => {
                self.count_heartbeat(AGENT, Outcome::Refused);
                self.round_failed(error);
            }
        }
    }

    /// When it is time to; never while the store cannot be written or the daemon ends.
    pub(super) fn next_beat_at(&self) -> Option<Monotonic> {
        let may_beat = self.tick.last_failure.is_none() && !self.phase.is_stopping();
        self.beat_at.filter(|_| may_beat)
    }
}
