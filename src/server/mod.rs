//! The shell: the only place that knows mio, sockets, children, signals and clocks. It turns readiness into events and
//! actions into system calls, and has no opinions of its own.
//!
//! Architecture invariant: one thread, and no step of it waits on anything but the disk's sync.

mod accept;
mod act;
mod backup;
mod child;
mod clock;
mod confine;
mod connection;
mod control_socket;
mod descriptors;
mod events;
mod follow;
mod kept;
mod leftovers;
mod listener;
mod notify;
mod opening;
mod operate;
mod outgoing;
pub mod outside;
mod pages;
mod processes;
mod program;
mod reap;
mod reload;
mod room;
mod serve;
mod side_file;
mod slots;
mod status;
mod stdin;
mod stream;
mod tail;
mod tcp;
mod token;
mod turns;
mod users;

use mio::{Events, Interest, Poll};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use listener::Listeners;
pub use notify::Notifier;
pub use opening::Open;
pub(crate) use program::objection;
pub use reload::{Files, Fresh};
pub use side_file::LeftBehind;

pub use crate::status::Counters;

use crate::config::{Fault, Limits};
use crate::control::Facts;
use crate::flow::Launch;
use crate::gate::Gate;
use crate::http;
use crate::limits;
use crate::runtime::{Cleanup, Event, Job, Runtime};
use crate::store::StoreError;
use crate::time::{Now, Wall};
use backup::Backup;
use child::Children;
use clock::Clock;
use connection::{Connection, Sweep, sleep_until};
use follow::Followers;
use leftovers::Leftovers;
use listener::Listener;
use opening::Opening;
use outgoing::{Outgoing, Over};
use reload::{NoFiles, Wanted, http_limits};
use side_file::SideFile;
use status::Watch;
use token::Source;
use turns::Turns;

/// What the shell keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bounds of the heartbeat port.
    pub limits: Limits,
    /// The end of each run's output that is kept, in bytes.
    pub output_bytes: usize,
    /// From TERM to KILL, for processes that outlived an earlier daemon.
    pub kill_grace: Duration,
    /// Whether a child's exit is noticed by its pidfd (Linux 5.3); else by SIGCHLD, as it is where there is none.
    pub use_pidfd: bool,
}

/// Why the shell cannot start or go on.
#[derive(Debug)]
pub enum ServerError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The address for those who look on cannot be listened on.
    Status(SocketAddr, io::Error),
    /// The control socket cannot be made.
    Control(PathBuf, io::Error),
    /// The system refuses what every daemon needs.
    System(&'static str, io::Error),
    /// The store failed in a way after which the process must not go on.
    Store(StoreError),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "listen: cannot listen on {address}: {error}"),
            Self::Status(address, error) => write!(f, "status.listen: cannot listen on {address}: {error}"),
            Self::Control(path, error) => {
                write!(f, "control.socket: cannot listen at {}: {error}", path.display())
            }
            Self::System(operation, error) => write!(f, "cannot {operation}: {error}"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {}

impl From<StoreError> for ServerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Keeps inherited descriptors from the children. Called before the first one is opened.
pub fn keep_descriptors_from_children() {
    descriptors::keep_from_children();
}

/// The wall clock, for what happens before the loop.
pub fn now() -> Wall {
    clock::wall()
}

/// The daemon's loop and everything that it holds.
pub struct Server {
    poll: Poll,
    signals: Signals,
    /// Before `runtime`, which holds the database's lock: so the control socket's file goes first.
    listeners: Vec<Listener>,
    /// By index; a slot is free again at the end of the round in which its connection died.
    connections: Vec<Option<Connection>>,
    /// Of those, the ones that died in this round.
    dead: Vec<usize>,
    connections_made: u64,
    /// Connections with something to do, though nothing more may become ready.
    unfinished: Turns,
    sweep: Sweep,
    /// Processes of runs that are in progress, and which are made next.
    unmade: VecDeque<(Job, Box<Launch>, Cleanup)>,
    children: Children,
    /// Children with output to read.
    talkative: Turns,
    leftovers: Leftovers,
    outgoing: Outgoing,
    side_file: SideFile,
    /// Whether a child ended in this round.
    somebody_ended: bool,
    runtime: Runtime,
    gate: Gate,
    clock: Clock,
    counters: Counters,
    files: Box<dyn Files>,
    reload: Wanted,
    facts: Facts,
    watch: Watch,
    followers: Followers,
    backup: Option<Backup>,
    options: Options,
    http_limits: http::Limits,
    /// What is read in one go, of whomever.
    buffer: Vec<u8>,
    /// The database that `runtime` stands in for, where it cannot be opened yet.
    opening: Option<Opening>,
    /// The line to the service manager, where there is one.
    notifier: Option<Notifier>,
    stopped: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("listeners", &self.listeners).field("options", &self.options).finish()
    }
}

impl Server {
    /// A server over an open runtime; [`Server::run`] makes it serve.
    ///
    /// # Errors
    /// The system refuses a poll or signal handlers; or the database cannot be read.
    pub fn new(
        listeners: Listeners,
        runtime: Runtime,
        gate: Gate,
        options: Options,
    ) -> Result<Self, ServerError> {
        let system = |operation| move |error| ServerError::System(operation, error);
        let poll = Poll::new().map_err(system("make a poll"))?;
        let use_pidfd = options.use_pidfd && child::can_watch_by_pidfd();
        // SIGCHLD also where pidfds tell of exits: whoever started us may have left it ignored, and then the kernel
        // reaps children before anybody can ask how they ended (waitid(2)).
        let mut signals =
            Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD]).map_err(system("handle signals"))?;
        let registry = poll.registry();
        registry
            .register(&mut signals, Source::Signals.token(), Interest::READABLE)
            .map_err(system("watch for signals"))?;
        let mut listeners = listeners.0;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(registry, index).map_err(system("watch a listener"))?;
        }
        let mut server = Self {
            leftovers: Leftovers::new(runtime.instance(), options.kill_grace, Vec::new()),
            side_file: SideFile::new(runtime.store().path(), runtime.instance()),
            outgoing: Outgoing::default(),
            somebody_ended: false,
            poll,
            signals,
            listeners,
            connections: Vec::new(),
            dead: Vec::new(),
            connections_made: 0,
            unfinished: Turns::default(),
            sweep: Sweep::new(),
            unmade: VecDeque::new(),
            children: Children::new(options.output_bytes, use_pidfd),
            talkative: Turns::default(),
            runtime,
            gate,
            clock: Clock::new(),
            counters: Counters::new(options.limits.failed_signatures_per_minute),
            files: Box::new(NoFiles),
            reload: Wanted::default(),
            facts: Facts::default(),
            watch: Watch::new(),
            followers: Followers::default(),
            backup: None,
            options,
            http_limits: http_limits(&options),
            buffer: vec![0; limits::READ_PER_ROUND_BYTES],
            opening: None,
            notifier: None,
            stopped: false,
        };
        if !server.runtime.is_closed() {
            server.begin(server.clock.now())?;
        }
        Ok(server)
    }

    /// With files that are read anew at a reload; `bad_flow_files` is what is wrong with them so far.
    #[must_use]
    pub fn with_files(mut self, files: Box<dyn Files>, bad_flow_files: Vec<Fault>) -> Self {
        self.files = files;
        self.facts.bad_flow_files = bad_flow_files;
        self
    }

    /// Serves until it is told to end.
    ///
    /// # Errors
    /// The poll fails, or the store in a way after which the process must not go on.
    pub fn run(&mut self) -> Result<(), ServerError> {
        let mut events = Events::with_capacity(512);
        let mut actions = Vec::new();
        let mut now = self.clock.now();
        self.notify(now);
        while !self.stopped {
            match self.poll.poll(&mut events, self.sleep(now)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(ServerError::System("wait for events", error));
                }
                Err(_) | Ok(()) => {}
            }
            now = self.clock.now();
            for event in &events {
                self.ready(Source::of(event.token()), event, now);
            }
            if std::mem::take(&mut self.somebody_ended) {
                self.reap(now);
            }
            self.take_turns(now);
            self.judge_deadlines(now);
            self.reload_if_wanted(now);
            self.commit(now, &mut actions)?;
            for action in actions.drain(..) {
                self.act(action, now);
            }
            self.runtime.work(now, &mut actions);
            for action in actions.drain(..) {
                self.act(action, now);
            }
            self.make_processes(Some(limits::PROCESSES_PER_ROUND));
            self.children.done_spawning();
            self.side_file.tidy(|job| self.runtime.is_in_hand(job));
            self.outgoing.retain(|job| self.runtime.is_in_hand(job));
            self.end_round(now);
            self.bury();
            self.open_if_due(now)?;
            self.notify(now);
        }
        self.close_watchers(now);
        self.bury();
        self.end_what_is_left();
        self.cut_backup_short(now);
        self.flush_the_last();
        self.counters.log();
        Ok(())
    }

    /// What has been counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn sleep(&self, now: Now) -> Option<Duration> {
        let backlog = self.listeners.iter().any(|listener| listener.backlog);
        let has_turns = !self.watch.pages.is_empty()
            || !self.unfinished.is_empty()
            || !self.talkative.is_empty()
            || !self.unmade.is_empty()
            || self.outgoing.has_turns();
        if backlog || has_turns {
            return Some(Duration::ZERO);
        }
        let listeners = self.listeners.iter().filter_map(|listener| listener.retry_at);
        let others = [
            self.runtime.next_timeout(),
            self.sweep.next(),
            self.leftovers.next_timeout(),
            self.outgoing.next_timeout(),
            self.counters.summary_at(),
            self.opening.as_ref().map(|opening| opening.next_at),
            self.notifier.as_ref().and_then(Notifier::next_timeout),
            self.watch.watchers.next_timeout(self.counters.heartbeats),
        ];
        sleep_until(others.into_iter().flatten().chain(listeners).min(), now.monotonic)
    }

    fn ready(&mut self, source: Source, event: &mio::event::Event, now: Now) {
        match source {
            Source::Signals => self.signalled(now),
            Source::Listener(index) => self.listeners[index].has_callers(),
            Source::Connection(index) => {
                if let Some(Some(connection)) = self.connections.get_mut(index) {
                    connection.readable |= event.is_readable();
                    connection.end_in_sight |= event.is_read_closed();
                    if event.is_write_closed() || event.is_error() {
                        return self.bid_farewell(index, now);
                    }
                    self.unfinished.ask(index);
                }
            }
            Source::Output(index) => self.talkative.ask(index),
            Source::Exit(_) => self.somebody_ended = true,
            Source::Survivor(index) => self.survivor_gone(index, now),
            Source::Outgoing(index) => self.outgoing.ready(index),
            Source::Resolved => {
                let over = self.outgoing.resolved(now.monotonic, self.poll.registry());
                self.answered(over, now);
            }
            Source::BackedUp => self.backed_up(now),
        }
    }

    fn read_output(&mut self, index: usize, now: Now) {
        if self.children.read_output(index, &mut self.buffer) {
            self.talkative.ask(index);
        }
        if let Some((Job::Run(run), written)) = self.children.take_fresh(index) {
            self.pass_on(run, &written, now);
        }
    }

    fn answered(&mut self, over: impl IntoIterator<Item = Over>, now: Now) {
        for (job, answered) in over {
            self.runtime.handle(Event::Answered { job, answered }, now);
        }
    }

    /// One bounded turn for everybody who is ready or has something left over from the round before.
    fn take_turns(&mut self, now: Now) {
        let turns = self.unfinished.take();
        for &index in &turns {
            self.serve(index, now);
        }
        self.unfinished.done(turns);
        let turns = self.talkative.take();
        for &index in &turns {
            self.read_output(index, now);
        }
        self.talkative.done(turns);
        let over = self.outgoing.take_turns(&mut self.buffer, now.monotonic, self.poll.registry());
        self.answered(over, now);
        for index in 0..self.listeners.len() {
            if self.listeners[index].is_to_be_tried(now.monotonic) {
                self.accept(index, now);
            }
        }
    }

    fn judge_deadlines(&mut self, now: Now) {
        self.leftovers.judge_deadlines(now.monotonic);
        if self.leftovers.wants_a_look(now.monotonic) {
            self.reap(now);
        }
        self.counters.summarize(now.monotonic);
        let over = self.outgoing.judge_deadlines(now.monotonic, self.poll.registry());
        self.answered(over, now);
        if self.sweep.is_due(now.monotonic) {
            for index in 0..self.connections.len() {
                self.judge_connection(index, now);
            }
        }
    }

    fn signalled(&mut self, now: Now) {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            if signal == SIGCHLD {
                self.somebody_ended = true;
            } else if signal == SIGHUP {
                log::info!(signal; "told to read configuration and flow files anew");
                self.reload.ask(None);
            } else {
                log::info!(signal; "told to end: no new runs are started");
                self.runtime.handle(Event::Shutdown, now);
            }
        }
    }

    /// Frees the slots of the dead: not before the end of a round, so that no event of it reaches a newcomer. Nor does one of a
    /// later round: a child that is about to exec may still have a copy of the descriptor, and epoll(7) would tell of it.
    fn bury(&mut self) {
        for index in self.dead.drain(..) {
            if let Some(mut connection) = self.connections[index].take() {
                assert!(connection.state == connection::State::Dead, "nobody takes a slot before it is free");
                let _closed_all_the_same = self.poll.registry().deregister(&mut connection.stream);
            }
        }
    }
}
