//! Who sent a heartbeat, and whether that is proved: signature schemes, secrets, addresses, replays, failures.
//!
//! A request goes in as [`Fields`] and a body, and comes out as [`Verified`], which only [`Keyring::verify`] makes:
//! what takes a `Verified` needs no check of its own. A scheme is one file that implements [`Scheme`].
//!
//! Architecture invariant: pure. No sockets, files, clocks or randomness; times and random seeds come in as
//! arguments. No secret, token or signature is in any message, `Debug` text or error that leaves this module.

mod allowlist;
mod failure;
mod failure_limiter;
mod forwarded;
mod keyring;
mod replay_ring;
mod secret;
mod standard_webhooks;
mod token;
mod unauthenticated;

pub use allowlist::{Allowlist, parse_rule};
pub use failure::Failure;
pub use failure_limiter::{FailureLimiter, LeftOut, Verdict};
pub use forwarded::client_address;
pub use keyring::{Agent, DEFAULT_AGENT, Keyring, Verified};
pub use replay_ring::{ReplayKey, ReplayRing};
pub use secret::Secret;
pub use standard_webhooks::StandardWebhooks;
pub use token::Token;
pub use unauthenticated::Unauthenticated;

use std::fmt;

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
}

/// What a scheme found to be proved about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'r> {
    /// The id that the sender gave the request: equal ids are the same heartbeat, sent again.
    pub id: Option<&'r str>,
    /// The time that the sender signed, where the scheme has one.
    pub signed_at: Option<Wall>,
}

/// A way to prove who sent a request: one file here, or one in a program that embeds the runtime.
///
/// `Debug` must not show key material.
pub trait Scheme: fmt::Debug {
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
