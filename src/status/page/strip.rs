//! A flow's history as a strip of ticks on an axis of time: an inline SVG, and the same as a table for who hears the page.
//!
//! What succeeded stands low, what failed stands out above it, so that shape tells without colour. Where nothing ran there
//! is nothing; where not all is on record any more, the base line is dotted.
//!
//! The ticks of a kind are one thick line of dashes, a dash a part of the time: it takes as many bytes as there are changes,
//! not as there are ticks.

use super::html::{Html, put};
use crate::flow::{ErrorKind, Status};
use crate::store::{FlowDay, RunMark};
use crate::time::Wall;

pub(super) const DAY_MS: i64 = 86_400_000;
const QUARTER_MS: i64 = DAY_MS / 96;
/// Rows of the table that is heard: the flow's own page has all.
pub(super) const ROWS_MAX: usize = 6;
/// Lines that a strip is drawn with: two kinds of ticks in turns over 24 hours. With more of them it is drawn in pairs of parts,
/// so that a page stays within its bound.
const LINES_MAX: usize = 96;

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
    pub(super) fn label(self, html: &mut Html) {
        let labels = match self {
            Self::Day => ["24 h ago", "18 h", "12 h", "6 h", "now"],
            Self::Week => ["7 d ago", "", "", "", "today"],
            Self::Quarter => ["90 d ago", "", "45 d", "", "today"],
        };
        for label in labels {
            put!(html, "<i>" (label) "</i>");
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

    /// When the first part of the span begins.
    pub(super) fn begin(self, now: Wall) -> Wall {
        let current = now.as_millis().div_euclid(self.bin_ms());
        let before = i64::try_from(self.bins()).unwrap_or(0) - 1;
        Wall::from_millis(current.saturating_sub(before).saturating_mul(self.bin_ms()))
    }

    const fn bin_ms(self) -> i64 {
        match self {
            Self::Day => QUARTER_MS,
            Self::Week | Self::Quarter => DAY_MS,
        }
    }
}

/// A kind of ticks.
struct Kind {
    /// Its class in the style.
    class: &'static str,
    /// Where its middle is, from above.
    height: &'static str,
    is_there: fn(&Bin) -> bool,
}

/// From what lies below to what lies above it. What failed is as high as there is room.
const KINDS: [Kind; 7] = [
    Kind { class: "k", height: "16", is_there: |bin| bin.success > 0 },
    Kind { class: "i", height: "6.5", is_there: |bin| bin.interrupted + bin.cancelled > 0 },
    Kind { class: "f", height: "11.5", is_there: |bin| bin.failed > 0 && bin.success == 0 },
    Kind { class: "g", height: "7", is_there: |bin| share(bin) == Share::Half },
    Kind { class: "m", height: "5", is_there: |bin| share(bin) == Share::Some },
    Kind { class: "n", height: "7.5", is_there: |bin| share(bin) == Share::Few },
    Kind { class: "o", height: "17.5", is_there: |bin| bin.open },
];

/// How many failed beside others that succeeded: the more, the more it stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    None,
    /// Fewer than one in twenty.
    Few,
    Some,
    Half,
}

fn share(bin: &Bin) -> Share {
    match (bin.failed, bin.success) {
        (0, _) | (_, 0) => Share::None,
        (failed, success) if failed >= success => Share::Half,
        (failed, success) if failed.saturating_mul(19) >= success => Share::Some,
        _ => Share::Few,
    }
}

/// What happened in one part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bin {
    pub(super) success: u64,
    pub(super) failed: u64,
    pub(super) interrupted: u64,
    /// By an operator: that says nothing about the flow.
    pub(super) cancelled: u64,
    /// A run that has not ended was there.
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
    /// Whether there was more before that, which is not on record any more.
    is_cut: bool,
}

impl Strip {
    /// Of the last 24 hours. `marks` are the last runs, of a flow that there is since `created`; those before `since` are not
    /// all among them.
    pub(super) fn of_runs(marks: &[RunMark], created: Wall, since: Option<Wall>, now: Wall) -> Self {
        // A part of which only the end is known is not known.
        let behind =
            |since: Wall| Wall::from_millis(since.as_millis().saturating_add(QUARTER_MS - 1)).min(now);
        let mut strip = Self::empty(Span::Day, since.map_or(created.min(now), behind), now);
        strip.is_cut = since.is_some() && strip.known_from > 0;
        for mark in marks.iter().filter(|mark| !mark.clock_unset) {
            let at = mark.started_at.or(mark.ended_at).unwrap_or(mark.scheduled_at);
            if mark.status.is_open() {
                let behind = at.as_millis().saturating_sub(strip.begin_ms).div_euclid(QUARTER_MS).max(0);
                let first = usize::try_from(behind).unwrap_or(0);
                strip.bins.iter_mut().skip(first).for_each(|bin| bin.open = true);
                continue;
            }
            let Some(bin) = strip.bin_mut(at.as_millis()) else { continue };
            match (mark.status, mark.error_kind) {
                (Status::Success, _) => bin.success += 1,
                (_, Some(ErrorKind::Interrupted)) => bin.interrupted += 1,
                (_, Some(ErrorKind::Cancelled)) => bin.cancelled += 1,
                _ => bin.failed += 1,
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
            *bin = Bin { success, failed, interrupted, ..Bin::default() };
        }
        strip
    }

    fn empty(span: Span, since: Wall, now: Wall) -> Self {
        let (count, begin_ms) = (span.bins(), span.begin(now).as_millis());
        let before = since.as_millis().saturating_sub(begin_ms).div_euclid(span.bin_ms());
        let known_from = usize::try_from(before.max(0)).unwrap_or(count).min(count);
        Self { span, bins: vec![Bin::default(); count], begin_ms, known_from, is_cut: false }
    }

    fn bin_mut(&mut self, at_ms: i64) -> Option<&mut Bin> {
        let index = at_ms.saturating_sub(self.begin_ms).div_euclid(self.span.bin_ms());
        self.bins.get_mut(usize::try_from(index).ok()?)
    }

    /// Runs that succeeded, and all that say something about the flow: since all are on record, as of those before it the
    /// failures are.
    pub(super) fn rate(&self) -> (u64, u64) {
        let known = || self.bins.iter().skip(if self.is_cut { self.known_from } else { 0 });
        let success = known().map(|bin| bin.success).sum::<u64>();
        (success, success + known().map(|bin| bin.failed).sum::<u64>())
    }

    /// What the rate is of: `24h`, or as much of it as is on record.
    pub(super) fn rate_of(&self) -> String {
        self.recorded().unwrap_or_else(|| self.span.as_str().to_owned())
    }

    /// How much of the span is on record: `12h`; none: all of it.
    pub(super) fn recorded(&self) -> Option<String> {
        let quarters = self.bins.len() - self.known_from;
        self.is_cut.then(|| match quarters / 4 {
            0 => format!("{}m", quarters * 15),
            hours => format!("{hours}h"),
        })
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
        let mut width = 1;
        while width < count
            && KINDS.iter().map(|kind| self.lines(kind, width).count()).sum::<usize>() > LINES_MAX
        {
            width *= 2;
        }
        for kind in &KINDS {
            self.ticks(html, kind, width);
        }
        put!(html, "</svg>");
    }

    /// Where ticks of a kind stand side by side: from a part on, to before another. So many parts are looked at as one.
    fn lines(&self, kind: &Kind, width: usize) -> impl Iterator<Item = (usize, usize)> {
        let mut parts =
            self.bins.chunks(width).map(|bins| bins.iter().any(kind.is_there)).enumerate().peekable();
        let count = self.bins.len();
        std::iter::from_fn(move || {
            let (begin, _) = parts.find(|(_, is_there)| *is_there)?;
            let mut end = begin + 1;
            while parts.next_if(|(_, is_there)| *is_there).is_some() {
                end += 1;
            }
            Some((begin * width, (end * width).min(count)))
        })
    }

    /// One path for all ticks of a kind: the style says how thick it is, and dashes it anew from each of its beginnings on
    /// (SVG 2, section 13.5.6).
    fn ticks(&self, html: &mut Html, kind: &Kind, width: usize) {
        let mut drawn_to: Option<usize> = None;
        for (begin, end) in self.lines(kind, width) {
            match drawn_to {
                Some(before) => put!(html, "m" (begin - before) " 0h" (end - begin)),
                None => {
                    put!(html, "<path class=\"" (kind.class) "\" d=\"M" (begin) " " (kind.height) "h" (end - begin))
                }
            }
            drawn_to = Some(end);
        }
        if drawn_to.is_some() {
            html.markup("\"/>");
        }
    }

    /// The same in words: parts of the time in which the same happened are one row.
    pub(super) fn table(&self, html: &mut Html, rows_max: usize) {
        put!(html, "<div class=\"vh\"><table><caption>The last " (self.span.words()) "</caption><tr><th>From, UTC<th>What ran");
        let all: Vec<_> = self.rows().collect();
        for (begin, what) in all.iter().rev().take(rows_max) {
            put!(html, "<tr><td>" (brief(*begin, self.span)) "<td>" (what));
        }
        if all.len() > rows_max {
            put!(html, "<tr><td>before<td>see the flow");
        }
        put!(html, "</table></div>");
    }

    /// The same with all of it, newest first.
    pub(super) fn whole_table(&self, html: &mut Html) {
        put!(
            html,
            "<table class=\"rows\"><thead><tr><th scope=\"col\">From, UTC<th scope=\"col\">What ran</thead><tbody>"
        );
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
        let kind = |index: usize, bin: &Bin| {
            let is_well = bin.failed + bin.interrupted + bin.cancelled == 0;
            (index < self.known_from, *bin == Bin::default(), is_well)
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
                sum.cancelled += bin.cancelled;
                sum.open |= bin.open;
                index += 1;
            }
            let words = match first {
                (true, true, _) => "not on record".to_owned(),
                (true, false, _) => format!("{}; not all is on record", in_words(sum)),
                _ => in_words(sum),
            };
            Some((self.begin_of(begin), words))
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
    add(bin.cancelled, "cancelled");
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
mod tests;
