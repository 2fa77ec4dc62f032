//! A flow's definition: what its author wrote, checked, with every default filled in.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

use super::{Calendar, Retry};
use crate::limits;

/// A flow's name: 1 to 128 of `a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FlowName(String);

impl FlowName {
    /// Checks a name.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn new(name: impl Into<String>) -> Result<Self, String> {
        let name = name.into();
        let fits = (1..=limits::FLOW_NAME_BYTES_MAX).contains(&name.len());
        let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        if fits && plain {
            Ok(Self(name))
        } else {
            let shown: String = name.chars().take(40).collect();
            Err(format!("`{}` is not a flow name: 1 to 128 of a-z 0-9 _ -", shown.escape_debug()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for FlowName {
    type Error = String;
    fn try_from(name: String) -> Result<Self, String> {
        Self::new(name)
    }
}

impl From<FlowName> for String {
    fn from(name: FlowName) -> Self {
        name.0
    }
}

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name as it is, unless it has capitals or spaces: `UploadReadings` becomes `upload_readings`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    let (mut after_small, mut after_capital) = (false, false);
    let mut characters = name.trim().chars().peekable();
    while let Some(character) = characters.next() {
        if character == ' ' {
            snake.push('_');
        } else if character.is_ascii_uppercase() {
            let begins_a_word = characters.peek().is_some_and(char::is_ascii_lowercase);
            if after_small || (after_capital && begins_a_word) {
                snake.push('_');
            }
            snake.push(character.to_ascii_lowercase());
        } else {
            snake.push(character);
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        after_capital = character.is_ascii_uppercase();
    }
    snake
}

/// A data flow as defined by its author.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Unique among all flows.
    pub name: FlowName,
    /// For people.
    pub description: Option<String>,
    /// Whether its author wants it to run; an operator's hold is kept apart.
    pub enabled: bool,
    /// Seconds from one run time to the next, at least 1.
    pub run_interval_s: u64,
    /// The rest, stored as JSON in `data_flows.configuration`.
    pub configuration: Configuration,
}

/// What `data_flows.configuration` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// What the interval counts from.
    pub schedule: Schedule,
    /// What goes by the clock of a place.
    #[serde(default, skip_serializing_if = "Calendar::is_plain")]
    pub calendar: Calendar,
    /// Milliseconds after which a run is ended.
    pub timeout_ms: u64,
    /// Milliseconds from TERM to KILL, where the flow has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill_grace_ms: Option<u64>,
    /// What becomes of processes that a run leaves behind.
    #[serde(default, skip_serializing_if = "Leftovers::are_ended")]
    pub leftovers: Leftovers,
    /// Whether and when a failed run is tried again.
    #[serde(default)]
    pub retry: Retry,
    /// Whether a run that the daemon's end interrupted is run again, where the flow says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_interrupted: Option<bool>,
    /// The flow kind's name: `command`, or one that an embedding program registered.
    pub kind: String,
    /// What that kind makes of its table in the flow file.
    pub settings: serde_json::Value,
}

impl Configuration {
    /// How long a run may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// From TERM to KILL, if this flow has its own.
    pub fn kill_grace(&self) -> Option<Duration> {
        self.kill_grace_ms.map(Duration::from_millis)
    }
}

/// What becomes of processes that a run leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leftovers {
    /// They are ended, and the flow waits until they are gone.
    #[default]
    End,
    /// They are left alone.
    Leave,
}

impl Leftovers {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's attribute asks for a reference")]
    const fn are_ended(&self) -> bool {
        matches!(self, Self::End)
    }
}

/// What the interval counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// From the time the run was due, so that it does not drift.
    #[default]
    FixedRate,
    /// From the end of the last run, so that there is as much time between any two.
    FixedDelay,
}

impl Schedule {
    /// The word in flow files and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedRate => "fixed_rate",
            Self::FixedDelay => "fixed_delay",
        }
    }
}

/// Where a definition lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file of the flows folder, which it follows.
    File,
    /// The database, put there by command.
    Database,
}

impl Origin {
    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Database => "database",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_128_of_lower_case_digits_underscore_hyphen() {
        for right in ["a", "upload-readings", "x_1", &"z".repeat(128)] {
            assert!(FlowName::new(right).is_ok(), "{right}");
        }
        for wrong in ["", "Upload", "a b", "ä", "a/b", "a.b", &"z".repeat(129)] {
            assert!(FlowName::new(wrong).is_err(), "{wrong}");
        }
    }
}
