//! What the status page shows of flows at a glance: where each stands, and marks of its runs without what they wrote.

use rusqlite::{Row, params};

use super::error::{Result, StoreError};
use super::flows::{read_flow, unsigned};
use super::history::counters;
use super::{Flow, FlowId, RunId, Store};
use crate::flow::{Counters, ErrorKind, Status};
use crate::limits;
use crate::time::Wall;

macro_rules! select_standing {
    () => {
        "SELECT id, name, enabled, held, consecutive_failures, last_run_status, next_run_at,
      created_at, only_between, (SELECT run.status FROM data_flow_runs AS run
        WHERE run.data_flow_id = data_flows.id AND run.status IN ('pending', 'in_progress')) AS open, description
    FROM data_flows"
    };
}
macro_rules! mark {
    () => {
        "id, status, attempt, scheduled_at, started_at, ended_at, duration_ms, error_kind, misfires, clock_unset"
    };
}

// The definition stands before some of these columns: where it is long, reading past it costs a page or two.
pub(super) const STANDINGS: &str = concat!(select_standing!(), " WHERE name > ?1 ORDER BY name LIMIT ?2");
pub(super) const MARKS: &str =
    concat!("SELECT ", mark!(), " FROM data_flow_runs WHERE data_flow_id = ?1 ORDER BY id DESC LIMIT ?2");
pub(super) const FLOW: &str = "SELECT * FROM data_flows WHERE id = ?1";
pub(super) const STANDING: &str = concat!(select_standing!(), " WHERE name = ?1");
// Columns behind `output` would cost reading through it.
pub(super) const LINES: &str = concat!(
    "SELECT ",
    mark!(),
    ", rerun, exit_code, signal, records_read, records_written, records_updated, records_skipped,
      records_rejected, records_transformed_in, records_transformed_out, bytes_read
    FROM data_flow_runs WHERE data_flow_id = ?1 AND id < ?2 AND id >= ?3 AND (?4 IS NULL OR status = ?4)
    ORDER BY id DESC LIMIT ?5"
);
pub(super) const LOOKED_UNTIL: &str = "SELECT id FROM data_flow_runs WHERE data_flow_id = ?1 AND id < ?2
    ORDER BY id DESC LIMIT 1 OFFSET ?3 - 1";
pub(super) const BEFORE: &str = "SELECT max(id) FROM data_flow_runs WHERE data_flow_id = ?1 AND id < ?2";
pub(super) const AFTER: &str = "SELECT min(id) FROM data_flow_runs WHERE data_flow_id = ?1 AND id > ?2";
pub(super) const DAYS: &str =
    "SELECT day, success, failed, interrupted, duration_ms_sum, duration_ms_max FROM flow_days
    WHERE data_flow_id = ?1 AND day >= ?2 ORDER BY day";

/// Where a flow stands, without its definition.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Its id.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// Whether its author wants it to run.
    pub enabled: bool,
    /// Whether an operator holds it.
    pub held: bool,
    /// Failures since the last success.
    pub consecutive_failures: u64,
    /// Whether the last run that ended was a success.
    pub last_run_succeeded: Option<bool>,
    /// None: it never ran, and is due at once.
    pub next_run_at: Option<Wall>,
    /// When it was first seen.
    pub created_at: Wall,
    /// Its window, as [`crate::flow::Window::parse`] reads it.
    pub only_between: Option<String>,
    /// Whether a run is open, and if so whether it has started.
    pub in_progress: Option<bool>,
}

/// A run without what it wrote.
#[derive(Clone, Debug)]
pub struct RunMark {
    /// Its id.
    pub id: RunId,
    /// Its state.
    pub status: Status,
    /// 1 for the first.
    pub attempt: u32,
    /// When it was due.
    pub scheduled_at: Wall,
    /// When it started.
    pub started_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
    /// Milliseconds, rounded down.
    pub duration_ms: Option<u64>,
    /// Why it failed.
    pub error_kind: Option<ErrorKind>,
    /// Further run times that it stands for.
    pub misfires: u64,
    /// Recorded before the clock was set: its times tell nothing.
    pub clock_unset: bool,
}

/// The same, with what a list of runs tells beside it.
#[derive(Clone, Debug)]
pub struct RunLine {
    /// Its times and how it ended.
    pub mark: RunMark,
    /// 1 to 3 for a run repeated after an interruption.
    pub rerun: u32,
    /// The process's exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it has moved.
    pub counters: Counters,
}

/// Runs of a flow, newest first.
#[derive(Clone, Debug)]
pub struct RunLines {
    /// They themselves.
    pub lines: Vec<RunLine>,
    /// Where there may be older ones: those with smaller ids than this.
    pub older_than: Option<RunId>,
}

/// What the runs of a flow that ended on one UTC day amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowDay {
    /// Days since 1970.
    pub day: i64,
    /// Runs that succeeded.
    pub success: u64,
    /// Runs that failed, but were not interrupted.
    pub failed: u64,
    /// Runs that were interrupted.
    pub interrupted: u64,
    /// Milliseconds of all of them.
    pub duration_ms_sum: u64,
    /// Milliseconds of the longest.
    pub duration_ms_max: u64,
}

impl Store {
    /// Where the next flows stand behind this name, in the order of their names: of `at_most`, those whose name or description
    /// holds this text, which is in lower case. And the last name that was looked at; none at the end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn standings(
        &self,
        search: &str,
        after: &str,
        at_most: usize,
    ) -> Result<(Vec<Standing>, Option<String>)> {
        let mut last = None;
        let limit = i64::try_from(at_most).unwrap_or(i64::MAX);
        let found = self.query_all("look at the flows", STANDINGS, params![after, limit], |row| {
            let name = row.get_ref(1)?.as_str()?;
            last = Some(name.to_owned());
            // SQLite's `lower` knows no letters but those of ASCII.
            let description = row.get_ref(10)?.as_str_or_null()?;
            let is_found = search.is_empty()
                || name.contains(search)
                || description.is_some_and(|text| text.to_lowercase().contains(search));
            is_found.then(|| read_standing(row)).transpose()
        })?;
        Ok((found.into_iter().flatten().collect(), last))
    }

    /// Where the flow of this name stands.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn standing(&self, name: &str) -> Result<Option<Standing>> {
        self.query_optional("look at a flow", STANDING, [name], read_standing)
    }

    /// The flow with this id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flow_with_id(&self, id: FlowId) -> Result<Option<Flow>> {
        self.query_optional("read a flow", FLOW, [id.0], read_flow)
    }

    /// The last runs of a flow, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_marks(&self, flow: FlowId, at_most: usize) -> Result<Vec<RunMark>> {
        self.run_marks_while(flow, at_most, &mut |_| true)
    }

    /// The same, until one of them is the last that is wanted: each may cost a look at another page of the database.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_marks_while(
        &self,
        flow: FlowId,
        at_most: usize,
        goes_on: &mut dyn FnMut(&RunMark) -> bool,
    ) -> Result<Vec<RunMark>> {
        let mut read = || {
            let mut statement = self.connection.prepare_cached(MARKS)?;
            let mut rows = statement.query(params![flow.0, i64::try_from(at_most).unwrap_or(i64::MAX)])?;
            let mut marks = Vec::new();
            while let Some(row) = rows.next()? {
                let mark = read_mark(row)?;
                let is_last = !goes_on(&mark);
                marks.push(mark);
                if is_last {
                    break;
                }
            }
            Ok(marks)
        };
        read().map_err(|error| StoreError::sqlite("look at a flow's runs", &self.path, &error))
    }

    /// Runs of a flow with smaller ids than `before`, newest first: at most so many, out of at most
    /// [`limits::RUNS_LOOKED_AT_MAX`] that are looked at.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_lines(
        &self,
        flow: FlowId,
        status: Option<Status>,
        before: Option<RunId>,
        at_most: usize,
    ) -> Result<RunLines> {
        let before = before.map_or(i64::MAX, |id| id.0);
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let looked_at = [flow.0, before, number(limits::RUNS_LOOKED_AT_MAX)];
        let read = |row: &Row<'_>| row.get::<_, i64>(0);
        let until = self.query_optional("look for a flow's older runs", LOOKED_UNTIL, looked_at, read)?;
        let one_more = number(at_most.saturating_add(1));
        let params = params![flow.0, before, until.unwrap_or(0), status.map(Status::as_str), one_more];
        let mut lines = self.query_all("list a flow's runs", LINES, params, |row| {
            Ok(RunLine {
                mark: read_mark(row)?,
                rerun: row.get("rerun")?,
                exit_code: row.get("exit_code")?,
                signal: row.get("signal")?,
                counters: counters(row)?,
            })
        })?;
        let mut older_than = until.map(RunId);
        if lines.len() > at_most {
            lines.truncate(at_most);
            older_than = lines.last().map(|line| line.mark.id);
        }
        Ok(RunLines { lines, older_than })
    }

    /// The runs of a flow right before and right after one of them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn runs_beside(&self, flow: FlowId, run: RunId) -> Result<[Option<RunId>; 2]> {
        let look = |sql| {
            let read = |row: &Row<'_>| Ok(row.get::<_, Option<i64>>(0)?.map(RunId));
            self.query_one("look for the run beside one", sql, [flow.0, run.0], read)
        };
        Ok([look(BEFORE)?, look(AFTER)?])
    }

    /// The days from `since` on (days since 1970) on which runs of a flow ended, in order.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flow_days(&self, flow: FlowId, since: i64) -> Result<Vec<FlowDay>> {
        self.query_all("look at a flow's days", DAYS, [flow.0, since], |row: &Row<'_>| {
            let count = |column: usize| row.get(column).map(unsigned);
            Ok(FlowDay {
                day: row.get(0)?,
                success: count(1)?,
                failed: count(2)?,
                interrupted: count(3)?,
                duration_ms_sum: count(4)?,
                duration_ms_max: count(5)?,
            })
        })
    }
}

// By number: a name is looked for among all of them, for each row.
fn read_standing(row: &Row<'_>) -> rusqlite::Result<Standing> {
    let next_run_at = wall_at(row, 6)?;
    Ok(Standing {
        id: FlowId(row.get(0)?),
        name: row.get(1)?,
        enabled: row.get(2)?,
        held: row.get(3)?,
        consecutive_failures: row.get(4).map(unsigned)?,
        last_run_succeeded: row.get_ref(5)?.as_str_or_null()?.map(|word| word == Status::Success.as_str()),
        next_run_at: (next_run_at.as_millis() != 0).then_some(next_run_at),
        created_at: wall_at(row, 7)?,
        only_between: row.get(8)?,
        in_progress: row.get_ref(9)?.as_str_or_null()?.map(|word| word == Status::InProgress.as_str()),
    })
}

fn read_mark(row: &Row<'_>) -> rusqlite::Result<RunMark> {
    let optional = |column| row.get::<_, Option<i64>>(column).map(|time| time.map(Wall::from_millis));
    Ok(RunMark {
        id: RunId(row.get(0)?),
        status: Status::from_word(row.get_ref(1)?.as_str()?).unwrap_or(Status::Failed),
        attempt: row.get(2)?,
        scheduled_at: wall_at(row, 3)?,
        started_at: optional(4)?,
        ended_at: optional(5)?,
        duration_ms: row.get::<_, Option<i64>>(6)?.map(unsigned),
        error_kind: row.get_ref(7)?.as_str_or_null()?.and_then(ErrorKind::from_word),
        misfires: row.get(8).map(unsigned)?,
        clock_unset: row.get(9)?,
    })
}

fn wall_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Wall> {
    row.get(column).map(Wall::from_millis)
}
