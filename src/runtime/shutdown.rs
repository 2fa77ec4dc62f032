//! The orderly end: runs get `shutdown_timeout` to finish, then TERM, then KILL before `kill_grace` is over.

use std::time::Duration;

use super::{Action, Runtime};
use crate::time::{Monotonic, Now};

/// How long before the very end KILL is sent, so that its effect is still recorded. With a shorter grace than twice
/// that the end comes as much later: nothing of a run outlives the daemon.
const KILL_BEFORE_END: Duration = Duration::from_millis(250);

/// Whether the daemon serves or ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Serving,
    /// Runs may finish by themselves until `terminate_at`.
    Finishing {
        terminate_at: Monotonic,
    },
    /// Runs were told to end; at `stop_at` it is over, whatever they do.
    Terminating {
        stop_at: Monotonic,
    },
    Stopped,
}

impl Phase {
    pub(super) const fn is_stopping(self) -> bool {
        !matches!(self, Self::Serving)
    }

    pub(super) const fn deadline(self) -> Option<Monotonic> {
        match self {
            Self::Serving | Self::Stopped => None,
            Self::Finishing { terminate_at } => Some(terminate_at),
            Self::Terminating { stop_at } => Some(stop_at),
        }
    }
}

impl Runtime {
    /// When the ordered end is over at the latest; none while the daemon serves.
    pub(super) fn ends_by(&self) -> Option<Monotonic> {
        match self.phase {
            Phase::Serving => None,
            Phase::Finishing { terminate_at } => {
                Some(terminate_at + self.settings.kill_grace.max(2 * KILL_BEFORE_END))
            }
            Phase::Terminating { stop_at } => Some(stop_at),
            Phase::Stopped => Some(Monotonic::since_start(Duration::ZERO)),
        }
    }

    pub(super) fn shut_down(&mut self, now: Now) {
        self.phase = match self.phase {
            Phase::Serving => {
                Phase::Finishing { terminate_at: now.monotonic + self.settings.shutdown_timeout }
            }
            Phase::Finishing { .. } => Phase::Finishing { terminate_at: now.monotonic },
            ending => ending,
        };
    }

    pub(super) fn proceed_with_shutdown(&mut self, now: Now, actions: &mut Vec<Action>) {
        if let Phase::Finishing { terminate_at } = self.phase
            && now.monotonic >= terminate_at
        {
            let grace = self.settings.kill_grace;
            let left = grace.max(2 * KILL_BEFORE_END);
            let kill_at = now.monotonic + grace.min(left - KILL_BEFORE_END);
            self.phase = Phase::Terminating { stop_at: now.monotonic + left };
            self.interrupt_runs(kill_at, actions);
        }
        let over = match self.phase {
            Phase::Serving | Phase::Stopped => false,
            Phase::Finishing { .. } => self.nothing_in_hand(),
            Phase::Terminating { stop_at } => self.nothing_in_hand() || now.monotonic >= stop_at,
        };
        if over {
            self.phase = Phase::Stopped;
            self.answer_all_waiters(now, actions);
            actions.push(Action::Stop);
        }
    }

    /// What runs left behind counts as well: nothing of a run outlives the daemon.
    fn nothing_in_hand(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty() && self.locked.is_empty()
    }
}
