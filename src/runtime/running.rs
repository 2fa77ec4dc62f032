//! Runs in progress: their time-outs, and TERM before KILL.

use std::time::Duration;

use super::moving::Mover;
use super::{Action, Job, Runtime};
use crate::flow::{ErrorKind, Retry};
use crate::store::{FlowId, RunId};
use crate::time::{Monotonic, Now, millis};

/// How a run's process group is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: please.
    Terminate,
    /// SIGKILL: now.
    Kill,
}

/// What the shell does about processes that a run leaves behind when its own has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// From TERM to KILL.
    pub kill_grace: Duration,
    /// They are left alone.
    pub leave: bool,
}

/// A run in progress.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) flow: FlowId,
    pub(super) flow_name: String,
    pub(super) started_at: Monotonic,
    pub(super) timeout: Duration,
    /// From TERM to KILL.
    pub(super) kill_grace: Duration,
    pub(super) stage: Stage,
    /// Whether processes that its own left behind are being ended.
    pub(super) leaves_leftovers: bool,
    pub(super) attempt: u32,
    pub(super) rerun: u32,
    pub(super) retry: Retry,
    /// Whether it is run again if the daemon's end interrupts it.
    pub(super) reruns: bool,
    /// What moves its records, if it is a pipeline and not over.
    pub(super) mover: Option<Mover>,
}

/// What has been done about a run's end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Nothing.
    Running,
    /// TERM was sent; KILL follows at this time.
    Terminating { because: ErrorKind, kill_at: Monotonic },
    /// KILL was sent.
    Killed { because: ErrorKind },
    /// Its process is gone; its end is not on record yet.
    Gone,
}

impl Running {
    /// When something is to be done about it.
    pub(super) fn deadline(&self) -> Option<Monotonic> {
        match self.stage {
            Stage::Running => Some(self.started_at + self.timeout),
            Stage::Terminating { kill_at, .. } => Some(kill_at),
            Stage::Killed { .. } | Stage::Gone => None,
        }
    }

    /// Has its process group signalled. A pipeline without a program under way ends at its next turn.
    pub(super) fn signal(&self, run: RunId, signal: Signal, actions: &mut Vec<Action>) {
        if self.mover.as_ref().is_none_or(Mover::has_process) {
            actions.push(Action::Signal(Job::Run(run), signal));
        }
    }

    /// Why we are ending it, if we are.
    pub(super) fn ended_by_us(&self) -> Option<ErrorKind> {
        match self.stage {
            Stage::Terminating { because, .. } | Stage::Killed { because } => Some(because),
            Stage::Running | Stage::Gone => None,
        }
    }
}

impl Runtime {
    /// Sends what is due to runs that took too long.
    pub(super) fn judge_deadlines(&mut self, now: Now, actions: &mut Vec<Action>) {
        for (run, running) in &mut self.running {
            if running.deadline().is_none_or(|deadline| now.monotonic < deadline) {
                continue;
            }
            match running.stage {
                Stage::Running => {
                    log::warn!(run = run.0, flow = running.flow_name.as_str(), timeout_ms = millis(running.timeout); "run takes too long: it is ended");
                    running.stage = Stage::Terminating {
                        because: ErrorKind::Timeout,
                        kill_at: now.monotonic + running.kill_grace,
                    };
                    running.signal(*run, Signal::Terminate, actions);
                }
                Stage::Terminating { because, .. } => {
                    log::warn!(run = run.0, flow = running.flow_name.as_str(); "run goes on after SIGTERM: sending SIGKILL");
                    running.stage = Stage::Killed { because };
                    running.signal(*run, Signal::Kill, actions);
                }
                Stage::Killed { .. } | Stage::Gone => {}
            }
        }
    }

    /// Ends every run that is still left to itself; KILL follows at `kill_at` at the latest.
    pub(super) fn interrupt_runs(&mut self, kill_at: Monotonic, actions: &mut Vec<Action>) {
        for (run, running) in &mut self.running {
            match &mut running.stage {
                Stage::Running => {
                    running.stage = Stage::Terminating { because: ErrorKind::Interrupted, kill_at };
                    running.signal(*run, Signal::Terminate, actions);
                }
                Stage::Terminating { kill_at: earlier, .. } => *earlier = kill_at.min(*earlier),
                Stage::Killed { .. } | Stage::Gone => {}
            }
        }
    }

    /// Runs whose end is on record leave their slots.
    pub(super) fn forget_ended(&mut self, ended: &[RunId]) {
        for run in ended {
            if let Some(running) = self.running.remove(run).filter(|running| running.leaves_leftovers) {
                self.locked.insert(*run, running.flow);
            }
        }
        for end in self.ended.extract_if(.., |end| ended.contains(&end.run)) {
            end.log();
        }
    }
}
