//! The side file beside the database: which processes were started for which runs. It is written unsynced, as it matters
//! only within this start of the system, and the page cache outlives the process.
//!
//! A line is written before each start of a process; one with its number and one when nothing of it is left follow, at
//! the latest when the round ends. What it tells is never needed to be right: processes are known by their environment
//! as well, and a number is believed only with the time at which its process started.

use rustix::process::{Pid, getpid};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::processes::{self, Stat};
use crate::limits;
use crate::runtime::Job;
use crate::store::RunId;

/// A process that was started for a run; it led a group of its own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) job: Job,
    pub(super) pid: Pid,
    session: i32,
    /// Between these two its process started, in clock ticks since the system's start.
    started: (u64, u64),
}

impl Record {
    /// Whether its process is this one.
    pub(super) fn is_of(&self, stat: &Stat) -> bool {
        (self.started.0..=self.started.1).contains(&stat.started_at)
    }

    /// Whether a process is in the group that its process led. If the number is another's by now, so is the group.
    pub(super) fn led_group_of(&self, stat: &Stat) -> bool {
        stat.group == self.pid.as_raw_nonzero().get()
            && stat.session == self.session
            && processes::stat(self.pid).is_none_or(|leader| self.is_of(&leader))
    }
}

/// What the side file tells of the daemon before, within the same start of the system.
#[derive(Debug, Default)]
pub struct LeftBehind {
    /// Whether every start of a process is in it.
    is_whole: bool,
    about_to_spawn: BTreeSet<Job>,
    pub(super) records: Vec<Record>,
}

impl LeftBehind {
    /// Reads the side file of the database at this path. A file that is missing, damaged, of another database or from
    /// before the system's start tells nothing, or as much as can be read.
    pub fn read(database: &Path, instance: &str) -> Self {
        let path = beside(database);
        let mut text = Vec::new();
        let opened = OpenOptions::new().read(true).custom_flags(NONBLOCK.cast_signed()).open(&path);
        let read = opened.and_then(|file| file.take(limits::SIDE_FILE_READ_BYTES_MAX).read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Self::default(),
            Err(error) => {
                log::warn!("cannot read {}: {error}; processes are looked for without it", path.display());
                return Self::default();
            }
        }
        let left = Self::parse(&text, &header(instance, &boot_id()));
        match left {
            Some(left) => left,
            None => {
                log::warn!("{} is damaged: what can be read of it is used", path.display());
                Self::parse_what_can_be(&text, &header(instance, &boot_id()))
            }
        }
    }

    /// Whether no process was ever started for a run that was in progress when the daemon ended. False where that is
    /// not known.
    pub fn was_never_spawned(&self, run: RunId) -> bool {
        self.is_whole && !self.about_to_spawn.contains(&Job::Run(run))
    }

    /// None if it is damaged.
    fn parse(text: &[u8], header: &str) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        if text.is_empty() {
            return Some(Self::default());
        }
        let (first, lines) = text.split_once('\n')?;
        if !first.starts_with(MAGIC) || !(lines.is_empty() || lines.ends_with('\n')) {
            return None;
        }
        if first != header.trim_end() {
            return Some(Self::default());
        }
        let mut left = Self { is_whole: true, ..Self::default() };
        lines.lines().try_for_each(|line| left.take(line)).map(|()| left)
    }

    fn parse_what_can_be(text: &[u8], header: &str) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut left = Self::default();
        if text.lines().next() == Some(header.trim_end()) {
            text.lines().skip(1).for_each(|line| left.take(line).unwrap_or_default());
        }
        left.is_whole = false;
        left
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let what = words.next()?;
        let job: Job = words.next()?.parse().ok()?;
        match what {
            "spawn" => drop(self.about_to_spawn.insert(job)),
            "started" => {
                let pid = Pid::from_raw(words.next()?.parse().ok()?)?;
                let session = words.next()?.parse().ok()?;
                let started = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                self.records.push(Record { job, pid, session, started });
            }
            "gone" => self.records.retain(|record| record.job != job),
            _ => return None,
        }
        words.next().is_none().then_some(())
    }
}

/// The side file of this daemon's life.
#[derive(Debug)]
pub(super) struct SideFile {
    path: PathBuf,
    header: String,
    /// None: it cannot be written, and nothing is in it.
    file: Option<File>,
    bytes: u64,
    /// Lines that can wait until the round ends.
    unwritten: String,
    /// The session of this process, and so of the leaders of groups that it starts.
    session: i32,
    /// Past this it is rewritten.
    bytes_max: u64,
    /// Runs with lines in it.
    runs: BTreeMap<Job, Entry>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    /// Its process starts after this, in clock ticks since the system's start.
    not_before: u64,
    record: Option<Record>,
    /// Nothing of it is left.
    is_gone: bool,
}

impl SideFile {
    /// The side file of a life that has not begun.
    pub(super) fn new(database: &Path, instance: &str) -> Self {
        Self {
            path: beside(database),
            header: header(instance, &boot_id()),
            file: None,
            bytes: 0,
            unwritten: String::new(),
            session: processes::our_stat().map_or(0, |stat| stat.session),
            bytes_max: limits::SIDE_FILE_BYTES_MAX,
            runs: BTreeMap::new(),
        }
    }

    /// Begins a life; what is still being ended of the one before stays on record.
    pub(super) fn begin(&mut self, kept: impl IntoIterator<Item = Record>) {
        let entry = |record: Record| (record.job, Entry { record: Some(record), ..Entry::default() });
        self.runs = kept.into_iter().map(entry).collect();
        self.rewrite();
    }

    /// To be called before the process is started.
    pub(super) fn about_to_spawn(&mut self, job: Job) {
        let entry = Entry { not_before: processes::ticks_since_boot(), ..Entry::default() };
        self.runs.insert(job, entry);
        self.append(&format!("spawn {job}\n"));
        self.write();
    }

    pub(super) fn spawned(&mut self, job: Job, pid: Pid) {
        let Some(entry) = self.runs.get_mut(&job) else { return };
        let started = (entry.not_before, processes::ticks_since_boot());
        let record = Record { job, pid, session: self.session, started };
        entry.record = Some(record);
        self.append(&line_of(&record));
    }

    /// Nothing is left of a run, or what is left is nobody's business.
    pub(super) fn gone(&mut self, job: Job) {
        if let Some(entry) = self.runs.get_mut(&job).filter(|entry| !entry.is_gone) {
            entry.is_gone = true;
            self.append(&format!("gone {job}\n"));
        }
    }

    /// Ends the round: writes what waited for it, and drops what is over. A run that is in hand stays, be its process gone or not: until its end is on record, that
    /// it was started is what must be known.
    pub(super) fn tidy(&mut self, is_in_hand: impl Fn(Job) -> bool) {
        self.write();
        if self.file.is_some() && self.bytes == self.header.len() as u64 {
            return;
        }
        self.runs.retain(|job, entry| !entry.is_gone || is_in_hand(*job));
        if self.runs.is_empty() && self.file.is_some() {
            self.empty();
        } else if self.file.is_none() || self.bytes > self.bytes_max {
            self.rewrite();
        }
    }

    fn append(&mut self, line: &str) {
        if self.file.is_some() {
            self.unwritten.push_str(line);
        }
    }

    fn write(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.unwritten.is_empty()) else { return };
        match file.write_all(self.unwritten.as_bytes()) {
            Ok(()) => self.bytes += self.unwritten.len() as u64,
            Err(error) => self.give_up(&error),
        }
        self.unwritten.clear();
    }

    /// A file with a line missing would tell a lie; an empty one tells nothing. It takes no space to make it so.
    fn give_up(&mut self, error: &io::Error) {
        log::warn!("cannot write {}: {error}; processes are looked for without it", self.path.display());
        if let Some(file) = self.file.take()
            && file.set_len(0).is_err()
        {
            let _nothing_more_can_be_done = std::fs::remove_file(&self.path);
        }
    }

    fn empty(&mut self) {
        let bytes = self.header.len() as u64;
        match self.file.as_ref().map(|file| file.set_len(bytes)) {
            Some(Err(error)) => self.give_up(&error),
            _ => self.bytes = bytes,
        }
    }

    fn rewrite(&mut self) {
        let mut text = self.header.clone();
        for (job, entry) in &self.runs {
            text.push_str(&format!("spawn {job}\n"));
            match (&entry.record, entry.is_gone) {
                (_, true) => text.push_str(&format!("gone {job}\n")),
                (Some(record), false) => text.push_str(&line_of(record)),
                (None, false) => {}
            }
        }
        let was_writable = self.file.take().is_some() || self.bytes == 0;
        match replace(&self.path, text.as_bytes()) {
            Ok(file) => {
                self.file = Some(file);
                self.bytes = text.len() as u64;
                self.bytes_max = limits::SIDE_FILE_BYTES_MAX.max(2 * self.bytes);
            }
            Err(error) => {
                // An old one would tell of another time.
                let _not_there = std::fs::remove_file(&self.path);
                if was_writable {
                    log::warn!(
                        "cannot write {}: {error}; processes are looked for without it",
                        self.path.display()
                    );
                }
                self.bytes = 1;
            }
        }
    }
}

const MAGIC: &str = "heartbeatd-children 1 ";
const NONBLOCK: u32 = rustix::fs::OFlags::NONBLOCK.bits();

/// The first line: which database, and which start of the system.
fn header(instance: &str, boot_id: &str) -> String {
    format!("{MAGIC}{instance} {boot_id}\n")
}

fn line_of(record: &Record) -> String {
    let Record { job, pid, session, started: (from, until) } = record;
    format!("started {} {} {session} {from} {until}\n", job, pid.as_raw_nonzero())
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".children");
    PathBuf::from(name)
}

/// Which start of the system this is. Where that cannot be told each is another.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_else(|_| format!("unknown-{}", getpid().as_raw_nonzero()))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let _left_by_a_crash = std::fs::remove_file(&new);
    let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(content).and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        let _as_good_as_gone = std::fs::remove_file(&new);
    }
    written.map(|()| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "heartbeatd-children 1 instance boot\n";

    fn left(lines: &str) -> Option<LeftBehind> {
        LeftBehind::parse(format!("{HEADER}{lines}").as_bytes(), HEADER)
    }

    #[test]
    fn what_was_started_and_is_not_gone_is_on_record() {
        let left = left("spawn 1\nstarted 1 10 9 99 100\nspawn 2\nspawn 3\nstarted 3 30 9 300 300\ngone 1\n")
            .unwrap();
        let pids: Vec<i32> = left.records.iter().map(|record| record.pid.as_raw_nonzero().get()).collect();
        assert_eq!(pids, [30]);
        let never: Vec<i64> = (1..=4).filter(|job| left.was_never_spawned(RunId(*job))).collect();
        assert_eq!(never, [4]);
    }

    #[test]
    fn a_file_of_another_database_or_start_of_the_system_or_none_tells_nothing() {
        for other in
            ["heartbeatd-children 1 instance boot2\nspawn 1\n", "heartbeatd-children 1 i2 boot\n", ""]
        {
            let left = LeftBehind::parse(other.as_bytes(), HEADER).unwrap();
            assert!(!left.was_never_spawned(RunId(9)) && left.records.is_empty(), "{other}");
        }
    }

    #[test]
    fn a_damaged_file_tells_what_can_be_read_of_it_but_never_that_nothing_was_started() {
        for lines in [
            "spawn 1\nstarted 1 10 9 99 100\nsp",
            "\0\0\n",
            "started 1 10 9 99 100\nstarted 2 x\n",
            "spawn 1 2\n",
        ] {
            assert!(left(lines).is_none(), "{lines:?}");
            let text = format!("{HEADER}{lines}");
            let left = LeftBehind::parse_what_can_be(text.as_bytes(), HEADER);
            assert!(!left.was_never_spawned(RunId(9)));
            assert_eq!(left.records.len(), usize::from(lines.contains("started 1 10 9 99 100")), "{lines:?}");
        }
    }

    #[test]
    fn it_holds_what_is_in_hand_and_is_bounded() {
        let folder = std::env::temp_dir().join(format!("heartbeatd-side-file-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let database = folder.join("heartbeat.db");
        let mut file = SideFile::new(&database, "i");
        file.begin([]);
        file.about_to_spawn(Job::Run(RunId(1)));
        file.spawned(Job::Run(RunId(1)), getpid());
        for job in 2..5_000 {
            file.about_to_spawn(Job::Run(RunId(job)));
            file.gone(Job::Run(RunId(job)));
            file.tidy(|job| job == Job::Run(RunId(1)) || job == Job::Run(RunId(4_999)));
        }
        let left = LeftBehind::read(&database, "i");
        assert_eq!(left.records.iter().map(|record| record.job).collect::<Vec<_>>(), [Job::Run(RunId(1))]);
        assert!(!left.was_never_spawned(RunId(1)) && !left.was_never_spawned(RunId(4_999)));
        assert!(left.was_never_spawned(RunId(5_000)));
        assert!(std::fs::metadata(beside(&database)).unwrap().len() <= limits::SIDE_FILE_BYTES_MAX + 100);
        file.gone(Job::Run(RunId(1)));
        file.tidy(|_| false);
        let text = std::fs::read_to_string(beside(&database)).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        file.about_to_spawn(Job::Run(RunId(6_000)));
        assert!(!LeftBehind::read(&database, "i").was_never_spawned(RunId(6_000)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
