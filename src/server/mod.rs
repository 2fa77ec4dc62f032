//! The shell: the only place that knows mio, sockets, children, signals and clocks. It turns readiness into events and
//! actions into system calls, and has no opinions of its own.
//!
//! Architecture invariant: one thread, and no step of it waits on anything but the disk's sync.

mod accept;
mod act;
mod child;
mod clock;
mod connection;
mod counters;
mod descriptors;
mod program;
mod serve;
mod slots;
mod survivors;
mod tail;
mod token;
mod turns;

use mio::{Events, Interest, Poll};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use counters::Counters;

use crate::config::Limits;
use crate::gate::Gate;
use crate::http;
use crate::limits;
use crate::runtime::{Event, Runtime};
use crate::store::StoreError;
use crate::time::{Now, Wall};
use accept::Listener;
use child::{Children, Ended};
use clock::Clock;
use connection::{Connection, Sweep, sleep_until};
use survivors::Survivors;
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

/// Addresses that are listened on, before anything else is touched.
#[derive(Debug)]
pub struct Listeners(Vec<Listener>);

/// Why the shell cannot start or go on.
#[derive(Debug)]
pub enum ServerError {
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The system refuses what every daemon needs.
    System(&'static str, io::Error),
    /// The store failed in a way after which the process must not go on.
    Store(StoreError),
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "listen: cannot listen on {address}: {error}"),
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

impl Listeners {
    /// Listens on every address; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, ServerError> {
        let bind = |address: &SocketAddr| {
            Listener::bind(*address).map_err(|error| ServerError::Listen(*address, error))
        };
        addresses.iter().map(bind).collect::<Result<_, _>>().map(Self)
    }

    /// The addresses, with the ports that were taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().map(Listener::address).collect()
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
    listeners: Vec<Listener>,
    /// By index; a slot is free again at the end of the round in which its connection died.
    connections: Vec<Option<Connection>>,
    connections_made: u64,
    /// Connections with something to do, though nothing more may become ready.
    unfinished: Turns,
    sweep: Sweep,
    children: Children,
    /// Children with output to read.
    talkative: Turns,
    survivors: Survivors,
    runtime: Runtime,
    gate: Gate,
    clock: Clock,
    counters: Counters,
    options: Options,
    http_limits: http::Limits,
    /// What is read in one go, of whomever.
    buffer: Vec<u8>,
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
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD]).map_err(system("handle signals"))?;
        let registry = poll.registry();
        registry
            .register(&mut signals, Source::Signals.token(), Interest::READABLE)
            .map_err(system("watch for signals"))?;
        let mut listeners = listeners.0;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener.register(registry, index).map_err(system("watch a listener"))?;
        }
        let Limits { head_bytes, headers, body_bytes, .. } = options.limits;
        let mut server = Self {
            survivors: Survivors::new(runtime.instance(), options.kill_grace),
            poll,
            signals,
            listeners,
            connections: Vec::new(),
            connections_made: 0,
            unfinished: Turns::default(),
            sweep: Sweep::new(),
            children: Children::new(options.output_bytes, use_pidfd),
            talkative: Turns::default(),
            runtime,
            gate,
            clock: Clock::new(),
            counters: Counters::new(options.limits.failed_signatures_per_minute),
            options,
            http_limits: http::Limits { head_bytes, headers, body_bytes },
            buffer: vec![0; limits::READ_PER_ROUND_BYTES],
            stopped: false,
        };
        let now = server.clock.now();
        let survivors = server.survivors.look(now.monotonic, server.poll.registry());
        server.runtime.await_survivors(survivors)?;
        Ok(server)
    }

    /// Serves until it is told to end.
    ///
    /// # Errors
    /// The poll fails, or the store in a way after which the process must not go on.
    pub fn run(&mut self) -> Result<(), ServerError> {
        let mut events = Events::with_capacity(512);
        let mut actions = Vec::new();
        let mut now = self.clock.now();
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
            self.take_turns(now);
            self.judge_deadlines(now);
            self.runtime.finish(now, &mut actions)?;
            for action in actions.drain(..) {
                self.act(action, now);
            }
            self.bury();
        }
        self.flush_the_last();
        self.counters.log();
        Ok(())
    }

    /// What has been counted since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn sleep(&self, now: Now) -> Option<Duration> {
        let backlog = self.listeners.iter().any(Listener::has_backlog);
        if backlog || !self.unfinished.is_empty() || !self.talkative.is_empty() {
            return Some(Duration::ZERO);
        }
        let listeners = self.listeners.iter().filter_map(Listener::retry_at);
        let others = [
            self.runtime.next_timeout(),
            self.sweep.next(),
            self.survivors.next_timeout(),
            self.counters.summary_at(),
        ];
        sleep_until(others.into_iter().flatten().chain(listeners).min(), now.monotonic)
    }

    fn ready(&mut self, source: Source, event: &mio::event::Event, now: Now) {
        match source {
            Source::Signals => self.signalled(now),
            Source::Listener(index) => self.accept(index, now),
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
            Source::Stdin(index) => self.children.feed(index),
            Source::Exit(index) => self.reap(index, now),
            Source::Survivor(index) => {
                let gone = self.survivors.gone(index, now.monotonic, self.poll.registry());
                if let Some(run) = gone {
                    self.runtime.handle(Event::SurvivorGone(run), now);
                }
            }
        }
    }

    /// One bounded turn for everybody who is ready or has something left over from the round before.
    fn take_turns(&mut self, now: Now) {
        for index in self.unfinished.take() {
            self.serve(index, now);
        }
        for index in self.talkative.take() {
            if self.children.read_output(index, &mut self.buffer) {
                self.talkative.ask(index);
            }
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].is_to_be_tried(now.monotonic) {
                self.accept(index, now);
            }
        }
    }

    fn judge_deadlines(&mut self, now: Now) {
        self.survivors.judge_deadlines(now.monotonic);
        self.counters.summarize(now.monotonic);
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
                for index in self.children.running() {
                    self.reap(index, now);
                }
            } else {
                log::info!(signal; "told to end: no new runs are started");
                self.runtime.handle(Event::Shutdown, now);
            }
        }
    }

    fn reap(&mut self, index: usize, now: Now) {
        if let Some(Ended { run, exit, output }) = self.children.reap(index, &mut self.buffer) {
            let event = match exit {
                Some(exit) => Event::Exited { run, exit, output },
                None => Event::Lost { run, output },
            };
            self.runtime.handle(event, now);
        }
    }

    /// Frees the slots of the dead: not before the end of a round, so that no event of it reaches a newcomer.
    fn bury(&mut self) {
        for slot in &mut self.connections {
            if slot.as_ref().is_some_and(|connection| connection.state == connection::State::Dead) {
                *slot = None;
            }
        }
    }
}
