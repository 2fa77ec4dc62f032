//! What metrics tell of flows: bounded, however many there are.

use rusqlite::{Row, params};

use super::error::Result;
use super::flows::unsigned;
use super::{FlowId, Store};
use crate::time::Wall;

/// The first flows by id: new ones come behind them, so that the same ones are told of each time.
pub(super) const STATES: &str = "SELECT id, name, enabled, held, last_run_at, last_run_status, next_run_at,
      consecutive_failures FROM data_flows ORDER BY id LIMIT ?1";
// Two counts that indexes alone answer: no row is looked at, however long its definition is.
pub(super) const TOTAL: &str = "SELECT count(*) FROM data_flows";
pub(super) const RUNNABLE: &str = "SELECT count(*) FROM data_flows WHERE enabled = 1 AND held = 0";

/// Where a flow stands.
#[derive(Clone, Debug)]
pub struct FlowState {
    /// Its id.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// Whether its author enabled it and no operator holds it.
    pub runnable: bool,
    /// Whether an operator holds it.
    pub held: bool,
    /// When the last run that ended had started.
    pub last_run_at: Option<Wall>,
    /// Whether that was a success.
    pub last_run_succeeded: Option<bool>,
    /// None: it never ran, and is due at once.
    pub next_run_at: Option<Wall>,
    /// Failures since the last success.
    pub consecutive_failures: u64,
}

/// Where the flows stand.
#[derive(Clone, Debug, Default)]
pub struct FlowStates {
    /// The first flows by id.
    pub flows: Vec<FlowState>,
    /// All flows.
    pub total: u64,
    /// Those of them that their authors enabled and no operator holds.
    pub runnable: u64,
}

impl Store {
    /// Where the flows stand, the first `at_most` of them one by one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flow_states(&self, at_most: usize) -> Result<FlowStates> {
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let count = |sql| self.query_one("count the flows", sql, [], |row| row.get(0).map(unsigned));
        Ok(FlowStates {
            flows: self.query_all("look at the flows", STATES, params![at_most], read)?,
            total: count(TOTAL)?,
            runnable: count(RUNNABLE)?,
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<FlowState> {
    let status: Option<String> = row.get(5)?;
    let next_run_at: i64 = row.get(6)?;
    let (enabled, held): (bool, bool) = (row.get(2)?, row.get(3)?);
    Ok(FlowState {
        id: FlowId(row.get(0)?),
        name: row.get(1)?,
        runnable: enabled && !held,
        held,
        last_run_at: row.get::<_, Option<i64>>(4)?.map(Wall::from_millis),
        last_run_succeeded: status.map(|word| word == "success"),
        next_run_at: (next_run_at != 0).then(|| Wall::from_millis(next_run_at)),
        consecutive_failures: unsigned(row.get(7)?),
    })
}
