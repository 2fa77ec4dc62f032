//! For tests: files that fail, or lose their process, at any call; and folders to try it in.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::files::{Files, OpenFile, Space, Stat, SystemFiles};

/// A folder that is removed with its value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("sink-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The names in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What is left of the call that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Half,
    All,
}

#[derive(Debug)]
struct Plan {
    calls_left: Cell<u64>,
    is_fatal: bool,
    effect: Effect,
}

impl Plan {
    /// Whether this call does what it should, or only has this effect.
    fn call(&self) -> Option<Effect> {
        match self.calls_left.get() {
            0 if self.is_fatal => Some(Effect::None),
            0 => None,
            1 => {
                self.calls_left.set(0);
                Some(self.effect)
            }
            left => {
                self.calls_left.set(left - 1);
                None
            }
        }
    }

    fn run<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.call() {
            None => call(),
            Some(effect) => {
                if effect != Effect::None {
                    call()?;
                }
                Err(io::Error::other("a fault"))
            }
        }
    }
}

/// The system's files, but for one fault, and a clock that goes on by 20 seconds a look.
#[derive(Debug)]
pub(crate) struct FaultyFiles {
    inner: SystemFiles,
    plan: Rc<Plan>,
    pub(crate) wall_ms: Cell<i64>,
}

impl FaultyFiles {
    /// The call of this number fails, from 1; and all after it if that is fatal.
    pub(crate) fn new(fails_at: u64, is_fatal: bool, effect: Effect) -> Self {
        let plan = Rc::new(Plan { calls_left: Cell::new(fails_at), is_fatal, effect });
        Self { inner: SystemFiles::default(), plan, wall_ms: Cell::new(1_795_645_800_000) }
    }

    /// Without a fault.
    pub(crate) fn sound() -> Self {
        Self::new(u64::MAX, false, Effect::All)
    }

    /// Whether it has come to the fault.
    pub(crate) fn has_failed(&self) -> bool {
        self.plan.calls_left.get() == 0
    }

    fn opened(&self, file: Box<dyn OpenFile>) -> Box<dyn OpenFile> {
        Box::new(FaultyFile { inner: file, plan: Rc::clone(&self.plan) })
    }
}

impl Files for FaultyFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.plan.run(|| self.inner.open(path)).map(|file| self.opened(file))
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.plan.run(|| self.inner.open_to_append(path)).map(|file| self.opened(file))
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.plan.run(|| self.inner.stat(path))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.plan.run(|| self.inner.list(folder))
    }

    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.plan.run(|| self.inner.list_folders(folder))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.plan.run(|| self.inner.space(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.run(|| self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.plan.run(|| self.inner.remove(path))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.plan.run(|| self.inner.sync_folder(folder))
    }

    fn boot_id(&self) -> &str {
        self.inner.boot_id()
    }

    fn wall_ms(&self) -> i64 {
        self.wall_ms.set(self.wall_ms.get() + 20_000);
        self.wall_ms.get()
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn OpenFile>,
    plan: Rc<Plan>,
}

impl OpenFile for FaultyFile {
    fn stat(&self) -> io::Result<Stat> {
        self.plan.run(|| self.inner.stat())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.plan.run(|| self.inner.read_at(buffer, offset))
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match self.plan.call() {
            None => return self.inner.append(bytes),
            Some(Effect::None) => 0,
            Some(Effect::Half) => bytes.len() / 2,
            Some(Effect::All) => bytes.len(),
        };
        self.inner.append(&bytes[..written])?;
        Err(io::Error::other("a fault"))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.plan.run(|| self.inner.cut(length))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.plan.run(|| self.inner.sync())
    }
}
