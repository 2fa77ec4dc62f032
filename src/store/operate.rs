//! What operators change, and the state of the whole as they are told it.

use rusqlite::{Row, params};
use serde::Serialize;

use super::error::Result;
use super::flows::{read_flow, unsigned};
use super::{Flow, FlowId, RunId, Store};
use crate::flow::Status;
use crate::time::Wall;

// On nobody's word but the operator's: no agent, no heartbeat. The flow's next run time stays where it is.
const RECORD_MANUAL: &str =
    "INSERT INTO data_flow_runs (data_flow_id, scheduled_at, created_at, updated_at, clock_unset, source_file)
    VALUES (?1, ?2, ?2, ?2, ?3, ?4)";
const OPEN_RUN: &str = "SELECT id, status FROM data_flow_runs
    WHERE data_flow_id = ?1 AND status IN ('pending', 'in_progress')";
const COUNT_FLOWS: &str =
    "SELECT count(*), coalesce(sum(enabled), 0), coalesce(sum(held), 0), coalesce(sum(enabled = 0 AND held = 0), 0)
    FROM data_flows";
// The first condition is what the index of open runs answers.
const COUNT_OPEN: &str =
    "SELECT coalesce(sum(status = 'pending'), 0), coalesce(sum(status = 'in_progress'), 0)
    FROM data_flow_runs WHERE status IN ('pending', 'in_progress')";
const NEWEST_FLOWS: &str = "SELECT * FROM data_flows WHERE id < ?1 ORDER BY id DESC LIMIT ?2";

/// How many flows there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FlowCounts {
    /// All of them.
    pub total: u64,
    /// Their author wants them to run.
    pub enabled: u64,
    /// An operator holds them.
    pub held: u64,
    /// Neither of the two.
    pub disabled: u64,
    /// A heartbeat would find them due.
    pub due: u64,
}

/// How many runs are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpenCounts {
    /// Recorded, not started.
    pub pending: u64,
    /// Started.
    pub in_progress: u64,
}

/// When an agent was last heard, as far as it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastHeartbeat {
    /// The agent.
    pub agent: String,
    /// The time; written at least once an hour.
    pub last_heartbeat_at: Wall,
}

impl Store {
    /// Sets or lifts an operator's hold.
    ///
    /// # Errors
    /// The write is refused.
    pub fn hold_flow(&mut self, id: FlowId, held: bool, now: Wall) -> Result<()> {
        let sql = "UPDATE data_flows SET held = ?2, updated_at = ?3 WHERE id = ?1";
        self.execute("hold a flow", sql, params![id.0, held, now.as_millis()]).map(drop)
    }

    /// Deletes a flow with its runs.
    ///
    /// # Errors
    /// The write is refused.
    pub fn delete_flow(&mut self, id: FlowId) -> Result<()> {
        self.execute("delete a flow", "DELETE FROM data_flows WHERE id = ?1", [id.0]).map(drop)
    }

    /// Records a run that an operator asked for, as `pending`; from a file of dead letters, if one is named.
    ///
    /// # Errors
    /// [`super::Cause::Constraint`] if a run of the flow is open; or the write is refused.
    pub fn record_manual_run(&mut self, flow: FlowId, source_file: Option<&str>, now: Wall) -> Result<RunId> {
        let params = params![flow.0, now.as_millis(), !now.is_set(), source_file];
        self.execute("record a run", RECORD_MANUAL, params)?;
        Ok(RunId(self.connection.last_insert_rowid()))
    }

    /// The open run of a flow, if there is one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_run_of(&self, flow: FlowId) -> Result<Option<(RunId, Status)>> {
        self.query_optional("find a flow's open run", OPEN_RUN, [flow.0], |row| {
            let pending = row.get_ref(1)?.as_str()? == Status::Pending.as_str();
            let status = if pending { Status::Pending } else { Status::InProgress };
            Ok((RunId(row.get(0)?), status))
        })
    }

    /// Flows, newest first: at most `limit` of those that are older than the flow `before`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn newest_flows(&self, limit: usize, before: Option<FlowId>) -> Result<Vec<Flow>> {
        let before = before.map_or(i64::MAX, |id| id.0);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_all("list the flows", NEWEST_FLOWS, [before, limit], read_flow)
    }

    /// How many flows there are, and how many of them are due now.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_flows(&self, now: Wall) -> Result<FlowCounts> {
        let read = |row: &Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?].map(unsigned));
        let [total, enabled, held, disabled] = self.query_one("count the flows", COUNT_FLOWS, [], read)?;
        Ok(FlowCounts { total, enabled, held, disabled, due: self.count_due(now, &[])?.due })
    }

    /// How many runs are open.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_open_runs(&self) -> Result<OpenCounts> {
        self.query_one("count the open runs", COUNT_OPEN, [], |row| {
            Ok(OpenCounts { pending: unsigned(row.get(0)?), in_progress: unsigned(row.get(1)?) })
        })
    }

    /// When each agent was last heard.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_heartbeats(&self) -> Result<Vec<LastHeartbeat>> {
        let sql = "SELECT name, last_heartbeat_at FROM agents ORDER BY name";
        self.query_all("read the agents", sql, [], |row| {
            Ok(LastHeartbeat { agent: row.get(0)?, last_heartbeat_at: Wall::from_millis(row.get(1)?) })
        })
    }
}
