//! What a heartbeat claims: a run of each due flow, which moves to its next run time.

use rusqlite::{CachedStatement, params};

use super::error::{Result, StoreError};
use super::flows::signed;
use super::flows::signed_size;
use super::{FlowId, RunId, Store};
use crate::time::Wall;

pub(super) const ADVANCE: &str =
    "UPDATE data_flows SET next_run_at = ?2, ahead_slack = ?3, updated_at = ?4 WHERE id = ?1";

/// Rows of one statement where there are as many: the ids' sequence, cursors and triggers are set up once for all of them.
const ROWS: usize = 16;

/// On whose word runs are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// The heartbeat's id, where it has one.
    pub heartbeat_id: Option<&'a str>,
}

/// A run to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRun {
    /// Its flow.
    pub flow: FlowId,
    /// The earliest missed run time.
    pub scheduled_at: Wall,
    /// Further run times that this run stands for.
    pub misfires: u64,
    /// When its flow is due after it, ...
    pub next_run_at: Wall,
    /// ... which lies so much further ahead than its interval.
    pub slack_ms: i64,
}

impl Store {
    /// Records runs as `pending`, and moves their flows to their next run times. The first run; the ids of the others follow.
    ///
    /// # Errors
    /// [`super::Cause::Constraint`] if a run of one of the flows is open; or the write is refused.
    pub fn record_runs(&mut self, claim: Claim<'_>, runs: &[NewRun], now: Wall) -> Result<RunId> {
        let (many, few) = runs.split_at(runs.len() - runs.len() % ROWS);
        let (mut first, mut recorded) = (None, 0);
        for part in many.chunks(ROWS).chain(few.chunks(1)) {
            let last = self.record_part(claim, part, now)?;
            recorded += signed_size(part.len());
            let first = *first.get_or_insert(last + 1 - recorded);
            assert_eq!(last, first + recorded - 1, "the runs of a claim follow each other");
        }
        self.advance(runs, now)?;
        let Some(first) = first else { unreachable!("flows were counted as due in this round") };
        Ok(RunId(first))
    }

    /// The last of them.
    fn record_part(&self, claim: Claim<'_>, runs: &[NewRun], now: Wall) -> Result<i64> {
        let failed = |error| StoreError::sqlite("record a run", &self.path, &error);
        let mut record = self.connection.prepare_cached(&record_sql(runs.len())).map_err(failed)?;
        bind(&mut record, claim, runs, now).and_then(|()| record.raw_execute()).map_err(failed)?;
        Ok(self.connection.last_insert_rowid())
    }

    /// Moves flows to their next run times.
    fn advance(&self, runs: &[NewRun], now: Wall) -> Result<()> {
        let failed = |error| StoreError::sqlite("move a flow to its next run time", &self.path, &error);
        let mut advance = self.connection.prepare_cached(ADVANCE).map_err(failed)?;
        for run in runs {
            let params = params![run.flow.0, run.next_run_at.as_millis(), run.slack_ms, now.as_millis()];
            let changed = advance.execute(params).map_err(failed)?;
            assert_eq!(changed, 1, "a claimed flow exists until the claim is committed");
        }
        Ok(())
    }
}

fn record_sql(rows: usize) -> String {
    let mut sql =
        "INSERT INTO data_flow_runs (agent, heartbeat_id, created_at, updated_at, clock_unset, data_flow_id,
      scheduled_at, misfires) VALUES "
            .to_owned();
    for row in 0..rows {
        let (comma, flow) = (if row == 0 { "" } else { ", " }, 5 + 3 * row);
        sql.push_str(&format!("{comma}(?1, ?2, ?3, ?3, ?4, ?{flow}, ?{}, ?{})", flow + 1, flow + 2));
    }
    sql
}

fn bind(
    record: &mut CachedStatement<'_>,
    claim: Claim<'_>,
    runs: &[NewRun],
    now: Wall,
) -> rusqlite::Result<()> {
    record.raw_bind_parameter(1, claim.agent)?;
    record.raw_bind_parameter(2, claim.heartbeat_id)?;
    record.raw_bind_parameter(3, now.as_millis())?;
    record.raw_bind_parameter(4, !now.is_set())?;
    for (run, flow) in runs.iter().zip((5..).step_by(3)) {
        record.raw_bind_parameter(flow, run.flow.0)?;
        record.raw_bind_parameter(flow + 1, run.scheduled_at.as_millis())?;
        record.raw_bind_parameter(flow + 2, signed(run.misfires))?;
    }
    Ok(())
}
