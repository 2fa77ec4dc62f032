//! Files that this process must not open beside SQLite: closing any descriptor of a file gives up every lock that the process
//! has on it (fcntl(2)), SQLite's among them, and then others write what SQLite still reads.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether this process has such locks on a file. Not seen where proc(5) is not mounted.
///
/// # Errors
/// It cannot be told, as for want of descriptors.
pub fn is_locked_by_us(file: &Metadata) -> io::Result<bool> {
    for descriptor in there(fs::read_dir("/proc/self/fd"))?.into_iter().flatten() {
        let descriptor = descriptor?;
        let is_same = |other: Metadata| (other.dev(), other.ino()) == (file.dev(), file.ino());
        if fs::metadata(descriptor.path()).is_ok_and(is_same) {
            let info = Path::new("/proc/self/fdinfo").join(descriptor.file_name());
            let told = there(fs::read_to_string(info))?.unwrap_or_default();
            if told.lines().any(|line| line.starts_with("lock:") && line.contains(" POSIX ")) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// What is missing is none: a descriptor may be closed meanwhile.
fn there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    #[test]
    fn a_database_is_locked_while_its_log_is_in_use_and_other_files_are_not() {
        let folder = std::env::temp_dir().join(format!("heartbeatd-locks-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let is_locked = |name: &str| is_locked_by_us(&fs::metadata(folder.join(name)).unwrap()).unwrap();
        fs::write(folder.join("open"), "text").unwrap();
        let open = fs::File::open(folder.join("open")).unwrap();
        let database = Connection::open(folder.join("it.db")).unwrap();
        database
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)")
            .unwrap();
        assert_eq!(["it.db", "it.db-shm", "open"].map(is_locked), [true, true, false]);
        drop((database, open));
        assert!(!is_locked("it.db"));
        let database = Connection::open(folder.join("it.db")).unwrap();
        database.execute_batch("PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE").unwrap();
        assert!(is_locked("it.db"), "whatever its journal, within a transaction");
        drop(database);
        fs::remove_dir_all(folder).unwrap();
    }
}
