//! What somebody is to be told: the outbox of the alerts, and what was told and is not over.

use rusqlite::{Row, params};
use serde::Serialize;
use std::time::Duration;

use super::error::Result;
use super::flows::unsigned;
use super::{FlowId, Store};
use crate::limits;
use crate::time::{Wall, millis};

const ADD: &str = "INSERT INTO alerts (uid, type, subject, data, created_at)
    VALUES (lower(hex(randomblob(16))), ?1, ?2, ?3, ?4)";
const TRIM: &str =
    "DELETE FROM alerts WHERE id <= (SELECT id FROM alerts ORDER BY id DESC LIMIT 1 OFFSET ?1)";
// The one that waits the least; one that was tried less often goes first. None waits longer than any may: its time was
// told by a clock that has jumped back since.
const NEXT: &str = "SELECT id, uid, type, data, created_at, attempts,
      CASE WHEN next_attempt_at - ?1 BETWEEN 1 AND ?2 THEN next_attempt_at - ?1 ELSE 0 END AS wait
    FROM alerts AS alert
    WHERE NOT EXISTS (SELECT 1 FROM alerts AS older WHERE older.subject = alert.subject AND older.id < alert.id)
    ORDER BY wait, attempts, id LIMIT 1";
const OPEN: &str = "SELECT condition.type, coalesce(flow.name, condition.subject), condition.since
    FROM alert_conditions AS condition LEFT JOIN data_flows AS flow ON flow.id = condition.data_flow_id
    ORDER BY condition.since LIMIT ?1";
const FIGURES: &str = "SELECT count(*), min(created_at), (SELECT last_error FROM alerts
      WHERE last_error IS NOT NULL ORDER BY next_attempt_at DESC LIMIT 1),
      (SELECT count(*) FROM alert_conditions) FROM alerts";

/// What an alert tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// A flow failed so many times in a row.
    FlowFailing,
    /// And succeeded again.
    FlowRecovered,
    /// A run takes long.
    RunLong,
    /// An agent was not heard for long.
    AgentSilent,
    /// And was heard again.
    AgentReturned,
    /// The database is near its limit, with no history left to delete.
    DatabaseNearLimit,
    /// And is well below it again.
    DatabaseBelowLimit,
    /// The database could not be written for a while, and can be again.
    StorageRecovered,
}

impl AlertKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::FlowFailing,
        Self::FlowRecovered,
        Self::RunLong,
        Self::AgentSilent,
        Self::AgentReturned,
        Self::DatabaseNearLimit,
        Self::DatabaseBelowLimit,
        Self::StorageRecovered,
    ];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FlowFailing => "flow.failing",
            Self::FlowRecovered => "flow.recovered",
            Self::RunLong => "run.long",
            Self::AgentSilent => "agent.silent",
            Self::AgentReturned => "agent.returned",
            Self::DatabaseNearLimit => "database.near_limit",
            Self::DatabaseBelowLimit => "database.below_limit",
            Self::StorageRecovered => "storage.recovered",
        }
    }
}

/// An alert that is to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its row.
    pub id: i64,
    /// What its receiver knows it by, for ever.
    pub uid: String,
    /// A word of [`AlertKind`].
    pub kind: String,
    /// What it tells, as a JSON object.
    pub data: String,
    /// When that was.
    pub created_at: Wall,
    /// How often it was tried.
    pub attempts: u32,
}

/// A condition that was told and is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenAlert {
    /// The alert that told it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The flow or agent; empty where it is about the box.
    pub subject: String,
    /// When it was told.
    pub since: Wall,
}

/// The state of the alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertFigures {
    /// What was told and is not over, oldest first, as many as a list has.
    pub open: Vec<OpenAlert>,
    /// How many that are.
    pub open_total: u64,
    /// Alerts that are not delivered yet.
    pub undelivered: u64,
    /// When the oldest of them was made.
    pub oldest_at: Option<Wall>,
    /// Why the last try of any of them failed.
    pub last_error: Option<String>,
}

impl Store {
    /// Adds an alert to the outbox.
    ///
    /// # Errors
    /// The write is refused.
    pub fn add_alert(&mut self, kind: AlertKind, subject: &str, data: &str, now: Wall) -> Result<()> {
        let params = params![kind.as_str(), subject, data, now.as_millis()];
        self.execute("record an alert", ADD, params).map(drop)
    }

    /// Deletes the oldest alerts but `kept`; how many.
    ///
    /// # Errors
    /// The write is refused.
    pub fn trim_alerts(&mut self, kept: usize) -> Result<usize> {
        self.execute("drop the oldest alerts", TRIM, [i64::try_from(kept).unwrap_or(i64::MAX)])
    }

    /// The alert to be delivered next, and how long that has to wait yet: never longer than `wait_max`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn next_alert(&self, now: Wall, wait_max: Duration) -> Result<Option<(Alert, Duration)>> {
        let read = |row: &Row<'_>| {
            let alert = Alert {
                id: row.get(0)?,
                uid: row.get(1)?,
                kind: row.get(2)?,
                data: row.get(3)?,
                created_at: Wall::from_millis(row.get(4)?),
                attempts: row.get(5)?,
            };
            Ok((alert, Duration::from_millis(row.get::<_, i64>(6)?.unsigned_abs())))
        };
        let params = params![now.as_millis(), millis(wait_max)];
        self.query_optional("look for the next alert", NEXT, params, read)
    }

    /// Notes that an alert is tried, and when it is tried again unless it is delivered.
    ///
    /// # Errors
    /// The write is refused.
    pub fn try_alert(&mut self, id: i64, next_attempt_at: Wall) -> Result<()> {
        let sql = "UPDATE alerts SET attempts = attempts + 1, next_attempt_at = ?2 WHERE id = ?1";
        self.execute("note that an alert is tried", sql, params![id, next_attempt_at.as_millis()]).map(drop)
    }

    /// Notes why a try failed, and when the next one is.
    ///
    /// # Errors
    /// The write is refused.
    pub fn alert_failed(&mut self, id: i64, next_attempt_at: Wall, why: &str) -> Result<()> {
        let sql = "UPDATE alerts SET next_attempt_at = ?2, last_error = ?3 WHERE id = ?1";
        let params = params![id, next_attempt_at.as_millis(), why];
        self.execute("note why an alert was not delivered", sql, params).map(drop)
    }

    /// Takes an alert out of the outbox; how many that were: it may be gone already.
    ///
    /// # Errors
    /// The write is refused.
    pub fn remove_alert(&mut self, id: i64) -> Result<usize> {
        self.execute("take an alert out of the outbox", "DELETE FROM alerts WHERE id = ?1", [id])
    }

    /// How many alerts are not delivered.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_alerts(&self) -> Result<usize> {
        let read = |row: &Row<'_>| row.get::<_, i64>(0);
        let count = self.query_one("count the alerts", "SELECT count(*) FROM alerts", [], read)?;
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Since when a condition is open; none: it is not.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn condition(&self, kind: AlertKind, subject: &str) -> Result<Option<Wall>> {
        let sql = "SELECT since FROM alert_conditions WHERE type = ?1 AND subject = ?2";
        let read = |row: &Row<'_>| row.get(0).map(Wall::from_millis);
        self.query_optional("look at what was told", sql, [kind.as_str(), subject], read)
    }

    /// Opens a condition; of a flow, with the flow, which takes it along.
    ///
    /// # Errors
    /// The write is refused.
    pub fn open_condition(
        &mut self,
        kind: AlertKind,
        subject: &str,
        flow: Option<FlowId>,
        now: Wall,
    ) -> Result<()> {
        let sql = "INSERT INTO alert_conditions (type, subject, data_flow_id, since) VALUES (?1, ?2, ?3, ?4)";
        let params = params![kind.as_str(), subject, flow.map(|flow| flow.0), now.as_millis()];
        self.execute("note what was told", sql, params).map(drop)
    }

    /// Closes a condition.
    ///
    /// # Errors
    /// The write is refused.
    pub fn close_condition(&mut self, kind: AlertKind, subject: &str) -> Result<()> {
        let sql = "DELETE FROM alert_conditions WHERE type = ?1 AND subject = ?2";
        self.execute("note that what was told is over", sql, [kind.as_str(), subject]).map(drop)
    }

    /// The subjects of open conditions of a kind.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn open_subjects(&self, kind: AlertKind) -> Result<Vec<String>> {
        let sql = "SELECT subject FROM alert_conditions WHERE type = ?1";
        self.query_all("read what was told", sql, [kind.as_str()], |row| row.get(0))
    }

    /// How often a flow has failed in a row.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn consecutive_failures(&self, flow: FlowId) -> Result<u64> {
        let sql = "SELECT consecutive_failures FROM data_flows WHERE id = ?1";
        let read = |row: &Row<'_>| row.get(0).map(unsigned);
        Ok(self.query_optional("look at a flow's failures", sql, [flow.0], read)?.unwrap_or(0))
    }

    /// The state of the alerts.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn alert_figures(&self) -> Result<AlertFigures> {
        let most = i64::try_from(limits::LIST_MAX).unwrap_or(i64::MAX);
        let open = self.query_all("list what was told", OPEN, [most], |row| {
            let since = Wall::from_millis(row.get(2)?);
            Ok(OpenAlert { kind: row.get(0)?, subject: row.get(1)?, since })
        })?;
        self.query_one("count the alerts", FIGURES, [], |row| {
            Ok(AlertFigures {
                open,
                undelivered: unsigned(row.get(0)?),
                oldest_at: row.get::<_, Option<i64>>(1)?.map(Wall::from_millis),
                last_error: row.get(2)?,
                open_total: unsigned(row.get(3)?),
            })
        })
    }
}
