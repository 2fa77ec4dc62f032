//! `flow` and what follows it.

use clap::{Args, Subcommand, ValueHint};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Flow {
    /// Write a commented flow file into the flows folder
    #[command(after_help = "\
Examples:
  heartbeatd flow new upload-readings
  heartbeatd flow new UploadReadings                  flows/upload_readings.toml
  heartbeatd flow new readings --kind pipeline        from a source through SQL to a sink
  heartbeatd flow new readings --into drafts

Never over a file that is there, unless --force, and never beside another flow of that name.")]
    New(FlowNew),
    /// Store flows in the database; their files are not needed afterwards
    #[command(after_help = "\
Examples:
  heartbeatd flow add /media/usb/*.toml

A file in the flows folder is applied by itself when the daemon starts or reloads.")]
    Add(FlowAdd),
    /// List the flows that the daemon knows, each with its last and next run
    #[command(after_help = "\
Examples:
  heartbeatd flow list
  heartbeatd --json flow list | jq -r 'select(.enabled).name'")]
    List,
    /// Show a flow with its definition and last run
    #[command(after_help = "\
Examples:
  heartbeatd flow show upload-readings")]
    Show(FlowShow),
    /// Lift a hold: the flow runs again when it is due
    #[command(after_help = "\
Examples:
  heartbeatd flow enable upload-readings")]
    Enable(FlowName),
    /// Hold a flow until `flow enable`, over reloads and restarts; a run in progress finishes
    #[command(after_help = "\
Examples:
  heartbeatd flow disable upload-readings")]
    Disable(FlowName),
    /// Delete a flow with its runs
    #[command(after_help = "\
Examples:
  heartbeatd flow remove upload-readings

Refused while a run of it is open, and while its file is in the flows folder.")]
    Remove(FlowName),
    /// Run a flow now, due or not
    #[command(after_help = "\
Examples:
  heartbeatd flow run upload-readings
  heartbeatd flow run upload-readings --wait          show its output as it comes
  mv dead-letter/readings.jsonl rejected.jsonl
  heartbeatd flow run readings --wait --from rejected.jsonl

Exit codes: with --wait 1 if the run failed, 69 if no daemon serves")]
    Run(FlowRun),
    /// Show where a pipeline's source got to, or set it while no run is open
    #[command(after_help = "\
Examples:
  heartbeatd flow cursor readings
  heartbeatd flow cursor readings --reset             the next run reads everything again
  heartbeatd flow cursor readings --set '{\"value\":17,\"tie\":17}'")]
    Cursor(FlowCursor),
    /// Try a pipeline on real input: show what would be written, write nothing, move no cursor
    #[command(after_help = "\
Examples:
  heartbeatd flow test readings
  heartbeatd --json flow test readings --limit 1000

Exit codes: 1 a run would fail")]
    Test(FlowTest),
}

#[derive(Args, Debug)]
pub(in crate::cli) struct FlowCursor {
    /// The flow's name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// Forget it: the next run begins where a new flow does
    #[arg(long, conflicts_with = "set")]
    pub(in crate::cli) reset: bool,
    /// Set it to this JSON; files of the sink and of dead letters are then accepted as they are
    #[arg(long, value_name = "JSON")]
    pub(in crate::cli) set: Option<String>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct FlowTest {
    /// The flow's name
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// Records to read at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(in crate::cli) limit: usize,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FlowName {
    /// Its name
    pub(in crate::cli) name: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FlowRun {
    /// Its name
    pub(in crate::cli) name: String,
    /// Wait for its end, and show its output as it comes
    #[arg(long)]
    pub(in crate::cli) wait: bool,
    /// Feed rejected records back: take those of this file in place of the source, each once
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FlowNew {
    /// Its name: a-z 0-9 _ -
    #[arg(id = "new-name", value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// What it does
    #[arg(long, default_value = "command", value_parser = ["command", "pipeline"])]
    pub(in crate::cli) kind: String,
    /// Write it into this folder in place of the flows folder; no configuration is needed
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) into: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FlowAdd {
    /// Flow files outside the flows folder
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FlowShow {
    /// Its name
    pub(in crate::cli) name: String,
}
