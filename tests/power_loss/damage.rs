//! A log whose end is torn or zeroed, and pages of the database that are damaged: what SQLite notices is named, and nothing
//! is reset.

use std::fs;
use std::path::Path;
use std::time::Duration;

use heartbeat_runtime::store::{Cause, Cut, Durability, Store, StoreError};
use rusqlite::Connection;

use super::disk::Disk;
use super::living::{Living, database, now};
use super::medium::{Image, Medium, Order};
use super::random::Random;
use super::verdict::{Broken, DOWN, whole};
use super::workload::{Promise, Workload, content_of, read_beside};

/// What is done to a page.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Zeroed,
    /// No page of a table or an index begins so.
    BeginsOtherwise,
    /// Some bytes are others.
    Scratched,
    /// It is another page.
    Swapped,
}

/// What damaged pages came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    pub(crate) pages: u64,
    /// Those of which SQLite says that they are damaged, ...
    pub(crate) reported: u64,
    /// ... of these what a daemon was refused at its start, ...
    pub(crate) at_start: u64,
    /// ... and what it met in its rounds.
    pub(crate) in_rounds: u64,
}

impl Workload {
    /// The files as they were in the end, and the offset in the log from which on nothing has come into the database.
    fn as_it_ends(&self) -> (Image, usize) {
        let mut medium = Medium::default();
        self.orders.iter().for_each(|order| medium.apply(order.clone()));
        medium.settle();
        let image = medium.cut(&mut Random::new(0), &mut super::medium::Losses::default());
        let number = |path: &Path| image.names.get(path).copied().expect("it is there in the end");
        let (file, log) = (number(&database(&self.folder)), number(&log_of(&self.folder)));
        let mut first = 0;
        let mut is_after_checkpoint = false;
        for order in &self.orders {
            match order {
                Order::Write { inode, .. } if *inode == file => is_after_checkpoint = true,
                Order::Write { inode, offset, .. } if *inode == log && is_after_checkpoint => {
                    first = *offset;
                    is_after_checkpoint = false;
                }
                _ => {}
            }
        }
        (image, first)
    }

    /// Tears and zeroes the log at every so many bytes: how often, and what does not hold.
    pub(crate) fn judge_torn_logs(&self, step_bytes: usize) -> (u64, Vec<Broken>) {
        let (image, first) = self.as_it_ends();
        let whole = image.read(&log_of(&self.folder)).unwrap_or_default().to_vec();
        let commit = |promise: &Promise| match promise {
            Promise::Committed(content) => Some(*content),
            Promise::Starting | Promise::Told(_) => None,
        };
        let commits: Vec<u64> = self.promises.iter().filter_map(commit).collect();
        let (mut count, mut broken, mut reached) = (0, Vec::new(), 0);
        for at in (first..whole.len()).step_by(step_bytes) {
            let torn = whole[..at].to_vec();
            let mut zeroed = torn.clone();
            zeroed.resize(whole.len(), 0);
            let mut scratched = whole.clone();
            scratched[at] ^= 0x10;
            for log in [torn, zeroed, scratched] {
                rebuild(self, &image, &log);
                count += 1;
                match content_after(&self.folder, self.elapsed) {
                    Ok(content) => match commits.iter().rposition(|commit| *commit == content) {
                        // More of the log is never less of what was committed.
                        Some(commit) if commit >= reached => reached = commit,
                        other => broken.push(Broken::NoPrefix(format!("at {at}: {other:?} after {reached}"))),
                    },
                    Err(found) => broken.push(found),
                }
            }
        }
        (count, broken)
    }

    /// Damages every page of the database, in each way.
    pub(crate) fn judge_damaged_pages(&self, random: &mut Random) -> (Found, Vec<Broken>) {
        let (image, _) = self.as_it_ends();
        let log = image.read(&log_of(&self.folder)).unwrap_or_default().to_vec();
        rebuild(self, &image, &log);
        // Whoever closes it last puts the log into it.
        drop(self.open());
        let file = database(&self.folder);
        let whole = fs::read(&file).expect("the database is there");
        let bytes = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
        let (mut found, mut broken) = (Found::default(), Vec::new());
        for page in 0..whole.len() / bytes {
            for damage in [Damage::Zeroed, Damage::BeginsOtherwise, Damage::Scratched, Damage::Swapped] {
                let damaged = damage.of(&whole, page * bytes..(page + 1) * bytes, random);
                for entry in fs::read_dir(&self.folder).expect("the folder is there").flatten() {
                    let _there_is_no_other = fs::remove_file(entry.path());
                }
                fs::write(&file, &damaged).expect("room in memory");
                found.pages += 1;
                if let Err(what) = self.judge_damage(&file, &damaged, &mut found) {
                    broken.push(Broken::Damaged(format!("page {page} {damage:?}: {what}")));
                }
            }
        }
        (found, broken)
    }

    fn open(&self) -> Result<Store, StoreError> {
        Store::open(&database(&self.folder), Durability::Full, 7, now(self.elapsed).wall)
    }

    fn judge_damage(&self, file: &Path, damaged: &[u8], found: &mut Found) -> Result<(), String> {
        let is_reported = !matches!(verdict(file).as_deref(), Ok("ok"));
        found.reported += u64::from(is_reported);
        let opened = self.open();
        if let Err(error) = opened {
            found.at_start += 1;
            named(&error)?;
            let is_untouched = fs::read(file).is_ok_and(|bytes| bytes == damaged);
            return if is_untouched { Ok(()) } else { Err("what is refused is touched".to_owned()) };
        }
        drop(opened);
        if !is_reported {
            return Ok(());
        }
        match Store::open_to_read(file).and_then(|store| store.damage()) {
            Ok(damage) if damage.is_empty() => return Err("a check does not name it".to_owned()),
            Ok(_) => {}
            Err(error) => named(&error)?,
        }
        let copy = self.folder.join("copy.db");
        match Store::back_up(file, &copy, &Cut::default()) {
            Ok(_) if verdict(&copy).as_deref() != Ok("ok") => {
                return Err("a copy has it too".to_owned());
            }
            Ok(_) => {}
            Err(error) => named(&error)?,
        }
        match self.live() {
            Ok(()) => Ok(()),
            Err(error) => {
                found.in_rounds += 1;
                named(&error)
            }
        }
    }

    /// A daemon starts and does a little.
    fn live(&self) -> Result<(), StoreError> {
        let disk = Disk::holding(&Image::default());
        let mut living = Living::start(&self.folder, &disk, Durability::Full, self.elapsed, &mut || {})?;
        for _ in 0..4 {
            living.wait(Duration::from_secs(3));
            living.reap();
            living.beat();
            living.finish()?;
            living.work();
        }
        Ok(())
    }
}

impl Damage {
    fn of(self, whole: &[u8], page: std::ops::Range<usize>, random: &mut Random) -> Vec<u8> {
        let mut damaged = whole.to_vec();
        let bytes = page.len();
        let other = random.index(whole.len() / bytes) * bytes;
        let at = &mut damaged[page];
        match self {
            Self::Zeroed => at.fill(0),
            Self::BeginsOtherwise => at[0] = 0x55,
            Self::Scratched => {
                for _ in 0..8 {
                    at[random.index(bytes)] ^= 0x81;
                }
            }
            Self::Swapped => at.copy_from_slice(&whole[other..other + bytes]),
        }
        damaged
    }
}

/// What the database of a folder holds, once it is opened as the daemon does, if it is whole.
fn content_after(folder: &Path, elapsed: Duration) -> Result<u64, Broken> {
    let opened = Store::open(&database(folder), Durability::Full, 7, now(elapsed + DOWN).wall);
    let _store = opened.map_err(|error| Broken::Damaged(error.to_string()))?;
    let damaged = |error: rusqlite::Error| Broken::Damaged(error.to_string());
    let reader = read_beside(&database(folder)).map_err(damaged)?;
    whole(&reader)?;
    content_of(&reader).map_err(damaged)
}

/// Whether a failure says that it is damage, and of which file. A header may say that the file is not to be written, and a
/// function of SQL's in its own words that it cannot read a value; where one is missing it might be our own mistake.
fn named(error: &StoreError) -> Result<(), String> {
    let is_damage = matches!(error.cause, Cause::Corrupt | Cause::Foreign | Cause::ReadOnly)
        || error.reason == "malformed JSON"
        || error.reason.starts_with("Invalid column type Null");
    let is_named = error.to_string().contains("heartbeat.db");
    if is_damage && is_named { Ok(()) } else { Err(format!("{:?}: {error}", error.cause)) }
}

/// SQLite's own.
fn verdict(file: &Path) -> rusqlite::Result<String> {
    let reader: Connection = read_beside(file)?;
    reader.query_row("PRAGMA integrity_check", [], |row| row.get(0))
}

fn log_of(folder: &Path) -> std::path::PathBuf {
    folder.join("heartbeat.db-wal")
}

fn rebuild(workload: &Workload, image: &Image, log: &[u8]) {
    for entry in fs::read_dir(&workload.folder).expect("the folder is there").flatten() {
        let _there_is_no_other = fs::remove_file(entry.path());
    }
    super::supply::hold(image);
    fs::write(log_of(&workload.folder), log).expect("room in memory");
}
