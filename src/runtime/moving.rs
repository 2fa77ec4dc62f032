//! Runs of pipelines: one step a round, in turns, between the answers to callers.

use std::ops::Bound::{Excluded, Unbounded};
use std::path::Path;

use super::finish::Output;
use super::running::{Cleanup, Running};
use super::start::with;
use super::{Action, Job, Runtime};
use crate::config::format_size;
use crate::flow::{Counters, ErrorKind, Exit, Launch, Pipeline};
use crate::http::client::Answer;
use crate::limits;
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Happened, Need, Unanswered};
use crate::pipeline::run::{Moving, Step};
use crate::pipeline::sink::State;
use crate::pipeline::{Failure, Owner};
use crate::store::{PendingRun, Result, RunId};
use crate::time::{Monotonic, Now, format_duration, millis};

/// A run that the runtime itself steps.
#[derive(Debug)]
pub(super) struct Mover {
    moving: Moving,
    stage: Stage,
    /// What its programs are told.
    environment: Vec<(String, String)>,
    /// What becomes of what they leave behind.
    cleanup: Cleanup,
    /// What is kept of the output of its last program.
    output: Output,
}

/// What a mover is about.
#[derive(Debug)]
enum Stage {
    /// It takes a step when its turn comes.
    Ready,
    /// Another program holds one of its databases since then; the step is tried again at that time.
    Busy(Monotonic, Monotonic),
    /// A program of its own is started, or about to be.
    Process,
    /// A request is under way.
    Exchange,
    /// What its program left behind is being ended. No other is started before.
    Leftovers(Happened),
    /// It goes on at that time.
    Pause(Monotonic),
}

impl Mover {
    fn wants_a_turn_at(&self, at_once: Monotonic) -> Option<Monotonic> {
        match self.stage {
            _ if self.moving.to_record().is_some() => None,
            Stage::Busy(_, at) | Stage::Pause(at) => Some(at),
            Stage::Ready => Some(at_once),
            Stage::Process | Stage::Exchange | Stage::Leftovers(_) => None,
        }
    }

    /// Whether a program of its own is under way.
    pub(super) const fn has_process(&self) -> bool {
        matches!(self.stage, Stage::Process)
    }

    /// What it has moved.
    pub(super) fn counters(&self) -> Counters {
        self.moving.counters()
    }

    /// What its source still holds, in bytes, as far as that can be told.
    pub(super) fn unread_bytes(&self, files: &dyn Files) -> Option<u64> {
        self.moving.unread_bytes(files)
    }

    /// What people see of its last program's output.
    pub(super) fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    pub(super) fn program_ended(&mut self, exit: Option<Exit>, output: Output, leftovers: bool) {
        let stdout = output.stdout;
        self.output = Output { stdout: Vec::new(), ..output };
        let happened = Happened::Ended { exit, stdout };
        if leftovers {
            self.stage = Stage::Leftovers(happened);
        } else {
            self.go_on(happened);
        }
    }

    pub(super) fn leftovers_gone(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Leftovers(happened) => self.go_on(happened),
            // They may be those of an earlier run, or of a run that was read again.
            other => self.stage = other,
        }
    }

    fn go_on(&mut self, happened: Happened) {
        self.moving.happened(happened);
        self.stage = Stage::Ready;
    }
}

impl Runtime {
    /// Makes the mover of a pending run.
    pub(super) fn mover(
        &self,
        run: &PendingRun,
        pipeline: &Pipeline,
        cleanup: Cleanup,
    ) -> Result<std::result::Result<Mover, String>> {
        let owner = Owner { database_id: self.database_id.clone(), flow: run.flow_name.clone() };
        let state: Option<State> = match self.store.cursor(run.flow)?.map(|text| serde_json::from_str(&text))
        {
            None => None,
            Some(Ok(state)) => Some(state),
            Some(Err(error)) => {
                return Ok(Err(format!(
                    "its cursor is not one: {error}; set it with `heartbeatd flow cursor`"
                )));
            }
        };
        let moving = Moving::new(pipeline, &owner, state);
        let moving = match &run.source_file {
            Some(file) => moving.fed_from(Path::new(file), pipeline),
            None => moving,
        };
        let environment = self.environment_of(run);
        Ok(Ok(Mover { moving, stage: Stage::Ready, environment, cleanup, output: Output::default() }))
    }

    /// An answer to a run that was ended meanwhile comes to nothing.
    pub(super) fn answered(&mut self, run: RunId, answered: std::result::Result<Box<Answer>, Unanswered>) {
        let mover = self.running.get_mut(&run).and_then(|running| running.mover.as_mut());
        if let Some(mover) = mover.filter(|mover| matches!(mover.stage, Stage::Exchange)) {
            mover.go_on(Happened::Answered(answered));
        }
    }

    /// Does one step of one pipeline, the next in turn. Called once a round, after its actions; what the step needs is done
    /// at once, as the run is on record.
    pub fn work(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.end_movers(now);
        let is_ready =
            |mover: &Mover| mover.wants_a_turn_at(now.monotonic).is_some_and(|at| now.monotonic >= at);
        let ready =
            |(run, running): (&RunId, &Running)| running.mover.as_ref().is_some_and(is_ready).then_some(*run);
        let after = self.running.range((Excluded(self.last_moved), Unbounded)).find_map(ready);
        let Some(run) = after.or_else(|| self.running.iter().find_map(ready)) else { return };
        self.last_moved = run;
        self.step(run, now, actions);
    }

    fn step(&mut self, run: RunId, now: Now, actions: &mut Vec<Action>) {
        let Self { running, files, tally, .. } = self;
        let Some(running) = running.get_mut(&run) else { return };
        let Some(mover) = &mut running.mover else { return };
        if matches!(mover.stage, Stage::Pause(_)) {
            mover.go_on(Happened::Resumed);
        }
        let stepped = mover.moving.step(files.as_ref());
        if mover.moving.take_cursor_moved() {
            tally.cursor_moved(running.flow, now.wall);
        }
        for warning in mover.moving.take_warnings() {
            log::warn!(run = run.0, flow = running.flow_name.as_str(); "{warning}");
        }
        let since = match mover.stage {
            Stage::Busy(since, _) => since,
            _ => now.monotonic,
        };
        mover.stage = Stage::Ready;
        match stepped {
            Ok(Step::More | Step::Record) => {}
            Ok(Step::Wait(Need::Exchange(exchange))) => {
                mover.stage = Stage::Exchange;
                actions.push(Action::Exchange(Job::Run(run), exchange));
            }
            Ok(Step::Wait(Need::Pause(time))) => mover.stage = Stage::Pause(now.monotonic + time),
            Ok(Step::Wait(Need::Program(launch))) => {
                mover.stage = Stage::Process;
                let environment = with(&mover.environment, launch.environment);
                let launch = Box::new(Launch { environment, ..*launch });
                actions.push(Action::Spawn(Job::Run(run), launch, mover.cleanup));
            }
            Ok(Step::Done) => self.note_moved(run, None, now),
            Err(Failure { is_busy: true, .. }) if now.monotonic.since(since) < limits::PIPELINE_BUSY_MAX => {
                mover.stage = Stage::Busy(since, now.monotonic + limits::PIPELINE_RETRY);
            }
            Err(Failure { kind, message, .. }) => self.note_moved(run, Some((kind, message)), now),
        }
    }

    /// Ends those that are to end, between two steps: what is durable stays so, and a cursor says where to go on.
    fn end_movers(&mut self, now: Now) {
        let to_end = |(run, running): (&RunId, &Running)| {
            running.mover.as_ref().filter(|mover| !mover.has_process())?;
            let because = running.ended_by_us()?;
            let message = match because {
                ErrorKind::Timeout => {
                    format!(
                        "took longer than its timeout of {}, and was ended",
                        format_duration(running.timeout)
                    )
                }
                ErrorKind::Cancelled => "cancelled by an operator".to_owned(),
                _ => "ended with the daemon".to_owned(),
            };
            Some((*run, because, message))
        };
        let to_end: Vec<_> = self.running.iter().filter_map(to_end).collect();
        for (run, because, message) in to_end {
            self.note_moved(run, Some((because, message)), now);
        }
    }

    fn note_moved(&mut self, run: RunId, error: Option<(ErrorKind, String)>, now: Now) {
        let Some(mover) = self.running.get_mut(&run).and_then(|running| running.mover.as_mut()) else {
            unreachable!("a pipeline ends once: {run:?}");
        };
        let output = mover.take_output();
        self.note_end(run, None, output, error, now);
    }

    /// What a pipeline's run has moved so far, and for how many milliseconds, while its end is not on record.
    pub fn moved_so_far(&self, run: RunId, now: Now) -> Option<(Counters, i64)> {
        let running = self.running.get(&run)?;
        let counters = match &running.mover {
            Some(mover) => mover.counters(),
            None => self.ended.iter().find(|ended| ended.run == run)?.pipeline_counters()?,
        };
        Some((counters, millis(now.monotonic.since(running.started_at))))
    }

    /// Records the states that pipelines wait for.
    pub(super) fn record_cursors(&mut self, now: Now) -> Result<()> {
        let offers = self.running.iter().filter_map(|(run, running)| {
            let state = running.mover.as_ref()?.moving.to_record()?;
            Some((*run, running.flow, serde_json::to_string(state).unwrap_or_default()))
        });
        let (offers, too_large): (Vec<_>, Vec<_>) =
            offers.partition(|(_, _, state)| state.len() <= self.state_bytes_max());
        for (run, _, state) in too_large {
            let message = format!(
                "the batch would take {} of heartbeat.db, of which it may take {}: make it smaller by bytes or run_bytes under \
                 [batch], or raise `database` under [history]",
                format_size(state.len()),
                format_size(self.state_bytes_max())
            );
            self.note_moved(run, Some((ErrorKind::Sink, message)), now);
        }
        for (run, flow, state) in offers {
            self.ensure_transaction()?;
            self.store.keep_cursor(flow, &state, now.wall)?;
            self.tick.delta.cursors.push(run);
        }
        Ok(())
    }

    /// The most that a pipeline's state may take: so that the database has room for everything else, and memory as well.
    fn state_bytes_max(&self) -> usize {
        let quarter = self.settings.history.database_bytes / 4;
        usize::try_from(quarter).unwrap_or(usize::MAX).min(limits::STATE_BYTES_MAX)
    }

    /// They are on record.
    pub(super) fn cursors_are_recorded(&mut self, runs: &[RunId], now: Now) {
        for run in runs {
            let Some(running) = self.running.get_mut(run) else { continue };
            let Some(mover) = &mut running.mover else { continue };
            mover.moving.recorded();
            if mover.moving.take_cursor_moved() {
                self.tally.cursor_moved(running.flow, now.wall);
            }
        }
    }

    /// When a pipeline wants its next turn, or has something to record.
    pub(super) fn next_step_at(&self) -> Option<Monotonic> {
        let at_once = Monotonic::since_start(std::time::Duration::ZERO);
        let next = |mover: &Mover, running: &Running| match mover.wants_a_turn_at(at_once) {
            _ if running.ended_by_us().is_some() => Some(at_once).filter(|_| !mover.has_process()),
            // What cannot be recorded just now is offered again with whatever is.
            None if mover.moving.to_record().is_some() => self.store_retry_at.or(Some(at_once)),
            at => at,
        };
        self.running.values().filter_map(|running| next(running.mover.as_ref()?, running)).min()
    }
}
