//! What is counted, and the log lines of refusals: bounded per address and minute.

use crate::auth::{FailureLimiter, Verdict};
use crate::gate::Denial;
use crate::http::ErrorCode;
use crate::time::Monotonic;

/// Counts since the start of the process.
#[derive(Debug)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Verified heartbeats.
    pub heartbeats: u64,
    /// Processes that could not be started.
    pub spawn_failures: u64,
    /// Refusals, by [`ErrorCode`].
    refusals: [u64; ErrorCode::ALL.len()],
    lines: FailureLimiter,
}

impl Counters {
    pub(super) fn new(lines_per_minute: u32) -> Self {
        let lines = FailureLimiter::new(lines_per_minute);
        Self { connections: 0, heartbeats: 0, spawn_failures: 0, refusals: [0; ErrorCode::ALL.len()], lines }
    }

    /// How often a request was refused with this error.
    pub fn refusals(&self, code: ErrorCode) -> u64 {
        self.refusals[code as usize]
    }

    /// From now on so many refusals of an address have a line of their own in a minute.
    pub(super) fn log_at_most(&mut self, lines_per_minute: u32) {
        if self.lines.per_minute() != lines_per_minute {
            self.lines = FailureLimiter::new(lines_per_minute);
        }
    }

    /// Counts a refusal and logs it, unless its address has had its lines for this minute.
    pub(super) fn refused(&mut self, denial: &Denial, now: Monotonic) {
        self.refusals[denial.code as usize] += 1;
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
    pub(super) fn summarize(&mut self, now: Monotonic) {
        if let Some(left_out) = self.lines.summary(now) {
            log::warn!(left_out = left_out.failures; "refusals without a line of their own");
        }
    }

    /// When there will be something to summarize.
    pub(super) fn summary_at(&self) -> Option<Monotonic> {
        self.lines.summary_at()
    }

    /// Logs what was counted, when the daemon ends.
    pub(super) fn log(&self) {
        let counted = ErrorCode::ALL.iter().filter(|code| self.refusals(**code) > 0);
        let refusals: Vec<_> = counted.map(|code| format!("{code}={}", self.refusals(*code))).collect();
        log::info!(
            connections = self.connections, heartbeats = self.heartbeats, spawn_failures = self.spawn_failures,
            refusals = refusals.join(",");
            "ended"
        );
    }
}
