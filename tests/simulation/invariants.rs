//! What must hold, whatever happens: a second reader of the database's file compares what it finds with what it found
//! before, and with what callers were told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use heartbeat_runtime::flow::{Configuration, Definition, Schedule, Status};
use heartbeat_runtime::runtime::Settings;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::Value;

use super::caller::{NARROW, NARROW_FLOWS};
use super::flows::WINDOW_OPENS_S;
use super::pipelines::States;

/// A run as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) flow: String,
    pub(crate) status: Status,
    heartbeat_id: String,
    attempt: i64,
    rerun: i64,
    not_before: Option<i64>,
    scheduled_at: i64,
    misfires: i64,
    created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) error_kind: Option<String>,
    pub(crate) exit_code: Option<i32>,
    pub(crate) signal: Option<i32>,
}

impl Run {
    /// By an operator, and by no heartbeat.
    fn is_ordered(&self) -> bool {
        self.heartbeat_id == "ordered"
    }
}

/// What a caller was told under an id: everything that a duplicate must be told as well.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    counts: [u64; 4],
    timestamp: String,
    runs: Vec<i64>,
}

/// When a flow is to run.
#[derive(Debug)]
struct Grid {
    interval_ms: i64,
    is_delay: bool,
    /// A run time is so many milliseconds after a multiple of the interval; none where that hangs on the first run.
    phase_ms: Option<i64>,
    is_windowed: bool,
    /// The run time after those that are accounted for.
    expected: Option<i64>,
}

impl Grid {
    fn of(flow: &Definition, database_id: &str) -> Self {
        let Configuration { schedule, calendar, .. } = &flow.configuration;
        let offset_ms = calendar.offset_ms(database_id, flow.name.as_str());
        Self {
            interval_ms: i64::try_from(flow.run_interval_s * 1000).expect("a short interval"),
            is_delay: *schedule == Schedule::FixedDelay,
            phase_ms: calendar.at.map(|at| i64::from(at.seconds()) * 1000 + offset_ms),
            is_windowed: calendar.only_between.is_some(),
            expected: None,
        }
    }
}

/// What has been seen so far.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) reader: Connection,
    data_version: i64,
    pub(crate) runs: BTreeMap<i64, Run>,
    /// The runs of each heartbeat on record: the first, and how many.
    heartbeats: BTreeMap<String, (i64, i64)>,
    /// The first run of the last heartbeat that was judged.
    heartbeats_seen: i64,
    flows: BTreeMap<String, Grid>,
    settings: Settings,
    /// Runs that followed another of their claim.
    again: BTreeSet<i64>,
    /// False once the wall clock was moved: the grids then start anew.
    pub(crate) clock_is_steady: bool,
    /// Whether runs may have been old by a clock that nobody could hold against another.
    some_were_old: bool,
    told: BTreeMap<String, Told>,
    /// Ids that were answered as no duplicate; those that started nothing are forgotten with the daemon's life.
    told_first: BTreeSet<String>,
}

impl Book {
    pub(crate) fn open(path: &Path, flows: &[Definition], settings: Settings) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags).expect("the daemon has made the database");
        let id: String = reader.query_row("SELECT id FROM instance", [], |row| row.get(0)).expect("an id");
        let grids = flows.iter().map(|flow| (flow.name.to_string(), Grid::of(flow, &id)));
        Self {
            flows: grids.collect(),
            reader,
            data_version: -1,
            runs: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            heartbeats_seen: 0,
            settings,
            again: BTreeSet::new(),
            clock_is_steady: true,
            some_were_old: false,
            told: BTreeMap::new(),
            told_first: BTreeSet::new(),
        }
    }

    /// Judges what was committed since the last look.
    pub(crate) fn look(&mut self) {
        let version = self.reader.query_row("PRAGMA data_version", [], |row| row.get(0)).expect("readable");
        if std::mem::replace(&mut self.data_version, version) == version {
            return;
        }
        // Where no agent tells the time, a clock that jumped years ahead makes runs old. That one is gone may show later.
        let nobody_signed = self.heartbeats.keys().all(|id| id.starts_with("internal-"));
        let tells_no_time = self.settings.internal_heartbeat.is_some() || nobody_signed;
        self.some_were_old |= tells_no_time && !self.clock_is_steady;
        let next = self.runs.last_key_value().map_or(1, |(id, _)| id + 1);
        let open = self.runs.iter().find(|(_, run)| run.status.is_open()).map(|(id, _)| *id);
        self.judge_runs_from(open.unwrap_or(next));
        self.judge_heartbeats();
        self.judge_counters();
        self.judge_alerts();
    }

    /// Judges every run again: what has ended stays as it is.
    pub(crate) fn look_at_everything(&mut self) {
        self.look();
        self.judge_runs_from(0);
        let verdict: String =
            self.reader.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("readable");
        assert_eq!(verdict, "ok", "the database is whole");
    }

    fn judge_runs_from(&mut self, first: i64) {
        let found = self.read_runs(first);
        let gone = self.runs.range(first..).filter(|(id, _)| !found.contains_key(id)).map(|(id, _)| *id);
        for id in gone.collect::<Vec<_>>() {
            self.judge_gone(id, &found);
        }
        for (id, run) in found {
            match self.runs.get(&id) {
                Some(before) => judge_change(id, before, &run),
                None => self.judge_new(id, &run),
            }
            let ends_after_its_start = run.ended_at >= run.started_at || run.ended_at.is_none();
            assert!(ends_after_its_start, "run {id} ends before it starts");
            let is_early = run.started_at.zip(run.not_before).is_some_and(|(at, not_before)| at < not_before);
            assert!(!is_early || !self.clock_is_steady, "run {id} waits for its time: {run:?}");
            self.runs.insert(id, run);
        }
        let open: Vec<&Run> =
            self.runs.range(first..).map(|(_, run)| run).filter(|run| run.status.is_open()).collect();
        let flows: BTreeSet<&str> = open.iter().map(|run| run.flow.as_str()).collect();
        assert_eq!(flows.len(), open.len(), "a flow has one open run: {open:?}");
        let running = open.iter().filter(|run| run.status == Status::InProgress).count();
        assert!(running <= self.settings.max_concurrent_runs, "{running} runs are in progress");
    }

    /// So many runs may be in progress from now on, or as many as before: those that are go on.
    pub(crate) fn allow_runs(&mut self, max_concurrent_runs: usize) {
        let max = &mut self.settings.max_concurrent_runs;
        *max = max_concurrent_runs.max(*max);
    }

    /// Whether an operator holds a flow.
    pub(crate) fn is_held(&self, flow: &str) -> bool {
        let sql = "SELECT held FROM data_flows WHERE name = ?1";
        self.reader.query_row(sql, [flow], |row| row.get(0)).expect("a flow that we defined")
    }

    fn judge_new(&mut self, id: i64, run: &Run) {
        if run.is_ordered() && (run.attempt, run.rerun, run.not_before) == (1, 0, None) {
            self.judge_ordered(id, run);
            self.again.insert(id);
            return;
        }
        match self.before(id, run).cloned() {
            Some(before) => {
                judge_again(id, &before, run);
                self.again.insert(id);
            }
            None => self.judge_claimed(id, run),
        }
    }

    /// A run that is not on record any more: it had ended, and enough newer ones of its flow are kept.
    fn judge_gone(&mut self, id: i64, found: &BTreeMap<i64, Run>) {
        let run = self.runs.remove(&id).expect("a run that was known");
        let kept = self.settings.history.runs_per_flow;
        let newest = kept - kept / 4;
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

    fn judge_claimed(&mut self, id: i64, run: &Run) {
        let of_the_flow = |before: &&Run| before.flow == run.flow;
        let ended_at =
            self.runs.range(..id).rev().map(|(_, run)| run).find(of_the_flow).and_then(|run| run.ended_at);
        let grid = self.flows.get_mut(&run.flow).expect("a flow that we defined");
        let second = run.created_at.div_euclid(1000).rem_euclid(86_400);
        let is_shut = grid.is_windowed && second < i64::from(WINDOW_OPENS_S);
        assert!(!is_shut, "run {id} is recorded outside of its window: {run:?}");
        if !self.clock_is_steady {
            return;
        }
        let lateness = run.created_at - run.scheduled_at;
        assert!(lateness >= 0, "run {id} is recorded when it is due: {run:?}");
        if grid.is_delay {
            assert_eq!(run.misfires, 0, "run {id} has no grid to miss: {run:?}");
            let expected = ended_at.map_or(run.scheduled_at, |ended_at| ended_at + grid.interval_ms);
            assert_eq!(run.scheduled_at, expected, "run {id} of {} counts from the last end", run.flow);
            return;
        }
        assert_eq!(lateness / grid.interval_ms, run.misfires, "run {id} counts what it stands for: {run:?}");
        if let Some(expected) = grid.expected {
            assert_eq!(run.scheduled_at, expected, "run {id} of {} is off the grid", run.flow);
        }
        if let Some(phase_ms) = grid.phase_ms {
            let off_ms = (run.scheduled_at - phase_ms).rem_euclid(grid.interval_ms);
            assert_eq!(off_ms, 0, "run {id} of {} is not at its time of day", run.flow);
        }
        grid.expected = Some(run.scheduled_at + (run.misfires + 1) * grid.interval_ms);
    }

    fn judge_heartbeats(&mut self) {
        let sql = "SELECT coalesce(heartbeat_id, 'internal-' || first_run_id), first_run_id, flows_triggered
                   FROM heartbeats WHERE first_run_id > ?1 ORDER BY first_run_id";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let found: Vec<(String, i64, i64)> = statement
            .query_map([self.heartbeats_seen], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .and_then(Iterator::collect)
            .expect("readable");
        for (id, first, count) in found {
            self.heartbeats_seen = first;
            for run in first..first + count {
                assert_eq!(self.runs.get(&run).map(|run| &run.heartbeat_id), Some(&id), "run {run} of {id}");
            }
            assert_eq!(self.heartbeats.insert(id, (first, count)), None, "a heartbeat is recorded once");
        }
        for (id, run) in self.runs.iter().rev().take(32) {
            let claimed = self.heartbeats.get(&run.heartbeat_id);
            let is_claimed = claimed.is_some_and(|(first, count)| (*first..first + count).contains(id));
            let is_again = self.again.contains(id);
            assert!(
                is_claimed != is_again,
                "run {id} was started by {}, once: {claimed:?}",
                run.heartbeat_id
            );
        }
    }

    /// A caller got 200.
    pub(crate) fn judge_answer(&mut self, id: &str, body: &[u8]) -> Vec<i64> {
        let answer: Value = serde_json::from_slice(body).expect("an answer is JSON");
        let count = |name: &str| answer[name].as_u64().expect("a count");
        let runs = answer["runs"].as_array().expect("a list of runs");
        let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"].map(count);
        for run in runs {
            let on_record = run["id"].as_i64().and_then(|id| self.runs.get(&id));
            let state = on_record.map(|run| run.status.as_str());
            assert_eq!(state, run["status"].as_str(), "an answer tells what is on record: {answer}");
            assert_eq!(on_record.map(|run| run.flow.as_str()), run["flow"].as_str(), "{answer}");
            let may_start = !id.starts_with(NARROW) || NARROW_FLOWS.iter().any(|flow| run["flow"] == *flow);
            assert!(may_start, "{id} starts what its agent may not: {answer}");
        }
        let told = Told {
            counts,
            timestamp: answer["timestamp"].as_str().expect("a timestamp").to_owned(),
            runs: runs.iter().filter_map(|run| run["id"].as_i64()).collect(),
        };
        assert_eq!(answer["heartbeat_id"].as_str(), Some(id), "{answer}");
        let pruned = answer["runs_pruned"].as_u64().unwrap_or(0);
        assert_eq!(told.runs.len() as u64 + pruned, counts[1], "every run is named: {answer}");
        assert_eq!(counts[0], counts[1] + counts[2] + counts[3], "every due flow is accounted for: {answer}");
        if answer["duplicate"] == false {
            assert!(self.told_first.insert(id.to_owned()), "{id} is new twice: {answer}");
        }
        let before = self.told.entry(id.to_owned()).or_insert_with(|| told.clone());
        assert!(
            told.runs.iter().all(|run| before.runs.contains(run)),
            "a duplicate of {id} names the same runs"
        );
        let same = before.counts == told.counts && before.timestamp == told.timestamp;
        assert!(same, "a duplicate of {id} gets the same answer: {before:?}, {told:?}");
        told.runs
    }

    /// The daemon ended: what it had only in memory is gone.
    pub(crate) fn life_is_over(&mut self) {
        self.told.retain(|_, told| !told.runs.is_empty());
        let Self { told, told_first, .. } = self;
        told_first.retain(|id| told.contains_key(id));
    }

    /// The first run that waits for nothing but a slot.
    pub(crate) fn pending_run(&self) -> Option<i64> {
        let waits = |run: &Run| run.status == Status::Pending && run.not_before.is_none();
        self.runs.iter().find(|(_, run)| waits(run)).map(|(id, _)| *id)
    }

    pub(crate) fn runs_in_progress(&self) -> usize {
        self.runs.values().filter(|run| run.status == Status::InProgress).count()
    }

    pub(crate) fn open_runs(&self) -> usize {
        self.runs.values().filter(|run| run.status.is_open()).count()
    }

    /// Flows whose run time passed more than so long ago.
    pub(crate) fn overdue(&self, now_ms: i64, by_ms: i64) -> Vec<String> {
        let sql = "SELECT name FROM data_flows WHERE enabled AND next_run_at + ?2 < ?1 ORDER BY name";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let names = statement.query_map([now_ms, by_ms], |row| row.get(0)).and_then(Iterator::collect);
        names.expect("readable")
    }

    /// Changes when something is committed.
    pub(crate) fn version(&self) -> i64 {
        self.data_version
    }

    /// The cursors on record, by flow.
    pub(crate) fn cursors(&self) -> States {
        let sql = "SELECT name, state FROM cursors JOIN data_flows AS flow ON flow.id = data_flow_id";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            let state: String = row.get(1)?;
            Ok((row.get(0)?, serde_json::from_str(&state).expect("JSON")))
        };
        statement.query_map([], read).and_then(Iterator::collect).expect("readable")
    }

    /// What a run came to, for the trace.
    pub(crate) fn end_of(&self, run: i64) -> String {
        let sql = "SELECT status || ' ' || coalesce(error_kind || ': ' || error_message, '') FROM data_flow_runs WHERE id = ?1";
        self.reader.query_row(sql, [run], |row| row.get(0)).expect("a run that is on record")
    }

    /// Every record that a run has read is accounted for.
    fn judge_counters(&self) {
        let sql = "SELECT id FROM (SELECT * FROM data_flow_runs ORDER BY id DESC LIMIT 32)
                   WHERE records_read + records_transformed_in
                     <> records_written + records_skipped + records_rejected + records_transformed_out
                   LIMIT 1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let run: Option<i64> = statement.query_row([], |row| row.get(0)).optional().expect("readable");
        assert_eq!(run, None, "a run's records are accounted for");
    }

    fn read_runs(&self, first: i64) -> BTreeMap<i64, Run> {
        let sql = "SELECT run.id, flow.name, run.status, coalesce(run.heartbeat_id,
                     CASE WHEN run.agent IS NULL THEN 'ordered' END, (
                     SELECT 'internal-' || first_run_id FROM heartbeats
                     WHERE heartbeat_id IS NULL AND run.id >= first_run_id AND run.id < first_run_id + flows_triggered),
                     ''), run.scheduled_at, run.misfires, run.created_at,
                     run.started_at, run.ended_at, run.error_kind, run.exit_code, run.signal, run.attempt, run.rerun,
                     run.not_before
                   FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id WHERE run.id >= ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            let status: String = row.get(2)?;
            let run = Run {
                flow: row.get(1)?,
                status: Status::from_word(&status).expect("a state"),
                heartbeat_id: row.get(3)?,
                scheduled_at: row.get(4)?,
                misfires: row.get(5)?,
                created_at: row.get(6)?,
                started_at: row.get(7)?,
                ended_at: row.get(8)?,
                error_kind: row.get(9)?,
                exit_code: row.get(10)?,
                signal: row.get(11)?,
                attempt: row.get(12)?,
                rerun: row.get(13)?,
                not_before: row.get(14)?,
            };
            Ok((row.get(0)?, run))
        };
        let found = statement.query_map([first], read).and_then(Iterator::collect).expect("readable");
        self.with_heartbeats(found)
    }

    /// Gives runs that follow one of the runtime's own heartbeats, which have no id, the name of that heartbeat.
    fn with_heartbeats(&self, mut found: BTreeMap<i64, Run>) -> BTreeMap<i64, Run> {
        let nameless = found.iter().filter(|(_, run)| run.heartbeat_id.is_empty()).map(|(id, _)| *id);
        for id in nameless.collect::<Vec<_>>() {
            let flow = &found[&id].flow;
            let of_the_flow = |(_, before): &(&i64, &Run)| before.flow == *flow;
            let before = [&found, &self.runs].map(|runs| runs.range(..id).rev().find(of_the_flow));
            let before = before.into_iter().flatten().max_by_key(|(id, _)| **id).map(|(_, run)| run);
            let known = self.runs.get(&id).or(before);
            let name =
                known.map(|run| run.heartbeat_id.clone()).expect("what follows has something before it");
            found.get_mut(&id).expect("it was found").heartbeat_id = name;
        }
        found
    }
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
