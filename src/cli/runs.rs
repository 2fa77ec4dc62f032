//! `runs list|show|cancel`: what ran, and how it ended.

use super::Context;
use super::arguments::{Runs, RunsList};
use super::failure::{Exit, Failure};
use super::operate::{self, Request};
use super::output::{Paint, Table};
use super::progress::{self, Moved};
use super::unknown_flow::unknown_flow;
use crate::flow::Status;
use crate::setup::Loaded;
use crate::store::{Run, RunFilter, RunId};
use crate::time::Wall;
use crate::words;

/// Carries out a command on runs.
pub(super) fn run(context: &Context, command: &Runs) -> Result<(), Failure> {
    match command {
        Runs::List(wanted) => list(context, wanted),
        Runs::Show(show) => show_one(context, show.id),
        Runs::Cancel(cancel) => cancel_one(context, cancel.id),
    }
}

fn list(context: &Context, wanted: &RunsList) -> Result<(), Failure> {
    let loaded = context.load()?;
    let store = context.open_to_read(&loaded)?;
    if let Some(name) = &wanted.flow
        && store.flow(name)?.is_none()
    {
        return Err(unknown_flow(name, &store)?);
    }
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let filter =
        RunFilter { flow: wanted.flow.clone(), status: wanted.status, limit, ..RunFilter::default() };
    let runs = store.runs(&filter)?;
    if context.output.json {
        return runs.iter().try_for_each(|run| context.output.value(run));
    }
    if runs.is_empty() {
        return context
            .output
            .line(context.hints.complete("no runs yet: `heartbeatd beat` starts what is due"));
    }
    context.output.table(&table(&runs, crate::server::now()))
}

/// Runs in columns.
pub(super) fn table(runs: &[Run], now: Wall) -> Table {
    let mut table = Table::with_heading(&["ID", "FLOW", "STATUS", "STARTED", "TOOK", "WHY"]);
    for run in runs {
        let started = run.started_at.map_or_else(|| "-".to_owned(), |time| words::relative(time, now));
        table.row(vec![
            (Paint::Bold, run.id.to_string()),
            (Paint::Plain, run.flow.clone()),
            (colour(run.status), run.status.as_str().to_owned()),
            (Paint::Plain, started),
            (Paint::Plain, run.duration_ms.map_or_else(|| "-".to_owned(), words::duration_ms)),
            (Paint::Plain, run.error_message.clone().or_else(|| run.error_kind.clone()).unwrap_or_default()),
        ]);
    }
    table
}

/// The colour of a state.
pub(super) const fn colour(status: Status) -> Paint {
    match status {
        Status::Success => Paint::Green,
        Status::Failed => Paint::Red,
        Status::InProgress => Paint::Cyan,
        Status::Pending => Paint::Yellow,
    }
}

fn cancel_one(context: &Context, id: i64) -> Result<(), Failure> {
    let loaded = context.load()?;
    let target = format!("/runs/{id}/cancel");
    let request = Request::new("POST", target).waiting(loaded.config.limits.wait);
    let told = operate::send(context, &loaded, &request)?.or_fail(|problem| match problem.error() {
        "not_found" => "`heartbeatd runs list` tells which there are; old ones are pruned".to_owned(),
        _ => format!("`heartbeatd runs show {id}` tells how it ended"),
    })?;
    if context.output.json {
        return context.output.value(&told);
    }
    let text = |name: &str| told[name].as_str().unwrap_or("-").to_owned();
    let how = if text("status") == "failed" { text("error_kind") } else { "being ended".to_owned() };
    operate::tell(context, "cancel", &format!("run {id} of {}: {how}", text("flow")))
}

fn show_one(context: &Context, id: i64) -> Result<(), Failure> {
    let loaded = context.load()?;
    let store = context.open_to_read(&loaded)?;
    let Some(mut run) = store.run(RunId(id))? else {
        let help = "`heartbeatd runs list` tells which there are; old ones are pruned";
        return Err(Failure::new(Exit::Failed, format!("there is no run {id}"), help));
    };
    if run.status == Status::InProgress {
        count_so_far(&loaded, &mut run);
    }
    if context.output.json {
        return context.output.value(&run);
    }
    context.output.table(&details(&run, crate::server::now()))?;
    let cut = if run.output_truncated { ", its end" } else { "" };
    let texts = [("backtrace", run.error_backtrace), (&*format!("output{cut}"), run.output)];
    for (name, text) in texts {
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        context.output.line("")?;
        context.output.painted(&[(Paint::Dim, &format!("{name}:"))])?;
        context.output.lines(text.strip_suffix('\n').unwrap_or(&text))?;
    }
    Ok(())
}

/// Asks the daemon, which alone knows. Where none answers, the run shows what is on record.
fn count_so_far(loaded: &Loaded, run: &mut Run) {
    let ask = |stream| operate::ask(stream, &Request::new("GET", format!("/runs/{}", run.id))).ok();
    let told = operate::connect(loaded).ok().flatten().and_then(ask);
    let Some(told) = told.and_then(|outcome| outcome.or_fail(|_| String::new()).ok()) else { return };
    let Moved { counters, records_per_second, .. } = Moved::of(&told);
    run.count(&counters, 0);
    run.records_per_second = records_per_second;
}

fn details(run: &Run, now: Wall) -> Table {
    let mut table = Table::default();
    let mut row = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            table.row(vec![(Paint::Dim, name.to_owned()), (Paint::Plain, text)]);
        }
    };
    let time = |time: Option<Wall>| time.map(|time| words::with_relative(time, now));
    let counted = |count: u64| (count > 0).then(|| count.to_string());
    row("run", Some(run.id.to_string()));
    row("flow", Some(run.flow.clone()));
    row("status", Some(run.status.as_str().to_owned()));
    row("attempt", (run.attempt > 1).then(|| run.attempt.to_string()));
    row("rerun", counted(run.rerun.into()));
    row("scheduled", time(Some(run.scheduled_at)));
    row("misfires", counted(run.misfires));
    row("started", time(run.started_at));
    row("ended", time(run.ended_at));
    row("took", run.duration_ms.map(words::duration_ms));
    row("exit code", run.exit_code.map(|code| code.to_string()));
    row("signal", run.signal.map(|signal| signal.to_string()));
    row("error", run.error_kind.clone());
    row("why", run.error_message.clone());
    row("fed from", run.source_file.clone());
    row("records read", counted(run.counters.read));
    row("written", counted(run.counters.written));
    row("skipped", counted(run.counters.skipped));
    row("rejected", counted(run.counters.rejected));
    row("bytes read", (run.counters.bytes_read > 0).then(|| words::bytes(run.counters.bytes_read)));
    row("rate", run.records_per_second.filter(|_| run.counters.read > 0).map(progress::rate));
    row("heartbeat", run.heartbeat_id.clone());
    row("agent", run.agent.clone());
    table
}
