//! When each flow is to run: what the record says of it, and whether the runs that are claimed keep to it.

use std::collections::BTreeMap;
use std::time::Duration;

use heartbeat_runtime::flow::{Configuration, Schedule};
use heartbeat_runtime::time::Now;
use rusqlite::{Connection, OptionalExtension};

use super::flows::WINDOW_OPENS_S;
use super::invariants::{Book, Run};

/// When a flow is to run.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) id: i64,
    definition: String,
    interval_ms: i64,
    is_delay: bool,
    /// A run time is so many milliseconds after a multiple of the interval; none where that hangs on the first run.
    phase_ms: Option<i64>,
    is_windowed: bool,
    /// The run time after those that are accounted for.
    expected: Option<i64>,
    /// Whether the next run may still be due by the definition that there was before.
    is_changed: bool,
    /// What may have been claimed by this definition or by the one before it.
    is_settled: bool,
    /// Claims since the clock or the definition last changed, and when that was.
    claims: i64,
    counts_since_ms: i64,
}

/// A flow on record.
struct Row {
    id: i64,
    name: String,
    interval_s: i64,
    configuration: String,
    next_run_at: i64,
}

fn rows(reader: &Connection) -> Vec<Row> {
    let sql = "SELECT id, name, run_interval, configuration, next_run_at FROM data_flows ORDER BY id";
    let mut statement = reader.prepare_cached(sql).expect("readable");
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            id: row.get(0)?,
            name: row.get(1)?,
            interval_s: row.get(2)?,
            configuration: row.get(3)?,
            next_run_at: row.get(4)?,
        })
    };
    statement.query_map([], read).and_then(Iterator::collect).expect("readable")
}

impl Grid {
    fn of(row: Row, is_changed: bool, database_id: &str, now_ms: i64) -> Self {
        let configuration: Configuration = serde_json::from_str(&row.configuration).expect("a definition");
        let Configuration { schedule, calendar, .. } = &configuration;
        let offset_ms = calendar.offset_ms(database_id, &row.name);
        Self {
            id: row.id,
            interval_ms: row.interval_s * 1000,
            is_delay: *schedule == Schedule::FixedDelay,
            phase_ms: calendar.at.map(|at| i64::from(at.seconds()) * 1000 + offset_ms),
            is_windowed: calendar.only_between.is_some(),
            expected: None,
            is_changed,
            is_settled: false,
            claims: 0,
            counts_since_ms: now_ms,
            definition: row.configuration,
        }
    }
}

impl Book {
    /// Takes in definitions that changed; the flows that are gone, with what they were.
    pub(crate) fn look_at_flows(&mut self) -> Vec<(String, i64)> {
        let now_ms = self.now_ms();
        let mut before: BTreeMap<String, Grid> = std::mem::take(&mut self.flows);
        for row in rows(&self.reader) {
            let same = |grid: &Grid| {
                grid.id == row.id
                    && grid.definition == row.configuration
                    && grid.interval_ms == row.interval_s * 1000
            };
            let known = before.remove(&row.name);
            let is_new_row = known.as_ref().is_none_or(|grid| grid.id != row.id);
            if let Some(gone) = known.as_ref().filter(|_| is_new_row) {
                self.flows_gone.push((row.name.clone(), gone.id));
            }
            let name = row.name.clone();
            let grid = match known {
                Some(grid) if same(&grid) => grid,
                known => Grid::of(row, known.is_some(), &self.database_id, now_ms),
            };
            self.flows.insert(name, grid);
        }
        self.flows_gone.extend(before.into_iter().map(|(name, grid)| (name, grid.id)));
        std::mem::take(&mut self.flows_gone)
    }

    /// From now on the new definitions count alone.
    pub(crate) fn settle_flows(&mut self) {
        if self.flows.values().all(|grid| grid.is_settled) {
            return;
        }
        for row in rows(&self.reader) {
            let grid = self.flows.get_mut(&row.name).expect("looked at just now");
            if !grid.is_settled {
                grid.is_settled = true;
                grid.expected = (row.next_run_at != 0).then_some(row.next_run_at);
            }
        }
    }

    /// Nothing that is scheduled is forgotten: no flow's next run time is further away than its interval.
    pub(crate) fn judge_next_times(&self) {
        let Some(now) = self.now.filter(|_| self.clock_is_steady) else { return };
        let sql = "SELECT name, next_run_at FROM data_flows WHERE next_run_at - run_interval * 1000 > ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?));
        let far = statement.query_row([now.wall.as_millis()], read).optional().expect("readable");
        assert_eq!(far, None, "a flow waits for longer than its interval, at {now:?}");
    }

    pub(crate) fn longest_interval(&self) -> Duration {
        let longest_ms = self.flows.values().map(|grid| grid.interval_ms).max().unwrap_or(0);
        Duration::from_millis(longest_ms.unsigned_abs())
    }

    /// The wall clock is moved: what it makes due is due once.
    pub(crate) fn clock_moved(&mut self, now: Now) {
        self.clock_is_steady = false;
        self.clock_moved_since_look = true;
        self.now = Some(now);
        self.count_claims_anew();
    }

    pub(crate) fn count_claims_anew(&mut self) {
        let now_ms = self.now_ms();
        for grid in self.flows.values_mut() {
            (grid.claims, grid.counts_since_ms) = (0, now_ms);
        }
    }

    /// Milliseconds of a clock that never jumps.
    fn now_ms(&self) -> i64 {
        let start = heartbeat_runtime::time::Monotonic::since_start(Duration::ZERO);
        let elapsed = self.now.map(|now| now.monotonic.since(start)).unwrap_or_default();
        i64::try_from(elapsed.as_millis()).expect("a short simulation")
    }

    pub(crate) fn judge_claimed(&mut self, id: i64, run: &Run) {
        let of_the_flow = |before: &&Run| before.flow == run.flow;
        let ended_at =
            self.runs.range(..id).rev().map(|(_, run)| run).find(of_the_flow).and_then(|run| run.ended_at);
        let now_ms = self.now_ms();
        let grid = self.flows.get_mut(&run.flow).expect("a flow that is on record");
        if !grid.is_settled {
            return;
        }
        grid.claims += 1;
        let allowed = 2 + (now_ms - grid.counts_since_ms) / grid.interval_ms;
        assert!(grid.claims <= allowed, "{} is made up for more than once: run {id}, {run:?}", run.flow);
        let second = run.created_at.div_euclid(1000).rem_euclid(86_400);
        let is_shut = grid.is_windowed && second < i64::from(WINDOW_OPENS_S);
        assert!(!is_shut, "run {id} is recorded outside of its window: {run:?}");
        if !self.clock_is_steady {
            return;
        }
        let lateness = run.created_at - run.scheduled_at;
        assert!(lateness >= 0, "run {id} is recorded when it is due: {run:?}");
        let expected = grid.expected.take();
        let is_changed = std::mem::take(&mut grid.is_changed);
        if grid.is_delay {
            assert_eq!(run.misfires, 0, "run {id} has no grid to miss: {run:?}");
            let from_end = ended_at.map_or(run.scheduled_at, |ended_at| ended_at + grid.interval_ms);
            // An operator's run before it became one that counts from ends left it due at once.
            let is_first = is_changed && expected.is_none() && run.scheduled_at == run.created_at;
            let is_expected = run.scheduled_at == from_end || expected == Some(run.scheduled_at) || is_first;
            assert!(is_expected, "run {id} of {} counts from the last end, {from_end}: {run:?}", run.flow);
            return;
        }
        if let Some(expected) = expected {
            assert_eq!(run.scheduled_at, expected, "run {id} of {} is off the grid", run.flow);
        }
        if is_changed && grid.phase_ms.is_some() {
            // What was due when it changed stays due, wherever the new times of day are.
            return;
        }
        assert_eq!(lateness / grid.interval_ms, run.misfires, "run {id} counts what it stands for: {run:?}");
        if let Some(phase_ms) = grid.phase_ms {
            let off_ms = (run.scheduled_at - phase_ms).rem_euclid(grid.interval_ms);
            assert_eq!(off_ms, 0, "run {id} of {} is not at its time of day", run.flow);
        }
        grid.expected = Some(run.scheduled_at + (run.misfires + 1) * grid.interval_ms);
    }
}
