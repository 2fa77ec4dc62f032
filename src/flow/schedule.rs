//! When a plain flow is due: arithmetic on times, by division and never by a loop.

use crate::time::Wall;

/// One execution of a flow that has come due, and when the next one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// The earliest run time that was missed, or now for a flow that never ran.
    pub scheduled_at: Wall,
    /// How many further run times have passed since; they are coalesced into this run.
    pub misfires: u64,
    /// The first run time after now.
    pub next_run_at: Wall,
    /// Whether the clock was found to have jumped back, so that the grid restarts at now.
    pub clock_jumped_back: bool,
}

/// What running a due flow now amounts to (`fixed_rate`).
///
/// `next_run_at` is the stored run time, 0 for a flow that never ran; `run_interval_s` is at least 1.
pub fn next_occurrence(next_run_at: Wall, run_interval_s: u64, now: Wall) -> Occurrence {
    assert!(run_interval_s >= 1, "the schema forbids an interval below one second");
    let interval_ms = interval_ms(run_interval_s);
    let clock_jumped_back = jumped_back(next_run_at, now);
    if was_never_timed(next_run_at, now) || clock_jumped_back {
        let next_run_at = Wall::from_millis(now.as_millis().saturating_add(interval_ms));
        return Occurrence { scheduled_at: now, misfires: 0, next_run_at, clock_jumped_back };
    }
    let missed = (now.as_millis() - next_run_at.as_millis()) / interval_ms;
    let next_ms = next_run_at.as_millis().saturating_add((missed + 1).saturating_mul(interval_ms));
    assert!(next_ms > now.as_millis() || next_ms == i64::MAX, "the next run time lies after now");
    Occurrence {
        scheduled_at: next_run_at,
        misfires: missed.unsigned_abs(),
        next_run_at: Wall::from_millis(next_ms),
        clock_jumped_back: false,
    }
}

/// Whether the clock jumped back, given that the flow is due: which run times lie too far ahead is the database's to
/// find (`planned_from` in `schema.sql`).
pub(super) fn jumped_back(next_run_at: Wall, now: Wall) -> bool {
    next_run_at > now
}

/// Whether no run time of a clock that was set is known: the flow never ran, or this is the first time that the clock
/// is right. What such a clock missed cannot be counted.
pub(super) fn was_never_timed(next_run_at: Wall, now: Wall) -> bool {
    next_run_at.as_millis() == 0 || (!next_run_at.is_set() && now.is_set())
}

pub(super) fn interval_ms(run_interval_s: u64) -> i64 {
    i64::try_from(run_interval_s).unwrap_or(i64::MAX).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(i64) -> Wall = Wall::from_seconds;

    #[test]
    fn a_flow_that_never_ran_starts_its_grid_now() {
        let first = next_occurrence(AT(0), 60, AT(1000));
        assert_eq!((first.scheduled_at, first.misfires, first.next_run_at), (AT(1000), 0, AT(1060)));
    }

    #[test]
    fn a_late_heartbeat_does_not_shift_the_grid() {
        let late = next_occurrence(AT(1000), 60, AT(1007));
        assert_eq!((late.scheduled_at, late.misfires, late.next_run_at), (AT(1000), 0, AT(1060)));
    }

    #[test]
    fn missed_run_times_are_counted_and_coalesced() {
        let late = next_occurrence(AT(1000), 60, AT(1000 + 3 * 60 + 1));
        assert_eq!((late.scheduled_at, late.misfires, late.next_run_at), (AT(1000), 3, AT(1240)));
        let on_the_dot = next_occurrence(AT(1000), 60, AT(1060));
        assert_eq!((on_the_dot.misfires, on_the_dot.next_run_at), (1, AT(1120)));
    }

    #[test]
    fn a_century_off_is_one_run() {
        let start = 1_800_000_000;
        let late = next_occurrence(AT(start), 1, AT(start + 3_155_760_000));
        assert_eq!((late.misfires, late.next_run_at), (3_155_760_000, AT(start + 1 + 3_155_760_000)));
    }

    #[test]
    fn a_clock_that_is_set_for_the_first_time_restarts_the_grid() {
        let now = AT(1_800_000_000);
        let due = next_occurrence(AT(300), 60, now);
        assert_eq!((due.scheduled_at, due.misfires, due.clock_jumped_back), (now, 0, false));
        assert_eq!(due.next_run_at, AT(1_800_000_060));
    }

    #[test]
    fn a_clock_that_jumped_back_restarts_the_grid() {
        let now = AT(1_000_000);
        let due = next_occurrence(AT(2_000_000), 60, now);
        assert!(due.clock_jumped_back);
        assert_eq!((due.scheduled_at, due.next_run_at), (now, AT(1_000_060)));
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let far = Wall::from_millis(i64::MAX - 1);
        assert!(next_occurrence(AT(1), u64::MAX, far).next_run_at >= far);
    }
}
