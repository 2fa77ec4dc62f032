//! Why a command did not do what it was asked to: the exit code for programs, and the message for people.
//!
//! Invariant: every exit code of the program is named here, and every message is `error: …` in one line, then
//! `help: …` saying what would be right.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use super::hints::Hints;
use super::logging;
use super::printable::printable;
use crate::config::{Fault, Faults};
use crate::daemon::StartError;
use crate::server::ServerError;
use crate::setup;
use crate::store::{Cause, StoreError};

/// What the process ends with, beside 0 (INTERFACES.md; numbers from 64 on as in sysexits.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Whoever read the output has left: that is no failure.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Bad input data.
    Data = 65,
    /// No daemon or agent was reached.
    Unreachable = 69,
    /// The disk or the system failed.
    Io = 74,
    /// The same may succeed later.
    TryAgain = 75,
    /// Refused: not allowed, bad signature.
    Refused = 77,
    /// Configuration, flow files, secrets.
    Configuration = 78,
}

/// A command's failure.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the process ends with.
    pub(super) exit: Exit,
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Message {
    error: String,
    help: String,
}

impl Failure {
    /// A failure with its one message.
    pub(super) fn new(exit: Exit, error: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit, messages: vec![Message { error: error.into(), help: help.into() }] }
    }

    /// A failure that was told already.
    pub(super) fn told(exit: Exit) -> Self {
        Self { exit, messages: Vec::new() }
    }

    /// The system refused `operation`, a phrase such as `write the file`, on `path`.
    pub(super) fn io(operation: &str, path: &Path, error: &io::Error) -> Self {
        let (exit, help) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                (Exit::TryAgain, "free some space, then try again")
            }
            io::ErrorKind::NotFound => (Exit::Io, "is the path right?"),
            io::ErrorKind::IsADirectory => {
                (Exit::Io, "a folder is in its place: move it away, or name another path")
            }
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                (Exit::Io, "something else is in its place: move it away, or name another path")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                (Exit::Io, "remount the disk so that it can be written, or name another path")
            }
            io::ErrorKind::PermissionDenied => {
                (Exit::Io, "run it as a user who may (chown, chmod), or name another path")
            }
            _ => (Exit::Io, "see that the path is right and its disk works"),
        };
        Self::new(exit, format!("cannot {operation}: {}: {error}", path.display()), help)
    }

    /// Output that cannot be written. A reader that left, as `head` does, is no failure.
    pub(super) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::told(Exit::Done);
        }
        Self::new(
            Exit::Io,
            format!("cannot write to standard output: {error}"),
            "see where it is directed to",
        )
    }

    /// Tells it as lines of the log.
    pub(super) fn log(&self) {
        for Message { error, help } in &self.messages {
            log::error!(help = help.as_str(), exit_code = self.exit as u8; "{error}");
        }
    }

    /// Tells it on standard error. Where that is gone as well, the exit code has to do.
    pub(super) fn tell(&self) {
        let _told = write!(io::stderr().lock(), "{}", logging::for_standard_error(self));
    }

    /// The same, its commands made whole.
    pub(super) fn with(mut self, hints: &Hints) -> Self {
        for message in &mut self.messages {
            message.help = hints.complete(&message.help);
        }
        self
    }

    /// Faults of several files, in the order in which they were found.
    pub(super) fn of_faults(faults: impl IntoIterator<Item = Fault>) -> Self {
        let message = |fault: Fault| Message { error: fault.to_string(), help: fault.help };
        Self { exit: Exit::Configuration, messages: faults.into_iter().map(message).collect() }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::of_faults(faults)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Faults::from(fault).into()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match error.cause {
            Cause::Owned | Cause::Busy | Cause::Full | Cause::ReadOnly => Exit::TryAgain,
            Cause::Denied | Cause::Io | Cause::Sync | Cause::Corrupt => Exit::Io,
            Cause::Foreign | Cause::Newer => Exit::Configuration,
            Cause::Constraint | Cause::Internal => Exit::Failed,
        };
        match error.cause {
            Cause::Denied => Self::new(exit, error.to_string(), setup::help_of_denial(&error.path)),
            _ => Self::new(exit, error.to_string(), error.help()),
        }
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let message = error.to_string();
        match error {
            ServerError::Store(error) => error.into(),
            ServerError::Listen(_, cause) => {
                let help = match cause.kind() {
                    io::ErrorKind::AddrInUse => {
                        "stop what listens there (`ss -ltnp`), or set another port in `listen`; port 0 takes a free one"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "give an address of this box in `listen` (`ip address`)"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "ports below 1024 need a privilege: set another in `listen`"
                    }
                    _ => "see `listen` in the configuration",
                };
                Self::new(Exit::Io, message, help)
            }
            ServerError::Status(..) => {
                let help = "set another address as `listen` under [status], port 0 for a free one, or false for none";
                Self::new(Exit::Io, message, help)
            }
            ServerError::Control(_, cause) => {
                let help = match cause.kind() {
                    io::ErrorKind::AddrInUse => {
                        "stop the other daemon, or give each its own `socket` under [control]"
                    }
                    io::ErrorKind::AlreadyExists => {
                        "move that file away, or set another `socket` under [control]"
                    }
                    io::ErrorKind::NotFound => "make its folder, or set another `socket` under [control]",
                    _ => "let this user write to its folder, or set another `socket` under [control]",
                };
                Self::new(Exit::Io, message, help)
            }
            ServerError::System(..) => Self::new(Exit::Io, message, "see the system's log, then start again"),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Faults(faults) => faults.into(),
            StartError::Store(error) => error.into(),
            StartError::Server(error) => error.into(),
        }
    }
}

/// The lines for standard error; none if all was told.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for message in &self.messages {
            writeln!(f, "error: {}\nhelp: {}", printable(&message.error), printable(&message.help))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_with_its_help() {
        let path = Path::new("x.toml");
        let faults = Faults::new(vec![Fault::of_file(path, "a", "b"), Fault::of_file(path, "c", "d")]);
        let failure = Failure::from(faults);
        assert_eq!(failure.exit, Exit::Configuration);
        assert_eq!(failure.to_string(), "error: x.toml: a\nhelp: b\nerror: x.toml: c\nhelp: d\n");
    }

    #[test]
    fn a_message_is_one_line_and_moves_no_cursor() {
        let failure = Failure::new(Exit::Failed, "a\nb\x1b[2J", "c\r");
        assert_eq!(failure.to_string(), "error: a b\\u{1b}[2J\nhelp: c \n");
    }

    #[test]
    fn a_reader_that_left_is_no_failure() {
        let failure = Failure::output(&io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.exit, failure.to_string().as_str()), (Exit::Done, ""));
    }

    #[test]
    fn a_full_disk_is_worth_another_try() {
        let failure = Failure::io("write the file", Path::new("x"), &io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit, Exit::TryAgain);
        assert!(failure.to_string().starts_with("error: cannot write the file: x: "));
    }
}
