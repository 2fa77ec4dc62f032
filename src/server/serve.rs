//! One caller's turn: read, parse, pass through the gate, answer or hand to the runtime; bounded, so that the others get
//! theirs.

use std::borrow::Cow;

use super::Server;
use super::act::{RETRY_AFTER_S, explain};
use super::connection::{Shape, State};
use super::stream::Peer;
use crate::config::FlowContext;
use crate::control;
use crate::gate::{Denial, Passage};
use crate::http::{CONTINUE, Connection as Persistence, ErrorCode, Progress, Refusal, Response, Status};
use crate::limits;
use crate::runtime::{ConnectionId, Event};
use crate::time::Now;

/// What a caller's turn led to.
pub(super) enum Step {
    /// Something was done: there may be more.
    Done,
    /// So many bytes were read.
    Read(usize),
    /// Nothing more until something becomes ready.
    Stuck,
    /// Refuse, and close.
    Refuse(Refusal),
}

impl Server {
    /// Gives a connection its turn.
    pub(super) fn serve(&mut self, index: usize, now: Now) {
        let mut read_bytes = 0;
        for _ in 0..limits::REQUESTS_PER_ROUND {
            match self.step(index, now) {
                Step::Done => {}
                Step::Read(count) => {
                    read_bytes += count;
                    if read_bytes >= limits::READ_PER_ROUND_BYTES {
                        break;
                    }
                }
                Step::Stuck => return self.watch(index),
                Step::Refuse(refusal) => self.refuse_request(index, refusal, now),
            }
        }
        self.unfinished.ask(index);
    }

    fn watch(&mut self, index: usize) {
        if let Some(connection) = &self.connections[index] {
            self.sweep.expect(connection.deadline(&self.options.limits));
        }
    }

    fn step(&mut self, index: usize, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        if connection.has_unsent() {
            self.flush(index, now);
            let sent = self.connections[index].as_ref().is_some_and(|connection| !connection.has_unsent());
            return if sent { Step::Done } else { Step::Stuck };
        }
        match connection.state {
            State::Draining(_) => {
                if connection.drain(&mut self.buffer) {
                    self.let_die(index);
                }
                Step::Stuck
            }
            State::Watching => {
                if connection.end_in_sight {
                    self.bid_farewell(index, now);
                }
                Step::Stuck
            }
            State::Awaiting | State::Following | State::Closing | State::Dead => Step::Stuck,
            State::Fresh | State::Idle | State::Head | State::Body => self.receive(index, now),
        }
    }

    fn receive(&mut self, index: usize, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        let http_limits = connection.http_limits(&self.http_limits);
        match connection.receiver.poll(&http_limits) {
            Progress::Request(request) => {
                connection.shape = Shape { connection: request.connection(), head_only: request.head_only() };
                let peer = match connection.peer {
                    Peer::Address(peer) => peer,
                    Peer::Viewer(peer) => {
                        let sight = self.watch.viewers.route(&request, peer);
                        connection.receiver.consume();
                        return self.show(index, sight, now);
                    }
                    Peer::Operator(uid) => {
                        let (kinds, zones) = (self.runtime.kinds(), self.runtime.zones());
                        let working_directory = self.files.directory();
                        let context = FlowContext { kinds, zones, working_directory };
                        let routed = control::route(&request, &context);
                        connection.receiver.consume();
                        return self.operate(index, uid, routed, now);
                    }
                };
                let greatest = self.runtime.greatest_signed_at();
                let passage = self.gate.pass(&request, peer, now, greatest);
                if let Passage::Heartbeat { verified, wait } = &passage {
                    connection.client = Some(self.gate.client(&request, peer));
                    self.counters.heartbeats += 1;
                    let event = Event::Heartbeat { connection: connection.id, verified, wait: *wait };
                    self.runtime.handle(event, now);
                    connection.receiver.consume();
                    connection.state = State::Awaiting;
                    return Step::Stuck;
                }
                let reply = Reply::to(passage);
                connection.receiver.consume();
                self.reply(index, reply, now)
            }
            Progress::Refused(refusal) => {
                let head_only = connection.receiver.refused_head_only();
                connection.shape = Shape { connection: Persistence::Close, head_only };
                Step::Refuse(refusal)
            }
            Progress::Idle => self.read(index, now),
            Progress::Head => {
                if connection.state != State::Fresh {
                    connection.enter(State::Head, now.monotonic);
                }
                self.read(index, now)
            }
            Progress::Body { send_continue } => {
                connection.enter(State::Body, now.monotonic);
                if send_continue {
                    connection.push(CONTINUE);
                    return Step::Done;
                }
                self.read(index, now)
            }
        }
    }

    fn read(&mut self, index: usize, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        if !connection.readable && !connection.end_in_sight {
            return Step::Stuck;
        }
        let http_limits = connection.http_limits(&self.http_limits);
        match connection.read(&mut self.buffer, &http_limits) {
            Ok(Some(0)) | Err(_) => {
                // A request cut off in the middle has nobody left to answer.
                self.bid_farewell(index, now);
                Step::Stuck
            }
            Ok(Some(count)) => {
                self.keep_within_memory(index, now);
                Step::Read(count)
            }
            Ok(None) => Step::Stuck,
        }
    }

    pub(super) fn reply(&mut self, index: usize, reply: Reply, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        let retry_after = RETRY_AFTER_S.to_string();
        let (status, body, fields): (_, Cow<'_, str>, &[_]) = match reply {
            Reply::Denied(denial) => {
                self.refuse(index, &denial, now);
                return Step::Done;
            }
            Reply::Health => (Status::OK, Cow::Borrowed("{\"status\":\"ok\"}"), &[]),
            Reply::Readiness => match self.runtime.readiness() {
                Ok(()) => (Status::OK, Cow::Borrowed("{\"status\":\"ready\"}"), &[]),
                Err(refusal) => {
                    let (code, detail) = explain(&refusal);
                    let body = serde_json::json!({"status": "unavailable", "error": code.as_str(), "detail": detail});
                    (
                        Status::SERVICE_UNAVAILABLE,
                        Cow::Owned(body.to_string()),
                        &[("Retry-After", retry_after.as_str())],
                    )
                }
            },
            Reply::Options(allow) => (Status::NO_CONTENT, Cow::Borrowed(""), &[("Allow", allow)]),
        };
        let response = Response { status, content_type: "application/json", fields, body: body.as_bytes() };
        connection.respond(&response, self.clock.date(now.wall), now.monotonic);
        self.flush(index, now);
        Step::Done
    }

    pub(super) fn flush(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        if connection.flush(now.monotonic).is_err() {
            return self.bid_farewell(index, now);
        }
        if connection.is_draining() && self.draining() > limits::DRAINING_MAX {
            return self.bid_farewell(index, now);
        }
        self.keep_within_memory(index, now);
        self.watch(index);
    }

    pub(super) fn draining(&self) -> usize {
        self.connections.iter().flatten().filter(|connection| connection.is_draining()).count()
    }

    /// Closes a connection at the end of the round.
    pub(super) fn bid_farewell(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        if matches!(connection.state, State::Awaiting | State::Following) {
            self.followers.forget(connection.id);
            self.runtime.handle(Event::Closed(connection.id), now);
        }
        if connection.state == State::Watching {
            self.watch.watchers.forget(connection.id);
        }
        self.let_die(index);
    }

    fn let_die(&mut self, index: usize) {
        if let Some(connection) = self.connections[index].as_mut()
            && connection.state != State::Dead
        {
            connection.state = State::Dead;
            self.dead.push(index);
        }
    }

    /// Ends a connection whose peer has taken too long.
    pub(super) fn judge_connection(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let deadline = connection.deadline(&self.options.limits);
        if deadline.is_none_or(|deadline| now.monotonic < deadline) {
            return self.sweep.expect(deadline);
        }
        let detail = match connection.state {
            State::Fresh | State::Head if connection.receiver.buffered() > 0 => {
                "the head did not arrive in time"
            }
            State::Body => "the content did not arrive in time",
            _ => return self.bid_farewell(index, now),
        };
        let head_only = connection.receiver.refused_head_only();
        connection.shape = Shape { connection: Persistence::Close, head_only };
        self.refuse_request(index, Refusal::new(ErrorCode::RequestTimeout, detail), now);
    }

    /// Answers what is no request that is served.
    fn refuse_request(&mut self, index: usize, refusal: Refusal, now: Now) {
        match self.connections[index].as_ref().map(|connection| connection.peer) {
            Some(Peer::Address(peer) | Peer::Viewer(peer)) => {
                self.refuse(index, &Denial::of_refusal(refusal, peer), now)
            }
            Some(Peer::Operator(_)) => {
                self.tell(index, &control::problem(refusal.code, &refusal.detail), &[], now);
            }
            None => {}
        }
    }

    /// Counts a refusal and answers with it; whether the connection goes on is in its shape.
    pub(super) fn refuse(&mut self, index: usize, denial: &Denial, now: Now) {
        let Some(connection) = &self.connections[index] else { return };
        self.counters.refused(connection.peer.port(), denial, now);
        self.tell_refusal(index, denial, now);
    }

    pub(super) fn tell_refusal(&mut self, index: usize, denial: &Denial, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        connection.refuse(&denial.problem(), self.clock.date(now.wall), now.monotonic);
        self.flush(index, now);
    }

    pub(super) fn index_of(&self, id: ConnectionId) -> Option<usize> {
        let index = usize::try_from(id.0 & 0xf_ffff).ok()?;
        let connection = self.connections.get(index)?.as_ref()?;
        let waits = matches!(connection.state, State::Awaiting | State::Following | State::Watching);
        (connection.id == id && waits).then_some(index)
    }
}

/// An answer that needs nothing of the runtime's rounds.
pub(super) enum Reply {
    Health,
    Readiness,
    Options(&'static str),
    Denied(Denial),
}

impl Reply {
    fn to(passage: Passage<'_>) -> Self {
        match passage {
            Passage::Health => Self::Health,
            Passage::Readiness => Self::Readiness,
            Passage::Options(allow) => Self::Options(allow),
            Passage::Refused(denial) => Self::Denied(denial),
            Passage::Heartbeat { .. } => unreachable!("a heartbeat went to the runtime"),
        }
    }
}
