//! Processes that runs left behind: while they live, their flow does not run again. The shell finds and ends them.
//!
//! A run ends with its own process; it is the flow that stays locked.

use super::{Job, Runtime};
use crate::flow::Leftovers;
use crate::store::{FlowId, Result, RunId};

impl Runtime {
    /// Locks the flows of runs whose processes outlived an earlier daemon, until [`super::Event::LeftoversGone`]; and lets
    /// no alert be told before what told one is gone.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn await_leftovers(&mut self, jobs: impl IntoIterator<Item = Job>) -> Result<()> {
        for job in jobs {
            let Job::Run(run) = job else {
                self.alerts.await_leftovers();
                continue;
            };
            if let Some(flow) = self.store.flow_of_run(run)? {
                self.locked.insert(run, flow);
            }
        }
        Ok(())
    }

    /// Whether what this run of that flow leaves behind is to be ended. The flow counts where the run is not on record
    /// any more; what belongs to a flow that is gone is ended.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn ends_leftovers_of(&self, run: RunId, flow: &str) -> Result<bool> {
        let leftovers = match self.store.configuration_of_run(run)? {
            Some(configuration) => Some(configuration.leftovers),
            None => self.store.flow(flow)?.map(|flow| flow.configuration.leftovers),
        };
        Ok(leftovers != Some(Leftovers::Leave))
    }

    /// Whether a process or request is under way, or about to be, and its end not on record.
    pub fn is_in_hand(&self, job: Job) -> bool {
        match job {
            Job::Run(run) => self.running.contains_key(&run),
            Job::Alert => self.alerts.is_under_way(),
            Job::Watchdog => self.watching.is_under_way(),
        }
    }

    /// That they are gone is no promise of ours: it is so whether the round is committed or not.
    pub(super) fn leftovers_gone(&mut self, job: Job) {
        let Job::Run(run) = job else { return self.alerts.leftovers_gone() };
        self.locked.remove(&run);
        if let Some(running) = self.running.get_mut(&run) {
            running.leaves_leftovers = false;
            if let Some(mover) = &mut running.mover {
                mover.leftovers_gone();
            }
        }
    }

    /// Whether a flow waits until what an earlier run of it left behind is gone.
    pub(super) fn is_locked(&self, flow: FlowId) -> bool {
        let mut ending = self.tick.delta.ended.iter().filter_map(|run| self.running.get(run));
        self.locked.values().any(|locked| *locked == flow)
            || ending.any(|running| running.leaves_leftovers && running.flow == flow)
    }
}
