//! Who sent a heartbeat, and whether that is proved: signature schemes, secrets, addresses, replays, failures.
//!
//! A request goes in as [`Fields`] and a body, and comes out as [`Verified`], which only [`Keyring::verify`] makes:
//! what takes a `Verified` needs no check of its own. A scheme is one file that implements [`Scheme`].
//!
//! Architecture invariant: pure. No sockets, files, clocks or randomness; times and random seeds come in as
//! arguments. No secret, token or signature is in any message, `Debug` text or error that leaves this module.

mod agent;
mod allowlist;
mod failure;
mod failure_limiter;
mod forwarded;
mod github;
mod grafana;
mod hex;
mod keyring;
mod replay_ring;
mod secret;
mod standard_webhooks;
mod token;
mod unauthenticated;

pub use agent::{Agent, DEFAULT_AGENT, Scope};
pub use allowlist::{Allowlist, parse_rule};
pub use failure::Failure;
pub use failure_limiter::{FailureLimiter, LeftOut, Verdict, WINDOW as FAILURES_WINDOW};
pub use forwarded::client_address;
pub use github::GitHub;
pub use grafana::Grafana;
pub use keyring::{Keyring, Verified};
pub use replay_ring::{ReplayKey, ReplayRing};
pub use secret::{Form, Secret};
pub use standard_webhooks::StandardWebhooks;
pub use token::Token;
pub use unauthenticated::Unauthenticated;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

pub use crate::http::Field;
use crate::http::Request;
use crate::limits;
use crate::time::Wall;

/// A request's fields as authentication sees them.
pub trait Fields {
    /// The field of that name; names are given in lower case and compared without regard to case.
    fn field(&self, name: &str) -> Field<'_>;
}

impl Fields for Request<'_> {
    fn field(&self, name: &str) -> Field<'_> {
        Request::field(self, name)
    }
}

/// The times that a scheme judges by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Our wall clock.
    pub now: Wall,
    /// The greatest signed time ever accepted, from the store: a time that has certainly come.
    pub greatest_signed_at: Option<Wall>,
}

impl Clock {
    /// The latest time that is known to have come, also after our wall clock fell back.
    pub fn latest(self) -> Wall {
        self.greatest_signed_at.map_or(self.now, |signed| signed.max(self.now))
    }

    /// Judges a time that was signed, in seconds since 1970 UTC, once the signature is known to be right.
    fn judge(self, signed_s: i64, allowed: Duration) -> Result<Wall, Failure> {
        if !self.now.is_set() {
            return Err(Failure::ClockNotSet);
        }
        // Whole seconds on both sides: the sender's time has no finer part.
        let now_s = self.now.as_seconds();
        let by = Duration::from_secs(now_s.abs_diff(signed_s));
        match by > allowed {
            true if signed_s < now_s => Err(Failure::TimestampTooOld { by, allowed }),
            true => Err(Failure::TimestampTooNew { by, allowed }),
            false => Ok(Wall::from_seconds(signed_s)),
        }
    }
}

/// What a scheme found to be proved about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<'r> {
    /// The request's id, the sender's or one that follows from what it signed: equal ids are the same heartbeat, sent
    /// again.
    pub id: Option<Cow<'r, str>>,
    /// The time that the sender signed, where the scheme has one.
    pub signed_at: Option<Wall>,
}

/// A way to prove who sent a request: one file here, or one in a program that embeds the runtime.
///
/// `Debug` must not show key material.
pub trait Scheme: fmt::Debug {
    /// What people call it.
    fn name(&self) -> &'static str;

    /// The secrets that it accepts, for what `check` says of their number and end dates.
    fn secrets(&self) -> &[Secret] {
        &[]
    }

    /// Whether whoever captures a request can start runs with it again: it is not told from a new one, or not for good.
    fn can_be_replayed(&self) -> bool;

    /// The fields that a request must carry, for a message such as `missing: …`.
    fn wants(&self) -> &'static str;

    /// Judges a request; `None` if it carries none of this scheme's fields.
    ///
    /// # Errors
    /// Why the request proves nothing.
    fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        clock: &Clock,
    ) -> Option<Result<Signed<'r>, Failure>>;
}

/// Whole seconds since 1970, digits only.
fn seconds(value: &[u8]) -> Option<i64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// A `webhook-id` as this program takes it: 1 to 256 visible ASCII bytes, no dot (which would make the signed
/// `id.timestamp.body` ambiguous). `None` if it is anything else.
fn well_formed_id(value: &[u8]) -> Option<&str> {
    let fits = (1..=limits::HEARTBEAT_ID_BYTES_MAX).contains(&value.len());
    let plain = value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'.');
    if fits && plain { std::str::from_utf8(value).ok() } else { None }
}

/// Fields for tests: pairs of name and value, as a request would carry them.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Field, Fields};

    pub(crate) struct Pairs(pub(crate) Vec<(&'static str, Vec<u8>)>);

    impl Fields for Pairs {
        fn field(&self, name: &str) -> Field<'_> {
            let mut found = self.0.iter().filter(|(given, _)| *given == name);
            match (found.next(), found.next()) {
                (None, _) => Field::Absent,
                (Some((_, value)), None) => Field::One(value),
                (Some(_), Some(_)) => Field::Repeated,
            }
        }
    }
}
