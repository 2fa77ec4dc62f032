//! What can go wrong with the store: what failed, on which path, why, what to do, and whether trying again helps.

use rusqlite::ffi;
use rusqlite::types::{FromSqlError, Type};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

/// What a failure means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The disk or the database's own limit is reached.
    Full,
    /// Another connection holds the database.
    Busy,
    /// Another process owns it.
    Owned,
    /// It cannot be written.
    ReadOnly,
    /// This user may not have it.
    Denied,
    /// A constraint refused one event; the others are not concerned.
    Constraint,
    /// The disk failed, or the path cannot be used.
    Io,
    /// A sync failed: a second one that succeeds proves nothing, since the kernel may have dropped the pages.
    Sync,
    /// SQLite reports damage.
    Corrupt,
    /// Not a database of this program.
    Foreign,
    /// A database of a later version.
    Newer,
    /// Anything else: a mistake in this program.
    Internal,
}

/// A failure of the store.
#[derive(Clone, Debug)]
pub struct StoreError {
    /// What was attempted, as a phrase: `commit`, `open the database`.
    pub operation: &'static str,
    /// On which file.
    pub path: PathBuf,
    /// What it means.
    pub cause: Cause,
    /// SQLite's or the system's own words.
    pub reason: String,
}

/// The result of a call on the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(super) fn new(operation: &'static str, path: &Path, cause: Cause, reason: impl Into<String>) -> Self {
        Self { operation, path: path.to_owned(), cause, reason: reason.into() }
    }

    pub(super) fn sqlite(operation: &'static str, path: &Path, error: &rusqlite::Error) -> Self {
        Self::new(operation, path, cause_of(error), error.to_string())
    }

    pub(super) fn io(operation: &'static str, path: &Path, error: &std::io::Error) -> Self {
        let cause = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Cause::Full,
            std::io::ErrorKind::ReadOnlyFilesystem => Cause::ReadOnly,
            _ => Cause::Io,
        };
        Self::new(operation, path, cause, error.to_string())
    }

    /// Whether the same call may succeed later with nothing changed but the circumstances.
    pub const fn may_succeed_later(&self) -> bool {
        matches!(
            self.cause,
            Cause::Full | Cause::Busy | Cause::Owned | Cause::ReadOnly | Cause::Denied | Cause::Io
        )
    }

    /// Whether it is nobody's mistake and passes: a daemon that finds its database so serves degraded until then.
    pub const fn passes(&self) -> bool {
        matches!(self.cause, Cause::Full | Cause::Busy | Cause::ReadOnly)
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.cause {
            _ if self.is_of_backup_target() => {
                "name a new file, or an older copy, in a folder that can be written, with room for the whole database"
            }
            Cause::Full => "free some space; a running daemon then goes on by itself",
            Cause::Busy => {
                "let the program that holds the database (a sqlite3 shell, a backup) finish; a running daemon then goes on by itself"
            }
            Cause::Owned => {
                "a heartbeatd that runs has it: `heartbeatd status` tells of that one; stop it to go on here"
            }
            Cause::ReadOnly => "make the file and its folder writable for this user",
            Cause::Denied => "run heartbeatd as its owner, or give it to this user (chown)",
            Cause::Constraint => "this event was refused alone; please report it with the log",
            Cause::Io => "check the path and the disk (dmesg, smartctl)",
            Cause::Sync => "the disk failed to keep what was written: check it (dmesg), then start again",
            Cause::Corrupt => {
                "restore a backup, or save what is left with `sqlite3 FILE .recover`; nothing was changed"
            }
            Cause::Foreign => "set `database` to a file of heartbeatd's own; a missing file is made",
            Cause::Newer => "install the heartbeatd that wrote it, or a later one; nothing was changed",
            Cause::Internal => "please report it with the log",
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}: {}", self.operation, self.path.display(), self.reason)
    }
}

impl std::error::Error for StoreError {}

/// SQLite's result codes (<https://www.sqlite.org/rescode.html>) by what they mean here.
fn cause_of(error: &rusqlite::Error) -> Cause {
    let failure = match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure,
        // Our tables are strict and our texts UTF-8: only damage puts anything else there.
        rusqlite::Error::Utf8Error(..) => return Cause::Corrupt,
        // Where one row is asked for, a constraint keeps it there, or it is a sum.
        rusqlite::Error::QueryReturnedNoRows => return Cause::Corrupt,
        rusqlite::Error::InvalidColumnType(_, _, found) if *found != Type::Null => return Cause::Corrupt,
        rusqlite::Error::FromSqlConversionFailure(_, _, failed)
            if failed.is::<FromSqlError>() || failed.is::<Utf8Error>() =>
        {
            return Cause::Corrupt;
        }
        _ => return Cause::Internal,
    };
    match failure.extended_code {
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC => return Cause::Sync,
        _ => {}
    }
    match failure.extended_code & 0xff {
        ffi::SQLITE_FULL => Cause::Full,
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL => Cause::Busy,
        ffi::SQLITE_READONLY => Cause::ReadOnly,
        ffi::SQLITE_CONSTRAINT => Cause::Constraint,
        ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_NOMEM => Cause::Io,
        ffi::SQLITE_CORRUPT => Cause::Corrupt,
        ffi::SQLITE_NOTADB => Cause::Foreign,
        _ => Cause::Internal,
    }
}
