//! The box itself: clock, disk, database, runs, alerts, and what was read at the last reload. It takes a report apart member by
//! member, so that nothing that `heartbeatd status` tells is missing here.

use std::time::Duration;

use super::html::{Html, put};
use super::{Look, shell};
use crate::runtime::{AlertCounts, Figures, Histogram, Report};
use crate::status::Port;
use crate::store::{AlertFigures, FlowCounts, OpenCounts, Size};
use crate::time::{Wall, format_duration};
use crate::words;

/// What stands where something is not known.
const UNKNOWN: &str = "not known while the database cannot be read";

/// The section of the box. `size` is none where the database cannot be read.
pub(super) fn write(html: &mut Html, report: Report, size: Option<Size>, look: &Look<'_>) {
    let Report { version, phase, uptime_s, time: _, clock_is_set, degraded, alert_counts, database, figures } =
        report;
    put!(
        html,
        "<section class=\"sec\" aria-labelledby=\"box\"><h2 id=\"box\">The box</h2><div class=\"cards\">"
    );
    card(html, "Daemon");
    fact(html, "version", &version);
    put!(html, "<dt>state<dd>"(phase));
    if let Some(uptime_s) = uptime_s {
        put!(html, " for "(format_duration(Duration::from_secs(uptime_s))));
    }
    fact(html, "host", &shell::host(look));
    let set = if clock_is_set { "set" } else { "not set since the box was built" };
    fact(html, "clock", &format_args!("{set}: {}", Wall::from_seconds(look.now.wall.as_seconds())));
    fact(html, "rounds", &format_args!("of its loop: {}", shares(&look.counters.rounds)));
    if let Some(bytes) = look.written_bytes {
        fact(
            html,
            "written",
            &format_args!("{} since the start, without what commands write", words::bytes(bytes)),
        );
    }
    put!(html, "</dl></div>");
    store(html, &database, degraded.as_deref(), size, look);
    let (flows, open, alerts) = match figures {
        // The agents have a section of their own, and the size is told in its parts.
        Some(Figures { database_bytes: _, flows, runs, agents: _, alerts }) => {
            (Some(flows), Some(runs), Some(alerts))
        }
        None => (None, None, None),
    };
    runs(html, flows, open, look);
    alerts_card(html, alert_counts, alerts.as_ref(), look);
    configuration(html, look);
    put!(html, "</div></section>");
}

fn card(html: &mut Html, title: &'static str) {
    put!(html, "<div class=\"card\"><h3>" (title) "</h3><dl class=\"sheet\">");
}

fn fact(html: &mut Html, name: &'static str, value: &dyn std::fmt::Display) {
    put!(html, "<dt>" (name) "<dd>" (value));
}

/// Where everything is kept, and how much room there is.
fn store(html: &mut Html, path: &str, degraded: Option<&str>, size: Option<Size>, look: &Look<'_>) {
    card(html, "Database and disk");
    put!(html, "<dt>file<dd><code>" (path) "</code>");
    fact(html, "state", &degraded.unwrap_or("can be written"));
    let limit = look.runtime.database_bytes_max();
    put!(html, "<dt>size<dd>");
    match size {
        None => put!(html, (UNKNOWN)),
        Some(Size { used_bytes, free_bytes, log_bytes }) => {
            put!(html, (words::bytes(used_bytes + free_bytes + log_bytes)) " of at most " (words::bytes(limit)));
            gauge(html, used_bytes.saturating_add(log_bytes), limit);
            put!(html, (words::bytes(used_bytes)) " used, " (words::bytes(free_bytes)) " free in it, " (words::bytes(log_bytes)) " log");
        }
    }
    let history = look.runtime.history();
    put!(html, "<dt>history<dd>" (history.runs_per_flow) " runs a flow, for " (format_duration(history.age)) "; cut back past "
        (words::bytes(limit - limit / 4)));
    if look.runtime.is_near_limit() {
        put!(html, "; <strong>nothing is left to delete</strong>");
    }
    put!(html, "<dt>disk<dd>");
    match look.disk {
        Some((free, total)) => {
            put!(html, (words::bytes(free)) " free of " (words::bytes(total)));
            gauge(html, total.saturating_sub(free), total);
        }
        None => put!(html, "not known"),
    }
    fact(html, "writes", &shares(&look.counters.commits));
    let dropped = look.runtime.tally().dropped_rounds;
    fact(html, "not written", &format_args!("{dropped} rounds of the loop since the start"));
    put!(html, "</dl></div>");
}

/// How much of a whole is taken, as a bar: the words beside it tell the same.
fn gauge(html: &mut Html, taken: u64, whole: u64) {
    let share = u128::from(taken.min(whole)) * 1000 / u128::from(whole.max(1));
    put!(html, "<svg class=\"gauge\" viewBox=\"0 0 1000 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"w\" width=\"1000\" height=\"8\"/>"
        "<rect width=\"" (share) "\" height=\"8\"/></svg>");
}

fn runs(html: &mut Html, flows: Option<FlowCounts>, open: Option<OpenCounts>, look: &Look<'_>) {
    card(html, "Runs");
    let tally = look.runtime.tally();
    put!(html, "<dt>flows<dd>");
    match flows {
        Some(FlowCounts { total, held, disabled, due, .. }) => {
            let enabled = total - held - disabled;
            put!(html, "<a href=\"/\">" (total) "</a>: " (enabled) " enabled, " (held) " held, " (disabled) " disabled; ");
            put!(html, (due) " due");
        }
        None => put!(html, (UNKNOWN)),
    }
    let hand = look.runtime.in_hand();
    fact(html, "in progress", &format_args!("{} of at most {}", hand.in_progress, hand.slots));
    fact(html, "waiting", &format_args!("{} for a slot, {} to be tried again", hand.pending, hand.waiting));
    if let Some(OpenCounts { pending, in_progress }) = open {
        fact(html, "on record", &format_args!("{pending} pending, {in_progress} in progress"));
    }
    fact(html, "leftovers", &format_args!("{} runs, whose processes are being ended", hand.leftovers));
    fact(html, "took", &shares(&tally.durations));
    let found = tally.flows_found;
    fact(
        html,
        "found due",
        &format_args!(
            "{} started, {} skipped, {} deferred since the start",
            found.triggered, found.skipped, found.deferred
        ),
    );
    fact(html, "missed", &format_args!("{} run times since the start", tally.misfires));
    fact(html, "failed starts", &format_args!("{} since the start", look.counters.spawn_failures));
    put!(html, "</dl></div>");
}

fn alerts_card(
    html: &mut Html,
    counts: Option<AlertCounts>,
    figures: Option<&AlertFigures>,
    look: &Look<'_>,
) {
    card(html, "Alerts");
    fact(
        html,
        "receiver",
        if look.runtime.tells_alerts() { &"as under [alerts]" } else { &"none: [alerts] names nobody" },
    );
    put!(html, "<dt>open<dd>");
    match figures {
        None => put!(html, (UNKNOWN)),
        Some(AlertFigures { open, open_total, .. }) if open.is_empty() => put!(html, (open_total)),
        Some(AlertFigures { open, open_total, .. }) => {
            put!(html, (open_total) "<ul>");
            for alert in open {
                put!(html, "<li><code>" (alert.kind) "</code> ");
                if alert.kind == crate::store::AlertKind::FlowFailing.as_str() {
                    put!(html, "<a href=\"/flows/" (alert.subject) "\">" (alert.subject) "</a>");
                } else {
                    put!(html, (alert.subject));
                }
                put!(html, " since ");
                shell::time(html, alert.since, look);
            }
            put!(html, "</ul>");
        }
    }
    put!(html, "<dt>undelivered<dd>");
    match figures {
        None => put!(html, (UNKNOWN)),
        Some(AlertFigures { undelivered, oldest_at, last_error, .. }) => {
            put!(html, (undelivered));
            if let Some(at) = oldest_at {
                put!(html, ", the oldest of ");
                shell::time(html, *at, look);
            }
            if let Some(why) = last_error {
                // What a command wrote is output, and may be hidden like any other.
                let said = why.split("; it wrote: ").next().filter(|_| !look.shows_output).unwrap_or(why);
                put!(html, "<p class=\"dim\">" (said) "</p>");
            }
        }
    }
    if let Some(AlertCounts { created, delivered, failed_attempts, given_up, dropped, queued: _ }) = counts {
        let created: u64 = created.iter().sum();
        fact(
            html,
            "since the start",
            &format_args!(
                "{created} made, {delivered} delivered, {failed_attempts} tries failed, {given_up} given up, {dropped} dropped"
            ),
        );
    }
    put!(html, "</dl></div>");
}

fn configuration(html: &mut Html, look: &Look<'_>) {
    card(html, "Configuration and callers");
    put!(html, "<dt>flow files<dd>");
    if look.bad_flow_files.is_empty() {
        put!(html, "all can be used");
    } else {
        put!(html, "cannot all be used:<ul>");
        for fault in &look.bad_flow_files {
            put!(html, "<li>"(fault));
        }
        put!(html, "</ul>");
    }
    put!(html, "<dt>reloads<dd>" (look.failed_reloads) " failed since the start");
    match look.reload_error {
        Some(why) => put!(html, "; the last one, as "(why)),
        None if look.failed_reloads > 0 => put!(html, ", but not the last one"),
        None => {}
    }
    fact(html, "heartbeats", &format_args!("{} verified since the start", look.counters.heartbeats));
    put!(html, "<dt>connections<dd>");
    let mut before = "";
    for port in Port::ALL {
        put!(html, (before) (look.counters.connections[port as usize]) " " (port.as_str()));
        before = ", ";
    }
    put!(html, " since the start</dl></div>");
}

/// How long things took: `half within 5ms, all within 20ms`.
fn shares(took: &Histogram) -> String {
    if took.count() == 0 {
        return "none yet".to_owned();
    }
    let share = |within: &str, beyond: &str, percent| match took.bound_of(percent) {
        Some(bound) if bound < Duration::from_millis(1) => {
            format!("{within} within 0.{}ms", bound.as_micros() / 100)
        }
        Some(bound) => format!("{within} within {}", words::duration_ms(crate::time::millis(bound))),
        None => format!("{beyond} beyond {}s", took.within().last().map_or("0", |(seconds, _)| seconds)),
    };
    format!("{}, {}", share("half", "most", 50), share("all", "some", 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_by_the_bounds_that_hold_them() {
        let mut took = Histogram::new(&[("0.0001", 100), ("0.005", 5_000), ("2", 2_000_000)]);
        assert_eq!(shares(&took), "none yet");
        took.observe(Duration::from_micros(90));
        assert_eq!(shares(&took), "half within 0.1ms, all within 0.1ms");
        took.observe(Duration::from_secs(1));
        assert_eq!(shares(&took), "half within 0.1ms, all within 2.0s");
        took.observe(Duration::from_secs(3));
        assert_eq!(shares(&took), "half within 2.0s, some beyond 2s");
    }
}
