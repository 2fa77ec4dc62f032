//! Whether and when a failed run is tried again.

use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::hash::mixed;
use crate::limits;

/// A flow's `retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all, the first among them; at least 1.
    pub attempts: u32,
    /// Milliseconds from the end of the first attempt to the second; doubled for each that follows.
    pub backoff_ms: u64,
    /// Milliseconds that it is never doubled beyond.
    pub backoff_cap_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            attempts: 1,
            backoff_ms: ms(limits::RETRY_BACKOFF_DEFAULT),
            backoff_cap_ms: ms(limits::RETRY_BACKOFF_CAP_DEFAULT),
        }
    }
}

impl Retry {
    /// How long after the end of this attempt (1 for the first) the next one starts; none after the last.
    ///
    /// Between half the backoff and the whole of it, by `salt`: what failed for ten thousand boxes at once is not tried
    /// again by all of them at once.
    pub fn delay_after(&self, attempt: u32, salt: u64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let doublings = attempt.saturating_sub(1).min(63);
        let whole = self.backoff_ms.saturating_mul(1 << doublings).min(self.backoff_cap_ms);
        let half = whole / 2;
        Some(Duration::from_millis(half + mixed(salt ^ u64::from(attempt)) % (whole - half + 1)))
    }

    /// The longest that any delay can be.
    pub const fn delay_max(&self) -> Duration {
        Duration::from_millis(self.backoff_cap_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry { attempts: 5, backoff_ms: 1_000, backoff_cap_ms: 5_000 };

    #[test]
    fn the_backoff_doubles_up_to_its_cap_and_ends_with_the_last_attempt() {
        for salt in 0..1_000 {
            for (attempt, whole) in [(1, 1_000), (2, 2_000), (3, 4_000), (4, 5_000)] {
                let delay = RETRY.delay_after(attempt, salt).unwrap().as_millis();
                assert!((whole / 2..=whole).contains(&delay), "attempt {attempt}: {delay} ms");
            }
            assert_eq!(RETRY.delay_after(5, salt), None);
        }
        assert_eq!(Retry::default().delay_after(1, 7), None);
    }

    #[test]
    fn the_delays_of_a_fleet_are_spread() {
        let delays: std::collections::BTreeSet<_> =
            (0..100).map(|salt| RETRY.delay_after(3, salt).unwrap()).collect();
        assert!(delays.len() > 90, "{}", delays.len());
    }

    #[test]
    fn the_greatest_numbers_do_not_overflow() {
        let longest = Retry { attempts: u32::MAX, backoff_ms: u64::MAX, backoff_cap_ms: u64::MAX };
        assert!(longest.delay_after(u32::MAX - 1, u64::MAX).is_some());
        let none = Retry { attempts: 2, backoff_ms: 0, backoff_cap_ms: 0 };
        assert_eq!(none.delay_after(1, 1), Some(Duration::ZERO));
    }
}
