//! Runs that are run again: an attempt that failed, or one that the daemon's end interrupted. The next one is recorded in
//! the transaction that ends the one before, so that neither is lost without the other.

use std::time::Duration;

use super::Runtime;
use super::running::Running;
use crate::flow::{Configuration, ErrorKind, FNV_BASIS, Kinds, fnv1a};
use crate::limits;
use crate::store::{Result, RunId, Then};
use crate::time::Now;

impl Runtime {
    /// What follows a run that ended so, and for attempts how long they wait.
    pub(super) fn then(
        &self,
        run: RunId,
        running: &Running,
        error: Option<ErrorKind>,
        ended: Now,
    ) -> (Then, Duration) {
        let delay = match error {
            Some(ErrorKind::Interrupted) => return (rerun(running.reruns, running.rerun), Duration::ZERO),
            Some(kind) if kind.is_retried() => running.retry.delay_after(running.attempt, self.salt(run)),
            _ => None,
        };
        match delay {
            Some(delay) => (Then::Retry { not_before: ended.wall + delay }, delay),
            None => (Then::Nothing, Duration::ZERO),
        }
    }

    /// Another number for each box and run: what failed everywhere at once is not tried everywhere at once.
    fn salt(&self, run: RunId) -> u64 {
        fnv1a(run.0.unsigned_abs() ^ FNV_BASIS, self.database_id.bytes())
    }

    /// Runs whose time to wait is over wait for a slot.
    pub(super) fn wake_waiting(&mut self, now: Now) {
        let woken = self.waiting.extract_if(.., |_, (_, until)| now.monotonic >= *until);
        self.pending.extend(woken.map(|(run, (flow, _))| (run, flow)));
    }

    /// Takes the runs that wait from the record.
    pub(super) fn read_pending(&mut self, now: Now) -> Result<()> {
        self.pending.clear();
        self.waiting.clear();
        for (run, flow, left) in self.store.pending_runs(now.wall)? {
            match left {
                None => drop(self.pending.insert(run, flow)),
                Some(left) => drop(self.waiting.insert(run, (flow, now.monotonic + left))),
            }
        }
        Ok(())
    }
}

/// Whether flows of this definition are run again after an interruption.
pub(super) fn reruns(configuration: &Configuration, kinds: &Kinds) -> bool {
    let by_kind = || kinds.get(&configuration.kind).is_some_and(|kind| kind.reruns_interrupted());
    configuration.rerun_interrupted.unwrap_or_else(by_kind)
}

/// What follows an interruption of a run that was repeated so often already.
pub(super) const fn rerun(reruns: bool, before: u32) -> Then {
    if reruns && before < limits::RERUNS_MAX { Then::Rerun { counts: true } } else { Then::Nothing }
}
