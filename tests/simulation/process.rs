//! Virtual children: what a process will do is decided when it is started.

use std::time::Duration;

use heartbeat_runtime::flow::{ErrorKind, Exit};
use heartbeat_runtime::runtime::{Output, Signal};
use heartbeat_runtime::time::Monotonic;

use super::random::Random;

/// How long KILL takes to end a process.
pub(crate) const KILL_TAKES_AT_MOST: Duration = Duration::from_millis(5);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Why none is started, in the words of the system, and whether trying again may help.
const SPAWN_FAILURES: [(ErrorKind, &str); 7] = [
    (ErrorKind::Spawn, "No such file or directory (os error 2)"),
    (ErrorKind::Spawn, "Exec format error (os error 8)"),
    (ErrorKind::Spawn, "Resource temporarily unavailable (os error 11)"),
    (ErrorKind::Spawn, "Cannot allocate memory (os error 12)"),
    (ErrorKind::Spawn, "Permission denied (os error 13)"),
    (ErrorKind::Spawn, "Too many open files (os error 24)"),
    (ErrorKind::Configuration, "the working directory is none"),
];

/// A process that was started and whose end nobody has taken in yet.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) flow: String,
    pub(crate) started_at: Monotonic,
    pub(crate) timeout: Duration,
    /// When it ends, as things stand: never, for one that waits to be told.
    pub(crate) ends_at: Option<Monotonic>,
    pub(crate) exit: Exit,
    /// When it was told to end.
    pub(crate) signalled_at: Option<Monotonic>,
    ignores_term: bool,
    /// Whether another process stays when it ends.
    pub(crate) leaves_one_behind: bool,
    /// Whether it is no run's own process any more: the daemon that started it is gone, or it was left behind. Then when
    /// KILL follows the TERM that it was sent.
    pub(crate) orphan: bool,
    pub(crate) kill_at: Option<Monotonic>,
}

impl Process {
    /// Starts one.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(
        flow: &str,
        timeout: Duration,
        calm: bool,
        now: Monotonic,
        random: &mut Random,
    ) -> Result<Self, (ErrorKind, String)> {
        let soon = now + Duration::from_millis(1) + random.millis(80);
        let later = now + random.millis(8_000);
        let (ends_at, exit) = match random.below(if calm { 30 } else { 100 }) {
            0..30 => (Some(soon), Exit::Code(0)),
            30..48 => (Some(later), Exit::Code(0)),
            48..62 => (Some(soon), Exit::Code(1 + i32::try_from(random.below(100)).expect("small"))),
            62..68 => (Some(later), Exit::Signal(11)),
            68..76 => {
                let (kind, message) = random.pick(&SPAWN_FAILURES);
                return Err((kind, message.to_owned()));
            }
            // Ends in the very moment of its start.
            76..80 => (Some(now), Exit::Code(0)),
            // Or in that in which it takes too long.
            80..84 => (Some(now + timeout), Exit::Code(0)),
            _ => (None, Exit::Code(0)),
        };
        Ok(Self {
            flow: flow.to_owned(),
            started_at: now,
            timeout,
            ends_at,
            exit,
            signalled_at: None,
            ignores_term: !calm && random.one_in(3),
            leaves_one_behind: !calm && random.one_in(5),
            orphan: false,
            kill_at: None,
        })
    }

    /// What this one leaves behind: it goes on until it is told to end.
    pub(crate) fn left_behind(&self, random: &mut Random) -> Self {
        Self {
            flow: self.flow.clone(),
            started_at: self.started_at,
            timeout: self.timeout,
            ends_at: None,
            exit: Exit::Code(0),
            signalled_at: None,
            ignores_term: random.one_in(3),
            leaves_one_behind: false,
            orphan: true,
            kill_at: None,
        }
    }

    /// What is kept of what it wrote.
    pub(crate) fn output(calm: bool, random: &mut Random) -> Output {
        let lines = if calm { 1 } else { random.pick(&[0, 0, 1, 3, 40]) };
        let tail: String = (0..lines).map(|_| format!("line {:x}\n", random.below(1 << 16))).collect();
        Output { truncated: lines == 40, tail, stdout: Vec::new() }
    }

    pub(crate) fn lives(&self, now: Monotonic) -> bool {
        self.ends_at.is_none_or(|at| at > now)
    }

    pub(crate) fn signal(&mut self, signal: Signal, now: Monotonic, random: &mut Random) {
        self.signalled_at.get_or_insert(now);
        let (ends_at, exit) = match signal {
            Signal::Terminate if self.ignores_term => return,
            Signal::Terminate if random.one_in(2) => (now + random.millis(400), Exit::Code(0)),
            Signal::Terminate => (now + random.millis(40), Exit::Signal(SIGTERM)),
            Signal::Kill => {
                (now + random.millis(KILL_TAKES_AT_MOST.subsec_millis().into()), Exit::Signal(SIGKILL))
            }
        };
        if self.ends_at.is_none_or(|at| at > ends_at) {
            (self.ends_at, self.exit) = (Some(ends_at), exit);
        }
    }
}
