//! When a flow is due: arithmetic on times, by division and never by a loop.

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
    let clock_jumped_back = next_run_at > now;
    if next_run_at.as_millis() == 0 || clock_jumped_back {
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

/// The latest `next_run_at` that a clock which never jumped can have written, in milliseconds since 1970: one
/// interval ahead, plus the lesser of an interval and a minute for a clock that is being steered.
pub fn latest_trusted_run_ms(run_interval_s: u64, now: Wall) -> i64 {
    let interval_ms = interval_ms(run_interval_s);
    now.as_millis().saturating_add(interval_ms).saturating_add(interval_ms.min(60_000))
}

fn interval_ms(run_interval_s: u64) -> i64 {
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
        let late = next_occurrence(AT(1000), 1, AT(1000 + 3_155_760_000));
        assert_eq!((late.misfires, late.next_run_at), (3_155_760_000, AT(1001 + 3_155_760_000)));
    }

    #[test]
    fn a_clock_that_jumped_back_restarts_the_grid() {
        let now = AT(1_000_000);
        assert!(latest_trusted_run_ms(60, now) < AT(2_000_000).as_millis());
        let due = next_occurrence(AT(2_000_000), 60, now);
        assert!(due.clock_jumped_back);
        assert_eq!((due.scheduled_at, due.next_run_at), (now, AT(1_000_060)));
    }

    #[test]
    fn the_longest_times_do_not_overflow() {
        let far = Wall::from_millis(i64::MAX - 1);
        assert!(next_occurrence(AT(1), u64::MAX, far).next_run_at >= far);
        assert_eq!(latest_trusted_run_ms(u64::MAX, far), i64::MAX);
    }
}
