//! The reading of what an operator prepared: the configuration, flow files and secrets.
//!
//! Owns the files in front of [`crate::config`], which judges their text. Every file is opened so that a FIFO or a
//! device in its place cannot hold the start up, and is read up to its bound.

mod environment_file;
mod files;
mod flows;
mod secrets;
mod users;
mod zones;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

pub use environment_file::read_environment_file;
pub use files::read_private_file;
pub use flows::{BadFlowFile, FlowFiles, flow_text, read_flow, read_flows};
pub use secrets::{check_alert_secret, keyring, secrets_of_file, signing_secrets, token_text};
pub use users::{as_owner, help_of_denial, user_name};
pub use zones::system_zones;

use crate::config::{self, Config, Fault, Faults};
use crate::limits;

/// The configuration of a system-wide installation.
pub const SYSTEM_CONFIG_PATH: &str = "/etc/heartbeatd/heartbeatd.toml";
/// The configuration in the current folder.
const LOCAL_CONFIG_PATH: &str = "heartbeatd.toml";

/// A configuration and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings; every path in them is absolute.
    pub config: Config,
    /// The file, absolute.
    pub path: PathBuf,
    /// Its folder, from which relative paths were taken and where commands start by default.
    pub directory: PathBuf,
}

impl Loaded {
    fn new(config: Config, path: PathBuf) -> Self {
        let directory = path.parent().unwrap_or(Path::new("/")).to_owned();
        Self { config, path, directory }
    }
}

/// The variables of the process's environment that are ours (`HEARTBEATD_*`).
///
/// # Errors
/// Names and values that are not UTF-8.
pub fn environment() -> Result<Vec<(String, String)>, Faults> {
    own_variables(std::env::vars_os())
}

fn own_variables(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, Faults> {
    let mut own = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in variables.filter(|(name, _)| name.to_string_lossy().starts_with("HEARTBEATD_")) {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => own.push((name, value)),
            (Ok(name), Err(_)) => faults.push(not_utf8(Some(name))),
            (Err(_), _) => faults.push(not_utf8(None)),
        }
    }
    if faults.is_empty() { Ok(own) } else { Err(Faults::new(faults)) }
}

fn not_utf8(name: Option<String>) -> Fault {
    let help = "set it again as UTF-8, or unset it";
    match name {
        Some(name) => Fault { key: Some(name), ..Fault::of_environment("its value is not UTF-8", help) },
        None => Fault::of_environment("the name of a HEARTBEATD_ variable is not UTF-8", help),
    }
}

/// Which configuration file is meant: the one given, else the one named by `HEARTBEATD_CONFIG`, else
/// `./heartbeatd.toml`, else [`SYSTEM_CONFIG_PATH`]. The first two need not exist: reading them says so.
///
/// # Errors
/// If none is named and neither of the others exists.
pub fn config_path(given: Option<&Path>, environment: &[(String, String)]) -> Result<PathBuf, Fault> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let named = environment.iter().find(|(name, _)| name == config::CONFIG_VARIABLE);
    if let Some((_, path)) = named.filter(|(_, path)| !path.is_empty()) {
        return Ok(PathBuf::from(path));
    }
    let looked_for = [LOCAL_CONFIG_PATH, SYSTEM_CONFIG_PATH].map(|path| Path::new(path).try_exists());
    match found(&looked_for) {
        Some(path) => Ok(PathBuf::from(path)),
        None => {
            let message = format!("does not exist, nor does {SYSTEM_CONFIG_PATH}");
            let help =
                "run `heartbeatd init` to make one here, or name one with --config FILE or HEARTBEATD_CONFIG";
            Err(Fault::of_file(Path::new(LOCAL_CONFIG_PATH), message, help))
        }
    }
}

/// Which of the two is meant, by whether they exist. What cannot be looked at is taken, so that reading it says why; but
/// in a folder that is closed to this user, as another's is after `sudo -u`, the system's is meant if it is there.
fn found([local, system]: &[io::Result<bool>; 2]) -> Option<&'static str> {
    let is_there = |looked: &io::Result<bool>| *looked.as_ref().unwrap_or(&true);
    let is_closed = local.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    if is_there(local) && !(is_closed && is_there(system)) {
        return Some(LOCAL_CONFIG_PATH);
    }
    is_there(system).then_some(SYSTEM_CONFIG_PATH)
}

/// Reads and judges the configuration. `path` is made absolute first, so that nothing depends on the working
/// directory afterwards; messages name it as it was given.
///
/// # Errors
/// Every fault of the file and of the environment.
pub fn read_config(path: &Path, environment: &[(String, String)]) -> Result<Loaded, Faults> {
    let (text, absolute) = config_text(path)?;
    let config = config::parse(&text, &absolute, environment);
    Ok(Loaded::new(config.map_err(|faults| faults.named(&absolute, path))?, absolute))
}

/// The same of one that may be wrong, as far as it is right: to find the daemon that runs with an earlier one.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn read_config_leniently(path: &Path, environment: &[(String, String)]) -> Result<Loaded, Fault> {
    let (text, absolute) = config_text(path)?;
    Ok(Loaded::new(config::parse_leniently(&text, &absolute, environment), absolute))
}

/// The configuration's text, and its path from the root.
fn config_text(path: &Path) -> Result<(String, PathBuf), Fault> {
    let absolute = absolute(path)?;
    let missing = "run `heartbeatd init` to make one, or name another with --config FILE";
    Ok((files::read_text(path, limits::CONFIG_FILE_BYTES_MAX, missing)?, absolute))
}

/// `path` from the root, without looking whether it exists.
fn absolute(path: &Path) -> Result<PathBuf, Fault> {
    std::path::absolute(path).map_err(|error| {
        let message = format!("cannot be made an absolute path: {error}");
        Fault::of_file(path, message, "name the file by its whole path")
    })
}

/// The name of this machine, as the kernel has it; empty where that cannot be told.
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
