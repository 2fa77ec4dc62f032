//! `heartbeatd.toml`, the environment and flow files: text in, validated configuration out, or every fault at once.
//!
//! Each key is defined once, in a table (`keys` for the daemon, `flow_keys` and `pipeline` for flow files), from which reading,
//! messages, suggestions, environment variables and the commented examples follow. Secrets are not read here:
//! the configuration names their files.
//!
//! Architecture invariant: pure. No files: [`crate::setup`] reads them; paths are resolved without looking.

mod agents;
mod alerts;
mod calendar;
mod check;
mod document;
mod example;
mod fault;
mod flow_file;
mod flow_keys;
mod key;
mod keys;
mod kind;
mod pipeline;
mod process_limits;
mod program;
mod reference;
mod size;
mod status;

use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use agents::{Agent, AgentScheme};
pub use alerts::Alerts;
pub use example::{commented_example, flow_example};
pub use fault::{Fault, Faults};
pub use flow_file::{FlowContext, flow_name, parse_flow};
pub use pipeline::pipeline_example;
pub use reference::reference;
pub use size::{format_size, parse_size};
pub use status::Status;

use crate::limits;
use key::{Judge, Place, Presence};
use kind::OWN_PREFIX;

/// The heartbeat port of the default `listen`.
pub const LISTEN_PORT_DEFAULT: u16 = 8787;
/// Names the configuration file; see [`crate::setup::config_path`].
pub const CONFIG_VARIABLE: &str = "HEARTBEATD_CONFIG";
/// Holds signing secrets, beside those of the files.
pub const SIGNING_SECRET_VARIABLE: &str = "HEARTBEATD_SIGNING_SECRET";
/// Holds the static token, beside that of the file.
pub const AUTHENTICATION_TOKEN_VARIABLE: &str = "HEARTBEATD_AUTHENTICATION_TOKEN";

/// The daemon's settings, checked, with every default filled in.
///
/// Paths are absolute when the file's own path was (see [`crate::setup::read_config`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where heartbeats are listened for; at least one, port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The path of the heartbeat.
    pub endpoint_path: String,
    /// Whether heartbeats must be signed or carry the token.
    pub authentication_enabled: bool,
    /// Files with signing secrets.
    pub signing_secret_files: Vec<PathBuf>,
    /// Whether `signing_secret_files` was set. If not, its default file may be missing where the environment or a
    /// token takes its place.
    pub signing_secret_files_given: bool,
    /// How far a signed time may differ from ours, either way.
    pub signature_tolerance: Duration,
    /// The file with the static token, which turns `X-Heartbeat-Token` on.
    pub authentication_token_file: Option<PathBuf>,
    /// Whether callers must be in `whitelisted_ips`.
    pub ip_whitelisting_enabled: bool,
    /// Who may call. IPv4 mapped into IPv6 stands here as IPv4.
    pub whitelisted_ips: Vec<IpNet>,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How often the runtime beats by itself, if it does.
    pub internal_heartbeat: Option<Duration>,
    /// The SQLite database.
    pub database: PathBuf,
    /// The folder of flow files.
    pub flows_dir: PathBuf,
    /// Runs in progress at once.
    pub max_concurrent_runs: usize,
    /// Due flows that one heartbeat claims.
    pub max_claims_per_heartbeat: usize,
    /// What a commit waits for.
    pub durability: Durability,
    /// How long runs may go on after SIGTERM.
    pub shutdown_timeout: Duration,
    /// From TERM to KILL, for flows without their own.
    pub kill_grace: Duration,
    /// Whether an operator insists on listening beyond loopback without authentication.
    pub allow_unauthenticated_network: bool,
    /// Bounds of the heartbeat port.
    pub limits: Limits,
    /// What is kept of runs.
    pub history: History,
    /// Who may look on, and where.
    pub status: Status,
    /// Who is told what.
    pub alerts: Alerts,
    /// Where operators reach the daemon.
    pub control: Control,
    /// What is logged, and how.
    pub log: Log,
    /// Senders beside the one of the top level.
    pub agents: Vec<Agent>,
}

/// Bounds of the heartbeat port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest that `Prefer: wait=N` holds an answer.
    pub wait: Duration,
    /// Connections open at once.
    pub connections: usize,
    /// Connections open at once from one address; at most `connections`.
    pub connections_per_address: usize,
    /// Request line and fields together.
    pub head_bytes: usize,
    /// Fields in one request.
    pub headers: usize,
    /// A request's content.
    pub body_bytes: usize,
    /// From accept to the end of the head.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the content.
    pub body_timeout: Duration,
    /// Between requests on a kept connection.
    pub idle_timeout: Duration,
    /// Wrong credentials per address and minute before 401 becomes 429.
    pub failed_signatures_per_minute: u32,
}

/// What is kept of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Ended runs of each flow.
    pub runs_per_flow: usize,
    /// How long runs are kept at most.
    pub age: Duration,
    /// The database's file and its log.
    pub database_bytes: usize,
    /// The end of each run's output that is kept.
    pub output_bytes: usize,
}

/// Where operators reach the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
    /// Its permissions.
    pub mode: u32,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least severe level that is logged.
    pub level: log::LevelFilter,
    /// How a line is written.
    pub format: LogFormat,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk's sync: an answer survives a power cut.
    Full,
    /// Nothing: an answer survives a crash of the process, and not always a power cut.
    Normal,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the defaults, with relative paths taken from `base`.
    pub fn defaults(base: &Path) -> Self {
        let mut config = Self::blank();
        for key in keys::KEYS {
            let Presence::Default(text) = key.presence else { continue };
            let document = format!("value = {text}");
            let (table, faults) =
                document::read(&document, Path::new("default"), limits::CONFIG_FILE_BYTES_MAX);
            let wrongs =
                table.iter().map(|(_, node)| key.kind.read(node, base, &mut config).len()).sum::<usize>();
            assert!(faults.is_empty() && wrongs == 0, "the default of {} is a right value", key.path);
        }
        config
    }

    /// What the defaults are written into; every field without a default keeps its value.
    fn blank() -> Self {
        Self {
            listen: Vec::new(),
            endpoint_path: String::new(),
            authentication_enabled: true,
            signing_secret_files: Vec::new(),
            signing_secret_files_given: false,
            signature_tolerance: Duration::ZERO,
            authentication_token_file: None,
            ip_whitelisting_enabled: true,
            whitelisted_ips: Vec::new(),
            trusted_proxies: Vec::new(),
            internal_heartbeat: None,
            database: PathBuf::new(),
            flows_dir: PathBuf::new(),
            max_concurrent_runs: 0,
            max_claims_per_heartbeat: 0,
            durability: Durability::Full,
            shutdown_timeout: Duration::ZERO,
            kill_grace: Duration::ZERO,
            allow_unauthenticated_network: false,
            limits: Limits {
                wait: Duration::ZERO,
                connections: 0,
                connections_per_address: 0,
                head_bytes: 0,
                headers: 0,
                body_bytes: 0,
                head_timeout: Duration::ZERO,
                body_timeout: Duration::ZERO,
                idle_timeout: Duration::ZERO,
                failed_signatures_per_minute: 0,
            },
            status: Status::default(),
            alerts: Alerts::blank(),
            control: Control { socket: PathBuf::new(), mode: 0 },
            history: History { runs_per_flow: 0, age: Duration::ZERO, database_bytes: 0, output_bytes: 0 },
            log: Log { level: log::LevelFilter::Info, format: LogFormat::Text },
            agents: Vec::new(),
        }
    }
}

/// Reads the text of `heartbeatd.toml`, and the environment, which overrides it. Of `environment` only names that
/// start with `HEARTBEATD_` are looked at. Relative paths are taken from `file`'s folder.
///
/// # Errors
/// Every fault of both.
pub fn parse(text: &str, file: &Path, environment: &[(String, String)]) -> Result<Config, Faults> {
    let (config, broken, faults) = read(text, file, environment);
    broken.finish(faults, config)
}

/// What of it is right, and the default of all else: to find a daemon that runs with an earlier one.
pub(crate) fn parse_leniently(text: &str, file: &Path, environment: &[(String, String)]) -> Config {
    read(text, file, environment).0
}

fn read(text: &str, file: &Path, environment: &[(String, String)]) -> (Config, Broken, Vec<Fault>) {
    let (document, syntax) = document::read(text, file, limits::CONFIG_FILE_BYTES_MAX);
    let broken = Broken::of(&syntax);
    let mut judge = Judge::new(file, syntax).with_known(agents::paths());
    let mut config = Config::defaults(judge.base);
    judge.read_all(keys::KEYS, &document, &mut config, |name| name == agents::TABLE);
    config.agents = agents::read(&document, &mut judge);
    for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(OWN_PREFIX)) {
        if OTHER_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        match keys::KEYS.iter().find(|key| key.environment_name() == *name) {
            Some(key) => judge.read(key, &key.kind.node_of(value), Place::Environment, &mut config),
            None => judge.faults.push(key::unknown_variable(keys::KEYS, &OTHER_VARIABLES, name)),
        }
    }
    config.status.listen_given = judge.place("status.listen").is_some();
    config.signing_secret_files_given = judge.place("signing_secret_files").is_some();
    if !broken.any() {
        check::check(&config, environment, &mut judge);
    }
    (config, broken, judge.faults)
}

/// Variables with our prefix that override no key.
const OTHER_VARIABLES: [&str; 3] = [CONFIG_VARIABLE, SIGNING_SECRET_VARIABLE, AUTHENTICATION_TOKEN_VARIABLE];

/// The lines whose syntax is wrong. What was guessed of them is not judged again, and what may be missing because
/// of them is not missed.
struct Broken(Vec<Option<usize>>, usize);

impl Broken {
    fn of(syntax: &[Fault]) -> Self {
        Self(syntax.iter().map(|fault| fault.line).collect(), syntax.len())
    }

    fn any(&self) -> bool {
        self.1 > 0
    }

    fn finish<V>(&self, mut faults: Vec<Fault>, value: V) -> Result<V, Faults> {
        let judged = faults.split_off(self.1.min(faults.len()));
        let environment = Path::new(fault::ENVIRONMENT);
        let fresh = |fault: &Fault| fault.file == environment || !self.0.contains(&fault.line);
        faults.extend(judged.into_iter().filter(fresh));
        if faults.is_empty() { Ok(value) } else { Err(Faults::new(faults)) }
    }
}

#[cfg(test)]
mod tests;
