//! What operators may order and ask, and the rules for it. They need nothing but the store: the command line keeps to the
//! same ones where no daemon runs.

use serde::Serialize;
use serde_json::Value as Json;
use std::path::PathBuf;

use super::{AlertCounts, cursors};
use crate::flow::{Definition, End, ErrorKind, FlowName, Origin, Status};
use crate::store::{
    AlertFigures, Applied, Flow, FlowCounts, FlowId, HeartbeatFilter, LastHeartbeat, ListedHeartbeat,
    OpenCounts, Result, Run, RunFilter, RunId, Store,
};
use crate::time::{Wall, Zones};

/// A change.
#[derive(Clone, Debug)]
pub enum Order {
    /// Store these definitions with origin `database`: all of them, or none.
    Add(Vec<Definition>),
    /// `disable` and `enable`.
    Hold {
        /// The flow's name.
        flow: String,
        /// Whether it is held from now on.
        held: bool,
    },
    /// Delete a flow with its runs.
    Remove {
        /// The flow's name.
        flow: String,
        /// Its file, if that is still in the flows folder.
        file: Option<PathBuf>,
    },
    /// Run a flow now, due or not, held or not.
    Run {
        /// The flow's name.
        flow: String,
        /// An absolute path: dead letters to take in place of its source.
        from: Option<String>,
    },
    /// End a run.
    Cancel(RunId),
    /// Set where a pipeline's source got to; null: nothing was read yet.
    SetCursor {
        /// The flow's name.
        flow: String,
        /// The cursor.
        cursor: Json,
    },
}

/// What can be asked without changing anything.
#[derive(Clone, Debug)]
pub enum Question {
    /// The flows, newest first.
    Flows {
        /// At most so many.
        limit: usize,
        /// Only those older than the flow of this name.
        before: Option<String>,
    },
    /// One flow.
    Flow(String),
    /// Where a pipeline's source got to.
    Cursor(String),
    /// Runs, newest first.
    Runs(RunFilter),
    /// One run, with its output.
    Run(RunId),
    /// A run's output, as it comes.
    Output(RunId),
    /// Heartbeats that started runs, newest first.
    Heartbeats(HeartbeatFilter),
    /// The state of the whole.
    Status,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct Part<T> {
    /// What is in it.
    pub items: Vec<T>,
    /// Whether there is more behind it.
    pub goes_on: bool,
}

impl<T> Part<T> {
    /// The first `limit` of what was looked up with room for one more, which tells whether there is more.
    fn of(mut items: Vec<T>, limit: usize) -> Self {
        let goes_on = items.len() > limit;
        items.truncate(limit);
        Self { items, goes_on }
    }
}

/// What an operator is told.
#[derive(Clone, Debug)]
pub enum Reply {
    /// What became of each definition.
    Added(Vec<(FlowName, Applied)>),
    /// See [`Question::Flow`].
    Flow(Box<Flow>),
    /// See [`Question::Flows`].
    Flows(Part<Flow>),
    /// The flow is gone.
    Removed,
    /// See [`Question::Cursor`]: the flow's name, and the cursor.
    Cursor(String, Json),
    /// See [`Question::Run`].
    Run(Box<Run>),
    /// See [`Question::Runs`].
    Runs(Part<Run>),
    /// See [`Question::Heartbeats`].
    Heartbeats(Part<ListedHeartbeat>),
    /// See [`Question::Status`].
    Status(Box<Report>),
    /// The run has ended; this is what is kept of its output.
    Output(String),
    /// What the run writes follows, until [`Reply::Followed`].
    Following(RunId),
    /// The run that was followed has ended.
    Followed(RunId),
    /// It cannot be done.
    Objection(Objection),
}

/// Why something is not done, though nothing failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// There is no flow of this name.
    NoFlow(String),
    /// There is no run of this id.
    NoRun(RunId),
    /// The state of things forbids it; a sentence that says which.
    Conflict(String),
    /// The same, and what to do about it.
    ConflictWithHelp(String, String),
    /// What was given is not right; a sentence that says what would be.
    Invalid(String),
}

/// The state of the whole.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of the program that answers.
    pub version: &'static str,
    /// `serving`, `ending`, or `stopped` where no daemon runs.
    pub phase: &'static str,
    /// Seconds since the daemon's start.
    pub uptime_s: Option<u64>,
    /// The wall clock.
    pub time: Wall,
    /// Whether that clock has been set since the box was built.
    pub clock_is_set: bool,
    /// Why nothing can be recorded just now.
    pub degraded: Option<String>,
    /// What became of alerts since the daemon's start.
    pub alert_counts: Option<AlertCounts>,
    /// The database's path.
    pub database: String,
    /// None: the database cannot be read.
    #[serde(flatten)]
    pub figures: Option<Figures>,
}

/// What the database tells.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// On the disk, its log included.
    pub database_bytes: u64,
    /// Flows.
    pub flows: FlowCounts,
    /// Open runs.
    pub runs: OpenCounts,
    /// When each agent was last heard.
    pub agents: Vec<LastHeartbeat>,
    /// What was told and is not over, and what is yet to be told.
    pub alerts: AlertFigures,
}

/// What an order has done to the record, and what is still to be done.
#[derive(Clone, Debug)]
pub enum Carried {
    /// Definitions are stored; these runs were pending and are cancelled, as their flows are disabled now.
    Added(Vec<(FlowName, Applied)>, Vec<RunId>),
    /// A flow is held or not; this run was pending and is cancelled.
    Held(Option<RunId>),
    /// A flow is deleted.
    Removed,
    /// A run is recorded as pending.
    Recorded(RunId, FlowId),
    /// A run was pending and is cancelled.
    Cancelled(RunId),
    /// The run is in progress: its process is to be ended.
    InProgress(RunId),
    /// A cursor is set.
    CursorSet,
}

/// What an operator is told of an order, once it is committed.
#[derive(Clone, Debug)]
pub enum Told {
    /// This.
    Reply(Reply),
    /// What is on record then.
    LookUp(Question),
}

impl Told {
    /// Of what this order has done.
    pub fn of(order: &Order, carried: Carried) -> Self {
        match (carried, order) {
            (Carried::Added(added, _), _) => Self::Reply(Reply::Added(added)),
            (Carried::Recorded(run, _) | Carried::Cancelled(run) | Carried::InProgress(run), _) => {
                Self::LookUp(Question::Run(run))
            }
            (Carried::Held(_), Order::Hold { flow, .. }) => Self::LookUp(Question::Flow(flow.clone())),
            (Carried::CursorSet, Order::SetCursor { flow, .. }) => {
                Self::LookUp(Question::Cursor(flow.clone()))
            }
            (Carried::Removed | Carried::Held(_) | Carried::CursorSet, _) => Self::Reply(Reply::Removed),
        }
    }
}

/// Carries out an order, as far as the record is concerned; called within a transaction.
///
/// # Errors
/// The database cannot be read or written. An objection has changed nothing.
pub fn carry_out(
    store: &mut Store,
    order: &Order,
    zones: &Zones,
    now: Wall,
) -> Result<Result<Carried, Objection>> {
    match order {
        Order::Add(definitions) => add(store, definitions, zones, now),
        Order::Hold { flow, held } => with_flow(store, flow, |store, flow| {
            if flow.held != *held {
                store.hold_flow(flow.id, *held, now)?;
            }
            let ended = if *held { cancel_pending(store, flow.id, now)? } else { None };
            Ok(Ok(Carried::Held(ended)))
        }),
        Order::Remove { flow, file } => with_flow(store, flow, |store, flow| {
            if let Some(file) = file.as_ref().filter(|_| flow.origin == Origin::File) {
                let why = format!("its file is still in the flows folder: {}", file.display());
                let help = format!("delete that file, then `heartbeatd flow remove {}`", flow.name);
                return Ok(Err(Objection::ConflictWithHelp(why, help)));
            }
            if let Some(objection) = open_run(store, flow.id)? {
                return Ok(Err(objection));
            }
            store.delete_flow(flow.id)?;
            Ok(Ok(Carried::Removed))
        }),
        Order::Run { flow, from } => with_flow(store, flow, |store, flow| {
            if let Some(objection) = open_run(store, flow.id)? {
                return Ok(Err(objection));
            }
            if let Some(objection) = from.as_ref().and_then(|from| cursors::object_to_feed(flow, from)) {
                return Ok(Err(objection));
            }
            let run = store.record_manual_run(flow.id, from.as_deref(), now)?;
            Ok(Ok(Carried::Recorded(run, flow.id)))
        }),
        Order::Cancel(run) => cancel(store, *run, now),
        Order::SetCursor { flow, cursor } => {
            with_flow(store, flow, |store, flow| match open_run(store, flow.id)? {
                Some(objection) => Ok(Err(objection)),
                None => cursors::set(store, flow, cursor, now),
            })
        }
    }
}

fn with_flow(
    store: &mut Store,
    name: &str,
    change: impl FnOnce(&mut Store, &Flow) -> Result<Result<Carried, Objection>>,
) -> Result<Result<Carried, Objection>> {
    match store.flow(name)? {
        Some(flow) => change(store, &flow),
        None => Ok(Err(Objection::NoFlow(name.to_owned()))),
    }
}

fn add(
    store: &mut Store,
    definitions: &[Definition],
    zones: &Zones,
    now: Wall,
) -> Result<Result<Carried, Objection>> {
    for definition in definitions {
        let name = definition.name.as_str();
        if store.flow(name)?.is_some_and(|flow| flow.origin == Origin::File) {
            let why = format!("the flow `{name}` comes from a file of the flows folder");
            return Ok(Err(Objection::Conflict(why)));
        }
    }
    let mut added = Vec::with_capacity(definitions.len());
    let mut ended = Vec::new();
    for definition in definitions {
        let applied = store.apply_definition(definition, Origin::Database, zones, now)?;
        if let Applied::Disabled(flow) = applied {
            ended.extend(cancel_pending(store, flow, now)?);
        }
        added.push((definition.name.clone(), applied));
    }
    Ok(Ok(Carried::Added(added, ended)))
}

fn open_run(store: &Store, flow: FlowId) -> Result<Option<Objection>> {
    let open = store.open_run_of(flow)?;
    Ok(open.map(|(run, status)| {
        Objection::Conflict(format!("run {} of it is open: {}", run.0, status.as_str()))
    }))
}

/// Ends the pending run of a flow that is disabled now.
pub(super) fn cancel_pending(store: &mut Store, flow: FlowId, now: Wall) -> Result<Option<RunId>> {
    let pending = store.pending_run_of(flow)?;
    if let Some(run) = pending {
        let end = End::without_process(ErrorKind::Cancelled, "the flow was disabled before the run started");
        store.end_run(run, Status::Pending, &end, now)?;
    }
    Ok(pending)
}

fn cancel(store: &mut Store, run: RunId, now: Wall) -> Result<Result<Carried, Objection>> {
    Ok(match store.run(run)?.map(|run| run.status) {
        None => Err(Objection::NoRun(run)),
        Some(Status::Pending) => {
            let end = End::without_process(ErrorKind::Cancelled, "cancelled before it started");
            store.end_run(run, Status::Pending, &end, now)?;
            Ok(Carried::Cancelled(run))
        }
        Some(Status::InProgress) => Ok(Carried::InProgress(run)),
        Some(ended) => {
            Err(Objection::Conflict(format!("run {} has ended already: {}", run.0, ended.as_str())))
        }
    })
}

/// Answers a question from the record. A daemon adds to [`Reply::Status`] what it alone knows.
///
/// # Errors
/// The database cannot be read.
pub fn look_up(store: &Store, question: &Question, now: Wall) -> Result<Reply> {
    Ok(match question {
        Question::Flows { limit, before } => {
            let before = match before {
                None => None,
                Some(name) => match store.flow(name)? {
                    Some(flow) => Some(flow.id),
                    None => return Ok(Reply::Objection(Objection::NoFlow(name.clone()))),
                },
            };
            Reply::Flows(Part::of(store.newest_flows(limit + 1, before)?, *limit))
        }
        Question::Cursor(name) => match store.flow(name)? {
            Some(flow) => match cursors::show(store, &flow)? {
                Ok(cursor) => Reply::Cursor(flow.name, cursor),
                Err(objection) => Reply::Objection(objection),
            },
            None => Reply::Objection(Objection::NoFlow(name.clone())),
        },
        Question::Flow(name) => match store.flow(name)? {
            Some(flow) => Reply::Flow(Box::new(flow)),
            None => Reply::Objection(Objection::NoFlow(name.clone())),
        },
        Question::Runs(filter) => match &filter.flow {
            Some(name) if store.flow(name)?.is_none() => Reply::Objection(Objection::NoFlow(name.clone())),
            _ => {
                let one_more = RunFilter { limit: filter.limit + 1, ..filter.clone() };
                Reply::Runs(Part::of(store.runs(&one_more)?, filter.limit))
            }
        },
        Question::Heartbeats(filter) => {
            let one_more = HeartbeatFilter { limit: filter.limit + 1, ..filter.clone() };
            Reply::Heartbeats(Part::of(store.heartbeats(&one_more)?, filter.limit))
        }
        Question::Run(id) => match store.run(*id)? {
            Some(run) => Reply::Run(Box::new(run)),
            None => Reply::Objection(Objection::NoRun(*id)),
        },
        Question::Output(id) => match store.run(*id)? {
            Some(run) if run.status.is_open() => Reply::Following(*id),
            Some(run) => Reply::Output(run.output.unwrap_or_default()),
            None => Reply::Objection(Objection::NoRun(*id)),
        },
        Question::Status => Reply::Status(Box::new(report(store, now))),
    })
}

/// The state of the whole without a daemon.
pub(super) fn report(store: &Store, now: Wall) -> Report {
    let figures = || -> Result<Figures> {
        let size = store.size()?;
        Ok(Figures {
            database_bytes: size.used_bytes + size.free_bytes + size.log_bytes,
            flows: store.count_flows(now)?,
            runs: store.count_open_runs()?,
            agents: store.last_heartbeats()?,
            alerts: store.alert_figures()?,
        })
    };
    let (figures, degraded) = match figures() {
        Ok(figures) => (Some(figures), None),
        Err(error) => (None, Some(error.to_string())),
    };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        phase: "stopped",
        uptime_s: None,
        time: now,
        clock_is_set: now.is_set(),
        degraded,
        alert_counts: None,
        database: store.path().display().to_string(),
        figures,
    }
}
