//! Whatever bytes a configuration file holds, it is read or refused with a help, and never a panic; and what is read
//! keeps the promises that the rest of the program leans on.
//!
//! What follows the first NUL byte is the environment, a variable a line.

use std::net::IpAddr;
use std::path::Path;

use heartbeat_runtime::config::{Faults, format_size, parse, parse_size};
use heartbeat_runtime::limits;
use heartbeat_runtime::time::{format_duration, parse_duration};

/// The target.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    quantities(&text);
    let (text, environment) = text.split_once('\0').unwrap_or((&text, ""));
    let pairs: Vec<(String, String)> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let file = Path::new("/box/heartbeatd.toml");
    let read = parse(text, file, &pairs);
    assert_eq!(read, parse(text, file, &pairs), "the same text is read the same");
    let Some(config) = read_or_refused(read) else { return };
    assert!(!config.listen.is_empty() && config.database.is_absolute() && config.flows_dir.is_absolute());
    assert!(config.signing_secret_files.iter().all(|file| file.is_absolute()));
    assert!(config.limits.connections_per_address <= config.limits.connections);
    assert!(config.limits.headers >= 1 && config.limits.headers <= limits::HEADERS_MAX);
    assert!(config.endpoint_path.starts_with('/') && !config.endpoint_path.contains(['?', '#', ' ', '\0']));
    assert!(config.max_concurrent_runs >= 1 && config.max_claims_per_heartbeat >= 1);
    // Who listens to the network without asking who calls was told to by name.
    let is_open = !config.authentication_enabled && config.listen.iter().any(|at| !is_loopback(at.ip()));
    assert!(!is_open || config.allow_unauthenticated_network);
    let mapped = |net: &ipnet::IpNet| matches!(net, ipnet::IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some() && net.prefix_len() >= 96);
    assert!(!config.whitelisted_ips.iter().chain(&config.trusted_proxies).any(mapped));
    let mut names: Vec<&str> = config.agents.iter().map(|agent| agent.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), config.agents.len(), "an agent's name is its own");
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Durations and sizes, wherever they stand in a text: what is written of one reads back as the same.
fn quantities(text: &str) {
    for word in text.split(['"', '\'', '\n', '\0']) {
        if let Ok(duration) = parse_duration(word) {
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{word}");
        }
        if let Ok(bytes) = parse_size(word) {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes), "{word}");
        }
    }
}

/// What was read; or nothing, once every fault says what is wrong and what would be right, in a line each.
pub(super) fn read_or_refused<V>(read: Result<V, Faults>) -> Option<V> {
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
