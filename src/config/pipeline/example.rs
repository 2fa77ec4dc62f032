//! The commented flow file of a pipeline, made from the tables of keys.

use super::keys::{BATCH_KEYS, SCHEMA_KEYS, TEST_KEYS, TRANSFORM_KEYS};
use super::{SINKS, SOURCES, file_source, sqlite_sink};
use crate::config::example::write_keys;
use crate::config::flow_keys::FLOW_KEYS;
use crate::config::key::Key;
use crate::flow::FlowName;

/// The commented flow file that `flow new NAME --kind pipeline` writes, valid as it stands.
pub fn pipeline_example(name: &FlowName) -> String {
    let sources: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
    let sinks: Vec<&str> = SINKS.iter().map(|sink| sink.name).collect();
    let (sources, sinks) = (sources.join(", "), sinks.join(", "));
    let mut text = format!(
        "\
# A pipeline: records go from a source through SQL to a sink when a heartbeat finds it due.
# Types of source: {sources}; of sink: {sinks}.
# After a change: heartbeatd check. What it would write: heartbeatd flow test {name}
"
    );
    write_keys(&mut text, FLOW_KEYS.iter(), |key| match key.path {
        "name" => Some(format!("\"{name}\"")),
        "run_interval" => Some(key.example().to_owned()),
        _ => None,
    });
    write_keys(&mut text, file_source::KEYS.iter(), |key| match key.path {
        "source.type" => Some(key.example().to_owned()),
        "source.path" => Some(format!("\"../{name}.jsonl\"")),
        _ => None,
    });
    write_keys(&mut text, TRANSFORM_KEYS.iter(), |key| given(key, &["transform[].sql"]));
    write_keys(&mut text, SCHEMA_KEYS.iter(), |key| given(key, &["schema.fields"]));
    write_keys(&mut text, sqlite_sink::KEYS.iter(), |key| match key.path {
        "sink.database" => Some(format!("\"../{name}.db\"")),
        "sink.create" => Some("true".to_owned()),
        _ => given(key, &["sink.type", "sink.table"]),
    });
    write_keys(&mut text, BATCH_KEYS.iter(), |_| None);
    write_keys(&mut text, TEST_KEYS.iter(), |key| given(key, &["test[].input", "test[].expect"]));
    text
}

/// The key's example, if it is one of these.
fn given<T>(key: &Key<T>, paths: &[&str]) -> Option<String> {
    paths.contains(&key.path).then(|| key.example().to_owned())
}
