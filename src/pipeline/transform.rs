//! Transforms: each is one `SELECT` over the table `batch`, in a database in memory of its own.
//!
//! Architecture invariant: a statement reads its batch and what was attached for it, for a bounded time, within bounded
//! memory, and touches nothing else: an authorizer says so of every part of it, when the flow is loaded and at each run.

mod judge;

use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{CachedStatement, Connection};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::record::Record;
use super::sql::{self, Access, Deadline, failure, quoted};
use super::{Failure, Result, clock};
use crate::flow::{ErrorKind, KindFault, Pipeline, Transform};
use crate::limits;
use judge::{judge, judge_statement, missing_columns, names_of};

/// The name of what a transform reads.
const BATCH: &str = "batch";
/// The column that holds a record as JSON.
const RECORD: &str = "record";
/// A column that no author names: a statement that reads it says `*`.
const ANY: &str = "any column of the batch";

/// The transforms of a flow, one after the other.
#[derive(Debug)]
pub(super) struct Transforms {
    stages: Vec<Stage>,
    time_max: Duration,
    deadline: Deadline,
}

/// Why the transforms of a flow cannot be prepared.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) fault: KindFault,
    /// Another program holds a database that is attached: they may be right all the same.
    pub(super) is_busy: bool,
}

/// Why a statement cannot be.
struct Why {
    message: String,
    is_busy: bool,
}

impl From<rusqlite::Error> for Why {
    fn from(error: rusqlite::Error) -> Self {
        Self { message: sql::reason(&error), is_busy: sql::is_busy(&error) }
    }
}

impl From<String> for Why {
    fn from(message: String) -> Self {
        Self { message, is_busy: false }
    }
}

/// One transform.
#[derive(Debug)]
struct Stage {
    /// From 1.
    number: usize,
    connection: Connection,
    sql: String,
    columns: Columns,
}

/// The columns of `batch`.
#[derive(Debug, Default)]
struct Columns {
    /// As they were named first; none differs from another in case only.
    names: Vec<String>,
    /// Where each of them is, by its name in lower case: records may each have other names, or another order.
    places: BTreeMap<String, usize>,
    /// Whether the statement says `*`: then each name that comes is a column.
    takes_any: bool,
    /// `INSERT` with a parameter for each name.
    insert: String,
}

/// Takes what a transform yields, or why that is no record.
type Each<'e> = dyn FnMut(Result<Record<'_>, String>) -> Result<()> + 'e;

impl Transforms {
    /// Opens and prepares the transforms of a flow.
    pub(super) fn new(pipeline: &Pipeline) -> Result<Self, Unfit> {
        let deadline = Deadline::default();
        let stage = |(index, transform)| Stage::new(index + 1, transform, &deadline);
        let stages = pipeline.transforms.iter().enumerate().map(stage).collect::<Result<_, _>>()?;
        Ok(Self { stages, time_max: Duration::from_millis(pipeline.transform_time_max_ms), deadline })
    }

    pub(super) fn is_none(&self) -> bool {
        self.stages.is_empty()
    }

    /// Takes another time for now, as RFC 3339 writes it.
    pub(super) fn set_now(&self, now: &str) -> Result<()> {
        self.stages.iter().try_for_each(|stage| {
            clock::set(&stage.connection, now).map_err(|error| failed(stage.number, &error))
        })
    }

    /// What will be slow, a sentence each.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.stages.iter().flat_map(Stage::warnings).collect()
    }

    /// An empty batch.
    pub(super) fn begin(&mut self) -> Result<Filling<'_>> {
        match self.stages.first_mut() {
            Some(stage) => stage.begin(),
            None => unreachable!("a batch is made for a transform"),
        }
    }

    /// Runs them all over the batch; how many records come out.
    pub(super) fn run(&mut self, each: &mut Each<'_>) -> Result<()> {
        let deadline = self.deadline.clone();
        deadline.set(self.time_max);
        // How long a sink takes is not the statement's fault.
        let ran = run(&mut self.stages, &mut |record| deadline.without(|| each(record)));
        deadline.lift();
        ran
    }
}

fn run(stages: &mut [Stage], each: &mut Each<'_>) -> Result<()> {
    match stages {
        [] => Ok(()),
        [last] => last.run(each),
        [stage, next, ..] => {
            let mut filling = next.begin()?;
            stage.run(&mut |record| match record {
                Ok(record) => match filling.add(&record)? {
                    None => Ok(()),
                    Some(reason) => each(Err(reason)),
                },
                Err(reason) => each(Err(reason)),
            })?;
            drop(filling);
            run(&mut stages[1..], each)
        }
    }
}

impl Stage {
    fn new(number: usize, transform: &Transform, deadline: &Deadline) -> Result<Self, Unfit> {
        let unfit = |key: &str, why: Why, help: &str| {
            let (key, help) = (Some(format!("transform.{number}.{key}")), Some(help.to_owned()));
            Unfit { fault: KindFault { key, message: why.message, help }, is_busy: why.is_busy }
        };
        let set_up = |error: rusqlite::Error| unfit("sql", Why::from(error), "please report it");
        let mut connection = sql::open(Path::new(""), Access::Memory).map_err(set_up)?;
        let mut is_complete = true;
        for (name, path) in &transform.attach {
            // Made by another flow, perhaps, and not there yet.
            let uri = if path.exists() {
                sql::read_only_uri(path)
            } else {
                is_complete = false;
                ":memory:".to_owned()
            };
            let attached = connection.execute(&format!("ATTACH ?1 AS {}", quoted(name)), [uri]);
            attached.map_err(|error| {
                let why = Why::from(error);
                let message = format!("cannot attach {}: {}", path.display(), why.message);
                unfit("attach", Why { message, ..why }, "name a database that can be read")
            })?;
        }
        let memory = i32::try_from(limits::TRANSFORM_VALUE_BYTES_MAX).unwrap_or(i32::MAX);
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, memory),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
        ] {
            // What is attached already stays so.
            connection.set_limit(limit, value).map_err(set_up)?;
        }
        // Of the process as a whole; beside this, SQLite takes some MiB here.
        let heap = format!("PRAGMA hard_heap_limit = {}", limits::SQL_MEMORY_BYTES_MAX);
        connection.execute_batch(&heap).map_err(set_up)?;
        deadline.bind(&mut connection).map_err(set_up)?;
        let columns = Columns::default();
        let mut stage = Self { number, connection, sql: transform.sql.clone(), columns };
        match stage.learn() {
            Ok(()) => Ok(stage),
            Err(why) if !is_complete && why.message.starts_with("no such table: ") => Ok(stage),
            Err(why) => {
                Err(unfit("sql", why, "write one SELECT over batch, as in SELECT sensor, value FROM batch"))
            }
        }
    }

    /// Finds out which columns of the batch the statement reads, and judges it.
    fn learn(&mut self) -> Result<(), Why> {
        self.columns = Columns::named([ANY.to_owned()]);
        let read = loop {
            self.make_table()?;
            match self.judge() {
                Ok(read) => break read,
                // A column that the batch lacks is NULL.
                Err(why) => {
                    let name =
                        missing_columns(&why.message).find(|name| self.columns.position(name).is_none());
                    match name {
                        Some(name) => self.columns.push(name.to_owned()),
                        None => return Err(why),
                    }
                }
            }
        };
        let names = std::mem::take(&mut self.columns.names);
        let kept = names.into_iter().filter(|name| name != ANY && read.contains(name));
        self.columns = Columns { takes_any: read.contains(ANY), ..Columns::named(kept) };
        self.make_table()?;
        self.judge().map(drop)
    }

    fn make_table(&mut self) -> Result<(), Why> {
        let columns = &mut self.columns;
        columns.insert = columns.insertion();
        let list = columns.list();
        self.connection.flush_prepared_statement_cache();
        let _none = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let made = self
            .connection
            .execute_batch(&format!("DROP TABLE IF EXISTS main.batch; CREATE TABLE main.batch ({list})"));
        Ok(made?)
    }

    /// Prepares the statement under the authorizer; the columns of the batch that it reads.
    fn judge(&mut self) -> Result<BTreeSet<String>, Why> {
        let read = Arc::new(Mutex::new(BTreeSet::new()));
        let noted = Arc::clone(&read);
        let denied = Arc::new(Mutex::new(None));
        let told = Arc::clone(&denied);
        let hook = move |context: AuthContext<'_>| match judge(&context) {
            Ok(column) => {
                if let Some(column) = column {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).insert(column);
                }
                Authorization::Allow
            }
            Err(why) => {
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                Authorization::Deny
            }
        };
        self.connection.authorizer(Some(hook))?;
        let judged = self.connection.prepare(&self.sql).map_err(Why::from);
        let judged = judged.and_then(|statement| judge_statement(&statement).map_err(Why::from));
        let _none = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        if let Some(why) = denied.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Why::from(why));
        }
        judged?;
        Ok(std::mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn begin(&mut self) -> Result<Filling<'_>> {
        // One transaction for the batch; none while the statement runs, which would hold up who writes what is attached.
        let begin = if self.connection.is_autocommit() {
            "BEGIN; DELETE FROM main.batch"
        } else {
            "DELETE FROM main.batch"
        };
        self.connection.execute_batch(begin).map_err(|error| failed(self.number, &error))?;
        let insert = prepare(&self.connection, &self.columns.insert, self.number)?;
        let record = self.columns.position(RECORD);
        let (number, connection, columns) = (self.number, &self.connection, &mut self.columns);
        let (slots, taken) = (Vec::new(), BTreeSet::new());
        Ok(Filling { number, connection, columns, insert, slots, taken, record })
    }

    fn run(&mut self, each: &mut Each<'_>) -> Result<()> {
        let number = self.number;
        let failed = |error: &rusqlite::Error| failed(number, error);
        if !self.connection.is_autocommit() {
            self.connection.execute_batch("COMMIT").map_err(|error| failed(&error))?;
        }
        let mut statement = prepare(&self.connection, &self.sql, number)?;
        let mut rows = statement.query([]).map_err(|error| failed(&error))?;
        // Known with the first row: a batch that brought a new name has the statement prepared anew by then.
        let mut known: Option<Vec<String>> = None;
        while let Some(row) = rows.next().map_err(|error| failed(&error))? {
            let names = match known {
                Some(ref names) => names,
                None => known.insert(names_of(row.as_ref()).map_err(|why| {
                    Failure::new(ErrorKind::Transform, format!("transform {number} {why}"))
                })?),
            };
            let mut fields = Vec::with_capacity(names.len());
            let mut bad = None;
            for (index, name) in names.iter().enumerate() {
                let value = row.get_ref(index).map_err(|error| failed(&error))?;
                match sql::value(name, value) {
                    Ok(value) => fields.push((Cow::Borrowed(name.as_str()), value)),
                    Err(reason) => bad = Some(reason),
                }
            }
            each(match bad {
                None => Ok(Record { fields, json: None }),
                Some(reason) => Err(reason),
            })?;
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let explained = self.connection.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql));
        let Ok(mut statement) = explained else { return warnings };
        let steps = statement.query_map([], |row| row.get::<_, String>("detail"));
        for step in steps.into_iter().flatten().flatten() {
            let number = self.number;
            let scanned = step.strip_prefix("SCAN ").filter(|table| !table.starts_with(BATCH));
            if step.contains("USING AUTOMATIC") || scanned.is_some_and(|_| step.contains("LEFT-JOIN")) {
                warnings.push(format!("transform[{number}] makes an index for each batch ({step}): make it once, in that database"));
            } else if step.contains("USE TEMP B-TREE FOR ORDER BY") {
                warnings.push(format!("transform[{number}] sorts each batch ({step}): a sink keeps no order that a reader may rely on"));
            }
        }
        warnings
    }
}

/// A batch that is being filled.
pub(super) struct Filling<'s> {
    number: usize,
    connection: &'s Connection,
    columns: &'s mut Columns,
    insert: CachedStatement<'s>,
    /// For each field of a record by its place the name there and the column that it goes to.
    slots: Vec<(String, Option<usize>)>,
    /// The columns of all slots.
    taken: BTreeSet<usize>,
    /// The column of the whole record, if the statement reads it.
    record: Option<usize>,
}

impl Filling<'_> {
    /// Adds a record; why it cannot be, if it cannot.
    pub(super) fn add(&mut self, record: &Record<'_>) -> Result<Option<String>> {
        let number = self.number;
        for (place, (name, _)) in record.fields.iter().enumerate() {
            if self.slots.get(place).is_none_or(|(known, _)| known != name) {
                self.learn(place, name)?;
            }
        }
        let failed = |error: rusqlite::Error| failed(number, &error);
        self.insert.clear_bindings();
        for ((_, value), (_, column)) in record.fields.iter().zip(&self.slots) {
            if let Some(column) = column {
                self.insert.raw_bind_parameter(column + 1, value).map_err(failed)?;
            }
        }
        if let Some(column) = self.record {
            let mut text = Vec::new();
            match &record.json {
                Some(json) => self.insert.raw_bind_parameter(column + 1, json.as_ref()).map_err(failed)?,
                None => {
                    if let Err(why) = super::render::json_line(record, &BTreeMap::new(), &mut text) {
                        return Ok(Some(why));
                    }
                    let text = String::from_utf8_lossy(&text);
                    self.insert.raw_bind_parameter(column + 1, text.trim_end()).map_err(failed)?;
                }
            }
        }
        self.insert.raw_execute().map_err(failed)?;
        Ok(None)
    }

    /// Finds the column for the field at this place.
    fn learn(&mut self, place: usize, name: &str) -> Result<()> {
        while self.slots.len() > place {
            if let Some((_, Some(column))) = self.slots.pop() {
                self.taken.remove(&column);
            }
        }
        let column = match self.columns.position(name) {
            _ if name.eq_ignore_ascii_case(RECORD) => None,
            None if self.columns.takes_any => Some(self.add_column(name)?),
            column => column,
        };
        // Of two names that differ in case only, the second is reachable through the whole record.
        let column = column.filter(|column| self.taken.insert(*column));
        self.slots.push((name.to_owned(), column));
        Ok(())
    }

    fn add_column(&mut self, name: &str) -> Result<usize> {
        let number = self.number;
        if self.columns.names.len() >= limits::RECORD_FIELDS_MAX {
            let max = limits::RECORD_FIELDS_MAX;
            let message = format!(
                "transform {number} says * of records with more than {max} different names: name the columns"
            );
            return Err(Failure::new(ErrorKind::Transform, message));
        }
        let column = quoted(name);
        let change = if self.columns.names.is_empty() {
            format!("DROP TABLE main.batch; CREATE TABLE main.batch ({column})")
        } else {
            format!("ALTER TABLE main.batch ADD COLUMN {column}")
        };
        self.connection.execute_batch(&change).map_err(|error| failed(number, &error))?;
        self.columns.push(name.to_owned());
        self.columns.insert = self.columns.insertion();
        self.insert = prepare(self.connection, &self.columns.insert, number)?;
        Ok(self.columns.names.len() - 1)
    }
}

impl Columns {
    fn named(names: impl IntoIterator<Item = String>) -> Self {
        let mut columns = Self::default();
        names.into_iter().for_each(|name| columns.push(name));
        columns
    }

    fn push(&mut self, name: String) {
        self.places.entry(name.to_ascii_lowercase()).or_insert(self.names.len());
        self.names.push(name);
    }

    /// A table has a column, be it one that nobody reads.
    fn list(&self) -> String {
        match &*self.names {
            [] => quoted(RECORD),
            names => names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
        }
    }

    fn insertion(&self) -> String {
        let parameters = vec!["?"; self.names.len().max(1)].join(", ");
        format!("INSERT INTO main.batch ({}) VALUES ({parameters})", self.list())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.places.get(&name.to_ascii_lowercase()).copied()
    }
}

fn prepare<'c>(connection: &'c Connection, sql: &str, number: usize) -> Result<CachedStatement<'c>> {
    connection.prepare_cached(sql).map_err(|error| failed(number, &error))
}

fn failed(number: usize, error: &rusqlite::Error) -> Failure {
    let what = format!("transform {number}");
    if sql::is_interrupted(error) {
        let message = format!(
            "{what} took longer than transform_time_max allows for a batch: simplify it, or make the batch smaller"
        );
        return Failure::new(ErrorKind::Transform, message);
    }
    failure(ErrorKind::Transform, &what, error)
}

#[cfg(test)]
mod tests;
