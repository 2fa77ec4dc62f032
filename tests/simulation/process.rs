//! Virtual children: what a process will do is decided when it is started.

use std::time::Duration;

use heartbeat_runtime::flow::Exit;
use heartbeat_runtime::runtime::Signal;
use heartbeat_runtime::time::Monotonic;

use super::random::Random;

/// How long KILL takes to end a process.
pub(crate) const KILL_TAKES_AT_MOST: Duration = Duration::from_millis(5);

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// A process that was started and whose end nobody has taken in yet.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) flow: String,
    pub(crate) started_at: Monotonic,
    /// When it ends, as things stand: never, for one that waits to be told.
    pub(crate) ends_at: Option<Monotonic>,
    pub(crate) exit: Exit,
    pub(crate) signalled: bool,
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
    pub(crate) fn start(flow: &str, calm: bool, now: Monotonic, random: &mut Random) -> Result<Self, String> {
        let soon = now + Duration::from_millis(1) + random.millis(80);
        let later = now + random.millis(8_000);
        let (ends_at, exit) = match random.below(if calm { 30 } else { 100 }) {
            0..30 => (Some(soon), Exit::Code(0)),
            30..50 => (Some(later), Exit::Code(0)),
            50..65 => (Some(soon), Exit::Code(1 + i32::try_from(random.below(100)).expect("small"))),
            65..72 => (Some(later), Exit::Signal(11)),
            72..80 => return Err("No such file or directory (os error 2)".to_owned()),
            // Ends in the very moment of its start.
            80..84 => (Some(now), Exit::Code(0)),
            _ => (None, Exit::Code(0)),
        };
        Ok(Self {
            flow: flow.to_owned(),
            started_at: now,
            ends_at,
            exit,
            signalled: false,
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
            ends_at: None,
            exit: Exit::Code(0),
            signalled: false,
            ignores_term: random.one_in(3),
            leaves_one_behind: false,
            orphan: true,
            kill_at: None,
        }
    }

    pub(crate) fn lives(&self, now: Monotonic) -> bool {
        self.ends_at.is_none_or(|at| at > now)
    }

    pub(crate) fn signal(&mut self, signal: Signal, now: Monotonic, random: &mut Random) {
        self.signalled = true;
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
