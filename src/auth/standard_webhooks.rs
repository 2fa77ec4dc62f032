//! Standard Webhooks, version `v1`: `webhook-id`, `webhook-timestamp`, `webhook-signature`, HMAC-SHA256 over
//! `id.timestamp.body`. Source: <https://github.com/standard-webhooks/standard-webhooks>, `spec/standard-webhooks.md`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secret::{Tag, too_many};
use super::{Clock, Failure, Field, Fields, Scheme, Secret, Signed, well_formed_id};
use crate::limits;
use crate::time::Wall;

const FIELDS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const TAG_BYTES: usize = 32;
/// A tag in base64, padding included.
const TAG_BASE64_BYTES: usize = 44;

/// Verifies heartbeats signed with any of several secrets.
#[derive(Debug)]
pub struct StandardWebhooks {
    secrets: Vec<Secret>,
    tolerance: Duration,
}

impl StandardWebhooks {
    /// Accepts any of `secrets`, and signed times that differ from ours by at most `tolerance`, either way.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is no secret, there are too many, or one key stands twice (in
    /// several files; [`Secret::parse_file`] finds it in one).
    pub fn new(secrets: Vec<Secret>, tolerance: Duration) -> Result<Self, String> {
        if secrets.is_empty() {
            return Err("there is no secret; `heartbeatd init` makes one".to_owned());
        }
        if secrets.len() > limits::SECRETS_MAX {
            return Err(too_many());
        }
        let twice = |(index, secret): (usize, &Secret)| secrets[..index].iter().any(|s| s.has_key_of(secret));
        if secrets.iter().enumerate().any(twice) {
            return Err("the same key is configured twice; keep the one that is meant".to_owned());
        }
        Ok(Self { secrets, tolerance })
    }

    /// The secrets, for what `check` and `status` say of their end dates.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// Whether any signature fits. Every secret in force and every entry is tried, so that the time taken does not
    /// tell which one fitted.
    fn any_fits(&self, message: &Message<'_>, body: &[u8], signatures: &Signatures, clock: &Clock) -> bool {
        let latest = clock.latest();
        let mut fits = false;
        for secret in self.secrets.iter().filter(|secret| secret.is_in_force(latest)) {
            let tag = secret.tag(message.id.as_bytes(), message.timestamp, body);
            for signature in signatures.as_slice() {
                fits |= tag == Tag::new((*signature).into());
            }
        }
        fits
    }

    /// The signature is judged before the time, so that skew is told only to holders of a secret.
    fn judge<'r>(&self, fields: [Field<'r>; 3], body: &[u8], clock: &Clock) -> Result<Signed<'r>, Failure> {
        let message = Message::read(fields)?;
        let signatures = Signatures::read(message.signature)?;
        if !self.any_fits(&message, body, &signatures, clock) {
            return Err(Failure::SignatureMismatch);
        }
        if !clock.now.is_set() {
            return Err(Failure::ClockNotSet);
        }
        // Whole seconds on both sides: the sender's time has no finer part.
        let (now_s, signed_s, allowed) = (clock.now.as_seconds(), message.timestamp_s, self.tolerance);
        let by = Duration::from_secs(now_s.abs_diff(signed_s));
        match by > allowed {
            true if signed_s < now_s => Err(Failure::TimestampTooOld { by, allowed }),
            true => Err(Failure::TimestampTooNew { by, allowed }),
            false => {
                Ok(Signed { id: Some(message.id), signed_at: Some(Wall::from_seconds(message.timestamp_s)) })
            }
        }
    }
}

impl Scheme for StandardWebhooks {
    fn wants(&self) -> &'static str {
        "webhook-id, webhook-timestamp and webhook-signature"
    }

    fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        clock: &Clock,
    ) -> Option<Result<Signed<'r>, Failure>> {
        let fields = FIELDS.map(|name| fields.field(name));
        if fields == [Field::Absent; 3] { None } else { Some(self.judge(fields, body, clock)) }
    }
}

/// The three fields, read but not yet believed.
struct Message<'r> {
    id: &'r str,
    /// As sent: these bytes are what was signed.
    timestamp: &'r [u8],
    timestamp_s: i64,
    signature: &'r [u8],
}

impl<'r> Message<'r> {
    fn read(fields: [Field<'r>; 3]) -> Result<Self, Failure> {
        // Absence is told first: a request that lacks a field is not made right by repairing another.
        if let Some((which, _)) = FIELDS.iter().zip(&fields).find(|(_, field)| **field == Field::Absent) {
            return Err(Failure::SignatureMissing { which });
        }
        let [Field::One(id), Field::One(timestamp), Field::One(signature)] = fields else {
            return Err(malformed(
                "each of webhook-id, webhook-timestamp and webhook-signature may come only once",
            ));
        };
        let id = well_formed_id(id)
            .ok_or(malformed("webhook-id is 1 to 256 visible ASCII characters without a dot"))?;
        let timestamp_s = seconds(timestamp)
            .ok_or(malformed("webhook-timestamp is whole seconds since 1970, digits only"))?;
        Ok(Self { id, timestamp, timestamp_s, signature })
    }
}

/// The `v1` entries of one `webhook-signature`, decoded.
struct Signatures {
    tags: [[u8; TAG_BYTES]; limits::SIGNATURES_MAX],
    count: usize,
}

impl Signatures {
    /// Other versions and entries that do not decode to 32 bytes are passed over; if nothing is left, the field is
    /// malformed.
    fn read(list: &[u8]) -> Result<Self, Failure> {
        let mut tags = [[0; TAG_BYTES]; limits::SIGNATURES_MAX];
        let mut count = 0;
        let entries = list.split(|byte| *byte == b' ').filter(|entry| !entry.is_empty());
        let usable = entries.take(limits::SIGNATURES_MAX).filter_map(decode);
        for (slot, tag) in tags.iter_mut().zip(usable) {
            *slot = tag;
            count += 1;
        }
        if count == 0 {
            return Err(malformed("webhook-signature has no usable entry: `v1,` and 32 bytes in base64"));
        }
        Ok(Self { tags, count })
    }

    fn as_slice(&self) -> &[[u8; TAG_BYTES]] {
        self.tags.get(..self.count).unwrap_or_default()
    }
}

const fn malformed(why: &'static str) -> Failure {
    Failure::SignatureMalformed { why }
}

fn decode(entry: &[u8]) -> Option<[u8; TAG_BYTES]> {
    let encoded = entry.strip_prefix(b"v1,").filter(|encoded| encoded.len() == TAG_BASE64_BYTES)?;
    // 44 characters of base64 are 31 to 33 bytes, depending on the padding.
    let mut decoded = [0; TAG_BYTES + 1];
    let length = STANDARD.decode_slice(encoded, &mut decoded).ok()?;
    decoded.get(..length)?.try_into().ok()
}

fn seconds(value: &[u8]) -> Option<i64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
