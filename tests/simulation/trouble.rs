//! What goes wrong: ends of the daemon, clocks that jump, programs that hold the database, callers that leave.

use heartbeat_runtime::runtime::{ConnectionId, Event};

use super::caller::Connection;
use super::happening::Happening;
use super::world::World;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Where a wall clock goes that is not to be trusted.
const JUMPS_MS: [i64; 8] =
    [0, 30_000, -30_000, HOUR_MS, -HOUR_MS, 365 * DAY_MS, 100 * 365 * DAY_MS, -14 * DAY_MS];

impl World {
    pub(crate) fn make_trouble(&mut self, happenings: &mut Vec<Happening>) {
        if self.random.percent(8) {
            self.steps_to_live = Some(u32::try_from(self.random.below(10)).expect("small"));
        }
        if self.random.percent(2) {
            happenings.push(Happening::Shutdown);
        }
        if self.random.percent(15) {
            happenings.push(Happening::Operate);
        }
        if self.reloads_to_come > 0 || self.random.percent(2) {
            self.reloads_to_come = match self.reloads_to_come {
                0 => self.random.pick(&[0, 0, 0, 0, 20]),
                more => more - 1,
            };
            happenings.push(Happening::Reload);
        }
        if let Some(id) = self.any_connection().filter(|_| self.random.percent(10)) {
            happenings.push(Happening::Leave(id));
        }
        if self.holder.is_some() && self.random.percent(40) {
            self.free_database();
        } else if self.holder.is_none() && self.random.percent(3) {
            self.hold_database();
        }
        if self.random.percent(1) {
            self.fail_next_sync();
        }
        if self.clock_jumps && self.random.percent(3) {
            let offset_ms = self.random.pick(&JUMPS_MS);
            self.move_clock(offset_ms);
        }
        if self.clock_jumps && self.random.percent(1) {
            self.go_back_to_an_old_letter(happenings);
        }
    }

    /// The wall clock shows again what it showed when a letter was written, and somebody sends that letter again.
    fn go_back_to_an_old_letter(&mut self, happenings: &mut Vec<Happening>) {
        let Some(letter) = self.agents.old(self.now().wall.as_seconds(), &mut self.random) else { return };
        self.inject("clock back at the time of an old letter");
        self.move_clock(letter.timestamp_s * 1000 - self.true_ms());
        self.connections_made += 1;
        let mut connection = Connection::new();
        connection.post(letter);
        self.connections.insert(self.connections_made, connection);
        happenings.push(Happening::Send(self.connections_made));
    }

    /// The wall clock is off by so much from now on.
    pub(crate) fn move_clock(&mut self, offset_ms: i64) {
        self.inject(match offset_ms - self.clock_offset_ms {
            ..=-86_400_000 => "clock back by days or years",
            -86_399_999..0 => "clock back by up to an hour",
            0 => "clock left as it was",
            1..=3_600_000 => "clock ahead by up to an hour",
            _ => "clock ahead by days or years",
        });
        self.clock_offset_ms = offset_ms;
        self.note(format!("the wall clock is off by {offset_ms} ms"));
        let now = self.now();
        self.book().clock_moved(now);
    }

    /// What the runtime was told meanwhile is to be recorded from now on.
    pub(crate) fn free_database(&mut self) {
        if self.holder.take().is_some() {
            self.note("the database is free again".to_owned());
            let now = self.now().monotonic;
            self.untold_ends.values_mut().for_each(|end| end.told_at = now);
        }
    }

    fn any_connection(&mut self) -> Option<u64> {
        let ids: Vec<u64> = self.connections.keys().copied().collect();
        (!ids.is_empty()).then(|| self.random.pick(&ids))
    }

    pub(crate) fn leave(&mut self, id: u64) {
        if let Some(connection) = self.connections.remove(&id)
            && connection.asked.is_some()
        {
            self.inject("callers that leave before the answer");
            self.note(format!("caller {id} goes away"));
            self.left_in_round.insert(id);
            self.tell(Event::Closed(ConnectionId(id)));
        }
    }
}
