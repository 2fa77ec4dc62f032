//! The only place that reads a clock: both once a round, for all that happens in it; the monotonic one alone where it is
//! told how long something took.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Monotonic, Now, Wall, millis};

/// Both clocks, and the date as HTTP has it.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    date_second: i64,
    date: String,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), date_second: i64::MIN, date: String::new() }
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: wall(), monotonic: self.monotonic() }
    }

    /// For durations within a round.
    pub(super) fn monotonic(&self) -> Monotonic {
        Monotonic::since_start(self.start.elapsed())
    }

    /// `Date` for this time; made anew once a second.
    pub(super) fn date(&mut self, wall: Wall) -> &str {
        if self.date_second != wall.as_seconds() {
            self.date_second = wall.as_seconds();
            self.date = wall.http_date();
        }
        &self.date
    }
}

/// The system's own monotonic clock, in microseconds since an origin that all its processes share: for what another
/// process compares with its own time.
pub(super) fn system_monotonic_us() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000)
}

/// The wall clock, which may be years off.
pub(super) fn wall() -> Wall {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Wall::from_millis(millis(since)),
        Err(before) => Wall::from_millis(millis(before.duration()).saturating_neg()),
    }
}
