//! `/system`: the agents, what they sent, what was refused, and the box itself. Made in one step, of a few short queries; what
//! memory knows is told though the database cannot be read.

use super::html::{Html, put};
use super::query::SystemQuery;
use super::shell::{self, Place};
use super::{Look, agents, banners, figures, machine, refusals};
use crate::http::Status;
use crate::limits;
use crate::runtime::Report;
use crate::store::{HeartbeatFilter, ListedHeartbeat, Result, Size};

/// What is shown of an id that a sender chose, in bytes.
const ID_SHOWN_BYTES: usize = 40;

/// What this page alone reads: heartbeats, one more than it shows, and the database's size.
type Read = (Vec<ListedHeartbeat>, Size);

/// Makes the page.
pub(super) fn write(html: &mut Html, query: &SystemQuery, look: &Look<'_>) -> Status {
    shell::begin(html, "System", Place::System, look);
    let report = look.runtime.report(look.now);
    heading(html, &report, look);
    let read = if look.runtime.is_closed() { None } else { Some(read(query, look)) };
    if let Some(Err(error)) = &read {
        banners::one(html, "The database cannot be read.", &error.to_string(), error.help());
    }
    let read = read.and_then(Result::ok);
    let size = read.as_ref().map(|(_, size)| *size);
    match &report.figures {
        Some(figures) => agents::write(html, &figures.agents, true, look),
        None => agents::write(html, &look.runtime.last_heartbeats(), false, look),
    }
    refusals::write(html, look);
    machine::write(html, report, size, look);
    let status = if read.is_some() { Status::OK } else { Status::SERVICE_UNAVAILABLE };
    if let Some((beats, _)) = read {
        heartbeats(html, beats, query, look);
    }
    shell::end(html);
    status
}

fn read(query: &SystemQuery, look: &Look<'_>) -> Result<Read> {
    let store = look.runtime.store();
    let filter = HeartbeatFilter { agent: None, before: query.before, limit: limits::LIST_DEFAULT + 1 };
    Ok((store.heartbeats(&filter)?, store.size()?))
}

fn heading(html: &mut Html, report: &Report, look: &Look<'_>) {
    let (shape, words) = match banners::found(look).len() {
        0 => ("fine", "All is well with the box".to_owned()),
        1 => ("overdue", "1 thing needs attention".to_owned()),
        many => ("overdue", format!("{many} things need attention")),
    };
    put!(html, "<div class=\"sum\"><h1>");
    figures::icon(html, shape);
    put!(html, (words) "</h1><p>heartbeatd " (report.version) " \u{b7} " (report.phase));
    if let Some(uptime_s) = report.uptime_s {
        put!(html, " for "(crate::time::format_duration(std::time::Duration::from_secs(uptime_s))));
    }
    put!(html, "</p></div>");
}

/// The heartbeats that started runs, newest first.
fn heartbeats(html: &mut Html, mut beats: Vec<ListedHeartbeat>, query: &SystemQuery, look: &Look<'_>) {
    let goes_on = beats.len() > limits::LIST_DEFAULT;
    beats.truncate(limits::LIST_DEFAULT);
    put!(
        html,
        "<section class=\"sec\" aria-labelledby=\"heartbeats\"><h2 id=\"heartbeats\">Heartbeats that started runs</h2>"
    );
    if beats.is_empty() {
        put!(html, "<p class=\"calm\">None is on record.</p>");
    } else {
        put!(html, "<table class=\"ledger\"><thead><tr><th scope=\"col\">Came<th scope=\"col\">Agent");
        for words in ["Due", "Started", "Skipped", "Deferred"] {
            put!(html, "<th scope=\"col\" class=\"n\">"(words));
        }
        put!(html, "<th scope=\"col\">Runs<th scope=\"col\">Its id</thead><tbody>");
        for beat in &beats {
            row(html, beat, look);
        }
        put!(html, "</tbody></table>");
    }
    let last = beats.last().filter(|_| goes_on);
    if query.before.is_some() || last.is_some() {
        put!(html, "<nav class=\"turn\" aria-label=\"Further heartbeats\">");
        if query.before.is_some() {
            put!(html, "<a href=\"/system#heartbeats\">\u{2190} Newest</a> ");
        }
        if let Some(last) = last {
            put!(html, "<a rel=\"next\" href=\"/system?before=" (last.id) "#heartbeats\">Older \u{2192}</a>");
        }
        put!(html, "</nav>");
    }
    put!(html, "</section>");
}

fn row(html: &mut Html, beat: &ListedHeartbeat, look: &Look<'_>) {
    put!(html, "<tr><th scope=\"row\">");
    shell::time(html, beat.received_at, look);
    put!(html, "<td data-l=\"Agent\">"(beat.agent));
    let counts = [
        ("Due", beat.flows_due),
        ("Started", beat.flows_triggered),
        ("Skipped", beat.flows_skipped),
        ("Deferred", beat.flows_deferred),
    ];
    for (words, count) in counts {
        put!(html, "<td class=\"n\" data-l=\"" (words) "\">" (count));
    }
    let (first, last) = (beat.first_run_id, beat.last_run_id);
    put!(html, "<td data-l=\"Runs\"><span><a href=\"/runs/" (first) "\">" (first) "</a>");
    if last > first {
        put!(html, " to <a href=\"/runs/" (last) "\">" (last) "</a>");
    }
    put!(html, "</span><td data-l=\"Its id\"><code>");
    match &beat.heartbeat_id {
        Some(id) => put!(html, (figures::start_of(id, ID_SHOWN_BYTES))),
        None => put!(html, "\u{2013}"),
    }
    put!(html, "</code>");
}
