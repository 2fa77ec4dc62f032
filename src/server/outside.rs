//! Does what a step of a pipeline needs and waits for it, for whoever has no loop: the command line, which tries a pipeline out.

use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::clock::Clock;
use super::confine;
use super::kept::Kept;
use super::outgoing::{Outgoing, Over};
use super::program::{self, Pipes};
use super::token::Source;
use crate::flow::{Exit, Launch};
use crate::http::client::Answer;
use crate::runtime::{Exchange, Job, Unanswered};
use crate::store::RunId;
use crate::time::format_duration;

/// How often a program that writes nothing is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whoever asks is no run.
pub(super) const NOBODY: Job = Job::Run(RunId(0));

/// Runs a program to its end: how it ended, and what it wrote to its standard output, as far as [`Launch::stdout_max`] lets
/// it. Its standard error is ours. What it started and left to itself is not waited for.
///
/// # Errors
/// Why it cannot be started; or that it took longer than `timeout`, and was killed.
pub fn run_program(launch: &Launch, timeout: Duration) -> Result<(Option<Exit>, Vec<u8>), String> {
    let program = launch.argv.join(" ");
    let cannot = |what: &str, error: &io::Error| format!("cannot {what} {program}: {error}");
    let (output, child_output) = io::pipe().map_err(|error| cannot("make a pipe for", &error))?;
    let pipes = Pipes { stdin: Stdio::null(), stdout: child_output.into(), stderr: Stdio::inherit() };
    let mut child = program::spawn(launch, pipes).map_err(|not_started| not_started.message)?;
    let pid = Pid::from_child(&child);
    let read = match confine::apply(pid, launch) {
        Ok(()) => read_while_it_runs(&mut child, output, launch.stdout_max.unwrap_or_default(), timeout),
        Err(message) => Err(message),
    };
    if child.try_wait().is_ok_and(|status| status.is_none()) {
        let _gone_already = kill_process_group(pid, Signal::KILL);
    }
    let status = child.wait().map_err(|error| cannot("wait for", &error))?;
    Ok((status.code().map(Exit::Code).or_else(|| status.signal().map(Exit::Signal)), read?))
}

/// What a program writes until it ends, one byte more than `bytes_max` at most.
fn read_while_it_runs(
    child: &mut Child,
    output: PipeReader,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot read what it writes: {error}");
    let clock = Clock::new();
    let give_up = clock.now().monotonic + timeout;
    let mut pipe = Receiver::from(OwnedFd::from(output));
    pipe.set_nonblocking(true).map_err(cannot)?;
    let mut poll = Poll::new().map_err(cannot)?;
    poll.registry().register(&mut pipe, Source::Output(0).token(), Interest::READABLE).map_err(cannot)?;
    let mut events = Events::with_capacity(1);
    let mut kept = Kept::new(pipe, bytes_max);
    let mut buffer = vec![0; crate::limits::READ_PER_ROUND_BYTES];
    loop {
        let has_ended = child.try_wait().map_err(cannot)?.is_some();
        let may_be_more = kept.drain(&mut buffer, usize::MAX);
        if has_ended || may_be_more || kept.is_too_much() {
            return Ok(kept.into_bytes());
        }
        if clock.now().monotonic >= give_up {
            let limit = format_duration(timeout);
            return Err(format!("it took longer than the flow's timeout of {limit}, and was killed"));
        }
        let _woken_or_interrupted = poll.poll(&mut events, Some(LOOK_EVERY));
    }
}

/// Makes a request, and waits for its answer.
///
/// # Errors
/// Why there is none.
pub fn exchange(exchange: Exchange) -> Result<Box<Answer>, Unanswered> {
    Requests::new().map_err(cannot_poll)?.exchange(exchange)
}

fn cannot_poll(error: io::Error) -> Unanswered {
    Unanswered { message: format!("cannot poll: {error}"), may_succeed_later: false }
}

/// A loop that makes requests, one at a time, and nothing else.
#[derive(Debug)]
pub(super) struct Requests {
    poll: Poll,
    pub(super) outgoing: Outgoing,
    clock: Clock,
    pub(super) buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn new() -> io::Result<Self> {
        let buffer = vec![0; crate::limits::READ_PER_ROUND_BYTES];
        Ok(Self { poll: Poll::new()?, outgoing: Outgoing::default(), clock: Clock::new(), buffer })
    }

    pub(super) fn exchange(&mut self, exchange: Exchange) -> Result<Box<Answer>, Unanswered> {
        let Self { poll, outgoing, clock, buffer } = self;
        let mut events = Events::with_capacity(16);
        let mut over: Option<Over> = outgoing.begin(NOBODY, exchange, clock.now(), poll.registry());
        loop {
            if let Some((job, answered)) = over {
                assert_eq!(job, NOBODY, "nobody else asks");
                return answered;
            }
            let now = clock.now().monotonic;
            let wait = match outgoing.has_turns() {
                true => Some(Duration::ZERO),
                false => outgoing.next_timeout().map(|at| at.since(now)),
            };
            match poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(cannot_poll(error)),
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
            all.extend(outgoing.take_turns(buffer, now, poll.registry()));
            all.extend(outgoing.judge_deadlines(now, poll.registry()));
            assert!(all.len() <= 1, "one request is made at a time");
            over = all.pop();
        }
    }
}
