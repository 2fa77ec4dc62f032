//! The `sqlite` sink: a table, and the cursor in the same database, moved in the same transaction.

use rusqlite::{Connection, OptionalExtension, params_from_iter};
use std::collections::BTreeMap;
use std::path::Path;

use super::{Carried, Committed, Sink, State, Written};
use crate::flow::{self, ErrorKind, Field, FieldType, Mode};
use crate::pipeline::files::Files;
use crate::pipeline::record::{Record, Value};
use crate::pipeline::sql::{self, Access, failure, quoted, twin};
use crate::pipeline::{Failure, Owner, Result};
use crate::store;

/// Where the states of all flows stand that write to a database. An owner is a heartbeatd's database by its id: boxes
/// that write to one target do not take each other's cursors.
const MAKE_CURSORS: &str = "CREATE TABLE IF NOT EXISTS heartbeatd_cursors (
  owner TEXT NOT NULL, flow TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (owner, flow)) WITHOUT ROWID";
const READ_STATE: &str = "SELECT state FROM heartbeatd_cursors WHERE owner = ?1 AND flow = ?2";
const KEEP_STATE: &str = "INSERT INTO heartbeatd_cursors (owner, flow, state) VALUES (?1, ?2, ?3)
  ON CONFLICT (owner, flow) DO UPDATE SET state = excluded.state";

/// A table of a database.
#[derive(Debug)]
pub(in crate::pipeline) struct SqliteSink {
    settings: flow::SqliteSink,
    fields: BTreeMap<String, Field>,
    owner: Owner,
    connection: Option<Connection>,
    /// The table's columns; none: there is no such table yet.
    columns: Option<Vec<String>>,
    /// The columns of the record before, which most often are those of the next.
    shape: Option<Shape>,
}

/// How records with these names are written.
#[derive(Debug)]
struct Shape {
    names: Vec<String>,
    /// Why they cannot be.
    objection: Option<String>,
    insert: String,
    /// Changes the row with the same key, where it differs; the same parameters.
    update: Option<String>,
    /// Where the key's values stand.
    key: Vec<usize>,
}

impl SqliteSink {
    pub(in crate::pipeline) fn new(
        settings: &flow::SqliteSink,
        fields: &BTreeMap<String, Field>,
        owner: &Owner,
    ) -> Self {
        let (settings, fields, owner) = (settings.clone(), fields.clone(), owner.clone());
        Self { settings, fields, owner, connection: None, columns: None, shape: None }
    }

    fn failure(&self, error: &rusqlite::Error) -> Failure {
        failure(ErrorKind::Sink, &format!("{}", self.settings.database.display()), error)
    }

    fn failure_of(&self, what: &str) -> Failure {
        Failure::sink(format!("{}: {what}", self.settings.database.display()))
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(|| self.failure_of("is not open"))
    }

    fn open(&mut self) -> Result<()> {
        let path = &self.settings.database;
        let is_new = !path.exists();
        if is_new && !self.settings.create {
            return Err(
                self.failure_of("there is no such database: make it, or set create = true under [sink]")
            );
        }
        if let Some(folder) = path.parent().filter(|_| is_new) {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| self.failure_of(&format!("its folder cannot be made: {error}")))?;
        }
        let access = if self.settings.create { Access::Make } else { Access::Write };
        let open = |path: &Path| -> rusqlite::Result<Connection> {
            let connection = sql::open(path, access)?;
            // A database that others made keeps the journal that they chose.
            let journal = if is_new { "PRAGMA journal_mode = WAL;" } else { "" };
            // A journal that is deleted to commit must stay so: dead letters are written after it. EXTRA syncs its folder,
            // and is FULL for a database with a WAL.
            connection
                .execute_batch(&format!("{journal} PRAGMA synchronous = EXTRA; PRAGMA foreign_keys = ON;"))?;
            Ok(connection)
        };
        let connection = open(path).map_err(|error| self.failure(&error))?;
        let id: i64 = connection
            .query_row("PRAGMA application_id", [], |row| row.get(0))
            .map_err(|error| self.failure(&error))?;
        if id == store::APPLICATION_ID {
            return Err(self.failure_of("is a database of heartbeatd's own: name another"));
        }
        self.connection = Some(connection);
        Ok(())
    }

    /// Begins the transaction, and makes the table of cursors.
    fn begin_transaction(&mut self) -> Result<()> {
        if self.connection.is_none() {
            self.open()?;
        }
        let connection = self.connection()?;
        let begun =
            connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| connection.execute_batch(MAKE_CURSORS));
        begun.map_err(|error| self.failure(&error))?;
        if self.columns.is_none() {
            self.columns = self.columns_of_table()?;
        }
        if self.columns.is_none() && !self.settings.create {
            let table = &self.settings.table;
            return Err(self.failure_of(&format!(
                "there is no table `{table}`: make it, or set create = true under [sink]"
            )));
        }
        Ok(())
    }

    /// The columns that can be written.
    fn columns_of_table(&self) -> Result<Option<Vec<String>>> {
        let query = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0";
        let read = |connection: &Connection| -> rusqlite::Result<Vec<String>> {
            connection.prepare(query)?.query_map([&self.settings.table], |row| row.get(0))?.collect()
        };
        let columns = read(self.connection()?).map_err(|error| self.failure(&error))?;
        Ok(Some(columns).filter(|columns| !columns.is_empty()))
    }

    /// Makes the table for records with these names.
    fn make_table(&mut self, names: &[String]) -> Result<()> {
        let column = |name: &String| {
            let kind = self.fields.get(name).map(|field| field.kind);
            format!("{} {}", quoted(name), kind.map_or("", column_type)).trim_end().to_owned()
        };
        let mut parts: Vec<String> = names.iter().map(column).collect();
        if !self.settings.key.is_empty() {
            let key: Vec<String> = self.settings.key.iter().map(|name| quoted(name)).collect();
            parts.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        let statement = format!("CREATE TABLE {} ({})", quoted(&self.settings.table), parts.join(", "));
        let made = self.connection()?.execute_batch(&statement);
        made.map_err(|error| self.failure(&error))?;
        self.columns = self.columns_of_table()?;
        Ok(())
    }

    /// How this record is written, learnt anew where its names are not those of the one before.
    fn learn(&mut self, record: &Record<'_>) -> Result<()> {
        let names = || record.fields.iter().map(|(name, _)| name.as_ref());
        if self.shape.as_ref().is_some_and(|shape| shape.names.iter().map(String::as_str).eq(names())) {
            return Ok(());
        }
        let names: Vec<String> = names().map(str::to_owned).collect();
        let key_is_there =
            self.settings.key.iter().all(|key| names.iter().any(|name| name.eq_ignore_ascii_case(key)));
        if self.columns.is_none() && key_is_there && twin(&names).is_none() && !names.is_empty() {
            self.make_table(&names)?;
        }
        let known = self.columns.as_deref().unwrap_or_default();
        self.shape = Some(Shape::new(&self.settings, known, names));
        Ok(())
    }

    fn written(&self, record: &Record<'_>, shape: &Shape) -> rusqlite::Result<Written> {
        let Some(connection) = &self.connection else { return Err(rusqlite::Error::InvalidQuery) };
        let values = || params_from_iter(record.fields.iter().map(|(_, value)| value));
        if connection.prepare_cached(&shape.insert)?.execute(values())? > 0 {
            return Ok(Written::New);
        }
        let changed = match &shape.update {
            Some(update) => connection.prepare_cached(update)?.execute(values())?,
            None => 0,
        };
        Ok(if changed > 0 { Written::Updated } else { Written::Skipped })
    }
}

const fn column_type(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text | FieldType::Timestamp | FieldType::Json => "TEXT",
        FieldType::Integer | FieldType::Boolean => "INTEGER",
        FieldType::Real => "REAL",
    }
}

impl Shape {
    fn new(settings: &flow::SqliteSink, known: &[String], names: Vec<String>) -> Self {
        let place = |name: &String| names.iter().position(|other| other.eq_ignore_ascii_case(name));
        let table = quoted(&settings.table);
        let unknown = names.iter().find(|name| !known.iter().any(|column| column.eq_ignore_ascii_case(name)));
        let missing = settings.key.iter().find(|key| place(key).is_none());
        let objection = match (twin(&names), unknown, missing) {
            _ if names.is_empty() => Some("it has no fields".to_owned()),
            (Some(name), ..) => {
                Some(format!("two of its fields are one column: `{name}` differs from another in case only"))
            }
            (_, _, Some(key)) => Some(format!("it has no `{key}`, which is part of the key")),
            (_, Some(name), _) => Some(format!(
                "table `{}` has no column `{name}`: add it, or leave it out by a transform",
                settings.table
            )),
            (None, None, None) => None,
        };
        let key: Vec<usize> = settings.key.iter().filter_map(place).collect();
        let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let parameters: Vec<String> = (1..=names.len()).map(|number| format!("?{number}")).collect();
        let conflict = match settings.mode {
            Mode::Insert => String::new(),
            Mode::Ignore | Mode::Upsert if settings.key.is_empty() => " ON CONFLICT DO NOTHING".to_owned(),
            Mode::Ignore | Mode::Upsert => {
                let key: Vec<String> = settings.key.iter().map(|name| quoted(name)).collect();
                format!(" ON CONFLICT ({}) DO NOTHING", key.join(", "))
            }
        };
        let insert = format!(
            "INSERT INTO {table} ({}) VALUES ({}){conflict}",
            columns.join(", "),
            parameters.join(", ")
        );
        let others: Vec<usize> = (0..names.len()).filter(|index| !key.contains(index)).collect();
        let update = (settings.mode == Mode::Upsert && !others.is_empty()).then(|| {
            let each = |indices: &[usize], operator: &str, between: &str| {
                let part = |index: &usize| format!("{} {operator} ?{}", quoted(&names[*index]), index + 1);
                indices.iter().map(part).collect::<Vec<_>>().join(between)
            };
            let (set, same, differs) = (
                each(&others, "=", ", "),
                each(&key, "=", " AND "),
                each(&others, "COLLATE BINARY IS NOT", " OR "),
            );
            format!("UPDATE {table} SET {set} WHERE {same} AND ({differs})")
        });
        Self { names, objection, insert, update, key }
    }
}

impl Sink for SqliteSink {
    fn begin(&mut self, _recorded: Option<&State>, _files: &dyn Files) -> Result<State> {
        self.begin_transaction()?;
        self.read_state()
    }

    fn write(&mut self, record: &Record<'_>) -> Result<Written> {
        self.learn(record)?;
        let Some(shape) = &self.shape else { return Err(self.failure_of("no statement for a record")) };
        if let Some(objection) = &shape.objection {
            return Ok(Written::Rejected(objection.clone()));
        }
        // NULL equals nothing: such a record would be new each time that it is read.
        if let Some(index) =
            shape.key.iter().find(|index| matches!(record.fields.get(**index), Some((_, Value::Null))))
        {
            return Ok(Written::Rejected(format!(
                "`{}`, which is part of the key, is null",
                shape.names[*index]
            )));
        }
        match self.written(record, shape) {
            Ok(written) => Ok(written),
            // A constraint may be declared to roll everything back.
            Err(error) if sql::is_refusal(&error) && !self.connection()?.is_autocommit() => {
                Ok(Written::Rejected(sql::reason(&error)))
            }
            Err(error) => Err(self.failure(&error)),
        }
    }

    fn commit(&mut self, state: State, _files: &dyn Files) -> Result<Committed> {
        let text = serde_json::to_string(&state).map_err(|error| self.failure_of(&error.to_string()))?;
        let commit = |connection: &Connection| -> rusqlite::Result<()> {
            connection.prepare_cached(KEEP_STATE)?.execute([
                &self.owner.database_id,
                &self.owner.flow,
                &text,
            ])?;
            connection.execute_batch("COMMIT")
        };
        commit(self.connection()?).map_err(|error| self.failure(&error))?;
        Ok(Committed::Durable)
    }

    fn carry_out(&mut self, _files: &dyn Files) -> Result<Carried> {
        Err(self.failure_of("nothing was announced"))
    }

    fn keeps_its_state(&self) -> bool {
        true
    }

    fn roll_back(&mut self) {
        // A table that was made with the batch is gone with it: what is known of it is read anew.
        self.shape = None;
        self.columns = None;
        self.connection.take_if(|connection| {
            !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err()
        });
    }

    fn set_state(&mut self, state: &State, files: &dyn Files) -> Result<bool> {
        self.begin(None, files)?;
        self.commit(state.clone(), files).map(|_| true)
    }

    fn state(&self, _recorded: Option<&State>) -> Result<Option<State>> {
        if !self.settings.database.exists() {
            return Ok(None);
        }
        let connection =
            sql::open(&self.settings.database, Access::Read).map_err(|error| self.failure(&error))?;
        let is_there = "SELECT count(*) FROM sqlite_schema WHERE name = 'heartbeatd_cursors'";
        let is_there: i64 =
            connection.query_row(is_there, [], |row| row.get(0)).map_err(|error| self.failure(&error))?;
        if is_there == 0 { Ok(None) } else { self.read_state_from(&connection) }
    }
}

impl SqliteSink {
    fn read_state(&self) -> Result<State> {
        self.read_state_from(self.connection()?).map(Option::unwrap_or_default)
    }

    fn read_state_from(&self, connection: &Connection) -> Result<Option<State>> {
        let text = connection
            .prepare_cached(READ_STATE)
            .and_then(|mut read| {
                read.query_row([&self.owner.database_id, &self.owner.flow], |row| row.get::<_, String>(0))
                    .optional()
            })
            .map_err(|error| self.failure(&error))?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| {
                self.failure_of(&format!(
                    "what heartbeatd_cursors holds of flow {} is not ours: {error}",
                    self.owner.flow
                ))
            })
        };
        text.map(read).transpose()
    }
}
