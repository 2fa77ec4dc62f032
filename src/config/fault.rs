//! What is wrong with a file or the environment, and what would be right.

use crate::sorted::sort_by;
use std::fmt;
use std::path::{Path, PathBuf};

/// The most faults that are told of at once: past it the file is not what it is taken for.
const FAULTS_MAX: usize = 100;
/// The most characters of a wrong value that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 60;

/// One thing that is wrong, where it stands, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, or `environment`.
    pub file: PathBuf,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The key, as `limits.body`, or the name of the environment variable.
    pub key: Option<String>,
    /// What is wrong: one line, without a secret in it.
    pub message: String,
    /// What would be right: one line, never empty.
    pub help: String,
}

impl Fault {
    /// A fault of a whole file.
    pub fn of_file(file: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, key: None, message: message.into(), help: help.into() }
    }

    /// A fault of the environment.
    pub fn of_environment(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::of_file(Path::new(ENVIRONMENT), message, help)
    }

    /// The line that follows the error's: `help: …`.
    pub fn help_line(&self) -> String {
        format!("help: {}", self.help)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Every fault that was found, in the order of the file, those of the environment last. Never empty when it is an
/// error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Sorts by line; past the hundredth they are only counted.
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        let place = |fault: &Fault| (fault.file == Path::new(ENVIRONMENT), fault.line.unwrap_or(usize::MAX));
        sort_by(&mut faults, |one, other| place(one).cmp(&place(other)));
        let dropped = faults.len().saturating_sub(FAULTS_MAX);
        if let Some(last) = faults.get(FAULTS_MAX.saturating_sub(1)).filter(|_| dropped > 0) {
            let file = last.file.clone();
            faults.truncate(FAULTS_MAX);
            let help = "correct these first, then check again";
            faults.push(Fault::of_file(&file, format!("there are {dropped} faults more"), help));
        }
        Self(faults)
    }

    /// The same, with the file `judged` called `shown`: an absolute path as its author gave it.
    pub(crate) fn named(mut self, judged: &Path, shown: &Path) -> Self {
        for fault in self.0.iter_mut().filter(|fault| fault.file == judged) {
            fault.file = shown.to_owned();
        }
        self
    }

    /// Each fault.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Two lines for each fault: `error: …` and `help: …`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.0 {
            writeln!(f, "error: {fault}")?;
            writeln!(f, "{}", fault.help_line())?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What stands in place of a file's name for a fault of the environment.
pub(super) const ENVIRONMENT: &str = "environment";

/// Text from outside, made fit for a message: short, on one line, and never a secret that stands in the wrong
/// place.
pub(super) fn shown(text: &str) -> String {
    if text.contains("whsec_") {
        return "`whsec_…`".to_owned();
    }
    let short: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("`{}{more}`", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_file_line_and_key() {
        let mut fault = Fault::of_file(Path::new("heartbeatd.toml"), "is wrong", "do right");
        assert_eq!(fault.to_string(), "heartbeatd.toml: is wrong");
        fault.line = Some(12);
        fault.key = Some("limits.body".to_owned());
        assert_eq!(fault.to_string(), "heartbeatd.toml:12: limits.body: is wrong");
        assert_eq!(fault.help_line(), "help: do right");
        let both = "error: heartbeatd.toml:12: limits.body: is wrong\nhelp: do right\n";
        assert_eq!(Faults::from(fault).to_string(), both);
    }

    #[test]
    fn past_a_hundred_faults_are_counted() {
        let many = (0..250).map(|_| Fault::of_file(Path::new("x"), "m", "h")).collect();
        let faults = Faults::new(many);
        assert_eq!(faults.len(), FAULTS_MAX + 1);
        assert!(faults.iter().any(|fault| fault.message == "there are 150 faults more"));
    }

    #[test]
    fn a_value_in_a_message_is_short_and_no_secret() {
        assert_eq!(shown("a\nb"), "`a\\nb`");
        assert_eq!(shown(&"é".repeat(100)).chars().count(), SHOWN_CHARACTERS_MAX + 3);
        assert_eq!(shown("whsec_MfKQ9r8GKYqrTwjU"), "`whsec_…`");
    }
}
