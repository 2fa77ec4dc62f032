//! Puts the parts together: from a configuration to a server that is ready to run. This is what an embedding program
//! calls, too.

mod files;
mod opening;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use crate::auth::{Allowlist, Keyring};
use crate::config::{Config, Durability, Faults, Status};
use crate::flow::{Definition, FlowName, Kinds};
use crate::gate::Gate;
use crate::runtime::{AlertSettings, HistorySettings, Recipient, Runtime, Settings, Watchdog};
use crate::server::{self, Listeners, Notifier, Options, Server, ServerError};
use crate::setup::{self, Loaded};
use crate::status::Viewers;
use crate::store::StoreError;
use crate::time::{Monotonic, Now, Wall};
use files::{OwnFiles, bad_files};
use opening::Opener;

/// A daemon that is ready to serve.
#[derive(Debug)]
pub struct Daemon {
    server: Server,
    addresses: Vec<SocketAddr>,
    status_address: Option<SocketAddr>,
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
    setup::check_alert_secret(config, keyring.agents())?;
    let zones = setup::system_zones();
    let flow_files = setup::read_flows(config, &loaded.directory, &kinds, &zones);
    let now = Now { wall: server::now(), monotonic: Monotonic::since_start(std::time::Duration::ZERO) };
    let files = OwnFiles::new(loaded.clone(), environment.to_vec(), &flow_files, log_level);
    let (bad, bad_flow_files) = bad_files(&flow_files, &config.flows_dir);
    let definitions = flow_files.definitions.into_iter().map(|(_, definition)| definition).collect();
    let new_instance = getrandom_u128()?;
    let alerts = alert_settings(config, &keyring, &loaded.directory);
    let mut opener =
        Opener { config: config.clone(), kinds, alerts, definitions, bad, new_instance, owned: None };
    let store = unless_it_passes(opener.first_store(now))?;
    let mut listeners = Listeners::bind(&config.listen)?;
    listen_to_viewers(&mut listeners, &config.status)?;
    listen_to_operators(&mut listeners, config)?;
    let (addresses, status_address) = (listeners.addresses(), listeners.status_address());
    let opened = store.and_then(|store| opener.runtime(store, now));
    let runtime = match unless_it_passes(opened)? {
        Ok(runtime) => runtime,
        Err(error) => {
            log::error!("{error}; help: {}; until then everybody is told to wait", error.help());
            Runtime::closed(error, settings(config), now)?
        }
    };
    let is_closed = runtime.is_closed();
    let gate = gate(config, keyring);
    let mut server = Server::new(listeners, runtime, gate, options(config))?
        .with_files(Box::new(files), bad_flow_files)
        .with_viewers(viewers(&config.status));
    if is_closed {
        server = server.opening_with(Box::new(move |now| opener.try_again(now)));
    }
    warn_of(config, now.wall);
    Ok(Daemon { server, addresses, status_address })
}

impl Daemon {
    /// The addresses that it listens on for heartbeats, with the ports that were taken.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// With a line to the service manager: for a process that is one service, and this daemon.
    #[must_use]
    pub fn notifying(mut self, notifier: Option<Notifier>) -> Self {
        self.server = self.server.notifying(notifier);
        self
    }

    /// The address for those who look on, if there is one.
    pub const fn status_address(&self) -> Option<SocketAddr> {
        self.status_address
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

fn alert_settings(config: &Config, keyring: &Keyring, directory: &Path) -> AlertSettings {
    let alerts = &config.alerts;
    let to = match (&alerts.url, &alerts.secret_file) {
        (Some(url), Some(secret_file)) => {
            Some(Recipient::Url { url: url.clone(), secret_file: secret_file.clone() })
        }
        _ if alerts.command.is_empty() => None,
        _ => {
            Some(Recipient::Command { argv: alerts.command.clone(), working_directory: directory.to_owned() })
        }
    };
    AlertSettings {
        to,
        after_failures: alerts.after_failures as u64,
        run_longer_than: alerts.run_longer_than,
        no_heartbeat_for: alerts.no_heartbeat_for,
        agents: keyring.names().map(str::to_owned).collect(),
        host: setup::host_name(),
        watchdog: alerts.watchdog_url.clone().map(|url| Watchdog { url, every: alerts.every }),
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

fn viewers(status: &Status) -> Viewers {
    Viewers::new(Allowlist::new(status.whitelisted_ips.clone()), status.hosts.clone())
        .seeing_output(status.output)
        .seeing_badges(status.badges)
}

/// Who looks on is no reason not to start, unless an operator asked for it: several boxes may stand on one machine.
fn listen_to_viewers(listeners: &mut Listeners, status: &Status) -> Result<(), ServerError> {
    let Some(address) = status.listen else { return Ok(()) };
    match listeners.add_status(address) {
        Err(error) if !status.listen_given => {
            log::warn!(
                "no status page and no metrics until the next start: {error}; help: set listen under [status] to another address, or to false"
            );
            Ok(())
        }
        outcome => outcome,
    }
}

/// A failure that passes is no reason not to start: the daemon then serves, and tells everybody to wait.
fn unless_it_passes<T>(opened: Result<T, StoreError>) -> Result<Result<T, StoreError>, StoreError> {
    match opened {
        Err(error) if !error.passes() => Err(error),
        passing => Ok(passing),
    }
}

/// A disk that takes no socket takes no database either; agents are told so all the same.
fn listen_to_operators(listeners: &mut Listeners, config: &Config) -> Result<(), ServerError> {
    use std::io::ErrorKind::{ReadOnlyFilesystem, StorageFull};
    match listeners.add_control(&config.control.socket, config.control.mode) {
        Err(ServerError::Control(path, error))
            if matches!(error.kind(), ReadOnlyFilesystem | StorageFull) =>
        {
            log::error!("no control socket until the next start: {}: {error}", path.display());
            Ok(())
        }
        outcome => outcome,
    }
}

/// Applies the flow files. A bad one costs only its own flow: that keeps its last good definition.
fn follow(
    runtime: &mut Runtime,
    definitions: &[Definition],
    bad: &[Option<FlowName>],
    now: Now,
) -> Result<(), StoreError> {
    let followed = runtime.follow_flow_files(definitions, bad, now)?;
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
