//! The world around one daemon: time, callers, children, and what goes wrong. The daemon in it is the real one, but for
//! the shell, whose part is played here.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use heartbeat_runtime::flow::Definition;
use heartbeat_runtime::gate::Gate;
use heartbeat_runtime::pipeline;
use heartbeat_runtime::runtime::{HistorySettings, Job, Order, Runtime, Settings, Signal};
use heartbeat_runtime::store::{Durability, RunId, Store};
use heartbeat_runtime::time::{Monotonic, Now, Wall, Zones};

use super::agents::{Agents, gate};
use super::alerts::{self, Receiver};
use super::caller::Connection;
use super::children::UntoldEnd;
use super::counters::Idle;
use super::disk::Disk;
use super::flows::{BACKOFF_CAP_MS, TIMEOUT_MAX, WINDOW_OPENS_S, definition};
use super::folder::Folder;
use super::invariants::Book;
use super::operator::Operators;
use super::pipelines::{self, Line};
use super::power::Holder;
use super::process::Process;
use super::random::Random;
use super::server::Server;
use super::supply::Supply;
use super::telling::{self, Trace};
use super::waking::OwnBeats;

/// Long enough for ids of heartbeats to be forgotten (80 h), if it is all of it.
const OFF_FOR_DAYS_MS: u64 = 8 * 86_400_000;
const DAY: Duration = Duration::from_secs(86_400);
/// 2026-01-01T00:00:00Z, in milliseconds since 1970.
const START_MS: i64 = 1_767_225_600_000;
pub(crate) const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// In the calm a heartbeat comes this often, ...
pub(crate) const CALM_HEARTBEAT_MS: i64 = 400;
/// ... and a run takes no longer than this.
pub(crate) const CALM_RUN_MS_MAX: i64 = 100;

/// One daemon and all around it.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) trace: Trace,
    place: PathBuf,
    /// The flows folder and the configuration file, ...
    pub(crate) folder: Folder,
    /// ... and what of the latter is in force.
    pub(crate) settings: Settings,
    pub(crate) elapsed: Duration,
    pub(crate) clock_offset_ms: i64,
    /// Whether the wall clock is not to be trusted.
    pub(crate) clock_jumps: bool,
    pub(crate) runtime: Option<Runtime>,
    /// What there was of a daemon that died while it started.
    half_started: Option<Box<dyn Any>>,
    pub(crate) gate: Gate,
    pub(crate) agents: Agents,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) connections_made: u64,
    pub(crate) operators: Operators,
    pub(crate) disk: Disk,
    /// The power of the database; that of the other files goes with it.
    pub(crate) supply: Supply,
    pub(crate) receiver: Receiver,
    pub(crate) server: Server,
    pub(crate) lines: Vec<Line>,
    /// What of disk and database was judged last.
    pub(crate) pipelines_seen: (u64, i64),
    pub(crate) processes: BTreeMap<i64, Process>,
    /// Runs whose process was started, or might have been.
    pub(crate) started: BTreeSet<i64>,
    pub(crate) untold_ends: BTreeMap<i64, UntoldEnd>,
    /// Heartbeats that the runtime was given in this life, by agent.
    pub(crate) heartbeats_passed: BTreeMap<String, u64>,
    pub(crate) tallied: Idle,
    pub(crate) own_beats: OwnBeats,
    /// Whether the daemon of this life has ever beaten by itself, and whether its grace ever changed.
    pub(crate) has_beaten: bool,
    pub(crate) grace_has_changed: bool,
    pub(crate) reloads_to_come: u32,
    pub(crate) heartbeats_sent: u64,
    /// How often what was done to the daemon.
    pub(crate) injected: BTreeMap<&'static str, u64>,
    pub(crate) book: Option<Book>,
    /// Why the database cannot be written.
    pub(crate) holder: Option<Holder>,
    pub(crate) stopping: bool,
    pub(crate) told_to_end_at: Option<Monotonic>,
    /// Nothing goes wrong any more.
    pub(crate) calm: bool,
    /// When callers do something next; none: never again.
    pub(crate) next_arrival: Option<Duration>,
    /// How many more steps of the tick the daemon lives, if it is to be killed.
    pub(crate) steps_to_live: Option<u32>,
    pub(crate) idle_rounds: u32,
    /// How long the last step of a pipeline holds the loop up.
    pub(crate) work_takes: Duration,
    /// Callers that left in this round: their answers may be made already.
    pub(crate) left_in_round: BTreeSet<u64>,
}

impl World {
    pub(crate) fn new(seed: u64, mut random: Random, place: PathBuf) -> Self {
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
                age: 90 * DAY,
                database_bytes: 64 << 20,
            },
        };
        let flows = 1 + random.index(5);
        let definitions: Vec<Definition> = (0..flows).map(|number| definition(number, &mut random)).collect();
        let lines = pipelines::lines(&definitions, &mut random);
        // A quarter of all boxes has a clock that is not to be trusted, and some of those begin in 1970.
        let clock_jumps = random.one_in(4);
        let begins_in_1970 = clock_jumps && random.one_in(3);
        let disk = Disk::new(Random::new(random.next()));
        let _left_by_a_test_that_failed = std::fs::remove_dir_all(&place);
        std::fs::create_dir_all(&place).expect("a folder for the database");
        let supply = Supply::of(&place, None);
        Self {
            random,
            trace: Trace::of(seed),
            place,
            folder: Folder::new(definitions, settings),
            settings,
            elapsed: Duration::ZERO,
            clock_offset_ms: if begins_in_1970 { -START_MS } else { 0 },
            clock_jumps,
            runtime: None,
            half_started: None,
            gate: gate(),
            agents: Agents::new(),
            connections: BTreeMap::new(),
            connections_made: 0,
            operators: Operators::default(),
            disk,
            supply,
            receiver: Receiver::default(),
            server: Server::default(),
            lines,
            pipelines_seen: (0, 0),
            processes: BTreeMap::new(),
            started: BTreeSet::new(),
            untold_ends: BTreeMap::new(),
            heartbeats_passed: BTreeMap::new(),
            tallied: Idle::default(),
            own_beats: OwnBeats::default(),
            has_beaten: false,
            grace_has_changed: false,
            reloads_to_come: 0,
            heartbeats_sent: 0,
            injected: BTreeMap::new(),
            book: None,
            holder: None,
            stopping: false,
            told_to_end_at: None,
            calm: false,
            next_arrival: Some(Duration::ZERO),
            steps_to_live: None,
            idle_rounds: 0,
            work_takes: Duration::ZERO,
            left_in_round: BTreeSet::new(),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.place.join("heartbeat.db")
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
        let bytes = self.trace.lines.iter().flat_map(|line| line.bytes());
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    pub(crate) fn book(&mut self) -> &mut Book {
        self.book.as_mut().expect("the daemon was started once")
    }

    /// Something is done to the daemon.
    pub(crate) fn inject(&mut self, what: &'static str) {
        *self.injected.entry(what).or_default() += 1;
    }

    /// Runs that were ever recorded.
    pub(crate) fn runs(&self) -> u64 {
        self.book.as_ref().map_or(0, |book| book.newest.unsigned_abs())
    }

    /// Two intervals of the slowest flow and the longest time-out, with the grace after it: then all must be current.
    pub(crate) fn time_to_recover(&mut self) -> Duration {
        let interval = self.book().longest_interval();
        let retry = Duration::from_millis(BACKOFF_CAP_MS);
        // The run's own grace, and that of what it leaves behind.
        let graces = 2 * self.folder.longest_grace;
        2 * interval + TIMEOUT_MAX + graces + retry
    }

    /// How long after its time a flow may be claimed in the calm: those that are due longer go first, as many a heartbeat
    /// as one may claim, and its own last run may still wait behind those of all others.
    pub(crate) fn lateness_ms_max(&self) -> i64 {
        let flows = self.book.as_ref().map_or(0, |book| book.flows.len());
        let heartbeats = 1 + flows.div_ceil(self.settings.max_claims_per_heartbeat);
        let count = |number: usize| i64::try_from(number).expect("a handful");
        count(heartbeats) * CALM_HEARTBEAT_MS + count(flows) * CALM_RUN_MS_MAX
    }

    /// Every flow on record.
    pub(crate) fn flows(&mut self) -> Vec<String> {
        self.book().flows.keys().cloned().collect()
    }

    /// Every flow runs again when it is due.
    pub(crate) fn lift_holds(&mut self) {
        for flow in self.flows() {
            self.order(Order::Hold { flow, held: false });
        }
    }

    /// Until the windows of flows are open, and stay so for this long: they shut at midnight.
    pub(crate) fn time_to_open(&self, stays: Duration) -> Duration {
        let opens = Duration::from_secs(u64::from(WINDOW_OPENS_S));
        let into_the_day = Duration::from_secs(self.elapsed.as_secs() % DAY.as_secs());
        let shuts_too_early = into_the_day + stays >= DAY;
        (if shuts_too_early { DAY + opens } else { opens }).saturating_sub(into_the_day)
    }

    /// The daemon starts on the file that is there.
    pub(crate) fn start(&mut self) {
        let now = self.now();
        self.holder = None;
        self.supply.fail(None);
        self.stopping = false;
        self.told_to_end_at = None;
        self.idle_rounds = 0;
        self.settings = self.folder.settings;
        self.forget_life();
        self.processes.retain(|_, process| process.lives(now.monotonic));
        let dies_at = (!self.calm && self.random.one_in(16)).then(|| self.random.below(3));
        let store = Store::open(&self.database(), Durability::Full, 1, now.wall).expect("a database of ours");
        self.take_up_book(now);
        if dies_at == Some(0) {
            return self.die_while_starting(Box::new(store));
        }
        let was_never_started = |run: RunId| !self.started.contains(&run.0);
        let (kinds, hasher) = (pipeline::kinds(), RandomState::new());
        let runtime =
            Runtime::open(store, self.settings, kinds, Zones::utc_only(), hasher, &was_never_started, now);
        let mut runtime = runtime.expect("nobody holds the database").with_files(self.disk.files());
        runtime = runtime.with_alerts(alerts::settings(), now).expect("readable");
        if dies_at == Some(1) {
            return self.die_while_starting(Box::new(runtime));
        }
        // Before definitions change, and with them what tells whether a run is run again.
        self.book().look(now);
        self.judge_reasons(true);
        self.book().flows_may_change = true;
        let bad = self.folder.bad();
        runtime.follow_flow_files(&self.folder.definitions, &bad, now).expect("nobody holds the database");
        if dies_at == Some(2) {
            return self.die_while_starting(Box::new(runtime));
        }
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
        self.book().look_at_everything(now);
        self.judge_reasons(true);
        self.life_begins();
        self.judge_what_is_in_hand();
        self.judge_folder();
        self.judge_holds();
        self.judge_pipelines();
        if !self.calm && self.random.one_in(8) {
            self.steps_to_live = Some(u32::try_from(self.random.below(4)).expect("small"));
        }
    }

    /// What is counted of one life of the daemon.
    fn forget_life(&mut self) {
        self.heartbeats_passed.clear();
        self.tallied = Idle::default();
        self.grace_has_changed = false;
    }

    /// Takes in what is on record of the lives before.
    fn take_up_book(&mut self, now: Now) {
        let database = self.database();
        if self.book.is_none() {
            self.book = Some(Book::open_beside(&database, self.settings));
            self.book().clock_is_steady = self.clock_offset_ms == 0;
        }
        self.has_beaten = self.settings.internal_heartbeat.is_some();
        let settings = self.settings;
        let book = self.book();
        book.allow(&settings);
        book.look_again(&database);
        book.look(now);
        book.life_is_over();
    }

    fn die_while_starting(&mut self, half_started: Box<dyn Any>) {
        self.half_started = Some(half_started);
        self.inject("kills during a start");
        self.die("KILLED while it starts");
    }

    /// The daemon is gone at once: what was not committed never was. The file's log stays, as another connection is open.
    pub(crate) fn die(&mut self, how: &str) {
        self.note(how.to_owned());
        let with_the_power = !self.calm && self.random.one_in(3);
        if with_the_power {
            self.supply.cut();
        }
        self.runtime = None;
        self.half_started = None;
        self.holder = None;
        self.steps_to_live = None;
        self.connections.clear();
        self.operators_are_cut_off();
        self.untold_ends.clear();
        self.receiver.under_way = None;
        self.server.forget_requests();
        self.disk.kill_after(None);
        let now = self.now();
        if with_the_power {
            self.inject("power cuts");
            self.lose_power();
        } else {
            self.book().look(now);
        }
        self.book().life_is_over();
        let once_in = if self.clock_jumps { 12 } else { 40 };
        let down = match self.calm || !self.random.one_in(once_in) {
            true => self.random.pick(&[0, 20, 1_000, 10_000, 100_000]),
            false => {
                self.inject("off for days");
                self.receiver.may_be_told_too_late = true;
                OFF_FOR_DAYS_MS
            }
        };
        self.elapsed += self.random.millis(down + 1);
        if down == OFF_FOR_DAYS_MS && self.clock_offset_ms != 0 && self.random.one_in(2) {
            self.move_clock(0);
        }
        // A box without a battery for its clock.
        if self.clock_jumps && !self.calm && self.random.one_in(10) {
            self.move_clock(-self.true_ms());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        telling::is_over();
        self.runtime = None;
        self.book = None;
        self.holder = None;
        let _only_a_temporary_folder = std::fs::remove_dir_all(&self.place);
    }
}
