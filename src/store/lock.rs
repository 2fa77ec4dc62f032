//! One process owns a database: an advisory lock on a file beside it.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Cause, Result, StoreError};
use super::place::with_end;

/// Held for as long as this lives.
///
/// `flock(2)` and not `fcntl(2)`: the lock belongs to the open file description, which a child shares between
/// fork and exec. So whoever takes the lock after a crash knows that every child of the owner before has
/// reached its exec, and can be told by its environment.
#[derive(Clone, Debug)]
pub(super) struct DatabaseLock {
    _file: Arc<File>,
}

impl DatabaseLock {
    /// Takes the lock of the database at `path`, trying for so long.
    pub(super) fn take(path: &Path, wait: Duration) -> Result<Self> {
        let lock_path = with_end(path, ".lock");
        let failed = |error: &std::io::Error| StoreError::io("take the database's lock", &lock_path, error);
        let file = open(&lock_path).map_err(|error| failed(&error))?;
        let give_up = Instant::now() + wait;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _file: Arc::new(file) }),
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let reason = format!("another process owns it ({} is locked)", lock_path.display());
                    return Err(StoreError::new("own the database", path, Cause::Owned, reason));
                }
                Err(error) => return Err(failed(&error.into())),
            }
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    // Whoever may open it may lock it, and so keep the owner from its database.
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(super::PRIVATE_MODE);
    let to_write = options.open(path);
    match to_write {
        // A lock needs no writing, and a file system that turned read-only may yet be written again.
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
            File::open(path).map_err(|_| error)
        }
        opened => opened,
    }
}
