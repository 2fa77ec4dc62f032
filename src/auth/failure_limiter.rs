//! Wrong credentials per address and minute.
//!
//! Past the limit nobody is locked out: a request is still verified and a valid one served, so an honest agent behind
//! the same address never notices. A failing one gets 429 in place of 401 and no log line of its own; what was left out
//! is counted, and told in one line a minute. The table is bounded: the oldest window makes room for a new address.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits;
use crate::time::Monotonic;

/// An address's failures are counted for this long from the first one; also the time between two summaries.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What a failed request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its own answer (401) and a log line.
    Log,
    /// 429 and no log line.
    Quiet,
}

/// What was not logged since the last summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Failed requests without a log line.
    pub failures: u64,
    /// Addresses whose count was dropped before its minute was over, because the table was full.
    pub addresses: u64,
}

/// Counts wrong credentials by address. Times given to it must not go back.
#[derive(Debug)]
pub struct FailureLimiter {
    per_minute: u32,
    addresses_max: usize,
    counts: BTreeMap<IpAddr, u32>,
    /// The addresses of `counts` by the start of their window, oldest first.
    windows: VecDeque<(Monotonic, IpAddr)>,
    left_out: LeftOut,
    /// When the next summary may be given; set with the first failure left out.
    summary_at: Option<Monotonic>,
}

impl FailureLimiter {
    /// Logs `per_minute` failures of an address in a minute, and counts at most
    /// [`limits::FAILURE_TABLE_ADDRESSES`] addresses at once.
    pub fn new(per_minute: u32) -> Self {
        Self::with_room(per_minute, limits::FAILURE_TABLE_ADDRESSES)
    }

    /// How many failures of an address are logged in a minute.
    pub fn per_minute(&self) -> u32 {
        self.per_minute
    }

    /// From now on so many are logged.
    pub fn set_per_minute(&mut self, per_minute: u32) {
        self.per_minute = per_minute;
    }

    fn with_room(per_minute: u32, addresses_max: usize) -> Self {
        Self {
            per_minute,
            addresses_max,
            counts: BTreeMap::new(),
            windows: VecDeque::new(),
            left_out: LeftOut { failures: 0, addresses: 0 },
            summary_at: None,
        }
    }

    /// Counts a request with wrong credentials ([`super::Failure::counts_against_sender`]) from `address`.
    pub fn record(&mut self, address: IpAddr, now: Monotonic) -> Verdict {
        self.end_windows(now);
        let site = site(address);
        if !self.counts.contains_key(&site) {
            self.make_room(now);
            self.windows.push_back((now, site));
        }
        let count = self.counts.entry(site).or_insert(0);
        *count = count.saturating_add(1);
        if *count <= self.per_minute {
            return Verdict::Log;
        }
        self.leave_out(now);
        Verdict::Quiet
    }

    /// A failure has no line of its own, for whatever reason.
    pub fn leave_out(&mut self, now: Monotonic) {
        self.left_out.failures += 1;
        self.summary_at.get_or_insert(now + WINDOW);
    }

    /// What to log about failures that had no line of their own: at most once a minute, and only if there were any.
    pub fn summary(&mut self, now: Monotonic) -> Option<LeftOut> {
        self.summary_at.filter(|at| *at <= now)?;
        self.summary_at = None;
        Some(std::mem::replace(&mut self.left_out, LeftOut { failures: 0, addresses: 0 }))
    }

    /// When [`Self::summary`] will have something to tell.
    pub fn summary_at(&self) -> Option<Monotonic> {
        self.summary_at
    }

    fn end_windows(&mut self, now: Monotonic) {
        while let Some((start, site)) = self.windows.front().copied() {
            if now.since(start) < WINDOW {
                return;
            }
            self.windows.pop_front();
            self.counts.remove(&site);
        }
    }

    fn make_room(&mut self, now: Monotonic) {
        if self.windows.len() < self.addresses_max {
            return;
        }
        if let Some((_, site)) = self.windows.pop_front() {
            self.counts.remove(&site);
            self.left_out.addresses += 1;
            self.summary_at.get_or_insert(now + WINDOW);
        }
    }
}

/// What is counted as one sender: an IPv4 address, or the /64 that an IPv6 host chooses its addresses from.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::since_start(Duration::from_secs(seconds))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn past_the_limit_failures_are_quiet_until_the_minute_is_over() {
        let mut limiter = FailureLimiter::new(2);
        let verdicts = [0, 1, 2, 59, 60].map(|second| limiter.record(ip("192.0.2.1"), at(second)));
        assert_eq!(verdicts, [Verdict::Log, Verdict::Log, Verdict::Quiet, Verdict::Quiet, Verdict::Log]);
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_64() {
        let mut limiter = FailureLimiter::new(1);
        assert_eq!(limiter.record(ip("192.0.2.1"), at(0)), Verdict::Log);
        assert_eq!(limiter.record(ip("192.0.2.2"), at(0)), Verdict::Log);
        assert_eq!(limiter.record(ip("::ffff:192.0.2.1"), at(0)), Verdict::Quiet, "mapped is IPv4");
        assert_eq!(limiter.record(ip("2001:db8:0:1::1"), at(0)), Verdict::Log);
        assert_eq!(limiter.record(ip("2001:db8:0:1:ffff::2"), at(0)), Verdict::Quiet, "the same /64");
        assert_eq!(limiter.record(ip("2001:db8:0:2::1"), at(0)), Verdict::Log, "another /64");
    }

    #[test]
    fn a_full_table_drops_the_oldest_window_and_counts_it() {
        let mut limiter = FailureLimiter::with_room(1, 2);
        for (second, address) in [(0, "192.0.2.1"), (1, "192.0.2.2"), (2, "192.0.2.3")] {
            assert_eq!(limiter.record(ip(address), at(second)), Verdict::Log);
        }
        assert_eq!(limiter.record(ip("192.0.2.2"), at(3)), Verdict::Quiet, "the younger one stays");
        assert_eq!(limiter.counts.len(), 2);
        assert_eq!(limiter.summary(at(62)), Some(LeftOut { failures: 1, addresses: 1 }));
    }

    #[test]
    fn what_was_left_out_is_told_once_a_minute() {
        let mut limiter = FailureLimiter::new(1);
        assert_eq!(limiter.summary_at(), None);
        for _ in 0..10 {
            limiter.record(ip("192.0.2.1"), at(5));
        }
        assert_eq!(limiter.summary(at(64)), None);
        assert_eq!(limiter.summary_at(), Some(at(65)));
        assert_eq!(limiter.summary(at(65)), Some(LeftOut { failures: 9, addresses: 0 }));
        assert_eq!(limiter.summary(at(200)), None);
    }
}
