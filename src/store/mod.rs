//! The one file of state. The only SQL on our own database stands in this folder.
//!
//! Architecture invariants: one process writes, by an advisory lock; nothing here waits for another connection
//! (`busy_timeout` is 0, trying again is the caller's timer); no time is read here, it comes in as an argument.

mod alerts;
mod backup;
mod calendars;
mod claim;
mod cursors;
mod error;
mod flows;
mod glance;
mod heartbeats;
mod history;
mod import;
mod lock;
mod log_file;
mod metrics;
mod migrate;
mod operate;
mod own_locks;
mod place;
mod retention;
mod runs;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use alerts::{Alert, AlertFigures, AlertKind, OpenAlert};
pub use backup::Cut;
pub use claim::{Claim, NewRun};
pub use error::{Cause, Result, StoreError};
pub use flows::{Applied, DueCounts, DueFlow, Flow, Horizon};
pub use glance::{FlowDay, RunLine, RunLines, RunMark, Standing};
pub use heartbeats::{Heartbeat, HeartbeatFilter, ListedHeartbeat};
pub use history::{Run, RunFilter, RunSummary};
pub use import::{Imported, ImportedFlow, ImportedRun};
pub use metrics::{FlowState, FlowStates};
pub use migrate::APPLICATION_ID;
pub use operate::{FlowCounts, LastHeartbeat, OpenCounts};
pub use own_locks::is_locked_by_us;
pub use retention::{Kept, Size};
pub use runs::{InterruptedRun, PendingRun, Then};

pub use crate::config::Durability;
use crate::limits;
use crate::time::Wall;
use lock::DatabaseLock;

/// Identifies a data flow for as long as the database lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub i64);

/// Identifies a data flow run for as long as the database lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub i64);

/// The mode of files that are made here: outputs, and what flows are told in their environment, are nobody else's business.
const PRIVATE_MODE: u32 = 0o600;
/// A page of a new database: a run changes some bytes in each of a dozen pages, and all of each is written.
const PAGE_BYTES: u32 = 1024;

/// A database that this process owns, open or not.
#[derive(Clone, Debug)]
pub struct Owned {
    path: PathBuf,
    lock: DatabaseLock,
}

impl Owned {
    /// Makes the database this process's own, trying for so long.
    ///
    /// # Errors
    /// Another process owns it, its path cannot be used, or it is another user's.
    pub fn take(path: &Path, wait: Duration) -> Result<Self> {
        if path.is_dir() {
            return Err(StoreError::new("open the database", path, Cause::Foreign, "it is a folder"));
        }
        if let Some(denial) = place::denial(path) {
            return Err(denial);
        }
        Ok(Self { path: path.to_owned(), lock: DatabaseLock::take(path, wait)? })
    }
}

/// Our database, open.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    /// Rows that had been changed when the transaction began.
    changes_before: u64,
    /// None: opened for reading only.
    _lock: Option<DatabaseLock>,
}

impl Store {
    /// Opens the database as its owner, making it if it is missing; `new_instance` becomes a new database's id.
    ///
    /// # Errors
    /// Another process owns it, it is not ours, newer, damaged, or its path cannot be used.
    pub fn open(path: &Path, durability: Durability, new_instance: u128, now: Wall) -> Result<Self> {
        let owned = Owned::take(path, limits::LOCK_WAIT)?;
        Self::open_owned(&owned, durability, new_instance, limits::LOCK_WAIT, now)
    }

    /// Opens a database that this process owns already. Other programs may hold it up for `wait`.
    ///
    /// # Errors
    /// It is held, not ours, newer, damaged, or cannot be written.
    pub fn open_owned(
        owned: &Owned,
        durability: Durability,
        new_instance: u128,
        wait: Duration,
        now: Wall,
    ) -> Result<Self> {
        let Owned { path, lock } = owned.clone();
        // SQLite tells of it as of a file that cannot be opened, which is no reason to wait.
        if is_read_only(&path) {
            let reason = "its file system is read-only";
            return Err(StoreError::new("open the database", &path, Cause::ReadOnly, reason));
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        make_private(&path);
        let log_was_left = log_file::was_left(&path);
        let store = Self { connection: connect(&path, flags)?, path, changes_before: 0, _lock: Some(lock) };
        store.wait_for_locks(wait)?;
        // Judged before the first pragma: some of them write, and what is refused is not touched.
        let is_new = migrate::is_new(&store.connection, &store.path)?;
        store.configure(durability, is_new)?;
        if log_was_left {
            store.write_log_anew()?;
        }
        migrate::migrate(&store.connection, &store.path)?;
        let insert = "INSERT OR IGNORE INTO instance (singleton, id, created_at) VALUES (1, ?1, ?2)";
        let id = format!("{new_instance:032x}");
        store.execute("note the database's id", insert, rusqlite::params![id, now.as_millis()])?;
        store.wait_for_locks(Duration::ZERO)?;
        Ok(store)
    }

    /// An empty database in memory, where the one at `path` cannot be opened yet: there is something to ask, and nothing to
    /// find.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn stand_in(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY;
        let connection = connect(Path::new(":memory:"), flags)?;
        migrate::migrate(&connection, path)?;
        let store = Self { connection, path: path.to_owned(), changes_before: 0, _lock: None };
        let insert = "INSERT INTO instance (singleton, id, created_at) VALUES (1, printf('%032d', 0), 0)";
        store.execute("note that it stands in", insert, [])?;
        Ok(store)
    }

    fn wait_for_locks(&self, at_most: Duration) -> Result<()> {
        let set = self.connection.busy_timeout(at_most);
        set.map_err(|error| StoreError::sqlite("set up the database", &self.path, &error))
    }

    /// Opens the database to read it beside its owner.
    ///
    /// # Errors
    /// It is missing, not ours, newer, damaged, or another user's.
    pub fn open_to_read(path: &Path) -> Result<Self> {
        Self::open_reader(path).map_err(|error| match error.cause {
            Cause::Io | Cause::ReadOnly => place::denial(path).unwrap_or(error),
            _ => error,
        })
    }

    fn open_reader(path: &Path) -> Result<Self> {
        // Not SQLITE_OPEN_READ_ONLY: a reader of a WAL database may have to make its shared-memory file.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(path, flags)?;
        let store = Self { connection, path: path.to_owned(), changes_before: 0, _lock: None };
        store.wait_for_locks(limits::LOCK_WAIT)?;
        migrate::check_readable(&store.connection, path)?;
        let restricted = store.connection.execute_batch("PRAGMA query_only = ON");
        restricted.map_err(|error| StoreError::sqlite("read the database", path, &error))?;
        Ok(store)
    }

    fn configure(&self, durability: Durability, is_new: bool) -> Result<()> {
        let synchronous = match durability {
            Durability::Full => "FULL",
            Durability::Normal => "NORMAL",
        };
        // They count only before the first table is made, and one would write at every start; the rest is for each connection.
        let format = if is_new {
            format!("PRAGMA page_size = {PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL;")
        } else {
            String::new()
        };
        let pragmas = format!(
            "{format} PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous};
             PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -{}; PRAGMA cache_spill = -{};
             PRAGMA journal_size_limit = {}; PRAGMA temp_store = MEMORY;",
            limits::PAGE_CACHE_KIB,
            limits::PAGES_IN_HAND_KIB,
            limits::JOURNAL_SIZE_LIMIT_BYTES,
        );
        self.connection
            .execute_batch(&pragmas)
            .map_err(|error| StoreError::sqlite("set up the database", &self.path, &error))
    }

    /// The database's own id, which a copy of it shares.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn id(&self) -> Result<String> {
        self.query_one("read the database's id", "SELECT id FROM instance", [], |row| row.get(0))
    }

    /// This database and no copy of it: its own id with the device and inode of its file.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn instance(&self) -> Result<String> {
        use std::os::unix::fs::MetadataExt;
        let id = self.id()?;
        let file = std::fs::metadata(&self.path)
            .map_err(|error| StoreError::io("look at the database's file", &self.path, &error))?;
        Ok(format!("{id}-{:x}-{:x}", file.dev(), file.ino()))
    }

    /// The database's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins the transaction of a tick.
    ///
    /// # Errors
    /// Another connection writes, or the disk fails.
    pub fn begin(&mut self) -> Result<()> {
        assert!(!self.has_transaction(), "a tick has one transaction");
        self.execute("begin a transaction", "BEGIN IMMEDIATE", [])?;
        self.changes_before = self.connection.total_changes();
        Ok(())
    }

    /// Another number whenever another connection has written meanwhile.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn version(&self) -> Result<i64> {
        self.query_one("look whether others have written", "PRAGMA data_version", [], |row| row.get(0))
    }

    /// Commits it: with [`Durability::Full`] it is on the disk when this returns.
    ///
    /// # Errors
    /// Nothing of it is kept; [`Cause::Sync`] means that the process must end.
    pub fn commit(&mut self) -> Result<()> {
        assert!(self.has_transaction(), "there is a transaction to commit");
        self.execute("commit", "COMMIT", []).map(drop)
    }

    /// Drops it, if there is one: SQLite itself rolls back after some errors.
    pub fn roll_back(&mut self) {
        if self.has_transaction()
            && let Err(error) = self.execute("roll back", "ROLLBACK", [])
        {
            log::error!("{error}");
        }
        assert!(!self.has_transaction(), "what is dropped is not kept by a later commit");
    }

    /// Writes a row as it is, within the transaction: only writing shows whether the disk takes anything.
    ///
    /// # Errors
    /// It does not.
    pub fn probe(&mut self) -> Result<()> {
        self.execute("write to the database", "UPDATE instance SET created_at = created_at", []).map(drop)
    }

    /// Whether a transaction is open.
    pub fn has_transaction(&self) -> bool {
        !self.connection.is_autocommit()
    }

    /// Makes a change in a transaction of its own: all of it is on the disk when this returns, or nothing.
    ///
    /// # Errors
    /// Those of `change`; or the transaction cannot begin or be committed.
    pub fn in_transaction<T, E: From<StoreError>>(
        &mut self,
        change: impl FnOnce(&mut Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.begin()?;
        match change(self) {
            Ok(changed) => {
                self.commit()?;
                Ok(changed)
            }
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// Runs one event of a tick in a savepoint: what it changed is kept whole, or dropped alone.
    ///
    /// # Errors
    /// Those of `event`; if the transaction itself was lost, the error is never [`Cause::Constraint`].
    pub fn in_savepoint<T>(&mut self, event: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.is_unchanged() {
            return self.first_of_transaction(event);
        }
        self.execute("begin an event", "SAVEPOINT event", [])?;
        let outcome = event(self);
        if outcome.is_err() && self.has_transaction() {
            self.execute("drop an event", "ROLLBACK TO event", [])?;
        }
        if self.has_transaction() {
            self.execute("end an event", "RELEASE event", [])?;
        }
        outcome
    }

    /// SQLite copies each page that changes after a savepoint, and goes through the copies with each statement: a claim of many
    /// runs, which comes first, is spared that.
    fn first_of_transaction<T>(&mut self, event: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let outcome = event(self);
        if outcome.is_err() && self.has_transaction() {
            self.roll_back();
            self.begin()?;
        }
        outcome
    }

    /// Whether a transaction is open in which nothing has been written yet.
    fn is_unchanged(&self) -> bool {
        self.has_transaction() && self.connection.total_changes() == self.changes_before
    }

    fn execute(&self, operation: &'static str, sql: &str, params: impl rusqlite::Params) -> Result<usize> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| StoreError::sqlite(operation, &self.path, &error))
    }

    fn query_one<T>(
        &self,
        operation: &'static str,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, read))
            .map_err(|error| StoreError::sqlite(operation, &self.path, &error))
    }

    fn query_optional<T>(
        &self,
        operation: &'static str,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        use rusqlite::OptionalExtension;
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, read).optional())
            .map_err(|error| StoreError::sqlite(operation, &self.path, &error))
    }

    fn query_all<T>(
        &self,
        operation: &'static str,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(params, read)?.collect())
            .map_err(|error| StoreError::sqlite(operation, &self.path, &error))
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let failed = |error: &rusqlite::Error| StoreError::sqlite("open the database", path, error);
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(&error))?;
    // The loop never waits for a lock: trying again is a timer.
    connection.busy_timeout(Duration::ZERO).map_err(|error| failed(&error))?;
    connection.set_prepared_statement_cache_capacity(64);
    // Otherwise a statement is prepared anew whenever a value is bound that a partial index might depend on.
    let stable_plans = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true);
    stable_plans.map_err(|error| failed(&error))?;
    Ok(connection)
}

/// Makes an empty file for a new database: SQLite would make one that all can read, and gives its log the same mode. One that
/// is there keeps its mode, and is not even opened: its locks would go with the descriptor (fcntl(2)).
fn make_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    // What keeps it from being made keeps SQLite as well, which says so.
    let _there_already = options.write(true).create_new(true).mode(PRIVATE_MODE).open(path);
}

fn is_read_only(path: &Path) -> bool {
    let mount = rustix::fs::statvfs(place::folder_of(path));
    mount.is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn wall(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Wall> {
    row.get(column).map(Wall::from_millis)
}

fn optional_wall(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Wall>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Wall::from_millis))
}

#[cfg(test)]
mod tests;
