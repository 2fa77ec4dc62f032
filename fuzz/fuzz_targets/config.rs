//! Whatever bytes a configuration or flow file holds, it is read or refused with a help, and never a panic.
//!
//! What follows the first NUL byte is the environment, a variable a line.

#![no_main]

use heartbeat_runtime::config::{Faults, FlowContext, flow_name, parse, parse_flow};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fn check<V>(read: Result<V, Faults>) -> Option<V> {
    match read {
        Ok(value) => Some(value),
        Err(faults) => {
            assert!(!faults.is_empty());
            for fault in &faults {
                assert!(!fault.message.is_empty() && !fault.help.is_empty());
                assert!(!fault.to_string().contains('\n') && !fault.help_line().contains('\n'));
                assert!(fault.line != Some(0));
            }
            None
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (text, environment) = text.split_once('\0').unwrap_or((&text, ""));
    let pairs: Vec<(String, String)> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if let Some(config) = check(parse(text, Path::new("/box/heartbeatd.toml"), &pairs)) {
        assert!(!config.listen.is_empty() && config.database.is_absolute() && config.flows_dir.is_absolute());
        assert!(config.limits.connections_per_address <= config.limits.connections);
        assert!(config.endpoint_path.starts_with('/'));
    }
    let kinds = heartbeat_runtime::pipeline::kinds();
    let zones = heartbeat_runtime::time::Zones::utc_only();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
    let file = Path::new("/box/flows/stem.toml");
    if let Some(flow) = check(parse_flow(text, file, &context)) {
        assert!(flow.run_interval_s >= 1);
        assert!(kinds.get(&flow.configuration.kind).is_some_and(|kind| kind.check(&flow.configuration.settings).is_ok()));
        assert_eq!(flow_name(text, file), Some(flow.name));
    }
});
