//! How long runs waited to be started, and whether they ran into their next time: in words.

use std::time::Duration;

use super::figures::{self, duration};
use super::html::{Html, put};
use crate::flow::Schedule;
use crate::limits;
use crate::store::{Flow, RunMark};
use crate::time::format_duration;

/// Milliseconds from when a run was due to its start, from [`limits::WAIT_TOLD`] on. None for an attempt after the first: its
/// waiting is meant.
pub(super) fn wait_ms(mark: &RunMark) -> Option<u64> {
    let started_at = mark.started_at.filter(|_| mark.attempt == 1 && !mark.clock_unset)?;
    let waited_ms =
        u64::try_from(started_at.as_millis().saturating_sub(mark.scheduled_at.as_millis())).ok()?;
    (u128::from(waited_ms) >= limits::WAIT_TOLD.as_millis()).then_some(waited_ms)
}

/// What came of a flow's last runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waits {
    runs: usize,
    waited: usize,
    median_ms: Option<u64>,
    longest_ms: Option<u64>,
    /// Those that took longer than the interval.
    overlong: usize,
    misfires: u64,
}

impl Waits {
    fn of(marks: &[RunMark], interval_ms: u64) -> Self {
        let mut waits: Vec<u64> = marks.iter().filter_map(wait_ms).collect();
        let is_overlong = |mark: &&RunMark| mark.duration_ms.is_some_and(|took| took > interval_ms);
        Self {
            runs: marks.len(),
            waited: waits.len(),
            longest_ms: waits.iter().copied().max(),
            median_ms: figures::median(&mut waits),
            overlong: marks.iter().filter(is_overlong).count(),
            misfires: marks.iter().map(|mark| mark.misfires).fold(0, u64::saturating_add),
        }
    }
}

/// Tells it.
pub(super) fn tell(html: &mut Html, marks: &[RunMark], flow: &Flow) {
    let waits = Waits::of(marks, flow.run_interval.saturating_mul(1000));
    let which = match waits.runs {
        0 => return,
        1 => "Of the last run".to_owned(),
        many => format!("Of the last {many} runs"),
    };
    put!(html, "<p class=\"of\">" (which) "</p><ul class=\"waits\"><li><b>" (waits.waited)
        "</b> started a second or more after they were due");
    if waits.waited > 0 {
        put!(html, ": median " (duration(waits.median_ms)) ", longest " (duration(waits.longest_ms)));
    }
    let interval = format_duration(Duration::from_secs(flow.run_interval));
    // Where an interval is counted from a run's end, there is no run time to run into.
    let so =
        if flow.configuration.schedule == Schedule::FixedDelay { "" } else { ", into the next run time" };
    put!(html, "<li><b>" (waits.overlong) "</b> took longer than the interval of " (interval) (so)
        "<li><b>" (waits.misfires) "</b> further run times passed unused</ul>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Status;
    use crate::store::RunId;
    use crate::time::Wall;

    fn run(waited_ms: i64, duration_ms: u64, misfires: u64) -> RunMark {
        let scheduled_at = Wall::from_seconds(1_795_000_000);
        RunMark {
            id: RunId(1),
            status: Status::Success,
            attempt: 1,
            scheduled_at,
            started_at: Some(Wall::from_millis(scheduled_at.as_millis() + waited_ms)),
            ended_at: None,
            duration_ms: Some(duration_ms),
            error_kind: None,
            misfires,
            clock_unset: false,
        }
    }

    #[test]
    fn waits_and_overlaps_are_counted_of_runs_that_they_are_known_of() {
        let again = RunMark { attempt: 2, ..run(90_000, 1, 0) };
        let unset = RunMark { clock_unset: true, ..run(90_000, 1, 0) };
        let pending = RunMark { started_at: None, duration_ms: None, ..run(0, 1, 0) };
        let marks = [
            run(999, 60_000, 0),
            run(1000, 60_001, 2),
            run(-5, 1, 0),
            run(5000, 1, 1),
            again,
            unset,
            pending,
        ];
        let waits = Waits::of(&marks, 60_000);
        let told = Waits {
            runs: 7,
            waited: 2,
            median_ms: Some(1000),
            longest_ms: Some(5000),
            overlong: 1,
            misfires: 3,
        };
        assert_eq!(waits, told);
        assert_eq!(Waits::of(&[], 1), Waits::default());
    }
}
