//! `/flows/NAME`: one flow, its history, its runs and its definition; made in a few steps.

use super::html::{Html, put};
use super::query::RunsQuery;
use super::shell::{self, Place};
use super::standing::{State, of_run};
use super::strip::Strip;
use super::{Look, definition, figures, plot, runs, waits};
use crate::flow::Schedule;
use crate::limits;
use crate::store::{Flow, FlowDay, Result, RunMark};
use crate::time::format_duration;
use crate::words;
use std::time::Duration;

/// What is still to be made.
#[derive(Debug)]
pub(super) struct Rest {
    flow: Flow,
    query: RunsQuery,
    marks: Vec<RunMark>,
    next: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Durations,
    Runs,
    Definition,
}

/// Makes the page down to its history; none where there is no such flow.
pub(super) fn begin(
    html: &mut Html,
    name: &str,
    query: &RunsQuery,
    look: &Look<'_>,
) -> Result<Option<Box<Rest>>> {
    let store = look.runtime.store();
    let Some(flow) = store.flow(name)? else { return Ok(None) };
    let Some(standing) = store.standing(&flow.name)? else { return Ok(None) };
    let state = State::of(&standing, look.runtime, look.now);
    let marks = store.run_marks(flow.id, limits::MARKS_MAX)?;
    let days = store.flow_days(flow.id, figures::first_day(look.now.wall))?;
    shell::begin(html, &format!("{}: {}", flow.name, state.words()), Place::Elsewhere, look);
    put!(html, "<div class=\"sum\"><h1>");
    figures::icon(html, state.shape());
    put!(html, (flow.name) "</h1><p class=\"" (state.shape()) "\">");
    figures::state(html, state, &flow, &marks, look);
    put!(html, "</p>");
    if let Some(description) = &flow.description {
        put!(html, "<p class=\"about\">" (description) "</p>");
    }
    put!(html, "</div>");
    facts(html, &flow, state, &marks, &days, look);
    last_error(html, state, &marks, look)?;
    history(html, &figures::strips(&flow, &marks, &days, look.now.wall));
    Ok(Some(Box::new(Rest { flow, query: query.clone(), marks, next: Part::Durations })))
}

/// Makes the next part. True when it was the last one, and the page is whole.
pub(super) fn go_on(html: &mut Html, rest: &mut Rest, look: &Look<'_>) -> Result<bool> {
    let Rest { flow, query, marks, next } = rest;
    *next = match next {
        Part::Durations => {
            put!(
                html,
                "<section class=\"part\" aria-labelledby=\"durations\"><h2 id=\"durations\">Durations and waits</h2>"
            );
            let interval_ms = flow.run_interval.saturating_mul(1000);
            plot::draw(html, marks, interval_ms, runs::HEADING, look);
            waits::tell(html, marks, flow);
            put!(html, "</section>");
            Part::Runs
        }
        Part::Runs => {
            runs::write(html, flow, query, look)?;
            Part::Definition
        }
        Part::Definition => {
            definition::write(html, flow, look);
            shell::end(html);
            return Ok(true);
        }
    };
    Ok(false)
}

fn facts(html: &mut Html, flow: &Flow, state: State, marks: &[RunMark], days: &[FlowDay], look: &Look<'_>) {
    let configuration = &flow.configuration;
    let took = figures::Took::of(marks, days);
    put!(html, "<dl class=\"facts\"><div><dt>Last run<dd>");
    match flow.last_run_at {
        Some(at) => shell::time(html, at, look),
        None => put!(html, "never"),
    }
    put!(html, "</div><div><dt>Next run<dd>");
    figures::next(html, state, flow, look);
    put!(html, "</div>");
    if let Some(open) = marks.first().filter(|mark| mark.status.is_open()) {
        let word = of_run(open.status, None).0;
        put!(html, "<div><dt>Open run<dd><a href=\"/runs/" (open.id.0) "\">" (open.id.0) "</a> " (word));
        if let Some(at) = open.started_at {
            put!(html, ", "(figures::so_far(open.id, at, look)));
        }
        put!(html, "</div>");
    }
    let mut fact = |name: &str, value: &str| put!(html, "<div><dt>" (name) "<dd>" (value) "</div>");
    fact("Runs", &figures::every(flow));
    if configuration.schedule == Schedule::FixedDelay {
        fact("Counted from", "the end of the last run");
    }
    let calendar = &configuration.calendar;
    if calendar.at.is_some() || calendar.only_between.is_some() || calendar.time_zone.is_some() {
        fact("Time zone", calendar.time_zone.as_deref().unwrap_or("UTC"));
    }
    if calendar.spread_ms > 0 {
        fact("Spread over", &format_duration(Duration::from_millis(calendar.spread_ms)));
    }
    fact("Median duration", &took.median());
    fact("Longest duration", &took.longest());
    fact("Time limit of a run", &format_duration(configuration.timeout()));
    fact("Failures in a row", &flow.consecutive_failures.to_string());
    fact("Kind", &configuration.kind);
    fact("Defined in", if flow.origin.as_str() == "file" { "a flow file" } else { "the database" });
    let tally = look.runtime.tally().flow(flow.id);
    if let Some(bytes) = tally.and_then(|tally| tally.unread_bytes) {
        fact("Still to be read", &words::bytes(bytes));
    }
    if let Some(at) = tally.and_then(|tally| tally.cursor_moved_at) {
        put!(html, "<div><dt>Cursor moved<dd>");
        shell::time(html, at, look);
        put!(html, "</div>");
    }
    put!(html, "</dl>");
}

/// The last error with the end of its output: unfolded while the flow is failing.
fn last_error(html: &mut Html, state: State, marks: &[RunMark], look: &Look<'_>) -> Result<()> {
    let Some(mark) = figures::last_failure(marks) else { return Ok(()) };
    let Some(run) = look.runtime.store().run(mark.id)? else { return Ok(()) };
    let was = if state == State::Failing { "" } else { " was" };
    put!(html, "<section class=\"part\" aria-labelledby=\"error\"><h2 id=\"error\">Last error</h2><div class=\"err" (was) "\"><p><a href=\"/runs/" (run.id) "\">Run " (run.id) "</a> ");
    shell::time(html, mark.ended_at.unwrap_or(mark.scheduled_at), look);
    put!(html, ": " (figures::why(&run, look).unwrap_or_default()) "</p>");
    let tail = figures::tail(&run, limits::LAST_TAIL_SHOWN_BYTES, look);
    if !tail.is_empty() {
        figures::fold(html, tail, state == State::Failing);
    }
    put!(html, "</div></section>");
    Ok(())
}

fn history(html: &mut Html, strips: &[Strip; 3]) {
    put!(html, "<section class=\"part\" aria-labelledby=\"history\"><h2 id=\"history\">History</h2>");
    for strip in strips {
        put!(html, "<div class=\"span\"><h3>" (strip.span.words()) "</h3><p class=\"rate\">" (told_rate(strip)) "</p>");
        strip.draw(html);
        put!(html, "<p class=\"axis\" aria-hidden=\"true\">");
        strip.span.label(html);
        put!(html, "</p><details><summary>The last " (strip.span.words()) " as a table</summary>");
        strip.whole_table(html);
        put!(html, "</details></div>");
    }
    put!(html, "</section>");
}

/// How often it succeeded, and of how many: one run says less than a thousand.
fn told_rate(strip: &Strip) -> String {
    let rate @ (_, all) = strip.rate();
    let runs = if all == 1 { "run" } else { "runs" };
    match strip.recorded() {
        _ if all == 0 => "nothing to count".to_owned(),
        Some(part) => format!("{} of {all} {runs} in {part} succeeded", figures::percent(rate)),
        None => format!("{} of {all} {runs} succeeded", figures::percent(rate)),
    }
}
