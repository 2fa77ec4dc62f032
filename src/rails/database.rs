//! The engine's database, as ActiveRecord writes it to SQLite: times as text in UTC, booleans as 0 and 1 (or f and t
//! before Rails 6), `configuration` as JSON.

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row};
use std::path::{Path, PathBuf};

use super::ImportError;
use crate::limits;
use crate::pipeline::{Access, open_foreign};
use crate::store::APPLICATION_ID;
use crate::time::Wall;

/// A database of the engine, opened for reading.
#[derive(Debug)]
pub struct Rails {
    connection: Connection,
    path: PathBuf,
    /// What stands before the names of its tables.
    prefix: String,
}

/// A row of one of the two tables, nothing of it judged.
#[derive(Debug)]
pub(super) struct Cells {
    pub(super) id: i64,
    columns: &'static [&'static str],
    values: Vec<Value>,
}

const FLOWS: &str = "data_flows";
const RUNS: &str = "data_flow_runs";
/// Without their ids.
const FLOW_COLUMNS: &[&str] = &[
    "name",
    "description",
    "enabled",
    "configuration",
    "run_interval",
    "last_run_at",
    "last_run_status",
    "created_at",
    "updated_at",
];
const RUN_COLUMNS: &[&str] = &[
    "data_flow_id",
    "status",
    "started_at",
    "ended_at",
    "error_message",
    "error_backtrace",
    "created_at",
    "updated_at",
];

impl Rails {
    /// Opens the database and looks for the engine's tables.
    ///
    /// # Errors
    /// It cannot be read, or is not the engine's; a sentence that says what would be right.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let refused = |why: String| ImportError::Rails(format!("{}: {why}", path.display()));
        let failed = |error: rusqlite::Error| refused(words(&error));
        let connection = open_foreign(path, Access::Read).map_err(failed)?;
        connection.busy_timeout(limits::LOCK_WAIT).map_err(failed)?;
        let application = "SELECT application_id FROM pragma_application_id";
        if connection.query_row(application, [], |row| row.get::<_, i64>(0)).map_err(failed)?
            == APPLICATION_ID
        {
            return Err(refused("it is a database of heartbeatd itself".to_owned()));
        }
        let prefixes = prefixes(&connection).map_err(failed)?;
        let prefix = match prefixes.as_slice() {
            [prefix] => prefix.clone(),
            [] => {
                return Err(refused(format!(
                    "it has no tables {FLOWS} and {RUNS}, with or without a prefix"
                )));
            }
            [first, second, ..] => {
                return Err(refused(format!(
                    "it has the engine's tables more than once ({first}{FLOWS}, {second}{FLOWS}): rename those that are not meant"
                )));
            }
        };
        let rails = Self { connection, path: path.to_owned(), prefix };
        rails.needs(FLOWS, FLOW_COLUMNS)?;
        rails.needs(RUNS, RUN_COLUMNS)?;
        Ok(rails)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every flow, by id.
    ///
    /// # Errors
    /// The database cannot be read, or `take` fails.
    pub(super) fn flows(
        &self,
        take: impl FnMut(&Cells) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        self.each(FLOWS, FLOW_COLUMNS, take)
    }

    /// Every run, by id.
    ///
    /// # Errors
    /// The database cannot be read, or `take` fails.
    pub(super) fn runs(
        &self,
        take: impl FnMut(&Cells) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        self.each(RUNS, RUN_COLUMNS, take)
    }

    fn each(
        &self,
        table: &str,
        columns: &'static [&'static str],
        mut take: impl FnMut(&Cells) -> Result<(), ImportError>,
    ) -> Result<(), ImportError> {
        let table = format!("{}{table}", self.prefix);
        let sql = format!("SELECT id, {} FROM \"{table}\" ORDER BY id", columns.join(", "));
        let failed = |error: rusqlite::Error| self.refused(&format!("{table}: {}", words(&error)));
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let values = (1..=columns.len()).map(|column| value(row, column));
            let values = values.collect::<rusqlite::Result<_>>().map_err(failed)?;
            take(&Cells { id: row.get(0).map_err(failed)?, columns, values })?;
        }
        Ok(())
    }

    fn needs(&self, table: &str, columns: &[&str]) -> Result<(), ImportError> {
        let table = format!("{}{table}", self.prefix);
        let names = self
            .connection
            .prepare("SELECT name FROM pragma_table_xinfo(?1)")
            .and_then(|mut statement| {
                statement.query_map([&table], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()
            })
            .map_err(|error| self.refused(&words(&error)))?;
        let missing: Vec<&str> =
            columns.iter().copied().filter(|column| !names.iter().any(|name| name == column)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.refused(&format!(
            "{table} has no column {}: is it of another version of the engine?",
            missing.join(", ")
        )))
    }

    fn refused(&self, why: &str) -> ImportError {
        ImportError::Rails(format!("{}: {why}", self.path.display()))
    }
}

impl Cells {
    pub(super) fn value(&self, column: &str) -> &Value {
        let place = self.columns.iter().position(|name| *name == column);
        place.and_then(|place| self.values.get(place)).unwrap_or(&Value::Null)
    }

    /// A value as it can be told.
    pub(super) fn shown(&self, column: &str) -> String {
        shown(self.value(column))
    }

    pub(super) fn text(&self, column: &str) -> Result<&str, String> {
        match self.value(column) {
            Value::Text(text) => Ok(text),
            _ => Err(format!("{column} {} is no text", self.shown(column))),
        }
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<&str>, String> {
        if *self.value(column) == Value::Null { Ok(None) } else { self.text(column).map(Some) }
    }

    /// A time as ActiveRecord writes it, in UTC.
    pub(super) fn time(&self, column: &str) -> Result<Wall, String> {
        self.text(column).ok().and_then(Wall::parse_sql).ok_or_else(|| {
            let shown = self.shown(column);
            format!("{column} {shown} is no time as Rails writes it: 2025-11-17 10:30:00.123456")
        })
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Wall>, String> {
        if *self.value(column) == Value::Null { Ok(None) } else { self.time(column).map(Some) }
    }
}

/// What stands before each pair of the two tables.
fn prefixes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT substr(flows.name, 1, length(flows.name) - length(?1))
               FROM sqlite_schema AS flows JOIN sqlite_schema AS runs
                 ON runs.name = substr(flows.name, 1, length(flows.name) - length(?1)) || ?2
               WHERE flows.type = 'table' AND runs.type = 'table'
                 AND (flows.name = ?1 OR substr(flows.name, -1 - length(?1)) = '_' || ?1)
                 AND flows.name NOT GLOB '*[^A-Za-z0-9_]*'
               ORDER BY 1";
    connection.prepare(sql)?.query_map([FLOWS, RUNS], |row| row.get(0))?.collect()
}

/// A value; bytes that are not UTF-8, such as a program's message about binary data, are text as far as they can be.
fn value(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned())
        }
        value => Value::try_from(value)?,
    })
}

fn words(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => "it is not a SQLite database".to_owned(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            "another program writes to it: stop the Rails application, or copy the database with sqlite3's .backup".to_owned()
        }
        _ => error.to_string(),
    }
}

/// A value as it can be told.
pub(super) fn shown(value: &Value) -> String {
    let shown = match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("`{text}`"),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    };
    match shown.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &shown[..cut]),
        None => shown,
    }
}
