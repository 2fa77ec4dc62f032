//! The tables of a pipeline in a flow file: each read by its own keys, then held against the others.
//!
//! The keys of `[source]` and `[sink]` depend on their `type`: each type is a file here, with a line in [`SOURCES`] or
//! [`SINKS`].

mod check;
mod example;
mod exec;
mod file_sink;
mod file_source;
mod http_keys;
mod http_sink;
mod http_source;
mod keys;
mod sqlite_sink;
mod sqlite_source;
mod system_source;
mod values;

pub use example::pipeline_example;
pub(super) use http_keys::url as http_url;

use super::document::{Node, Raw, Table};
use super::fault::shown;
use super::flow_keys::{Draft, TRANSFORM_TIME_MAX};
use super::key::{Described, Judge, Key, Place, described, most_alike};
use super::kind::milliseconds;
use crate::flow::{
    BatchSettings, FlowName, KindFault, Pipeline, SinkSettings, SourceSettings, Test, Transform,
};
use crate::limits;
use keys::{BATCH_KEYS, SCHEMA_KEYS, Schema, TEST_KEYS, TRANSFORM_KEYS};
use std::path::Path;

/// A type of source or sink.
struct Connector<S: 'static> {
    /// The word that `type` names it by.
    name: &'static str,
    /// Reads its table.
    read: fn(&Node, &mut Judge<'_>) -> Option<S>,
    /// The paths of its keys.
    paths: fn() -> Vec<&'static str>,
    /// What the reference says of them.
    described: fn() -> Vec<Described>,
}

/// Every type of source.
static SOURCES: &[Connector<SourceSettings>] = &[
    file_source::CONNECTOR,
    sqlite_source::CONNECTOR,
    exec::SOURCE,
    system_source::CONNECTOR,
    http_source::CONNECTOR,
];

/// Every type of sink.
static SINKS: &[Connector<SinkSettings>] =
    &[file_sink::CONNECTOR, sqlite_sink::CONNECTOR, exec::SINK, http_sink::CONNECTOR];

/// Whether the top level's `name` is a part of a pipeline.
pub(super) fn is_part(name: &str) -> bool {
    ["source", "transform", "schema", "sink", "batch", "test"].contains(&name)
}

/// The first part of a pipeline in a document.
pub(super) fn first_part(document: &Table) -> Option<(&str, &Node)> {
    let parts = document.iter().filter(|(name, _)| is_part(name) || name == TRANSFORM_TIME_MAX);
    parts.min_by_key(|(_, node)| node.line).map(|(name, node)| (name.as_str(), node))
}

/// The paths of all keys.
pub(super) fn paths() -> Vec<&'static str> {
    let sources = SOURCES.iter().flat_map(|source| (source.paths)());
    let sinks = SINKS.iter().flat_map(|sink| (sink.paths)());
    let between = paths_of(TRANSFORM_KEYS).into_iter().chain(paths_of(SCHEMA_KEYS));
    let behind = paths_of(BATCH_KEYS).into_iter().chain(paths_of(TEST_KEYS));
    sources.chain(between).chain(sinks).chain(behind).collect()
}

fn paths_of<T>(keys: &'static [Key<T>]) -> Vec<&'static str> {
    keys.iter().map(|key| key.path).collect()
}

/// What the reference says of each table's keys, in the order of a flow file; of a source or sink with its type.
pub(super) fn described_tables() -> Vec<(Option<&'static str>, Vec<Described>)> {
    let mut tables: Vec<_> = SOURCES.iter().map(|source| (Some(source.name), (source.described)())).collect();
    tables.extend([(None, described(TRANSFORM_KEYS)), (None, described(SCHEMA_KEYS))]);
    tables.extend(SINKS.iter().map(|sink| (Some(sink.name), (sink.described)())));
    tables.extend([(None, described(BATCH_KEYS)), (None, described(TEST_KEYS))]);
    tables
}

/// Reads the pipeline of a document; `folder` is where the configuration stands.
pub(super) fn settings(
    document: &Table,
    draft: &Draft,
    flow: Option<&FlowName>,
    folder: &Path,
    judge: &mut Judge<'_>,
) -> Option<serde_json::Value> {
    let faults = judge.faults.len();
    let part = |name: &str| document.iter().find(|(known, _)| known == name).map(|(_, node)| node);
    both_ends(document, judge);
    let source = part("source").and_then(|node| connector(SOURCES, "source", node, judge));
    let sink = part("sink").and_then(|node| connector(SINKS, "sink", node, judge));
    let blank = || Transform { sql: String::new(), attach: Default::default() };
    let transforms = part("transform").map(|node| judge.read_list(TRANSFORM_KEYS, "transform", node, blank));
    let mut schema = Schema::default();
    if let Some(node) = part("schema") {
        judge.read_table(SCHEMA_KEYS, "schema", node, &mut schema);
    }
    let mut batch = BatchSettings::default();
    if let Some(node) = part("batch") {
        judge.read_table(BATCH_KEYS, "batch", node, &mut batch);
    }
    let blank = || Test { input: Vec::new(), expect: Vec::new(), now: None };
    let tests = part("test").map(|node| judge.read_list(TEST_KEYS, "test", node, blank));
    let pipeline = Pipeline {
        source: source?,
        transforms: transforms.unwrap_or_default(),
        fields: schema.fields,
        on_reject: match (schema.on_reject, flow) {
            (Some(path), _) => path,
            (None, flow) => folder.join("dead-letter").join(format!("{}.jsonl", flow?)),
        },
        sink: sink?,
        batch,
        transform_time_max_ms: milliseconds(
            draft.transform_time_max.unwrap_or(limits::TRANSFORM_TIME_MAX_DEFAULT),
        ),
        tests: tests.unwrap_or_default(),
    };
    check::check(&pipeline, judge);
    if judge.faults.len() > faults {
        return None;
    }
    let settings = serde_json::to_value(&pipeline);
    let help =
        "move the configuration, its flows and what they read and write to folders whose names are UTF-8";
    settings
        .map_err(|_| judge.fault_of("source", "or another part names a path that is not UTF-8", help))
        .ok()
}

/// Tells of a pipeline that has no source or no sink.
fn both_ends(document: &Table, judge: &mut Judge<'_>) {
    let line = |name: &str| document.iter().find(|(known, _)| known == name).map(|(_, node)| node.line);
    let sink = "[sink] and below it type = \"sqlite\", database = \"readings.db\" and table = \"reading\"";
    let source = "[source] and below it type = \"file\" and path = \"/var/log/readings.jsonl\"";
    let (line, name, message, help) = match (line("source"), line("sink")) {
        (Some(_), Some(_)) => return,
        (Some(line), None) => (line, "source", "has no [sink] to give its records to", format!("add {sink}")),
        (None, Some(line)) => (line, "sink", "has no [source] to take records from", format!("add {source}")),
        (None, None) => {
            let Some((name, node)) = first_part(document) else { return };
            let help = format!("add {source}, and {sink}");
            (node.line, name, "is of a pipeline, and there is neither [source] nor [sink]", help)
        }
    };
    if !judge.is_broken() {
        judge.fault(Place::Line(line), name, message, help);
    }
}

/// Reads `[source]` or `[sink]` as its `type` says.
fn connector<S>(
    all: &'static [Connector<S>],
    table: &'static str,
    node: &Node,
    judge: &mut Judge<'_>,
) -> Option<S> {
    let Raw::Table(entries) = &node.value else {
        judge.no_table(table, table, node);
        return None;
    };
    let names: Vec<&str> = all.iter().map(|known| known.name).collect();
    let there_is = format!("there is {}", names.join(", "));
    let path = format!("{table}.type");
    let Some((_, word)) = entries.iter().find(|(name, _)| name == "type") else {
        if !judge.is_broken() {
            let help = format!("give type = \"{}\" under [{table}]; {there_is}", names.first()?);
            judge.fault(Place::Line(node.line), &path, "is missing", help);
        }
        return None;
    };
    let place = Place::Line(word.line);
    let Raw::Text(text) = &word.value else {
        judge.fault(place, &path, format!("{} is not text", word.value.described()), there_is);
        return None;
    };
    if let Some(known) = all.iter().find(|known| known.name == text) {
        return (known.read)(node, judge);
    }
    let help = match most_alike(text, names.into_iter()) {
        Some(name) => format!("did you mean \"{name}\"? {there_is}"),
        None => there_is,
    };
    judge.fault(place, &path, format!("{} is not a {table} that is known", shown(text)), help);
    None
}

/// Tells of what the kind itself finds wrong, where that stands: `transform.2.sql` is `transform[2].sql` here.
pub(super) fn fault_of_kind(fault: KindFault, judge: &mut Judge<'_>) {
    let parts = fault.key.as_deref().unwrap_or_default().split('.');
    let mut path = String::new();
    for part in parts {
        match part.parse::<usize>() {
            Ok(number) => path.push_str(&format!("[{number}]")),
            Err(_) if path.is_empty() => path.push_str(part),
            Err(_) => path.push_str(&format!(".{part}")),
        }
    }
    let mut known = path.as_str();
    while judge.place(known).is_none() && !known.is_empty() {
        known = known.rfind(['.', '[']).and_then(|end| known.get(..end)).unwrap_or_default();
    }
    let place = judge.place(known).unwrap_or(Place::Line(None));
    let message = fault.message.escape_debug().to_string();
    let help = fault.help.unwrap_or_else(|| "correct this part of the pipeline".to_owned());
    let path = if path.is_empty() { "source".to_owned() } else { path.escape_debug().to_string() };
    judge.fault(place, &path, message, help);
}

#[cfg(test)]
mod tests;
