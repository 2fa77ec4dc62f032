//! Flows and runs of another program, with the ids that they had there.

use rusqlite::params;

use super::error::Result;
use super::flows::{json, signed};
use super::runs::START;
use super::{FlowId, RunId, Store};
use crate::flow::{Definition, ErrorKind};
use crate::time::Wall;

/// A flow of another program.
#[derive(Clone, Debug)]
pub struct ImportedFlow {
    /// The id that it keeps.
    pub id: FlowId,
    /// What it does here. Its calendar is plain: it is due an interval after its last run.
    pub definition: Definition,
    /// Whether it waits for `flow enable`.
    pub held: bool,
    /// When it last ran.
    pub last_run_at: Option<Wall>,
    /// Whether that run succeeded.
    pub last_run_status: Option<bool>,
    /// When it was made.
    pub created_at: Wall,
    /// When it was last changed.
    pub updated_at: Wall,
}

/// A run of another program, which is over.
#[derive(Clone, Debug)]
pub struct ImportedRun {
    /// The id that it keeps.
    pub id: RunId,
    /// Its flow, imported before it.
    pub flow: FlowId,
    /// When it began.
    pub started_at: Wall,
    /// When it ended, not before that.
    pub ended_at: Wall,
    /// Why it failed; none: it succeeded.
    pub error: Option<(ErrorKind, String)>,
    /// Where that was in its program.
    pub backtrace: Option<String>,
    /// When it was made.
    pub created_at: Wall,
    /// When it was last changed.
    pub updated_at: Wall,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is here now.
    New,
    /// It was here.
    Known,
    /// It cannot be here, and why.
    Refused(String),
}

const INSERT_FLOW: &str =
    "INSERT INTO data_flows (id, name, description, held, run_interval, configuration, origin,
      last_run_at, last_run_status, next_run_at, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'database', ?7, ?8, coalesce(?7 + ?5 * 1000, 0), ?9, ?10)";
/// As every run, it is recorded as pending first: what guards the steps of a run stands in the schema.
const INSERT_RUN: &str = "INSERT INTO data_flow_runs (id, data_flow_id, scheduled_at, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?4)";
const END_RUN: &str = "UPDATE data_flow_runs SET status = ?2, ended_at = ?3, duration_ms = ?3 - started_at,
      error_kind = ?4, error_message = ?5, error_backtrace = ?6, updated_at = ?7 WHERE id = ?1";
const COUNT_END: &str = "UPDATE data_flows SET runs_ended = runs_ended + 1 WHERE id = ?1";
/// What a flow tells of its runs, by those that are on record; of one without any its own word stands.
const CONCLUDE: &str = "UPDATE data_flows SET
      last_run_at = coalesce((SELECT started_at FROM data_flow_runs WHERE data_flow_id = ?1 ORDER BY id DESC LIMIT 1),
                             last_run_at),
      last_run_status = coalesce((SELECT status FROM data_flow_runs WHERE data_flow_id = ?1 ORDER BY id DESC LIMIT 1),
                                 last_run_status),
      consecutive_failures = (SELECT count(*) FROM data_flow_runs
        WHERE data_flow_id = ?1 AND error_kind = 'exit_status'
          AND id > coalesce((SELECT max(id) FROM data_flow_runs WHERE data_flow_id = ?1 AND status = 'success'), 0))
    WHERE id = ?1";

impl Store {
    /// Stores a flow under the id that it had. One that is here already, with this id and name, stays as it is.
    ///
    /// # Errors
    /// The write is refused.
    pub fn import_flow(&mut self, flow: &ImportedFlow) -> Result<Imported> {
        let definition = &flow.definition;
        let name = definition.name.as_str();
        let refused = |why: String| Ok(Imported::Refused(why));
        if flow.id.0 <= 0 {
            return refused("an id is above 0".to_owned());
        }
        let read = "SELECT name FROM data_flows WHERE id = ?1";
        match self.query_optional("look for a flow", read, [flow.id.0], |row| row.get::<_, String>(0))? {
            Some(known) if known == name => return Ok(Imported::Known),
            Some(other) => return refused(format!("its id is that of the flow {other} here")),
            None => {}
        }
        if let Some(other) = self.flow(name)? {
            return refused(format!("there is a flow {name} here already, with id {}", other.id.0));
        }
        let status = flow.last_run_status.map(|succeeded| if succeeded { "success" } else { "failed" });
        let params = params![
            flow.id.0,
            name,
            definition.description,
            flow.held,
            signed(definition.run_interval_s),
            json(&definition.configuration, self)?,
            flow.last_run_at.map(Wall::as_millis),
            status,
            flow.created_at.as_millis(),
            flow.updated_at.as_millis()
        ];
        self.execute("import a flow", INSERT_FLOW, params)?;
        Ok(Imported::New)
    }

    /// Stores a run under the id that it had. One that is here already, of this flow and this time, stays as it is.
    ///
    /// # Errors
    /// The write is refused.
    pub fn import_run(&mut self, run: &ImportedRun) -> Result<Imported> {
        if run.id.0 <= 0 {
            return Ok(Imported::Refused("an id is above 0".to_owned()));
        }
        let read = "SELECT data_flow_id = ?2 AND started_at = ?3 FROM data_flow_runs WHERE id = ?1";
        let look = params![run.id.0, run.flow.0, run.started_at.as_millis()];
        match self.query_optional("look for a run", read, look, |row| row.get::<_, Option<bool>>(0))? {
            Some(Some(true)) => return Ok(Imported::Known),
            Some(_) => return Ok(Imported::Refused("its id is that of another run here".to_owned())),
            None => {}
        }
        let operation = "import a run";
        let (started_at, ended_at) = (run.started_at.as_millis(), run.ended_at.as_millis());
        self.execute(
            operation,
            INSERT_RUN,
            params![run.id.0, run.flow.0, started_at, run.created_at.as_millis()],
        )?;
        self.execute(operation, START, params![run.id.0, started_at])?;
        let (kind, message) = run.error.as_ref().map(|(kind, message)| (kind.as_str(), message)).unzip();
        let status = if kind.is_none() { "success" } else { "failed" };
        let params =
            params![run.id.0, status, ended_at, kind, message, run.backtrace, run.updated_at.as_millis()];
        self.execute(operation, END_RUN, params)?;
        self.execute(operation, COUNT_END, [run.flow.0])?;
        let kind = run.error.as_ref().map(|(kind, _)| *kind);
        self.note_day(run.flow.0, kind, ended_at - started_at, run.ended_at)?;
        Ok(Imported::New)
    }

    /// What a flow that was imported tells of its runs, once those are here.
    ///
    /// # Errors
    /// The write is refused.
    pub fn conclude_import(&mut self, flow: FlowId) -> Result<()> {
        self.execute("conclude an import", CONCLUDE, [flow.0]).map(drop)
    }
}
