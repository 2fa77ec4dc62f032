//! What must hold, whatever happens: a second reader of the database's file compares what it finds with what it found
//! before, and with what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use heartbeat_runtime::flow::Status;
use heartbeat_runtime::runtime::Settings;
use heartbeat_runtime::time::{Monotonic, Now};
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::counters::{Days, Life};
use super::grid::Grid;
use super::told::Told;

/// Runs of a flow that may be kept beyond the bound: what was recorded in rounds that could not delete as well.
const HISTORY_BEYOND: usize = 4;

/// A run as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) flow: String,
    pub(crate) flow_id: i64,
    pub(crate) status: Status,
    pub(crate) heartbeat_id: String,
    pub(crate) attempt: i64,
    pub(crate) rerun: i64,
    pub(crate) not_before: Option<i64>,
    pub(crate) scheduled_at: i64,
    pub(crate) misfires: i64,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) error_kind: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) duration_ms: Option<i64>,
}

impl Run {
    /// By an operator, and by no heartbeat.
    pub(crate) fn is_ordered(&self) -> bool {
        self.heartbeat_id == "ordered"
    }

    /// Whether it was recorded with the end of this one, to try the same again.
    pub(crate) fn is_next_attempt_of(&self, before: &Self) -> bool {
        self.attempt == before.attempt + 1
            && self.heartbeat_id == before.heartbeat_id
            && self.scheduled_at == before.scheduled_at
    }
}

/// What has been seen so far.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) reader: Connection,
    pub(crate) database_id: String,
    /// Whether the power is cut.
    pub(crate) looks_away: bool,
    data_version: i64,
    /// When this is looked at.
    pub(crate) now: Option<Now>,
    pub(crate) runs: BTreeMap<i64, Run>,
    open: BTreeSet<i64>,
    /// The greatest id of a run that was ever seen.
    pub(crate) newest: i64,
    /// The runs of each heartbeat on record: the first, and how many.
    pub(crate) heartbeats: BTreeMap<String, (i64, i64)>,
    /// The first run of the last heartbeat that was judged.
    pub(crate) heartbeats_seen: i64,
    pub(crate) somebody_signed: bool,
    pub(crate) flows: BTreeMap<String, Grid>,
    pub(crate) flows_gone: Vec<(String, i64)>,
    /// Whether definitions may have changed since the last look.
    pub(crate) flows_may_change: bool,
    /// Whether this look found that a flow is gone, and its runs with it.
    pub(crate) may_be_gone: bool,
    /// The most of what was ever in force.
    pub(crate) settings: Settings,
    runs_kept_min: usize,
    /// Runs that followed another of their claim.
    pub(crate) again: BTreeSet<i64>,
    /// False once the wall clock was moved: the grids then start anew.
    pub(crate) clock_is_steady: bool,
    /// Whether what is found next may have been claimed by the clock as it was before.
    pub(crate) clock_moved_since_look: bool,
    /// Whether runs may have been old by a clock that nobody could hold against another.
    some_were_old: bool,
    pub(crate) told: BTreeMap<String, Told>,
    /// Ids that were answered as no duplicate; those that started nothing are forgotten with the daemon's life.
    pub(crate) told_first: BTreeSet<String>,
    pub(crate) life: Life,
    pub(crate) days: BTreeMap<i64, Days>,
    /// Flows whose sums are to be judged.
    pub(crate) judged_by_flow: BTreeSet<i64>,
    /// Runs whose end was found and whose reason is yet to be judged.
    pub(crate) ended_now: Vec<i64>,
    /// Whether each flow ran when it was due, at the last look, and of which version of the file that is.
    pub(crate) flows_runnable: BTreeMap<i64, bool>,
    pub(crate) runnable_version: i64,
    /// Since when each run is in its state, as far as this daemon's life knows.
    pub(crate) since: BTreeMap<i64, Monotonic>,
}

impl Book {
    pub(crate) fn open_beside(path: &Path, settings: Settings) -> Self {
        let reader = read_beside(path);
        let database_id = reader.query_row("SELECT id FROM instance", [], |row| row.get(0)).expect("an id");
        Self {
            reader,
            database_id,
            looks_away: false,
            data_version: -1,
            now: None,
            runs: BTreeMap::new(),
            open: BTreeSet::new(),
            newest: 0,
            heartbeats: BTreeMap::new(),
            heartbeats_seen: 0,
            somebody_signed: false,
            flows: BTreeMap::new(),
            flows_gone: Vec::new(),
            flows_may_change: true,
            may_be_gone: false,
            settings,
            runs_kept_min: settings.history.runs_per_flow,
            again: BTreeSet::new(),
            clock_is_steady: true,
            clock_moved_since_look: false,
            some_were_old: false,
            told: BTreeMap::new(),
            told_first: BTreeSet::new(),
            life: Life::default(),
            days: BTreeMap::new(),
            judged_by_flow: BTreeSet::new(),
            ended_now: Vec::new(),
            flows_runnable: BTreeMap::new(),
            runnable_version: -1,
            since: BTreeMap::new(),
        }
    }

    /// The power is cut: until it is back nobody looks.
    pub(crate) fn look_away(&mut self) {
        self.reader = Connection::open_in_memory().expect("there is memory");
        self.looks_away = true;
    }

    /// The power is back, and a daemon runs.
    pub(crate) fn look_again(&mut self, path: &Path) {
        if std::mem::take(&mut self.looks_away) {
            self.reader = read_beside(path);
            (self.data_version, self.runnable_version) = (-1, -1);
            self.flows_may_change = true;
        }
    }

    /// Judges what was committed since the last look.
    pub(crate) fn look(&mut self, now: Now) {
        assert!(!self.looks_away, "there is power");
        let mut statement = self.reader.prepare_cached("PRAGMA data_version").expect("readable");
        let version = statement.query_row([], |row| row.get(0)).expect("readable");
        drop(statement);
        self.now = Some(now);
        let clock_moved = std::mem::take(&mut self.clock_moved_since_look);
        if std::mem::replace(&mut self.data_version, version) == version {
            return;
        }
        if std::mem::take(&mut self.flows_may_change) {
            let gone = self.look_at_flows();
            self.may_be_gone = !gone.is_empty();
            for (flow, id) in gone {
                self.forget_runs_of(&flow, id);
            }
        }
        // Where no agent tells the time, a clock that jumped years ahead makes runs old. That one is gone may show later.
        let tells_no_time = self.settings.internal_heartbeat.is_some() || !self.somebody_signed;
        self.some_were_old |= tells_no_time && !self.clock_is_steady;
        let open = self.open.first().copied();
        self.judge_runs_from(open.unwrap_or(self.newest + 1));
        self.judge_heartbeats();
        self.judge_records();
        self.judge_days();
        self.judge_alerts();
        self.settle_flows();
        self.judge_next_times();
        self.may_be_gone = false;
        if clock_moved {
            self.count_claims_anew();
        }
    }

    /// Judges every run again: what has ended stays as it is.
    pub(crate) fn look_at_everything(&mut self, now: Now) {
        self.flows_may_change = true;
        self.look(now);
        self.judge_runs_from(0);
        let verdict: String =
            self.reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("readable");
        assert_eq!(verdict, "ok", "the database is whole");
        for (flow, grid) in &self.flows {
            let ended =
                self.runs.values().filter(|run| run.flow_id == grid.id && !run.status.is_open()).count();
            let kept = self.settings.history.runs_per_flow + HISTORY_BEYOND;
            assert!(ended <= kept, "{ended} runs of {flow} are kept");
        }
    }

    /// They went with their flow.
    fn forget_runs_of(&mut self, flow: &str, id: i64) {
        let open = self.runs.iter().find(|(_, run)| run.flow_id == id && run.status == Status::InProgress);
        assert!(open.is_none(), "{flow} is deleted while a run of it is in progress: {open:?}");
        self.runs.retain(|_, run| run.flow_id != id);
        self.open.retain(|run| self.runs.contains_key(run));
    }

    /// Runs that are not over.
    pub(crate) fn open(&self) -> impl Iterator<Item = (&i64, &Run)> {
        self.open.iter().filter_map(|id| self.runs.get_key_value(id))
    }

    fn judge_runs_from(&mut self, first: i64) {
        let found = self.read_runs(first);
        let gone = self.runs.range(first..).filter(|(id, _)| !found.contains_key(id)).map(|(id, _)| *id);
        for id in gone.collect::<Vec<_>>() {
            self.judge_gone(id, &found);
        }
        let mut ended = Vec::new();
        for (id, run) in found {
            let before = self.runs.get(&id);
            let ends = !run.status.is_open() && before.is_none_or(|before| before.status.is_open());
            match before {
                Some(before) => judge_change(id, before, &run),
                None => self.judge_new(id, &run),
            }
            judge_times(id, &run);
            let is_early = run.started_at.zip(run.not_before).is_some_and(|(at, not_before)| at < not_before);
            assert!(!is_early || !self.clock_is_steady, "run {id} waits for its time: {run:?}");
            let is_as_before = self.runs.get(&id).is_some_and(|before| before.status == run.status);
            if let Some(now) = self.now.filter(|_| !is_as_before) {
                self.since.insert(id, now.monotonic);
            }
            if run.status.is_open() {
                self.open.insert(id);
            } else {
                self.open.remove(&id);
            }
            if ends {
                ended.push(id);
            }
            self.newest = self.newest.max(id);
            self.runs.insert(id, run);
        }
        ended.iter().for_each(|id| self.count_end(*id));
        self.ended_now.extend(ended);
        let flows: BTreeSet<i64> = self.open().map(|(_, run)| run.flow_id).collect();
        assert_eq!(flows.len(), self.open.len(), "a flow has one open run: {:?}", self.open);
        let running = self.runs_in_progress();
        assert!(running <= self.settings.max_concurrent_runs, "{running} runs are in progress");
    }

    /// These settings count from now on, or still those before: runs that are in progress go on, and what is on record is
    /// cut back in small steps.
    pub(crate) fn allow(&mut self, settings: &Settings) {
        let Self { settings: before, .. } = self;
        before.max_claims_per_heartbeat =
            settings.max_claims_per_heartbeat.max(before.max_claims_per_heartbeat);
        before.max_concurrent_runs = settings.max_concurrent_runs.max(before.max_concurrent_runs);
        self.runs_kept_min = self.runs_kept_min.min(settings.history.runs_per_flow);
        before.history.runs_per_flow = settings.history.runs_per_flow.max(before.history.runs_per_flow);
        before.internal_heartbeat = before.internal_heartbeat.or(settings.internal_heartbeat);
    }

    /// Whether an operator holds a flow.
    pub(crate) fn is_held(&self, flow: &str) -> Option<bool> {
        let sql = "SELECT held FROM data_flows WHERE name = ?1";
        self.reader.query_row(sql, [flow], |row| row.get(0)).optional().expect("readable")
    }

    fn judge_new(&mut self, id: i64, run: &Run) {
        assert!(id > self.newest, "the id of run {id} was given before: {run:?}");
        self.judge_may_run(id, run);
        if run.is_ordered() && (run.attempt, run.rerun, run.not_before) == (1, 0, None) {
            self.judge_ordered(id, run);
            self.again.insert(id);
            return;
        }
        match self.before(id, run).cloned() {
            Some(before) => {
                // Or what it follows was old by the clock of the round in which it ended, and is gone.
                if !self.some_were_old {
                    judge_again(id, &before, run);
                }
                self.again.insert(id);
            }
            None if self.some_were_old && (run.attempt, run.rerun) != (1, 0) => {
                self.again.insert(id);
            }
            None => {
                self.life.misfires += run.misfires.unsigned_abs();
                self.judge_claimed(id, run);
            }
        }
    }

    /// A run that is not on record any more: it had ended, and enough newer ones of its flow are kept.
    fn judge_gone(&mut self, id: i64, found: &BTreeMap<i64, Run>) {
        let run = self.runs.remove(&id).expect("a run that was known");
        self.since.remove(&id);
        if self.open.remove(&id) {
            self.count_unseen(&run);
        }
        let kept = self.runs_kept_min;
        // A history is cut back with every eighth end at most, and makes room for those that come until the next time.
        let room = (kept / 16).clamp(1, 8) - 1;
        // A quarter is for failures that are older than the newest runs.
        let newest = if run.status == Status::Failed { kept } else { kept - kept / 4 } - room;
        let newer =
            found.range(id..).filter(|(_, other)| other.flow == run.flow && !other.status.is_open()).count();
        // Those that ended in the same round, the run itself among them, may not have been known yet.
        assert!(
            newer >= newest || self.some_were_old,
            "run {id} is gone with {newer} newer ones of its flow: {run:?}"
        );
    }

    /// An operator's run, or one that was interrupted before it was started.
    fn judge_ordered(&self, id: i64, run: &Run) {
        let before = self.before(id, run).and_then(|before| before.error_kind.as_deref());
        let is_due_now = run.scheduled_at == run.created_at;
        assert!(run.misfires == 0 && (is_due_now || before == Some("interrupted")), "run {id}: {run:?}");
    }

    /// The run that this one follows: a heartbeat claims a flow once, what comes after it is the same again.
    fn before(&self, id: i64, run: &Run) -> Option<&Run> {
        let of_the_claim = |before: &&Run| before.flow == run.flow && before.heartbeat_id == run.heartbeat_id;
        self.runs.range(..id).rev().map(|(_, before)| before).find(of_the_claim)
    }

    /// The first run that waits for nothing but a slot.
    pub(crate) fn pending_run(&self) -> Option<i64> {
        self.open()
            .find(|(_, run)| run.status == Status::Pending && run.not_before.is_none())
            .map(|(id, _)| *id)
    }

    pub(crate) fn runs_in_progress(&self) -> usize {
        self.open().filter(|(_, run)| run.status == Status::InProgress).count()
    }

    pub(crate) fn open_runs(&self) -> usize {
        self.open.len()
    }

    /// Changes when something is committed.
    pub(crate) fn version(&self) -> i64 {
        self.data_version
    }
}

fn read_beside(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).expect("the daemon has made the database");
    reader.set_prepared_statement_cache_capacity(32);
    reader
}

/// The next attempt after a failure, or the same one after an interruption.
fn judge_again(id: i64, before: &Run, run: &Run) {
    let follows = match before.error_kind.as_deref() {
        Some("interrupted") => {
            run.attempt == before.attempt && (before.rerun..=before.rerun + 1).contains(&run.rerun)
        }
        Some("spawn" | "exit_status" | "signal" | "timeout" | "source" | "sink" | "transform" | "schema") => {
            run.attempt == before.attempt + 1 && run.not_before.is_some()
        }
        _ => false,
    };
    assert!(follows && run.rerun <= 3 && run.attempt <= 3, "run {id}: {run:?} follows {before:?}");
    assert_eq!(run.scheduled_at, before.scheduled_at, "run {id} was due when its claim was");
}

fn judge_change(id: i64, before: &Run, after: &Run) {
    if before.status == after.status {
        assert_eq!(before, after, "run {id} changes with its state only");
    } else {
        assert!(before.status.may_become(after.status), "run {id}: {before:?} became {after:?}");
    }
}

/// Its end is its start and what was measured, and no clock that jumped makes that less than nothing.
fn judge_times(id: i64, run: &Run) {
    let Some(ended_at) = run.ended_at else { return };
    let took = run.started_at.map(|started_at| ended_at - started_at);
    assert!(took.is_none_or(|took| took >= 0), "run {id} ends before it starts: {run:?}");
    let fits = run.duration_ms.is_none_or(|duration_ms| duration_ms >= 0 && Some(duration_ms) == took);
    assert!(fits, "run {id} took another time than it says: {run:?}");
}
