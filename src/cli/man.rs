//! `man`: the page heartbeatd(1), made of what `--help` says and of what only a page has room for.
//!
//! Commands, flags and examples come from the one definition of the command line (`arguments`); the sections behind them
//! from `man/sections.roff`. The language is that of man(7).

use clap::{Arg, Command, CommandFactory};

use super::arguments::Arguments;
use super::failure::Failure;
use super::output::Output;
use crate::limits;
use crate::time::Wall;

/// Prints the page.
pub(super) fn run(output: &Output) -> Result<(), Failure> {
    output.lines(page().trim_end())
}

fn page() -> String {
    let mut command = Arguments::command();
    command.build();
    // The day of the release, so that the same program always makes the same page.
    let date = Wall::from_millis(limits::RELEASE_EPOCH_MS).rfc3339();
    let date = date.split('T').next().unwrap_or_default();
    let version = command.get_version().unwrap_or_default();
    let mut page = Page(format!(".TH HEARTBEATD 1 {date} \"heartbeatd {version}\" \"User Commands\"\n"));
    page.heading("NAME");
    page.line("heartbeatd \\- run data flows when a signed heartbeat says so");
    page.heading("SYNOPSIS");
    page.line("\\fBheartbeatd\\fR [\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-json\\fR] [\\fB\\-v\\fR|\\fB\\-q\\fR] \\fICOMMAND\\fR");
    page.heading("DESCRIPTION");
    page.text(&format!("{}.", command.get_about().map(ToString::to_string).unwrap_or_default()));
    page.0.push_str(include_str!("man/description.roff"));
    page.heading("OPTIONS");
    command.get_arguments().for_each(|arg| page.argument(arg));
    page.heading("COMMANDS");
    for command in command.get_subcommands() {
        page.command(command);
    }
    page.heading("EXAMPLES");
    page.after_help(&command);
    page.0.push_str(include_str!("man/sections.roff"));
    page.0
}

/// A page that is being written.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        let last = self.0.lines().last().unwrap_or_default();
        if line == ".PP" && (last == ".PP" || last.starts_with(".SH")) {
            return;
        }
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn heading(&mut self, name: &str) {
        self.line(&format!(".SH {name}"));
    }

    fn text(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(&escaped(line)));
    }

    /// A command, or each of its own.
    fn command(&mut self, command: &Command) {
        if command.is_hide_set() {
            return;
        }
        if command.has_subcommands() {
            return command.get_subcommands().for_each(|command| self.command(command));
        }
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ");
        let name = command.get_bin_name().unwrap_or_default().trim_start_matches("heartbeatd ");
        self.line(&format!(".SS {}", escaped(name)));
        self.line(&format!("\\fB{}\\fR", escaped(usage)));
        self.line(".PP");
        self.text(&format!("{}.", command.get_about().map(ToString::to_string).unwrap_or_default()));
        // Those of every command stand once, above.
        command.get_arguments().filter(|arg| !is_of_all(arg)).for_each(|arg| self.argument(arg));
        self.after_help(command);
    }

    fn argument(&mut self, arg: &Arg) {
        if arg.is_hide_set() {
            return;
        }
        let short = arg.get_short().map(|short| format!("-{short}"));
        let long = arg.get_long().map(|long| format!("--{long}"));
        let flags: Vec<String> = [short, long].into_iter().flatten().collect();
        let flags =
            flags.iter().map(|flag| format!("\\fB{}\\fR", escaped(flag))).collect::<Vec<_>>().join(", ");
        let names = arg.get_value_names().filter(|_| arg.get_action().takes_values());
        let value = names.into_iter().flatten().map(|name| format!("\\fI{}\\fR", escaped(name)));
        let value = value.collect::<Vec<_>>().join(" ");
        self.line(".TP");
        self.line(format!("{flags} {value}").trim());
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let words = arg.get_possible_values();
        if !words.is_empty() && arg.get_action().takes_values() {
            let words: Vec<&str> = words.iter().map(|word| word.get_name()).collect();
            help.push_str(&format!(": {}", words.join(", ")));
        }
        let defaults = arg.get_default_values().iter().filter_map(|value| value.to_str());
        for default in defaults.filter(|_| arg.get_action().takes_values()) {
            help.push_str(&format!("; {default} by default"));
        }
        self.text(&format!("{help}."));
    }

    /// Examples as they are, and the rest as text.
    fn after_help(&mut self, command: &Command) {
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples = text.split("\n\n").find_map(|part| part.strip_prefix("Examples:\n"));
        for part in text.split("\n\n").filter(|part| !part.starts_with("Examples:\n")) {
            // The whole program's codes have a section of their own.
            if command.has_subcommands() && part.starts_with("Exit codes:") {
                continue;
            }
            self.line(".PP");
            part.lines().for_each(|line| self.line(&escaped(line.trim())));
        }
        if let Some(examples) = examples {
            self.line(".PP");
            self.line(".nf");
            examples.lines().for_each(|line| self.line(&format!("    {}", escaped(line.trim()))));
            self.line(".fi");
        }
    }
}

fn is_of_all(arg: &Arg) -> bool {
    arg.is_global_set() || matches!(arg.get_id().as_str(), "help" | "version")
}

/// Text that roff takes for nothing else (groff_char(7)).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            '\'' => escaped.push_str("\\(aq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '`' => escaped.push_str("\\(ga"),
            '"' => escaped.push_str("\\(dq"),
            _ => escaped.push(character),
        }
    }
    // A line that begins so would be a request.
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_flag_is_on_the_page() {
        fn judge(command: &Command, page: &str) {
            for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
                let name = command.get_bin_name().unwrap_or_default().trim_start_matches("heartbeatd ");
                assert!(
                    command.has_subcommands() || page.contains(&format!(".SS {}\n", escaped(name))),
                    "{name}"
                );
                for long in command.get_arguments().filter_map(Arg::get_long) {
                    assert!(page.contains(&format!("\\fB\\-\\-{}\\fR", escaped(long))), "{name} --{long}");
                }
                judge(command, page);
            }
        }
        let mut command = Arguments::command();
        command.build();
        let page = page();
        judge(&command, &page);
        assert!(!page.contains("SS complete\n"), "it is no command of people");
    }

    #[test]
    fn no_line_of_text_is_a_request() {
        assert_eq!(escaped(".so a\\b"), "\\&.so a\\eb");
        assert_eq!(escaped("'x' --y"), "\\(aqx\\(aq \\-\\-y");
    }
}
