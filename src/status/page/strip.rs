//! A flow's history as a strip of ticks on an axis of time: an inline SVG, and the same as a table for who hears the page.
//!
//! What succeeded stands low, what failed stands out above it, so that shape tells without colour. Where nothing ran there
//! is nothing; where nothing is on record any more, the base line is dotted.

use super::html::{Html, put};
use crate::flow::{ErrorKind, Status};
use crate::store::{FlowDay, RunMark};
use crate::time::Wall;

const DAY_MS: i64 = 86_400_000;
const QUARTER_MS: i64 = DAY_MS / 96;
/// Rows of the table that is heard: the flow's own page has all.
const ROWS_MAX: usize = 6;

/// How far a strip goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Span {
    /// 24 hours, a tick a quarter of an hour, from the runs on record.
    #[default]
    Day,
    /// 7 days, from the table of days.
    Week,
    /// 90 days, from the same.
    Quarter,
}

impl Span {
    pub(super) const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Quarter];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Quarter => "90d",
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Day => "24 hours",
            Self::Week => "7 days",
            Self::Quarter => "90 days",
        }
    }

    /// What stands under the axis, at even distances.
    pub(super) const fn labels(self) -> [&'static str; 5] {
        match self {
            Self::Day => ["24 h ago", "18 h", "12 h", "6 h", "now"],
            Self::Week => ["7 d ago", "", "", "", "today"],
            Self::Quarter => ["90 d ago", "", "45 d", "", "today"],
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|span| span.as_str() == word)
    }

    const fn bins(self) -> usize {
        match self {
            Self::Day => 96,
            Self::Week => 7,
            Self::Quarter => 90,
        }
    }

    const fn bin_ms(self) -> i64 {
        match self {
            Self::Day => QUARTER_MS,
            Self::Week | Self::Quarter => DAY_MS,
        }
    }
}

/// What happened in one part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) success: u64,
    pub(super) failed: u64,
    pub(super) interrupted: u64,
    pub(super) open: bool,
}

/// A span in parts of equal length, the current one last.
#[derive(Debug)]
pub(super) struct Strip {
    pub(super) span: Span,
    pub(super) bins: Vec<Bin>,
    /// When the first one begins.
    pub(super) begin_ms: i64,
    /// The first one of which all that happened is on record.
    pub(super) known_from: usize,
}

impl Strip {
    /// Of the last 24 hours. `marks` are the last runs; `since` is when the record of them begins.
    pub(super) fn of_runs(marks: &[RunMark], since: Wall, now: Wall) -> Self {
        let mut strip = Self::empty(Span::Day, since, now);
        for mark in marks.iter().filter(|mark| !mark.clock_unset) {
            let at = mark.started_at.or(mark.ended_at).unwrap_or(mark.scheduled_at);
            let Some(bin) = strip.bin_mut(at.as_millis()) else { continue };
            match (mark.status, mark.error_kind) {
                (Status::Success, _) => bin.success += 1,
                (Status::Failed, Some(kind)) if !kind.counts_as_failure() => {
                    bin.interrupted += u64::from(kind == ErrorKind::Interrupted);
                }
                (Status::Failed, _) => bin.failed += 1,
                (Status::Pending | Status::InProgress, _) => bin.open = true,
            }
        }
        strip
    }

    /// Of the last days.
    pub(super) fn of_days(span: Span, days: &[FlowDay], since: Wall, now: Wall) -> Self {
        let mut strip = Self::empty(span, since, now);
        for day in days {
            let Some(bin) = strip.bin_mut(day.day.saturating_mul(DAY_MS)) else { continue };
            let FlowDay { success, failed, interrupted, .. } = *day;
            *bin = Bin { success, failed, interrupted, open: false };
        }
        strip
    }

    fn empty(span: Span, since: Wall, now: Wall) -> Self {
        let (count, bin_ms) = (span.bins(), span.bin_ms());
        let current = now.as_millis().div_euclid(bin_ms);
        let begin_ms = current.saturating_sub(i64::try_from(count).unwrap_or(0) - 1).saturating_mul(bin_ms);
        let before = since.as_millis().saturating_sub(begin_ms).div_euclid(bin_ms);
        let known_from = usize::try_from(before.max(0)).unwrap_or(count).min(count);
        Self { span, bins: vec![Bin::default(); count], begin_ms, known_from }
    }

    fn bin_mut(&mut self, at_ms: i64) -> Option<&mut Bin> {
        let index = at_ms.saturating_sub(self.begin_ms).div_euclid(self.span.bin_ms());
        self.bins.get_mut(usize::try_from(index).ok()?)
    }

    /// Runs that succeeded, and all that say something about the flow. Where successes are not on record any more, the
    /// failures that are kept for longer would tell too much.
    pub(super) fn rate(&self) -> (u64, u64) {
        let known = self.bins.iter().skip(self.known_from);
        known.fold((0, 0), |(success, all), bin| (success + bin.success, all + bin.success + bin.failed))
    }

    /// When a part begins.
    pub(super) fn begin_of(&self, index: usize) -> Wall {
        let offset = i64::try_from(index).unwrap_or(0).saturating_mul(self.span.bin_ms());
        Wall::from_millis(self.begin_ms.saturating_add(offset))
    }

    /// The strip, hidden from who hears the page: the table is theirs.
    pub(super) fn draw(&self, html: &mut Html) {
        let count = self.bins.len();
        put!(html, "<svg class=\"strip s" (self.span.as_str()) "\" viewBox=\"0 0 " (count) " 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
        if self.known_from > 0 {
            put!(html, "<path class=\"u\" d=\"M0 23h" (self.known_from) "\"/>");
        }
        put!(html, "<path class=\"b\" d=\"M" (self.known_from) " 23H" (count) "\"/>");
        self.ticks(html, "<path class=\"k\" d=\"", |bin| (bin.success > 0).then_some("10v12"));
        self.ticks(html, "<path class=\"i\" d=\"", |bin| (bin.interrupted > 0).then_some("5v3"));
        // The more of them failed, the more it stands out: one in twenty is a dot.
        self.ticks(html, "<path class=\"f\" d=\"", |bin| match (bin.failed, bin.success) {
            (0, _) => None,
            (_, 0) => Some("1v21"),
            (failed, success) if failed >= success => Some("1v12"),
            (failed, success) if failed.saturating_mul(19) >= success => Some("1v8"),
            _ => Some("6v3"),
        });
        self.ticks(html, "<path class=\"o\" d=\"", |bin| bin.open.then_some("13v9"));
        put!(html, "</svg>");
    }

    /// One path for all ticks of a kind: a pen as wide as a part, moved half a part to the right by the style.
    fn ticks(&self, html: &mut Html, begin: &'static str, tick: impl Fn(&Bin) -> Option<&'static str>) {
        let mut begun = false;
        for (index, tick) in self.bins.iter().enumerate().filter_map(|(index, bin)| Some((index, tick(bin)?)))
        {
            if !std::mem::replace(&mut begun, true) {
                html.markup(begin);
            }
            put!(html, "M" (index) " " (tick));
        }
        if begun {
            html.markup("\"/>");
        }
    }

    /// The same in words: parts of the time in which the same happened are one row.
    pub(super) fn table(&self, html: &mut Html) {
        put!(html, "<div class=\"vh\"><table><caption>The last " (self.span.words()) "</caption><tr><th>From<th>What ran");
        let mut rows = self.rows();
        let all: Vec<_> = rows.by_ref().collect();
        for (begin, what) in all.iter().rev().take(ROWS_MAX) {
            put!(html, "<tr><td>" (brief(*begin, self.span)) "<td>" (what));
        }
        if all.len() > ROWS_MAX {
            put!(html, "<tr><td>before<td>see the flow");
        }
        put!(html, "</table></div>");
    }

    /// The same with all of it, newest first.
    pub(super) fn whole_table(&self, html: &mut Html) {
        put!(html, "<table class=\"rows\"><thead><tr><th>From<th>What ran</thead><tbody>");
        let rows: Vec<_> = self.rows().collect();
        for (begin, what) in rows.iter().rev() {
            let text = begin.rfc3339();
            let end = if self.span == Span::Day { 16 } else { 10 };
            put!(html, "<tr><td>" (text.get(5..end).unwrap_or(&text).replace('T', " ")) "<td>" (what));
        }
        put!(html, "</tbody></table>");
    }

    /// When it began, and what it was, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Wall, String)> + '_ {
        let kind = |index: usize, bin: &Bin| match bin {
            _ if index < self.known_from && *bin == Bin::default() => 0,
            Bin { failed: 0, interrupted: 0, success: 0, open: false } => 1,
            Bin { failed: 0, interrupted: 0, .. } => 2,
            _ => 3,
        };
        let mut index = 0;
        std::iter::from_fn(move || {
            let begin = index;
            let first = kind(begin, self.bins.get(begin)?);
            let mut sum = Bin::default();
            while let Some(bin) = self.bins.get(index).filter(|bin| kind(index, bin) == first) {
                sum.success += bin.success;
                sum.failed += bin.failed;
                sum.interrupted += bin.interrupted;
                sum.open |= bin.open;
                index += 1;
            }
            Some((self.begin_of(begin), if first == 0 { "not on record".to_owned() } else { in_words(sum) }))
        })
    }
}

/// `12 succeeded, 1 failed`.
pub(super) fn in_words(bin: Bin) -> String {
    let mut words = Vec::new();
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    };
    add(bin.success, "succeeded");
    add(bin.failed, "failed");
    add(bin.interrupted, "interrupted");
    if bin.open {
        words.push("one not ended".to_owned());
    }
    if words.is_empty() { "nothing ran".to_owned() } else { words.join(", ") }
}

/// A time as it is told beside others of a span, in UTC: `07:45`, or `11-26`.
fn brief(time: Wall, span: Span) -> String {
    let text = time.rfc3339();
    let part = match span {
        Span::Day => text.get(11..16),
        Span::Week | Span::Quarter => text.get(5..10),
    };
    part.unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunId;

    const NOW: Wall = Wall::from_seconds(1_795_000_000);

    fn run(minutes_ago: i64, status: Status, error_kind: Option<ErrorKind>) -> RunMark {
        let at = Wall::from_millis(NOW.as_millis() - minutes_ago * 60_000);
        RunMark {
            id: RunId(1),
            status,
            attempt: 1,
            scheduled_at: at,
            started_at: Some(at),
            ended_at: Some(at),
            duration_ms: Some(1),
            error_kind,
            misfires: 0,
            clock_unset: false,
        }
    }

    #[test]
    fn runs_stand_where_they_started_and_gaps_stay_gaps() {
        let long_ago = Wall::from_seconds(0);
        let marks = [
            run(0, Status::InProgress, None),
            run(60, Status::Success, None),
            run(61, Status::Failed, Some(ErrorKind::Timeout)),
            run(600, Status::Failed, Some(ErrorKind::Interrupted)),
            run(700, Status::Failed, Some(ErrorKind::Cancelled)),
            run(3000, Status::Success, None),
        ];
        let strip = Strip::of_runs(&marks, long_ago, NOW);
        assert_eq!((strip.bins.len(), strip.known_from), (96, 0));
        assert!(strip.bins[95].open);
        assert_eq!(strip.rate(), (1, 2), "neither what was interrupted nor what is too old counts");
        let not_empty = strip.bins.iter().filter(|bin| **bin != Bin::default()).count();
        assert!((3..=4).contains(&not_empty));
        let words: Vec<_> = strip.rows().map(|(_, what)| what).collect();
        assert!(
            words.contains(&"nothing ran".to_owned()) && words.contains(&"1 interrupted".to_owned()),
            "{words:?}"
        );
    }

    #[test]
    fn what_is_not_on_record_is_told_apart_from_what_did_not_run() {
        let since = Wall::from_millis(NOW.as_millis() - 6 * 3_600_000);
        let strip = Strip::of_runs(&[], since, NOW);
        assert_eq!(strip.known_from, 71);
        let words: Vec<_> = strip.rows().map(|(_, what)| what).collect();
        assert_eq!(words, ["not on record", "nothing ran"]);
        let marks = [run(30, Status::Success, None), run(700, Status::Failed, Some(ErrorKind::Timeout))];
        assert_eq!(Strip::of_runs(&marks, since, NOW).rate(), (1, 1), "failures are kept for longer");
        let future = Wall::from_millis(NOW.as_millis() + DAY_MS);
        assert_eq!(Strip::of_runs(&[], future, NOW).known_from, 96);
    }

    #[test]
    fn days_stand_on_their_day() {
        let today = NOW.as_seconds().div_euclid(86_400);
        let day = |day: i64, success, failed| FlowDay { day, success, failed, ..FlowDay::default() };
        let days = [day(today - 8, 5, 0), day(today - 6, 3, 0), day(today, 1, 1)];
        let strip = Strip::of_days(Span::Week, &days, Wall::from_seconds(0), NOW);
        assert_eq!((strip.bins[0].success, strip.bins[6].failed, strip.rate()), (3, 1, (4, 5)));
        let mut html = Html::default();
        strip.draw(&mut html);
        assert!(html.as_str().contains("<path class=\"k\" d=\"M0 10v12M6 10v12\"/>"), "{}", html.as_str());
        assert!(html.as_str().contains("<path class=\"f\" d=\"M6 1v12\"/>"), "{}", html.as_str());
    }
}
