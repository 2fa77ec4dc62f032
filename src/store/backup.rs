//! A consistent copy, also while a daemon writes; and whether the database is whole.

use rusqlite::{OpenFlags, params};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::error::{Cause, Result, StoreError};
use super::place::{folder_of, with_end};
use super::{APPLICATION_ID, Store, connect, is_locked_by_us};
use crate::limits;

/// What is said of a failure on the copy's side: whoever asked can name another file.
const WRITE: &str = "write the backup";
/// The header of a database up to the end of its application id (<https://www.sqlite.org/fileformat.html>).
const HEAD_BYTES: u64 = 72;
/// The database, and what SQLite and the daemon keep beside it by its name.
const OF_THE_DATABASE: [&str; 6] = ["", "-wal", "-shm", "-journal", ".lock", ".children"];

/// Whether a copy is cut short. Locked while its file is made, so that none comes after it was thrown away.
#[derive(Debug, Default)]
pub struct Cut(Mutex<bool>);

impl Store {
    /// Copies the database at `source` as it is at one moment to `target`, which is replaced only by a whole copy that is on
    /// the disk. Holds nobody up: a writer goes on meanwhile. The copy's size in bytes.
    ///
    /// # Errors
    /// It is cut short; the database is damaged or cannot be read; or, see [`StoreError::is_of_backup_target`], `target` is the
    /// database itself, another file than a copy, or cannot be written.
    pub fn back_up(source: &Path, target: &Path, cut: &Cut) -> Result<u64> {
        let copy = beside(target);
        if [target, &copy].iter().any(|path| belongs_to(source, path)) {
            let reason = "it is the database itself, or a file that belongs to it";
            return Err(StoreError::new(WRITE, target, Cause::Foreign, reason));
        }
        let failed = |error: &io::Error| StoreError::io(WRITE, target, error);
        if let Some(reason) = in_the_way(target).map_err(|error| failed(&error))? {
            return Err(StoreError::new(WRITE, target, Cause::Foreign, reason));
        }
        let store = Self::open_to_read(source)?;
        let file = cut.make(&copy, source).map_err(|error| failed(&error))?;
        let written = store.copy_to(&copy, target).and_then(|()| {
            put_in_place(&file, &copy, target).map_err(|error| failed(&error))?;
            Ok(file.metadata().map_or(0, |file| file.len()))
        });
        if written.is_err() && is_still(&file, &copy) {
            let _best_effort = fs::remove_file(&copy);
        }
        written
    }

    /// Throws away what [`Store::back_up`] has written so far: where it is cut short, or still goes on, no target takes
    /// its place.
    pub fn drop_backup(source: &Path, target: &Path, cut: &Cut) {
        let copy = beside(target);
        let mut is_cut = cut.0.lock().unwrap_or_else(PoisonError::into_inner);
        *is_cut = true;
        // The copy may be about to be refused.
        if !belongs_to(source, &copy) {
            let _whole_already_or_not_begun = fs::remove_file(copy);
        }
    }

    pub(super) fn copy_to(&self, copy: &Path, target: &Path) -> Result<()> {
        // A connection of its own: a reader's may not write, not even elsewhere.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(&self.path, flags | OpenFlags::SQLITE_OPEN_URI)?;
        let failed = |error: &rusqlite::Error| {
            let error = StoreError::sqlite("copy the database", &self.path, error);
            // Only the copy needs room.
            let is_of_copy = matches!(error.cause, Cause::Full | Cause::ReadOnly);
            if is_of_copy { StoreError { operation: WRITE, path: target.to_owned(), ..error } } else { error }
        };
        let Some(name) = copy.to_str() else {
            return Err(StoreError::new(WRITE, target, Cause::Io, "its path is not UTF-8"));
        };
        connection
            .busy_timeout(limits::LOCK_WAIT)
            .and_then(|()| connection.pragma_update(None, "cache_size", -limits::PAGE_CACHE_KIB))
            .and_then(|()| connection.execute("VACUUM INTO ?1", params![only_if_it_is_there(name)]))
            .map_err(|error| failed(&error))?;
        // What is damaged can often be copied all the same, and would take the place of a copy that is whole.
        let verdict = connect(copy, flags).and_then(|copy| {
            let verdict = copy.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
            verdict.map_err(|error| failed(&error))
        })?;
        if verdict != "ok" {
            let reason = format!("it is damaged, and so would be its copy: {verdict}");
            return Err(StoreError::new("copy the database", &self.path, Cause::Corrupt, reason));
        }
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

impl StoreError {
    /// Whether a backup failed for what its target is, and not for the database.
    pub fn is_of_backup_target(&self) -> bool {
        self.operation == WRITE
    }
}

/// Why a file that is there is not replaced: a slip of the pen must not cost a secret, or a database of somebody else.
fn in_the_way(target: &Path) -> io::Result<Option<&'static str>> {
    match fs::metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(file) if !file.is_file() => return Ok(Some("it is there and is no regular file")),
        // A flow's, which is not even to be opened.
        Ok(file) if is_locked_by_us(&file)? => return Ok(Some("a database that is in use is there")),
        _ => {}
    }
    let mut head = Vec::new();
    File::open(target)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    let application_id = APPLICATION_ID.to_be_bytes();
    let is_copy = head.starts_with(b"SQLite format 3\0") && head.ends_with(application_id.split_at(4).1);
    Ok((!head.is_empty() && !is_copy).then_some("a file that is no copy of a heartbeatd's database is there"))
}

impl Cut {
    /// An empty file of our own that only those can read who can read the database. VACUUM INTO takes it.
    fn make(&self, copy: &Path, source: &Path) -> io::Result<File> {
        let is_cut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_cut {
            return Err(io::Error::other("it is cut short"));
        }
        let _left_by_one_that_was_cut_short = fs::remove_file(copy);
        let mode = fs::metadata(source)?.mode() & 0o666;
        OpenOptions::new().write(true).create_new(true).mode(mode).open(copy)
    }
}

/// As a URI (<https://www.sqlite.org/uri.html>): by its plain name SQLite would make the file anew where it was thrown away.
fn only_if_it_is_there(file: &str) -> String {
    let path = file.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let begin = if path.starts_with('/') { "file://" } else { "file:" };
    format!("{begin}{path}?mode=rw")
}

fn put_in_place(file: &File, copy: &Path, target: &Path) -> io::Result<()> {
    file.sync_all()?;
    if !is_still(file, copy) {
        return Err(io::Error::other("something else came into its place meanwhile, such as another backup"));
    }
    fs::rename(copy, target)?;
    File::open(folder_of(target)).and_then(|folder| folder.sync_all())
}

/// Whether `path` is still this file.
fn is_still(file: &File, path: &Path) -> bool {
    let found = fs::symlink_metadata(path).map(|found| identity(&found)).ok();
    found.is_some() && found == file.metadata().map(|file| identity(&file)).ok()
}

/// Whether a path is the database or one of its files: the same file, or the place of one that is not there just now.
fn belongs_to(database: &Path, path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|file| identity(&file)).ok();
    let (found, place) = (file(path), place(path));
    OF_THE_DATABASE.iter().any(|end| {
        let own = with_end(database, end);
        (found.is_some() && found == file(&own)) || (place.is_some() && place == self::place(&own))
    })
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Folder and name, whether or not there is a file.
fn place(path: &Path) -> Option<(PathBuf, OsString)> {
    Some((folder_of(path).canonicalize().ok()?, path.file_name()?.to_owned()))
}

fn beside(target: &Path) -> PathBuf {
    with_end(target, ".new")
}
