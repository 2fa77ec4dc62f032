//! The flows of a box whose power is cut: commands, and a pipeline into each sort of sink that takes a record exactly once.

use std::path::{Path, PathBuf};

use heartbeat_runtime::flow::{
    Calendar, Command, Configuration, Definition, FlowName, Leftovers, Pipeline, Retry, Schedule,
};
use serde_json::{Value, json};

/// A pipeline, and where its records go.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) flow: &'static str,
    /// None: into a file on the simulated disk.
    pub(crate) database: Option<PathBuf>,
}

impl Line {
    pub(crate) fn source(&self) -> PathBuf {
        self.folder("source").join("in.jsonl")
    }

    /// A folder of this pipeline's on the simulated disk.
    pub(crate) fn folder(&self, what: &str) -> PathBuf {
        Path::new("/data").join(self.flow).join(what)
    }

    fn settings(&self) -> Value {
        let sink = match &self.database {
            Some(database) => json!({ "type": "sqlite", "database": database, "table": "t", "create": true }),
            None => json!({
                "type": "file", "path": self.folder("sink").join("out"), "format": "jsonl",
                "rotate": { "size_bytes": 400, "keep": 100_000 },
            }),
        };
        json!({
            "source": { "type": "file", "path": self.source(), "format": "jsonl" },
            "fields": { "n": { "type": "integer", "required": true } },
            "sink": sink,
            "on_reject": self.folder("dead").join("letters.jsonl"),
            "batch": { "records": 3 },
        })
    }
}

/// The pipelines of a box in this folder. The last writes to a database that others have made, with a journal that SQLite
/// deletes.
pub(crate) fn lines(folder: &Path) -> Vec<Line> {
    vec![
        Line { flow: "to-file", database: None },
        Line { flow: "to-table", database: Some(folder.join("ours.db")) },
        Line { flow: "to-journal", database: Some(folder.join("others.db")) },
    ]
}

pub(crate) fn definitions(folder: &Path) -> Vec<Definition> {
    let command = Command {
        argv: vec!["/virtual".to_owned()],
        working_directory: PathBuf::from("/"),
        ..Command::default()
    };
    let command = serde_json::to_value(command).expect("a JSON form");
    let commands = ["good", "bad"].map(|name| definition(name, "command", command.clone()));
    let pipelines =
        lines(folder).into_iter().map(|line| definition(line.flow, Pipeline::KIND, line.settings()));
    commands.into_iter().chain(pipelines).collect()
}

fn definition(name: &str, kind: &str, settings: Value) -> Definition {
    Definition {
        name: FlowName::new(name).expect("a name"),
        description: None,
        enabled: true,
        run_interval_s: 2,
        configuration: Configuration {
            schedule: Schedule::FixedRate,
            calendar: Calendar::default(),
            timeout_ms: 600_000,
            kill_grace_ms: None,
            leftovers: Leftovers::End,
            retry: Retry { attempts: 2, backoff_ms: 500, backoff_cap_ms: 500 },
            rerun_interrupted: None,
            kind: kind.to_owned(),
            settings,
        },
    }
}
