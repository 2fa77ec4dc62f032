//! The extension point for flow kinds: one trait, one file for each kind, one registry.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::{FlowName, Pipeline};
use crate::time::Wall;

/// A kind of flow: turns its table of a flow file into work for the shell.
///
/// The `command` kind is [`super::Command`]; an embedding program registers its own with [`Kinds::register`].
pub trait FlowKind: Send + Sync {
    /// The name of its table in a flow file, `a-z 0-9 _`.
    fn name(&self) -> &'static str;

    /// Judges settings as JSON when a flow is loaded, before any run.
    ///
    /// # Errors
    /// What is wrong and what would be right.
    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault>;

    /// What its author should know of settings that are right: what will be slow, for example.
    fn warnings(&self, _settings: &serde_json::Value) -> Vec<String> {
        Vec::new()
    }

    /// Whether a run that the daemon's end interrupted is run again unless its flow says otherwise. Only where doing a
    /// thing a second time does no harm.
    fn reruns_interrupted(&self) -> bool {
        false
    }

    /// What a run of a flow with these settings does.
    ///
    /// # Errors
    /// Why it cannot; the run then ends `failed` with `configuration`.
    fn launch(&self, settings: &serde_json::Value, run: &RunContext<'_>) -> Result<Work, String>;
}

/// What is wrong with the settings of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindFault {
    /// The key below its table, as in `argv`; in a list its number from 1 stands between, as in `transform.2.sql`.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl From<String> for KindFault {
    fn from(message: String) -> Self {
        Self { key: None, message, help: None }
    }
}

/// What a run does.
#[derive(Clone, Debug)]
pub enum Work {
    /// A process, which the shell starts.
    Process(Box<Launch>),
    /// A pipeline, which the runtime steps.
    Pipeline(Box<Pipeline>),
}

/// Which run is to be started.
#[derive(Clone, Copy, Debug)]
pub struct RunContext<'a> {
    /// The flow's name.
    pub flow: &'a FlowName,
    /// The run's id.
    pub run_id: i64,
    /// 1 for the first.
    pub attempt: u32,
    /// When it was due.
    pub scheduled_at: Wall,
}

/// A process to start. The shell adds nothing to it but what is named here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Program and arguments; a program without a slash is looked up in the child's `PATH`.
    pub argv: Vec<String>,
    /// Where it starts.
    pub working_directory: PathBuf,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Names taken over from the daemon's own environment, where they are set there.
    pub inherit: Vec<String>,
    /// A file of further variables (see [`super::parse_environment_file`]), read at each start and never stored; its
    /// variables win over those of the same name.
    pub environment_file: Option<PathBuf>,
    /// Its standard input, all of it, from its first moment on.
    pub stdin: Vec<u8>,
    /// Its standard output is kept apart from the tail that people see, up to so many bytes and one more, which shows that
    /// there is too much; the program is killed then.
    pub stdout_max: Option<usize>,
    /// The user that it runs as, by name or number; none: the daemon's own.
    pub user: Option<String>,
    /// Its niceness (nice(2)), from -20 to 19.
    pub nice: Option<i32>,
    /// What it may use.
    pub limits: ProcessLimits,
}

/// What a process may use; none: as much as the daemon itself may (setrlimit(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessLimits {
    /// Address space, in bytes, of each process.
    #[serde(rename = "memory", default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processes and threads of its user, all of them together; root is exempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// The first descriptor number that is too high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Processor time of each process, in seconds.
    #[serde(rename = "cpu", default, skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<u64>,
}

impl ProcessLimits {
    /// Whether nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The kinds that flow files may use.
#[derive(Clone)]
pub struct Kinds(Vec<Arc<dyn FlowKind>>);

impl Default for Kinds {
    fn default() -> Self {
        Self(vec![Arc::new(super::command::CommandKind)])
    }
}

impl Kinds {
    /// Adds a kind; one of the same name is replaced.
    pub fn register(&mut self, kind: Box<dyn FlowKind>) {
        self.0.retain(|known| known.name() != kind.name());
        self.0.push(Arc::from(kind));
    }

    /// The kind of this name.
    pub fn get(&self, name: &str) -> Option<&dyn FlowKind> {
        self.0.iter().find(|kind| kind.name() == name).map(AsRef::as_ref)
    }

    /// Every kind's name.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|kind| kind.name())
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}
