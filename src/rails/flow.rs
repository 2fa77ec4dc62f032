//! A row of `data_flows` as a flow of ours: a command that calls the application.

use rusqlite::types::Value;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

use super::database::{FlowRow, shown};
use super::run::{optional_time, text, time};
use crate::config::{FlowContext, parse_flow};
use crate::flow::{FlowName, snake_case};
use crate::store::{FlowId, ImportedFlow};

/// What the engine did itself: make the flow's class with its configuration, and run it.
pub const DEFAULT_COMMAND: &str =
    "bin/rails runner '{class_name}.new(JSON.parse(ENV.fetch(\"DATA_FLOW_CONFIGURATION\"))).run'";

/// How flows call the application.
#[derive(Clone, Debug)]
pub struct Wrapper {
    /// A command line for the shell; `{class_name}`, `{name}` and `{id}` stand for what each flow has there.
    pub command: String,
    /// Where it is run; by default in the configuration's folder.
    pub working_directory: Option<PathBuf>,
}

/// A flow, and in what it differs from the row.
///
/// # Errors
/// Why it does not fit.
pub(super) fn convert(
    row: &FlowRow,
    wrapper: &Wrapper,
    context: &FlowContext<'_>,
    file: &Path,
) -> Result<(ImportedFlow, Option<String>), String> {
    let theirs = text(&row.name, "name")?;
    let name =
        ours(theirs).ok_or_else(|| format!("nothing of its name {} is of a-z 0-9 _ -", shown(&row.name)))?;
    let Value::Integer(interval @ 1..) = row.run_interval else {
        return Err(format!("run_interval {} is no number of seconds above 0", shown(&row.run_interval)));
    };
    let enabled = boolean(&row.enabled)?;
    let (class_name, configuration) = class(&row.configuration)?;
    let is_renamed = name.as_str() != theirs;
    let description = match &row.description {
        Value::Text(text) if !text.is_empty() => Some(text.clone()),
        // So that it is found by the name that people know.
        _ => is_renamed.then(|| theirs.to_owned()),
    };
    let toml = toml(row.id, &name, interval, description.as_deref(), wrapper, &class_name, &configuration);
    let definition = parse_flow(&toml, file, context).map_err(|faults| {
        let told = faults.iter().map(|fault| match &fault.key {
            Some(key) => format!("{key}: {}", fault.message),
            None => fault.message.clone(),
        });
        told.collect::<Vec<_>>().join("; ")
    })?;
    let last_run_at = optional_time(&row.last_run_at, "last_run_at")?;
    let flow = ImportedFlow {
        id: FlowId(row.id),
        definition,
        held: !enabled,
        last_run_at,
        last_run_status: match &row.last_run_status {
            Value::Null => None,
            status => Some(text(status, "last_run_status").and_then(|status| match status {
                "success" => Ok(true),
                "failed" => Ok(false),
                _ => Err(format!(
                    "last_run_status {} is neither success nor failed",
                    shown(&row.last_run_status)
                )),
            })?),
        },
        created_at: time(&row.created_at, "created_at")?,
        updated_at: time(&row.updated_at, "updated_at")?,
    };
    let difference = is_renamed.then(|| format!("it is called {name} here, for {}", shown(&row.name)));
    Ok((flow, difference))
}

/// A name of ours for one of theirs: capitals and all that is neither letter nor digit go.
fn ours(theirs: &str) -> Option<FlowName> {
    if let Ok(name) = FlowName::new(theirs) {
        return Some(name);
    }
    let mut name = String::new();
    for character in snake_case(theirs).chars() {
        match character {
            'a'..='z' | '0'..='9' | '-' => name.push(character),
            _ if name.is_empty() || name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    FlowName::new(name.trim_end_matches('_')).ok()
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Text(text) if text == "f" => Ok(false),
        Value::Text(text) if text == "t" => Ok(true),
        _ => Err(format!("enabled {} is no boolean", shown(value))),
    }
}

/// The class that a configuration names, and the whole of it. The engine took a text alone for the class.
fn class(value: &Value) -> Result<(String, String), String> {
    let configuration = text(value, "configuration")?;
    let json: Json = serde_json::from_str(configuration)
        .map_err(|error| format!("configuration {} is not JSON: {error}", shown(value)))?;
    let class_name = match &json {
        Json::String(class_name) => Some(class_name.as_str()),
        json => json["class_name"].as_str(),
    };
    match class_name {
        // It becomes part of a command line and of Ruby: no character in it means anything to either.
        Some(class_name) if is_constant(class_name) => Ok((class_name.to_owned(), configuration.to_owned())),
        Some(class_name) => Err(format!(
            "class_name {} is no name of a Ruby class",
            shown(&Value::Text(class_name.to_owned()))
        )),
        None => Err(format!("configuration {} holds no class_name", shown(value))),
    }
}

fn is_constant(name: &str) -> bool {
    name.strip_prefix("::").unwrap_or(name).split("::").all(|part| {
        part.starts_with(|first: char| first.is_ascii_uppercase())
            && part.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    })
}

/// The flow as its author would have written it.
fn toml(
    id: i64,
    name: &FlowName,
    interval: i64,
    description: Option<&str>,
    wrapper: &Wrapper,
    class_name: &str,
    configuration: &str,
) -> String {
    let command = wrapper
        .command
        .replace("{class_name}", class_name)
        .replace("{name}", name.as_str())
        .replace("{id}", &id.to_string());
    // JSON's strings are basic strings of TOML.
    let quoted = |text: &str| Json::from(text).to_string();
    let description = description.map(|text| format!("description = {}\n", quoted(text))).unwrap_or_default();
    let directory = wrapper.working_directory.as_deref().map(Path::to_string_lossy);
    let directory =
        directory.map(|path| format!("working_directory = {}\n", quoted(&path))).unwrap_or_default();
    format!(
        "name = {}\nrun_interval = {interval}\n{description}[command]\nshell = true\nargv = {}\n{directory}environment = {{ DATA_FLOW_CONFIGURATION = {} }}\n",
        quoted(name.as_str()),
        quoted(&command),
        quoted(configuration),
    )
}
