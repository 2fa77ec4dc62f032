//! The table `data_flows`: definitions, and which flows are due.

use rusqlite::types::Type;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::error::{Cause, Result, StoreError};
use super::{FlowId, Store, optional_wall, wall};
use crate::flow::{Calendar, Configuration, Definition, Origin, Schedule, Timetable, Window};
use crate::time::{Wall, Zones, format_duration};

/// A flow of this agent may run: its author enabled it, and no operator holds it.
macro_rules! runnable {
    () => {
        "enabled = 1 AND held = 0"
    };
}
/// Its time has come.
macro_rules! due {
    () => {
        concat!(runnable!(), " AND next_run_at <= ?1")
    };
}
/// Its time lies further ahead than a clock that never jumped back can have put it, with the lesser of an interval and a
/// minute for one that is being steered. The first condition is what the index answers.
macro_rules! ahead {
    () => {
        concat!(runnable!(), " AND planned_from > ?1 AND planned_from > ?1 + min(run_interval * 1000, 60000)")
    };
}
/// Beside each flow its open run, if there is one; there is no second, by the index that this looks into.
macro_rules! with_open_run {
    () => {
        " LEFT JOIN data_flow_runs AS run ON run.data_flow_id = data_flows.id AND run.status IN ('pending', 'in_progress')"
    };
}

/// It may run only in a window that is not open now; ?2 is the list of those. Few flows have a window, and the table that IN
/// makes of the list costs more than the rest of a query: CASE has it made only for one that has.
macro_rules! shut {
    () => {
        "CASE WHEN only_between IS NULL THEN 0 ELSE only_between IN (SELECT value FROM json_each(?2)) END"
    };
}
macro_rules! counts {
    () => {
        concat!("count(*), count(run.id), ifnull(sum(run.id IS NULL AND ", shut!(), "), 0)")
    };
}
macro_rules! claim {
    () => {
        "data_flows.id, name, next_run_at, run_interval, data_flows.configuration"
    };
}
/// What is due of it can be claimed.
macro_rules! claimable {
    () => {
        concat!(" AND run.id IS NULL AND NOT ", shut!())
    };
}
macro_rules! from_flows {
    () => {
        concat!(" FROM data_flows", with_open_run!(), " WHERE ")
    };
}

pub(super) const COUNT_DUE: &str = concat!("SELECT ", counts!(), from_flows!(), due!());
pub(super) const COUNT_AHEAD: &str = concat!("SELECT ", counts!(), from_flows!(), ahead!());
pub(super) const CLAIM_DUE: &str =
    concat!("SELECT ", claim!(), from_flows!(), due!(), claimable!(), " ORDER BY next_run_at LIMIT ?3");
pub(super) const CLAIM_AHEAD: &str =
    concat!("SELECT ", claim!(), from_flows!(), ahead!(), claimable!(), " LIMIT ?3");
pub(super) const EARLIEST: &str = concat!("SELECT min(next_run_at) FROM data_flows WHERE ", runnable!());
pub(super) const FURTHEST: &str = concat!("SELECT max(planned_from) FROM data_flows WHERE ", runnable!());
pub(super) const OF_FILES: &str = "SELECT id, name FROM data_flows WHERE origin = 'file' AND enabled = 1";
const DUE_TO_RUN: &str = concat!(
    "SELECT * FROM (SELECT * FROM data_flows WHERE ",
    due!(),
    " UNION ALL SELECT * FROM data_flows WHERE ",
    ahead!(),
    ") ORDER BY last_run_at NULLS FIRST, id"
);

mod among;
#[cfg(test)]
pub(super) use among::QUERIES as QUERIES_AMONG;

/// A row of `data_flows`.
#[derive(Clone, Debug, Serialize)]
pub struct Flow {
    /// Its id.
    #[serde(skip)]
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Whether its author wants it to run.
    pub enabled: bool,
    /// Whether an operator holds it.
    pub held: bool,
    /// Seconds.
    pub run_interval: u64,
    /// The rest of its definition.
    pub configuration: Configuration,
    /// Where the definition lives.
    pub origin: Origin,
    /// When the last run that ended had started.
    pub last_run_at: Option<Wall>,
    /// `success` or `failed`.
    pub last_run_status: Option<String>,
    /// None: it never ran, and is due at once.
    pub next_run_at: Option<Wall>,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// When it was first seen.
    pub created_at: Wall,
    /// When the row last changed.
    pub updated_at: Wall,
}

impl Flow {
    /// Its interval, with the time of day that it is anchored to: `1d at 02:30`.
    pub fn every(&self) -> String {
        let interval = format_duration(Duration::from_secs(self.run_interval));
        match self.configuration.calendar.at {
            Some(at) => format!("{interval} at {at}"),
            None => interval,
        }
    }
}

/// What the claim of a flow needs to know.
#[derive(Clone, Debug)]
pub struct DueFlow {
    /// Its id.
    pub id: FlowId,
    /// Its name.
    pub name: String,
    /// The stored run time; 0 if it never ran.
    pub next_run_at: Wall,
    /// Seconds.
    pub run_interval_s: u64,
    /// What the interval counts from.
    pub schedule: Schedule,
    /// What goes by the clock of a place.
    pub calendar: Calendar,
}

/// How many flows are due, and how many of those cannot be claimed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueCounts {
    /// All of them.
    pub due: u64,
    /// Those with an open run.
    pub open: u64,
    /// Those without, that may run only in a window that is not open.
    pub shut: u64,
}

impl DueCounts {
    /// Those that can be claimed.
    pub const fn claimable(&self) -> u64 {
        self.due - self.open - self.shut
    }

    const fn and(self, other: Self) -> Self {
        Self { due: self.due + other.due, open: self.open + other.open, shut: self.shut + other.shut }
    }
}

/// Between these times nothing is due: a heartbeat within them needs no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// The earliest run time of all flows.
    pub earliest: Wall,
    /// Before this time a flow may lie further ahead than the clock can have put it.
    pub furthest: Wall,
}

impl Horizon {
    /// Whether a flow may be due at this time.
    pub fn may_be_due(&self, now: Wall) -> bool {
        now >= self.earliest || now < self.furthest
    }
}

/// What applying a definition did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The flow is new.
    Created,
    /// Its definition changed; id, history and cursor stay.
    Updated,
    /// The same, and it was enabled before and is not any more.
    Disabled(FlowId),
    /// It was the same already; nothing was written.
    Unchanged,
}

impl Store {
    /// The times between which nothing is due.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn horizon(&self) -> Result<Horizon> {
        let bound = |sql, none| {
            let read = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
            Ok(Wall::from_millis(self.query_one("find the next run time", sql, [], read)?.unwrap_or(none)))
        };
        Ok(Horizon { earliest: bound(EARLIEST, i64::MAX)?, furthest: bound(FURTHEST, i64::MIN)? })
    }

    /// How many flows are due, while these windows are not open.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_due(&self, now: Wall, shut: &[Window]) -> Result<DueCounts> {
        let params = params![now.as_millis(), list(shut)];
        [COUNT_DUE, COUNT_AHEAD].into_iter().try_fold(DueCounts::default(), |counts, sql| {
            Ok(counts.and(self.query_one("count the due flows", sql, params, read_counts)?))
        })
    }

    /// Due flows that can be claimed: those of a clock that jumped back, then longest due first. The former go first
    /// because nothing tells how long they are due; each is one once, so they cannot hold up the others for long.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn claimable(&self, now: Wall, shut: &[Window], at_most: usize) -> Result<Vec<DueFlow>> {
        let mut flows = Vec::new();
        let shut = list(shut);
        for sql in [CLAIM_AHEAD, CLAIM_DUE] {
            let left = i64::try_from(at_most - flows.len()).unwrap_or(i64::MAX);
            let params = params![now.as_millis(), shut, left];
            flows.extend(self.query_all("find the due flows", sql, params, read_due)?);
        }
        Ok(flows)
    }

    /// Enabled flows that never ran or whose next run time is reached, by `last_run_at`, never run first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn due_to_run(&self, now: Wall) -> Result<Vec<Flow>> {
        self.query_all("list the due flows", DUE_TO_RUN, [now.as_millis()], read_flow)
    }

    /// Every flow, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flows(&self) -> Result<Vec<Flow>> {
        self.map_flows(|flow| flow)
    }

    /// What is wanted of every flow, by name; no more than that of all flows is in memory at once.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn map_flows<T>(&self, mut wanted: impl FnMut(Flow) -> T) -> Result<Vec<T>> {
        let sql = "SELECT * FROM data_flows ORDER BY name";
        self.query_all("list the flows", sql, [], |row| read_flow(row).map(&mut wanted))
    }

    /// The enabled flows, by name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn enabled_flows(&self) -> Result<Vec<Flow>> {
        let sql = concat!("SELECT * FROM data_flows WHERE ", runnable!(), " ORDER BY name");
        self.query_all("list the enabled flows", sql, [], read_flow)
    }

    /// The flows that came from files and are enabled.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn enabled_flows_of_files(&self) -> Result<Vec<(FlowId, String)>> {
        let read = |row: &Row<'_>| Ok((FlowId(row.get(0)?), row.get(1)?));
        self.query_all("list the flows of files", OF_FILES, [], read)
    }

    /// The flow of this name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flow(&self, name: &str) -> Result<Option<Flow>> {
        self.query_optional("read a flow", "SELECT * FROM data_flows WHERE name = ?1", [name], read_flow)
    }

    /// Stores a definition. A flow that exists keeps its id, history and next run time, unless what that follows from
    /// changed (see [`Timetable::after_change`]). Open runs keep the definition that they were recorded with.
    ///
    /// # Errors
    /// [`Cause::Constraint`] if a flow of the other origin has the name; or the write is refused.
    pub fn apply_definition(
        &mut self,
        definition: &Definition,
        origin: Origin,
        zones: &Zones,
        now: Wall,
    ) -> Result<Applied> {
        let configuration = json(&definition.configuration, self)?;
        let name = definition.name.as_str();
        let (schedule, calendar) = (definition.configuration.schedule, &definition.configuration.calendar);
        let timetable =
            Timetable::new((name, definition.run_interval_s), schedule, calendar, &self.id()?, zones);
        let Some(flow) = self.flow(name)? else {
            self.insert_flow(definition, &configuration, origin, &timetable, now)?;
            return Ok(Applied::Created);
        };
        if flow.origin != origin {
            let reason =
                format!("a flow `{}` of origin `{}` exists already", definition.name, flow.origin.as_str());
            return Err(StoreError::new("store a flow", &self.path, Cause::Constraint, reason));
        }
        let same = flow.description == definition.description
            && flow.enabled == definition.enabled
            && flow.run_interval == definition.run_interval_s
            && flow.configuration == definition.configuration;
        if same {
            return Ok(Applied::Unchanged);
        }
        if flow.configuration != definition.configuration {
            self.keep_configuration_of_open_runs(flow.id)?;
        }
        let mut next_run_at = flow.next_run_at.unwrap_or(Wall::from_millis(0));
        let grid = |calendar: &Calendar| (calendar.at, calendar.time_zone.clone(), calendar.spread_ms);
        let stays = flow.run_interval == definition.run_interval_s
            && flow.configuration.schedule == schedule
            && grid(&flow.configuration.calendar) == grid(calendar);
        if !stays {
            next_run_at = timetable.after_change(next_run_at, flow.run_interval, now);
        }
        let sql =
            "UPDATE data_flows SET description = ?2, enabled = ?3, run_interval = ?4, configuration = ?5,
                     updated_at = ?6, next_run_at = ?7, only_between = ?8,
                     ahead_slack = CASE WHEN next_run_at = ?7 THEN ahead_slack ELSE ?9 END
                   WHERE id = ?1";
        let params = params![
            flow.id.0,
            definition.description,
            definition.enabled,
            signed(definition.run_interval_s),
            configuration,
            now.as_millis(),
            next_run_at.as_millis(),
            calendar.window().map(|window| window.to_string()),
            timetable.slack_ms(next_run_at, now)
        ];
        self.execute("update a flow", sql, params)?;
        let is_disabled_now = flow.enabled && !definition.enabled;
        Ok(if is_disabled_now { Applied::Disabled(flow.id) } else { Applied::Updated })
    }

    fn insert_flow(
        &self,
        definition: &Definition,
        configuration: &str,
        origin: Origin,
        timetable: &Timetable,
        now: Wall,
    ) -> Result<()> {
        let next_run_at = timetable.first_run_at(now);
        let sql = "INSERT INTO data_flows (name, description, enabled, run_interval, configuration, origin,
                     created_at, updated_at, next_run_at, only_between, ahead_slack)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8, ?9, ?10)";
        let calendar = &definition.configuration.calendar;
        let params = params![
            definition.name.as_str(),
            definition.description,
            definition.enabled,
            signed(definition.run_interval_s),
            configuration,
            origin.as_str(),
            now.as_millis(),
            next_run_at.as_millis(),
            calendar.window().map(|window| window.to_string()),
            timetable.slack_ms(next_run_at, now)
        ];
        self.execute("store a flow", sql, params).map(drop)
    }

    fn keep_configuration_of_open_runs(&self, id: FlowId) -> Result<()> {
        let sql = "UPDATE data_flow_runs
                   SET configuration = (SELECT configuration FROM data_flows WHERE id = ?1)
                   WHERE data_flow_id = ?1 AND status IN ('pending', 'in_progress') AND configuration IS NULL";
        self.execute("keep the definition of open runs", sql, [id.0]).map(drop)
    }

    /// Disables a flow whose file is gone.
    ///
    /// # Errors
    /// The write is refused.
    pub fn disable_flow(&mut self, id: FlowId, now: Wall) -> Result<()> {
        let sql = "UPDATE data_flows SET enabled = 0, updated_at = ?2 WHERE id = ?1";
        self.execute("disable a flow", sql, params![id.0, now.as_millis()]).map(drop)
    }
}

/// Texts as the JSON list that queries take.
fn list<T: ToString>(texts: &[T]) -> String {
    serde_json::Value::from_iter(texts.iter().map(T::to_string)).to_string()
}

fn read_counts(row: &Row<'_>) -> rusqlite::Result<DueCounts> {
    Ok(DueCounts { due: unsigned(row.get(0)?), open: unsigned(row.get(1)?), shut: unsigned(row.get(2)?) })
}

/// What a claim reads of a definition.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WhenItRuns {
    schedule: Schedule,
    calendar: Calendar,
}

/// A schedule that cannot be read is a plain one: a row that another program spoilt stays due.
fn read_due(row: &Row<'_>) -> rusqlite::Result<DueFlow> {
    let WhenItRuns { schedule, calendar } =
        serde_json::from_str(row.get_ref(4)?.as_str()?).unwrap_or_default();
    Ok(DueFlow {
        id: FlowId(row.get(0)?),
        name: row.get(1)?,
        next_run_at: Wall::from_millis(row.get(2)?),
        run_interval_s: unsigned(row.get(3)?),
        schedule,
        calendar,
    })
}

pub(super) fn read_flow(row: &Row<'_>) -> rusqlite::Result<Flow> {
    let next_run_at = wall(row, "next_run_at")?;
    let configuration: String = row.get("configuration")?;
    let origin: String = row.get("origin")?;
    Ok(Flow {
        id: FlowId(row.get("id")?),
        name: row.get("name")?,
        description: row.get("description")?,
        enabled: row.get("enabled")?,
        held: row.get("held")?,
        run_interval: unsigned(row.get("run_interval")?),
        configuration: serde_json::from_str(&configuration)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))?,
        origin: if origin == Origin::File.as_str() { Origin::File } else { Origin::Database },
        last_run_at: optional_wall(row, "last_run_at")?,
        last_run_status: row.get("last_run_status")?,
        next_run_at: (next_run_at.as_millis() != 0).then_some(next_run_at),
        consecutive_failures: row.get("consecutive_failures")?,
        created_at: wall(row, "created_at")?,
        updated_at: wall(row, "updated_at")?,
    })
}

pub(super) fn json(configuration: &Configuration, store: &Store) -> Result<String> {
    serde_json::to_string(configuration).map_err(|error| {
        StoreError::new("write a flow as JSON", &store.path, Cause::Internal, error.to_string())
    })
}

/// For columns whose CHECK forbids what is negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn signed_size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
