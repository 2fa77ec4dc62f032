//! A flow file: text in, a flow's definition out, or every fault at once.

use std::path::Path;

use super::calendar::calendar;
use super::document::{self, Node, Raw, Table};
use super::fault::shown;
use super::flow_keys::{Draft, FLOW_KEYS, TRANSFORM_TIME_MAX};
use super::key::{Judge, Place};
use super::kind::{Arguments, milliseconds, resolved};
use super::pipeline;
use super::size::format_size;
use super::{Broken, Faults};
use crate::flow::{Command, Configuration, Definition, FlowName, Kinds, Pipeline, Schedule};
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
    let mut judge = Judge::new(file, syntax).with_known(pipeline::paths());
    let mut draft = Draft::default();
    judge.read_all(FLOW_KEYS, &document, &mut draft, |name| {
        pipeline::is_part(name) || is_foreign(name, context.kinds)
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
    let settings =
        if kind == COMMAND { command(draft, node, context, judge) } else { foreign(kind, node, judge) }?;
    if let Some(Err(fault)) = context.kinds.get(kind).map(|kind| kind.check(&settings)) {
        let message = fault.message.escape_debug().to_string();
        let help = fault.help.unwrap_or_else(|| format!("correct the table [{kind}]"));
        judge.fault(Place::Line(node.line), kind, message, help);
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
    if !matches!(node.value, Raw::Table(_)) {
        let help = format!("write [{name}] on a line of its own, and its keys below");
        judge.fault(Place::Line(node.line), name, format!("{} is not a table", node.value.described()), help);
        return None;
    }
    let json = node.value.to_json();
    json.map_err(|message| judge.fault(Place::Line(node.line), name, message, "write it as text, in quotes"))
        .ok()
}

fn command(
    draft: &Draft,
    node: &Node,
    context: &FlowContext<'_>,
    judge: &mut Judge<'_>,
) -> Option<serde_json::Value> {
    if judge.place("command.argv").is_none() && matches!(node.value, Raw::Table(_)) {
        missing("command.argv", node.line, judge);
    }
    let command = Command {
        argv: argv(draft, judge)?,
        shell: draft.shell,
        working_directory: draft
            .working_directory
            .clone()
            .unwrap_or_else(|| context.working_directory.to_owned()),
        environment: draft.environment.clone(),
        inherit: draft.inherit.clone(),
        environment_file: draft.environment_file.clone(),
        stdin: draft.stdin.clone(),
        user: draft.user.clone(),
        nice: draft.nice,
        limits: draft.limits,
    };
    check_bounds(&command, judge);
    match serde_json::to_value(&command) {
        Ok(settings) => Some(settings),
        Err(_) => {
            let help = "move the configuration and its flows to a folder whose name is UTF-8";
            judge.fault_of("command.working_directory", "is not UTF-8", help);
            None
        }
    }
}

/// Program and arguments, the program's path made absolute if it has a slash.
fn argv(draft: &Draft, judge: &mut Judge<'_>) -> Option<Vec<String>> {
    let path = "command.argv";
    let mut argv = match draft.argv.clone()? {
        Arguments::Line(line) if draft.shell => vec![line],
        Arguments::Line(line) => {
            let words = line.split_whitespace().take(8).map(|word| word.escape_debug().to_string());
            let list = words.collect::<Vec<_>>().join("\", \"");
            let help = match line.contains("whsec_") || line.len() > 200 {
                true => "give a list, or set shell = true".to_owned(),
                false => format!("give a list, such as argv = [\"{list}\"], or set shell = true"),
            };
            judge.fault_of(path, "is one text, which only a shell takes apart", help);
            return None;
        }
        Arguments::List(list) if draft.shell && list.len() > 1 => {
            judge.fault_of(
                path,
                "is a list, and shell = true",
                "give one text, such as argv = \"date >> log\"",
            );
            return None;
        }
        Arguments::List(list) => list,
    };
    let Some(program) = argv.first_mut().filter(|program| !program.trim().is_empty()) else {
        judge.fault_of(path, "names no program", "give it first, such as argv = [\"/usr/local/bin/upload\"]");
        return None;
    };
    if !draft.shell && program.contains('/') {
        match resolved(judge.base, Path::new(&*program)).into_os_string().into_string() {
            Ok(absolute) => *program = absolute,
            Err(_) => {
                let help = "move the flow file to a folder whose name is UTF-8";
                judge.fault_of(path, "stands in a folder whose name is not UTF-8", help);
                return None;
            }
        }
    }
    Some(argv)
}

fn check_bounds(command: &Command, judge: &mut Judge<'_>) {
    let (arguments, arguments_max) = (command.argv.len(), limits::ARGUMENTS_MAX);
    if arguments > arguments_max {
        let message = format!("has {arguments} items, more than {arguments_max}");
        judge.fault_of("command.argv", message, "give them by stdin, or in a file that the command reads");
    }
    // As execve(2) counts: each string with its NUL, each variable with its `=`.
    let argv_bytes: usize = command.argv.iter().map(|argument| argument.len() + 1).sum();
    let environment_bytes: usize =
        command.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let bytes = argv_bytes.saturating_add(environment_bytes);
    if bytes > limits::COMMAND_BYTES_MAX {
        let limit = format_size(limits::COMMAND_BYTES_MAX);
        let message = format!("and environment have {bytes} bytes together, more than {limit}");
        judge.fault_of(
            "command.argv",
            message,
            "give the text by stdin, or in a file that the command reads",
        );
    }
}
