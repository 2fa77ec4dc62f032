//! A database's file, its folder and its neighbours, and whether this user may have them.

use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::{Cause, StoreError};

/// The folder that a file is in.
pub(super) fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The file beside this one whose name goes on with `end`.
pub(super) fn with_end(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// Says of which part of a database its owner must read and write, or make, this user may not. SQLite tells all of these
/// as a file that cannot be opened, or that is read-only, which is a disk's failure as well.
pub(super) fn denial(database: &Path) -> Option<StoreError> {
    let real = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    // SQLite's own are where a link leads.
    let parts = [(database, ""), (database, ".lock"), (&real, "-wal"), (&real, "-shm")];
    let parts = parts.map(|(file, end)| with_end(file, end));
    parts.iter().find_map(|part| match part.exists() {
        true => denial_of(part, Access::READ_OK | Access::WRITE_OK),
        false => denial_of(folder_of(part), Access::WRITE_OK | Access::EXEC_OK),
    })
}

fn denial_of(path: &Path, wanted: Access) -> Option<StoreError> {
    // A disk that is read-only is another matter: EROFS.
    if access(path, wanted) != Err(Errno::ACCESS) {
        return None;
    }
    let owner = fs::metadata(path)
        .map(|file| format!(": it belongs to uid {}, with mode {:04o}", file.uid(), file.mode() & 0o7777))
        .unwrap_or_default();
    let reason = format!("this user may not write to it{owner}");
    Some(StoreError::new("open the database", path, Cause::Denied, reason))
}
