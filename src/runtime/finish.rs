//! How runs end: from what happened to a process to the row on record.

use std::time::Duration;

use super::Runtime;
use super::lines::Line;
use super::moving::Mover;
use super::running::Stage;
use super::tally::RunEnd;
use crate::flow::{Counters, End, ErrorKind, Exit, Status};
use crate::limits;
use crate::store::{Cause, FlowId, Result, RunId, Then};
use crate::time::{Now, format_duration, millis};

/// What is kept of a process's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its end, made printable.
    pub tail: String,
    /// Whether something before it was dropped.
    pub truncated: bool,
    /// Its standard output, where that is kept apart.
    pub stdout: Vec<u8>,
}

/// An end that is to be recorded.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: RunId,
    flow_name: String,
    end: End,
    counters: Counters,
    unread_bytes: Option<u64>,
    at: Now,
}

impl Ended {
    /// What it has moved, if it is known to have moved anything.
    pub(super) fn pipeline_counters(&self) -> Option<Counters> {
        Some(self.counters).filter(|counters| *counters != Counters::default())
    }

    fn counted(&self, flow: FlowId, error: Option<ErrorKind>) -> RunEnd {
        let took = self.end.duration_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        RunEnd { flow, error, took, records: self.counters, unread_bytes: self.unread_bytes }
    }

    pub(super) fn log(&self) {
        let (run, flow) = (self.run.0, self.flow_name.as_str());
        let duration_ms = self.end.duration_ms.unwrap_or(0);
        match &self.end.error {
            None => log::info!(run, flow, status = "success", duration_ms; "run ended"),
            Some((kind, message)) => {
                log::warn!(run, flow, status = "failed", error_kind = kind.as_str(), duration_ms; "run ended: {message}");
            }
        }
    }
}

impl Runtime {
    pub(super) fn spawn_failed(&mut self, run: RunId, kind: ErrorKind, message: String, now: Now) {
        let mover = self.running.get_mut(&run).and_then(|running| running.mover.as_mut());
        let output = mover.map(Mover::take_output).unwrap_or_default();
        self.note_end(run, None, output, Some((kind, message)), now);
    }

    pub(super) fn exited(
        &mut self,
        run: RunId,
        exit: Option<Exit>,
        output: Output,
        leftovers: bool,
        now: Now,
    ) {
        let Some(running) = self.running.get_mut(&run) else {
            unreachable!("the shell tells of the end of a run once: {run:?}");
        };
        running.leaves_leftovers = leftovers;
        let ended_by_us = running.ended_by_us();
        let error = judge(exit, ended_by_us, running.timeout);
        match &mut running.mover {
            Some(mover) if ended_by_us.is_none() => mover.program_ended(exit, output, leftovers),
            mover => {
                // A pipeline has no exit of its own.
                let exit = exit.filter(|_| mover.is_none());
                self.note_end(run, exit, output, error, now);
            }
        }
    }

    pub(super) fn note_end(
        &mut self,
        run: RunId,
        exit: Option<Exit>,
        output: Output,
        error: Option<(ErrorKind, String)>,
        now: Now,
    ) {
        let Some(running) = self.running.get_mut(&run) else {
            unreachable!("the shell tells of the end of a run once: {run:?}");
        };
        let error = error.map(|(kind, message)| {
            (kind, message.chars().take(limits::ERROR_MESSAGE_BYTES_MAX / 4).collect())
        });
        let mover = running.mover.take();
        let counters = mover.as_ref().map(Mover::counters).unwrap_or_default();
        let unread_bytes = mover.and_then(|mover| mover.unread_bytes(self.files.as_ref()));
        running.stage = Stage::Gone;
        let duration_ms = Some(millis(now.monotonic.since(running.started_at)));
        let end = End { error, exit, duration_ms, output: output.tail, output_truncated: output.truncated };
        let flow_name = running.flow_name.clone();
        self.ended.push(Ended { run, flow_name, end, counters, unread_bytes, at: now });
    }

    /// Records the ends in hand.
    pub(super) fn record_ends(&mut self) -> Result<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        self.ensure_transaction()?;
        let ends = std::mem::take(&mut self.ended);
        let recorded = ends.iter().try_for_each(|ended| match self.record_end(ended)? {
            Some(flow) => self.tell_of_end((flow, &ended.flow_name), ended.run, &ended.end, ended.at.wall),
            None => Ok(()),
        });
        self.ended = ends;
        recorded
    }

    /// Records an end; the flow, if it has ended with it, and is not tried again.
    fn record_end(&mut self, ended: &Ended) -> Result<Option<FlowId>> {
        let run = ended.run;
        let Some(running) = self.running.get(&run) else {
            unreachable!("a run is in progress until its end is on record: {run:?}");
        };
        let kind = ended.end.error.as_ref().map(|(kind, _)| *kind);
        let (then, delay) = self.then(run, running, kind, ended.at);
        let of_flow = running.flow;
        let Self { store, tick, .. } = self;
        let delta = &mut tick.delta;
        let flow = || ended.flow_name.clone();
        let mut recorded = kind;
        let mut is_last = true;
        let mut record = |end, then| {
            store.in_savepoint(|store| store.end_run_then(run, Status::InProgress, end, then, ended.at.wall))
        };
        match (record(&ended.end, then), then) {
            (Ok(None), _) => {}
            (Ok(Some((next, of))), Then::Retry { .. }) => {
                is_last = false;
                delta.waiting.push((next, (of, ended.at.monotonic + delay)));
                delta.lines.push(Line::Again { run: next, flow: flow(), delay });
            }
            (Ok(Some((next, of))), _) => {
                delta.claimed.push((next, of));
                delta.lines.push(Line::Again { run: next, flow: flow(), delay });
            }
            // A mistake in this program. The flow must not stay locked for it: the least that can be said is recorded.
            (Err(error), _) if error.cause == Cause::Constraint => {
                recorded = Some(ErrorKind::Interrupted);
                let message = error.to_string();
                is_last = false;
                record(&End::without_process(ErrorKind::Interrupted, message.as_str()), Then::Nothing)?;
                delta.lines.push(Line::EndRefused { run, flow: flow(), message });
            }
            (Err(error), _) => return Err(error),
        }
        if ended.counters != Counters::default() {
            store.count_records(run, &ended.counters)?;
        }
        delta.ended.push(run);
        delta.counted.ends.push(ended.counted(of_flow, recorded));
        Ok(is_last.then_some(of_flow))
    }
}

/// Why a run failed; none if it succeeded.
fn judge(exit: Option<Exit>, because: Option<ErrorKind>, timeout: Duration) -> Option<(ErrorKind, String)> {
    let how = Exit::described(exit);
    match (because, exit) {
        (Some(ErrorKind::Timeout), _) => {
            let message = format!(
                "took longer than its timeout of {}, and was ended ({how})",
                format_duration(timeout)
            );
            Some((ErrorKind::Timeout, message))
        }
        (Some(ErrorKind::Cancelled), _) => {
            Some((ErrorKind::Cancelled, format!("cancelled by an operator ({how})")))
        }
        (Some(kind), _) => Some((kind, format!("ended with the daemon ({how})"))),
        (None, Some(Exit::Code(0))) => None,
        (None, Some(Exit::Signal(_))) => Some((ErrorKind::Signal, how)),
        (None, _) => Some((ErrorKind::ExitStatus, how)),
    }
}
