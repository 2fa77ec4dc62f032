//! A consistent copy, also while a daemon writes; and whether the database is whole.

use rusqlite::{OpenFlags, params};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Cause, Result, StoreError};
use super::{Store, connect};
use crate::limits;

impl Store {
    /// Copies the database at `source` as it is at one moment to `target`, which is replaced only by a whole copy that is on
    /// the disk. Holds nobody up: a writer goes on meanwhile.
    ///
    /// # Errors
    /// The database is damaged or cannot be read; `target` is the database itself or cannot be written.
    pub fn back_up(source: &Path, target: &Path) -> Result<()> {
        if is_same_file(source, target) {
            let reason = "it is the database itself";
            return Err(StoreError::new("write the backup", target, Cause::Foreign, reason));
        }
        let store = Self::open_to_read(source)?;
        let copy = beside(target);
        let _left_by_one_that_was_cut_short = fs::remove_file(&copy);
        let written = store.copy_to(&copy).and_then(|()| put_in_place(&copy, target));
        if written.is_err() {
            let _best_effort = fs::remove_file(&copy);
        }
        written
    }

    fn copy_to(&self, copy: &Path) -> Result<()> {
        // A connection of its own: a reader's may not write, not even elsewhere.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(&self.path, flags)?;
        let failed = |error: &rusqlite::Error| StoreError::sqlite("copy the database", &self.path, error);
        connection.busy_timeout(limits::LOCK_WAIT).map_err(|error| failed(&error))?;
        let Some(name) = copy.to_str() else {
            let reason = "its path is not UTF-8";
            return Err(StoreError::new("write the backup", copy, Cause::Io, reason));
        };
        connection.execute("VACUUM INTO ?1", params![name]).map_err(|error| failed(&error))?;
        Ok(())
    }

    /// What is wrong with the database, in SQLite's words; nothing where it is whole. Reads all of it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn damage(&self) -> Result<Vec<String>> {
        let operation = "check the database";
        let mut found =
            self.query_all(operation, "PRAGMA integrity_check(20)", [], |row| row.get::<_, String>(0))?;
        found.retain(|line| line != "ok");
        let orphans = self.query_all(operation, "PRAGMA foreign_key_check", [], |row| {
            let (table, row_id): (String, Option<i64>) = (row.get(0)?, row.get(1)?);
            Ok(format!("row {} of {table} belongs to nothing", row_id.unwrap_or(0)))
        })?;
        found.extend(orphans.into_iter().take(20));
        Ok(found)
    }
}

fn put_in_place(copy: &Path, target: &Path) -> Result<()> {
    let failed = |error: &std::io::Error| StoreError::io("write the backup", target, error);
    let synced = File::open(copy).and_then(|file| file.sync_all());
    synced.and_then(|()| fs::rename(copy, target)).map_err(|error| failed(&error))?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}

fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
