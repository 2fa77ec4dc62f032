//! Cuts the power of what was recorded, at a place, and judges what is found then.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use heartbeat_runtime::flow::Status;
use heartbeat_runtime::store::{Durability, Store};
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use serde_json::Value;

use super::disk::Disk;
use super::flows::Line;
use super::living::{Living, Told, database, now};
use super::medium::{Image, Losses, Medium, Order};
use super::random::Random;
use super::supply::{self, Supply};
use super::workload::{Promise, Workload, content_of, read_beside};

/// So long after the power is back a daemon starts.
pub(super) const DOWN: Duration = Duration::from_secs(30);
/// Rounds of a daemon that goes on after the cut, ...
const ROUNDS_AFTER: u32 = 8;
/// ... and steps of its pipelines in each: more than any needs.
const STEPS_A_ROUND_MAX: u32 = 100;
const DIGITS: usize = 6;

/// How many cuts of which sort.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// States that are looked at after each sync, ...
    pub(crate) at_syncs: u64,
    /// ... and of a thousand other places, at how many.
    pub(crate) elsewhere_per_mille: u64,
    /// After one in so many cuts a daemon goes on to the end.
    pub(crate) goes_on_one_in: u64,
    /// In one of so many the power goes again while the database is being opened.
    pub(crate) again_one_in: u64,
}

/// What has been tried so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) cuts: u64,
    /// Cuts that left, byte for byte, what another one had left that was judged by the same promises.
    pub(crate) alike: u64,
    pub(crate) losses: Losses,
    /// Runs and holds that somebody had been told of, and that were looked for.
    pub(crate) promises: u64,
    /// Cuts after which a daemon went on to the end, ...
    pub(crate) gone_on: u64,
    /// ... records that had to have arrived once, ...
    pub(crate) records: u64,
    /// ... and cuts during the recovery from another.
    pub(crate) again: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.alike += other.alike;
        self.losses.add(other.losses);
        self.promises += other.promises;
        self.gone_on += other.gone_on;
        self.records += other.records;
        self.again += other.again;
    }
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The database cannot be opened, or is not whole.
    Damaged(String),
    /// What somebody was told of is not there.
    PromiseLost(String),
    /// The database holds what it never held after a commit.
    NoPrefix(String),
    /// The database holds what it held before a commit that had returned.
    Behind(String),
    /// A record is lost or twice.
    Record(String),
    /// A pipeline does not go on.
    Stuck(String),
}

/// What holds at a place of the record.
#[derive(Clone, Debug, Default)]
struct Standing {
    runs: BTreeMap<i64, Status>,
    held: BTreeMap<String, bool>,
    /// The commit that returned last; none: a daemon is starting.
    committed: Option<usize>,
}

/// Judges cuts of one workload.
pub(crate) struct Judge<'w> {
    workload: &'w Workload,
    /// What the database held, after which commits.
    contents: HashMap<u64, Vec<usize>>,
    /// The states that were judged since something was last promised.
    judged: HashSet<u64>,
    plan: Plan,
    random: Random,
    pub(crate) tally: Tally,
}

impl<'w> Judge<'w> {
    pub(crate) fn new(workload: &'w Workload, plan: Plan, random: Random) -> Self {
        let mut contents: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, promise) in workload.promises.iter().enumerate() {
            if let Promise::Committed(content) = promise {
                contents.entry(*content).or_default().push(index);
            }
        }
        Self { workload, contents, judged: HashSet::new(), plan, random, tally: Tally::default() }
    }

    /// Cuts the power wherever the plan says: what does not hold, and where.
    pub(crate) fn judge(&mut self) -> Vec<(usize, Broken)> {
        let mut broken = Vec::new();
        let workload = self.workload;
        let (mut medium, mut standing) = (Medium::default(), Standing::default());
        for (place, order) in workload.orders.iter().enumerate() {
            medium.apply(order.clone());
            if let Order::Mark(number) = order {
                let number = usize::try_from(*number).expect("an index");
                standing.take(number, &workload.promises[number]);
                self.judged.clear();
                // What is told of a commit is told at once.
                continue;
            }
            let is_sync = matches!(order, Order::Sync(_) | Order::SyncFolder(_));
            let states = match is_sync {
                true => self.plan.at_syncs,
                false => u64::from(self.random.below(1000) < self.plan.elsewhere_per_mille),
            };
            for _ in 0..states {
                broken.extend(self.cut(&medium, &standing).err().map(|broken| (place, broken)));
            }
        }
        broken
    }

    fn cut(&mut self, medium: &Medium, standing: &Standing) -> Result<(), Broken> {
        let mut losses = Losses::default();
        let image = medium.cut(&mut self.random, &mut losses);
        self.tally.losses.add(losses);
        self.tally.cuts += 1;
        let cuts_again = self.random.one_in(self.plan.again_one_in);
        let goes_on = self.random.one_in(self.plan.goes_on_one_in);
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        if !self.judged.insert(hasher.finish()) && !cuts_again && !goes_on {
            self.tally.alike += 1;
            return Ok(());
        }
        self.rebuild(&image);
        if cuts_again {
            self.cut_again();
        }
        let folder = &self.workload.folder;
        let wall = now(self.workload.elapsed + DOWN).wall;
        let opened = Store::open(&database(folder), Durability::Full, 7, wall);
        let store = opened.map_err(|error| Broken::Damaged(error.to_string()))?;
        let damaged = |error: rusqlite::Error| Broken::Damaged(error.to_string());
        let reader = read_beside(&database(folder)).map_err(damaged)?;
        // Nobody is to see what the log would make of the database at the end.
        reader.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(damaged)?;
        let judged = self.look(&reader, standing);
        drop(store);
        drop(reader);
        judged?;
        if goes_on {
            self.go_on(&image)?;
        }
        Ok(())
    }

    /// Makes the folder what was found after the cut.
    fn rebuild(&self, image: &Image) {
        for entry in fs::read_dir(&self.workload.folder).expect("the folder is there").flatten() {
            let path = entry.path();
            if !image.names.contains_key(&path)
                && path.extension().is_none_or(|extension| extension != "lock")
            {
                fs::remove_file(path).expect("it is ours");
            }
        }
        supply::hold(image);
    }

    /// The power goes once more, while the database is being opened.
    fn cut_again(&mut self) {
        let folder = &self.workload.folder;
        let supply = Supply::of(folder, None);
        supply.cut_after(self.random.below(60));
        let wall = now(self.workload.elapsed + DOWN).wall;
        drop(Store::open(&database(folder), Durability::Full, 7, wall));
        supply.cut();
        let mut losses = Losses::default();
        supply.restore(&mut self.random, &mut losses);
        self.tally.losses.add(losses);
        self.tally.again += 1;
    }

    fn look(&mut self, reader: &Connection, standing: &Standing) -> Result<(), Broken> {
        let damaged = |error: rusqlite::Error| Broken::Damaged(error.to_string());
        whole(reader)?;
        let content = content_of(reader).map_err(damaged)?;
        let runs = runs_of(reader).map_err(damaged)?;
        for (run, told) in &standing.runs {
            self.tally.promises += 1;
            let is_kept = runs.get(run).is_some_and(|found| is_as_far(*told, *found));
            if !is_kept {
                return Err(Broken::PromiseLost(format!("run {run}, told as {told:?}: {:?}", runs.get(run))));
            }
        }
        let Some(committed) = standing.committed else { return Ok(()) };
        let Some(found) = self.contents.get(&content) else {
            return Err(Broken::NoPrefix(format!("commit {committed} was the last")));
        };
        let Some(at) = found.iter().find(|at| **at >= committed) else {
            return Err(Broken::Behind(format!("commit {committed} was the last, found {found:?}")));
        };
        if *at == committed {
            let held = held_of(reader).map_err(damaged)?;
            self.tally.promises += standing.held.len() as u64;
            if let Some((flow, told)) =
                standing.held.iter().find(|(flow, told)| held.get(*flow) != Some(told))
            {
                return Err(Broken::PromiseLost(format!("{flow} is held: {told}")));
            }
        }
        Ok(())
    }

    /// A daemon starts, and everything that can be read arrives, once.
    fn go_on(&mut self, image: &Image) -> Result<(), Broken> {
        self.rebuild(image);
        let disk = Disk::holding(&supply::without_databases(image));
        let Workload { folder, elapsed, lines, .. } = self.workload;
        let mut living = Living::start(folder, &disk, Durability::Full, *elapsed + DOWN, &mut || {})
            .map_err(|error| Broken::Damaged(error.to_string()))?;
        for round in 0..ROUNDS_AFTER {
            living.wait(Duration::from_secs(3));
            living.reap();
            if round == 0 {
                for line in lines {
                    let flow = line.flow.to_owned();
                    living.order(heartbeat_runtime::runtime::Order::Hold { flow, held: false });
                }
            }
            living.beat();
            for _ in 0..STEPS_A_ROUND_MAX {
                living.finish().map_err(|error| Broken::Stuck(error.to_string()))?;
                living.work();
                if !living.is_busy() {
                    break;
                }
            }
        }
        drop(living);
        self.tally.gone_on += 1;
        let reader = read_beside(&database(folder)).expect("it was open just now");
        for line in lines {
            self.judge_line(line, &disk, &reader)?;
        }
        Ok(())
    }

    fn judge_line(&mut self, line: &Line, disk: &Disk, reader: &Connection) -> Result<(), Broken> {
        let sql = "SELECT run.status || ' ' || coalesce(error_message, '') FROM data_flow_runs AS run
                   JOIN data_flows AS flow ON flow.id = data_flow_id WHERE name = ?1 ORDER BY run.id DESC LIMIT 1";
        let end: String = reader.query_row(sql, [line.flow], |row| row.get(0)).expect("it has run");
        if end != "success " {
            return Err(Broken::Stuck(format!("{}: {end}", line.flow)));
        }
        let mut arrived = BTreeSet::new();
        let dead =
            disk.contents(&line.folder("dead")).into_iter().flat_map(|(.., content)| dead_numbers(&content));
        for number in written(line, disk).into_iter().chain(dead) {
            if !(arrived.insert(number) && number < self.workload.next) {
                return Err(Broken::Record(format!("{number} arrives at {} twice", line.flow)));
            }
        }
        let source = disk.read(&line.source()).unwrap_or_default();
        let end = source.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        for number in numbers(&source[..end]) {
            self.tally.records += 1;
            if !arrived.contains(&number) {
                return Err(Broken::Record(format!("{number} of {} is lost", line.flow)));
            }
        }
        Ok(())
    }
}

impl Standing {
    fn take(&mut self, number: usize, promise: &Promise) {
        match promise {
            Promise::Starting => self.committed = None,
            Promise::Committed(_) => self.committed = Some(number),
            Promise::Told(Told::Run(run, status)) => {
                let known = self.runs.entry(*run).or_insert(*status);
                if is_as_far(*known, *status) {
                    *known = *status;
                }
            }
            Promise::Told(Told::Held(flow, held)) => drop(self.held.insert(flow.clone(), *held)),
        }
    }
}

pub(super) fn whole(reader: &Connection) -> Result<(), Broken> {
    let verdict = reader.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(()),
        Ok(verdict) => Err(Broken::Damaged(verdict)),
        Err(error) => Err(Broken::Damaged(error.to_string())),
    }
}

/// Whether a state is one that was told, or what may become of it.
fn is_as_far(told: Status, found: Status) -> bool {
    told == found || told.may_become(found) || (told.is_open() && !found.is_open())
}

fn runs_of(reader: &Connection) -> rusqlite::Result<BTreeMap<i64, Status>> {
    let mut statement = reader.prepare_cached("SELECT id, status FROM data_flow_runs")?;
    let run = |row: &rusqlite::Row<'_>| {
        let status: String = row.get(1)?;
        Ok((row.get(0)?, Status::from_word(&status).expect("a state")))
    };
    statement.query_map([], run)?.collect()
}

fn held_of(reader: &Connection) -> rusqlite::Result<BTreeMap<String, bool>> {
    let mut statement = reader.prepare_cached("SELECT name, held FROM data_flows")?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The numbers of the records that a line's sink holds.
fn written(line: &Line, disk: &Disk) -> Vec<u64> {
    match &line.database {
        None => {
            disk.contents(&line.folder("sink")).iter().flat_map(|(.., content)| numbers(content)).collect()
        }
        Some(database) => numbers_of(database).unwrap_or_default(),
    }
}

fn numbers_of(database: &Path) -> rusqlite::Result<Vec<u64>> {
    let reader = read_beside(database)?;
    let mut statement = reader.prepare("SELECT n FROM t")?;
    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
    statement.query_map([], number)?.collect()
}

/// The number of each line that has one: its first digits in a row that are as many as a number has.
fn numbers(content: &[u8]) -> Vec<u64> {
    content.split(|byte| *byte == b'\n').filter_map(number).collect()
}

fn number(line: &[u8]) -> Option<u64> {
    let digits = line.windows(DIGITS).find(|window| window.iter().all(u8::is_ascii_digit))?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The numbers of the records among dead letters.
fn dead_numbers(content: &[u8]) -> Vec<u64> {
    let record = |line: &[u8]| {
        let letter: Value = serde_json::from_slice(line).ok()?;
        // Zeros that a power cut left are escaped by digits.
        let text = letter["record"].as_str().map_or_else(|| letter["record"].to_string(), str::to_owned);
        number(text.as_bytes())
    };
    content.split(|byte| *byte == b'\n').filter_map(record).collect()
}
