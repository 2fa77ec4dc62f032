//! What an earlier daemon left behind.

use super::Runtime;
use crate::flow::{End, ErrorKind, Status};
use crate::store::Result;
use crate::time::Now;

impl Runtime {
    /// Runs left in progress end as `interrupted`: the process that knew how they ended is gone.
    pub(super) fn end_interrupted_runs(&mut self, now: Now) -> Result<()> {
        let left = self.store.runs_in_progress()?;
        if left.is_empty() {
            return Ok(());
        }
        self.store.in_transaction(|store| {
            left.iter().try_for_each(|run| {
                let end = End::without_process(ErrorKind::Interrupted, "the daemon ended while it ran");
                store.end_run(*run, Status::InProgress, &end, now.wall)?;
                log::warn!(run = run.0, error_kind = "interrupted"; "run was in progress when the daemon ended");
                Ok(())
            })
        })
    }
}
