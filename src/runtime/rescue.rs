//! What an earlier daemon left behind.

use super::Runtime;
use super::again::{rerun, reruns};
use super::tally::{Counted, RunEnd};
use crate::flow::{Configuration, End, ErrorKind, Pipeline, Status};
use crate::store::{InterruptedRun, Result, RunId, Then};
use crate::time::Now;

impl Runtime {
    /// Runs left in progress end as `interrupted`: the process that knew how they ended is gone. Those that may be run
    /// again are recorded again with it, and so is each that was certainly never started.
    pub(super) fn end_interrupted_runs(
        &mut self,
        was_never_started: &dyn Fn(RunId) -> bool,
        now: Now,
    ) -> Result<()> {
        let left = self.store.runs_in_progress()?;
        if left.is_empty() {
            return Ok(());
        }
        let kept = self.kept();
        let Self { store, kinds, tally, .. } = self;
        store.in_transaction(|store| {
            left.iter().try_for_each(|InterruptedRun { id, flow, rerun: before, configuration }| {
                let (message, then) = if has_process(configuration.as_ref()) && was_never_started(*id) {
                    ("the daemon ended before it was started", Then::Rerun { counts: false })
                } else {
                    let reruns = configuration.as_ref().is_some_and(|it| reruns(it, kinds));
                    ("the daemon ended while it ran", rerun(reruns, *before))
                };
                let end = End::without_process(ErrorKind::Interrupted, message);
                let next = store.end_run_then(*id, Status::InProgress, &end, then, now.wall)?;
                let again = next.map_or(0, |(run, _)| run.0);
                store.prune_flow(*flow, kept)?;
                log::warn!(run = id.0, error_kind = "interrupted", again; "run was in progress when the daemon ended: {message}");
                Ok(())
            })
        })?;
        let ends = left.iter().map(|run| RunEnd::unstarted(run.flow, ErrorKind::Interrupted));
        tally.committed(&Counted { ends: ends.collect(), ..Counted::default() });
        Ok(())
    }
}

/// Of a pipeline the shell knows nothing: what it has done is told by its cursor alone.
fn has_process(configuration: Option<&Configuration>) -> bool {
    configuration.is_none_or(|configuration| configuration.kind != Pipeline::KIND)
}
