//! The states of a run, the one predicate for its transitions, and how a run ends.

use serde::{Deserialize, Serialize};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Recorded, not yet started.
    Pending,
    /// Started.
    InProgress,
    /// Ended well.
    Success,
    /// Ended otherwise; the run's [`ErrorKind`] says how.
    Failed,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::InProgress, Self::Success, Self::Failed];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// The state that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// Whether the run may still change: its flow is locked meanwhile.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }

    /// Whether a run may go from this state to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::InProgress | Self::Failed)
                | (Self::InProgress, Self::Success | Self::Failed)
        )
    }
}

/// Why a run failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The process could not be started.
    Spawn,
    /// It exited with a status other than 0.
    ExitStatus,
    /// A signal ended it that we did not send.
    Signal,
    /// It took longer than its flow's `timeout`.
    Timeout,
    /// What a pipeline reads cannot be read.
    Source,
    /// A pipeline's SQL failed.
    Transform,
    /// What a pipeline writes to cannot be written.
    Sink,
    /// Records that do not fit cannot be put aside.
    Schema,
    /// The definition cannot be run.
    Configuration,
    /// An operator ended it.
    Cancelled,
    /// The daemon ended, orderly or not, while it ran.
    Interrupted,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Spawn,
        Self::ExitStatus,
        Self::Signal,
        Self::Timeout,
        Self::Source,
        Self::Transform,
        Self::Sink,
        Self::Schema,
        Self::Configuration,
        Self::Cancelled,
        Self::Interrupted,
    ];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::ExitStatus => "exit_status",
            Self::Signal => "signal",
            Self::Timeout => "timeout",
            Self::Source => "source",
            Self::Transform => "transform",
            Self::Sink => "sink",
            Self::Schema => "schema",
            Self::Configuration => "configuration",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// The kind that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether a run that ended so may be tried again: what went wrong may go right the next time.
    pub const fn is_retried(self) -> bool {
        !matches!(self, Self::Configuration | Self::Schema | Self::Cancelled | Self::Interrupted)
    }

    /// Whether an end of this kind says something about the flow: `cancelled` and `interrupted` do not, so
    /// they leave `consecutive_failures` alone.
    pub const fn counts_as_failure(self) -> bool {
        !matches!(self, Self::Cancelled | Self::Interrupted)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// In words; none is not known, as somebody else was told.
    pub fn described(exit: Option<Self>) -> String {
        match exit {
            Some(Self::Code(code)) => format!("exit status {code}"),
            Some(Self::Signal(signal)) => format!("signal {signal}"),
            None => "how it ended is not known: something else reaped the process".to_owned(),
        }
    }
}

/// How a run ended, as the store records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// `None` for success.
    pub error: Option<(ErrorKind, String)>,
    /// The process's exit, if one was started and its end is known.
    pub exit: Option<Exit>,
    /// Milliseconds on the monotonic clock, rounded down, if it started and its end was seen.
    pub duration_ms: Option<i64>,
    /// The kept tail of its output.
    pub output: String,
    /// Whether output before the tail was dropped.
    pub output_truncated: bool,
}

impl End {
    /// A run that ends without a process to tell of.
    pub fn without_process(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            error: Some((kind, message.into())),
            exit: None,
            duration_ms: None,
            output: String::new(),
            output_truncated: false,
        }
    }

    /// `success` or `failed`.
    pub const fn status(&self) -> Status {
        if self.error.is_none() { Status::Success } else { Status::Failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_only_move_forward() {
        use Status::{Failed, InProgress, Pending, Success};
        let allowed = [(Pending, InProgress), (Pending, Failed), (InProgress, Success), (InProgress, Failed)];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn what_will_not_go_right_by_itself_is_not_tried_again() {
        let retried: Vec<&str> =
            ErrorKind::ALL.iter().filter(|kind| kind.is_retried()).map(|kind| kind.as_str()).collect();
        assert_eq!(retried, ["spawn", "exit_status", "signal", "timeout", "source", "transform", "sink"]);
    }

    #[test]
    fn the_words_name_their_states() {
        assert!(Status::ALL.into_iter().all(|status| Status::from_word(status.as_str()) == Some(status)));
        assert!(ErrorKind::ALL.into_iter().all(|kind| ErrorKind::from_word(kind.as_str()) == Some(kind)));
    }
}
