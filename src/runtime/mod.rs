//! Joins the pure parts and the store: events in, actions out. No sockets, no processes, no clock.
//!
//! The shell calls, once a round of its loop and with one [`Now`]:
//! 1. [`Runtime::handle`] for everything that happened;
//! 2. [`Runtime::finish`], which commits all that the round changed in one transaction, and only then applies it in
//!    memory and says what to do;
//! 3. and then does it;
//! 4. and [`Runtime::work`], which moves some records. [`Runtime::next_timeout`] says when to come back at the latest.
//!
//! Architecture invariant: record, commit, then act. `handle` changes no promise in memory; what it would change
//! stands in a `tick::Delta`, applied after the commit and dropped after a rollback. So an answer never promises
//! what a power cut can take back, and no child runs unrecorded.

mod again;
mod alerts;
mod answer;
mod closed;
mod cursors;
mod finish;
mod flow_files;
mod heartbeat;
mod histogram;
mod internal_heartbeat;
mod job;
mod known_ids;
mod leftovers;
mod lines;
mod moving;
mod operate;
mod orders;
mod rescue;
mod retention;
mod running;
mod shutdown;
mod spare;
mod start;
mod summary;
mod tally;
mod tick;
mod wait;
mod watchdog;
mod windows;

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::time::Duration;

pub use crate::pipeline::outside::{Exchange, Signature, Unanswered};
pub use alerts::{AlertCounts, AlertSettings, Recipient, Watchdog};
pub use answer::{Answer, Refusal};
pub use cursors::{PipelineFlow, pipeline_of};
pub use finish::Output;
pub use flow_files::{Followed, Reload};
pub use histogram::{Bounds, Histogram};
pub use internal_heartbeat::AGENT as INTERNAL_AGENT;
pub use job::Job;
pub use orders::{
    Carried, Figures, Objection, Order, Part, Question, Reply, Report, Told, carry_out, look_up,
};
pub use running::{Cleanup, Signal};
pub use summary::Summary;
pub use tally::{FlowTally, FlowsFound, InHand, Outcome, Tally};

use crate::auth::{ReplayRing, Verified};
use crate::flow::{ErrorKind, Exit, Kinds, Launch};
use crate::http::client::Answer as Answered;
use crate::limits;
use crate::pipeline::files::{Files, SystemFiles};
use crate::store::{FlowId, Horizon, Result, RunId, Store};
use crate::time::{Monotonic, Now, Wall, Zones};
use alerts::Alerts;
use answer::Idle;
use finish::Ended;
use known_ids::KnownIds;
use retention::Retention;
use running::Running;
use shutdown::Phase;
use spare::Spare;
use tick::Tick;
use wait::Waiter;
use watchdog::Watching;
use windows::ZonedWindow;

/// A caller, for as long as its connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// What the runtime keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Runs in progress at once.
    pub max_concurrent_runs: usize,
    /// Due flows that one heartbeat claims.
    pub max_claims_per_heartbeat: usize,
    /// From TERM to KILL, unless the flow has its own.
    pub kill_grace: Duration,
    /// How long runs may go on after [`Event::Shutdown`].
    pub shutdown_timeout: Duration,
    /// The longest that `Prefer: wait` holds an answer.
    pub wait_max: Duration,
    /// Callers that may wait at once.
    pub waiters_max: usize,
    /// How often the runtime beats by itself, if it does.
    pub internal_heartbeat: Option<Duration>,
    /// How much history is kept.
    pub history: HistorySettings,
}

#[cfg(test)]
impl Settings {
    /// For tests: little of everything.
    pub(crate) fn small() -> Self {
        let second = Duration::from_secs(1);
        Self {
            max_concurrent_runs: 1,
            max_claims_per_heartbeat: 10,
            kill_grace: second,
            shutdown_timeout: second,
            wait_max: second,
            waiters_max: 1,
            internal_heartbeat: None,
            history: HistorySettings::default(),
        }
    }
}

/// How much history is kept.
#[derive(Clone, Copy, Debug)]
pub struct HistorySettings {
    /// Ended runs of each flow; at least [`limits::RUNS_PER_FLOW_MIN`].
    pub runs_per_flow: usize,
    /// How long runs are kept at most.
    pub age: Duration,
    /// Bytes of the database's file and its log.
    pub database_bytes: u64,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            runs_per_flow: limits::RUNS_PER_FLOW_DEFAULT,
            age: limits::HISTORY_AGE_DEFAULT,
            database_bytes: limits::DATABASE_BYTES_DEFAULT as u64,
        }
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A verified heartbeat; `wait` is how long its sender wants to wait for the runs' ends.
    Heartbeat {
        /// Where the answer goes.
        connection: ConnectionId,
        /// Proof that the sender may start runs.
        verified: &'a Verified<'a>,
        /// `Prefer: wait=N`.
        wait: Option<Duration>,
    },
    /// A caller went away; that cancels nothing.
    Closed(ConnectionId),
    /// A process that an [`Action::Spawn`] asked for could not be started.
    SpawnFailed {
        /// Whose.
        job: Job,
        /// `Spawn`, or `Configuration` where trying again cannot help.
        kind: ErrorKind,
        /// Why.
        message: String,
    },
    /// A process ended.
    Exited {
        /// Whose.
        job: Job,
        /// How.
        exit: Exit,
        /// What is kept of its output.
        output: Output,
        /// Whether it left processes behind that are being ended: its flow waits for [`Event::LeftoversGone`].
        leftovers: bool,
    },
    /// A process ended, and how is not known: somebody else was told.
    Lost {
        /// Whose.
        job: Job,
        /// What is kept of its output.
        output: Output,
        /// As in [`Event::Exited`].
        leftovers: bool,
    },
    /// An [`Action::Exchange`] led to an answer, or to none.
    Answered {
        /// Whose.
        job: Job,
        /// What came of it.
        answered: std::result::Result<Box<Answered>, Unanswered>,
    },
    /// An operator orders a change.
    Order {
        /// Where the reply goes.
        connection: ConnectionId,
        /// The operator's user id, for the log.
        uid: u32,
        /// The change.
        order: Order,
        /// How long the operator waits for the end of the run that it is about.
        wait: Option<Duration>,
    },
    /// An operator asks something.
    Ask {
        /// Where the reply goes.
        connection: ConnectionId,
        /// What.
        question: Question,
    },
    /// Configuration and flow files were read anew, and are right.
    Reload(Box<Reload>),
    /// Nothing lives any more of what a process left behind, be it one of this daemon's or of one before.
    LeftoversGone(Job),
    /// Somebody wants the daemon to end; a second time: now.
    Shutdown,
}

/// Something to do, after the commit.
#[derive(Debug)]
pub enum Action {
    /// Answer a caller.
    Answer(ConnectionId, Answer),
    /// Start a process, and clean up after it.
    Spawn(Job, Box<Launch>, Cleanup),
    /// Make a request.
    Exchange(Job, Box<Exchange>),
    /// Signal a whole process group.
    Signal(Job, Signal),
    /// What an [`Event::Reload`] brought is in force, or could not be stored: then all is as before.
    Reloaded(std::result::Result<Followed, Refusal>),
    /// Everything that can be done is done: end.
    Stop,
}

/// The runtime: one database, its runs, and the callers that wait for them.
#[derive(Debug)]
pub struct Runtime {
    store: Store,
    settings: Settings,
    kinds: Kinds,
    zones: Zones,
    instance: String,
    database_id: String,
    tick: Tick,
    spare: Spare,
    phase: Phase,
    /// Runs whose process is started, or about to be, and whose end is not on record.
    running: BTreeMap<RunId, Running>,
    /// Ends that are not on record yet: a full disk keeps them here.
    ended: Vec<Ended>,
    /// Something waits to be written: after a write was refused, not before this.
    store_retry_at: Option<Monotonic>,
    /// Runs that wait for a slot, in order.
    pending: BTreeMap<RunId, FlowId>,
    /// Runs that are over and left processes behind; their flows wait until those are gone.
    locked: BTreeMap<RunId, FlowId>,
    /// Attempts after the first, until their backoff is over; they hold their flow's lock and take no slot.
    waiting: BTreeMap<RunId, (FlowId, Monotonic)>,
    waiters: Vec<Waiter>,
    /// Ids of heartbeats that started nothing.
    idle_ids: ReplayRing<Idle, RandomState>,
    /// Ids that may be on record, having started runs.
    known_ids: KnownIds,
    /// None: to be read again before the next claim.
    horizon: Option<Horizon>,
    /// Read with the horizon.
    windows: Vec<ZonedWindow>,
    /// When the runtime next beats by itself.
    beat_at: Option<Monotonic>,
    greatest_signed_at: Option<Wall>,
    agents: Vec<heartbeat::AgentSeen>,
    tally: Tally,
    /// By agent: heartbeats signed until then are known by their ids no more.
    floors: Vec<(String, Wall)>,
    retention: Retention,
    alerts: Alerts,
    watching: Watching,
    /// The database cannot be opened yet: `store` stands in for it.
    is_closed: bool,
    /// The way of pipelines to files.
    files: Box<dyn Files>,
    /// The run of a pipeline that had the last turn.
    last_moved: RunId,
}

impl Runtime {
    /// Takes over a database: runs that an earlier daemon left in progress end as `interrupted`.
    ///
    /// `zones` are those that flows may name. `hasher` keys the table of remembered ids, so that nobody can choose ids that
    /// collide. `was_never_started` says of a run that was in progress whether its process certainly never was.
    ///
    /// # Errors
    /// The database cannot be read or written.
    pub fn open(
        store: Store,
        settings: Settings,
        kinds: Kinds,
        zones: Zones,
        hasher: RandomState,
        was_never_started: &dyn Fn(RunId) -> bool,
        now: Now,
    ) -> Result<Self> {
        let instance = store.instance()?;
        let mut runtime = Self::over(store, instance, settings, kinds, zones, hasher, now)?;
        runtime.floors = runtime.store.replay_floors()?;
        runtime.store.limit_size(settings.history.database_bytes)?;
        runtime.end_interrupted_runs(was_never_started, now)?;
        runtime.read_pending(now)?;
        // The runs that an earlier daemon left pending wait for no event.
        runtime.store_retry_at = (!runtime.pending.is_empty()).then_some(now.monotonic);
        let Self { store, known_ids, idle_ids, .. } = &mut runtime;
        store.for_each_heartbeat_id(|agent, id| known_ids.insert(idle_ids.key(agent, id)))?;
        Ok(runtime)
    }

    fn over(
        store: Store,
        instance: String,
        settings: Settings,
        kinds: Kinds,
        zones: Zones,
        hasher: RandomState,
        now: Now,
    ) -> Result<Self> {
        assert!(settings.max_concurrent_runs >= 1 && settings.max_claims_per_heartbeat >= 1);
        assert!(settings.history.runs_per_flow >= limits::RUNS_PER_FLOW_MIN);
        Ok(Self {
            instance,
            database_id: store.id()?,
            greatest_signed_at: store.greatest_signed_at()?,
            store,
            settings,
            kinds,
            zones,
            tick: Tick::default(),
            spare: Spare::default(),
            phase: Phase::Serving,
            running: BTreeMap::new(),
            ended: Vec::new(),
            store_retry_at: None,
            pending: BTreeMap::new(),
            locked: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiters: Vec::new(),
            idle_ids: ReplayRing::new(limits::REPLAY_RING_IDS, hasher),
            known_ids: KnownIds::new(),
            horizon: None,
            windows: Vec::new(),
            beat_at: settings.internal_heartbeat.map(|_| now.monotonic),
            agents: Vec::new(),
            tally: Tally::default(),
            floors: Vec::new(),
            retention: Retention::new(now.monotonic),
            alerts: Alerts::default(),
            watching: Watching::default(),
            is_closed: false,
            files: Box::new(SystemFiles::default()),
            last_moved: RunId(0),
        })
    }

    /// With another way to files for pipelines than the system's.
    #[must_use]
    pub fn with_files(mut self, files: Box<dyn Files>) -> Self {
        self.files = files;
        self
    }

    fn process_ended(&mut self, job: Job, exit: Option<Exit>, output: Output, leftovers: bool, now: Now) {
        match job {
            Job::Run(run) => self.exited(run, exit, output, leftovers, now),
            Job::Alert | Job::Watchdog => self.alert_command_ended(exit, &output, leftovers),
        }
    }

    /// Takes in one thing that happened.
    pub fn handle(&mut self, event: Event<'_>, now: Now) {
        if self.is_closed {
            return self.refuse_while_closed(event, now);
        }
        match event {
            Event::Heartbeat { connection, verified, wait } => {
                self.heartbeat(connection, verified, wait, now)
            }
            Event::Closed(connection) => self.forget_waiter(connection),
            Event::SpawnFailed { job, kind, message } => match job {
                Job::Run(run) => self.spawn_failed(run, kind, message, now),
                Job::Alert | Job::Watchdog => self.alert_failed(message),
            },
            Event::Exited { job, exit, output, leftovers } => {
                self.process_ended(job, Some(exit), output, leftovers, now)
            }
            Event::Answered { job, answered } => match job {
                Job::Run(run) => self.answered(run, answered),
                Job::Alert => self.alert_answered(answered),
                Job::Watchdog => self.watchdog_answered(answered),
            },
            Event::Order { connection, uid, order, wait } => self.order(connection, uid, &order, wait, now),
            Event::Ask { connection, question } => self.ask(connection, question, now),
            Event::Reload(reload) => self.reload(*reload, now),
            Event::Lost { job, output, leftovers } => self.process_ended(job, None, output, leftovers, now),
            Event::LeftoversGone(job) => self.leftovers_gone(job),
            Event::Shutdown => self.shut_down(now),
        }
    }

    /// The latest time at which [`Runtime::finish`] wants to be called, whatever happens before.
    pub fn next_timeout(&self) -> Option<Monotonic> {
        if self.is_closed {
            return self.phase.deadline();
        }
        let runs = self.running.values().filter_map(Running::deadline);
        let waiters = self.waiters.iter().filter_map(|waiter| waiter.deadline);
        // What could not be written is tried again at its time; an end that came after the round, at once.
        let at_once = Monotonic::since_start(Duration::ZERO);
        let retry = match self.store_retry_at {
            None => (!self.ended.is_empty()).then_some(at_once),
            at => at,
        };
        let attempts = self.waiting.values().map(|(_, until)| *until);
        let retention = self.store_retry_at.is_none().then(|| self.retention.next_timeout());
        let own = [self.next_beat_at(), self.next_alert_at(), self.next_watchdog_at()];
        let others = [retention, retry, self.phase.deadline(), self.next_step_at()].into_iter().chain(own);
        runs.chain(waiters).chain(attempts).chain(others.flatten()).min()
    }

    /// What children carry as `HEARTBEAT_INSTANCE`: this database and no copy of it.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The greatest signed time of all heartbeats that started runs.
    pub fn greatest_signed_at(&self) -> Option<Wall> {
        self.greatest_signed_at
    }

    /// The time zones that flow files may name.
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The kinds that flow files may use.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The database, to read.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether a run could be recorded now; if not, why.
    ///
    /// # Errors
    /// What a heartbeat would be refused with.
    pub fn readiness(&self) -> std::result::Result<(), Refusal> {
        if self.phase.is_stopping() {
            return Err(Refusal::ShuttingDown);
        }
        match &self.tick.last_failure {
            Some(error) => Err(Refusal::of(error)),
            None => Ok(()),
        }
    }
}
