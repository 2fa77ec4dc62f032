//! What the operator prepared, read at the start and at each reload, and what of it is in force.

use log::LevelFilter;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{alert_settings, gate, options, settings, viewers};
use crate::config::{Config, Fault, Faults};
use crate::flow::{FlowName, Kinds};
use crate::limits;
use crate::runtime::Reload;
use crate::server::{Files, Fresh};
use crate::setup::{self, FlowFiles, Loaded};
use crate::sorted::collected;

/// The files of a daemon. It has no `Debug`: the environment may hold secrets.
pub(super) struct OwnFiles {
    environment: Vec<(String, String)>,
    /// What is in force.
    loaded: Loaded,
    flow_files: BTreeMap<FlowName, PathBuf>,
    /// What was read last and is not in force yet.
    candidate: Option<(Loaded, BTreeMap<FlowName, PathBuf>)>,
    /// The level that is fixed for the life of the process, by the command line.
    log_level: Option<LevelFilter>,
}

impl OwnFiles {
    pub(super) fn new(
        loaded: Loaded,
        environment: Vec<(String, String)>,
        flow_files: &FlowFiles,
        log_level: Option<LevelFilter>,
    ) -> Self {
        Self { environment, loaded, flow_files: by_name(flow_files), candidate: None, log_level }
    }
}

impl Files for OwnFiles {
    fn directory(&self) -> &Path {
        &self.loaded.directory
    }

    fn flow_file(&self, flow: &str) -> Option<PathBuf> {
        let name = FlowName::new(flow).ok()?;
        // What cannot be looked at is taken to be there.
        self.flow_files.get(&name).filter(|path| path.try_exists().unwrap_or(true)).cloned()
    }

    fn read(&mut self, kinds: &Kinds) -> Result<(Reload, Fresh), Faults> {
        let Loaded { mut config, path, directory } =
            setup::read_config(&self.loaded.path, &self.environment)?;
        let until_restart = keep_until_restart(&mut config, &self.loaded.config);
        if let Some(address) = config.open_address() {
            let message = format!(
                "authentication_enabled = false: anyone who reaches {address} could start flows, as listen keeps its value \
                 until the next start"
            );
            return Err(Fault::of_file(&path, message, "restart the daemon for both to change").into());
        }
        let keyring = setup::keyring(&config, &self.environment)?;
        setup::check_alert_secret(&config, keyring.agents())?;
        let flow_files = setup::read_flows(&config, &directory, kinds, &setup::system_zones());
        let named = by_name(&flow_files);
        let (bad, bad_flow_files) = bad_files(&flow_files, &config.flows_dir);
        let definitions = flow_files.definitions.into_iter().map(|(_, definition)| definition).collect();
        let alerts = Box::new(alert_settings(&config, &keyring, &directory));
        let reload = Reload { settings: settings(&config), alerts, definitions, bad };
        let fresh = Fresh {
            gate: gate(&config, keyring),
            viewers: viewers(&config.status),
            options: options(&config),
            log_level: Some(self.log_level.unwrap_or(config.log.level)),
            until_restart,
            bad_flow_files,
        };
        self.candidate = Some((Loaded { config, path, directory }, named));
        Ok((reload, fresh))
    }

    fn adopt(&mut self) {
        if let Some((loaded, flow_files)) = self.candidate.take() {
            (self.loaded, self.flow_files) = (loaded, flow_files);
        }
    }
}

fn by_name(files: &FlowFiles) -> BTreeMap<FlowName, PathBuf> {
    let good = files.definitions.iter().map(|(path, definition)| (definition.name.clone(), path.clone()));
    let bad = files.faults.iter().filter_map(|bad| Some((bad.flow.clone()?, bad.file.clone())));
    collected(good.chain(bad))
}

/// Puts back what cannot change while the daemon runs; the keys that would have.
fn keep_until_restart(config: &mut Config, in_force: &Config) -> Vec<&'static str> {
    let mut keys = Vec::new();
    let mut keep = |key, differs: bool| {
        if differs {
            keys.push(key);
        }
    };
    keep("listen", config.listen != in_force.listen);
    keep("database", config.database != in_force.database);
    keep("durability", config.durability != in_force.durability);
    keep("status.listen", config.status.listen != in_force.status.listen);
    keep("control.socket", config.control.socket != in_force.control.socket);
    keep("control.mode", config.control.mode != in_force.control.mode);
    keep("log.format", config.log.format != in_force.log.format);
    config.listen.clone_from(&in_force.listen);
    config.database.clone_from(&in_force.database);
    config.durability = in_force.durability;
    config.status.listen = in_force.status.listen;
    config.control.clone_from(&in_force.control);
    config.log.format = in_force.log.format;
    keys
}

/// The flows whose file is bad, and what is wrong, as many faults as a list has; logged as well.
pub(super) fn bad_files(files: &FlowFiles, folder: &Path) -> (Vec<Option<FlowName>>, Vec<Fault>) {
    let mut told = Vec::new();
    for bad in &files.faults {
        let what = match bad.file == folder {
            true => "the flows folder cannot be read, all flows go on as they are",
            false => "bad flow file, its flow goes on with the last good definition",
        };
        for fault in bad.faults.iter() {
            log::error!("{what}: {fault}; {}", fault.help_line());
            if told.len() < limits::LIST_MAX {
                told.push(fault.clone());
            }
        }
    }
    (files.faults.iter().map(|bad| bad.flow.clone()).collect(), told)
}
