//! Does what a step of a pipeline needs and waits for it, for whoever has no loop: the command line, which tries a pipeline out.

use mio::{Events, Poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use super::clock::Clock;
use super::confine;
use super::outgoing::{Outgoing, Over};
use super::program::{self, Pipes};
use super::token::Source;
use crate::flow::{Exit, Launch};
use crate::http::client::Answer;
use crate::runtime::{Exchange, Unanswered};
use crate::store::RunId;

/// Whoever asks is no run.
const NOBODY: RunId = RunId(0);

/// Runs a program to its end: how it ended, and what it wrote to its standard output, as far as [`Launch::stdout_max`] lets
/// it. Its standard error is ours.
///
/// # Errors
/// Why it cannot be started.
pub fn run_program(launch: &Launch) -> Result<(Option<Exit>, Vec<u8>), String> {
    let cannot = |what: &str, error: &io::Error| format!("cannot {what} {}: {error}", launch.argv.join(" "));
    let (mut output, child_output) = io::pipe().map_err(|error| cannot("make a pipe for", &error))?;
    let pipes = Pipes { stdin: Stdio::null(), stdout: child_output.into(), stderr: Stdio::inherit() };
    let mut child = program::spawn(launch, pipes).map_err(|not_started| not_started.message)?;
    let pid = Pid::from_child(&child);
    let confined = confine::apply(pid, launch);
    let mut stdout = Vec::new();
    let bytes_max = launch.stdout_max.unwrap_or_default();
    let read = match &confined {
        Ok(()) => (&mut output).take(bytes_max as u64 + 1).read_to_end(&mut stdout),
        Err(_) => Ok(0),
    };
    if confined.is_err() || read.is_err() || stdout.len() > bytes_max {
        let _gone_already = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().map_err(|error| cannot("wait for", &error))?;
    confined?;
    read.map_err(|error| cannot("read from", &error))?;
    Ok((status.code().map(Exit::Code).or_else(|| status.signal().map(Exit::Signal)), stdout))
}

/// Makes a request, and waits for its answer.
///
/// # Errors
/// Why there is none.
pub fn exchange(exchange: Exchange) -> Result<Box<Answer>, Unanswered> {
    let failed =
        |error: io::Error| Unanswered { message: format!("cannot poll: {error}"), may_succeed_later: false };
    let mut poll = Poll::new().map_err(failed)?;
    let mut events = Events::with_capacity(16);
    let (mut outgoing, clock) = (Outgoing::default(), Clock::new());
    let mut buffer = vec![0; crate::limits::READ_PER_ROUND_BYTES];
    let mut over: Option<Over> = outgoing.begin(NOBODY, exchange, clock.now(), poll.registry());
    loop {
        if let Some((_, answered)) = over {
            return answered;
        }
        let now = clock.now().monotonic;
        let wait = match outgoing.has_turns() {
            true => Some(Duration::ZERO),
            false => outgoing.next_timeout().map(|at| at.since(now)),
        };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
            _ => {}
        }
        let now = clock.now().monotonic;
        let mut all = Vec::new();
        for event in &events {
            match Source::of(event.token()) {
                Source::Outgoing(index) => outgoing.ready(index),
                Source::Resolved => all.extend(outgoing.resolved(now, poll.registry())),
                other => unreachable!("nothing else is registered: {other:?}"),
            }
        }
        all.extend(outgoing.take_turns(&mut buffer, now, poll.registry()));
        all.extend(outgoing.judge_deadlines(now, poll.registry()));
        over = all.pop();
    }
}
