//! How far back the runs of a flow that are on record are all that there were, and how many of them a list needs to read.
//!
//! Retention takes a flow's oldest successes first, be it by number, by age or for the size of the database, and keeps
//! failures longer (`store/retention.rs`). So what lies behind the oldest success on record is not known; nor, where no success is left,
//! what lies behind the failures that are known to have followed each other since the last one.

use super::strip::{DAY_MS, Span};
use crate::flow::{ErrorKind, Status};
use crate::limits;
use crate::store::{FlowDay, RunMark};
use crate::time::Wall;

/// Follows a flow's runs from the newest one back.
struct Reach {
    /// Failures that the flow has still to show since its last success.
    failures_left: u64,
    since: Option<Wall>,
}

impl Reach {
    fn of(consecutive_failures: u64) -> Self {
        Self { failures_left: consecutive_failures, since: None }
    }

    fn take(&mut self, mark: &RunMark) {
        let is_failure = mark.error_kind.is_some_and(ErrorKind::counts_as_failure);
        let reaches = mark.status == Status::Success || is_failure && self.failures_left > 0;
        self.failures_left = self.failures_left.saturating_sub(u64::from(is_failure));
        if reaches && !mark.clock_unset {
            self.since = mark.started_at.or(self.since);
        }
    }
}

/// Says of runs, from the newest one back, whether the list wants the next one too: those of 24 hours, as many as a median
/// needs, and what shows that nothing between them is gone.
pub(super) fn wanted(consecutive_failures: u64, now: Wall) -> impl FnMut(&RunMark) -> bool + use<> {
    let begin = Span::Day.begin(now);
    let mut reach = Reach::of(consecutive_failures);
    let mut read = 0;
    move |mark| {
        read += 1;
        reach.take(mark);
        read < limits::MARKS_MIN || reach.since.is_none_or(|since| since >= begin)
    }
}

/// From when on, within the last 24 hours, all runs of a flow are among `marks`; none: as long as there is the flow, or as
/// far as these hours go.
pub(super) fn begins(
    consecutive_failures: u64,
    marks: &[RunMark],
    days: &[FlowDay],
    now: Wall,
) -> Option<Wall> {
    let first_day = Span::Day.begin(now).as_millis().div_euclid(DAY_MS);
    let is_recent = |mark: &&RunMark| {
        let says_something = mark.error_kind != Some(ErrorKind::Cancelled);
        says_something && mark.ended_at.is_some_and(|at| at.as_millis().div_euclid(DAY_MS) >= first_day)
    };
    let on_record = marks.iter().filter(is_recent).count() as u64;
    let recent_days = days.iter().filter(|day| day.day >= first_day);
    if recent_days.map(|day| day.success + day.failed + day.interrupted).sum::<u64>() <= on_record {
        return None;
    }
    let mut reach = Reach::of(consecutive_failures);
    marks.iter().for_each(|mark| reach.take(mark));
    Some(reach.since.unwrap_or(now).min(now)).filter(|since| *since > Span::Day.begin(now))
}
