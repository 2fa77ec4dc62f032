//! The power of a folder of databases: it can be cut, and the disk beneath can fail.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::ffi;

use super::medium::{Image, Log, Losses, Medium, Order};
use super::random::Random;
use super::vfs;

/// Numbers of databases' files begin here, so that no other file of a simulation has them.
const FIRST_INODE: u64 = 1 << 32;

/// A folder whose power can be cut; for as long as this lives.
#[derive(Debug)]
pub(crate) struct Supply {
    folder: PathBuf,
    side: Arc<Mutex<Side>>,
}

/// What goes wrong with every call of its sort, until it does no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no room.
    Full,
    /// The file system has turned read-only.
    ReadOnly,
    /// Nothing can be read.
    Unreadable,
    /// The next sync fails, and those after it succeed: what was to be written may be lost.
    Sync { loses: bool },
    /// No sync succeeds, and what was to be written is lost.
    Syncs,
}

/// A disk that does not do what it says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lies {
    /// No sync does anything.
    pub(crate) syncs: bool,
    /// No sync of a folder does anything.
    pub(crate) folder_syncs: bool,
}

/// What of a folder SQLite has told.
#[derive(Debug, Default)]
pub(super) struct Side {
    medium: Medium,
    numbers: BTreeMap<PathBuf, u64>,
    numbers_given: u64,
    /// Rises with each cut: what was opened before reaches the disk no more.
    life: u64,
    is_cut: bool,
    fault: Option<Fault>,
    deeds_to_cut: Option<u64>,
    lies: Lies,
    /// What succeeded since a sync failed, without a cut between.
    syncs_since_failure: Option<u64>,
    failures: u64,
}

/// What is done with an open file.
#[derive(Debug)]
pub(super) enum Deed<'d> {
    Read,
    Write(usize, &'d [u8]),
    Cut(usize),
    /// With the folder that is synced with it.
    Sync(Option<&'d Path>),
}

impl Supply {
    /// Of a folder whose files are durable as they are, if there are any.
    pub(crate) fn of(folder: &Path, log: Option<Log>) -> Self {
        let folder = folder.canonicalize().expect("the folder is there");
        let medium = Medium::of(Image::default(), log);
        let side = Arc::new(Mutex::new(Side { medium, ..Side::default() }));
        vfs::watch(&folder, Arc::clone(&side));
        Self { folder, side }
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing reaches the disk. Whoever has a file open may close it.
    pub(crate) fn cut(&self) {
        let mut side = self.side();
        side.life += 1;
        side.is_cut = true;
        side.deeds_to_cut = None;
        side.fault = None;
        side.syncs_since_failure = None;
    }

    /// The power is back, and the folder holds what the disk kept. Nobody has a file open.
    pub(crate) fn restore(&self, random: &mut Random, losses: &mut Losses) {
        let mut side = self.side();
        let image = side.medium.cut(random, losses);
        for path in side.numbers.keys() {
            remove(&shared_memory_of(path));
            if !image.names.contains_key(path) {
                remove(path);
            }
        }
        hold(&image);
        side.numbers.clone_from(&image.names);
        let log = side.medium.log();
        side.medium = Medium::of(image, log);
        side.is_cut = false;
    }

    /// The power is cut after so many more reads, writes and syncs.
    pub(crate) fn cut_after(&self, deeds: u64) {
        self.side().deeds_to_cut = Some(deeds);
    }

    /// Makes a file look old, so that [`Self::see`] tells whether somebody has written to it since.
    pub(crate) fn make_old(&self, path: &Path) {
        let file = fs::File::options().write(true).open(path).expect("it is there");
        file.set_modified(std::time::UNIX_EPOCH).expect("it is ours");
    }

    /// Sees that somebody has written and synced all of a file without SQLite.
    pub(crate) fn see(&self, path: &Path) {
        let modified = fs::metadata(path).and_then(|file| file.modified());
        let mut side = self.side();
        if let Some(inode) = side.numbers.get(path).copied()
            && modified.is_ok_and(|time| time != std::time::UNIX_EPOCH)
        {
            let bytes = fs::read(path).expect("it is there");
            side.medium.apply(Order::Write { inode, offset: 0, bytes: bytes.into() });
            side.medium.apply(Order::Sync(inode));
        }
    }

    /// Something goes wrong from now on, or nothing any more.
    pub(crate) fn fail(&self, fault: Option<Fault>) {
        self.side().fault = fault;
    }

    /// Something goes wrong for as long as what this returns lives.
    pub(crate) fn failing(&self, fault: Fault) -> Failing {
        self.fail(Some(fault));
        Failing(Arc::clone(&self.side))
    }

    /// How often something went wrong.
    pub(crate) fn failures(&self) -> u64 {
        self.side().failures
    }

    pub(crate) fn lie(&self, lies: Lies) {
        self.side().lies = lies;
    }

    /// How many syncs succeeded since one failed; none if none failed.
    pub(crate) fn syncs_since_failure(&self) -> Option<u64> {
        self.side().syncs_since_failure
    }
}

/// A disk that fails.
#[derive(Debug)]
pub(crate) struct Failing(Arc<Mutex<Side>>);

impl Drop for Failing {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fault = None;
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        vfs::unwatch(&self.folder);
    }
}

/// Makes files what an image says: the same files, as databases are known by their numbers.
pub(crate) fn hold(image: &Image) {
    for (path, number) in image.names.iter().filter(|(_, number)| **number >= FIRST_INODE) {
        let content = image.contents.get(number).map_or(&[][..], Vec::as_slice);
        let file = fs::File::options().write(true).create(true).truncate(false).open(path);
        let file = file.expect("its folder is there");
        file.write_all_at(content, 0).expect("room in memory");
        file.set_len(content.len() as u64).expect("a file");
    }
}

/// The other files of an image.
pub(crate) fn without_databases(image: &Image) -> Image {
    let names = image.names.iter().filter(|(_, number)| **number < FIRST_INODE);
    let names: BTreeMap<PathBuf, u64> = names.map(|(path, number)| (path.clone(), *number)).collect();
    let contents = image.contents.iter().filter(|(number, _)| **number < FIRST_INODE);
    Image { names, contents: contents.map(|(number, content)| (*number, content.clone())).collect() }
}

fn remove(path: &Path) {
    let _may_be_gone = fs::remove_file(path);
}

fn shared_memory_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-shm");
    PathBuf::from(name)
}

impl Side {
    /// The number of a file that was opened, and the life that it was opened in.
    pub(super) fn opened(&mut self, path: &Path, is_new: bool) -> (u64, u64) {
        if let Some(number) = self.numbers.get(path).filter(|_| !is_new) {
            return (*number, self.life);
        }
        self.numbers_given += 1;
        let number = FIRST_INODE + self.numbers_given;
        self.numbers.insert(path.to_owned(), number);
        self.medium.apply(Order::Link(path.to_owned(), number));
        if !is_new {
            self.take_as_durable(path, number);
        }
        (number, self.life)
    }

    /// It was there before anybody looked.
    fn take_as_durable(&mut self, path: &Path, inode: u64) {
        let bytes = fs::read(path).unwrap_or_default();
        self.medium.apply(Order::Write { inode, offset: 0, bytes: bytes.into() });
        self.medium.apply(Order::Sync(inode));
        if let Some(folder) = path.parent() {
            self.medium.apply(Order::SyncFolder(folder.to_owned()));
        }
    }

    pub(super) fn deleted(&mut self, path: &Path, syncs_folder: bool) -> Result<(), i32> {
        if self.is_cut || self.fault == Some(Fault::ReadOnly) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if self.numbers.remove(path).is_some() {
            self.medium.apply(Order::Remove(path.to_owned()));
            if let Some(folder) = path.parent().filter(|_| syncs_folder) {
                self.sync_folder(folder);
            }
        }
        Ok(())
    }

    fn sync_folder(&mut self, folder: &Path) {
        if !self.lies.syncs && !self.lies.folder_syncs {
            self.medium.apply(Order::SyncFolder(folder.to_owned()));
        }
    }

    /// What is done with an open file; the code of an error if it is not.
    pub(super) fn does(&mut self, inode: u64, life: u64, deed: Deed<'_>) -> Result<(), i32> {
        if self.is_cut || life != self.life {
            return Err(ffi::SQLITE_IOERR);
        }
        match &mut self.deeds_to_cut {
            Some(0) => {
                self.is_cut = true;
                return Err(ffi::SQLITE_IOERR);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.may(&deed).inspect_err(|_| self.failures += 1)?;
        match deed {
            Deed::Read => {}
            Deed::Write(offset, bytes) => {
                self.medium.apply(Order::Write { inode, offset, bytes: bytes.into() });
            }
            Deed::Cut(length) => self.medium.apply(Order::Cut { inode, length }),
            Deed::Sync(folder) => {
                if let Some(Fault::Sync { .. } | Fault::Syncs) = self.fault {
                    let loses = self.fault != Some(Fault::Sync { loses: false });
                    self.fault = self.fault.filter(|fault| *fault == Fault::Syncs);
                    self.failures += 1;
                    self.syncs_since_failure = Some(0);
                    if loses {
                        self.medium.apply(Order::LosingSync(inode));
                    }
                    return Err(ffi::SQLITE_IOERR_FSYNC);
                }
                if let Some(count) = &mut self.syncs_since_failure {
                    *count += 1;
                }
                if !self.lies.syncs {
                    self.medium.apply(Order::Sync(inode));
                }
                folder.into_iter().for_each(|folder| self.sync_folder(folder));
            }
        }
        Ok(())
    }

    fn may(&self, deed: &Deed<'_>) -> Result<(), i32> {
        match (self.fault, deed) {
            (Some(Fault::Full), Deed::Write(..)) => Err(ffi::SQLITE_FULL),
            (Some(Fault::ReadOnly), Deed::Write(..)) => Err(ffi::SQLITE_IOERR_WRITE),
            (Some(Fault::ReadOnly), Deed::Cut(_)) => Err(ffi::SQLITE_IOERR_TRUNCATE),
            (Some(Fault::Unreadable), Deed::Read) => Err(ffi::SQLITE_IOERR_READ),
            _ => Ok(()),
        }
    }
}
