//! `flow new|list|show`: flow files, and the flows of the database.

use serde_json::json;

use std::time::Duration;

use super::arguments::{Flow as FlowCommand, FlowNew, FlowShow};
use super::failure::{Exit, Failure};
use super::files::{self, Written};
use super::init::{shown, tell};
use super::output::{Paint, Table};
use super::printable::printable;
use super::unknown_flow::unknown_flow;
use super::{Context, flow_change, pipeline};
use crate::config::{flow_example, pipeline_example};
use crate::control::without_secrets;
use crate::flow::{Configuration, FlowName, Origin, Pipeline, Schedule, snake_case};
use crate::setup::Loaded;
use crate::store::Flow;
use crate::time::{Wall, format_duration};
use crate::words;

/// Carries out a command on flows.
pub(super) fn run(context: &Context, command: &FlowCommand) -> Result<(), Failure> {
    match command {
        FlowCommand::New(new) => write_new(context, new),
        FlowCommand::Add(add) => flow_change::add(context, add),
        FlowCommand::Enable(flow) => flow_change::hold(context, &flow.name, false),
        FlowCommand::Disable(flow) => flow_change::hold(context, &flow.name, true),
        FlowCommand::Remove(flow) => flow_change::remove(context, &flow.name),
        FlowCommand::Run(run) => flow_change::run(context, run),
        FlowCommand::Cursor(cursor) => pipeline::cursor(context, cursor),
        FlowCommand::Test(test) => pipeline::test(context, test),
        FlowCommand::List => list(context),
        FlowCommand::Show(show) => show_one(context, show),
    }
}

fn write_new(context: &Context, new: &FlowNew) -> Result<(), Failure> {
    // What cannot be made one is shown as it was typed.
    let name = FlowName::new(snake_case(&new.name))
        .or_else(|_| FlowName::new(new.name.as_str()))
        .map_err(|message| Failure::new(Exit::Usage, message, "choose a name such as upload-readings"))?;
    let folder = match &new.into {
        Some(folder) => folder.clone(),
        None => {
            let loaded = context.load()?;
            is_free(context, &loaded, &name)?;
            loaded.config.flows_dir
        }
    };
    files::make_folder(&folder)?;
    let path = folder.join(format!("{name}.toml"));
    let is_pipeline = new.kind == Pipeline::KIND;
    let text = if is_pipeline { pipeline_example(&name) } else { flow_example(&name) };
    let written = files::write_text(&path, &text, new.force)?;
    if written == Written::Skip {
        let error = format!("{} is there already", shown(&path).display());
        return Err(Failure::new(Exit::Failed, error, "edit it, or write over it with --force"));
    }
    tell(context, written, &path)?;
    if context.output.json || context.output.quiet {
        return Ok(());
    }
    let path = printable(&shown(&path).display().to_string());
    let does = if is_pipeline { "moves" } else { "runs" };
    let then = match new.into {
        Some(_) => {
            format!("heartbeatd check {path}\n  heartbeatd flow add {path}: the database then holds it")
        }
        None => "heartbeatd check\n  heartbeatd reload: a daemon that runs takes it up".to_owned(),
    };
    let then = context.hints.complete(&then);
    context.output.lines(format!("\nNext:\n  edit {path}: what it {does}, and how often\n  {then}"))
}

/// Refuses a name that is another flow's: of another file, or of the database.
fn is_free(context: &Context, loaded: &Loaded, name: &FlowName) -> Result<(), Failure> {
    let files = context.read_flows(loaded);
    let own = loaded.config.flows_dir.join(format!("{name}.toml"));
    if let Some(file) = files.file_of(name.as_str()).filter(|file| **file != own) {
        let error = format!("there is a flow `{name}` already, in {}", shown(file).display());
        return Err(Failure::new(Exit::Failed, error, "edit that file, or choose another name"));
    }
    // A database that cannot be read, or is yet to be made, holds nobody up.
    let known = context.open_to_read(loaded).ok().and_then(|store| store.flow(name.as_str()).ok()?);
    if known.is_some_and(|flow| flow.origin == Origin::Database) {
        let error =
            format!("there is a flow `{name}` already, in the database: its file would not be applied");
        let help = format!("choose another name, or `heartbeatd flow remove {name}` first");
        return Err(Failure::new(Exit::Failed, error, help));
    }
    Ok(())
}

fn list(context: &Context) -> Result<(), Failure> {
    let loaded = context.load()?;
    let flows = context.open_to_read(&loaded)?.flows()?;
    if context.output.json {
        return flows.into_iter().try_for_each(|flow| context.output.value(&without_secrets(flow)));
    }
    if flows.is_empty() {
        let folder = shown(&loaded.config.flows_dir).display();
        let text = format!("no flows yet: those in {folder} are taken up when the daemon starts");
        return context.output.line(text);
    }
    let now = crate::server::now();
    let mut table = Table::with_heading(&["NAME", "EVERY", "STATE", "LAST RUN", "NEXT RUN", "ORIGIN"]);
    for flow in &flows {
        table.row(vec![
            (Paint::Bold, flow.name.clone()),
            (Paint::Plain, flow.every()),
            state(flow),
            last_run(flow, now),
            (Paint::Plain, next_run(flow, now)),
            (Paint::Dim, flow.origin.as_str().to_owned()),
        ]);
    }
    context.output.table(&table)
}

/// What of the schedule is set beside the interval.
fn schedule(flow: &Flow) -> Vec<(&'static str, String)> {
    let Configuration { schedule, calendar, .. } = &flow.configuration;
    let window = calendar.only_between.map(|[from, until]| format!("{from} to {until}"));
    let spread = Duration::from_millis(calendar.spread_ms);
    let all = [
        ("schedule", (*schedule != Schedule::FixedRate).then(|| schedule.as_str().to_owned())),
        ("time zone", calendar.time_zone.clone()),
        ("only between", window),
        ("spread", (!spread.is_zero()).then(|| format_duration(spread))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn state(flow: &Flow) -> (Paint, String) {
    match (flow.held, flow.enabled) {
        (true, _) => (Paint::Yellow, "held".to_owned()),
        (false, false) => (Paint::Dim, "disabled".to_owned()),
        (false, true) => (Paint::Plain, "enabled".to_owned()),
    }
}

fn last_run(flow: &Flow, now: Wall) -> (Paint, String) {
    let Some(status) = flow.last_run_status.as_deref() else { return (Paint::Dim, "never".to_owned()) };
    let mut text = status.to_owned();
    if let Some(time) = flow.last_run_at {
        text.push_str(&format!(" {}", words::relative(time, now)));
    }
    if flow.consecutive_failures > 1 {
        text.push_str(&format!(", {} in a row", flow.consecutive_failures));
    }
    (if status == "success" { Paint::Green } else { Paint::Red }, text)
}

fn next_run(flow: &Flow, now: Wall) -> String {
    match flow.next_run_at {
        _ if flow.held || !flow.enabled => "-".to_owned(),
        Some(time) if time > now => words::relative(time, now),
        _ => "due".to_owned(),
    }
}

fn show_one(context: &Context, show: &FlowShow) -> Result<(), Failure> {
    let loaded = context.load()?;
    let store = context.open_to_read(&loaded)?;
    let Some(flow) = store.flow(&show.name)? else { return Err(unknown_flow(&show.name, &store)?) };
    let flow = without_secrets(flow);
    if context.output.json {
        return context.output.value(&flow);
    }
    let now = crate::server::now();
    let configuration = &flow.configuration;
    let mut table = Table::default();
    let mut row = |name: &str, (paint, text): (Paint, String)| {
        table.row(vec![(Paint::Dim, name.to_owned()), (paint, text)]);
    };
    row("name", (Paint::Bold, flow.name.clone()));
    if let Some(description) = &flow.description {
        row("description", (Paint::Plain, description.clone()));
    }
    row("state", state(&flow));
    row("origin", (Paint::Plain, flow.origin.as_str().to_owned()));
    row("every", (Paint::Plain, flow.every()));
    for (name, value) in schedule(&flow) {
        row(name, (Paint::Plain, value));
    }
    row("timeout", (Paint::Plain, format_duration(configuration.timeout())));
    row("last run", last_run(&flow, now));
    row("next run", (Paint::Plain, next_run(&flow, now)));
    if let Some(run) = store.last_run(&flow.name)? {
        let text = format!("{} {}", run.id, run.status.as_str());
        row("last run's id", (Paint::Plain, text));
    }
    row("kind", (Paint::Plain, configuration.kind.clone()));
    let settings = configuration.settings.as_object().into_iter().flatten();
    for (name, value) in settings.filter(|(_, value)| **value != json!(false)) {
        row(name, (Paint::Plain, setting(value)));
    }
    context.output.table(&table)
}

fn setting(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_camel_case_becomes_snake_case() {
        assert_eq!(snake_case("UploadReadings"), "upload_readings");
        assert_eq!(snake_case("upload readings2Go"), "upload_readings2_go");
        assert_eq!(snake_case("upload-readings"), "upload-readings");
        assert_eq!(snake_case("HTTPPoll"), "http_poll");
        assert_eq!(snake_case("Poll2HTTP"), "poll2_http");
    }
}
