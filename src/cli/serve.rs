//! `serve`: the daemon in the foreground.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::arguments::Serve;
use super::failure::Failure;
use super::logging;
use crate::daemon;
use crate::flow::Kinds;
use crate::setup::Loaded;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(
    loaded: &Loaded,
    environment: &[(String, String)],
    options: &Serve,
    level: Option<log::LevelFilter>,
) -> Result<(), Failure> {
    let log = loaded.config.log;
    logging::start(level.unwrap_or(log.level), log.format);
    if !options.dumpable {
        keep_others_out();
    }
    let mut daemon = daemon::start(loaded, environment, Kinds::default())?;
    for address in daemon.addresses() {
        log::info!(address:% = address, endpoint_path = loaded.config.endpoint_path.as_str(); "listening");
    }
    if let Some(file) = &options.port_file {
        write_ports(file, daemon.addresses())
            .map_err(|error| Failure::io("write the port file", file, &error))?;
    }
    daemon.run()?;
    Ok(())
}

/// Secrets are in memory: no core dump is made, and no other process of this user looks in.
fn keep_others_out() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!("cannot keep other processes from looking into memory: {error}");
    }
}

/// A port a line, in the order of `listen`. By rename: whoever sees the file sees all of it.
fn write_ports(file: &Path, addresses: &[SocketAddr]) -> std::io::Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    let mut written = std::fs::File::create(&temporary)?;
    for address in addresses {
        writeln!(written, "{}", address.port())?;
    }
    drop(written);
    std::fs::rename(&temporary, file)
}
