//! A simulated disk: what was written is there at once, and durable only once it was made so. Of the rest a power cut keeps
//! what it likes (see [`super::medium`]).

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use heartbeat_runtime::pipeline::files::{Files, OpenFile, Space, Stat};

use super::medium::{self, Image, Log, Losses, Medium, Order};
use super::random::Random;

const DEVICE: u64 = 7;
const FIRST_INODE: u64 = 11;
const FOLDER_INODE: u64 = 2;

/// A disk, in as many hands as want it.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Rc<RefCell<Platter>>);

#[derive(Debug)]
struct Platter {
    inodes: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    /// What of it all is durable.
    medium: Medium,
    folders: BTreeSet<PathBuf>,
    random: Random,
    /// How often something fails, of the chances that it has; none: never.
    faults_one_in: Option<u64>,
    /// How many more calls the daemon lives, if it is to be killed within a step.
    calls_to_live: Option<u64>,
    calls: u64,
    /// Changes that the daemon made, and power cuts.
    changes: u64,
    /// The file system goes by a clock that never jumps.
    true_ms: i64,
    wall_ms: i64,
    elapsed: Duration,
    boots: u64,
    log: Vec<String>,
    /// False: the daemon's syncs do nothing, and say that they did.
    is_honest: bool,
}

/// A file, whatever its names.
#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    modified_ns: i128,
    handles: usize,
    is_locked: bool,
}

impl Platter {
    fn number(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn inode(&mut self, number: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn stat(&self, number: u64) -> io::Result<Stat> {
        let inode = self.inodes.get(&number).ok_or(io::ErrorKind::NotFound)?;
        let length = inode.content.len() as u64;
        Ok(Stat { device: DEVICE, inode: number, length, modified_ns: inode.modified_ns })
    }

    /// The number of a file, which is made if missing. Numbers are used again as soon as they are free.
    fn find_or_make(&mut self, path: &Path) -> u64 {
        if let Ok(number) = self.number(path) {
            return number;
        }
        let number = (FIRST_INODE..).find(|number| !self.inodes.contains_key(number)).unwrap_or_default();
        self.inodes.insert(number, Inode::default());
        self.touch(number);
        self.change_names(Order::Link(path.to_owned(), number));
        self.folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        number
    }

    /// The name of a file, for the trace.
    fn name(&self, number: u64) -> String {
        let path = self.names.iter().find(|(_, other)| **other == number).map(|(path, _)| path.display());
        path.map_or_else(|| format!("nameless inode {number}"), |path| path.to_string())
    }

    fn touch(&mut self, number: u64) {
        let now_ns = i128::from(self.true_ms) * 1_000_000;
        if let Ok(inode) = self.inode(number) {
            inode.modified_ns = now_ns;
        }
    }

    fn change_names(&mut self, change: Order) {
        medium::rename(&mut self.names, &change);
        self.medium.apply(change);
    }

    fn append(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let content = &mut self.inode(number)?.content;
        let offset = content.len();
        content.extend_from_slice(bytes);
        self.medium.apply(Order::Write { inode: number, offset, bytes: bytes.into() });
        Ok(())
    }

    fn cut(&mut self, number: u64, length: usize) -> io::Result<()> {
        self.inode(number)?.content.truncate(length);
        self.medium.apply(Order::Cut { inode: number, length });
        Ok(())
    }

    fn sync_folder(&mut self, folder: &Path) {
        self.medium.apply(Order::SyncFolder(folder.to_owned()));
        self.forget_nameless();
    }

    /// Files that no name leads to, no handle, and nothing that a power cut brings back.
    fn forget_nameless(&mut self) {
        let named: BTreeSet<u64> = self.names.values().copied().chain(self.medium.may_be_named()).collect();
        let is_gone = |(number, inode): &(&u64, &Inode)| inode.handles == 0 && !named.contains(number);
        let gone: Vec<u64> = self.inodes.iter().filter(is_gone).map(|(number, _)| *number).collect();
        for number in gone {
            self.inodes.remove(&number);
            self.medium.apply(Order::Forget(number));
        }
    }

    fn lose_power(&mut self) -> BTreeSet<PathBuf> {
        let before = self.view();
        let mut random = Random::new(self.random.next());
        let image = self.medium.cut(&mut random, &mut Losses::default());
        self.boots += 1;
        self.changes += 1;
        self.hold(image);
        let after = self.view();
        let lost = before.iter().filter(|(path, file)| after.get(*path) != Some(file)).map(|(path, _)| path);
        let back = after.keys().filter(|path| !before.contains_key(*path));
        lost.chain(back).filter_map(|path| path.parent()).map(Path::to_owned).collect()
    }

    /// From now on this is what is there.
    fn hold(&mut self, image: Image) {
        self.names.clone_from(&image.names);
        let modified_ns = |number: &u64| self.inodes.get(number).map_or(0, |inode| inode.modified_ns);
        let inode = |(number, content): (&u64, &Vec<u8>)| {
            let inode =
                Inode { content: content.clone(), modified_ns: modified_ns(number), ..Inode::default() };
            (*number, inode)
        };
        self.inodes = image.contents.iter().map(inode).collect();
        self.folders.extend(image.names.keys().flat_map(|path| path.ancestors().skip(1).map(Path::to_owned)));
        self.medium = Medium::of(image, None);
    }

    fn view(&self) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
        let file = |number: &u64| {
            let content = self.inodes.get(number).map(|inode| inode.content.clone());
            (*number, content.unwrap_or_default())
        };
        self.names.iter().map(|(path, number)| (path.clone(), file(number))).collect()
    }

    /// A call of the daemon's; an error where it is its last, or dead already.
    fn enter(&mut self) -> io::Result<()> {
        self.calls += 1;
        match &mut self.calls_to_live {
            Some(0) => Err(io::Error::other("the daemon is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether something goes wrong that does so now and then.
    fn fails(&mut self, rarer: u64) -> bool {
        let one_in = self.faults_one_in;
        one_in.is_some_and(|one_in| self.random.one_in(one_in * rarer))
    }

    fn call(&mut self, what: &str, path: &Path) -> io::Result<()> {
        self.enter()?;
        if self.fails(8) {
            self.log.push(format!("{what} {} fails", path.display()));
            return Err(io::Error::other("input/output error"));
        }
        Ok(())
    }
}

/// What the writers of source files do, who have no faults, and what the scheduler does.
impl Disk {
    pub(crate) fn new(mut random: Random) -> Self {
        let faults_one_in = random.pick(&[None, Some(12), Some(60), Some(60)]);
        Self::with(random, faults_one_in)
    }

    /// One without faults, whose log is told of everything.
    pub(crate) fn recorded(log: Log, is_honest: bool) -> Self {
        let disk = Self::with(Random::new(0), None);
        disk.platter().medium = Medium::of(Image::default(), Some(log));
        disk.platter().is_honest = is_honest;
        disk
    }

    /// One without faults that was found so after a power cut.
    pub(crate) fn holding(image: &Image) -> Self {
        let disk = Self::with(Random::new(0), None);
        disk.platter().boots = 1;
        disk.platter().hold(image.clone());
        disk
    }

    fn with(random: Random, faults_one_in: Option<u64>) -> Self {
        Self(Rc::new(RefCell::new(Platter {
            inodes: BTreeMap::new(),
            names: BTreeMap::new(),
            medium: Medium::default(),
            folders: BTreeSet::new(),
            random,
            faults_one_in,
            calls_to_live: None,
            calls: 0,
            changes: 0,
            true_ms: 0,
            wall_ms: 0,
            elapsed: Duration::ZERO,
            boots: 0,
            log: Vec::new(),
            is_honest: true,
        })))
    }

    fn platter(&self) -> RefMut<'_, Platter> {
        self.0.borrow_mut()
    }

    /// The way to it of a daemon that starts now.
    pub(crate) fn files(&self) -> Box<dyn Files> {
        let boot_id = format!("boot-{}", self.platter().boots);
        Box::new(DiskFiles { disk: self.clone(), boot_id })
    }

    pub(crate) fn set_clocks(&self, elapsed: Duration, true_ms: i64, wall_ms: i64) {
        let mut platter = self.platter();
        (platter.elapsed, platter.true_ms, platter.wall_ms) = (elapsed, true_ms, wall_ms);
    }

    /// Nothing fails any more.
    pub(crate) fn calm_down(&self) {
        self.platter().faults_one_in = None;
    }

    /// The daemon dies at one of its next calls; none: it does not.
    pub(crate) fn kill_after(&self, calls: Option<u64>) {
        self.platter().calls_to_live = calls;
    }

    /// How often the daemon has called.
    pub(crate) fn calls(&self) -> u64 {
        self.platter().calls
    }

    /// How often the daemon, or a power cut, has changed something.
    pub(crate) fn changes(&self) -> u64 {
        self.platter().changes
    }

    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.platter().log)
    }

    /// The folders in which something is not as it was.
    pub(crate) fn lose_power(&self) -> BTreeSet<PathBuf> {
        self.platter().lose_power()
    }

    pub(crate) fn append(&self, path: &Path, bytes: &[u8]) {
        let mut platter = self.platter();
        let number = platter.find_or_make(path);
        platter.touch(number);
        platter.append(number, bytes).expect("just made");
    }

    pub(crate) fn empty(&self, path: &Path) {
        let mut platter = self.platter();
        let number = platter.find_or_make(path);
        platter.touch(number);
        platter.cut(number, 0).expect("just made");
    }

    pub(crate) fn sync(&self, path: &Path) {
        let mut platter = self.platter();
        if let Ok(number) = platter.number(path) {
            platter.medium.apply(Order::Sync(number));
        }
        platter.sync_folder(path.parent().expect("a file is in a folder"));
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) {
        self.platter().change_names(Order::Rename(from.to_owned(), to.to_owned()));
    }

    /// What a file holds; none if there is none.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let mut platter = self.platter();
        let number = platter.number(path).ok()?;
        platter.inode(number).ok().map(|inode| inode.content.clone())
    }

    /// The files of a folder by name, with what each holds.
    pub(crate) fn contents(&self, folder: &Path) -> Vec<(PathBuf, u64, Vec<u8>)> {
        let platter = self.platter();
        let inside = platter.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let content = |number: &u64| platter.inodes.get(number).map(|inode| inode.content.clone());
        inside.filter_map(|(path, number)| Some((path.clone(), *number, content(number)?))).collect()
    }

    /// What of the files of a folder no power cut can take.
    pub(crate) fn durable_contents(&self, folder: &Path) -> Vec<Vec<u8>> {
        let platter = self.platter();
        let inside = platter.medium.named().filter(|(path, _)| path.parent() == Some(folder));
        inside.map(|(_, number)| platter.medium.certain(number).to_vec()).collect()
    }
}

#[derive(Debug)]
struct DiskFiles {
    disk: Disk,
    boot_id: String,
}

impl DiskFiles {
    fn handle(&self, platter: &mut Platter, number: u64, is_locked: bool) -> io::Result<Box<dyn OpenFile>> {
        let inode = platter.inode(number)?;
        inode.handles += 1;
        inode.is_locked |= is_locked;
        Ok(Box::new(Handle { disk: self.disk.clone(), number, is_locked }))
    }
}

impl Files for DiskFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut platter = self.disk.platter();
        platter.call("open", path)?;
        let number = platter.number(path)?;
        platter.log.push(format!("open {} (inode {number})", path.display()));
        self.handle(&mut platter, number, false)
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let mut platter = self.disk.platter();
        platter.call("open to append", path)?;
        let number = platter.find_or_make(path);
        if platter.inode(number)?.is_locked || platter.fails(2) {
            platter.log.push(format!("{} is locked", path.display()));
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.handle(&mut platter, number, true)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let mut platter = self.disk.platter();
        platter.call("stat", path)?;
        if platter.folders.contains(path) {
            return Ok(Stat { device: DEVICE, inode: FOLDER_INODE, length: 0, modified_ns: 0 });
        }
        platter.number(path).and_then(|number| platter.stat(number))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut platter = self.disk.platter();
        platter.call("list", folder)?;
        if !platter.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(platter.names.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let mut platter = self.disk.platter();
        platter.call("list", folder)?;
        if !platter.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(platter.folders.iter().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.disk.platter().call("ask for the space of", path)?;
        Ok(Space { size_bytes: u64::MAX, available_bytes: u64::MAX, files: 0, files_free: 0 })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.call("rename", from)?;
        platter.number(from)?;
        platter.changes += 1;
        platter.log.push(format!("rename {} to {}", from.display(), to.display()));
        platter.change_names(Order::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.call("remove", path)?;
        platter.number(path)?;
        platter.changes += 1;
        platter.log.push(format!("remove {}", path.display()));
        platter.change_names(Order::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.call("sync", folder)?;
        platter.changes += 1;
        platter.sync_folder(folder);
        Ok(())
    }

    fn boot_id(&self) -> &str {
        &self.boot_id
    }

    fn wall_ms(&self) -> i64 {
        self.disk.platter().wall_ms
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    number: u64,
    is_locked: bool,
}

impl Handle {
    fn call(&self, what: &str) -> io::Result<RefMut<'_, Platter>> {
        let mut platter = self.disk.platter();
        platter.call(what, Path::new("an open file"))?;
        Ok(platter)
    }
}

impl OpenFile for Handle {
    fn stat(&self) -> io::Result<Stat> {
        self.call("stat")?.stat(self.number)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut platter = self.call("read")?;
        let inode = platter.inode(self.number)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let rest = inode.content.get(offset..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.disk.platter();
        let was_alive = platter.calls_to_live != Some(0);
        let entered = platter.enter();
        let is_full = entered.is_ok() && platter.fails(1);
        let is_last = platter.calls_to_live == Some(0);
        // The last thing that it does may be half done.
        let count = if is_full || (was_alive && is_last) {
            platter.random.index(bytes.len() + 1)
        } else {
            bytes.len()
        };
        entered?;
        let number = self.number;
        let name = platter.name(number);
        platter.changes += 1;
        platter.log.push(format!("append {count} of {} bytes to {name}", bytes.len()));
        platter.touch(number);
        platter.append(number, &bytes[..count])?;
        if count < bytes.len() || is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.call("cut")?;
        let number = self.number;
        let name = platter.name(number);
        platter.changes += 1;
        platter.log.push(format!("cut {name} to {length} bytes"));
        platter.touch(number);
        platter.cut(number, usize::try_from(length).map_err(io::Error::other)?)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.disk.platter();
        platter.enter()?;
        platter.changes += 1;
        let (fails, loses) = (platter.fails(1), platter.random.one_in(2));
        if fails {
            let name = platter.name(self.number);
            platter.log.push(format!(
                "sync of {name} fails, {}",
                if loses { "and loses" } else { "and loses nothing" }
            ));
        }
        if !fails {
            if platter.is_honest {
                platter.medium.apply(Order::Sync(self.number));
            }
            return Ok(());
        }
        if loses {
            platter.medium.apply(Order::LosingSync(self.number));
        }
        Err(io::Error::other("input/output error"))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A test that failed may hold it.
        let Ok(mut platter) = self.disk.0.try_borrow_mut() else { return };
        if let Ok(inode) = platter.inode(self.number) {
            inode.handles = inode.handles.saturating_sub(1);
            inode.is_locked &= !self.is_locked;
        }
        platter.forget_nameless();
    }
}
