//! The figures of a flow, in words, wherever a page shows them.

use super::Look;
use super::html::{Html, escaped_bytes, put};
use super::standing::State;
use super::strip::{DAY_MS, Span, Strip};
use super::{record, shell};
use crate::flow::{ErrorKind, Status};
use crate::store::{Flow, FlowDay, Run, RunId, RunMark};
use crate::time::Wall;
use crate::words;

/// A shape by its name; a word for it stands beside it.
pub(super) fn icon(html: &mut Html, shape: &'static str) {
    put!(html, "<svg class=\"ic " (shape) "\" aria-hidden=\"true\"><use href=\"#s-" (shape) "\"/></svg>");
}

/// A flow's state in words: `failing, 3 times in a row`.
pub(super) fn state(html: &mut Html, state: State, flow: &Flow, marks: &[RunMark], look: &Look<'_>) {
    put!(html, (state.words()));
    let open = marks.first().filter(|mark| mark.status.is_open());
    match (state, open) {
        (State::Failing, _) => match flow.consecutive_failures {
            1 => put!(html, ", once"),
            times => put!(html, ", " (times) " times in a row"),
        },
        (State::Running, Some(mark)) => {
            if let Some(at) = mark.started_at {
                put!(html, " since ");
                shell::time(html, at, look);
            }
        }
        (State::Waiting, Some(mark)) if mark.attempt > 1 => put!(html, " to be tried again"),
        (State::Waiting, _) => put!(html, " for a slot"),
        (State::Held, _) => put!(html, " by an operator"),
        (State::Disabled, _) => put!(html, " by its definition"),
        _ => {}
    }
    let is_running = open.is_some_and(|mark| mark.status == Status::InProgress);
    if is_running && (state == State::Failing || state.is_off()) {
        put!(html, "; running now");
    }
}

/// `every 1h at 02:30, between 22:00 and 05:00`.
pub(super) fn every(flow: &Flow) -> String {
    let mut text = format!("every {}", flow.every());
    if let Some([from, until]) = flow.configuration.calendar.only_between {
        text.push_str(&format!(", between {from} and {until}"));
    }
    text
}

/// When it runs next, if it may.
pub(super) fn next(html: &mut Html, state: State, flow: &Flow, look: &Look<'_>) {
    match flow.next_run_at {
        _ if state.is_off() => put!(html, "not until enabled"),
        Some(at) if at > look.now.wall => shell::time(html, at, look),
        Some(at) => {
            put!(html, "due ");
            shell::time(html, at, look);
        }
        None => put!(html, "at the next heartbeat"),
    }
}

/// Why a run failed, in words. What a pipeline says may quote records and answers: it is hidden where outputs are.
pub(super) fn why<'a>(run: &'a Run, look: &Look<'_>) -> Option<&'a str> {
    let kind = run.error_kind.as_deref();
    let may_quote = matches!(kind, Some("source" | "transform" | "sink" | "schema"));
    run.error_message.as_deref().filter(|_| look.shows_output || !may_quote).or(kind)
}

/// The last run that failed, among these.
pub(super) fn last_failure(marks: &[RunMark]) -> Option<&RunMark> {
    marks.iter().find(|mark| mark.error_kind.is_some_and(ErrorKind::counts_as_failure))
}

/// The end of a run's output, within so many bytes of the page; nothing where there is none or it is hidden.
pub(super) fn tail<'a>(run: &'a Run, bytes: usize, look: &Look<'_>) -> &'a str {
    if look.shows_output { end_of(run.output.as_deref().unwrap_or_default(), bytes) } else { "" }
}

/// A tail, folded or not.
pub(super) fn fold(html: &mut Html, tail: &str, is_open: bool) {
    put!(html, "<details");
    if is_open {
        html.markup(" open");
    }
    put!(html, "><summary>Its last output</summary><pre tabindex=\"0\">" (tail) "</pre></details>");
}

/// Success in percent, cut to tenths so that neither 0 nor 100 is told of what is not.
pub(super) fn percent((success, all): (u64, u64)) -> String {
    match (success, all) {
        (_, 0) => "\u{2013}".to_owned(),
        (0, _) => "0\u{a0}%".to_owned(),
        _ if success == all => "100\u{a0}%".to_owned(),
        _ => {
            let tenths = (success.saturating_mul(1000) / all).clamp(1, 999);
            format!("{}.{}\u{a0}%", tenths / 10, tenths % 10)
        }
    }
}

/// How long runs took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    median_ms: Option<u64>,
    longest_ms: Option<u64>,
}

impl Took {
    /// The median of the successes among these, and the longest of all that is known of.
    pub(super) fn of(marks: &[RunMark], days: &[FlowDay]) -> Self {
        let successes = marks.iter().filter(|mark| mark.status == Status::Success);
        let mut durations: Vec<u64> = successes.filter_map(|mark| mark.duration_ms).collect();
        let median_ms = median(&mut durations);
        let of_days = days.iter().map(|day| day.duration_ms_max).max();
        let of_marks = marks.iter().filter_map(|mark| mark.duration_ms).max();
        Self { median_ms, longest_ms: of_days.max(of_marks) }
    }

    pub(super) fn median(self) -> String {
        duration(self.median_ms)
    }

    pub(super) fn longest(self) -> String {
        duration(self.longest_ms)
    }
}

/// The lower one of the two in the middle, so that it is one that there was.
pub(super) fn median(values: &mut [u64]) -> Option<u64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

/// Milliseconds for people, or a dash.
pub(super) fn duration(ms: Option<u64>) -> String {
    let known = ms.map(|ms| words::duration_ms(i64::try_from(ms).unwrap_or(i64::MAX)));
    known.unwrap_or_else(|| "\u{2013}".to_owned())
}

/// How long a run in progress has taken. Memory knows it of a pipeline; of others the clock on the wall tells, unless it was
/// set meanwhile.
pub(super) fn so_far(run: RunId, started_at: Wall, look: &Look<'_>) -> String {
    let now = look.now.wall;
    let by_the_wall = || {
        let is_known = started_at.is_set() == now.is_set();
        is_known.then(|| now.as_millis().saturating_sub(started_at.as_millis()).max(0))
    };
    let in_memory = look.runtime.moved_so_far(run, look.now);
    match in_memory.map(|(_, elapsed_ms)| elapsed_ms).or_else(by_the_wall) {
        Some(ms) => format!("{} so far", words::duration_ms(ms)),
        None => "since before the clock was set".to_owned(),
    }
}

/// The first day that the longest span shows, in days since 1970.
pub(super) fn first_day(now: Wall) -> i64 {
    Span::Quarter.begin(now).as_millis().div_euclid(DAY_MS)
}

/// A flow's history over each span. `days` go back as far as [`first_day`].
pub(super) fn strips(flow: &Flow, marks: &[RunMark], days: &[FlowDay], now: Wall) -> [Strip; 3] {
    [
        last_day(flow.created_at, flow.consecutive_failures.into(), marks, days, now),
        Strip::of_days(Span::Week, days, flow.created_at, now),
        Strip::of_days(Span::Quarter, days, flow.created_at, now),
    ]
}

/// The last 24 hours of a flow that there is since `created`.
pub(super) fn last_day(
    created: Wall,
    consecutive_failures: u64,
    marks: &[RunMark],
    days: &[FlowDay],
    now: Wall,
) -> Strip {
    Strip::of_runs(marks, created, record::begins(consecutive_failures, marks, days, now), now)
}

/// How many bytes of a text come first in what takes so many when it is escaped.
fn fitting(characters: impl Iterator<Item = char>, bytes: usize) -> usize {
    let mut escaped = 0;
    let fits = |character: &char| {
        escaped += escaped_bytes(*character);
        escaped <= bytes
    };
    characters.take_while(fits).map(char::len_utf8).sum()
}

/// The beginning of a text, within so many bytes of the page.
pub(super) fn start_of(text: &str, bytes: usize) -> String {
    let end = fitting(text.chars(), bytes);
    let rest = if end < text.len() { "\u{2026}" } else { "" };
    format!("{}{rest}", &text[..end])
}

/// The last lines of a text, within so many bytes of the page.
pub(super) fn end_of(text: &str, bytes: usize) -> &str {
    let text = text.trim_end();
    let begin = text.len() - fitting(text.chars().rev(), bytes);
    let end = &text[begin..];
    match end.split_once('\n') {
        Some((_, whole_lines)) if begin > 0 && !whole_lines.is_empty() => whole_lines,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_nothing_nor_everything_is_told_of_what_is_not() {
        let cases =
            [((0, 0), "\u{2013}"), ((0, 3), "0\u{a0}%"), ((3, 3), "100\u{a0}%"), ((1, 2), "50.0\u{a0}%")];
        for (rate, words) in cases {
            assert_eq!(percent(rate), words);
        }
        assert_eq!(percent((99_999, 100_000)), "99.9\u{a0}%");
        assert_eq!(percent((1, 100_000)), "0.1\u{a0}%");
    }

    #[test]
    fn the_median_is_one_that_there_was() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3]), Some(3));
        assert_eq!(median(&mut [9, 1, 5, 7]), Some(5));
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters_and_lines() {
        assert_eq!(start_of("h\u{e4}\u{e4}", 2), "h\u{2026}");
        assert_eq!(start_of("abc", 3), "abc");
        assert_eq!(end_of("one\ntwo\nthree\n", 11), "two\nthree");
        assert_eq!(end_of("one\ntwo\n", 80), "one\ntwo");
        assert_eq!(end_of("\u{e4}\u{e4}\u{e4}", 3), "\u{e4}");
    }
}
