//! `serve`: the daemon in the foreground.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, configure_capability_in_ambient_set};

use super::Context;
use super::arguments::Serve;
use super::failure::Failure;
use super::{files, logging};
use crate::daemon;
use crate::server::Notifier;
use crate::setup::Loaded;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(context: &Context, options: &Serve) -> Result<(), Failure> {
    let loaded = context.load()?;
    let log = loaded.config.log;
    logging::start(context.level.unwrap_or(log.level), log.format);
    let served = serve(context, &loaded, options);
    served.map_err(|failure| logging::last_words(&failure.with(&context.hints)))
}

fn serve(context: &Context, loaded: &Loaded, options: &Serve) -> Result<(), Failure> {
    let mut daemon = daemon::start(loaded, &context.environment, context.kinds.clone(), context.level)?
        .notifying(Notifier::of_environment());
    keep_low_ports_from_children();
    // Not earlier: it opens what is only root's after this (proc(5)).
    if !options.dumpable {
        keep_others_out();
    }
    for address in daemon.addresses() {
        log::info!(address:% = address, endpoint_path = loaded.config.endpoint_path.as_str(); "listening");
    }
    if let Some(address) = daemon.status_address() {
        log::info!(address:% = address; "listening for those who look on");
    }
    if let Some(file) = &options.port_file {
        // A port a line, in the order of `listen`. Only those: most often there is one, and it is read as a number.
        let ports: String =
            daemon.addresses().iter().map(|address| format!("{}\n", address.port())).collect();
        files::replace(file, &ports).map_err(|error| Failure::io("write the port file", file, &error))?;
    }
    daemon.run()?;
    Ok(())
}

/// What a service manager gives the daemon to listen at a port below 1024 is in its ambient set, which whatever it starts
/// would get as well (capabilities(7)). It listens already; `listen` changes with the next start only.
fn keep_low_ports_from_children() {
    // Another process's, or a kernel before 4.3, has none to lower.
    let _none = configure_capability_in_ambient_set(CapabilitySet::NET_BIND_SERVICE, false);
}

/// Secrets are in memory: no core dump is made, and no other process of this user looks in.
fn keep_others_out() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        log::warn!("cannot keep other processes from looking into memory: {error}");
    }
}
