//! What happens in a round before its transaction: callers, children's ends, and trouble.

use heartbeat_runtime::runtime::Event;
use heartbeat_runtime::time::Now;
use std::time::Duration;

use super::caller::Connection;
use super::world::{CALM_HEARTBEAT_MS, World};

/// One thing that happens; several in one round, in any order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    Send(u64),
    Leave(u64),
    Reap(i64),
    Operate,
    Reload,
    AnswerAlert,
    AnswerBatch(i64),
    Shutdown,
}

impl World {
    /// Everything that is ready now; whether anything was.
    pub(crate) fn happen(&mut self) -> bool {
        let mut happenings = Vec::new();
        if self.next_arrival.is_some_and(|at| at <= self.elapsed) {
            self.arrive(&mut happenings);
        }
        // Only now, as the clock may have been moved: a round has one time.
        let now = self.now();
        self.kill_survivors(now);
        let gone = self.processes.iter().filter(|(_, process)| !process.lives(now.monotonic));
        happenings.extend(gone.map(|(run, _)| Happening::Reap(*run)));
        if self.receiver.under_way.is_some_and(|(at, _)| at <= now.monotonic) {
            happenings.push(Happening::AnswerAlert);
        }
        happenings.extend(self.server.over(now.monotonic).into_iter().map(Happening::AnswerBatch));
        self.random.shuffle(&mut happenings);
        for happening in &happenings {
            match *happening {
                Happening::Send(id) => self.send(id, now),
                Happening::Leave(id) => self.leave(id),
                Happening::Reap(run) => self.reap(run),
                Happening::Operate => self.operate(),
                Happening::Reload => self.reload(),
                Happening::AnswerBatch(run) => self.answer_batch(run),
                Happening::AnswerAlert => self.answer_alert(),
                Happening::Shutdown => {
                    self.inject("orders to end");
                    self.note("told to end".to_owned());
                    self.stopping = true;
                    self.told_to_end_at.get_or_insert(now.monotonic);
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
        let going_on = self.connections.iter().filter(|(_, connection)| connection.can_go_on());
        happenings.extend(going_on.map(|(id, _)| Happening::Send(*id)));
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

    /// A letter sets out, on a connection of its own or on one that is kept, whether what it sent before is answered or not.
    fn call(&mut self, happenings: &mut Vec<Happening>, honest: bool) {
        let now_s = self.true_ms() / 1000;
        let letter = match honest {
            true => self.agents.honest(now_s, &mut self.random),
            false => {
                let (what, letter) = self.agents.any(now_s, &mut self.random);
                self.inject(what);
                letter
            }
        };
        // The same bytes may come many times at once.
        let copies = match self.random.below(256) {
            0..32 if !honest => 3,
            32 if !honest => 100,
            _ => 1,
        };
        if copies == 100 {
            self.inject("a hundred copies at once");
        }
        for _ in 0..copies {
            let mut connections = self.connections.iter().map(|(id, connection)| (*id, connection));
            let is_free = |(_, connection): &(u64, &Connection)| {
                connection.is_kept() && !connection.can_go_on() && (!honest || connection.asked.is_none())
            };
            let kept = connections.find(is_free).map(|(id, _)| id);
            let id = kept.filter(|_| self.random.one_in(2)).unwrap_or(self.connections_made + 1);
            if id > self.connections_made {
                self.connections_made = id;
                self.connections.insert(id, Connection::new());
            }
            let connection = self.connections.get_mut(&id).expect("it is kept, or was made just now");
            if connection.asked.is_some() {
                *self.injected.entry("letters behind one that is not answered").or_default() += 1;
            }
            connection.post(std::rc::Rc::clone(&letter));
            if !self.calm && self.random.percent(4) {
                connection.post_garbage(&mut self.random);
                self.inject("garbage behind a letter");
            }
            happenings.push(Happening::Send(id));
        }
    }
}
