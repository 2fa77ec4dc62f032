//! The command line as clap reads it: each command, flag and example is defined here and nowhere else.

mod flow;

use clap::builder::ValueParser;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use flow::*;

use crate::flow::Status;
use crate::time::parse_duration;

/// The heading of what every command takes.
const OF_ALL: &str = "Options of every command";

/// Runs due data flows when a signed heartbeat says so, each exactly once, and keeps every run on record.
#[derive(Debug, Parser)]
#[command(name = "heartbeatd", version, propagate_version = true, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  heartbeatd demo                                     see all of it work, in an empty folder
  heartbeatd init box                                 make a configuration, a secret and a flow
  heartbeatd --config box/heartbeatd.toml serve       run the daemon
  heartbeatd --config box/heartbeatd.toml beat        send it a signed heartbeat

Exit codes:
  0 done, 1 failed, 2 wrong usage, 65 bad input data, 69 nothing reached, 74 I/O error,
  75 try again, 77 refused, 78 configuration error")]
pub(super) struct Arguments {
    /// The configuration; else HEARTBEATD_CONFIG, ./heartbeatd.toml, /etc/heartbeatd/heartbeatd.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = OF_ALL)]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON value a line, for programs
    #[arg(long, global = true, help_heading = OF_ALL)]
    pub(super) json: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = OF_ALL)]
    pub(super) verbose: bool,
    /// Say only what matters
    #[arg(short, long, global = true, help_heading = OF_ALL)]
    pub(super) quiet: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show all of it work: real signed heartbeats, runs, a replay, a forgery; ends by itself
    #[command(after_help = "\
Examples:
  heartbeatd demo
  heartbeatd demo --dir /tmp/box --keep               go on serving, to try things by hand")]
    Demo(Demo),
    /// Make a configuration, a secret, a database and an example flow
    #[command(after_help = "\
Examples:
  heartbeatd init                                     in the current folder
  heartbeatd init box --listen 0.0.0.0:8787
  heartbeatd init box --systemd                       with a unit that runs it

It can be run again: what is there is kept. --force writes configuration and example anew,
never a secret or a database.")]
    Init(Init),
    /// Judge the configuration, secrets and flows, without starting; every fault in one go
    #[command(after_help = "\
Examples:
  heartbeatd check
  heartbeatd check flows/upload-readings.toml         this file in place of the folder's
  heartbeatd check --database                         read all of the database as well

Exit codes: 0 all is right, 74 the database is damaged, 78 something is wrong")]
    Check(Check),
    /// Run the daemon in the foreground; it logs to standard error
    #[command(after_help = "\
Examples:
  heartbeatd serve
  heartbeatd serve --port-file /run/heartbeatd/port   with listen = [\"127.0.0.1:0\"]")]
    Serve(Serve),
    /// Send signed heartbeats and print the answer
    #[command(after_help = "\
Examples:
  heartbeatd beat                                     to the daemon of the configuration
  heartbeatd beat --wait 30s                          wait for the runs to end
  heartbeatd beat --every 1m                          until interrupted
  heartbeatd beat --every 500ms --count 3
  heartbeatd beat --url http://box:8787/data_flows/heartbeat --secret-file secret

With --url and --secret-file no configuration is needed. Durations: 500ms, 30s, 5m, 1h30m.
Exit codes: 69 nothing reached, 75 try again (503), 77 refused (401, 403, 429)")]
    Beat(Beat),
    /// Print the three headers that sign a body
    #[command(after_help = "\
Examples:
  heartbeatd sign                                     for an empty body
  heartbeatd sign --body body.json
  echo -n '{}' | heartbeatd sign --body - --secret-file secret

With --secret-file no configuration is needed.")]
    Sign(Sign),
    /// Say offline which check a captured request fails
    #[command(after_help = "\
Examples:
  heartbeatd verify request.txt                       a raw HTTP request, CRLF line ends as sent
  heartbeatd verify - < request.txt
  heartbeatd verify --secret-file secret request.txt   of a box that is not at hand

Exit codes: 0 it would be accepted, 65 not an HTTP request, 77 it would be refused")]
    Verify(Verify),
    /// Make, store and show data flows
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Flow(Flow),
    /// Show what the daemon does, or what is on record if none runs
    #[command(after_help = "\
Examples:
  heartbeatd status
  heartbeatd --json status | jq .runs.in_progress
  heartbeatd --quiet status --ready                   for a probe

Exit codes with --ready: 69 no daemon answers, 75 it cannot record a run")]
    Status {
        /// Fail unless heartbeats are taken now, as /readyz tells it
        #[arg(long)]
        ready: bool,
    },
    /// Tell the daemon to read configuration, secrets and flow files anew; runs go on
    #[command(after_help = "\
Examples:
  heartbeatd reload
  kill -HUP PID                                       the same, told in the log only

If anything of configuration or secrets is wrong, everything stays as it was.
Exit codes: 69 no daemon, 78 configuration error")]
    Reload,
    /// Show and cancel what runs and ran
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Runs(Runs),
    /// Write a consistent copy of the database, also while the daemon runs
    #[command(after_help = "\
Examples:
  heartbeatd backup /mnt/stick/heartbeat.db           replaces an older copy by a whole one

To restore: stop the daemon, remove heartbeat.db-wal and heartbeat.db-shm, copy the file over heartbeat.db, start.")]
    Backup(Backup),
    /// Take over data flows and their history from another program; the daemon is stopped meanwhile
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Import(Import),
    /// Print what makes a shell complete commands, flags, files, flows and runs
    #[command(after_help = "\
Examples:
  heartbeatd completions bash > ~/.local/share/bash-completion/completions/heartbeatd
  heartbeatd completions zsh > \"${fpath[1]}/_heartbeatd\"
  heartbeatd completions fish > ~/.config/fish/completions/heartbeatd.fish
  eval \"$(heartbeatd completions bash)\"               for this shell only")]
    Completions(Completions),
    /// Print the manual page, heartbeatd(1)
    #[command(after_help = "\
Examples:
  heartbeatd man | man -l -                           read it
  heartbeatd man > /usr/local/share/man/man1/heartbeatd.1")]
    Man,
    /// Tell a shell what may come next; what `completions` prints asks for it
    #[command(
        hide = true,
        after_help = "\
Examples:
  heartbeatd complete -- heartbeatd flow sh           lines of candidate, tab, what it is"
    )]
    Complete(Complete),
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish"])]
    pub(super) shell: String,
}

#[derive(Debug, Args)]
pub(super) struct Complete {
    /// The command line as it is so far; its last word is the one to complete
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) words: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Where to write it
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// From the SQLite database of the Rails engine: tables data_flows and data_flow_runs
    #[command(after_help = "\
Examples:
  heartbeatd import rails app.sqlite3 --dry-run
  heartbeatd import rails app.sqlite3 --working-directory /srv/app
  heartbeatd import rails app.sqlite3 --command 'bin/rails runner {class_name}.new.run'

Each flow becomes a command that calls the application: unless --command says otherwise, bin/rails
runner makes its class, with its configuration, and calls run. {class_name}, {name} and {id} stand
for what it has there, and its configuration is in DATA_FLOW_CONFIGURATION.
Ids, statuses and times stay. What is here already stays as it is, so it can be done again.
Exit codes: 1 some rows did not fit, and each is named; 65 not a database of the engine; 75 a daemon runs")]
    Rails(ImportRails),
}

#[derive(Debug, Args)]
pub(super) struct ImportRails {
    /// The database; it is only read
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// The command line, for sh, that runs a flow
    #[arg(long, value_name = "COMMAND")]
    pub(super) command: Option<String>,
    /// Where that is run; by default the configuration's folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) working_directory: Option<PathBuf>,
    /// Show what would come over, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// An empty or missing folder for it; kept afterwards
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) dir: Option<PathBuf>,
    /// Go on serving until interrupted
    #[arg(long)]
    pub(super) keep: bool,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// Where; made if missing
    #[arg(default_value = ".", hide_default_value = true, value_hint = ValueHint::DirPath)]
    pub(super) dir: PathBuf,
    /// The address for heartbeats; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<SocketAddr>,
    /// Write a unit for systemd as well, which runs the daemon here
    #[arg(long)]
    pub(super) systemd: bool,
    /// Write configuration and example anew
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Judge these in place of the flows folder
    #[arg(value_name = "FLOW_FILE")]
    pub(super) flow_files: Vec<PathBuf>,
    /// Read all of the database, and tell whether it is whole
    #[arg(long)]
    pub(super) database: bool,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to write the ports for heartbeats that are listened on, a line each
    #[arg(long, value_name = "FILE")]
    pub(super) port_file: Option<PathBuf>,
    /// Let core dumps be made and other processes of this user look in: for measuring
    #[arg(long)]
    pub(super) dumpable: bool,
}

#[derive(Debug, Args)]
pub(super) struct Beat {
    /// The heartbeat's address; by default that of the configuration
    #[arg(long)]
    pub(super) url: Option<String>,
    /// Sign with this secret; by default that of the configuration
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Go on, a heartbeat that often
    #[arg(long, value_name = "DURATION", value_parser = duration())]
    pub(super) every: Option<Duration>,
    /// End after so many; with --every
    #[arg(long, value_name = "N", requires = "every", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Wait that long for the runs to end
    #[arg(long, value_name = "DURATION", value_parser = duration())]
    pub(super) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// Sign with this secret; by default that of the configuration
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// The body, - for standard input; by default empty
    #[arg(long, value_name = "FILE")]
    pub(super) body: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A raw HTTP request, - for standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Judge by this secret in place of those of the configuration, which is then not needed
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Runs {
    /// List runs, newest first
    #[command(after_help = "\
Examples:
  heartbeatd runs list
  heartbeatd runs list --flow upload-readings --status failed --limit 5
  heartbeatd --json runs list | jq -r 'select(.duration_ms > 60000).flow'")]
    List(RunsList),
    /// Show a run with the end of its output
    #[command(after_help = "\
Examples:
  heartbeatd runs show 17
  heartbeatd --json runs show 17 | jq -r .output      its output, unescaped")]
    Show(RunsShow),
    /// End a run
    #[command(after_help = "\
Examples:
  heartbeatd runs cancel 17

One that is in progress is ended by the daemon: TERM, and after kill_grace KILL.
Exit codes: 1 it has ended already, 69 it is in progress and no daemon serves")]
    Cancel(RunsShow),
}

#[derive(Debug, Args)]
pub(super) struct RunsList {
    /// Only those of this flow
    #[arg(long, value_name = "NAME")]
    pub(super) flow: Option<String>,
    /// Only those in this state
    #[arg(long, value_name = "STATUS", value_parser = status())]
    pub(super) status: Option<Status>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct RunsShow {
    /// Its id, as `runs list` and answers tell it
    pub(super) id: i64,
}

fn duration() -> ValueParser {
    ValueParser::new(|text: &str| match parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("it has to be more than nothing".to_owned()),
        other => other,
    })
}

fn status() -> ValueParser {
    use clap::builder::TypedValueParser;
    let words = clap::builder::PossibleValuesParser::new(Status::ALL.map(Status::as_str));
    words.try_map(|word| Status::from_word(&word).ok_or("not a state")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_contradicts_itself_nowhere() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        fn judge(command: &clap::Command) {
            let has_examples =
                command.get_after_help().is_some_and(|help| help.to_string().contains("Examples:"));
            assert!(has_examples || command.has_subcommands(), "{}", command.get_name());
            command.get_subcommands().for_each(judge);
        }
        judge(&Arguments::command());
    }
}
