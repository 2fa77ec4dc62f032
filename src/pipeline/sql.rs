//! The one function that opens databases of others, what their errors mean, and how values go in and out.

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ffi};
use rustix::time::{ClockId, clock_gettime};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::functions;
use super::record::Value;
use super::{Failure, Result};
use crate::flow::ErrorKind;

/// What is to be done with a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read it, as it may be written by others meanwhile.
    Read,
    /// Write it.
    Write,
    /// Write it, and make it if it is missing.
    Make,
    /// Nothing but memory of its own.
    Memory,
}

/// Steps of SQLite's machine from one look at the clock to the next: some microseconds.
const STEPS_PER_LOOK: i32 = 1000;

/// When the statements of a connection must be over.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadline(Arc<Mutex<Option<Instant>>>);

impl Deadline {
    /// Makes a connection keep to it.
    pub(super) fn bind(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let deadline = self.clone();
        functions::bind(connection, self)?;
        connection.progress_handler(STEPS_PER_LOOK, Some(move || deadline.is_over()))
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self) -> bool {
        self.guard().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// So long from now.
    pub(super) fn set(&self, time_max: Duration) {
        *self.guard() = Some(Instant::now() + time_max);
    }

    /// Never, as far as it is concerned.
    pub(super) fn lift(&self) {
        *self.guard() = None;
    }

    /// Does something whose time does not count. It is done for each record, so by a clock that is cheap to read and goes in
    /// steps: of many short acts some seem to take none, and some a whole step.
    pub(super) fn without<T>(&self, act: impl FnOnce() -> T) -> T {
        let start = in_steps();
        let done = act();
        let took = in_steps().saturating_sub(start);
        if !took.is_zero()
            && let Some(deadline) = self.guard().as_mut()
        {
            *deadline += took;
        }
        done
    }

    fn guard(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_steps() -> Duration {
    Duration::try_from(clock_gettime(ClockId::MonotonicCoarse)).unwrap_or_default()
}

/// Page cache of a connection, in KiB.
const CACHE_KIB: i64 = 1024;

/// Opens a database that is not ours. It is not trusted, and nobody is waited for.
pub(crate) fn open(path: &Path, access: Access) -> rusqlite::Result<Connection> {
    let mode = match access {
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Make => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        // With names as URIs, by which ATTACH is told to read only.
        Access::Memory => {
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_URI
        }
    };
    let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // "text" in double quotes is a name and never text: a slip is told of.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute_batch(&format!("PRAGMA cache_size = -{CACHE_KIB}; PRAGMA temp_store = MEMORY;"))?;
    Ok(connection)
}

/// A path as a URI that SQLite opens for reading only.
pub(super) fn read_only_uri(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte))
            }
            _ => drop(write!(uri, "%{byte:02X}")),
        }
    }
    uri + "?mode=ro"
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name that is one column with one before it: SQL takes no note of capitals.
pub(super) fn twin<S: AsRef<str>>(names: &[S]) -> Option<&str> {
    let is_twin = |(index, name): &(usize, &S)| {
        names.iter().take(*index).any(|other| other.as_ref().eq_ignore_ascii_case(name.as_ref()))
    };
    names.iter().enumerate().find(is_twin).map(|(_, name)| name.as_ref())
}

/// A failure of SQLite's on `what`.
pub(super) fn failure(kind: ErrorKind, what: &str, error: &rusqlite::Error) -> Failure {
    Failure { is_busy: is_busy(error), ..Failure::new(kind, format!("{what}: {}", reason(error))) }
}

/// SQLite's own words, without the statement.
pub(super) fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::MultipleStatement => "there is more than one statement".to_owned(),
        other => other.to_string(),
    }
}

fn code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code & 0xff)
}

/// Whether another program holds the database.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(code(error), Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED | ffi::SQLITE_PROTOCOL))
}

/// Whether one record was refused, and others may be taken. What an expression of a check, an index or a trigger cannot
/// compute is plainly an error; so is a statement that is wrong for whatever record.
pub(super) fn is_refusal(error: &rusqlite::Error) -> bool {
    if matches!(error, rusqlite::Error::SqlInputError { .. }) {
        return false;
    }
    let refusals = [ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH, ffi::SQLITE_TOOBIG, ffi::SQLITE_ERROR];
    code(error).is_some_and(|code| refusals.contains(&code))
}

/// Whether the progress handler ended a statement.
pub(super) fn is_interrupted(error: &rusqlite::Error) -> bool {
    code(error) == Some(ffi::SQLITE_INTERRUPT)
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Boolean(value) => ValueRef::Integer(i64::from(*value)),
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) | Self::Json(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A value that SQLite gives.
///
/// # Errors
/// A text that is not UTF-8, as a sentence about `name`.
#[inline]
pub(super) fn value<'r>(name: &str, value: ValueRef<'r>) -> Result<Value<'r>, String> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(Cow::Borrowed(text)),
            Err(_) => return Err(format!("{name} holds text that is not UTF-8")),
        },
        ValueRef::Blob(bytes) => Value::Blob(Cow::Borrowed(bytes)),
    })
}
