//! The runs of a flow as a table, newest first, a page of them.

use super::html::{Html, put};
use super::query::RunsQuery;
use super::shell;
use super::standing::of_run;
use super::waits::wait_ms;
use super::{Look, figures};
use crate::flow::{Counters, ErrorKind, Status};
use crate::limits;
use crate::store::{Flow, Result, RunLine};

/// What the plot and those who hear the page are referred to.
pub(super) const HEADING: &str = "runs";

/// Makes the table, with what chooses among the runs.
pub(super) fn write(html: &mut Html, flow: &Flow, query: &RunsQuery, look: &Look<'_>) -> Result<()> {
    let found = look.runtime.store().run_lines(flow.id, query.status, query.before, limits::RUNS_PER_PAGE)?;
    put!(html, "<section class=\"part\" aria-labelledby=\"" (HEADING) "\"><h2 id=\"" (HEADING) "\">Runs</h2><nav class=\"chips\" aria-label=\"Which runs\">");
    for status in
        [None, Some(Status::Success), Some(Status::Failed), Some(Status::InProgress), Some(Status::Pending)]
    {
        let target = RunsQuery { status, before: None };
        put!(html, "<a href=\"" (target.target(&flow.name)) "#" (HEADING) "\"");
        if status == query.status {
            html.markup(" aria-current=\"true\"");
        }
        put!(html, ">" (status.map_or("all", |status| of_run(status, None).0)) "</a>");
    }
    put!(html, "</nav>");
    if found.lines.is_empty() {
        let nothing = match (query.before, query.status, found.older_than) {
            (_, _, Some(_)) => "No run is like that among these.",
            (None, None, None) => "It has not run yet.",
            (_, _, None) => "No run is like that.",
        };
        put!(html, "<p class=\"none\">" (nothing) "</p>");
    } else {
        put!(
            html,
            "<table class=\"runs\"><thead><tr><th>Run<th>Started<th>Due<th>Waited<th>Took<th>Attempt<th>Details</thead><tbody>"
        );
        for line in &found.lines {
            row(html, line, look);
        }
        put!(html, "</tbody></table>");
    }
    turn(
        html,
        flow,
        query,
        found.older_than.map(|before| RunsQuery { before: Some(before), ..query.clone() }),
    );
    put!(html, "</section>");
    Ok(())
}

fn row(html: &mut Html, line: &RunLine, look: &Look<'_>) {
    let mark = &line.mark;
    let (word, shape) = of_run(mark.status, mark.error_kind);
    put!(html, "<tr><td>");
    figures::icon(html, shape);
    put!(html, "<a href=\"/runs/" (mark.id.0) "\">" (mark.id.0) "</a> <span class=\"" (shape) "\">" (word) "</span><td>");
    if let Some(at) = mark.started_at {
        shell::time(html, at, look);
    }
    put!(html, "<td>");
    shell::time(html, mark.scheduled_at, look);
    put!(html, "<td>");
    if let Some(waited_ms) = wait_ms(mark) {
        put!(html, (figures::duration(Some(waited_ms))));
    }
    put!(html, "<td>");
    match (mark.duration_ms, mark.started_at) {
        (None, Some(at)) if mark.status == Status::InProgress => {
            put!(html, (figures::so_far(mark.id, at, look)))
        }
        (None, _) => {}
        (took, _) => put!(html, (figures::duration(took))),
    }
    put!(html, "<td>");
    if mark.attempt > 1 {
        put!(html, (mark.attempt));
    }
    put!(html, "<td>"(beside(line, look)));
}

/// Why it failed, what it moved, and what else is out of the ordinary.
fn beside(line: &RunLine, look: &Look<'_>) -> String {
    let RunLine { mark, rerun, exit_code, signal, counters } = line;
    let mut parts = Vec::new();
    match (mark.error_kind, exit_code, signal) {
        (Some(ErrorKind::ExitStatus), Some(code), _) => parts.push(format!("exit status {code}")),
        (Some(ErrorKind::Signal), _, Some(signal)) => parts.push(format!("signal {signal}")),
        (Some(kind), ..) if kind.counts_as_failure() => parts.push(kind.as_str().to_owned()),
        _ => {}
    }
    let in_memory = match mark.status {
        Status::InProgress => look.runtime.moved_so_far(mark.id, look.now),
        _ => None,
    };
    let counters = in_memory.map_or(*counters, |(counters, _)| counters);
    if counters != Counters::default() {
        parts.push(format!("{} read, {} written", counters.read, counters.written));
        let others = [(counters.skipped, "skipped"), (counters.rejected, "rejected")];
        parts.extend(
            others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")),
        );
    }
    if *rerun > 0 {
        parts.push(format!("rerun {rerun}"));
    }
    match mark.misfires {
        0 => {}
        1 => parts.push("1 run time missed".to_owned()),
        many => parts.push(format!("{many} run times missed")),
    }
    if mark.clock_unset {
        parts.push("before the clock was set".to_owned());
    }
    parts.join(", ")
}

/// Where the list goes on.
fn turn(html: &mut Html, flow: &Flow, query: &RunsQuery, older: Option<RunsQuery>) {
    if older.is_none() && query.before.is_none() {
        return;
    }
    put!(html, "<nav class=\"turn\" aria-label=\"Further runs\">");
    if query.before.is_some() {
        let newest = RunsQuery { before: None, ..query.clone() };
        put!(html, "<a href=\"" (newest.target(&flow.name)) "#" (HEADING) "\">\u{2190} Newest</a> ");
    }
    if let Some(older) = older {
        put!(html, "<a rel=\"next\" href=\"" (older.target(&flow.name)) "#" (HEADING) "\">Older \u{2192}</a>");
    }
    put!(html, "</nav>");
}
