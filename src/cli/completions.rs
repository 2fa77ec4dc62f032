//! `completions`: a few lines for a shell, which ask this program what may come next (`complete`).
//!
//! So the answer is always that of the program which is installed, and knows the flows and runs of the box; and nothing
//! of the command line is written down a second time. Invariant: whatever is wrong with a box, a shell is told less,
//! never an error.

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use std::path::PathBuf;

use super::Context;
use super::arguments::{Arguments, Complete, Completions};
use super::failure::Failure;
use super::hints::Hints;
use super::output::Output;
use super::printable::printable;
use crate::flow::Kinds;
use crate::setup;
use crate::store::{RunFilter, Store};

/// Runs that are offered, newest first.
const RUNS_MAX: usize = 20;

/// Prints the lines for a shell.
pub(super) fn run(output: &Output, completions: &Completions) -> Result<(), Failure> {
    let text = match completions.shell.as_str() {
        "bash" => include_str!("completions/heartbeatd.bash"),
        "zsh" => include_str!("completions/heartbeatd.zsh"),
        _ => include_str!("completions/heartbeatd.fish"),
    };
    output.lines(text.trim_end())
}

/// Prints what may come next, a line each: the word, a tab, what it is. Where the shell knows better, `:files` or
/// `:folders`.
pub(super) fn complete(output: Output, complete: &Complete) -> Result<(), Failure> {
    let words: Vec<String> = complete.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = Arguments::command();
    command.build();
    let Some((current, before)) = words.split_last() else { return Ok(()) };
    let place = Place::after(&command, before.get(1..).unwrap_or_default());
    for candidate in place.candidates(output, current) {
        output.lines(format!("{}\t{}", printable(&candidate.word), printable(&candidate.what)))?;
    }
    Ok(())
}

/// A word that may come next.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    word: String,
    what: String,
}

impl Candidate {
    fn new(word: impl Into<String>, what: impl Into<String>) -> Self {
        Self { word: word.into(), what: what.into() }
    }
}

/// Where on the command line a word is.
#[derive(Debug)]
struct Place<'c> {
    command: &'c Command,
    /// The option whose value it is.
    option: Option<&'c Arg>,
    /// Positional arguments that were given to the command.
    given: usize,
    /// Whether `--` was there: no option comes any more.
    only_values: bool,
    config: Option<PathBuf>,
}

impl<'c> Place<'c> {
    /// Behind these words.
    fn after(command: &'c Command, words: &[String]) -> Self {
        let mut place = Self { command, option: None, given: 0, only_values: false, config: None };
        words.iter().for_each(|word| place.pass(word));
        place
    }

    fn pass(&mut self, word: &str) {
        if let Some(option) = self.option {
            // bash gives `--flow=x` as three words.
            if word != "=" {
                self.take(option, word);
                self.option = None;
            }
        } else if self.only_values || !word.starts_with('-') {
            match self.command.find_subcommand(word).filter(|_| !self.only_values) {
                Some(command) => (self.command, self.given) = (command, 0),
                None => self.given += 1,
            }
        } else if word == "--" {
            self.only_values = true;
        } else {
            let (name, value) =
                word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            match (self.option_of(name), value) {
                (Some(option), Some(value)) => self.take(option, value),
                (option, _) => self.option = option,
            }
        }
    }

    fn take(&mut self, option: &Arg, value: &str) {
        if option.get_id() == "config" {
            self.config = Some(PathBuf::from(value));
        }
    }

    /// The option of this name, if it takes a value.
    fn option_of(&self, name: &str) -> Option<&'c Arg> {
        let name = name.strip_prefix("--")?;
        let is_it = |arg: &&Arg| arg.get_long() == Some(name) && arg.get_action().takes_values();
        self.command.get_arguments().find(is_it)
    }

    fn candidates(&self, output: Output, current: &str) -> Vec<Candidate> {
        let (mut prefix, mut begun) = ("", current);
        let mut wanted = self.option;
        if let Some((name, value)) = current.split_once('=').filter(|_| wanted.is_none() && !self.only_values)
        {
            wanted = self.option_of(name);
            if wanted.is_some() {
                (prefix, begun) = current.split_at(current.len() - value.len());
            }
        }
        // bash: the word behind `--flow` is the equals sign itself.
        if self.option.is_some() && begun == "=" {
            begun = "";
        }
        let mut all = match wanted {
            Some(option) => self.values(option, output),
            None if current.starts_with('-') && !self.only_values => self.options(),
            None => self.words(output),
        };
        all.retain(|candidate| candidate.word.starts_with(begun) || is_for_the_shell(candidate));
        for candidate in all.iter_mut().filter(|candidate| !is_for_the_shell(candidate)) {
            candidate.word.insert_str(0, prefix);
        }
        all
    }

    fn options(&self) -> Vec<Candidate> {
        let options = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        options.filter_map(|arg| Some(Candidate::new(format!("--{}", arg.get_long()?), help(arg)))).collect()
    }

    /// Subcommands, or values of the next positional argument.
    fn words(&self, output: Output) -> Vec<Candidate> {
        let next = self.command.get_positionals().nth(self.given);
        let last = self.command.get_positionals().last();
        let last = last.filter(|arg| matches!(arg.get_action(), ArgAction::Append));
        if let Some(arg) = next.or(last) {
            return self.values(arg, output);
        }
        let commands = self.command.get_subcommands();
        let commands = commands.filter(|command| self.given == 0 && !command.is_hide_set());
        let about = |command: &Command| command.get_about().map(ToString::to_string).unwrap_or_default();
        commands.map(|command| Candidate::new(command.get_name(), about(command))).collect()
    }

    fn values(&self, arg: &Arg, output: Output) -> Vec<Candidate> {
        match (arg.get_value_hint(), arg.get_id().as_str()) {
            (ValueHint::DirPath, _) => vec![Candidate::new(":folders", "")],
            (ValueHint::AnyPath | ValueHint::FilePath, _) => vec![Candidate::new(":files", "")],
            (_, "name" | "flow") => self.store(output).and_then(|store| flows(&store)).unwrap_or_default(),
            (_, "id") => self.store(output).and_then(|store| runs(&store)).unwrap_or_default(),
            _ => {
                let values = arg.get_possible_values().into_iter();
                values.map(|value| Candidate::new(value.get_name(), "")).collect()
            }
        }
    }

    fn store(&self, output: Output) -> Option<Store> {
        let environment = setup::environment().ok()?;
        let context = Context {
            config: self.config.clone(),
            output,
            hints: Hints::default(),
            level: None,
            environment,
            kinds: Kinds::default(),
        };
        context.open_to_read(&context.load().ok()?).ok()
    }
}

fn flows(store: &Store) -> Option<Vec<Candidate>> {
    let flows = store.flows().ok()?;
    Some(
        flows
            .into_iter()
            .map(|flow| Candidate::new(flow.name, flow.description.unwrap_or_default()))
            .collect(),
    )
}

fn runs(store: &Store) -> Option<Vec<Candidate>> {
    let runs = store.runs(&RunFilter { limit: RUNS_MAX, ..RunFilter::default() }).ok()?;
    let what = |flow: &str, status: &str| format!("{flow}, {status}");
    Some(
        runs.iter()
            .map(|run| Candidate::new(run.id.to_string(), what(&run.flow, run.status.as_str())))
            .collect(),
    )
}

fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

fn is_for_the_shell(candidate: &Candidate) -> bool {
    candidate.word.starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Status;

    /// What may come behind a command line; its last word is begun.
    fn offered(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut command = Arguments::command();
        command.build();
        let (current, before) = words.split_last().unwrap();
        let place = Place::after(&command, &before[1..]);
        place.candidates(Output::new(false, false), current).into_iter().map(|it| it.word).collect()
    }

    #[test]
    fn commands_flags_and_words_are_offered_where_they_may_stand() {
        assert_eq!(offered("heartbeatd be"), ["beat"]);
        assert_eq!(offered("heartbeatd --config x --json flow en"), ["enable"]);
        assert_eq!(offered("heartbeatd runs list --st"), ["--status"]);
        assert_eq!(offered("heartbeatd runs list --status s"), ["success"]);
        assert_eq!(offered("heartbeatd runs list --status=f"), ["--status=failed"]);
        assert_eq!(offered("heartbeatd runs list --status = f"), ["failed"]);
        assert_eq!(offered("heartbeatd runs list --status ="), Status::ALL.map(Status::as_str));
        assert_eq!(offered("heartbeatd completions "), ["bash", "zsh", "fish"]);
        assert_eq!(offered("heartbeatd beat --ver"), ["--verbose", "--version"]);
        assert!(offered("heartbeatd ").contains(&"serve".to_owned()));
        assert!(!offered("heartbeatd ").contains(&"complete".to_owned()), "it is no command of people");
        for nothing in
            ["heartbeatd status ", "heartbeatd chek ", "heartbeatd beat --count ", "heartbeatd -- flow x -"]
        {
            assert!(offered(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn paths_are_the_shells_own_affair() {
        for files in ["check ", "check a.toml b", "--config ", "--config=", "flow run x --from ", "verify x"]
        {
            assert_eq!(offered(&format!("heartbeatd {files}")), [":files"], "{files}");
        }
        for folders in ["init ", "demo --dir x"] {
            assert_eq!(offered(&format!("heartbeatd {folders}")), [":folders"], "{folders}");
        }
        assert!(offered("heartbeatd verify x ").is_empty(), "it takes one");
    }
}
