//! One caller: its socket, what it has sent, what it has yet to be told, and how long each may take.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::stream::{Peer, Stream};
use crate::config::Limits;
use crate::http::{self, Problem, Receiver, Response};
use crate::limits;
use crate::runtime::ConnectionId;
use crate::time::Monotonic;

/// A connection of the heartbeat port, the status port or the control socket.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    /// Whose heartbeat the runtime has: another one's than the peer's, if that is a trusted proxy.
    pub(super) client: Option<IpAddr>,
    pub(super) receiver: Receiver,
    pub(super) state: State,
    /// When the state began, or the last step in it that counts.
    pub(super) since: Monotonic,
    /// Whether reading may find something: readiness comes once for what has arrived.
    pub(super) readable: bool,
    /// The peer sends no more, or hung up: reading tells which.
    pub(super) end_in_sight: bool,
    /// How the request in hand is to be answered.
    pub(super) shape: Shape,
    out: Vec<u8>,
    sent: usize,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No whole head has come yet.
    Fresh,
    /// An answer was given; nothing of another request has come.
    Idle,
    /// A part of a head has come.
    Head,
    /// A part of the content is missing.
    Body,
    /// The runtime has its heartbeat, order or question; or it waits for what the round comes to.
    Awaiting,
    /// A run's output is passed on as it comes.
    Following,
    /// Events are passed on as they come.
    Watching,
    /// Its last answer is being sent.
    Closing,
    /// What still comes is thrown away, so that a reset does not overtake the answer. So many bytes were.
    Draining(usize),
    /// To be dropped at the end of the round.
    Dead,
}

/// How an answer is framed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) connection: http::Connection,
    pub(super) head_only: bool,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, stream: Stream, peer: Peer, now: Monotonic) -> Self {
        Self {
            id,
            stream,
            peer,
            client: None,
            receiver: Receiver::new(),
            state: State::Fresh,
            since: now,
            readable: false,
            end_in_sight: false,
            shape: Shape { connection: http::Connection::Persistent, head_only: false },
            out: Vec::new(),
            sent: 0,
        }
    }

    pub(super) fn enter(&mut self, state: State, now: Monotonic) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }

    /// When the peer has taken too long.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Monotonic> {
        let allowed = match self.state {
            _ if self.has_unsent() && !matches!(self.state, State::Draining(_) | State::Dead) => {
                limits.idle_timeout
            }
            State::Fresh | State::Head => limits.head_timeout,
            State::Idle | State::Closing => limits.idle_timeout,
            State::Body => limits.body_timeout,
            State::Draining(_) => limits::DRAIN_TIMEOUT,
            State::Awaiting | State::Following | State::Watching | State::Dead => return None,
        };
        Some(self.since + allowed)
    }

    /// Whether it may make room for another: nothing of a request is here, and nothing is owed to it.
    pub(super) fn is_idle(&self) -> bool {
        // In `Fresh` a part of a head may have come: its time counts from the accept all the same.
        matches!(self.state, State::Fresh | State::Idle)
            && self.receiver.buffered() == 0
            && !self.has_unsent()
    }

    /// Whether a request of it is not whole yet, or an answer not taken: whoever is honest is seldom found so.
    pub(super) fn is_slow(&self) -> bool {
        let is_coming = match self.state {
            State::Fresh | State::Head | State::Body => true,
            State::Idle => self.receiver.buffered() > 0 || self.has_unsent(),
            State::Closing => true,
            State::Awaiting | State::Following | State::Watching | State::Draining(_) | State::Dead => false,
        };
        is_coming && !self.is_idle()
    }

    /// Memory that is held for it, in bytes: for what it sent and is not served yet, and for what it has not taken.
    pub(super) fn held_bytes(&self) -> usize {
        self.receiver.held_bytes() + self.out.capacity()
    }

    /// Whether it counts towards the connections allowed: one that only drains does not, and has a bound of its own.
    pub(super) fn counts(&self) -> bool {
        !matches!(self.state, State::Draining(_) | State::Dead)
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining(_))
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Bytes that are still to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// What its requests may measure.
    pub(super) fn http_limits(&self, of_the_port: &http::Limits) -> http::Limits {
        match self.peer {
            Peer::Address(_) | Peer::Viewer(_) => *of_the_port,
            Peer::Operator(_) => http::Limits { body_bytes: limits::CONTROL_BODY_BYTES_MAX, ..*of_the_port },
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn respond(&mut self, response: &Response<'_>, date: &str, now: Monotonic) {
        response.append(&mut self.out, date, self.shape.connection, self.shape.head_only);
        self.answered(now);
    }

    pub(super) fn refuse(&mut self, problem: &Problem<'_>, date: &str, now: Monotonic) {
        problem.append(&mut self.out, date, self.shape.connection, self.shape.head_only);
        self.answered(now);
    }

    fn answered(&mut self, now: Monotonic) {
        let goes_on = self.shape.connection != http::Connection::Close;
        self.state = if goes_on { State::Idle } else { State::Closing };
        self.since = now;
    }

    /// Reads at most `buffer`, as much as the receiver wants; none if there is nothing to read now.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        http_limits: &http::Limits,
    ) -> io::Result<Option<usize>> {
        let wanted = self.receiver.wants_bytes(http_limits).min(buffer.len());
        let read = retry(|| self.stream.read(&mut buffer[..wanted]))?;
        // A short read has emptied the socket (epoll(7)), unless the end is what comes next.
        if read.is_none_or(|count| count < wanted) && !self.end_in_sight {
            self.readable = false;
        }
        if let Some(count) = read {
            self.receiver.receive(&buffer[..count]);
        }
        Ok(read)
    }

    /// Sends what it can. After the last answer it goes over to draining.
    pub(super) fn flush(&mut self, now: Monotonic) -> io::Result<()> {
        while self.has_unsent() {
            match retry(|| self.stream.write(&self.out[self.sent..]))? {
                None => return Ok(()),
                Some(count) => {
                    self.sent += count;
                    self.since = now;
                }
            }
        }
        self.out.clear();
        self.out.shrink_to(4096);
        self.sent = 0;
        if self.state == State::Closing {
            self.stream.shutdown_write()?;
            self.enter(State::Draining(0), now);
            // What it sent is no longer looked at.
            self.receiver = Receiver::new();
            self.readable = true;
        }
        Ok(())
    }

    /// Throws away what comes; true when that is over.
    pub(super) fn drain(&mut self, buffer: &mut [u8]) -> bool {
        let State::Draining(mut drained) = self.state else { return false };
        loop {
            match retry(|| self.stream.read(buffer)) {
                Ok(Some(0)) | Err(_) => return true,
                Ok(None) => break,
                Ok(Some(count)) => drained += count,
            }
            if drained > limits::DRAIN_BYTES_MAX {
                return true;
            }
        }
        self.state = State::Draining(drained);
        false
    }
}

/// A call on a socket that does not block: none if it would.
pub(super) fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A bound that is reached rarely, looked at rarely: the earliest deadline is a lower bound, and all are only looked
/// at when it has come.
#[derive(Debug)]
pub(super) struct Sweep {
    next: Option<Monotonic>,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self { next: None }
    }

    pub(super) fn expect(&mut self, deadline: Option<Monotonic>) {
        self.next = match (self.next, deadline) {
            (Some(next), Some(deadline)) => Some(next.min(deadline)),
            (next, deadline) => next.or(deadline),
        };
    }

    pub(super) fn next(&self) -> Option<Monotonic> {
        self.next
    }

    /// Whether it is time to look; then every deadline is to be expected again.
    pub(super) fn is_due(&mut self, now: Monotonic) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due {
            self.next = None;
        }
        due
    }
}

/// How long the poll may sleep.
pub(super) fn sleep_until(deadline: Option<Monotonic>, now: Monotonic) -> Option<Duration> {
    // A millisecond more: poll rounds down on some systems, and an early wake-up is one for nothing.
    deadline.map(|deadline| deadline.since(now) + Duration::from_millis(u64::from(deadline > now)))
}
