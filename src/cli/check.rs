//! `check`: configuration, secrets and flows, judged as `serve` would, with every fault in one go.

use serde::Deserialize;
use serde_json::json;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Context;
use super::arguments::Check;
use super::check_agents::{self, AgentLine};
use super::failure::{Exit, Failure};
use super::init::shown;
use super::output::note;
use crate::auth::Keyring;
use crate::config::{Fault, FlowContext};
use crate::control::fault_json;
use crate::flow::{Command, Definition, Pipeline};
use crate::pipeline::files::SystemFiles;
use crate::pipeline::trial::run_tests;
use crate::server::objection;
use crate::setup::{self, Loaded};
use crate::words::counted;

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    faults: Vec<Fault>,
    warnings: Vec<String>,
    flows: Vec<String>,
    secrets: usize,
    agents: Vec<AgentLine>,
    /// The database that was read, and what is wrong with it.
    database: Option<PathBuf>,
    damage: Vec<String>,
}

/// Judges everything and starts nothing.
pub(super) fn run(context: &Context, check: &Check) -> Result<(), Failure> {
    let mut findings = Findings::default();
    let mut loaded = None;
    match setup::config_path(context.config.as_deref(), &context.environment) {
        Ok(path) => match setup::read_config(&path, &context.environment) {
            Ok(read) => loaded = Some(read),
            Err(faults) => findings.faults.extend(faults),
        },
        // Flow files can be judged without one.
        Err(_) if !check.flow_files.is_empty() => {}
        Err(fault) => findings.faults.push(fault),
    }
    if let Some(loaded) = &loaded {
        findings.judge_secrets(loaded, &context.environment);
    }
    match &loaded {
        Some(loaded) if check.flow_files.is_empty() => {
            findings.judge_folder(context, loaded);
            findings.judge_flows_of_agents(context, loaded);
        }
        loaded => findings.judge_files(context, &check.flow_files, loaded.as_ref())?,
    }
    if let Some(loaded) = loaded.as_ref().filter(|_| check.database) {
        findings.damage = context.open_to_read(loaded)?.damage()?;
        findings.judge_owner(&loaded.config.database);
        findings.database = Some(loaded.config.database.clone());
    }
    findings.tell(context, loaded.as_ref())
}

impl Findings {
    fn judge_secrets(&mut self, loaded: &Loaded, environment: &[(String, String)]) {
        let (config, now) = (&loaded.config, crate::server::now());
        let keyring = setup::keyring(config, environment);
        let agents = keyring.as_ref().map_or(&[][..], Keyring::agents);
        if let Err(faults) = setup::check_alert_secret(config, agents) {
            self.faults.extend(faults);
        }
        let keyring = match keyring {
            Ok(keyring) => keyring,
            Err(faults) => return self.faults.extend(faults),
        };
        self.secrets = setup::signing_secrets(config, environment).map_or(0, |secrets| secrets.len());
        if config.authentication_enabled {
            self.warnings.extend(check_agents::warnings(&keyring, now));
            self.agents = check_agents::lines(&keyring, now);
        } else if !config.agents.is_empty() {
            self.warnings.push("authentication is off: what [[agents]] says is not looked at".to_owned());
        }
        if !config.authentication_enabled {
            self.warnings
                .push("authentication is off: whoever reaches the port can start the flows".to_owned());
        }
        if !now.is_set() {
            self.warnings.push(format!("this box's clock says {now}: it has not been set"));
        }
    }

    /// Root may read what the daemon may not, such as a copy that root put there.
    fn judge_owner(&mut self, database: &Path) {
        let owner = |path: &Path| Some(path.metadata().ok()?.uid());
        if owner(database) != database.parent().and_then(owner) {
            let database = database.display();
            let what = "is another user's than its folder: the daemon's user must be able to open it (chown)";
            self.warnings.push(format!("{database} {what}"));
        }
    }

    fn judge_folder(&mut self, context: &Context, loaded: &Loaded) {
        let flows = context.read_flows(loaded);
        for (file, flow) in &flows.definitions {
            self.judge_flow(context, file, flow);
        }
        self.faults.extend(flows.faults.into_iter().flat_map(|bad| bad.faults));
    }

    /// An agent may name a flow that is yet to come, so an unknown name is no fault.
    fn judge_flows_of_agents(&mut self, context: &Context, loaded: &Loaded) {
        let mut known = None;
        for agent in &loaded.config.agents {
            for name in
                agent.flows.iter().flatten().filter(|name| !self.flows.iter().any(|it| it == name.as_str()))
            {
                let known = known.get_or_insert_with(|| check_agents::stored_flows(context, loaded));
                if !known.iter().any(|it| it == name.as_str()) {
                    self.warnings.push(format!("agent {}: there is no flow `{name}`", agent.name));
                }
            }
        }
    }

    /// What goes beyond a definition that is right: what will be slow, and what its author's tests say.
    fn judge_flow(&mut self, context: &Context, file: &Path, flow: &Definition) {
        self.flows.push(flow.name.to_string());
        let name = shown(file).display();
        let settings = &flow.configuration.settings;
        let warnings = context
            .kinds
            .get(&flow.configuration.kind)
            .map(|kind| kind.warnings(settings))
            .unwrap_or_default();
        self.warnings.extend(warnings.into_iter().map(|warning| format!("{name}: {warning}")));
        // Here and now: it may be yet to come, or be on the daemon's path alone.
        let launch = Command::deserialize(settings).ok().map(|command| command.launch());
        if let Some(why) = launch.as_ref().and_then(objection) {
            self.warnings.push(format!("{name}: [command] {why}"));
        }
        let Ok(pipeline) = Pipeline::deserialize(settings) else { return };
        let of_source = pipeline.source.private_files().map(|private| ("source", private));
        let of_sink = pipeline.sink.private_files().map(|private| ("sink", private));
        for (table, private) in of_source.chain(of_sink) {
            // It may be yet to come, or be another user's to read.
            if let Err(fault) = setup::read_private_file(private) {
                self.warnings.push(format!("{name}: [{table}] {fault}"));
            }
        }
        for (number, difference) in run_tests(&pipeline, &SystemFiles::default()) {
            let help = "correct the flow, or what the test expects";
            let fault = Fault::of_file(file, difference, help);
            self.faults.push(Fault { key: Some(format!("test[{number}]")), ..fault });
        }
    }

    fn judge_files(
        &mut self,
        context: &Context,
        files: &[PathBuf],
        loaded: Option<&Loaded>,
    ) -> Result<(), Failure> {
        let here = std::env::current_dir().map_err(|error| Failure::io("find", Path::new("."), &error))?;
        let zones = setup::system_zones();
        let working_directory = loaded.map_or(here.as_path(), |loaded| loaded.directory.as_path());
        let flows = FlowContext { kinds: &context.kinds, zones: &zones, working_directory };
        for file in files {
            match setup::read_flow(file, &flows) {
                Ok(flow) => self.judge_flow(context, file, &flow),
                Err(faults) => self.faults.extend(faults),
            }
        }
        Ok(())
    }

    fn tell(self, context: &Context, loaded: Option<&Loaded>) -> Result<(), Failure> {
        let output = &context.output;
        if output.json {
            output.value(&self.json(loaded))?;
        }
        for warning in self.warnings.iter().filter(|_| !output.json) {
            note(&format!("warning: {warning}"));
        }
        if !self.faults.is_empty() {
            let named = |fault: Fault| Fault { file: shown(&fault.file).to_owned(), ..fault };
            return Err(Failure::of_faults(self.faults.into_iter().map(named)));
        }
        if let (Some(path), Some(first)) = (&self.database, self.damage.first()) {
            let error = format!("{} is damaged: {first} ({} findings)", path.display(), self.damage.len());
            let help =
                "restore a backup, or save what is left with `sqlite3 FILE .recover`; nothing was changed";
            return Err(Failure::new(Exit::Io, error, help));
        }
        if output.json || output.quiet {
            return Ok(());
        }
        if let Some(loaded) = loaded {
            let listen: Vec<String> = loaded.config.listen.iter().map(ToString::to_string).collect();
            let secrets = counted(self.secrets, "secret");
            let path = shown(&loaded.path).display();
            output.line(format!("{path} is right: listens on {}, {secrets}", listen.join(", ")))?;
        }
        self.agents
            .iter()
            .filter(|agent| agent.is_worth_a_line())
            .try_for_each(|agent| output.line(agent.text()))?;
        if let Some(path) = &self.database {
            output.line(format!("{} is whole", path.display()))?;
        }
        let names =
            if self.flows.is_empty() { String::new() } else { format!(": {}", self.flows.join(", ")) };
        output.line(format!("{} right{names}", counted_are(self.flows.len(), "flow")))
    }

    fn json(&self, loaded: Option<&Loaded>) -> serde_json::Value {
        let faults: Vec<_> = self.faults.iter().map(fault_json).collect();
        json!({
            "ok": self.faults.is_empty() && self.damage.is_empty(),
            "configuration": loaded.map(|loaded| loaded.path.to_string_lossy()),
            "secrets": self.secrets,
            "agents": self.agents,
            "flows": self.flows,
            "warnings": self.warnings,
            "faults": faults,
            "damage": self.damage,
        })
    }
}

fn counted_are(count: usize, noun: &str) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", counted(count, noun))
}
