//! The write-ahead log as it was left.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Store;
use super::error::{Cause, Result, StoreError};
use super::place::with_end;

/// Bytes that are written anew at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// The log of a database: beside its file, wherever a link leads.
pub(super) fn path_of(database: &Path) -> PathBuf {
    with_end(&std::fs::canonicalize(database).unwrap_or_else(|_| database.to_owned()), "-wal")
}

/// Whether whoever had the database open before left anything in its log.
pub(super) fn was_left(database: &Path) -> bool {
    std::fs::metadata(path_of(database)).is_ok_and(|log| log.len() > 0)
}

impl Store {
    /// Writes what is in the log once more, and makes it durable. A daemon that a failed sync has ended may have left there
    /// what never came to the disk, and what the kernel takes for written all the same: a later sync would leave it out, and
    /// with the next power cut everything after it were lost.
    ///
    /// # Errors
    /// Another connection writes, or the disk fails.
    pub(super) fn write_log_anew(&self) -> Result<()> {
        // Nobody else writes to the log meanwhile.
        self.execute("begin a transaction", "BEGIN IMMEDIATE", [])?;
        let path = path_of(&self.path);
        let written = write_anew(&path)
            .map_err(|error| StoreError::io("write the database's log", &path, &error))
            .and_then(|log| {
                let failed = |error: io::Error| {
                    StoreError::new("write the database's log", &path, Cause::Sync, error.to_string())
                };
                log.sync_data().map_err(failed)
            });
        self.execute("end a transaction", "ROLLBACK", [])?;
        written
    }
}

fn write_anew(path: &Path) -> io::Result<File> {
    let log = OpenOptions::new().read(true).write(true).open(path)?;
    let (mut piece, mut offset) = (vec![0; PIECE_BYTES], 0);
    loop {
        let count = log.read_at(&mut piece, offset)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else { return Ok(log) };
        log.write_all_at(read, offset)?;
        offset += read.len() as u64;
    }
}
