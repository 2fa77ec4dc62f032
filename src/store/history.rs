//! The table `data_flow_runs` as it is shown: in answers, one by one, and as lists.

use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};
use serde::Serialize;

use super::error::Result;
use super::flows::{signed, unsigned};
use super::{Heartbeat, RunId, Store, optional_wall, wall};
use crate::flow::{Counters, Pipeline, Status};
use crate::limits;
use crate::time::Wall;

pub(super) const SUMMARIES: &str =
    "SELECT run.id, flow.name, run.status, run.attempt, run.exit_code, run.error_kind,
      run.duration_ms, run.records_read, run.records_written, run.records_updated, run.records_skipped,
      run.records_rejected, run.records_transformed_in, run.records_transformed_out, run.bytes_read,
      CASE WHEN ?4 THEN coalesce(run.configuration, flow.configuration) ->> '$.kind' END AS kind
    FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id
    WHERE run.id >= ?1 AND run.id < ?1 + ?2 ORDER BY run.id LIMIT ?3";
pub(super) const COUNT: &str = "SELECT count(*) FROM data_flow_runs WHERE id >= ?1 AND id < ?1 + ?2";
pub(super) const OPEN: &str = "SELECT id FROM data_flow_runs
    WHERE id >= ?1 AND id < ?1 + ?2 AND status IN ('pending', 'in_progress')";
macro_rules! select_run {
    () => {
        "SELECT run.*, flow.name AS flow, coalesce(run.configuration, flow.configuration) ->> '$.kind' AS kind FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id"
    };
}

/// What an answer tells of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its id.
    pub id: i64,
    /// Its flow's name.
    pub flow: String,
    /// Its state.
    pub status: Status,
    /// 1 for the first.
    pub attempt: u32,
    /// With `Prefer: wait`: how it ended.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RunOutcome>,
}

/// How a run ended, or null where that is not known yet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunOutcome {
    exit_code: Option<i32>,
    error_kind: Option<String>,
    duration_ms: Option<i64>,
    /// Of a pipeline: what it has moved so far.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    moved: Option<Moved>,
}

/// What a pipeline's run has moved, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Moved {
    #[serde(flatten)]
    counters: Counters,
    records_per_second: Option<f64>,
}

impl Moved {
    fn new(counters: Counters, duration_ms: Option<i64>) -> Self {
        let records_per_second = duration_ms.and_then(|duration_ms| rate(counters.read, duration_ms));
        Self { counters, records_per_second }
    }
}

impl RunSummary {
    /// With what memory knows of a pipeline's run in progress that has taken so long.
    pub fn count(&mut self, counters: &Counters, elapsed_ms: i64) {
        if let Some(outcome) = &mut self.outcome {
            outcome.moved = Some(Moved::new(*counters, Some(elapsed_ms)));
        }
    }
}

/// A run as it is shown wherever runs are shown.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its id.
    pub id: i64,
    /// Its flow's name.
    pub flow: String,
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
    pub duration_ms: Option<i64>,
    /// Why it failed.
    pub error_kind: Option<String>,
    /// In words.
    pub error_message: Option<String>,
    /// Where in the source, for flow kinds that have one.
    pub error_backtrace: Option<String>,
    /// The process's exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it has moved.
    #[serde(flatten)]
    pub counters: Counters,
    /// Of a pipeline: records read in a second, to a tenth; null before there is a duration.
    pub records_per_second: Option<f64>,
    /// The file of dead letters that it takes in place of its source.
    pub source_file: Option<String>,
    /// Further run times that this run stands for.
    pub misfires: u64,
    /// 1 to 3 for a run repeated after an interruption.
    pub rerun: u32,
    /// The kept tail of the output; only where one run is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether output before the tail was dropped.
    pub output_truncated: bool,
    /// The heartbeat that claimed it.
    pub heartbeat_id: Option<String>,
    /// The agent that sent it.
    pub agent: Option<String>,
}

impl Run {
    /// With what memory knows of a pipeline's run in progress that has taken so long.
    pub fn count(&mut self, counters: &Counters, elapsed_ms: i64) {
        self.counters = *counters;
        self.records_per_second = rate(counters.read, elapsed_ms);
    }
}

/// Records in a second, to a tenth.
fn rate(records: u64, duration_ms: i64) -> Option<f64> {
    let duration_ms = u64::try_from(duration_ms).ok().filter(|duration_ms| *duration_ms > 0)?;
    let tenths = records.saturating_mul(10_000) / duration_ms;
    Some(u32::try_from(tenths).map_or(f64::from(u32::MAX), f64::from) / 10.0)
}

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Of this flow.
    pub flow: Option<String>,
    /// In this state.
    pub status: Option<Status>,
    /// Recorded since.
    pub since: Option<Wall>,
    /// With smaller ids than this.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

impl Store {
    /// What answers tell of the runs of a heartbeat: of the first of those that are on record, and how many are.
    /// `with_outcome` adds how each ended.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run_summaries(&self, heartbeat: &Heartbeat, with_outcome: bool) -> Result<(Vec<RunSummary>, u64)> {
        let (first, count) = (heartbeat.first_run.0, signed(heartbeat.flows_triggered));
        let at_most = i64::try_from(limits::RUNS_IN_ANSWER_MAX).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| {
            let is_pipeline = row.get_ref("kind")?.as_str_or_null()? == Some(Pipeline::KIND);
            let duration_ms = row.get(6)?;
            let moved = is_pipeline.then(|| counters(row)).transpose()?;
            let outcome = RunOutcome {
                exit_code: row.get(4)?,
                error_kind: row.get(5)?,
                duration_ms,
                moved: moved.map(|counters| Moved::new(counters, duration_ms)),
            };
            Ok(RunSummary {
                id: row.get(0)?,
                flow: row.get(1)?,
                status: status(row, 2)?,
                attempt: row.get(3)?,
                outcome: with_outcome.then_some(outcome),
            })
        };
        let runs = self.query_all(
            "read runs for an answer",
            SUMMARIES,
            params![first, count, at_most, with_outcome],
            read,
        )?;
        let known = match runs.len() < limits::RUNS_IN_ANSWER_MAX {
            true => runs.len() as u64,
            false => self.query_one("count a heartbeat's runs", COUNT, [first, count], |row| {
                row.get(0).map(unsigned)
            })?,
        };
        Ok((runs, known))
    }

    /// The runs of a heartbeat that have not ended.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_runs_of(&self, heartbeat: &Heartbeat) -> Result<Vec<RunId>> {
        let range = [heartbeat.first_run.0, signed(heartbeat.flows_triggered)];
        self.query_all("find a heartbeat's open runs", OPEN, range, |row| row.get(0).map(RunId))
    }

    /// One run, with its output.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn run(&self, id: RunId) -> Result<Option<Run>> {
        let sql = concat!(select_run!(), " WHERE run.id = ?1");
        self.query_optional("read a run", sql, [id.0], |row| {
            let output = row.get("output")?;
            Ok(Run { output: Some(output), ..read_run(row)? })
        })
    }

    /// Runs, newest first, without their output.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Run>> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        let mut only = |condition: &'static str, value: Option<Value>| {
            if let Some(value) = value {
                conditions.push(condition);
                values.push(value);
            }
        };
        if let Some(name) = &filter.flow {
            let Some(flow) = self.flow(name)? else { return Ok(Vec::new()) };
            only("run.data_flow_id = ?", Some(flow.id.0.into()));
        }
        only("run.status = ?", filter.status.map(|status| status.as_str().to_owned().into()));
        only("run.created_at >= ?", filter.since.map(|since| since.as_millis().into()));
        only("run.id < ?", filter.before.map(|id| id.0.into()));
        only(
            "true ORDER BY run.id DESC LIMIT ?",
            Some(i64::try_from(filter.limit).unwrap_or(i64::MAX).into()),
        );
        let sql = format!(concat!(select_run!(), " WHERE {}"), conditions.join(" AND "));
        self.query_all("list runs", &sql, params_from_iter(values), read_run)
    }

    /// A flow's last run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_run(&self, flow: &str) -> Result<Option<Run>> {
        let filter = RunFilter { flow: Some(flow.to_owned()), limit: 1, ..RunFilter::default() };
        Ok(self.runs(&filter)?.pop())
    }
}

fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    let word: String = row.get(column)?;
    Status::from_word(&word).ok_or_else(|| {
        rusqlite::Error::InvalidColumnType(column, "status".to_owned(), rusqlite::types::Type::Text)
    })
}

pub(super) fn counters(row: &Row<'_>) -> rusqlite::Result<Counters> {
    let count = |column: &str| row.get(column).map(unsigned);
    Ok(Counters {
        read: count("records_read")?,
        written: count("records_written")?,
        updated: count("records_updated")?,
        skipped: count("records_skipped")?,
        rejected: count("records_rejected")?,
        transformed_in: count("records_transformed_in")?,
        transformed_out: count("records_transformed_out")?,
        bytes_read: count("bytes_read")?,
    })
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let count = |column: &str| row.get(column).map(unsigned);
    let word: String = row.get("status")?;
    let is_pipeline = row.get_ref("kind")?.as_str_or_null()? == Some(Pipeline::KIND);
    let duration_ms: Option<i64> = row.get("duration_ms")?;
    let counters = counters(row)?;
    let records_per_second = duration_ms.filter(|_| is_pipeline).and_then(|ms| rate(counters.read, ms));
    Ok(Run {
        id: row.get("id")?,
        flow: row.get("flow")?,
        status: Status::from_word(&word).unwrap_or(Status::Failed),
        attempt: row.get("attempt")?,
        scheduled_at: wall(row, "scheduled_at")?,
        started_at: optional_wall(row, "started_at")?,
        ended_at: optional_wall(row, "ended_at")?,
        duration_ms,
        error_kind: row.get("error_kind")?,
        error_message: row.get("error_message")?,
        error_backtrace: row.get("error_backtrace")?,
        exit_code: row.get("exit_code")?,
        signal: row.get("signal")?,
        counters,
        records_per_second,
        source_file: row.get("source_file")?,
        misfires: count("misfires")?,
        rerun: row.get("rerun")?,
        output: None,
        output_truncated: row.get("output_truncated")?,
        heartbeat_id: row.get("heartbeat_id")?,
        agent: row.get("agent")?,
    })
}
