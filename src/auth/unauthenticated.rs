//! `authentication_enabled = false`: every request is taken as the agent's.

use super::{Clock, Failure, Field, Fields, Scheme, Signed, well_formed_id};

/// Accepts everything. A well-formed `webhook-id` still tells a retry from a new heartbeat.
#[derive(Debug)]
pub struct Unauthenticated;

impl Scheme for Unauthenticated {
    fn name(&self) -> &'static str {
        "none"
    }

    fn can_be_replayed(&self) -> bool {
        true
    }

    fn wants(&self) -> &'static str {
        "nothing"
    }

    fn verify<'r>(&self, fields: &'r dyn Fields, _: &[u8], _: &Clock) -> Option<Result<Signed<'r>, Failure>> {
        let id = match fields.field("webhook-id") {
            Field::One(value) => well_formed_id(value).map(Into::into),
            Field::Absent | Field::Repeated => None,
        };
        Some(Ok(Signed { id, signed_at: None }))
    }
}
