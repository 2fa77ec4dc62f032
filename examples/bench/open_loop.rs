//! Callers who come at their times, however long the answers take: a latency counts from when a request was meant to be
//! sent, so that one stall is told by all who would have come meanwhile (no coordinated omission).

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::{Caller, Manner, Requests};

const TIMER: Token = Token(usize::MAX - 1);

/// A connection, and when what waits on it was to be sent: the first one is on its way.
struct Line {
    caller: Caller,
    waiting: VecDeque<(usize, Instant)>,
}

/// Sends the requests at an even rate, in turn over the connections, as long as `goes_on` says: each one's latency, in
/// milliseconds and in the order of the answers.
pub(crate) fn latencies_ms(
    to: SocketAddr,
    connections: usize,
    every: Duration,
    requests: &Requests,
    mut goes_on: impl FnMut() -> bool,
) -> Outcome<Vec<f64>> {
    let (manner, mut poll) = (Manner::kept(connections), Poll::new()?);
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    let mut lines = Vec::new();
    for index in 0..connections {
        let mut caller = Caller::connect(Ipv4Addr::LOCALHOST, to)?;
        poll.registry().register(&mut caller.stream, Token(index), Interest::READABLE)?;
        lines.push(Line { caller, waiting: VecDeque::new() });
    }
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
    let (mut due, mut sent, mut latencies) = (Instant::now(), 0, Vec::with_capacity(requests.len()));
    let mut is_over = false;
    while !is_over || latencies.len() < sent {
        is_over = is_over || sent == requests.len() || !goes_on();
        while !is_over && sent < requests.len() && due <= Instant::now() {
            let line = &mut lines[sent % connections];
            line.waiting.push_back((sent, due));
            if line.waiting.len() == 1 {
                line.caller.send(requests.get(sent))?;
            }
            sent += 1;
            due += every;
        }
        arm(
            &timer,
            if is_over { Duration::from_millis(50) } else { due.saturating_duration_since(Instant::now()) },
        )?;
        poll.poll(&mut events, Some(Duration::from_secs(60)))?;
        for event in events.iter().filter(|event| event.token() != TIMER) {
            let line = &mut lines[event.token().0];
            if !line.caller.receive(&mut buffer, &manner)? {
                continue;
            }
            if let Some((_, meant)) = line.waiting.pop_front() {
                latencies.push(meant.elapsed().as_secs_f64() * 1e3);
            }
            if let Some((next, _)) = line.waiting.front() {
                line.caller.send(requests.get(*next))?;
            }
        }
    }
    Ok(latencies)
}

fn arm(timer: &OwnedFd, wait: Duration) -> Outcome<()> {
    // A timer of nothing is one that is off.
    let wait = wait.max(Duration::from_nanos(1));
    let span = Timespec { tv_sec: i64::try_from(wait.as_secs())?, tv_nsec: wait.subsec_nanos().into() };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: span };
    timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}
