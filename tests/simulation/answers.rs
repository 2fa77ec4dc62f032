//! The heartbeat port: what callers send goes through the gate to the runtime, and what they are told is judged.

use std::rc::Rc;
use std::time::Duration;

use heartbeat_runtime::gate::{Denial, Passage};
use heartbeat_runtime::http::{ErrorCode, Limits, Progress};
use heartbeat_runtime::runtime::{Answer, ConnectionId, Event, Refusal};
use heartbeat_runtime::time::Now;

use super::agents::{Letter, TOLERANCE_S};
use super::caller::Connection;
use super::world::{PEER, World};

impl World {
    /// A piece of a request arrives; if it is whole now, it goes through the gate to the runtime, as in the shell.
    pub(crate) fn send(&mut self, id: u64, now: Now) {
        // It may have left in this round, or have been heard.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.send(self.calm, &mut self.random);
        if connection.asked.is_some() {
            return;
        }
        let (line, is_refused) = match connection.receiver.poll(&Limits::default()) {
            Progress::Request(request) => {
                let greatest = self.runtime.as_ref().and_then(|runtime| runtime.greatest_signed_at());
                let passage = self.gate.pass(&request, PEER, now, greatest);
                // Read out of the connection only now: the request borrows it.
                let heartbeat = match passage {
                    Passage::Heartbeat { verified, wait } => {
                        if let Some(runtime) = self.runtime.as_mut() {
                            let event =
                                Event::Heartbeat { connection: ConnectionId(id), verified: &verified, wait };
                            runtime.handle(event, now);
                        }
                        Ok((verified.agent().to_string(), wait))
                    }
                    Passage::Refused(denial) => Err(denial),
                    other => panic!("a heartbeat is a heartbeat: {other:?}"),
                };
                let letter = connection.understood();
                match heartbeat {
                    Ok((agent, wait)) => {
                        judge_passage(&letter, &agent, wait, now);
                        let line = format!("heartbeat {} by {id}, wait {wait:?}", letter.id);
                        connection.asked = Some((letter, now.monotonic));
                        self.heartbeats_sent += 1;
                        *self.heartbeats_passed.entry(agent).or_default() += 1;
                        (line, false)
                    }
                    Err(denial) => {
                        judge_denial(&letter, &denial, now);
                        (format!("{} for {id}", denial.code.as_str()), true)
                    }
                }
            }
            Progress::Refused(refusal) => {
                connection.judge_refused();
                (format!("{} for what {id} sent", refusal.code.as_str()), true)
            }
            Progress::Idle | Progress::Head | Progress::Body { .. } => return connection.judge_incomplete(),
        };
        connection.receiver.consume();
        if is_refused {
            self.connections.remove(&id);
        }
        self.note(line);
        if !is_refused {
            self.outlives_step();
        }
    }

    pub(crate) fn answered(&mut self, ConnectionId(id): ConnectionId, answer: Answer, now: Now) {
        if self.operator_answered(id, &answer, now) {
            return;
        }
        if let Answer::Heartbeat { body, .. } = &answer {
            self.tallied.answered(body);
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            assert!(self.left_in_round.contains(&id), "an answer is kept for {id}, which left long ago");
            return;
        };
        let (letter, asked_at) = connection.asked.take().expect("an answer to a question");
        match answer {
            Answer::Heartbeat { body, waited_s } => {
                assert!(letter.genuine, "a forged request is answered");
                self.note(format!("200 {id} {}", String::from_utf8_lossy(&body)));
                let runs = self.book().judge_answer(&letter, &body);
                let waits = waited_s.is_some_and(|s| now.monotonic < asked_at + Duration::from_secs(s));
                let stopping = self.stopping;
                let ended: Option<Vec<_>> =
                    runs.iter().map(|run| self.book.as_ref()?.since.get(run).copied()).collect();
                let runs = runs.iter().filter_map(|run| self.book.as_ref().expect("open").runs.get(run));
                let open = runs.filter(|run| run.status.is_open()).count();
                assert!(open == 0 || !waits || stopping, "a caller that waits is told before the end");
                // Of one that is gone nobody knows when it ended.
                let last = ended.and_then(|ended| ended.into_iter().max()).filter(|_| open == 0 && !stopping);
                let is_late = now.monotonic > asked_at && last.is_some_and(|last| last < now.monotonic);
                assert!(!is_late, "all that {id} waits for ended at {last:?}, and it is told at {now:?}");
            }
            Answer::Operator { reply, .. } => panic!("a caller is told {reply:?}"),
            Answer::Refused(refusal) => {
                self.inject("heartbeats answered 503");
                self.note(format!("503 {id} {refusal:?}"));
                let excused = self.holder.is_some() || (refusal == Refusal::ShuttingDown && self.stopping);
                let is_old = refusal == Refusal::Pruned && !self.book().clock_is_steady;
                let excused = excused || is_old;
                assert!(excused && refusal != Refusal::Internal, "refused without a reason: {refusal:?}");
            }
        }
    }

    /// Nobody waits for longer than it asked to, and not more than may.
    pub(crate) fn judge_patience(&self, now: Now) {
        let mut waiting = 0;
        for (id, connection) in &self.connections {
            let Some((letter, asked_at)) = &connection.asked else { continue };
            let until = *asked_at + Connection::patience(letter, self.settings.wait_max);
            assert!(now.monotonic < until, "connection {id} asked at {asked_at:?} and has no answer");
            waiting += 1;
        }
        assert!(waiting <= self.settings.waiters_max, "{waiting} callers wait");
        self.judge_operators_patience(now);
    }
}

fn judge_passage(letter: &Rc<Letter>, agent: &str, wait: Option<Duration>, now: Now) {
    assert!(letter.genuine, "a forged request passes: {letter:?}");
    assert_eq!(agent, letter.agent, "{letter:?}");
    assert_eq!(wait.map(|wait| wait.as_secs()), letter.wait_s, "{letter:?}");
    let is_in_time = now.wall.is_set() && now.wall.as_seconds().abs_diff(letter.timestamp_s) <= TOLERANCE_S;
    assert!(is_in_time || !letter.is_signed(), "an old letter passes at {now:?}: {letter:?}");
}

/// An honest agent is refused for its time only, and told where the fault is the box's.
fn judge_denial(letter: &Rc<Letter>, denial: &Denial, now: Now) {
    if !letter.genuine {
        return;
    }
    let is_off = now.wall.as_seconds().abs_diff(letter.timestamp_s) > TOLERANCE_S;
    assert!(is_off && letter.is_signed(), "{denial:?} for {letter:?}");
    let is_told = denial.code == ErrorCode::ClockNotSet;
    assert_eq!(is_told, !now.wall.is_set(), "a box whose clock is not set says so: {denial:?}");
}
