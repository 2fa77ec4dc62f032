//! A flow file: text in, a flow's definition out, or every fault at once.

use std::path::Path;

use super::calendar::calendar;
use super::document::{self, Node, Raw, Table};
use super::fault::shown;
use super::flow_keys::{Draft, FLOW_KEYS, TRANSFORM_TIME_MAX};
use super::key::{Judge, Place};
use super::kind::milliseconds;
use super::pipeline;
use super::program::{COMMAND_KEYS, program};
use super::{Broken, Faults};
use crate::flow::{Configuration, Definition, FlowName, KindFault, Kinds, Pipeline, Schedule};
use crate::limits;
use crate::time::Zones;

/// The kind whose table is read here. Pipelines have a module of their own; any other kind judges its table by itself.
const COMMAND: &str = "command";

/// What a flow file is read against.
#[derive(Clone, Copy, Debug)]
pub struct FlowContext<'a> {
    /// The kinds that a flow may be of.
    pub kinds: &'a Kinds,
    /// The time zones that a flow may name.
    pub zones: &'a Zones,
    /// Where a command starts unless it says otherwise: the configuration's folder, absolute.
    pub working_directory: &'a Path,
}

/// Reads the text of a flow file. Relative paths are taken from `file`'s folder; without a `name`, the flow is called
/// by `file`'s stem.
///
/// # Errors
/// Every fault of the file.
pub fn parse_flow(text: &str, file: &Path, context: &FlowContext<'_>) -> Result<Definition, Faults> {
    let (document, syntax) = document::read(text, file, limits::FLOW_FILE_BYTES_MAX);
    let broken = Broken::of(&syntax);
    let known = FLOW_KEYS.iter().map(|key| key.path).chain(COMMAND_KEYS.iter().map(|key| key.path));
    let known = known.chain(pipeline::paths()).collect();
    let mut judge = Judge::new(file, syntax).with_known(known).starting_in(context.working_directory);
    let mut draft = Draft::default();
    judge.read_all(FLOW_KEYS, &document, &mut draft, |name| {
        name == COMMAND || pipeline::is_part(name) || is_foreign(name, context.kinds)
    });
    let name = named(&draft, file, &mut judge);
    let kind = kind_and_settings(&document, &draft, name.as_ref(), context, &mut judge);
    let calendar = calendar(&draft, context.zones, &mut judge);
    if judge.place("run_interval").is_none() && !broken.any() {
        missing("run_interval", None, &mut judge);
    }
    let definition = match (name, kind, draft.run_interval_s) {
        (Some(name), Some((kind, settings)), Some(run_interval_s)) => Some(Definition {
            name,
            description: draft.description,
            enabled: draft.enabled.unwrap_or(true),
            run_interval_s,
            configuration: Configuration {
                schedule: draft.schedule.unwrap_or(Schedule::FixedRate),
                calendar,
                timeout_ms: milliseconds(draft.timeout.unwrap_or(limits::TIMEOUT_DEFAULT)),
                kill_grace_ms: draft.kill_grace.map(milliseconds),
                leftovers: draft.leftovers,
                retry: draft.retry,
                rerun_interrupted: draft.rerun_interrupted,
                kind,
                settings,
            },
        }),
        _ => None,
    };
    match (broken.finish(judge.faults, ()), definition) {
        (Err(faults), _) => Err(faults),
        (Ok(()), Some(definition)) => Ok(definition),
        // Each part that is missing has its fault; should one not, the file is refused all the same.
        (Ok(()), None) => {
            Err(super::Fault::of_file(file, "is no flow", "see `heartbeatd flow new NAME`").into())
        }
    }
}

/// The name of the flow that a file is about, be it as wrong as it may: its `name` if that can be read, else its
/// stem. So a flow's last good definition is found while its file is broken.
pub fn flow_name(text: &str, file: &Path) -> Option<FlowName> {
    let (document, _) = document::read(text, file, limits::FLOW_FILE_BYTES_MAX);
    let written = document.iter().find(|(key, _)| key == "name").map(|(_, node)| &node.value);
    match written {
        Some(Raw::Text(name)) => FlowName::new(name).ok(),
        _ => FlowName::new(file.file_stem()?.to_str()?).ok(),
    }
}

fn missing(path: &str, line: Option<usize>, judge: &mut Judge<'_>) {
    let place = Place::Line(line);
    let help = FLOW_KEYS.iter().find(|key| key.path == path).map(|key| key.help(place)).unwrap_or_default();
    judge.fault(place, path, "is missing", help);
}

fn named(draft: &Draft, file: &Path, judge: &mut Judge<'_>) -> Option<FlowName> {
    let right = "1 to 128 of a-z 0-9 _ -, such as name = \"upload-readings\"";
    if let Some(name) = &draft.name {
        return match FlowName::new(name) {
            Ok(name) => Some(name),
            Err(_) => {
                judge.fault_of(
                    "name",
                    format!("{} is not a flow's name", shown(name)),
                    format!("give {right}"),
                );
                None
            }
        };
    }
    if judge.place("name").is_some() {
        return None;
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = FlowName::new(stem.as_ref()).ok();
    if name.is_none() {
        let message = format!("the file's name {} does not do as the flow's", shown(&stem));
        judge.fault(Place::Line(None), "name", message, format!("rename the file, or give {right}"));
    }
    name
}

/// Whether `name` is the table of a kind that an embedding program registered.
fn is_foreign(name: &str, kinds: &Kinds) -> bool {
    name != COMMAND && name != Pipeline::KIND && kinds.get(name).is_some()
}

/// The one thing that the file is about, as the kind's name and its settings.
fn kind_and_settings(
    document: &Table,
    draft: &Draft,
    name: Option<&FlowName>,
    context: &FlowContext<'_>,
    judge: &mut Judge<'_>,
) -> Option<(String, serde_json::Value)> {
    let is_kind = |name: &str| name == COMMAND || is_foreign(name, context.kinds);
    let mut tables =
        document.iter().filter(|(name, _)| is_kind(name)).map(|(name, node)| (name.as_str(), node));
    let part = pipeline::first_part(document);
    let Some((kind, node)) = tables.next() else {
        if part.is_none() {
            nothing_to_do(context.kinds, judge);
            return None;
        }
        let settings = pipeline::settings(document, draft, name, context.working_directory, judge)?;
        if let Some(Err(fault)) = context.kinds.get(Pipeline::KIND).map(|kind| kind.check(&settings)) {
            pipeline::fault_of_kind(fault, judge);
        }
        return Some((Pipeline::KIND.to_owned(), settings));
    };
    for (second, node) in tables {
        beside(second, node, kind, judge);
    }
    if let Some((second, node)) = part {
        beside(second, node, kind, judge);
    }
    let settings = match kind {
        COMMAND => serde_json::to_value(program(COMMAND_KEYS, COMMAND, node, judge)?).ok()?,
        _ => foreign(kind, node, judge)?,
    };
    if let Some(Err(fault)) = context.kinds.get(kind).map(|kind| kind.check(&settings)) {
        let key = fault.key.map_or_else(|| kind.to_owned(), |key| format!("{kind}.{key}"));
        let help = fault.help.unwrap_or_else(|| format!("correct the table [{kind}]"));
        let (key, help) = (Some(key), Some(help));
        pipeline::fault_of_kind(KindFault { key, help, ..fault }, judge);
    }
    Some((kind.to_owned(), settings))
}

/// Tells of what stands beside the table of a kind.
fn beside(second: &str, node: &Node, kind: &str, judge: &mut Judge<'_>) {
    let help = if pipeline::is_part(second) || second == TRANSFORM_TIME_MAX {
        format!(
            "a flow does one thing: keep [{kind}], or the tables of the pipeline, [source], [sink] and so on"
        )
    } else {
        "a flow does one thing: keep one of the two tables".to_owned()
    };
    judge.fault(Place::Line(node.line), second, format!("stands beside [{kind}]"), help);
}

fn nothing_to_do(kinds: &Kinds, judge: &mut Judge<'_>) {
    if judge.is_broken() {
        return;
    }
    let tables: Vec<&str> = kinds.names().filter(|name| *name != Pipeline::KIND).chain(["source"]).collect();
    let message = format!("has no [{}] table, so there is nothing to do", tables.join("] or ["));
    let help = "add a line [command] and below it argv = [\"/path/to/program\", \"argument\"], or for a pipeline \
                [source] and [sink]";
    judge.faults.push(super::Fault::of_file(judge.file, message, help));
}

/// The table of a registered kind, as it is.
fn foreign(name: &str, node: &Node, judge: &mut Judge<'_>) -> Option<serde_json::Value> {
    judge.note(name, node.line);
    let Raw::Table(entries) = &node.value else {
        let help = format!("write [{name}] on a line of its own, and its keys below");
        judge.fault(Place::Line(node.line), name, format!("{} is not a table", node.value.described()), help);
        return None;
    };
    for (key, node) in entries {
        judge.note(&format!("{name}.{key}"), node.line);
    }
    let json = node.value.to_json();
    json.map_err(|message| judge.fault(Place::Line(node.line), name, message, "write it as text, in quotes"))
        .ok()
}
