//! What a box does in a minute, recorded as what its disk was told, with marks where something was promised.

use std::path::{Path, PathBuf};
use std::time::Duration;

use heartbeat_runtime::runtime::Order as Ordered;
use heartbeat_runtime::store::{Cause, Durability};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::disk::Disk;
use super::flows::{self, Line};
use super::living::{Living, Told, database};
use super::medium::{Log, Order};
use super::random::Random;
use super::supply::{Failing, Fault, Lies, Supply};

const ROUNDS: u64 = 24;
/// In this round the daemon is told to end, and is started again.
const RESTARTS_IN: u64 = 14;
/// So that every number has as many digits, and nothing else has.
const FIRST_NUMBER: u64 = 100_000;

/// Something that a disk keeps to from a mark on.
#[derive(Clone, Debug)]
pub(crate) enum Promise {
    /// What the database holds after a commit, as a number.
    Committed(u64),
    /// Commits follow that nobody is told of: a daemon starts.
    Starting,
    Told(Told),
}

/// Whether everything does what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Honesty {
    pub(crate) durability: Durability,
    pub(crate) lies: Lies,
    /// Whether the syncs of our own files do anything.
    pub(crate) files_are_synced: bool,
    /// Whether the disk fails to write once: the daemon ends, and is started again.
    pub(crate) a_sync_fails: bool,
}

impl Default for Honesty {
    fn default() -> Self {
        Self {
            durability: Durability::Full,
            lies: Lies::default(),
            files_are_synced: true,
            a_sync_fails: false,
        }
    }
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) folder: PathBuf,
    pub(crate) orders: Vec<Order>,
    pub(crate) promises: Vec<Promise>,
    pub(crate) lines: Vec<Line>,
    /// The number after the last line that was written.
    pub(crate) next: u64,
    pub(crate) elapsed: Duration,
}

struct Recorder {
    log: Log,
    promises: Vec<Promise>,
    reader: Option<Connection>,
    random: Random,
    lines: Vec<Line>,
    next: u64,
}

impl Workload {
    pub(crate) fn record(folder: &Path, seed: u64, honesty: Honesty) -> Self {
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            let _a_state_before = std::fs::remove_file(entry.path());
        }
        let log = Log::default();
        let supply = Supply::of(folder, Some(log.clone()));
        supply.lie(honesty.lies);
        let disk = Disk::recorded(log.clone(), honesty.files_are_synced);
        let mut recorder = Recorder {
            log,
            promises: Vec::new(),
            reader: None,
            random: Random::new(seed),
            lines: flows::lines(folder),
            next: FIRST_NUMBER,
        };
        make_others(folder);
        let mut living = recorder.start(folder, &disk, honesty.durability, Duration::ZERO, &mut || {});
        for round in 0..ROUNDS {
            recorder.write_sources(&disk);
            recorder.round(&mut living);
            if round == RESTARTS_IN {
                let failing = honesty.a_sync_fails.then(|| recorder.fail_syncs(&mut living, &supply));
                let elapsed = living.elapsed();
                // Whoever closes a database last puts its log away, if that can be done.
                recorder.reader = None;
                drop((living, failing));
                let log = folder.join("heartbeat.db-wal");
                if honesty.a_sync_fails {
                    supply.make_old(&log);
                }
                let mut see = || supply.see(&log);
                living = recorder.start(folder, &disk, honesty.durability, elapsed, &mut see);
            }
        }
        recorder.reader = None;
        let elapsed = living.elapsed();
        let orders = std::mem::take(&mut *recorder.log.lock().expect("nobody panics with it"));
        let Recorder { promises, lines, next, .. } = recorder;
        Self { folder: folder.to_owned(), orders, promises, lines, next, elapsed }
    }
}

impl Recorder {
    fn start(
        &mut self,
        folder: &Path,
        disk: &Disk,
        durability: Durability,
        elapsed: Duration,
        see: &mut dyn FnMut(),
    ) -> Living {
        self.promise(Promise::Starting);
        let mut after_a_commit = || {
            see();
            let reader = || read_beside(&database(folder)).expect("the database is there");
            self.reader.get_or_insert_with(reader);
            self.note_commit();
        };
        let living = Living::start(folder, disk, durability, elapsed, &mut after_a_commit);
        let living = living.expect("a database of ours");
        after_a_commit();
        living
    }

    /// Something happens; then as many steps as pipelines want.
    fn round(&mut self, living: &mut Living) {
        let pause = self.random.millis(2_500);
        living.wait(pause);
        living.reap();
        if self.random.percent(70) {
            living.beat();
        }
        let flow = self.random.pick(&["good", "bad", "to-file"]).to_owned();
        match self.random.below(4) {
            0 => living.order(Ordered::Hold { flow, held: self.random.one_in(2) }),
            1 => living.order(Ordered::Run { flow, from: None }),
            _ => {}
        }
        self.finish(living);
        for _ in 0..self.random.below(14) {
            living.work();
            self.finish(living);
        }
    }

    fn finish(&mut self, living: &mut Living) {
        let told = living.finish().expect("nothing fails here");
        self.note_commit();
        told.into_iter().for_each(|told| self.promise(Promise::Told(told)));
    }

    /// The disk fails, and the daemon is not to go on.
    fn fail_syncs(&mut self, living: &mut Living, supply: &Supply) -> Failing {
        let failing = supply.failing(Fault::Syncs);
        living.wait(Duration::from_secs(3));
        living.beat();
        let failed = living.finish().expect_err("a failed sync is no commit");
        assert_eq!(failed.cause, Cause::Sync, "{failed}");
        failing
    }

    fn note_commit(&mut self) {
        let reader = self.reader.as_ref().expect("a daemon runs");
        let content = content_of(reader).expect("readable");
        let last = self.promises.iter().rev().find_map(|promise| match promise {
            Promise::Committed(content) => Some(Some(*content)),
            Promise::Starting => Some(None),
            Promise::Told(_) => None,
        });
        if last.flatten() != Some(content) {
            self.promise(Promise::Committed(content));
        }
    }

    fn promise(&mut self, promise: Promise) {
        let number = self.promises.len() as u64;
        self.promises.push(promise);
        self.log.lock().expect("nobody panics with it").push(Order::Mark(number));
    }

    fn write_sources(&mut self, disk: &Disk) {
        for line in &self.lines {
            for _ in 0..self.random.below(7) {
                let number = self.next;
                self.next += 1;
                let text = match self.random.below(10) {
                    0 => format!("#{number} is no JSON\n"),
                    1 => format!("{{\"n\":\"{number}\"}}\n"),
                    _ => format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(self.random.index(60))),
                };
                disk.append(&line.source(), text.as_bytes());
            }
            if self.random.one_in(3) {
                disk.sync(&line.source());
            }
        }
    }
}

/// A database of others: made, and kept, as SQLite does by itself.
fn make_others(folder: &Path) {
    let others = Connection::open(folder.join("others.db")).expect("it can be made");
    others.execute_batch("CREATE TABLE t (n INTEGER, pad TEXT)").expect("a new database");
}

pub(crate) fn read_beside(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

/// Everything that a database holds, as a number.
pub(crate) fn content_of(reader: &Connection) -> rusqlite::Result<u64> {
    // When it was made is another time where it was made anew.
    let sql = "SELECT name FROM sqlite_schema
               WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'instance' ORDER BY name";
    let mut tables = reader.prepare_cached(sql)?;
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut hasher = DefaultHasher::new();
    for table in tables {
        let mut statement = reader.prepare_cached(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => 0.hash(&mut hasher),
                    ValueRef::Integer(value) => value.hash(&mut hasher),
                    ValueRef::Real(value) => value.to_bits().hash(&mut hasher),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.hash(&mut hasher),
                }
            }
        }
    }
    Ok(hasher.finish())
}
