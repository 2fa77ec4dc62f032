//! What is counted, and the log lines of refusals: bounded per address and minute.

use crate::auth::{FailureLimiter, Verdict};
use crate::gate::Denial;
use crate::http::ErrorCode;
use crate::runtime::{Bounds, Histogram};
use crate::time::Monotonic;

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
    lines: FailureLimiter,
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
            lines: FailureLimiter::new(lines_per_minute),
        }
    }

    /// How often a request to this port was refused with this error.
    pub fn refusals(&self, port: Port, code: ErrorCode) -> u64 {
        self.refusals[port as usize][code as usize]
    }

    /// From now on so many refusals of an address have a line of their own in a minute.
    pub fn log_at_most(&mut self, lines_per_minute: u32) {
        self.lines.set_per_minute(lines_per_minute);
    }

    /// Counts a refusal and logs it, unless its address has had its lines for this minute.
    pub fn refused(&mut self, port: Port, denial: &Denial, now: Monotonic) {
        self.refusals[port as usize][denial.code as usize] += 1;
        let verdict = self.lines.record(denial.client, now);
        if verdict == Verdict::Log && denial.code != ErrorCode::TooManyFailures {
            let (client, error) = (denial.client, denial.code.as_str());
            match denial.agent.as_deref() {
                None => log::warn!(client:%, error; "refused: {}", denial.detail),
                Some(agent) => log::warn!(client:%, error, agent; "refused: {}", denial.detail),
            }
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
        counters.refused(Port::Heartbeat, &denial, begin);
        counters.log_at_most(5);
        assert_eq!(counters.summary_at(), Some(begin + std::time::Duration::from_secs(60)));
    }
}
