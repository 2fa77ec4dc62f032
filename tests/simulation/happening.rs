//! What happens in a round before its transaction: callers, children's ends, and trouble.

use heartbeat_runtime::gate::Passage;
use heartbeat_runtime::http::Progress;
use heartbeat_runtime::runtime::{ConnectionId, Event};
use heartbeat_runtime::time::Now;
use std::time::Duration;

use super::caller::Connection;
use super::world::{CALM_HEARTBEAT_MS, PEER, TOLERANCE_S, World, http_limits};

/// One thing that happens; several in one round, in any order.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Send(u64),
    Leave(u64),
    Reap(i64),
    Operate,
    AnswerAlert,
    Shutdown,
}

const HOUR_MS: i64 = 3_600_000;

impl World {
    /// Everything that is ready now; whether anything was.
    pub(crate) fn happen(&mut self) -> bool {
        let now = self.now();
        let mut happenings = Vec::new();
        if self.next_arrival.is_some_and(|at| at <= self.elapsed) {
            self.arrive(&mut happenings);
        }
        self.kill_survivors(now);
        let gone = self.processes.iter().filter(|(_, process)| !process.lives(now.monotonic));
        happenings.extend(gone.map(|(run, _)| Happening::Reap(*run)));
        if self.receiver.under_way.is_some_and(|(at, _)| at <= now.monotonic) {
            happenings.push(Happening::AnswerAlert);
        }
        self.random.shuffle(&mut happenings);
        for happening in &happenings {
            match *happening {
                Happening::Send(id) => self.send(id, now),
                Happening::Leave(id) => self.leave(id),
                Happening::Reap(run) => self.reap(run),
                Happening::Operate => self.operate(),
                Happening::AnswerAlert => self.answer_alert(),
                Happening::Shutdown => {
                    self.note("told to end".to_owned());
                    self.stopping = true;
                    self.tell(Event::Shutdown);
                }
            }
            if self.runtime.is_none() {
                break;
            }
        }
        !happenings.is_empty()
    }

    fn kill_survivors(&mut self, now: Now) {
        for process in self.processes.values_mut().filter(|process| process.orphan) {
            if process.kill_at.is_some_and(|at| at <= now.monotonic) {
                process.kill_at = None;
                process.signal(heartbeat_runtime::runtime::Signal::Kill, now.monotonic, &mut self.random);
            }
        }
    }

    /// Callers do something, and perhaps something goes wrong.
    fn arrive(&mut self, happenings: &mut Vec<Happening>) {
        if !self.calm {
            self.make_trouble(happenings);
        }
        let sending = self.connections.iter().filter(|(_, connection)| connection.is_sending());
        let sending: Vec<u64> = sending.map(|(id, _)| *id).collect();
        happenings.extend(sending.into_iter().map(Happening::Send));
        let pause = if self.calm {
            self.call(happenings, true);
            Duration::from_millis(CALM_HEARTBEAT_MS.unsigned_abs())
        } else {
            for _ in 0..self.random.pick(&[0, 1, 1, 1, 2, 5]) {
                self.call(happenings, false);
            }
            let bound = self.random.pick(&[1, 30, 1_000, 5_000]);
            self.random.millis(bound) + Duration::from_millis(1)
        };
        self.next_arrival = Some(self.elapsed + pause);
    }

    fn make_trouble(&mut self, happenings: &mut Vec<Happening>) {
        if self.random.percent(8) {
            self.steps_to_live = Some(u32::try_from(self.random.below(10)).expect("small"));
        }
        if self.random.percent(2) {
            happenings.push(Happening::Shutdown);
        }
        if self.random.percent(15) {
            happenings.push(Happening::Operate);
        }
        if let Some(id) = self.any_connection().filter(|_| self.random.percent(10)) {
            happenings.push(Happening::Leave(id));
        }
        if self.holder.is_some() && self.random.percent(40) {
            self.free_database();
        } else if self.holder.is_none() && self.random.percent(3) {
            self.hold_database();
        }
        // A quarter of all boxes has a clock that is not to be trusted.
        if self.seed.is_multiple_of(4) && self.random.percent(3) {
            let jumps = [30_000, -30_000, HOUR_MS, -HOUR_MS, 365 * 24 * HOUR_MS, -14 * 24 * HOUR_MS];
            self.clock_offset_ms = self.random.pick(&jumps);
            self.note(format!("the wall clock is off by {} ms", self.clock_offset_ms));
            self.book().clock_is_steady = false;
        }
    }

    /// Another program writes: every try of ours fails at once.
    fn hold_database(&mut self) {
        let holder = rusqlite::Connection::open(self.database()).expect("the database is there");
        holder.busy_timeout(Duration::ZERO).expect("settable");
        holder.execute_batch("BEGIN IMMEDIATE").expect("between two rounds nobody else holds it");
        self.note("another program holds the database".to_owned());
        self.holder = Some(holder);
    }

    /// What the runtime was told meanwhile is to be recorded from now on.
    pub(crate) fn free_database(&mut self) {
        if self.holder.take().is_some() {
            self.note("the database is free again".to_owned());
            let now = self.now().monotonic;
            self.untold_ends.values_mut().for_each(|told_at| *told_at = now);
        }
    }

    fn any_connection(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        (!ids.is_empty()).then(|| self.random.pick(&ids))
    }

    /// A letter sets out, on a connection of its own or on one that is kept.
    fn call(&mut self, happenings: &mut Vec<Happening>, honest: bool) {
        let now_s = self.true_ms() / 1000;
        let letter = match honest {
            true => self.agents.honest(now_s, &mut self.random),
            false => self.agents.any(now_s, &mut self.random),
        };
        // The same bytes may come several times at once.
        let copies = if !honest && self.random.one_in(8) { 3 } else { 1 };
        for _ in 0..copies {
            let letter = std::rc::Rc::clone(&letter);
            let is_free = |connection: &Connection| connection.asked_at.is_none() && !connection.is_sending();
            let mut connections = self.connections.iter_mut().map(|(id, connection)| (*id, connection));
            let kept = connections.find(|(_, connection)| is_free(connection));
            let id = match kept {
                Some((id, connection)) if self.random.one_in(2) => {
                    connection.reuse(letter);
                    id
                }
                _ => {
                    self.connections_made += 1;
                    self.connections.insert(self.connections_made, Connection::new(letter));
                    self.connections_made
                }
            };
            happenings.push(Happening::Send(id));
        }
    }

    fn leave(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id)
            && connection.asked_at.is_some()
        {
            self.note(format!("caller {id} goes away"));
            self.left_in_round.insert(id);
            self.tell(Event::Closed(ConnectionId(id)));
        }
    }

    /// A piece of a request arrives; if it is whole now, it goes through the gate to the runtime, as in the shell.
    fn send(&mut self, id: u64, now: Now) {
        // It may have left in this round.
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| connection.is_sending())
        else {
            return;
        };
        connection.send(self.calm, &mut self.random);
        let letter = std::rc::Rc::clone(&connection.letter);
        let (line, refused) = match connection.receiver.poll(&http_limits()) {
            Progress::Request(request) => {
                let greatest = self.runtime.as_ref().and_then(|runtime| runtime.greatest_signed_at());
                match self.gate.pass(&request, PEER, now, greatest) {
                    Passage::Heartbeat { verified, wait } => {
                        assert!(letter.genuine, "a forged request passes: {letter:?}");
                        let wait_is_told = wait.map(|wait| wait.as_secs()) == letter.wait_s;
                        assert!(wait_is_told, "{wait:?} for {:?}", letter.wait_s);
                        connection.asked_at = Some(now.monotonic);
                        if let Some(runtime) = self.runtime.as_mut() {
                            let event =
                                Event::Heartbeat { connection: ConnectionId(id), verified: &verified, wait };
                            runtime.handle(event, now);
                        }
                        (format!("heartbeat {} by {id}, wait {wait:?}", letter.id), false)
                    }
                    Passage::Refused(denial) => {
                        let age_s = now.wall.as_seconds().abs_diff(letter.timestamp_s);
                        assert!(!letter.genuine || age_s > TOLERANCE_S, "{denial:?} for {letter:?}");
                        (format!("{} for {id}", denial.code.as_str()), true)
                    }
                    other => panic!("a heartbeat is a heartbeat: {other:?}"),
                }
            }
            Progress::Refused(refusal) => panic!("{refusal:?} for {letter:?}"),
            Progress::Idle | Progress::Head | Progress::Body { .. } => {
                assert!(connection.is_sending(), "all of it has come: {letter:?}");
                return;
            }
        };
        connection.receiver.consume();
        if refused {
            self.connections.remove(&id);
        }
        self.note(line);
        if !refused {
            self.outlives_step();
        }
    }
}
