//! The `sqlite` source: rows of a table or query that others write, in the order of a column that only grows.
//!
//! Rows that share a value of that column are told apart by their rowid. A query's rows have none: those of the last value
//! are counted instead, in the order of all their columns, so they must not change.

use rusqlite::types::Value as Bound;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Value as Json, json};
use std::borrow::Cow;

use super::{Progress, Room, Source, Take};
use crate::flow::{self, ErrorKind};
use crate::limits;
use crate::pipeline::files::Files;
use crate::pipeline::record::{At, Place, Record, Value, Yielded};
use crate::pipeline::sql::{self, Access, Deadline, failure, quoted};
use crate::pipeline::{Failure, Result};

/// A table or query of a database.
#[derive(Debug)]
pub(in crate::pipeline) struct SqliteSource {
    settings: flow::SqliteSource,
    /// With how its rows are told apart.
    open: Option<(Connection, Ties)>,
    deadline: Deadline,
}

/// How rows with one value of the cursor column are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ties {
    /// By their rowid.
    Rowid,
    /// By counting, in the order of so many columns.
    Count { columns: usize },
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
struct Position {
    /// The last value of the cursor column.
    value: Bound,
    /// Of the last row; or how many rows with that value were read.
    tie: i64,
}

impl SqliteSource {
    pub(in crate::pipeline) fn new(settings: &flow::SqliteSource) -> Self {
        Self { settings: settings.clone(), open: None, deadline: Deadline::default() }
    }

    fn failure(&self, error: &rusqlite::Error) -> Failure {
        if sql::is_interrupted(error) {
            let seconds = limits::SOURCE_QUERY_TIME_MAX.as_secs();
            let help = "make an index on the cursor column, simplify the query, or make the batch smaller";
            return self.failure_of(&format!("reading a batch took longer than {seconds} s: {help}"));
        }
        failure(ErrorKind::Source, &self.settings.database.display().to_string(), error)
    }

    fn failure_of(&self, what: &str) -> Failure {
        Failure::source(format!("{}: {what}", self.settings.database.display()))
    }

    /// SQLite itself knows a rowid by the names of columns that are none.
    fn no_column(&self) -> Failure {
        let what =
            "VACUUM may change a rowid; name the INTEGER PRIMARY KEY, or another column that only grows";
        self.failure_of(&format!("there is no column `{}`: {what}", self.settings.cursor))
    }

    /// What is selected from.
    fn from(&self) -> String {
        match (&self.settings.table, &self.settings.query) {
            (Some(table), _) => quoted(table),
            // A comment at its end ends with the line.
            (None, query) => {
                format!("({}\n)", query.as_deref().unwrap_or_default().trim_end_matches([';', ' ', '\n']))
            }
        }
    }

    fn connect(&self) -> Result<(Connection, Ties)> {
        let mut connection =
            sql::open(&self.settings.database, Access::Read).map_err(|error| self.failure(&error))?;
        self.deadline.bind(&mut connection).map_err(|error| self.failure(&error))?;
        self.deadline.set(limits::SOURCE_QUERY_TIME_MAX);
        let cursor = quoted(&self.settings.cursor);
        let select = format!("SELECT * FROM {} AS t WHERE {cursor} IS NULL LIMIT 1", self.from());
        let look = |connection: &Connection| -> rusqlite::Result<(bool, bool, usize)> {
            let mut statement = connection.prepare(&select)?;
            let columns = statement.column_count();
            let cursor = self.settings.cursor.as_str();
            let is_column = statement.column_names().any(|name| name.eq_ignore_ascii_case(cursor));
            Ok((is_column, statement.exists([])?, columns))
        };
        let (is_column, has_null, columns) = look(&connection).map_err(|error| self.failure(&error))?;
        if !is_column {
            return Err(self.no_column());
        }
        if has_null {
            let message = format!(
                "column `{}` is null in some rows, which would never be read: give them a value",
                self.settings.cursor
            );
            return Err(self.failure_of(&message));
        }
        let has_rowid = self.settings.table.is_some() && self.is_rowid_table(&connection)?;
        Ok((connection, if has_rowid { Ties::Rowid } else { Ties::Count { columns } }))
    }

    fn is_rowid_table(&self, connection: &Connection) -> Result<bool> {
        let query = "SELECT type = 'table' AND NOT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE NOCASE";
        let is_table = connection.query_row(query, [&self.settings.table], |row| row.get(0)).optional();
        let is_table: bool = is_table.map_err(|error| self.failure(&error))?.unwrap_or(false);
        // A column may have taken the name.
        let columns = "SELECT count(*) FROM pragma_table_xinfo(?1) WHERE name = '_rowid_' COLLATE NOCASE";
        let taken = connection.query_row(columns, [&self.settings.table], |row| row.get::<_, i64>(0));
        Ok(is_table && taken.map_err(|error| self.failure(&error))? == 0)
    }

    /// Its first column says of each row what tells it apart: the rowid, or whether it has the value that was read last.
    fn query(&self, ties: Ties, is_first: bool) -> String {
        let (from, cursor) = (self.from(), format!("t.{}", quoted(&self.settings.cursor)));
        match (ties, is_first) {
            (Ties::Rowid, true) => {
                format!("SELECT t._rowid_, t.* FROM {from} AS t ORDER BY {cursor}, t._rowid_ LIMIT ?3")
            }
            (Ties::Rowid, false) => format!(
                "SELECT t._rowid_, t.* FROM {from} AS t WHERE ({cursor}, t._rowid_) > (?1, ?2)
                 ORDER BY {cursor}, t._rowid_ LIMIT ?3"
            ),
            (Ties::Count { columns }, _) => {
                let others: Vec<String> = (2..=columns + 1).map(|number| number.to_string()).collect();
                let (is_tie, after) = if is_first {
                    ("0".to_owned(), String::new())
                } else {
                    (format!("{cursor} = ?1"), format!("WHERE {cursor} >= ?1"))
                };
                let others = others.join(", ");
                format!("SELECT {is_tie}, t.* FROM {from} AS t {after} ORDER BY {cursor}, {others} LIMIT ?3")
            }
        }
    }

    fn read_rows(
        &self,
        (connection, ties): (&Connection, Ties),
        mut position: Option<Position>,
        room: Room,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        let failed = |error: rusqlite::Error| self.failure(&error);
        let mut statement =
            connection.prepare_cached(&self.query(ties, position.is_none())).map_err(failed)?;
        let (value, before) = position.clone().map_or((Bound::Null, 0), |it| (it.value, it.tie));
        let to_skip = if ties == Ties::Rowid { 0 } else { before };
        let path = self.settings.database.to_string_lossy();
        let limit = i64::try_from(room.records).unwrap_or(i64::MAX).saturating_add(to_skip);
        let mut rows = statement.query(rusqlite::params![value, before, limit]).map_err(failed)?;
        // Known with the first row: where the table was changed meanwhile the statement is prepared anew by then.
        let mut known: Option<Vec<String>> = None;
        let (mut count, mut bytes, mut skipped) = (0, 0_u64, 0);
        let is_full = loop {
            if count >= room.records || bytes >= room.bytes as u64 {
                break true;
            }
            let Some(row) = rows.next().map_err(failed)? else { break false };
            let tie: i64 = row.get(0).map_err(failed)?;
            if ties != Ties::Rowid && tie == 1 && skipped < to_skip {
                skipped += 1;
                continue;
            }
            let names =
                known.get_or_insert_with(|| row.as_ref().column_names().skip(1).map(str::to_owned).collect());
            let (value, at) = self.cursor_of_row(row, names)?;
            let (yielded, length) = self.yielded(row, names)?;
            take(yielded, Place { path: &path, at: At::Cursor(&at) })?;
            let tie = match (ties, &position) {
                (Ties::Rowid, _) => tie,
                (Ties::Count { .. }, Some(before)) if tie == 1 || before.value == value => before.tie + 1,
                (Ties::Count { .. }, _) => 1,
            };
            position = Some(Position { value, tie });
            count += 1;
            bytes += length;
        };
        Ok(Progress { cursor: cursor_of(position.as_ref()), bytes, is_end: !is_full, ..Progress::default() })
    }

    /// A row's value of the cursor column, to compare with and to show.
    fn cursor_of_row(&self, row: &Row<'_>, names: &[String]) -> Result<(Bound, Value<'static>)> {
        let name = &self.settings.cursor;
        let Some(index) = names.iter().position(|other| other.eq_ignore_ascii_case(name)) else {
            return Err(self.no_column());
        };
        let value: Bound = row.get(index + 1).map_err(|error| self.failure(&error))?;
        let shown = match &value {
            Bound::Null => Value::Null,
            Bound::Integer(value) => Value::Integer(*value),
            Bound::Real(value) => Value::Real(*value),
            Bound::Text(value) => Value::Text(Cow::Owned(value.clone())),
            Bound::Blob(_) => {
                let what = format!("column `{name}` holds bytes, which have no place in a cursor");
                return Err(self.failure_of(&what));
            }
        };
        Ok((value, shown))
    }

    fn yielded<'r>(&self, row: &'r Row<'_>, names: &'r [String]) -> Result<(Yielded<'r>, u64)> {
        let mut fields: Vec<(Cow<'_, str>, Value<'_>)> = Vec::with_capacity(names.len());
        let (mut bad, mut length) = (None, 0_usize);
        for (index, name) in names.iter().enumerate() {
            let value = row.get_ref(index + 1).map_err(|error| self.failure(&error))?;
            length += value.as_bytes_or_null().ok().flatten().map_or(8, <[u8]>::len);
            match sql::value(name, value) {
                // As in a subquery: of two columns with one name the first counts.
                Ok(value) if !fields.iter().any(|(known, _)| known == name) => {
                    fields.push((Cow::Borrowed(name), value))
                }
                Ok(_) => {}
                Err(reason) => bad = Some(reason),
            }
        }
        if length > limits::RECORD_BYTES_MAX {
            bad = Some(format!("it has {length} bytes, more than {}", limits::RECORD_BYTES_MAX));
            fields.clear();
        }
        let yielded = match bad {
            None => Yielded::Record(Record { fields, json: None }),
            Some(reason) => Yielded::Malformed { text: Cow::Owned(format!("{fields:?}")), reason },
        };
        Ok((yielded, length as u64))
    }
}

impl Source for SqliteSource {
    fn read(
        &mut self,
        cursor: &Json,
        room: Room,
        _files: &dyn Files,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        let position = position_of(cursor).map_err(|reason| self.failure_of(&reason))?;
        let (connection, ties) = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        self.deadline.set(limits::SOURCE_QUERY_TIME_MAX);
        let deadline = self.deadline.clone();
        let mut take = |yielded: Yielded<'_>, place: Place<'_>| deadline.without(|| take(yielded, place));
        let read = self.read_rows((&connection, ties), position, room, &mut take);
        self.deadline.lift();
        if read.as_ref().err().is_none_or(|failure| failure.is_busy) {
            self.open = Some((connection, ties));
        }
        read
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        position_of(cursor).map(drop)
    }

    /// Where the database is there to be asked.
    fn warning(&self) -> Option<String> {
        let connection = sql::open(&self.settings.database, Access::Read).ok()?;
        let cursor = quoted(&self.settings.cursor);
        let query = format!(
            "EXPLAIN QUERY PLAN SELECT * FROM {} AS t WHERE {cursor} > ?1 ORDER BY {cursor} LIMIT 1",
            self.from()
        );
        let mut statement = connection.prepare(&query).ok()?;
        let mut steps = statement.query_map([Bound::Null], |row| row.get::<_, String>("detail")).ok()?;
        let sorts = steps.any(|step| step.is_ok_and(|step| step.contains("TEMP B-TREE")));
        let what = self.settings.table.as_deref().unwrap_or("query");
        sorts.then(|| {
            format!(
                "source sorts the whole {what} for each batch: make an index on `{}` in {}",
                self.settings.cursor,
                self.settings.database.display()
            )
        })
    }
}

/// As JSON: a real number as text, for JSON readers round it.
fn cursor_of(position: Option<&Position>) -> Json {
    let Some(Position { value, tie }) = position else { return Json::Null };
    let value = match value {
        Bound::Integer(value) => json!(value),
        Bound::Real(value) => json!({ "real": format!("{value:e}") }),
        Bound::Text(value) => json!(value),
        Bound::Null | Bound::Blob(_) => Json::Null,
    };
    json!({ "value": value, "tie": tie })
}

fn position_of(cursor: &Json) -> Result<Option<Position>, String> {
    let right = || {
        "a cursor of a sqlite source is null or {\"value\": V, \"tie\": N}: the last value of its column, and that row's rowid (of a query: how many rows with that value were read)".to_owned()
    };
    let Json::Object(members) = cursor else {
        return if cursor.is_null() { Ok(None) } else { Err(right()) };
    };
    let value = match members.get("value") {
        Some(Json::Number(number)) => number.as_i64().map(Bound::Integer),
        Some(Json::String(text)) => Some(Bound::Text(text.clone())),
        Some(Json::Object(real)) => {
            let text = real.get("real").and_then(Json::as_str);
            text.and_then(|text| text.parse().ok()).map(Bound::Real)
        }
        _ => None,
    };
    let tie = members.get("tie").and_then(Json::as_i64);
    match (value, tie) {
        (Some(value), Some(tie)) if members.len() == 2 => Ok(Some(Position { value, tie })),
        _ => Err(right()),
    }
}
