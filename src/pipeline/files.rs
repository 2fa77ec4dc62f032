//! The only way to files: a small trait, so that a simulator can lose power between any two calls.

use rustix::fs::{FlockOperation, OFlags, flock, statvfs};
use rustix::io::Errno;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::is_locked_by_us;

/// What a file is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The device it is on.
    pub device: u64,
    /// Its number there, which may go to another file once it is deleted.
    pub inode: u64,
    /// Its length in bytes.
    pub length: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified_ns: i128,
}

/// How much a file system holds, of which it may count only a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size in bytes; 0 where it has none, as in memory of the kernel.
    pub size_bytes: u64,
    /// The bytes that those who are not root may still write.
    pub available_bytes: u64,
    /// How many files it may hold; 0 where it sets no number.
    pub files: u64,
    /// How many more.
    pub files_free: u64,
}

/// Files and what goes with them.
pub trait Files: fmt::Debug {
    /// Opens a regular file to read it.
    ///
    /// # Errors
    /// It is missing, cannot be read, or is none.
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a regular file to append to it, and locks it against every other writer of this kind; made, with its folder,
    /// if missing.
    ///
    /// # Errors
    /// It cannot be written, is none, or ([`io::ErrorKind::WouldBlock`]) another writer holds it.
    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// What the name stands for now.
    ///
    /// # Errors
    /// There is no such file, or it cannot be looked at.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Names of the regular files in a folder, in no order.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// Names of the folders in a folder, and of links to folders, in no order.
    ///
    /// # Errors
    /// It cannot be read.
    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// What the file system that a path is on holds.
    ///
    /// # Errors
    /// There is no such path, or it cannot be asked.
    fn space(&self, path: &Path) -> io::Result<Space>;

    /// Gives a file another name; what had that name is gone.
    ///
    /// # Errors
    /// It cannot.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    /// It cannot.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// They may not be.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// This start of the system.
    fn boot_id(&self) -> &str;

    /// The time of day, in milliseconds since 1970 UTC; it may jump, and be in 1970.
    fn wall_ms(&self) -> i64;
}

/// An open file.
pub trait OpenFile: fmt::Debug {
    /// What it is now.
    ///
    /// # Errors
    /// It cannot be looked at.
    fn stat(&self) -> io::Result<Stat>;

    /// Reads at an offset; 0 bytes at the end.
    ///
    /// # Errors
    /// The disk fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at the end.
    ///
    /// # Errors
    /// The disk is full or fails; some of it may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts it to a length.
    ///
    /// # Errors
    /// It cannot.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Makes it durable.
    ///
    /// # Errors
    /// Whatever was written since the last time may be lost, also if the next one succeeds.
    fn sync(&mut self) -> io::Result<()>;
}

/// Reads up to so many bytes, fewer only at the end.
///
/// # Errors
/// The disk fails.
pub(super) fn read_up_to(file: &dyn OpenFile, offset: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Whether a line ends just before this offset; so it does at the beginning.
///
/// # Errors
/// The disk fails.
pub(super) fn ends_a_line(file: &dyn OpenFile, offset: u64) -> io::Result<bool> {
    match offset.checked_sub(1) {
        None => Ok(true),
        Some(last) => Ok(read_up_to(file, last, 1)? == b"\n"),
    }
}

/// The system's files.
#[derive(Debug)]
pub struct SystemFiles {
    boot_id: String,
}

impl Default for SystemFiles {
    fn default() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        // Without it no file counts as having lost its end to a power cut.
        Self { boot_id: boot_id.unwrap_or_default().trim().to_owned() }
    }
}

impl Files for SystemFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(Opened { file: regular(OpenOptions::new().read(true), path)?, is_locked: false }))
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = regular(OpenOptions::new().read(true).append(true).create(true).mode(0o640), path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(Opened { file, is_locked: true }))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        std::fs::metadata(path).map(|metadata| stat_of(&metadata))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let paths = std::fs::read_dir(folder)?.map(|entry| {
            let entry = entry?;
            let path = entry.path();
            let may_be_file = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => may_lead_to_file(&path)?,
                Ok(kind) => kind.is_file(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            Ok(may_be_file.then_some(path))
        });
        paths.filter_map(io::Result::transpose).collect()
    }

    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            // What is gone meanwhile, or leads nowhere, is none.
            if std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
                folders.push(path);
            }
        }
        Ok(folders)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let found = statvfs(path)?;
        Ok(Space {
            size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
            available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            files: found.f_files,
            files_free: found.f_ffree,
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Whether a link leads to a regular file, or may do so where we may not look. Any failure but that there is none is
/// passed on: it does not make the file missing.
fn may_lead_to_file(link: &Path) -> io::Result<bool> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    match std::fs::metadata(link) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(false),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => Ok(false),
        Err(error) if error.kind() == PermissionDenied => Ok(true),
        Err(error) => Err(error),
    }
}

const NOT_REGULAR: &str = "it is not a regular file";

/// Nothing that a read or write could wait on: no pipe, no device. And no database that is in use here, such as one beside a
/// log that is looked for: see [`is_locked_by_us`].
fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or_default();
    let options = options.custom_flags(flags);
    // By a descriptor that only names it, so that what is looked at is what is opened.
    let path_only = i32::try_from(OFlags::PATH.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(path_only).open(path) {
        Ok(named) => {
            judge(&named.metadata()?)?;
            match options.open(format!("/proc/self/fd/{}", named.as_raw_fd())) {
                // Where proc(5) is not mounted.
                Err(error) if error.kind() == io::ErrorKind::NotFound => options.open(path)?,
                opened => opened?,
            }
        }
        // It is to be made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => options.open(path)?,
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR));
    }
    Ok(file)
}

fn judge(metadata: &std::fs::Metadata) -> io::Result<()> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, NOT_REGULAR));
    }
    if is_locked_by_us(metadata)? {
        let why = "it is a database that heartbeatd has in use";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Stat { device: metadata.dev(), inode: metadata.ino(), length: metadata.len(), modified_ns }
}

#[derive(Debug)]
struct Opened {
    file: File,
    is_locked: bool,
}

impl Drop for Opened {
    /// A child that is just being made shares the lock until it is its own program (flock(2)): closing alone may leave it taken.
    fn drop(&mut self) {
        if self.is_locked {
            let _closed_next = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

impl OpenFile for Opened {
    fn stat(&self) -> io::Result<Stat> {
        self.file.metadata().map(|metadata| stat_of(&metadata))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, buffer, offset)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
