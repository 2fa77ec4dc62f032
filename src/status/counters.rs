//! What is counted, and the log lines of refusals: bounded per address and minute.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::auth::{FAILURES_WINDOW, FailureLimiter, Verdict};
use crate::gate::Denial;
use crate::http::ErrorCode;
use crate::limits;
use crate::runtime::{Bounds, Histogram};
use crate::time::{Monotonic, Now, Wall};

/// What somebody connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// An address under `listen`.
    Heartbeat,
    /// `[status] listen`.
    Status,
    /// `[control] socket`.
    Control,
}

impl Port {
    /// Every one, in the order of the declaration: counts are indexed by it (`port as usize`).
    pub const ALL: [Self; 3] = [Self::Heartbeat, Self::Status, Self::Control];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Status => "status",
            Self::Control => "control",
        }
    }
}

/// From what an idle round takes on a fast machine to a sync on a worn-out SD card.
const STEPS: Bounds = &[
    ("0.0001", 100),
    ("0.001", 1_000),
    ("0.005", 5_000),
    ("0.02", 20_000),
    ("0.1", 100_000),
    ("0.5", 500_000),
    ("2", 2_000_000),
    ("10", 10_000_000),
];

/// The last refusal with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRefusal {
    /// The error.
    pub code: ErrorCode,
    /// When it was.
    pub at: Wall,
    /// Whose request it was, as far as can be told.
    pub client: IpAddr,
    /// Who it is, where that was proved.
    pub agent: Option<Arc<str>>,
    /// What was answered, in a sentence.
    pub detail: Cow<'static, str>,
}

/// Counts since the start of the process.
#[derive(Debug)]
pub struct Counters {
    /// Connections accepted, by [`Port`].
    pub connections: [u64; Port::ALL.len()],
    /// Verified heartbeats.
    pub heartbeats: u64,
    /// Processes that could not be started.
    pub spawn_failures: u64,
    /// How long the rounds of the loop took, without waiting for events.
    pub rounds: Histogram,
    /// How long it took to write what a round changed, up to the end of its commit.
    pub commits: Histogram,
    /// Refusals, by [`Port`] and [`ErrorCode`].
    refusals: [[u64; ErrorCode::ALL.len()]; Port::ALL.len()],
    /// Of the heartbeat port, one for each error.
    last: Vec<LastRefusal>,
    lines: FailureLimiter,
    /// When the minute began whose lines are counted, and how many it has had, of all addresses.
    minute: Option<(Monotonic, u32)>,
}

impl Counters {
    /// Nothing counted yet. `lines_per_minute` is as in [`Counters::log_at_most`].
    pub fn new(lines_per_minute: u32) -> Self {
        Self {
            connections: [0; Port::ALL.len()],
            heartbeats: 0,
            spawn_failures: 0,
            rounds: Histogram::new(STEPS),
            commits: Histogram::new(STEPS),
            refusals: [[0; ErrorCode::ALL.len()]; Port::ALL.len()],
            last: Vec::new(),
            lines: FailureLimiter::new(lines_per_minute),
            minute: None,
        }
    }

    /// How often a request to this port was refused with this error.
    pub fn refusals(&self, port: Port, code: ErrorCode) -> u64 {
        self.refusals[port as usize][code as usize]
    }

    /// The last refusal of the heartbeat port with each error that there was.
    pub fn last_refusals(&self) -> &[LastRefusal] {
        &self.last
    }

    /// From now on so many refusals of an address have a line of their own in a minute.
    pub fn log_at_most(&mut self, lines_per_minute: u32) {
        self.lines.set_per_minute(lines_per_minute);
    }

    /// Counts a refusal and logs it, unless its address has had its lines for this minute.
    pub fn refused(&mut self, port: Port, denial: &Denial, now: Now) {
        self.refusals[port as usize][denial.code as usize] += 1;
        if port == Port::Heartbeat {
            self.keep(denial, now.wall);
        }
        let verdict = self.lines.record(denial.client, now.monotonic);
        if verdict == Verdict::Log
            && denial.code != ErrorCode::TooManyFailures
            && self.has_a_line(now.monotonic)
        {
            let (client, error) = (denial.client, denial.code.as_str());
            match denial.agent.as_deref() {
                None => log::warn!(client:%, error; "refused: {}", denial.detail),
                Some(agent) => log::warn!(client:%, error, agent; "refused: {}", denial.detail),
            }
        }
    }

    /// Whether all addresses together have had their lines; if so, it is left out.
    fn has_a_line(&mut self, now: Monotonic) -> bool {
        let lines_max = self.lines.per_minute().saturating_mul(limits::ADDRESSES_LOGGED_MAX);
        let minute = self.minute.filter(|(begin, _)| now.since(*begin) < FAILURES_WINDOW);
        let (begin, lines) = minute.unwrap_or((now, 0));
        self.minute = Some((begin, lines.saturating_add(1)));
        if lines >= lines_max {
            self.lines.leave_out(now);
        }
        lines < lines_max
    }

    fn keep(&mut self, denial: &Denial, at: Wall) {
        let Denial { code, client, agent, detail, .. } = denial;
        let (agent, detail) = (agent.clone(), detail.clone());
        let last = LastRefusal { code: *code, at, client: *client, agent, detail };
        match self.last.iter_mut().find(|known| known.code == last.code) {
            Some(known) => *known = last,
            None => self.last.push(last),
        }
    }

    /// Logs how many refusals had no line of their own.
    pub fn summarize(&mut self, now: Monotonic) {
        if let Some(left_out) = self.lines.summary(now) {
            log::warn!(left_out = left_out.failures; "refusals without a line of their own");
        }
    }

    /// When there will be something to summarize.
    pub fn summary_at(&self) -> Option<Monotonic> {
        self.lines.summary_at()
    }

    /// Logs what was counted, when the daemon ends.
    pub fn log(&self) {
        let refused = |code| Port::ALL.iter().map(|port| self.refusals(*port, code)).sum::<u64>();
        let counted = ErrorCode::ALL.iter().filter(|code| refused(**code) > 0);
        let refusals: Vec<_> = counted.map(|code| format!("{code}={}", refused(*code))).collect();
        log::info!(
            connections = self.connections[Port::Heartbeat as usize], heartbeats = self.heartbeats, spawn_failures = self.spawn_failures,
            refusals = refusals.join(",");
            "ended"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_whatever_a_reload_changes() {
        let mut counters = Counters::new(0);
        let begin = Monotonic::since_start(std::time::Duration::ZERO);
        let denial = Denial::of_address(std::net::Ipv4Addr::LOCALHOST.into());
        counters.refused(Port::Heartbeat, &denial, Now { wall: Wall::from_seconds(0), monotonic: begin });
        counters.log_at_most(5);
        assert_eq!(counters.summary_at(), Some(begin + std::time::Duration::from_secs(60)));
    }

    #[test]
    fn whoever_has_many_addresses_does_not_fill_the_log() {
        let mut counters = Counters::new(2);
        let at = |seconds| Monotonic::since_start(std::time::Duration::from_secs(seconds));
        let lines_of_a_minute = 2 * limits::ADDRESSES_LOGGED_MAX;
        let logged =
            |counters: &mut Counters, second| (0..5000).filter(|_| counters.has_a_line(at(second))).count();
        assert_eq!(logged(&mut counters, 7), lines_of_a_minute as usize);
        assert_eq!(logged(&mut counters, 66), 0);
        assert_eq!(logged(&mut counters, 67), lines_of_a_minute as usize, "the next minute");
        assert_eq!(counters.summary_at(), Some(at(67)), "what was left out is told");
    }

    #[test]
    fn the_last_refusal_with_each_error_of_the_heartbeat_port_is_kept() {
        let mut counters = Counters::new(0);
        let at = |seconds| Now {
            wall: Wall::from_seconds(seconds),
            monotonic: Monotonic::since_start(std::time::Duration::ZERO),
        };
        let from = |last: u8| Denial::of_address(std::net::Ipv4Addr::new(127, 0, 0, last).into());
        counters.refused(Port::Heartbeat, &from(1), at(1));
        counters.refused(Port::Heartbeat, &Denial::of_overload("too many", from(3).client), at(2));
        counters.refused(Port::Heartbeat, &Denial { agent: Some("who".into()), ..from(2) }, at(3));
        counters.refused(Port::Status, &from(9), at(4));
        let kept: Vec<_> = counters.last_refusals().iter().map(|last| (last.code, last.at)).collect();
        let times = [1, 2, 3].map(Wall::from_seconds);
        assert_eq!(kept, [(ErrorCode::AddressNotAllowed, times[2]), (ErrorCode::Overloaded, times[1])]);
        let last = &counters.last_refusals()[0];
        assert_eq!((last.client, last.agent.as_deref()), (from(2).client, Some("who")));
        assert_eq!(counters.refusals(Port::Heartbeat, ErrorCode::AddressNotAllowed), 2);
    }
}
