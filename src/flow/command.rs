//! The `command` kind: an argument list, run as a child process.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{FlowKind, KindFault, Launch, ProcessLimits, RunContext, Work};

/// A command's `PATH` unless its flow sets one.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// The settings of a `command` flow, with every default filled in and every path absolute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Program and arguments; with `shell`, one string.
    pub argv: Vec<String>,
    /// Whether `argv` is one string for `/bin/sh -c`.
    #[serde(default)]
    pub shell: bool,
    /// Where it starts.
    pub working_directory: PathBuf,
    /// Set for the child.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Names taken over from the daemon's own environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherit: Vec<String>,
    /// A file of further variables, read at each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_file: Option<PathBuf>,
    /// Text given to its standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The user that it runs as, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its niceness, from -20 to 19.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// What it may use.
    #[serde(default, skip_serializing_if = "ProcessLimits::is_none")]
    pub limits: ProcessLimits,
}

impl Command {
    /// The program as people know it.
    pub fn program(&self) -> &str {
        self.argv.first().map(String::as_str).unwrap_or_default()
    }

    /// Judges it before any run.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    pub fn check(&self) -> Result<(), &'static str> {
        match self.argv.first() {
            None => Err("argv is empty: it names a program and its arguments"),
            Some(program) if program.is_empty() => Err("argv[0] is empty: it names a program"),
            Some(_) if self.shell && self.argv.len() != 1 => {
                Err("with shell = true argv is one string for /bin/sh -c")
            }
            Some(_) => Ok(()),
        }
    }

    /// What is to be started.
    pub fn launch(&self) -> Launch {
        let Self { working_directory, inherit, environment_file, user, .. } = self.clone();
        let shell: &[&str] = if self.shell { &["/bin/sh", "-c"] } else { &[] };
        let mut environment = self.environment.clone();
        environment.entry("PATH".to_owned()).or_insert_with(|| PATH_DEFAULT.to_owned());
        Launch {
            argv: shell.iter().copied().map(str::to_owned).chain(self.argv.iter().cloned()).collect(),
            working_directory,
            environment: environment.into_iter().collect(),
            inherit,
            environment_file,
            stdin: self.stdin.clone().unwrap_or_default().into_bytes(),
            stdout_max: None,
            user,
            nice: self.nice,
            limits: self.limits,
        }
    }
}

pub(super) struct CommandKind;

impl FlowKind for CommandKind {
    fn name(&self) -> &'static str {
        "command"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        read(settings).map(drop).map_err(KindFault::from)
    }

    fn launch(&self, settings: &serde_json::Value, _run: &RunContext<'_>) -> Result<Work, String> {
        Ok(Work::Process(Box::new(read(settings)?.launch())))
    }
}

fn read(settings: &serde_json::Value) -> Result<Command, String> {
    let command = Command::deserialize(settings).map_err(|error| format!("[command] {error}"))?;
    command.check().map_err(|wrong| format!("[command] {wrong}"))?;
    Ok(command)
}
