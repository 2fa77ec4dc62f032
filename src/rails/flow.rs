//! A row of `data_flows` as a flow of ours: a command that calls the application.

use rusqlite::types::Value;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

use super::database::Cells;
use crate::config::{FlowContext, parse_flow};
use crate::flow::{FlowName, snake_case};
use crate::store::{FlowId, ImportedFlow};

/// What the engine did itself: make the flow's class with its configuration, and run it.
pub const DEFAULT_COMMAND: &str = "bin/rails runner -e production '{class_name}.new(JSON.parse(ENV.fetch(\"DATA_FLOW_CONFIGURATION\"))).run'";

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
    row: &Cells,
    wrapper: &Wrapper,
    context: &FlowContext<'_>,
    file: &Path,
) -> Result<(ImportedFlow, Option<String>), String> {
    let theirs = row.text("name")?;
    let name =
        ours(theirs).ok_or_else(|| format!("nothing of its name {} is of a-z 0-9 _ -", row.shown("name")))?;
    let Value::Integer(interval @ 1..) = *row.value("run_interval") else {
        return Err(format!("run_interval {} is no number of seconds above 0", row.shown("run_interval")));
    };
    let enabled = enabled(row)?;
    let (class_name, configuration) = class(row)?;
    let is_renamed = name.as_str() != theirs;
    let description = row.optional_text("description")?.filter(|text| !text.is_empty());
    // So that it is found by the name that people know.
    let description = description.or(is_renamed.then_some(theirs));
    let toml = toml(row.id, &name, interval, description, wrapper, &class_name, configuration);
    let definition = parse_flow(&toml, file, context).map_err(|faults| {
        let told = faults.iter().map(|fault| match &fault.key {
            Some(key) => format!("{key}: {}", fault.message),
            None => fault.message.clone(),
        });
        told.collect::<Vec<_>>().join("; ")
    })?;
    let flow = ImportedFlow {
        id: FlowId(row.id),
        definition,
        held: !enabled,
        last_run_at: row.optional_time("last_run_at")?,
        last_run_status: match row.optional_text("last_run_status")? {
            None => None,
            Some("success") => Some(true),
            Some("failed") => Some(false),
            Some(other) => return Err(format!("last_run_status `{other}` is neither success nor failed")),
        },
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    };
    let difference = is_renamed.then(|| format!("it is called {name} here, for {}", row.shown("name")));
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

fn enabled(row: &Cells) -> Result<bool, String> {
    match row.value("enabled") {
        Value::Integer(0) => Ok(false),
        Value::Integer(1) => Ok(true),
        Value::Text(text) if text == "f" => Ok(false),
        Value::Text(text) if text == "t" => Ok(true),
        _ => Err(format!("enabled {} is no boolean", row.shown("enabled"))),
    }
}

/// The class that a configuration names, and the whole of it. The engine took a text alone for the class.
fn class(row: &Cells) -> Result<(String, &str), String> {
    let configuration = row.text("configuration")?;
    let shown = || row.shown("configuration");
    let json: Json = serde_json::from_str(configuration)
        .map_err(|error| format!("configuration {} is not JSON: {error}", shown()))?;
    let class_name = match &json {
        Json::String(class_name) => Some(class_name.as_str()),
        json => json["class_name"].as_str(),
    };
    match class_name {
        // It becomes part of a command line and of Ruby: no character in it means anything to either.
        Some(class_name) if is_constant(class_name) => Ok((class_name.to_owned(), configuration)),
        Some(_) => Err(format!("configuration {}: its class_name is no name of a Ruby class", shown())),
        None => Err(format!("configuration {} holds no class_name", shown())),
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
