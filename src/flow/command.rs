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

pub(super) struct CommandKind;

impl FlowKind for CommandKind {
    fn name(&self) -> &'static str {
        "command"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        read(settings).map(drop).map_err(KindFault::from)
    }

    fn launch(&self, settings: &serde_json::Value, _run: &RunContext<'_>) -> Result<Work, String> {
        let command = read(settings)?;
        let argv = if command.shell {
            ["/bin/sh", "-c"].map(str::to_owned).into_iter().chain(command.argv).collect()
        } else {
            command.argv
        };
        let mut environment = command.environment;
        environment.entry("PATH".to_owned()).or_insert_with(|| PATH_DEFAULT.to_owned());
        Ok(Work::Process(Box::new(Launch {
            argv,
            working_directory: command.working_directory,
            environment: environment.into_iter().collect(),
            inherit: command.inherit,
            environment_file: command.environment_file,
            stdin: command.stdin.unwrap_or_default().into_bytes(),
            user: command.user,
            nice: command.nice,
            limits: command.limits,
        })))
    }
}

fn read(settings: &serde_json::Value) -> Result<Command, String> {
    let command = Command::deserialize(settings).map_err(|error| format!("[command] {error}"))?;
    match command.argv.first() {
        None => Err("[command] argv is empty: it names a program and its arguments".to_owned()),
        Some(program) if program.is_empty() => {
            Err("[command] argv[0] is empty: it names a program".to_owned())
        }
        Some(_) if command.shell && command.argv.len() != 1 => {
            Err("[command] with shell = true argv is one string for /bin/sh -c".to_owned())
        }
        Some(_) => Ok(command),
    }
}
