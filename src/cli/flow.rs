//! `flow new|add|list|show`: flow files, and the flows of the database.

use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{Flow as FlowCommand, FlowAdd, FlowNew, FlowShow};
use super::failure::{Exit, Failure};
use super::files::{self, Written};
use super::init::{shown, tell};
use super::output::{Paint, Table, printable};
use super::{Context, random, when};
use crate::config::{Fault, FlowContext, flow_example};
use crate::flow::{Configuration, Definition, FlowName, Kinds, Origin, Schedule, hide_secrets};
use crate::setup::{self, Loaded};
use crate::store::{Applied, Cause, Flow, Store, StoreError};
use crate::time::{Wall, Zones, format_duration};

/// Carries out a command on flows.
pub(super) fn run(context: &Context, command: &FlowCommand) -> Result<(), Failure> {
    match command {
        FlowCommand::New(new) => write_new(context, new),
        FlowCommand::Add(add) => store_files(context, add),
        FlowCommand::List => list(context),
        FlowCommand::Show(show) => show_one(context, show),
    }
}

fn write_new(context: &Context, new: &FlowNew) -> Result<(), Failure> {
    let loaded = context.load()?;
    // What cannot be made one is shown as it was typed.
    let name = FlowName::new(snake_case(&new.name))
        .or_else(|_| FlowName::new(new.name.as_str()))
        .map_err(|message| Failure::new(Exit::Usage, message, "choose a name such as upload-readings"))?;
    files::make_folder(&loaded.config.flows_dir)?;
    let path = loaded.config.flows_dir.join(format!("{name}.toml"));
    let written = files::write_text(&path, &flow_example(&name), new.force)?;
    if written == Written::Skip {
        let error = format!("{} is there already", shown(&path).display());
        return Err(Failure::new(Exit::Failed, error, "edit it, or write over it with --force"));
    }
    tell(context, written, &path)?;
    if context.output.json || context.output.quiet {
        return Ok(());
    }
    let path = shown(&path).display();
    context.output.line(format!(
        "\nNext:\n  edit {path}: what it runs, and how often\n  heartbeatd check\n  a daemon takes it up when it starts"
    ))
}

/// A name as it is, unless it has capitals or spaces: `UploadReadings` becomes `upload_readings`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for character in name.trim().chars() {
        if character == ' ' {
            snake.push('_');
        } else if character.is_ascii_uppercase() {
            if after_small {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        } else {
            snake.push(character);
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    snake
}

fn store_files(context: &Context, add: &FlowAdd) -> Result<(), Failure> {
    let loaded = context.load()?;
    let zones = setup::system_zones();
    let definitions = read_all(&loaded, &add.files, &zones)?;
    let (config, now) = (&loaded.config, crate::server::now());
    let mut store = Store::open(&config.database, config.durability, random::number()?, now)
        .map_err(|error| owned_by_a_daemon(error, &loaded))?;
    let applied: Vec<Applied> = store.in_transaction(|store| {
        let apply = |definition| {
            let applied = store.apply_definition(definition, Origin::Database, &zones, now);
            applied.map_err(|error| of_a_file(error, definition))
        };
        definitions.iter().map(apply).collect::<Result<_, Failure>>()
    })?;
    for (definition, what) in definitions.iter().zip(applied) {
        let name = definition.name.as_str();
        let word = match what {
            Applied::Created => "create",
            Applied::Updated => "update",
            Applied::Unchanged => "identical",
        };
        if context.output.json {
            context.output.value(&json!({ "action": word, "flow": name }))?;
        } else {
            let word = context.output.paint(Paint::Green, &format!("{word:>9}"));
            context.output.line(format!("{word}  {name}"))?;
        }
    }
    Ok(())
}

/// Every file's definition, or every fault of all files.
fn read_all(loaded: &Loaded, files: &[PathBuf], zones: &Zones) -> Result<Vec<Definition>, Failure> {
    let kinds = Kinds::default();
    let context = FlowContext { kinds: &kinds, zones, working_directory: &loaded.directory };
    let mut definitions: Vec<Definition> = Vec::new();
    let mut faults: Vec<Fault> = Vec::new();
    for file in files {
        if lies_in(file, &loaded.config.flows_dir) {
            let error = format!("{} lies in the flows folder", file.display());
            let help = "it needs no `flow add`: a daemon takes it up when it starts";
            return Err(Failure::new(Exit::Usage, error, help));
        }
        match setup::read_flow(file, &context) {
            Ok(definition) if definitions.iter().any(|other| other.name == definition.name) => {
                let message = format!("the flow `{}` stands in a file before it already", definition.name);
                faults.push(Fault::of_file(file, message, "give one of the two another name"));
            }
            Ok(definition) => definitions.push(definition),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(definitions) } else { Err(Failure::of_faults(faults)) }
}

fn lies_in(file: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(file).zip(real(folder)).is_some_and(|(file, folder)| file.parent() == Some(&folder))
}

fn owned_by_a_daemon(error: StoreError, loaded: &Loaded) -> Failure {
    if error.cause != Cause::Owned {
        return error.into();
    }
    let folder = shown(&loaded.config.flows_dir).display();
    let help = format!("stop the daemon first, or put the file into {folder} and start the daemon anew");
    Failure::new(Exit::TryAgain, error.to_string(), help)
}

fn of_a_file(error: StoreError, definition: &Definition) -> Failure {
    if error.cause != Cause::Constraint {
        return error.into();
    }
    let message = format!("the flow `{}` comes from a file of the flows folder", definition.name);
    Failure::new(Exit::Failed, message, "edit that file, or give this flow another name")
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
            (Paint::Plain, every(flow)),
            state(flow),
            last_run(flow, now),
            (Paint::Plain, next_run(flow, now)),
            (Paint::Dim, flow.origin.as_str().to_owned()),
        ]);
    }
    context.output.table(&table)
}

/// The interval, with the time of day that it is anchored to.
fn every(flow: &Flow) -> String {
    let interval = format_duration(Duration::from_secs(flow.run_interval));
    match flow.configuration.calendar.at {
        Some(at) => format!("{interval} at {at}"),
        None => interval,
    }
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
        text.push_str(&format!(" {}", when::relative(time, now)));
    }
    if flow.consecutive_failures > 1 {
        text.push_str(&format!(", {} in a row", flow.consecutive_failures));
    }
    (if status == "success" { Paint::Green } else { Paint::Red }, text)
}

fn next_run(flow: &Flow, now: Wall) -> String {
    match flow.next_run_at {
        _ if flow.held || !flow.enabled => "-".to_owned(),
        Some(time) if time > now => when::relative(time, now),
        _ => "due".to_owned(),
    }
}

fn show_one(context: &Context, show: &FlowShow) -> Result<(), Failure> {
    let loaded = context.load()?;
    let store = context.open_to_read(&loaded)?;
    let Some(flow) = store.flow(&show.name)? else { return Err(unknown(&show.name, &store)?) };
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
    row("every", (Paint::Plain, every(&flow)));
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
    value.as_str().map_or_else(|| value.to_string(), printable)
}

/// A flow's failure to exist, with the name that may have been meant.
pub(super) fn unknown(name: &str, store: &Store) -> Result<Failure, StoreError> {
    let flows = store.flows()?;
    let near = |flow: &&Flow| strsim::jaro_winkler(name, &flow.name);
    let nearest = flows.iter().max_by(|one, other| near(one).total_cmp(&near(other)));
    let help = match nearest.filter(|flow| near(flow) > 0.7) {
        Some(flow) => format!("did you mean `{}`?", flow.name),
        None => "`heartbeatd flow list` tells which there are".to_owned(),
    };
    let name: String = printable(name).chars().take(128).collect();
    Ok(Failure::new(Exit::Failed, format!("there is no flow `{name}`"), help))
}

/// The same, with `"…"` for values that are secret by their name.
fn without_secrets(mut flow: Flow) -> Flow {
    hide_secrets(&mut flow.configuration.settings);
    flow
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_camel_case_becomes_snake_case() {
        assert_eq!(snake_case("UploadReadings"), "upload_readings");
        assert_eq!(snake_case("upload readings2Go"), "upload_readings2_go");
        assert_eq!(snake_case("upload-readings"), "upload-readings");
        assert_eq!(snake_case("HTTPPoll"), "httppoll");
    }
}
