//! The world around one daemon: time, callers, children, and what goes wrong. The daemon in it is the real one, but for
//! the shell, whose part is played here.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use heartbeat_runtime::auth::{Agent, Allowlist, Keyring, Scope, Secret, StandardWebhooks};
use heartbeat_runtime::flow::{Definition, ErrorKind};
use heartbeat_runtime::gate::Gate;
use heartbeat_runtime::http;
use heartbeat_runtime::pipeline;
use heartbeat_runtime::runtime::{
    Action, Answer, Cleanup, ConnectionId, Event, HistorySettings, Job, Order, Output, Refusal, Runtime,
    Settings, Signal,
};
use heartbeat_runtime::store::{Durability, RunId, Store};
use heartbeat_runtime::time::{Monotonic, Now, Wall, Zones};

use super::alerts::{self, Receiver};
use super::caller::{Agents, Connection, NARROW, NARROW_FLOWS, NARROW_SECRET, SECRET};
use super::disk::Disk;
use super::flows::{BACKOFF_CAP_MS, WINDOW_OPENS_S, definition};
use super::invariants::Book;
use super::operator::Operators;
use super::pipelines::{self, Line};
use super::process::{KILL_TAKES_AT_MOST, Process};
use super::random::Random;

/// 2026-01-01T00:00:00Z, in milliseconds since 1970.
const START_MS: i64 = 1_767_225_600_000;
pub(crate) const TOLERANCE_S: u64 = 300;
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// In the calm a heartbeat comes this often, ...
pub(crate) const CALM_HEARTBEAT_MS: i64 = 400;
/// ... and a run takes no longer than this.
pub(crate) const CALM_RUN_MS_MAX: i64 = 100;
/// A loop that wakes no sooner than this with nobody around is at rest: it looks after its history.
const HOUSEKEEPING_AT_LEAST: Duration = Duration::from_secs(1_800);
/// Rounds at one and the same moment in which nothing happens, before it counts as spinning.
const IDLE_ROUNDS_MAX: u32 = 3;

/// One daemon and all around it.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) trace: Vec<String>,
    folder: PathBuf,
    definitions: Vec<Definition>,
    pub(crate) settings: Settings,
    pub(crate) elapsed: Duration,
    pub(crate) clock_offset_ms: i64,
    pub(crate) runtime: Option<Runtime>,
    pub(crate) gate: Gate,
    pub(crate) agents: Agents,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) connections_made: u64,
    pub(crate) operators: Operators,
    pub(crate) disk: Disk,
    pub(crate) receiver: Receiver,
    pub(crate) lines: Vec<Line>,
    /// What of disk and database was judged last.
    pub(crate) pipelines_seen: (u64, i64),
    pub(crate) processes: BTreeMap<i64, Process>,
    /// Runs whose process was started, or might have been.
    started: BTreeSet<i64>,
    /// Ends that the runtime was told of and that are not on record yet, with the time when it was told.
    pub(crate) untold_ends: BTreeMap<i64, Monotonic>,
    pub(crate) book: Option<Book>,
    /// Another program that holds the database's write lock.
    pub(crate) holder: Option<rusqlite::Connection>,
    pub(crate) stopping: bool,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    /// When callers do something next; none: never again.
    pub(crate) next_arrival: Option<Duration>,
    /// How many more steps of the tick the daemon lives, if it is to be killed.
    pub(crate) steps_to_live: Option<u32>,
    idle_rounds: u32,
    /// How long the last step of a pipeline holds the loop up.
    work_takes: Duration,
    /// Callers that left in this round: their answers may be made already.
    pub(crate) left_in_round: BTreeSet<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, folder: PathBuf) -> Self {
        let mut random = Random::new(seed);
        let settings = Settings {
            max_concurrent_runs: 1 + random.index(4),
            max_claims_per_heartbeat: 1 + random.index(5),
            kill_grace: Duration::from_millis(random.pick(&[0, 100, 500, 1_000])),
            shutdown_timeout: Duration::from_secs(2),
            wait_max: Duration::from_secs(5),
            waiters_max: 2,
            internal_heartbeat: random
                .pick(&[None, None, None, Some(700), Some(3_000)])
                .map(Duration::from_millis),
            history: HistorySettings {
                runs_per_flow: random.pick(&[200, 200, 200, 4, 9]),
                age: Duration::from_secs(90 * 86_400),
                database_bytes: 64 << 20,
            },
        };
        let flows = 1 + random.index(5);
        let definitions: Vec<Definition> = (0..flows).map(|number| definition(number, &mut random)).collect();
        let lines = pipelines::lines(&definitions, &mut random);
        let disk = Disk::new(Random::new(random.next()));
        let _left_by_a_test_that_failed = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the database");
        Self {
            seed,
            random,
            trace: Vec::new(),
            folder,
            definitions,
            settings,
            elapsed: Duration::ZERO,
            clock_offset_ms: 0,
            runtime: None,
            gate: gate(),
            agents: Agents::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            operators: Operators::default(),
            disk,
            receiver: Receiver::default(),
            lines,
            pipelines_seen: (0, 0),
            processes: BTreeMap::new(),
            started: BTreeSet::new(),
            untold_ends: BTreeMap::new(),
            book: None,
            holder: None,
            stopping: false,
            calm: false,
            next_arrival: Some(Duration::ZERO),
            steps_to_live: None,
            idle_rounds: 0,
            work_takes: Duration::ZERO,
            left_in_round: BTreeSet::new(),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("heartbeat.db")
    }

    /// The time that the agents go by; the box's wall clock may be off.
    pub(crate) fn true_ms(&self) -> i64 {
        START_MS + i64::try_from(self.elapsed.as_millis()).expect("a short simulation")
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            wall: Wall::from_millis(self.true_ms() + self.clock_offset_ms),
            monotonic: Monotonic::since_start(self.elapsed),
        }
    }

    pub(crate) fn note(&mut self, line: String) {
        self.trace.push(format!("{:>9} ms  {line}", self.elapsed.as_millis()));
    }

    /// What the trace comes to, to compare two runs of a seed (FNV-1a).
    pub(crate) fn trace_hash(&self) -> u64 {
        let bytes = self.trace.iter().flat_map(|line| line.bytes());
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    pub(crate) fn book(&mut self) -> &mut Book {
        self.book.as_mut().expect("the daemon was started once")
    }

    /// Two intervals of the slowest flow and the longest time-out, with the grace after it: then all must be current.
    pub(crate) fn time_to_recover(&self) -> Duration {
        let interval_s = self.definitions.iter().map(|flow| flow.run_interval_s).max().unwrap_or(0);
        let timeout = self.definitions.iter().map(|flow| flow.configuration.timeout()).max();
        let retry = Duration::from_millis(BACKOFF_CAP_MS);
        // The run's own grace, and that of what it leaves behind.
        let graces = 2 * self.settings.kill_grace;
        Duration::from_secs(2 * interval_s) + timeout.unwrap_or_default() + graces + retry
    }

    /// How long after its time a flow may be claimed in the calm: those that are due longer go first, as many a heartbeat
    /// as one may claim, and its own last run may still wait behind those of all others.
    pub(crate) fn lateness_ms_max(&self) -> i64 {
        let flows = self.definitions.len();
        let heartbeats = 1 + flows.div_ceil(self.settings.max_claims_per_heartbeat);
        let count = |number: usize| i64::try_from(number).expect("a handful");
        count(heartbeats) * CALM_HEARTBEAT_MS + count(flows) * CALM_RUN_MS_MAX
    }

    pub(crate) fn flows(&self) -> &[Definition] {
        &self.definitions
    }

    /// Every flow runs again when it is due.
    pub(crate) fn lift_holds(&mut self) {
        let names: Vec<String> = self.definitions.iter().map(|flow| flow.name.to_string()).collect();
        for flow in names {
            self.order(Order::Hold { flow, held: false });
        }
    }

    /// How long it is until every flow's window is open: they are shut for the first minutes of a day.
    pub(crate) fn time_to_open(&self) -> Duration {
        let into_the_day = self.elapsed.as_secs() % 86_400;
        Duration::from_secs(u64::from(WINDOW_OPENS_S).saturating_sub(into_the_day))
    }

    /// The daemon starts on the file that is there.
    pub(crate) fn start(&mut self) {
        let now = self.now();
        self.holder = None;
        self.stopping = false;
        self.idle_rounds = 0;
        self.processes.retain(|_, process| process.lives(now.monotonic));
        // No power is cut here, so a sync would prove nothing.
        let store =
            Store::open(&self.database(), Durability::Normal, 1, now.wall).expect("a database of ours");
        let was_never_started = |run: RunId| !self.started.contains(&run.0);
        let (kinds, hasher) = (pipeline::kinds(), RandomState::new());
        let runtime =
            Runtime::open(store, self.settings, kinds, Zones::utc_only(), hasher, &was_never_started, now);
        let mut runtime = runtime.expect("nobody holds the database").with_files(self.disk.files());
        runtime = runtime.with_alerts(alerts::settings(), now).expect("readable");
        runtime.follow_flow_files(&self.definitions, &[], now).expect("nobody holds the database");
        let survivors: Vec<i64> = self.processes.keys().copied().collect();
        self.note(format!("START, survivors {survivors:?}"));
        runtime.await_leftovers(survivors.into_iter().map(RunId).map(Job::Run)).expect("readable");
        for process in self.processes.values_mut() {
            process.orphan = true;
            process.signal(Signal::Terminate, now.monotonic, &mut self.random);
            process.kill_at = Some(now.monotonic + self.settings.kill_grace);
        }
        self.runtime = Some(runtime);
        self.gate = gate();
        if self.book.is_none() {
            self.book = Some(Book::open(&self.database(), &self.definitions, self.settings));
        }
        self.book().look_at_everything();
        self.judge_holds();
        self.judge_pipelines();
    }

    /// The daemon is gone at once: what was not committed never was. The file's log stays, as another connection is open.
    pub(crate) fn die(&mut self, how: &str) {
        self.note(how.to_owned());
        self.runtime = None;
        self.holder = None;
        self.steps_to_live = None;
        self.connections.clear();
        self.operators_are_cut_off();
        self.untold_ends.clear();
        self.receiver.under_way = None;
        self.disk.kill_after(None);
        self.book().life_is_over();
        self.book().look();
        if !self.calm && self.random.one_in(3) {
            self.lose_power();
        }
        let down = self.random.pick(&[0, 20, 1_000, 10_000, 100_000]);
        self.elapsed += self.random.millis(down + 1);
    }

    /// A step of the tick is done; is it the daemon's last?
    pub(crate) fn outlives_step(&mut self) -> bool {
        match self.steps_to_live.as_mut() {
            Some(0) => self.die("KILLED"),
            Some(left) => *left -= 1,
            None => {}
        }
        self.runtime.is_some()
    }

    /// Tells the runtime; false if that was its last.
    pub(crate) fn tell(&mut self, event: Event<'_>) -> bool {
        let now = self.now();
        let Some(runtime) = self.runtime.as_mut() else { return false };
        runtime.handle(event, now);
        self.outlives_step()
    }

    /// Sleeps as the shell does: until something happens or the runtime wants its turn.
    fn sleep(&mut self) -> bool {
        let asleep_at = self.now().monotonic;
        let timeout = self.runtime.as_ref().and_then(Runtime::next_timeout);
        let ends = self.processes.values().flat_map(|process| [process.ends_at, process.kill_at]).flatten();
        let arrival = self.next_arrival.map(Monotonic::since_start);
        let told = self.receiver.under_way.map(|(at, _)| at);
        let happens_at = ends.chain(arrival).chain(told).min();
        let Some(wake_at) = happens_at.into_iter().chain(timeout).min() else { return false };
        if happens_at.is_none() && wake_at.since(asleep_at) > HOUSEKEEPING_AT_LEAST {
            return false;
        }
        let slept = wake_at.since(asleep_at);
        self.judge_sleep(asleep_at + slept, slept);
        self.elapsed += slept + std::mem::take(&mut self.work_takes);
        if !self.calm && self.random.one_in(30) {
            // The process was stopped, or the box was busy.
            let bound = self.random.pick(&[10, 3_000, 60_000]);
            let late = self.random.millis(bound);
            self.note(format!("woken {} ms late", late.as_millis()));
            self.elapsed += late;
        }
        true
    }

    fn free_slots(&mut self) -> usize {
        let max = self.settings.max_concurrent_runs;
        max.saturating_sub(self.book().runs_in_progress())
    }

    /// Whether the runtime asked to be woken in time, and not for nothing.
    fn judge_sleep(&mut self, wake_at: Monotonic, slept: Duration) {
        self.idle_rounds = if slept.is_zero() { self.idle_rounds + 1 } else { 0 };
        assert!(self.idle_rounds < 50 + IDLE_ROUNDS_MAX, "the loop spins");
        if self.holder.is_some() {
            return;
        }
        let waits_for_nothing =
            self.free_slots() > 0 && !self.processes.values().any(|process| process.orphan);
        if let Some(run) = self.book().pending_run().filter(|_| waits_for_nothing && !self.stopping) {
            assert!(
                slept < Duration::from_secs(2),
                "run {run} is pending, slots are free, and nothing wakes the loop"
            );
        }
        for (run, told_at) in &self.untold_ends {
            let late = wake_at.since(*told_at) > Duration::from_secs(2);
            assert!(!late, "the end of run {run} is known since {told_at:?} and nothing wakes the loop");
        }
        for (run, process) in
            self.processes.iter().filter(|(_, process)| !process.orphan && !process.signalled)
        {
            let flow = self.definitions.iter().find(|flow| flow.name.as_str() == process.flow);
            let timeout = flow.map(|flow| flow.configuration.timeout()).unwrap_or_default();
            let late = wake_at > process.started_at + timeout;
            assert!(!late, "run {run} is past its time-out and nothing wakes the loop");
        }
    }

    /// One round of the loop; false when nothing will ever happen again.
    pub(crate) fn round(&mut self) -> bool {
        self.write_sources();
        if self.runtime.is_none() {
            self.start();
            return true;
        }
        if !self.sleep() {
            return false;
        }
        self.left_in_round.clear();
        let happened = self.happen();
        self.idle_rounds = if happened { 0 } else { self.idle_rounds };
        let now = self.now();
        let mut actions = Vec::new();
        let Some(runtime) = self.runtime.as_mut() else { return true };
        runtime.finish(now, &mut actions).expect("no fault here ends the process");
        self.idle_rounds = if actions.is_empty() { self.idle_rounds } else { 0 };
        self.book().look();
        self.note_recorded_ends();
        if !self.outlives_step() {
            return true;
        }
        for action in actions {
            self.act(action, now);
            if self.runtime.is_none() || !self.outlives_step() {
                return true;
            }
        }
        self.work(now);
        self.judge_patience(now);
        true
    }

    /// Work takes its time; in the calm none.
    pub(crate) fn rest_from_work(&mut self) {
        self.idle_rounds = 0;
        if !self.calm {
            self.work_takes = self.random.millis(20);
        }
    }

    fn note_recorded_ends(&mut self) {
        let runs = &self.book.as_ref().expect("the daemon was started").runs;
        // One that is gone was on record, and is old by the clock that there is.
        let on_record = |run: &i64| runs.get(run).is_none_or(|run| !run.status.is_open());
        let ended: Vec<i64> = self.untold_ends.keys().copied().filter(on_record).collect();
        for run in ended {
            let how = runs.get(&run).map(|run| (run.status.as_str(), run.error_kind.clone()));
            self.untold_ends.remove(&run);
            self.trace.push(format!("              run {run} is on record: {how:?}"));
        }
    }

    fn act(&mut self, action: Action, now: Now) {
        match action {
            Action::Exchange(job, exchange) => {
                assert_eq!(job, Job::Alert, "no pipeline here speaks HTTP");
                self.send_alert(&exchange);
            }
            Action::Answer(connection, answer) => self.answered(connection, answer, now),
            Action::Reloaded(outcome) => self.reloaded(outcome.is_ok()),
            Action::Spawn(job, launch, cleanup) => {
                let RunId(run) = job.run().expect("nothing is told here");
                let named = launch.environment.iter().find(|(name, _)| name == "HEARTBEAT_FLOW");
                let flow = named.map(|(_, value)| value.clone()).expect("a child knows its flow");
                self.spawn(run, &flow, cleanup, now);
            }
            Action::Signal(job, signal) => {
                let RunId(run) = job.run().expect("nothing is told here");
                self.note(format!("{signal:?} run {run}"));
                if let Some(process) = self.processes.get_mut(&run).filter(|process| !process.orphan) {
                    process.signal(signal, now.monotonic, &mut self.random);
                }
            }
            Action::Stop => {
                let soon = now.monotonic + KILL_TAKES_AT_MOST;
                let left = self.processes.iter().find(|(_, process)| !process.orphan && process.lives(soon));
                assert!(left.is_none(), "the daemon ends and leaves a process: {left:?}");
                // What runs left behind, the shell kills at the very end.
                for process in self.processes.values_mut() {
                    process.signal(Signal::Kill, now.monotonic, &mut self.random);
                }
                self.die("STOPPED");
            }
        }
    }

    fn spawn(&mut self, run: i64, flow: &str, cleanup: Cleanup, now: Now) {
        let status = self.book().runs.get(&run).map(|run| run.status.as_str());
        assert_eq!(status, Some("in_progress"), "run {run} is on record before it is started");
        let other = self.processes.iter().find(|(_, other)| other.flow == flow && other.lives(now.monotonic));
        assert!(other.is_none(), "run {run} is a second copy of {flow}: {other:?}");
        assert!(!cleanup.leave && cleanup.kill_grace == self.settings.kill_grace, "{cleanup:?}");
        assert!(self.started.insert(run), "run {run} is started once");
        match Process::start(flow, self.calm, now.monotonic, &mut self.random) {
            Ok(process) => {
                self.note(format!("spawn run {run} of {flow}, ends at {:?}", process.ends_at));
                let before = self.processes.insert(run, process);
                assert!(before.is_none(), "run {run} is started once");
            }
            Err(message) => {
                self.note(format!("spawn run {run} of {flow} fails"));
                self.untold_ends.insert(run, now.monotonic);
                self.tell(Event::SpawnFailed { job: Job::Run(RunId(run)), kind: ErrorKind::Spawn, message });
            }
        }
    }

    /// A process ended: the daemon takes it in, or is told that what a run left behind is gone.
    pub(crate) fn reap(&mut self, run: i64) {
        let Some(process) = self.processes.remove(&run) else { return };
        self.note(format!(
            "run {run} ends: {:?}{}",
            process.exit,
            if process.orphan { ", orphaned" } else { "" }
        ));
        if process.orphan {
            self.tell(Event::LeftoversGone(Job::Run(RunId(run))));
        } else {
            self.untold_ends.insert(run, self.now().monotonic);
            let output = Output::default();
            if process.leaves_one_behind {
                self.note(format!("run {run} leaves a process behind"));
                let now = self.now().monotonic;
                let mut left = process.left_behind(&mut self.random);
                left.signal(Signal::Terminate, now, &mut self.random);
                left.kill_at = Some(now + self.settings.kill_grace);
                self.processes.insert(run, left);
            }
            let leftovers = process.leaves_one_behind;
            self.tell(Event::Exited { job: Job::Run(RunId(run)), exit: process.exit, output, leftovers });
        }
    }

    fn answered(&mut self, ConnectionId(id): ConnectionId, answer: Answer, now: Now) {
        if self.operator_answered(id, &answer, now) {
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            assert!(self.left_in_round.contains(&id), "an answer is kept for {id}, which left long ago");
            return;
        };
        let asked_at = connection.asked_at.take().expect("an answer to a question");
        let letter = std::rc::Rc::clone(&connection.letter);
        match answer {
            Answer::Heartbeat { body, waited_s } => {
                assert!(letter.genuine, "a forged request is answered");
                self.note(format!("200 {id} {}", String::from_utf8_lossy(&body)));
                let runs = self.book().judge_answer(&letter.id, &body);
                let waits = waited_s.is_some_and(|s| now.monotonic < asked_at + Duration::from_secs(s));
                let stopping = self.stopping;
                let runs = runs.iter().filter_map(|run| self.book.as_ref().expect("open").runs.get(run));
                let open = runs.filter(|run| run.status.is_open()).count();
                assert!(open == 0 || !waits || stopping, "a caller that waits is told before the end");
            }
            Answer::Operator { reply, .. } => panic!("a caller is told {reply:?}"),
            Answer::Refused(refusal) => {
                self.note(format!("503 {id} {refusal:?}"));
                let excused = self.holder.is_some() || (refusal == Refusal::ShuttingDown && self.stopping);
                let is_old = refusal == Refusal::Pruned && !self.book().clock_is_steady;
                let excused = excused || is_old;
                assert!(excused && refusal != Refusal::Internal, "refused without a reason: {refusal:?}");
            }
        }
    }

    /// Nobody waits for longer than it asked to.
    fn judge_patience(&self, now: Now) {
        for (id, connection) in &self.connections {
            let Some(asked_at) = connection.asked_at else { continue };
            let until = asked_at + connection.patience(self.settings.wait_max);
            assert!(now.monotonic < until, "connection {id} asked at {asked_at:?} and has no answer");
        }
        self.judge_operators_patience(now);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let is_asked_for = std::env::var_os("HEARTBEAT_SIMULATION_SEED").is_some();
            let from = if is_asked_for { 0 } else { self.trace.len().saturating_sub(40) };
            let last = self.trace[from..].join("\n");
            eprintln!("{last}\nHEARTBEAT_SIMULATION_SEED={} repeats this", self.seed);
        }
        self.runtime = None;
        self.book = None;
        self.holder = None;
        let _only_a_temporary_folder = std::fs::remove_dir_all(&self.folder);
    }
}

fn gate() -> Gate {
    let secret = |line| Secret::parse_line(line).expect("a secret").expect("a line with a secret");
    let tolerance = Duration::from_secs(TOLERANCE_S);
    let default = Agent::of_top_level(vec![secret(SECRET)], None, tolerance).expect("one secret");
    let narrow = StandardWebhooks::new(vec![secret(NARROW_SECRET)], tolerance).expect("one secret");
    let flows = Some(NARROW_FLOWS.map(str::to_owned).to_vec());
    let narrow = Agent::new(NARROW, vec![Box::new(narrow)]).within(Scope { whitelist: None, flows });
    let keyring = Keyring::new(vec![default, narrow]);
    Gate::new("/heartbeat".to_owned(), keyring, None, Allowlist::new(Vec::new()), 30)
}

pub(crate) fn http_limits() -> http::Limits {
    http::Limits::default()
}
