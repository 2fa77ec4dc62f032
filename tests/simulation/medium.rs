//! What a disk keeps when the power goes: everything that was synced, and of the rest whatever it likes.
//!
//! The model is as hostile as a real file system may be, and no more so. Of what was not synced since,
//! - each sector of 512 bytes shows one of the states that it has had, and no two sectors agree on which: so writes are
//!   lost, torn and reordered. It never mixes two states: the system writes out a page as it stands.
//! - a file has one of the lengths that it has had. It may be longer than what of its data arrived, and then holds zeros
//!   there: so do XFS, and ext4 without `data=ordered`.
//! - where a file was cut, nothing from before the cut is behind it once that cut is durable, and nothing from after it
//!   before: lengths and blocks are one journal's.
//! - the names of a folder are as they were after one of their changes: a folder's changes are kept in order, but not in
//!   step with what files hold, nor with other folders. Only a sync of the folder makes them durable, and one of the file
//!   does not: POSIX promises no more.
//! - what a sync failed to write may never be written, also if a later one succeeds: the kernel has marked it as clean.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::random::Random;

/// The smallest part of a disk that is written whole.
const SECTOR_BYTES: usize = 512;

/// One thing that a disk is told.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Write {
        inode: u64,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    Cut {
        inode: u64,
        length: usize,
    },
    Sync(u64),
    /// A sync that failed, and forgot what it was to write.
    LosingSync(u64),
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    /// Nothing leads to the file any more: its number may be another's.
    Forget(u64),
    /// For who reads the log: something that is no matter of the disk's.
    Mark(u64),
}

/// Everything that disks were told, in order.
pub(crate) type Log = Arc<Mutex<Vec<Order>>>;

/// What came of what was not synced.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Losses {
    /// Writes of which nothing arrived, ...
    pub(crate) lost: u64,
    /// ... some sectors, ...
    pub(crate) torn: u64,
    /// ... or all, though an earlier one of the file did not.
    pub(crate) reordered: u64,
    /// Changes of names that came to nothing.
    pub(crate) names: u64,
}

impl Losses {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.torn += other.torn;
        self.reordered += other.reordered;
        self.names += other.names;
    }
}

/// What is found after a power cut.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Image {
    pub(crate) names: BTreeMap<PathBuf, u64>,
    pub(crate) contents: BTreeMap<u64, Vec<u8>>,
}

impl Image {
    /// What a file holds; none if it is not there.
    pub(crate) fn read(&self, path: &Path) -> Option<&[u8]> {
        self.contents.get(self.names.get(path)?).map(Vec::as_slice)
    }
}

/// A disk, as far as its power goes: what is durable, and what was done since.
#[derive(Debug, Default)]
pub(crate) struct Medium {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    name_changes: Vec<Order>,
    log: Option<Log>,
}

#[derive(Debug, Default)]
struct Inode {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    what: What,
    /// A sync has failed since.
    is_lost: bool,
}

#[derive(Debug)]
enum What {
    Write(usize, Arc<[u8]>),
    Cut(usize),
}

/// How one power cut treats one file, or one folder.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// What was done up to here, and half of the next.
    UpTo(usize),
    /// Anything; so many percent of it as it was last.
    Scattered(u64),
}

impl Fate {
    fn of(changes: usize, random: &mut Random) -> Self {
        match random.below(6) {
            0 => Self::UpTo(0),
            1 => Self::UpTo(changes),
            2 => Self::UpTo(random.index(changes + 1)),
            _ => Self::Scattered(random.pick(&[0, 50, 90, 99])),
        }
    }

    /// After how many of the changes something is as it is found.
    fn version(self, changes: usize, random: &mut Random) -> usize {
        match self {
            Self::UpTo(kept) => kept + usize::from(kept < changes && random.one_in(2)),
            Self::Scattered(percent) if random.percent(percent) => changes,
            Self::Scattered(_) => random.index(changes + 1),
        }
    }
}

impl Medium {
    /// One that holds this, durably; `log` is told of everything that is done to it.
    pub(crate) fn of(image: Image, log: Option<Log>) -> Self {
        let Image { names, contents } = image;
        let inode = |(number, durable)| (number, Inode { durable, pending: Vec::new() });
        Self { inodes: contents.into_iter().map(inode).collect(), names, name_changes: Vec::new(), log }
    }

    pub(crate) fn apply(&mut self, order: Order) {
        if let Some(log) = &self.log {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(order.clone());
        }
        match order {
            Order::Write { inode, offset, bytes } => self.change(inode, What::Write(offset, bytes)),
            Order::Cut { inode, length } => self.change(inode, What::Cut(length)),
            Order::Sync(inode) => self.inodes.entry(inode).or_default().sync(),
            Order::LosingSync(inode) => {
                let pending = &mut self.inodes.entry(inode).or_default().pending;
                pending.iter_mut().for_each(|change| change.is_lost = true);
            }
            Order::Link(_, inode) => {
                self.inodes.entry(inode).or_default();
                self.name_changes.push(order);
            }
            Order::Rename(..) | Order::Remove(_) => self.name_changes.push(order),
            Order::SyncFolder(folder) => {
                for change in std::mem::take(&mut self.name_changes) {
                    if folder_of(&change) == Some(&folder) {
                        rename(&mut self.names, &change);
                    } else {
                        self.name_changes.push(change);
                    }
                }
            }
            Order::Forget(inode) => drop(self.inodes.remove(&inode)),
            Order::Mark(_) => {}
        }
    }

    fn change(&mut self, inode: u64, what: What) {
        self.inodes.entry(inode).or_default().pending.push(Change { what, is_lost: false });
    }

    /// Everything is durable as it is.
    pub(crate) fn settle(&mut self) {
        self.inodes.values_mut().for_each(Inode::sync);
        for change in std::mem::take(&mut self.name_changes) {
            rename(&mut self.names, &change);
        }
    }

    pub(crate) fn log(&self) -> Option<Log> {
        self.log.clone()
    }

    /// The files that a durable name leads to.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&PathBuf, u64)> {
        self.names.iter().map(|(path, number)| (path, *number))
    }

    /// The numbers of the files that a name may lead to after a power cut.
    pub(crate) fn may_be_named(&self) -> impl Iterator<Item = u64> {
        let linked = self.name_changes.iter().filter_map(|change| match change {
            Order::Link(_, number) => Some(*number),
            _ => None,
        });
        self.names.values().copied().chain(linked)
    }

    /// What of a file no power cut can take.
    pub(crate) fn certain(&self, inode: u64) -> &[u8] {
        let Some(inode) = self.inodes.get(&inode) else { return &[] };
        let cuts = inode.pending.iter().filter_map(|change| match change.what {
            What::Cut(length) => Some(length),
            What::Write(..) => None,
        });
        let length = cuts.min().unwrap_or(usize::MAX).min(inode.durable.len());
        &inode.durable[..length]
    }

    /// One of the states in which it is found after a power cut.
    pub(crate) fn cut(&self, random: &mut Random, losses: &mut Losses) -> Image {
        let mut names = self.names.clone();
        let mut fates: BTreeMap<&Path, usize> = BTreeMap::new();
        for change in &self.name_changes {
            let Some(folder) = folder_of(change) else { continue };
            let of_the_folder =
                || self.name_changes.iter().filter(|it| folder_of(it) == Some(folder)).count();
            let left = fates.entry(folder).or_insert_with(|| {
                let changes = of_the_folder();
                Fate::of(changes, random).version(changes, random)
            });
            match left.checked_sub(1) {
                Some(fewer) => {
                    *left = fewer;
                    rename(&mut names, change);
                }
                None => losses.names += 1,
            }
        }
        let numbers: BTreeSet<u64> = names.values().copied().collect();
        let content = |number| Some((number, self.inodes.get(&number)?.cut(random, losses)));
        let contents = numbers.into_iter().filter_map(content).collect();
        Image { names, contents }
    }
}

impl Inode {
    fn sync(&mut self) {
        for Change { what, is_lost } in self.pending.drain(..) {
            match what {
                What::Cut(length) => self.durable.truncate(length),
                What::Write(offset, bytes) => {
                    let end = offset + bytes.len();
                    self.durable.resize(self.durable.len().max(end), 0);
                    if !is_lost {
                        self.durable[offset..end].copy_from_slice(&bytes);
                    }
                }
            }
        }
    }

    fn cut(&self, random: &mut Random, losses: &mut Losses) -> Vec<u8> {
        let changes = self.pending.len();
        if changes == 0 {
            return self.durable.clone();
        }
        let fate = Fate::of(changes, random);
        let length_version = fate.version(changes, random);
        let mut versions: BTreeMap<usize, usize> = BTreeMap::new();
        let mut content = self.durable.clone();
        let mut length = content.len();
        let mut has_lost = false;
        for (index, change) in self.pending.iter().enumerate() {
            let is_within = index < length_version;
            match &change.what {
                What::Cut(at) if is_within => {
                    content.truncate(*at);
                    length = *at;
                }
                What::Cut(_) => {}
                What::Write(offset, bytes) => {
                    let end = offset + bytes.len();
                    length = if is_within { length.max(end) } else { length };
                    content.resize(content.len().max(end), 0);
                    let (mut arrived, mut sectors) = (0, 0);
                    for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                        let version = *versions.entry(sector).or_insert_with(|| {
                            self.within_cuts(sector, fate.version(changes, random), length_version)
                        });
                        sectors += 1;
                        if index < version && !change.is_lost {
                            arrived += 1;
                            let from = (sector * SECTOR_BYTES).max(*offset);
                            let to = ((sector + 1) * SECTOR_BYTES).min(end);
                            content[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
                        }
                    }
                    losses.lost += u64::from(arrived == 0);
                    losses.torn += u64::from(arrived > 0 && arrived < sectors);
                    losses.reordered += u64::from(arrived == sectors && has_lost);
                    has_lost |= arrived < sectors;
                }
            }
        }
        content.resize(length, 0);
        content
    }

    /// The version of a sector, where a cut that is durable, or is not, leaves it no other.
    fn within_cuts(&self, sector: usize, version: usize, length_version: usize) -> usize {
        let (mut least, mut most) = (0, self.pending.len());
        for (index, change) in self.pending.iter().enumerate() {
            match change.what {
                What::Cut(length) if (sector + 1) * SECTOR_BYTES > length => {
                    if index < length_version {
                        least = index + 1;
                    } else {
                        most = most.min(index);
                    }
                }
                _ => {}
            }
        }
        version.clamp(least, most)
    }
}

fn folder_of(change: &Order) -> Option<&Path> {
    match change {
        Order::Link(path, _) | Order::Rename(path, _) | Order::Remove(path) => path.parent(),
        _ => None,
    }
}

/// Changes names as a file system does.
pub(crate) fn rename(names: &mut BTreeMap<PathBuf, u64>, change: &Order) {
    match change {
        Order::Link(path, number) => drop(names.insert(path.clone(), *number)),
        Order::Rename(from, to) => {
            if let Some(number) = names.remove(from) {
                names.insert(to.clone(), number);
            }
        }
        Order::Remove(path) => drop(names.remove(path)),
        _ => {}
    }
}
