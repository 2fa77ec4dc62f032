//! Whatever bytes a flow file holds, it is read or refused with a help, and never a panic; what is read is a flow that
//! the store takes and a run can be made of, and its settings read back from the store's JSON as the same.

use std::path::Path;

use heartbeat_runtime::config::{FlowContext, flow_name, parse_flow};
use heartbeat_runtime::flow::{Calendar, Configuration};

use super::config::read_or_refused;
use super::zones;

/// The target.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let kinds = heartbeat_runtime::pipeline::kinds();
    let zones = zones::zones();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
    let file = Path::new("/box/flows/stem.toml");
    let name = flow_name(&text, file);
    let Some(flow) = read_or_refused(parse_flow(&text, file, &context)) else { return };
    assert!(flow.run_interval_s >= 1);
    assert_eq!(name.as_ref(), Some(&flow.name), "a file that is right is of the flow that it names");
    let kind = kinds.get(&flow.configuration.kind);
    assert!(kind.is_some_and(|kind| kind.check(&flow.configuration.settings).is_ok()));
    assert!(flow.configuration.retry.attempts >= 1);
    let Calendar { time_zone, .. } = &flow.configuration.calendar;
    assert!(time_zone.as_deref().is_none_or(|name| zones.get(name).is_some()));
    // As the store keeps it.
    let stored = serde_json::to_string(&flow.configuration).expect("it can be stored");
    let read: Configuration = serde_json::from_str(&stored).expect("what is stored can be read");
    assert_eq!(read, flow.configuration);
    assert_eq!(serde_json::to_string(&read).expect("it can be stored"), stored);
}
