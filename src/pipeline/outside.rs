//! What a source or a sink needs of the world outside of files, and what came of it. Whoever steps the run does it between
//! two steps.

use std::time::Duration;

use crate::flow::{Exit, Launch};

/// Something to be done before the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A program is to be run to its end.
    Program(Box<Launch>),
    /// Some time is to go by.
    Pause(Duration),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The program ended.
    Ended {
        /// How; none: somebody else reaped it.
        exit: Option<Exit>,
        /// What it wrote to its standard output, where [`Launch::stdout_max`] says that it is kept.
        stdout: Vec<u8>,
    },
    /// The time has gone by.
    Resumed,
}

/// How a program that did not do its work ended.
pub(super) fn described(exit: Option<Exit>) -> String {
    match exit {
        Some(Exit::Code(code)) => format!("exit status {code}"),
        Some(Exit::Signal(signal)) => format!("signal {signal}"),
        None => "how it ended is not known: something else reaped the process".to_owned(),
    }
}
