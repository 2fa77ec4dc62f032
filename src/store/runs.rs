//! The table `data_flow_runs`: recorded before they start, and each change expects the state before it.

use rusqlite::{Row, params};
use std::time::Duration;

use super::error::Result;
use super::retention::NOTE_DAY;
use super::{FlowId, RunId, Store};
use crate::flow::{Configuration, End, ErrorKind, Exit, Status};
use crate::time::Wall;

// The first condition is what the index of open runs answers; by a plain `id` all runs would be gone through in its order.
pub(super) const PENDING: &str =
    "SELECT id, data_flow_id, max(0, min(not_before - ?1, not_before - created_at)) FROM data_flow_runs
    WHERE status IN ('pending', 'in_progress') AND status = 'pending' ORDER BY +id";
pub(super) const IN_PROGRESS: &str =
    "SELECT run.id, run.rerun, coalesce(run.configuration, flow.configuration), flow.id
    FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id
    WHERE run.status IN ('pending', 'in_progress') AND run.status = 'in_progress'";
pub(super) const PENDING_RUN: &str =
    "SELECT run.id, run.data_flow_id, flow.name, run.attempt, run.scheduled_at,
      run.heartbeat_id, coalesce(run.configuration, flow.configuration), run.rerun,
      run.source_file
    FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id
    WHERE run.id = ?1 AND run.status = 'pending'";
pub(super) const START: &str =
    "UPDATE data_flow_runs SET status = 'in_progress', started_at = ?2, updated_at = ?2
    WHERE id = ?1 AND status = 'pending'";
// A clock that stepped back breaks no constraint: the end is the start plus what the monotonic clock measured,
// or, where nothing was measured, the later of the start and now.
pub(super) const END: &str = "UPDATE data_flow_runs SET status = ?3,
      ended_at = CASE WHEN started_at IS NULL THEN ?4 WHEN ?5 IS NULL THEN max(started_at, ?4) ELSE started_at + ?5 END,
      duration_ms = ?5, error_kind = ?6, error_message = ?7, exit_code = ?8, signal = ?9, output = ?10,
      output_truncated = ?11, updated_at = ?4
    WHERE id = ?1 AND status = ?2";
// Beside it, as RETURNING costs a table of its own.
pub(super) const ENDING: &str = "SELECT data_flow_id, started_at FROM data_flow_runs WHERE id = ?1";
// A flow that was disabled meanwhile is not run again.
pub(super) const RECORD_AGAIN: &str =
    "INSERT INTO data_flow_runs (data_flow_id, attempt, rerun, agent, heartbeat_id, scheduled_at, not_before,
      created_at, updated_at, clock_unset, source_file)
    SELECT data_flow_id, attempt + ?2, rerun + ?3, agent, heartbeat_id, scheduled_at, ?4, ?5, ?5, ?6, source_file
    FROM data_flow_runs AS run
    WHERE id = ?1 AND EXISTS (SELECT 1 FROM data_flows AS flow
                              WHERE flow.id = run.data_flow_id AND flow.enabled = 1 AND flow.held = 0)";
pub(super) const NOTE_END: &str = "UPDATE data_flows SET last_run_at = coalesce(?5, last_run_at),
      last_run_status = ?2,
      consecutive_failures = CASE WHEN ?3 THEN consecutive_failures + 1 WHEN ?2 = 'success' THEN 0
                                  ELSE consecutive_failures END,
      runs_ended = runs_ended + 1, updated_at = ?4
    WHERE id = ?1";
pub(super) const NOTE_ATTEMPT: &str = "UPDATE data_flows SET runs_ended = runs_ended + 1 WHERE id = ?1";
// On its own: whatever names next_run_at writes two indexes anew. The word is looked for before JSON is.
pub(super) const DELAY: &str = "UPDATE data_flows SET next_run_at = ?2 + run_interval * 1000
    WHERE id = ?1 AND instr(configuration, 'fixed_delay') AND configuration ->> '$.schedule' = 'fixed_delay'";

/// A recorded run that waits for a slot.
#[derive(Clone, Debug)]
pub struct PendingRun {
    /// Its id.
    pub id: RunId,
    /// Its flow.
    pub flow: FlowId,
    /// The flow's name.
    pub flow_name: String,
    /// 1 for the first.
    pub attempt: u32,
    /// How often it was repeated after an interruption.
    pub rerun: u32,
    /// When it was due.
    pub scheduled_at: Wall,
    /// The heartbeat that claimed it.
    pub heartbeat_id: Option<String>,
    /// The file of dead letters that it takes in place of its source.
    pub source_file: Option<String>,
    /// The definition that it was recorded with; the error if it cannot be read.
    pub configuration: std::result::Result<Configuration, String>,
}

/// What follows a run's end, in the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// The next attempt, not before this time.
    Retry {
        /// On the wall clock, for a daemon that starts meanwhile.
        not_before: Wall,
    },
    /// The same attempt once more, at once; `counts`: as one of the few repetitions that a run may have.
    Rerun {
        /// False for a run that is known never to have been started.
        counts: bool,
    },
}

/// A run that was in progress when its daemon ended.
#[derive(Clone, Debug)]
pub struct InterruptedRun {
    /// Its id.
    pub id: RunId,
    /// Its flow.
    pub flow: FlowId,
    /// How often it was repeated already.
    pub rerun: u32,
    /// The definition that it was recorded with; none if it cannot be read.
    pub configuration: Option<Configuration>,
}

impl Store {
    /// The runs that wait, in the order in which they were recorded: each with its flow, and an attempt after the first with
    /// how long it has still to wait. That is never more than at its beginning, wherever the clock jumped since.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn pending_runs(&self, now: Wall) -> Result<Vec<(RunId, FlowId, Option<Duration>)>> {
        let read = |row: &Row<'_>| {
            let left_ms = row.get::<_, Option<i64>>(2)?;
            let left = left_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
            Ok((RunId(row.get(0)?), FlowId(row.get(1)?), left))
        };
        self.query_all("find the pending runs", PENDING, [now.as_millis()], read)
    }

    /// A run that waits.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn pending_run(&self, id: RunId) -> Result<Option<PendingRun>> {
        self.query_optional("read a pending run", PENDING_RUN, [id.0], |row| {
            let configuration: String = row.get(6)?;
            Ok(PendingRun {
                id: RunId(row.get(0)?),
                flow: FlowId(row.get(1)?),
                flow_name: row.get(2)?,
                attempt: row.get(3)?,
                rerun: row.get(7)?,
                scheduled_at: Wall::from_millis(row.get(4)?),
                heartbeat_id: row.get(5)?,
                source_file: row.get(8)?,
                configuration: serde_json::from_str(&configuration).map_err(|error| error.to_string()),
            })
        })
    }

    /// `pending -> in_progress`.
    ///
    /// # Errors
    /// The write is refused.
    pub fn start_run(&mut self, id: RunId, now: Wall) -> Result<()> {
        let changed = self.execute("record a run's start", START, params![id.0, now.as_millis()])?;
        assert_eq!(changed, 1, "only a pending run is started, and it waits for nobody else");
        Ok(())
    }

    /// `expected -> success | failed`, and what that means for its flow.
    ///
    /// # Errors
    /// The write is refused.
    pub fn end_run(&mut self, id: RunId, expected: Status, end: &End, now: Wall) -> Result<()> {
        self.end_run_then(id, expected, end, Then::Nothing, now).map(drop)
    }

    /// The same, and what follows. The run that was recorded to follow
    /// it, with its flow; none where nothing was to, or where the flow was disabled meanwhile.
    ///
    /// # Errors
    /// The write is refused.
    pub fn end_run_then(
        &mut self,
        id: RunId,
        expected: Status,
        end: &End,
        then: Then,
        now: Wall,
    ) -> Result<Option<(RunId, FlowId)>> {
        assert!(expected.may_become(end.status()), "states only move forward");
        let (exit_code, signal) = match end.exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        let (kind, message) = end.error.as_ref().map(|(kind, message)| (kind.as_str(), message)).unzip();
        let status = end.status().as_str();
        let params = params![
            id.0,
            expected.as_str(),
            status,
            now.as_millis(),
            end.duration_ms,
            kind,
            message,
            exit_code,
            signal,
            end.output,
            end.output_truncated
        ];
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
        let ended = self.execute("record a run's end", END, params)?;
        assert_eq!(ended, 1, "an open run ends once: {id:?}");
        let (flow, started_at) = self.query_one("look at a run that ended", ENDING, [id.0], read)?;
        let kind = end.error.as_ref().map(|(kind, _)| *kind);
        self.note_day(flow, kind, end.duration_ms.unwrap_or(0), now)?;
        let next = self.record_again(id, then, now)?.map(|run| (run, FlowId(flow)));
        // What is tried again has not ended, as far as its flow is concerned.
        if next.is_some() && matches!(then, Then::Retry { .. }) {
            self.execute("count an attempt", NOTE_ATTEMPT, [flow])?;
        } else {
            let counts = end.error.as_ref().is_some_and(|(kind, _)| kind.counts_as_failure());
            let params = params![flow, status, counts, now.as_millis(), started_at];
            self.execute("note a run's end at its flow", NOTE_END, params)?;
            self.execute("plan a flow's next run", DELAY, [flow, now.as_millis()])?;
        }
        Ok(next)
    }

    /// Notes a run that ended in the table of days.
    pub(super) fn note_day(
        &mut self,
        flow: i64,
        error: Option<ErrorKind>,
        duration_ms: i64,
        ended_at: Wall,
    ) -> Result<()> {
        let counts = match error {
            None => [1, 0, 0],
            Some(kind) if kind.counts_as_failure() => [0, 1, 0],
            Some(ErrorKind::Interrupted) => [0, 0, 1],
            // An operator's word says nothing about the flow.
            Some(_) => return Ok(()),
        };
        let day = ended_at.as_seconds().div_euclid(86_400);
        let params = params![flow, day, counts[0], counts[1], counts[2], duration_ms];
        self.execute("note a run's end in the table of days", NOTE_DAY, params).map(drop)
    }

    fn record_again(&mut self, id: RunId, then: Then, now: Wall) -> Result<Option<RunId>> {
        let (attempts, reruns, not_before) = match then {
            Then::Nothing => return Ok(None),
            Then::Retry { not_before } => (1, 0, Some(not_before.as_millis())),
            Then::Rerun { counts } => (0, i32::from(counts), None),
        };
        let params = params![id.0, attempts, reruns, not_before, now.as_millis(), !now.is_set()];
        let recorded = self.execute("record a run again", RECORD_AGAIN, params)?;
        Ok((recorded > 0).then(|| RunId(self.connection.last_insert_rowid())))
    }

    /// The runs left `in_progress` by a daemon that is gone.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn runs_in_progress(&self) -> Result<Vec<InterruptedRun>> {
        self.query_all("find interrupted runs", IN_PROGRESS, [], |row| {
            let configuration: String = row.get(2)?;
            Ok(InterruptedRun {
                id: RunId(row.get(0)?),
                flow: FlowId(row.get(3)?),
                rerun: row.get(1)?,
                configuration: serde_json::from_str(&configuration).ok(),
            })
        })
    }

    /// The flow of a run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flow_of_run(&self, id: RunId) -> Result<Option<FlowId>> {
        let sql = "SELECT data_flow_id FROM data_flow_runs WHERE id = ?1";
        self.query_optional("find a run's flow", sql, [id.0], |row| row.get(0).map(FlowId))
    }

    /// The definition that a run has; none if it is gone, or what is stored cannot be read any more.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn configuration_of_run(&self, id: RunId) -> Result<Option<Configuration>> {
        let sql = "SELECT coalesce(run.configuration, flow.configuration) FROM data_flow_runs AS run
                   JOIN data_flows AS flow ON flow.id = run.data_flow_id WHERE run.id = ?1";
        let text: Option<String> =
            self.query_optional("find a run's definition", sql, [id.0], |row| row.get(0))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The pending run of a flow, if there is one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn pending_run_of(&self, flow: FlowId) -> Result<Option<RunId>> {
        let sql = "SELECT id FROM data_flow_runs WHERE data_flow_id = ?1 AND status = 'pending'";
        self.query_optional("find a flow's pending run", sql, [flow.0], |row| row.get(0).map(RunId))
    }
}
