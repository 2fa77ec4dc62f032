//! The command line: arguments in, a command carried out, an exit code out.
//!
//! One file per command family. Owns everything that is printed to standard output, and every exit code (`failure`).
//! Architecture invariant: nothing below this folder prints, and nothing here holds SQL, a schedule or a signature of
//! its own.

mod arguments;
mod backup;
mod beat;
mod check;
mod check_agents;
mod client;
mod completions;
mod demo;
mod failure;
mod files;
mod flow;
mod flow_change;
mod hints;
mod import;
mod init;
mod log_lines;
mod logging;
mod man;
mod operate;
mod output;
mod pipeline;
mod printable;
mod progress;
mod random;
mod reload;
mod runs;
mod serve;
mod sign;
mod status;
mod systemd_unit;
mod unknown_flow;
mod verify;

use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use crate::flow::Kinds;
use crate::setup::{self, FlowFiles, Loaded};
use crate::store::Store;
use arguments::{Arguments, Command, Import};
use failure::{Exit, Failure};
use hints::Hints;
use output::Output;

/// What every command is given beside its own arguments.
#[derive(Debug)]
struct Context {
    /// The configuration that was named on the command line.
    config: Option<PathBuf>,
    output: Output,
    hints: Hints,
    level: Option<log::LevelFilter>,
    /// The variables `HEARTBEATD_*`.
    environment: Vec<(String, String)>,
    /// Those that flow files may use.
    kinds: Kinds,
}

impl Context {
    /// Reads the configuration.
    fn load(&self) -> Result<Loaded, Failure> {
        let path = setup::config_path(self.config.as_deref(), &self.environment)?;
        Ok(setup::read_config(&path, &self.environment)?)
    }

    /// Reads the folder of flow files.
    fn read_flows(&self, loaded: &Loaded) -> FlowFiles {
        setup::read_flows(&loaded.config, &loaded.directory, &self.kinds, &setup::system_zones())
    }

    /// Opens the database to read it, beside a daemon or without one.
    fn open_to_read(&self, loaded: &Loaded) -> Result<Store, Failure> {
        let path = &loaded.config.database;
        if !path.try_exists().unwrap_or(true) {
            let error = format!("there is no database yet: {}", path.display());
            let help =
                "`heartbeatd init` or the first `heartbeatd serve` makes it; is it the right configuration?";
            return Err(Failure::new(Exit::Io, error, help));
        }
        Ok(Store::open_to_read(path)?)
    }
}

/// Carries out what `arguments` ask for, program name first, and gives the process's exit code. Flow files may use `kinds`:
/// [`kinds`](crate::pipeline::kinds) has those of `heartbeatd`.
pub fn run(arguments: impl IntoIterator<Item = OsString>, kinds: Kinds) -> u8 {
    let words: Vec<OsString> = arguments.into_iter().collect();
    let outcome = match Arguments::try_parse_from(&words) {
        Ok(arguments) => {
            let hints = Hints::new(arguments.config.clone(), &words);
            carry_out(arguments, hints.clone(), kinds).map_err(|failure| failure.with(&hints))
        }
        Err(error) => Err(usage(&error)),
    };
    match outcome {
        Ok(()) => Exit::Done as u8,
        Err(failure) => {
            failure.tell();
            failure.exit as u8
        }
    }
}

fn carry_out(arguments: Arguments, hints: Hints, kinds: Kinds) -> Result<(), Failure> {
    let level = match (arguments.verbose, arguments.quiet) {
        (true, _) => Some(log::LevelFilter::Debug),
        (_, true) => Some(log::LevelFilter::Error),
        _ => None,
    };
    let output = Output::new(arguments.json, arguments.quiet);
    // What asks nothing of a box works on one whose environment is broken, too.
    match &arguments.command {
        Command::Completions(completions) => return completions::run(&output, completions),
        Command::Complete(complete) => return completions::complete(output, complete),
        Command::Man => return man::run(&output),
        _ => {}
    }
    let context =
        Context { config: arguments.config, output, hints, level, environment: setup::environment()?, kinds };
    match arguments.command {
        Command::Init(init) => init::run(&context, &init),
        Command::Check(check) => check::run(&context, &check),
        Command::Serve(serve) => serve::run(&context, &serve),
        Command::Beat(beat) => beat::run(&context, &beat),
        Command::Sign(sign) => sign::run(&context, &sign),
        Command::Verify(verify) => verify::run(&context, &verify),
        Command::Flow(command) => flow::run(&context, &command),
        Command::Runs(command) => runs::run(&context, &command),
        Command::Status { ready } => status::run(&context, ready),
        Command::Reload => reload::run(&context),
        Command::Backup(backup) => backup::run(&context, &backup),
        Command::Import(Import::Rails(rails)) => import::run(&context, &rails),
        Command::Demo(demo) => demo::run(&context, &demo),
        Command::Completions(_) | Command::Complete(_) | Command::Man => Ok(()),
    }
}

/// What clap has to say. Help and version are no failure; an error becomes one line and its help, as all of ours.
fn usage(error: &clap::Error) -> Failure {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match write!(std::io::stdout().lock(), "{}", error.render()) {
            Ok(()) => Failure::told(Exit::Done),
            Err(error) => Failure::output(&error),
        };
    }
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _told = write!(std::io::stderr().lock(), "{text}");
        return Failure::told(Exit::Usage);
    }
    let (message, help) = two_lines(&text);
    Failure::new(Exit::Usage, message, help)
}

/// clap's message, its tips and its usage, in two lines.
fn two_lines(text: &str) -> (String, String) {
    let joined = |part: &str| part.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut message = String::new();
    let mut tips = Vec::new();
    let mut usage = String::new();
    for part in text.split("\n\n") {
        if let Some(error) = part.strip_prefix("error: ") {
            message = joined(error);
        } else if let Some(line) = part.strip_prefix("Usage: ") {
            usage = joined(line);
        } else {
            let lines = part.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
            tips.extend(lines.map(joined));
        }
    }
    let help = match (tips.is_empty(), usage.is_empty()) {
        (false, _) => tips.join("; "),
        (true, false) => format!("{usage}; more with --help"),
        (true, true) => "more with --help".to_owned(),
    };
    (message, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> String {
        let error = Arguments::try_parse_from(std::iter::once("heartbeatd").chain(words.iter().copied()));
        usage(&error.unwrap_err()).to_string()
    }

    #[test]
    fn a_misspelt_command_or_flag_is_suggested() {
        let text = told(&["chek"]);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("error: ") && text.contains("'check'"), "{text}");
        assert!(told(&["beat", "--evry", "5s"]).contains("--every"));
        assert!(told(&["runs", "list", "--status", "fialed"]).contains("'failed'"));
    }

    #[test]
    fn what_is_missing_is_told_in_two_lines() {
        let text = told(&["flow", "show"]);
        assert!(text.contains("<NAME>") && text.contains("help: heartbeatd flow show"), "{text}");
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
