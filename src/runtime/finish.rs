//! How runs end: from what happened to a process to the row on record.

use super::Runtime;
use super::lines::Line;
use super::running::Stage;
use crate::flow::{End, ErrorKind, Exit, Status};
use crate::limits;
use crate::store::{Cause, Result, RunId};
use crate::time::{Now, Wall, format_duration, millis};

/// What is kept of a process's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its end, made printable.
    pub tail: String,
    /// Whether something before it was dropped.
    pub truncated: bool,
}

/// An end that is to be recorded.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) run: RunId,
    pub(super) flow_name: String,
    pub(super) end: End,
    at: Wall,
}

impl Runtime {
    pub(super) fn spawn_failed(&mut self, run: RunId, kind: ErrorKind, message: String, now: Now) {
        self.note_end(run, None, Output::default(), Some((kind, message)), now);
    }

    pub(super) fn exited(
        &mut self,
        run: RunId,
        exit: Option<Exit>,
        output: Output,
        leftovers: bool,
        now: Now,
    ) {
        self.note_end(run, exit, output, None, now);
        if let Some(running) = self.running.get_mut(&run) {
            running.leaves_leftovers = leftovers;
        }
    }

    fn note_end(
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
        let because = running.ended_by_us();
        let error = error.or_else(|| judge(exit, because, running.timeout)).map(|(kind, message)| {
            (kind, message.chars().take(limits::ERROR_MESSAGE_BYTES_MAX / 4).collect())
        });
        running.stage = Stage::Gone;
        let duration_ms = Some(millis(now.monotonic.since(running.started_at)));
        let end = End { error, exit, duration_ms, output: output.tail, output_truncated: output.truncated };
        let flow_name = running.flow_name.clone();
        self.ended.push(Ended { run, flow_name, end, at: now.wall });
    }

    /// Records the ends in hand.
    pub(super) fn record_ends(&mut self) -> Result<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        self.ensure_transaction()?;
        for ended in &self.ended {
            let Self { store, tick, .. } = self;
            let mut record =
                |end| store.in_savepoint(|store| store.end_run(ended.run, Status::InProgress, end, ended.at));
            match record(&ended.end) {
                Ok(()) => {}
                // A mistake in this program. The flow must not stay locked for it: the least that can be said is recorded.
                Err(error) if error.cause == Cause::Constraint => {
                    let message = error.to_string();
                    record(&End::without_process(ErrorKind::Interrupted, message.as_str()))?;
                    let flow = ended.flow_name.clone();
                    tick.delta.lines.push(Line::EndRefused { run: ended.run, flow, message });
                }
                Err(error) => return Err(error),
            }
            tick.delta.ended.push(ended.run);
        }
        Ok(())
    }
}

/// Why a run failed; none if it succeeded.
fn judge(
    exit: Option<Exit>,
    because: Option<ErrorKind>,
    timeout: std::time::Duration,
) -> Option<(ErrorKind, String)> {
    let how = match exit {
        Some(Exit::Code(code)) => format!("exit status {code}"),
        Some(Exit::Signal(signal)) => format!("signal {signal}"),
        None => "how it ended is not known: something else reaped the process".to_owned(),
    };
    match (because, exit) {
        (Some(ErrorKind::Timeout), _) => {
            let message = format!(
                "took longer than its timeout of {}, and was ended ({how})",
                format_duration(timeout)
            );
            Some((ErrorKind::Timeout, message))
        }
        (Some(kind), _) => Some((kind, format!("ended with the daemon ({how})"))),
        (None, Some(Exit::Code(0))) => None,
        (None, Some(Exit::Signal(_))) => Some((ErrorKind::Signal, how)),
        (None, _) => Some((ErrorKind::ExitStatus, how)),
    }
}
