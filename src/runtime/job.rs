//! Whose process or request something is.

use log::kv::{ToValue, Value};
use std::fmt;
use std::str::FromStr;

use crate::store::RunId;

/// Who has a process run or a request made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    /// A run.
    Run(RunId),
    /// The delivery of an alert: one at a time.
    Alert,
    /// The beat to whoever watches this daemon.
    Watchdog,
}

impl Job {
    const ALERT: &'static str = "alert";
    const WATCHDOG: &'static str = "watchdog";

    /// The run, if it is one's.
    pub const fn run(self) -> Option<RunId> {
        match self {
            Self::Run(run) => Some(run),
            Self::Alert | Self::Watchdog => None,
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(RunId(id)) => id.fmt(f),
            Self::Alert => f.write_str(Self::ALERT),
            Self::Watchdog => f.write_str(Self::WATCHDOG),
        }
    }
}

/// As it is written.
impl FromStr for Job {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            Self::ALERT => Ok(Self::Alert),
            Self::WATCHDOG => Ok(Self::Watchdog),
            run => run.parse().map(|id| Self::Run(RunId(id))),
        }
    }
}

/// A number where it is a run's.
impl ToValue for Job {
    fn to_value(&self) -> Value<'_> {
        match self {
            Self::Run(RunId(id)) => Value::from(*id),
            Self::Alert => Value::from(Self::ALERT),
            Self::Watchdog => Value::from(Self::WATCHDOG),
        }
    }
}
