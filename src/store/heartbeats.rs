//! The heartbeats that started runs, with their answer, so that a replay gets it again; and the agents.

use rusqlite::{Row, params};
use serde::Serialize;

use super::error::Result;
use super::flows::{signed, unsigned};
use super::{RunId, Store, optional_wall, wall};
use crate::time::Wall;

pub(super) const RECORD: &str = "INSERT INTO heartbeats (agent, heartbeat_id, signed_at, received_at, flows_due,
      flows_triggered, flows_skipped, flows_deferred, first_run_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
pub(super) const FIND: &str =
    "SELECT received_at, flows_due, flows_triggered, flows_skipped, flows_deferred, first_run_id, signed_at
    FROM heartbeats WHERE agent = ?1 AND heartbeat_id = ?2";
pub(super) const NOTE_AGENT: &str =
    "INSERT INTO agents (name, last_heartbeat_at, greatest_signed_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (name) DO UPDATE SET last_heartbeat_at = excluded.last_heartbeat_at,
      greatest_signed_at = CASE WHEN excluded.greatest_signed_at IS NULL THEN greatest_signed_at
        ELSE max(coalesce(greatest_signed_at, excluded.greatest_signed_at), excluded.greatest_signed_at) END";
const NEWEST: &str = "SELECT * FROM heartbeats WHERE id < ?1 AND (?2 IS NULL OR agent = ?2)
    ORDER BY id DESC LIMIT ?3";

/// What is known of a heartbeat that started runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// When it came; its answer's `timestamp`.
    pub received_at: Wall,
    /// Flows found due.
    pub flows_due: u64,
    /// Runs that it recorded.
    pub flows_triggered: u64,
    /// Due, but locked by an open run.
    pub flows_skipped: u64,
    /// Left due.
    pub flows_deferred: u64,
    /// Its first run; the others follow it.
    pub first_run: RunId,
    /// When the latest of its copies was signed, if they say.
    pub signed_at: Option<Wall>,
}

/// A heartbeat that started runs, as it is listed.
#[derive(Clone, Debug, Serialize)]
pub struct ListedHeartbeat {
    /// Its number in our database.
    pub id: i64,
    /// Who sent it.
    pub agent: String,
    /// The id that its sender gave it.
    pub heartbeat_id: Option<String>,
    /// When it came.
    pub received_at: Wall,
    /// When it, or the latest copy of it, was signed, where its scheme signs that.
    pub signed_at: Option<Wall>,
    /// Flows found due.
    pub flows_due: u64,
    /// Runs that it recorded.
    pub flows_triggered: u64,
    /// Due, but locked by an open run.
    pub flows_skipped: u64,
    /// Left due.
    pub flows_deferred: u64,
    /// The first of its runs, ...
    pub first_run_id: i64,
    /// ... and the last: all between them are its own. They may be pruned.
    pub last_run_id: i64,
}

/// Which heartbeats to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct HeartbeatFilter {
    /// Of this agent.
    pub agent: Option<String>,
    /// With smaller ids than this.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: usize,
}

impl Store {
    /// Records a heartbeat that started runs.
    ///
    /// # Errors
    /// [`super::Cause::Constraint`] if the agent's id is on record; or the write is refused.
    pub fn record_heartbeat(
        &mut self,
        agent: &str,
        heartbeat_id: Option<&str>,
        heartbeat: &Heartbeat,
    ) -> Result<()> {
        let params = params![
            agent,
            heartbeat_id,
            heartbeat.signed_at.map(Wall::as_millis),
            heartbeat.received_at.as_millis(),
            signed(heartbeat.flows_due),
            signed(heartbeat.flows_triggered),
            signed(heartbeat.flows_skipped),
            signed(heartbeat.flows_deferred),
            heartbeat.first_run.0
        ];
        self.execute("record a heartbeat", RECORD, params).map(drop)
    }

    /// The heartbeat that an agent sent under this id, if it started runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn heartbeat(&self, agent: &str, heartbeat_id: &str) -> Result<Option<Heartbeat>> {
        self.query_optional("look for a heartbeat", FIND, [agent, heartbeat_id], |row| {
            Ok(Heartbeat {
                received_at: Wall::from_millis(row.get(0)?),
                flows_due: unsigned(row.get(1)?),
                flows_triggered: unsigned(row.get(2)?),
                flows_skipped: unsigned(row.get(3)?),
                flows_deferred: unsigned(row.get(4)?),
                first_run: RunId(row.get(5)?),
                signed_at: optional_wall(row, "signed_at")?,
            })
        })
    }

    /// Notes that a copy of a heartbeat that started runs was signed later than those before.
    ///
    /// # Errors
    /// The write is refused.
    pub fn note_signed_anew(
        &mut self,
        agent: &str,
        heartbeat_id: &str,
        signed_at: Option<Wall>,
    ) -> Result<()> {
        let sql = "UPDATE heartbeats SET signed_at = ?3 WHERE agent = ?1 AND heartbeat_id = ?2";
        let params = params![agent, heartbeat_id, signed_at.map(Wall::as_millis)];
        self.execute("note a heartbeat that was signed anew", sql, params).map(drop)
    }

    /// Heartbeats that started runs, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn heartbeats(&self, filter: &HeartbeatFilter) -> Result<Vec<ListedHeartbeat>> {
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        let params = params![filter.before.unwrap_or(i64::MAX), filter.agent, limit];
        self.query_all("list the heartbeats", NEWEST, params, read_listed)
    }

    /// Goes through the ids of all heartbeats that started runs: `(agent, id)`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn for_each_heartbeat_id(&self, mut each: impl FnMut(&str, &str)) -> Result<()> {
        let sql = "SELECT agent, heartbeat_id FROM heartbeats WHERE heartbeat_id IS NOT NULL";
        let mut read = |row: &rusqlite::Row<'_>| {
            each(row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?);
            Ok(())
        };
        self.query_all("read the heartbeats' ids", sql, [], &mut read).map(drop)
    }

    /// Notes an agent's last heartbeat and, if it started runs, its signed time.
    ///
    /// # Errors
    /// The write is refused.
    pub fn note_agent(
        &mut self,
        agent: &str,
        last_heartbeat_at: Wall,
        signed_at: Option<Wall>,
    ) -> Result<()> {
        let params = params![agent, last_heartbeat_at.as_millis(), signed_at.map(Wall::as_millis)];
        self.execute("note an agent's last heartbeat", NOTE_AGENT, params).map(drop)
    }

    /// The greatest signed time of all heartbeats that started runs: time has reached it, whatever our clock says.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn greatest_signed_at(&self) -> Result<Option<Wall>> {
        let sql = "SELECT max(greatest_signed_at) FROM agents";
        let read = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
        Ok(self.query_one("read the greatest signed time", sql, [], read)?.map(Wall::from_millis))
    }
}

fn read_listed(row: &Row<'_>) -> rusqlite::Result<ListedHeartbeat> {
    let count = |column: &str| row.get(column).map(unsigned);
    let (first_run_id, runs): (i64, i64) = (row.get("first_run_id")?, row.get("flows_triggered")?);
    Ok(ListedHeartbeat {
        id: row.get("id")?,
        agent: row.get("agent")?,
        heartbeat_id: row.get("heartbeat_id")?,
        received_at: wall(row, "received_at")?,
        signed_at: optional_wall(row, "signed_at")?,
        flows_due: count("flows_due")?,
        flows_triggered: unsigned(runs),
        flows_skipped: count("flows_skipped")?,
        flows_deferred: count("flows_deferred")?,
        first_run_id,
        last_run_id: first_run_id.saturating_add(runs.saturating_sub(1)),
    })
}
