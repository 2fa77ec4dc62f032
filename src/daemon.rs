//! Puts the parts together: from a configuration to a server that is ready to run. This is what an embedding program
//! calls, too.

mod files;

use std::fmt;
use std::hash::RandomState;
use std::net::SocketAddr;

use crate::auth::{Allowlist, Keyring};
use crate::config::{Config, Durability, Faults};
use crate::flow::{Definition, FlowName, Kinds};
use crate::gate::Gate;
use crate::runtime::{HistorySettings, Runtime, Settings};
use crate::server::{self, Listeners, Options, Server, ServerError};
use crate::setup::{self, FlowFiles, Loaded};
use crate::store::{Store, StoreError};
use crate::time::{Monotonic, Now, Wall};
use files::{OwnFiles, bad_files};

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Daemon {
    server: Server,
    addresses: Vec<SocketAddr>,
}

/// Why the daemon does not start.
#[derive(Debug)]
pub enum StartError {
    /// Settings, secrets.
    Faults(Faults),
    /// The database.
    Store(StoreError),
    /// An address, or the system.
    Server(ServerError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => faults.iter().try_for_each(|fault| writeln!(f, "{fault}")),
            Self::Store(error) => error.fmt(f),
            Self::Server(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Faults> for StartError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ServerError> for StartError {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}

/// Opens everything that a daemon needs, in the order in which the least is touched before a refusal: secrets, the
/// database's lock, the addresses, the control socket, then the runs that an earlier daemon left. `log_level` is one
/// that no reload changes.
///
/// # Errors
/// What is wrong; nothing of the daemon is left then.
pub fn start(
    loaded: &Loaded,
    environment: &[(String, String)],
    kinds: Kinds,
    log_level: Option<log::LevelFilter>,
) -> Result<Daemon, StartError> {
    server::keep_descriptors_from_children();
    let config = &loaded.config;
    let keyring = setup::keyring(config, environment)?;
    let zones = setup::system_zones();
    let flow_files = setup::read_flows(config, &loaded.directory, &kinds, &zones);
    let random = getrandom_u128()?;
    let now = Now { wall: server::now(), monotonic: Monotonic::since_start(std::time::Duration::ZERO) };
    let store = Store::open(&config.database, config.durability, random, now.wall)?;
    let mut listeners = Listeners::bind(&config.listen)?;
    listeners.add_control(&config.control.socket, config.control.mode)?;
    let addresses = listeners.addresses();
    let left = server::LeftBehind::read(store.path(), &store.instance()?);
    let never_spawned = |run| left.was_never_spawned(run);
    let mut runtime =
        Runtime::open(store, settings(config), kinds, zones, RandomState::new(), &never_spawned, now)?;
    let files = OwnFiles::new(loaded.clone(), environment.to_vec(), &flow_files, log_level);
    let (bad, bad_flow_files) = bad_files(&flow_files, &config.flows_dir);
    follow(&mut runtime, flow_files, &bad, now)?;
    let gate = gate(config, keyring);
    let server =
        Server::new(listeners, runtime, gate, options(config))?.with_files(Box::new(files), bad_flow_files);
    warn_of(config, now.wall);
    Ok(Daemon { server, addresses })
}

impl Daemon {
    /// The addresses that it listens on, with the ports that were taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until it is told to end.
    ///
    /// # Errors
    /// See [`Server::run`].
    pub fn run(&mut self) -> Result<(), ServerError> {
        self.server.run()
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        max_concurrent_runs: config.max_concurrent_runs,
        max_claims_per_heartbeat: config.max_claims_per_heartbeat,
        kill_grace: config.kill_grace,
        shutdown_timeout: config.shutdown_timeout,
        wait_max: config.limits.wait,
        waiters_max: config.limits.connections / 2,
        internal_heartbeat: config.internal_heartbeat,
        history: HistorySettings {
            runs_per_flow: config.history.runs_per_flow,
            age: config.history.age,
            database_bytes: config.history.database_bytes as u64,
        },
    }
}

fn options(config: &Config) -> Options {
    Options {
        limits: config.limits,
        output_bytes: config.history.output_bytes,
        kill_grace: config.kill_grace,
        use_pidfd: true,
    }
}

fn gate(config: &Config, keyring: Keyring) -> Gate {
    Gate::new(
        config.endpoint_path.clone(),
        keyring,
        config.ip_whitelisting_enabled.then(|| Allowlist::new(config.whitelisted_ips.clone())),
        Allowlist::new(config.trusted_proxies.clone()),
        config.limits.failed_signatures_per_minute,
    )
}

/// Applies the flow files. A bad one costs only its own flow: that keeps its last good definition.
fn follow(
    runtime: &mut Runtime,
    files: FlowFiles,
    bad: &[Option<FlowName>],
    now: Now,
) -> Result<(), StoreError> {
    let definitions: Vec<Definition> =
        files.definitions.into_iter().map(|(_, definition)| definition).collect();
    let followed = runtime.follow_flow_files(&definitions, bad, now)?;
    log::info!(
        flows = definitions.len(), created = followed.created, updated = followed.updated,
        disabled = followed.disabled.len(), bad_files = bad.len();
        "flow files applied"
    );
    Ok(())
}

fn warn_of(config: &Config, now: Wall) {
    if !now.is_set() {
        log::warn!(now:% = now; "the clock is not set: signed heartbeats get 503 clock_not_set until it is");
    }
    if config.durability == Durability::Normal {
        log::warn!("durability = \"normal\": an answer may not survive a power cut");
    }
    if !config.authentication_enabled {
        log::warn!("authentication_enabled = false: whoever reaches the port starts the flows");
    }
}

fn getrandom_u128() -> Result<u128, StartError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        ServerError::System("read random bytes", std::io::Error::other(error.to_string()))
    })?;
    Ok(u128::from_ne_bytes(bytes))
}
