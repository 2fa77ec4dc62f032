//! Commands that a hint tells its reader to type, made whole: with the configuration that was named on the command line.
//!
//! Invariant: whoever writes a hint writes `heartbeatd COMMAND` alone, or `heartbeatd …` for the command that was typed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::printable::printable;

/// The commands that read a configuration.
const CONFIGURED: [&str; 11] =
    ["check", "serve", "beat", "sign", "verify", "flow", "runs", "status", "reload", "backup", "import"];

/// What hints are made whole with.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    config: Option<PathBuf>,
    /// What was typed behind the program's name.
    typed: String,
}

impl Hints {
    /// For a command line, program name first.
    pub(super) fn new(config: Option<PathBuf>, arguments: &[OsString]) -> Self {
        let words: Vec<_> = arguments.iter().skip(1).map(|word| quoted(&word.to_string_lossy())).collect();
        Self { config, typed: words.join(" ") }
    }

    /// For a configuration alone.
    pub(super) fn of_config(config: &Path) -> Self {
        Self { config: Some(config.to_owned()), typed: String::new() }
    }

    /// The text with its commands whole.
    pub(super) fn complete(&self, text: &str) -> String {
        let config = self.config.as_deref();
        let config = config.map(|path| format!("--config {} ", quoted(&path.to_string_lossy())));
        let mut parts = text.split("heartbeatd ");
        let mut whole = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            whole.push_str("heartbeatd ");
            if let Some(rest) = part.strip_prefix('…') {
                whole.push_str(&self.typed);
                whole.push_str(rest);
                continue;
            }
            let word = part.split(|c: char| !c.is_ascii_lowercase()).next();
            if word.is_some_and(|word| CONFIGURED.contains(&word)) {
                whole.push_str(config.as_deref().unwrap_or_default());
            }
            whole.push_str(part);
        }
        whole
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let word = printable(word);
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_reads_a_configuration_gets_the_one_that_was_named() {
        let words = ["heartbeatd", "beat", "--config", "it's.toml"].map(OsString::from);
        let hints = Hints::new(Some("it's.toml".into()), &words);
        let named = r"heartbeatd --config 'it'\''s.toml'";
        for (text, whole) in [
            ("`heartbeatd runs show 3` tells", format!("`{named} runs show 3` tells")),
            ("heartbeatd check\n  heartbeatd reload: x", format!("{named} check\n  {named} reload: x")),
            ("`heartbeatd init` makes it", "`heartbeatd init` makes it".to_owned()),
            ("the heartbeatd that runs", "the heartbeatd that runs".to_owned()),
            (
                "sudo -u heartbeatd heartbeatd …",
                format!("sudo -u heartbeatd {}", r"heartbeatd beat --config 'it'\''s.toml'"),
            ),
        ] {
            assert_eq!(hints.complete(text), whole);
        }
        assert_eq!(Hints::default().complete("`heartbeatd runs list`"), "`heartbeatd runs list`");
    }
}
