//! What is kept, and for how long: every table has its bound, and is cut back to it in small steps.
//!
//! Failures are kept longer than successes: they are what somebody will want to read.

use rusqlite::{Row, params};

use super::error::Result;
use super::flows::{signed, signed_size};
use super::log_file;
use super::{FlowId, RunId, Store};
use crate::limits;
use crate::time::Wall;

/// The newest runs of a flow are kept whatever they are, and of the older ones as many failures as make up the rest. One that
/// is open is the newest of all, and does not count; asked so, the index alone tells, and no run is looked at.
pub(super) const OLDEST_KEPT: &str = "SELECT id FROM data_flow_runs WHERE data_flow_id = ?1 ORDER BY id DESC
    LIMIT 1 OFFSET ?2 + (SELECT count(*) FROM data_flow_runs
      WHERE data_flow_id = ?1 AND status IN ('pending', 'in_progress'))";
pub(super) const RUNS_ENDED: &str = "SELECT runs_ended FROM data_flows WHERE id = ?1";
pub(super) const PRUNE_SUCCESSES: &str = "DELETE FROM data_flow_runs WHERE id IN (
      SELECT id FROM data_flow_runs WHERE data_flow_id = ?1 AND id < ?2 AND status = 'success' ORDER BY id LIMIT ?3)";
pub(super) const PRUNE_FAILURES: &str = "DELETE FROM data_flow_runs WHERE id IN (
      SELECT id FROM data_flow_runs WHERE data_flow_id = ?1 AND id < ?2 AND status = 'failed'
      ORDER BY id DESC LIMIT ?3 OFFSET ?4)";
/// Runs recorded with a clock that was not set have no age.
pub(super) const PRUNE_OLD: &str = "DELETE FROM data_flow_runs WHERE id IN (
      SELECT id FROM (SELECT id, created_at, status FROM data_flow_runs ORDER BY id LIMIT ?2)
      WHERE created_at < ?1 AND created_at >= ?3 AND status IN ('success', 'failed'))";
pub(super) const NOTE_DAY: &str = "INSERT INTO flow_days (data_flow_id, day, success, failed, interrupted,
      duration_ms_sum, duration_ms_max) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
    ON CONFLICT DO UPDATE SET success = success + excluded.success, failed = failed + excluded.failed,
      interrupted = interrupted + excluded.interrupted,
      duration_ms_sum = duration_ms_sum + excluded.duration_ms_sum,
      duration_ms_max = max(duration_ms_max, excluded.duration_ms_max)";
/// The oldest of what is on record, as far as a step looks.
pub(super) const OLD_HEARTBEATS: &str = "SELECT id, agent, signed_at FROM heartbeats
    WHERE id IN (SELECT id FROM heartbeats ORDER BY id LIMIT ?2) AND received_at < ?1";

/// How much of a flow's history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The newest of its ended runs, whatever they are.
    pub newest: usize,
    /// Failures that are older than those.
    pub failures: usize,
    /// After so many ends it is cut back again: there is room for the others meanwhile.
    pub every: usize,
}

impl Kept {
    /// Never more than so many. A quarter is for failures that would have gone by age alone.
    pub fn of(runs_per_flow: usize) -> Self {
        let (failures, every) = (runs_per_flow / 4, (runs_per_flow / 16).clamp(1, 8));
        Self { newest: (runs_per_flow - failures).saturating_sub(every - 1).max(1), failures, every }
    }
}

/// How large the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes that hold something, in the database's file.
    pub used_bytes: u64,
    /// Bytes of that file that hold nothing any more.
    pub free_bytes: u64,
    /// Bytes of the write-ahead log.
    pub log_bytes: u64,
}

impl Store {
    /// Whether a flow's history is to be cut back, now that so many more of its runs have ended: to go through it costs more
    /// than to record an end.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn is_to_be_pruned(&self, flow: FlowId, ended: usize, kept: Kept) -> Result<bool> {
        let count = self
            .query_optional("look at a flow's history", RUNS_ENDED, [flow.0], |row| row.get::<_, i64>(0))?;
        Ok(count.is_some_and(|count| count % signed_size(kept.every) < signed_size(ended)))
    }

    /// Cuts a flow's history back towards its bound, by a few rows for each end since the last time.
    ///
    /// # Errors
    /// The write is refused.
    pub fn prune_flow(&mut self, flow: FlowId, kept: Kept) -> Result<usize> {
        let rows = signed_size(kept.every * limits::PRUNED_WITH_EACH_END);
        let oldest = self.query_optional(
            "look at a flow's history",
            OLDEST_KEPT,
            params![flow.0, signed_size(kept.newest - 1)],
            |row| row.get::<_, i64>(0),
        )?;
        let Some(oldest) = oldest else { return Ok(0) };
        let operation = "prune a flow's history";
        let successes = self.execute(operation, PRUNE_SUCCESSES, params![flow.0, oldest, rows])?;
        let beyond = params![flow.0, oldest, rows, signed_size(kept.failures)];
        Ok(successes + self.execute(operation, PRUNE_FAILURES, beyond)?)
    }

    /// Deletes ended runs recorded before `before`, among the oldest `rows`; how many.
    ///
    /// # Errors
    /// The write is refused.
    pub fn prune_old_runs(&mut self, before: Wall, rows: usize) -> Result<usize> {
        let clock_is_set = crate::limits::RELEASE_EPOCH_MS;
        let params = params![before.as_millis(), signed_size(rows), clock_is_set];
        self.execute("prune old runs", PRUNE_OLD, params)
    }

    /// Deletes ended runs of this status after `after`, oldest first, looking at `rows` at most. How many went, and where to
    /// go on; none at the end.
    ///
    /// # Errors
    /// The write is refused.
    pub fn prune_runs_after(
        &mut self,
        after: RunId,
        status: &str,
        rows: usize,
    ) -> Result<(usize, Option<RunId>)> {
        let look = "SELECT max(id) FROM (SELECT id FROM data_flow_runs WHERE id > ?1 ORDER BY id LIMIT ?2)";
        let last =
            self.query_one("look at the oldest runs", look, params![after.0, signed_size(rows)], |row| {
                row.get::<_, Option<i64>>(0)
            })?;
        let Some(last) = last else { return Ok((0, None)) };
        let delete = "DELETE FROM data_flow_runs WHERE id > ?1 AND id <= ?2 AND status = ?3";
        let deleted = self.execute("prune the oldest runs", delete, params![after.0, last, status])?;
        Ok((deleted, Some(RunId(last))))
    }

    /// Deletes heartbeats received before `before`, among the oldest `rows`, and raises each agent's floor to the greatest
    /// signed time that goes with them. The floors that rose.
    ///
    /// # Errors
    /// The write is refused.
    pub fn prune_heartbeats(&mut self, before: Wall, rows: usize) -> Result<(usize, Vec<(String, Wall)>)> {
        let params = params![before.as_millis(), signed_size(rows)];
        let read = |row: &Row<'_>| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<i64>>(2)?))
        };
        let old = self.query_all("find old heartbeats", OLD_HEARTBEATS, params, read)?;
        let mut floors: Vec<(String, Wall)> = Vec::new();
        for (id, agent, signed_at) in &old {
            self.execute("prune a heartbeat", "DELETE FROM heartbeats WHERE id = ?1", [id])?;
            let Some(signed_at) = signed_at.map(Wall::from_millis) else { continue };
            match floors.iter_mut().find(|(name, _)| name == agent) {
                Some((_, floor)) => *floor = signed_at.max(*floor),
                None => floors.push((agent.clone(), signed_at)),
            }
        }
        for (agent, floor) in &floors {
            let raise =
                "UPDATE agents SET replay_floor = max(coalesce(replay_floor, ?2), ?2) WHERE name = ?1";
            let raised = self.execute("raise an agent's floor", raise, params![agent, floor.as_millis()])?;
            assert_eq!(raised, 1, "an agent is on record with the first heartbeat that started runs");
        }
        Ok((old.len(), floors))
    }

    /// The signed times at or below which an agent's heartbeats are known by their ids no more.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn replay_floors(&self) -> Result<Vec<(String, Wall)>> {
        let sql = "SELECT name, replay_floor FROM agents WHERE replay_floor IS NOT NULL";
        self.query_all("read the agents' floors", sql, [], |row| {
            Ok((row.get(0)?, Wall::from_millis(row.get(1)?)))
        })
    }

    /// Deletes days before `day` (since 1970, in UTC).
    ///
    /// # Errors
    /// The write is refused.
    pub fn prune_days(&mut self, day: i64, rows: usize) -> Result<usize> {
        let sql = "DELETE FROM flow_days WHERE (data_flow_id, day) IN
                     (SELECT data_flow_id, day FROM flow_days WHERE day < ?1 LIMIT ?2)";
        self.execute("prune the table of days", sql, params![day, signed_size(rows)])
    }

    /// How large the database is.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn size(&self) -> Result<Size> {
        let number = |sql| {
            self.query_one("look at the database's size", sql, [], |row| row.get::<_, i64>(0))
                .map(i64::unsigned_abs)
        };
        let page_bytes = number("PRAGMA page_size")?;
        let free = number("PRAGMA freelist_count")?;
        let pages = number("PRAGMA page_count")?;
        let log_bytes = std::fs::metadata(log_file::path_of(&self.path)).map_or(0, |file| file.len());
        Ok(Size {
            used_bytes: pages.saturating_sub(free) * page_bytes,
            free_bytes: free * page_bytes,
            log_bytes,
        })
    }

    /// Gives pages that hold nothing back to the file system, so many at most.
    ///
    /// # Errors
    /// The write is refused.
    pub fn shrink(&mut self, pages: u32) -> Result<()> {
        let sql = format!("PRAGMA incremental_vacuum({pages})");
        self.query_all("shrink the database", &sql, [], |_| Ok(())).map(drop)
    }

    /// The most that the database's file and its log may take together. Past it a write is refused as on a full disk.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn limit_size(&self, bytes: u64) -> Result<()> {
        let pragma = |sql: &str| {
            let number = |row: &Row<'_>| row.get::<_, i64>(0);
            self.query_one("limit the database's size", sql, [], number)
        };
        let page_bytes = pragma("PRAGMA page_size")?.max(512);
        let pages = signed(bytes) / page_bytes;
        // An eighth is left for the log, which is written back into the file well before it has that length.
        pragma(&format!("PRAGMA max_page_count = {}", pages - pages / 8))?;
        let log_bytes = (signed(bytes) / 64).clamp(256 * 1024, 4 * 1024 * 1024);
        pragma(&format!("PRAGMA wal_autocheckpoint = {}", log_bytes / page_bytes))?;
        Ok(())
    }
}
