//! `status`: what the daemon does, or what is on record where none runs.

use serde_json::Value;
use std::time::Duration;

use super::Context;
use super::failure::{Exit, Failure};
use super::operate::{self, Request};
use super::output::{Paint, Table};
use crate::time::{Wall, format_duration};
use crate::words;

/// Tells the state of the whole; with `must_be_ready` it fails unless heartbeats are taken.
pub(super) fn run(context: &Context, must_be_ready: bool) -> Result<(), Failure> {
    let loaded = context.load()?;
    let outcome = operate::send(context, &loaded, &Request::new("GET", "/status"))?;
    let told = outcome.or_fail(|_| "is the daemon of another version?".to_owned())?;
    if context.output.json {
        context.output.value(&told)?;
    } else if !(must_be_ready && context.output.quiet) {
        context.output.table(&table(&told, &loaded.config.control.socket.display().to_string()))?;
    }
    if !must_be_ready {
        return Ok(());
    }
    match (told["phase"].as_str(), told["degraded"].as_str()) {
        (Some("serving"), None) => Ok(()),
        (Some("stopped"), _) => {
            Err(operate::no_daemon(&loaded, "`heartbeatd serve`, or what manages the service, starts it"))
        }
        (phase, why) => {
            let error = format!("it takes no heartbeats now: {}", why.or(phase).unwrap_or_default());
            Err(Failure::new(
                Exit::TryAgain,
                error,
                "it goes on by itself once that is over; its log says more",
            ))
        }
    }
}

fn table(told: &Value, socket: &str) -> Table {
    let mut table = Table::default();
    let mut row = |name: &str, paint: Paint, text: String| {
        table.row(vec![(Paint::Dim, name.to_owned()), (paint, text)]);
    };
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let count = |value: &Value| value.as_u64().unwrap_or(0).to_string();
    match told["uptime_s"].as_u64() {
        Some(uptime_s) => {
            let since = format_duration(Duration::from_secs(uptime_s));
            row("daemon", Paint::Green, format!("{} for {since}", text(&told["phase"])));
        }
        None => row("daemon", Paint::Yellow, format!("none answers at {socket}")),
    }
    row("version", Paint::Plain, text(&told["version"]));
    if let Some(why) = told["degraded"].as_str() {
        row("degraded", Paint::Red, why.to_owned());
    }
    if told["clock_is_set"] == false {
        row("clock", Paint::Red, format!("not set: {}", text(&told["time"])));
    }
    let size = told["database_bytes"].as_u64().map_or_else(|| "cannot be read".to_owned(), words::bytes);
    row("database", Paint::Plain, format!("{}, {size}", text(&told["database"])));
    let flows = &told["flows"];
    let counted = ["total", "held", "disabled", "due"].map(|name| flows[name].as_u64().unwrap_or(0));
    let [total, held, disabled, due] = counted;
    // What is held counts as enabled in `enabled`, if its definition says so.
    let enabled = total.saturating_sub(held + disabled);
    let states = format!("{total}: {enabled} enabled, {held} held, {disabled} disabled; {due} due");
    row("flows", Paint::Plain, states);
    let runs = &told["runs"];
    let open = format!("{} pending, {} in progress", count(&runs["pending"]), count(&runs["in_progress"]));
    row("runs", Paint::Plain, open);
    let time = |value: &Value| {
        let time = |value: &Value| Wall::parse_rfc3339(value.as_str()?).ok();
        let both = time(value).zip(time(&told["time"]));
        both.map_or_else(|| "-".to_owned(), |(time, now)| words::with_relative(time, now))
    };
    for agent in told["agents"].as_array().into_iter().flatten() {
        let heard = time(&agent["last_heartbeat_at"]);
        row("heartbeat", Paint::Plain, format!("{} {heard}", text(&agent["agent"])));
    }
    alerts(&told["alerts"], &time, &mut row);
    for line in told["bad_flow_files"].as_array().into_iter().flatten() {
        row("bad flow file", Paint::Red, text(line));
    }
    if let Some(why) = told["reload_error"].as_str() {
        row("last reload", Paint::Red, format!("failed, everything stayed as it was: {why}"));
    }
    table
}

/// What was told and is not over, and what is yet to be told.
fn alerts(told: &Value, time: &dyn Fn(&Value) -> String, row: &mut dyn FnMut(&str, Paint, String)) {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    for open in told["open"].as_array().into_iter().flatten() {
        let since = time(&open["since"]);
        row("alert", Paint::Red, format!("{} {} since {since}", text(&open["type"]), text(&open["subject"])));
    }
    if let Some(undelivered) = told["undelivered"].as_u64().filter(|count| *count > 0) {
        let oldest = time(&told["oldest_at"]);
        let why = told["last_error"].as_str().map(|why| format!("; {why}")).unwrap_or_default();
        row("undelivered", Paint::Yellow, format!("{undelivered} alerts, the oldest of {oldest}{why}"));
    }
}
