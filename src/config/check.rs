//! What no key can say alone: settings that contradict each other.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::alerts;
use super::key::{Judge, Place};
use super::{AUTHENTICATION_TOKEN_VARIABLE, Config, SIGNING_SECRET_VARIABLE};
use crate::http::is_path_byte;
use crate::limits;

/// Paths of the heartbeat port that are taken.
const TAKEN_PATHS: [&str; 2] = ["/healthz", "/readyz"];

impl Config {
    /// An address beyond loopback at which heartbeats need no proof, though nobody has said that they may do without.
    pub fn open_address(&self) -> Option<SocketAddr> {
        let is_open = !self.authentication_enabled && !self.allow_unauthenticated_network;
        let beyond = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
        self.listen.iter().find(beyond).filter(|_| is_open).copied()
    }
}

pub(super) fn check(config: &Config, environment: &[(String, String)], judge: &mut Judge<'_>) {
    addresses(config, judge);
    endpoint_path(&config.endpoint_path, judge);
    authentication(config, environment, judge);
    control(config, judge);
    status(config, judge);
    alerts::check(config, judge);
    let (each, all) = (config.limits.connections_per_address, config.limits.connections);
    if each > all {
        // The one that was written is the one to correct; of two, the part.
        let path = match judge.place("limits.connections_per_address") {
            Some(_) => "limits.connections_per_address",
            None => "limits.connections",
        };
        let message = format!("one address may open {each} connections, and all together only {all}");
        judge.fault_of(
            path,
            message,
            "set connections_per_address to at most connections, both under [limits]",
        );
    }
}

/// The longest path of a Unix socket (unix(7): `sun_path`, with its closing NUL).
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn control(config: &Config, judge: &mut Judge<'_>) {
    let bytes = config.control.socket.as_os_str().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        let message =
            format!("its whole path is {bytes} bytes long: a socket's has at most {SOCKET_PATH_BYTES_MAX}");
        let help =
            "give a shorter path, such as socket = \"/run/heartbeatd/heartbeatd.sock\" under [control]";
        judge.fault_of("control.socket", message, help);
    }
}

fn addresses(config: &Config, judge: &mut Judge<'_>) {
    // A wrong item leaves the default in place; an empty list is what was written.
    if config.listen.is_empty() {
        judge.fault_of(
            "listen",
            "is empty",
            "give at least one address, such as listen = [\"127.0.0.1:8787\"]",
        );
    }
    let mut seen = HashSet::new();
    for address in config.listen.iter().filter(|address| address.port() != 0) {
        if !seen.insert(address) {
            judge.fault_of("listen", format!("{address} stands there twice"), "remove one of the two");
        }
    }
}

fn status(config: &Config, judge: &mut Judge<'_>) {
    if config.status.hosts.len() > limits::STATUS_HOSTS_MAX {
        let message = format!("names {} hosts", config.status.hosts.len());
        let help = format!("name at most {} under [status]", limits::STATUS_HOSTS_MAX);
        judge.fault_of("status.hosts", message, help);
    }
    let taken = config.status.listen.filter(|address| address.port() != 0 && config.listen.contains(address));
    if let Some(address) = taken {
        // The one that was written is the one to correct.
        let path = if config.status.listen_given { "status.listen" } else { "listen" };
        let message = format!("{address} is for heartbeats and for those who look on");
        let help = "give two ports, or set listen = false under [status]";
        judge.fault_of(path, message, help);
    }
}

fn endpoint_path(path: &str, judge: &mut Judge<'_>) {
    let wrong = if !path.starts_with('/') {
        Some("does not start with `/`")
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("holds something other than visible ASCII")
    } else if path.contains(['?', '#']) {
        Some("holds a `?` or `#`, which end a path")
    } else if !path.bytes().all(is_path_byte) {
        Some("holds a character that no path may have: write it as %XX")
    } else if TAKEN_PATHS.contains(&path) {
        Some("is taken by a health check")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        judge.fault_of(
            "endpoint_path",
            wrong,
            "give a path such as endpoint_path = \"/data_flows/heartbeat\"",
        );
    }
}

fn authentication(config: &Config, environment: &[(String, String)], judge: &mut Judge<'_>) {
    if config.authentication_enabled {
        let in_environment = |variable: &str| {
            environment.iter().any(|(name, value)| name == variable && !value.trim().is_empty())
        };
        let something = !config.signing_secret_files.is_empty()
            || config.authentication_token_file.is_some()
            || !config.agents.is_empty()
            || in_environment(SIGNING_SECRET_VARIABLE)
            || in_environment(AUTHENTICATION_TOKEN_VARIABLE);
        if !something {
            let message = "is empty, and no token is set: no heartbeat could prove itself";
            let help = "name a file with a secret, such as signing_secret_files = [\"secret\"], or set \
                        HEARTBEATD_SIGNING_SECRET";
            judge.fault_of("signing_secret_files", message, help);
        }
        return;
    }
    if let Some(address) = config.open_address() {
        let message = format!("anyone who reaches {address} could start flows");
        let help = "set authentication_enabled = true, listen on 127.0.0.1 only, or insist with \
                    allow_unauthenticated_network = true";
        let place = judge.place("authentication_enabled").unwrap_or(Place::Line(None));
        judge.fault(place, "authentication_enabled", message, help);
    }
}
