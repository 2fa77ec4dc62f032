//! Why a request proves nothing about its sender, and what the sender is told of it.

use std::fmt;
use std::time::Duration;

use crate::http::ErrorCode;
use crate::time::format_duration;

/// Why a request was not verified. Its `Display` text goes into the answer's `detail` and the log: it tells as
/// much as helps an honest agent, and never anything of a secret or signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Fields that prove the sender are absent; `which` names them.
    SignatureMissing {
        /// The absent fields.
        which: &'static str,
    },
    /// A field cannot be read, or comes more than once.
    SignatureMalformed {
        /// What is wrong, as a sentence.
        why: &'static str,
    },
    /// No signature fits the request under any secret in force.
    SignatureMismatch,
    /// Signed too long ago. Told only to holders of a secret.
    TimestampTooOld {
        /// How far the signed time lies behind our clock.
        by: Duration,
        /// How far it may.
        allowed: Duration,
    },
    /// Signed too far ahead. Told only to holders of a secret.
    TimestampTooNew {
        /// How far the signed time lies ahead of our clock.
        by: Duration,
        /// How far it may.
        allowed: Duration,
    },
    /// The token is not ours.
    TokenMismatch,
    /// The signature is good, but our own clock has not been set, so its time cannot be judged: our fault, not the
    /// sender's. Told only to holders of a secret.
    ClockNotSet,
}

impl Failure {
    /// The answer's `error` member, and with it the status.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::SignatureMissing { .. } => ErrorCode::SignatureMissing,
            Self::SignatureMalformed { .. } => ErrorCode::SignatureMalformed,
            Self::SignatureMismatch => ErrorCode::SignatureMismatch,
            Self::TimestampTooOld { .. } => ErrorCode::TimestampTooOld,
            Self::TimestampTooNew { .. } => ErrorCode::TimestampTooNew,
            Self::TokenMismatch => ErrorCode::TokenMismatch,
            Self::ClockNotSet => ErrorCode::ClockNotSet,
        }
    }

    /// Whether it counts towards `failed_signatures_per_minute`: only wrong credentials do, because they may be
    /// guesses. Missing ones and skewed clocks are mistakes.
    pub const fn counts_against_sender(self) -> bool {
        matches!(self, Self::SignatureMismatch | Self::TokenMismatch)
    }

    /// How much of the proof had succeeded: where several agents could have sent a request, the furthest tells most.
    pub(super) const fn progress(self) -> u8 {
        match self {
            Self::SignatureMissing { .. } => 0,
            Self::SignatureMalformed { .. } => 1,
            Self::SignatureMismatch | Self::TokenMismatch => 2,
            Self::TimestampTooOld { .. } | Self::TimestampTooNew { .. } | Self::ClockNotSet => 3,
        }
    }
}

/// No clock is 3000 years ahead; a time in milliseconds, taken for seconds, is some 50,000.
const AHEAD_S_MAX: u64 = 100_000_000_000;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignatureMissing { which } => write!(f, "missing: {which}"),
            Self::SignatureMalformed { why } => f.write_str(why),
            Self::SignatureMismatch => f.write_str(
                "no signature fits the request under a secret in force; the body is signed as it is sent",
            ),
            Self::TimestampTooOld { by, allowed } => write!(
                f,
                "the signed time is {} behind this box's clock, {} is allowed; compare both clocks",
                format_duration(*by),
                format_duration(*allowed)
            ),
            Self::TimestampTooNew { by, .. } if by.as_secs() > AHEAD_S_MAX => {
                f.write_str("the signed time is in milliseconds, as it seems; give seconds since 1970")
            }
            Self::TimestampTooNew { by, allowed } => write!(
                f,
                "the signed time is {} ahead of this box's clock, {} is allowed; compare both clocks",
                format_duration(*by),
                format_duration(*allowed)
            ),
            Self::TokenMismatch => f.write_str("the token is not one that is configured"),
            Self::ClockNotSet => f.write_str(
                "the signature is good, but this box's clock has not been set yet; try again later",
            ),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skew_is_told_by_how_much() {
        let failure =
            Failure::TimestampTooOld { by: Duration::from_secs(301), allowed: Duration::from_secs(300) };
        assert_eq!(
            failure.to_string(),
            "the signed time is 5m1s behind this box's clock, 5m is allowed; compare both clocks"
        );
    }

    #[test]
    fn a_time_in_milliseconds_is_told_from_a_clock_that_is_ahead() {
        let allowed = Duration::from_secs(300);
        let told = |by_s| Failure::TimestampTooNew { by: Duration::from_secs(by_s), allowed }.to_string();
        let as_it_seems = "the signed time is in milliseconds, as it seems; give seconds since 1970";
        assert_eq!(told(1_794_000_000_000 - 1_794_000_000), as_it_seems);
        for skew_s in [301, 86_400 * 365, 10_000_000_000] {
            assert!(told(skew_s).contains("ahead of this box's clock"), "{skew_s}");
        }
    }

    #[test]
    fn only_wrong_credentials_count_against_the_sender() {
        let by = Duration::from_secs(400);
        assert!(Failure::SignatureMismatch.counts_against_sender());
        assert!(Failure::TokenMismatch.counts_against_sender());
        for mistake in [
            Failure::SignatureMissing { which: "webhook-id" },
            Failure::SignatureMalformed { why: "x" },
            Failure::TimestampTooOld { by, allowed: by },
            Failure::TimestampTooNew { by, allowed: by },
            Failure::ClockNotSet,
        ] {
            assert!(!mistake.counts_against_sender(), "{mistake:?}");
        }
    }
}
