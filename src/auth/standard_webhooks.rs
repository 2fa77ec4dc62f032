//! Standard Webhooks, version `v1`: `webhook-id`, `webhook-timestamp`, `webhook-signature`, HMAC-SHA256 over
//! `id.timestamp.body`. Source: <https://github.com/standard-webhooks/standard-webhooks>, `spec/standard-webhooks.md`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::secret::{TAG_BYTES, any_fits, of_one_agent};
use super::{Clock, Failure, Field, Fields, Scheme, Secret, Signed, seconds, well_formed_id};
use crate::limits;

const FIELDS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];
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
        Ok(Self { secrets: of_one_agent(secrets)?, tolerance })
    }

    /// The signature is judged before the time, so that skew is told only to holders of a secret.
    fn judge<'r>(&self, fields: [Field<'r>; 3], body: &[u8], clock: &Clock) -> Result<Signed<'r>, Failure> {
        let message = Message::read(fields)?;
        let signatures = Signatures::read(message.signature)?;
        let signed = [message.id.as_bytes(), b".", message.timestamp, b".", body];
        if !any_fits(&self.secrets, clock, &signed, signatures.as_slice()) {
            return Err(Failure::SignatureMismatch);
        }
        let signed_at = clock.judge(message.timestamp_s, self.tolerance)?;
        Ok(Signed { id: Some(message.id.into()), signed_at: Some(signed_at) })
    }
}

impl Scheme for StandardWebhooks {
    fn name(&self) -> &'static str {
        "standard-webhooks"
    }

    fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    fn can_be_replayed(&self) -> bool {
        false
    }

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

#[cfg(test)]
mod tests {
    use super::super::testing::Pairs;
    use super::*;
    use crate::time::Wall;

    const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const NEW: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
    const ID: &str = "msg_1";
    const BODY: &[u8] = b"{}";
    const NOW_S: i64 = 1_763_900_000;

    fn secret(line: &str) -> Secret {
        Secret::parse_line(line).unwrap().unwrap()
    }

    fn scheme(lines: &[&str]) -> StandardWebhooks {
        let secrets = lines.iter().map(|line| secret(line)).collect();
        StandardWebhooks::new(secrets, limits::SIGNATURE_TOLERANCE_DEFAULT).unwrap()
    }

    fn request(id: &str, timestamp: &str, signature: &str) -> Pairs {
        let values = [id, timestamp, signature].map(|value| value.as_bytes().to_vec());
        Pairs(FIELDS.into_iter().zip(values).collect())
    }

    fn signed_by(line: &str, timestamp_s: i64) -> Pairs {
        request(ID, &timestamp_s.to_string(), &secret(line).sign(ID, timestamp_s, BODY))
    }

    fn at(now_s: i64) -> Clock {
        Clock { now: Wall::from_seconds(now_s), greatest_signed_at: None }
    }

    fn verdict(scheme: &StandardWebhooks, fields: &Pairs, clock: Clock) -> Result<(), Failure> {
        scheme.verify(fields, BODY, &clock).expect("fields of the scheme are there").map(|_| ())
    }

    #[test]
    fn what_is_proved_is_the_id_and_the_signed_time() {
        let fields = signed_by(OLD, NOW_S - 7);
        let signed = scheme(&[OLD]).verify(&fields, BODY, &at(NOW_S)).unwrap();
        assert_eq!(
            signed,
            Ok(Signed { id: Some(ID.into()), signed_at: Some(Wall::from_seconds(NOW_S - 7)) })
        );
    }

    #[test]
    fn a_request_without_any_of_the_fields_is_not_this_schemes() {
        assert!(scheme(&[OLD]).verify(&Pairs(vec![]), BODY, &at(NOW_S)).is_none());
    }

    #[test]
    fn a_secret_is_refused_from_its_end_on_and_the_other_one_goes_on() {
        let rotating = format!("{OLD} until={}", Wall::from_seconds(NOW_S));
        let scheme = scheme(&[&rotating, NEW]);
        let old = signed_by(OLD, NOW_S);
        assert_eq!(verdict(&scheme, &old, at(NOW_S - 1)), Ok(()));
        assert_eq!(verdict(&scheme, &old, at(NOW_S)), Err(Failure::SignatureMismatch));
        assert_eq!(verdict(&scheme, &signed_by(NEW, NOW_S), at(NOW_S)), Ok(()));
    }

    #[test]
    fn an_expired_secret_stays_expired_when_our_clock_falls_back() {
        let rotating = format!("{OLD} until={}", Wall::from_seconds(NOW_S));
        let scheme = scheme(&[&rotating, NEW]);
        let fell_back = Clock { greatest_signed_at: Some(Wall::from_seconds(NOW_S)), ..at(NOW_S - 86_400) };
        let old = signed_by(OLD, NOW_S - 86_400);
        assert_eq!(verdict(&scheme, &old, at(NOW_S - 86_400)), Ok(()), "nothing says that its end has come");
        assert_eq!(verdict(&scheme, &old, fell_back), Err(Failure::SignatureMismatch));
        assert_eq!(verdict(&scheme, &signed_by(NEW, NOW_S - 86_400), fell_back), Ok(()));
    }

    #[test]
    fn skew_is_told_only_to_holders_of_a_secret() {
        let (by, allowed) = (Duration::from_secs(301), Duration::from_secs(300));
        let scheme = scheme(&[OLD]);
        let late = verdict(&scheme, &signed_by(OLD, NOW_S - 301), at(NOW_S));
        assert_eq!(late, Err(Failure::TimestampTooOld { by, allowed }));
        let early = verdict(&scheme, &signed_by(OLD, NOW_S + 301), at(NOW_S));
        assert_eq!(early, Err(Failure::TimestampTooNew { by, allowed }));
        let forged = verdict(&scheme, &signed_by(NEW, NOW_S - 301), at(NOW_S));
        assert_eq!(forged, Err(Failure::SignatureMismatch));
    }

    #[test]
    fn a_fraction_of_a_second_does_not_use_up_the_tolerance() {
        let clock = Clock { now: Wall::from_millis(NOW_S * 1000 + 999), greatest_signed_at: None };
        assert_eq!(verdict(&scheme(&[OLD]), &signed_by(OLD, NOW_S - 300), clock), Ok(()));
    }

    #[test]
    fn a_clock_that_is_not_set_is_told_after_the_signature_proved_good() {
        let scheme = scheme(&[OLD]);
        assert_eq!(verdict(&scheme, &signed_by(OLD, NOW_S), at(60)), Err(Failure::ClockNotSet));
        assert_eq!(verdict(&scheme, &signed_by(OLD, 60), at(60)), Err(Failure::ClockNotSet));
        assert_eq!(verdict(&scheme, &signed_by(NEW, NOW_S), at(60)), Err(Failure::SignatureMismatch));
    }

    #[test]
    fn a_repeated_field_is_refused() {
        for name in FIELDS {
            let mut fields = signed_by(OLD, NOW_S);
            let (_, value) = fields.0.iter().find(|(given, _)| *given == name).cloned().unwrap();
            fields.0.push((name, value));
            let refused = verdict(&scheme(&[OLD]), &fields, at(NOW_S));
            assert!(matches!(refused, Err(Failure::SignatureMalformed { .. })), "{name}: {refused:?}");
        }
    }

    #[test]
    fn an_absent_field_is_named() {
        for (index, which) in FIELDS.into_iter().enumerate() {
            let mut fields = signed_by(OLD, NOW_S);
            fields.0.remove(index);
            let refused = verdict(&scheme(&[OLD]), &fields, at(NOW_S));
            assert_eq!(refused, Err(Failure::SignatureMissing { which }));
        }
    }

    #[test]
    fn entries_that_do_not_decode_are_passed_over() {
        let good = secret(OLD).sign(ID, NOW_S, BODY);
        let timestamp = NOW_S.to_string();
        let scheme = scheme(&[OLD]);
        let judge = |list: &str| verdict(&scheme, &request(ID, &timestamp, list), at(NOW_S));
        for before in ["v1,***", "v1,", "v1", ",", "v1,AAAA", "v1a,AAAA", "  ", "V1,x", "v1,v1,"] {
            assert_eq!(judge(&format!("{before} {good}")), Ok(()), "{before}");
            let alone = judge(before);
            assert!(matches!(alone, Err(Failure::SignatureMalformed { .. })), "{before}: {alone:?}");
        }
        let last_bits_changed = good.replace('=', "") + "A";
        assert!(judge(&last_bits_changed).is_err(), "44 characters that are 33 bytes");
        assert!(judge(&good.to_lowercase().replace("v1", "V1")).is_err(), "versions are told apart by case");
    }

    #[test]
    fn only_so_many_entries_are_looked_at() {
        let good = secret(OLD).sign(ID, NOW_S, BODY);
        let other = secret(NEW).sign(ID, NOW_S, BODY);
        let judge = |before: usize| {
            let list = format!("{}{good}", format!("{other} ").repeat(before));
            verdict(&scheme(&[OLD]), &request(ID, &NOW_S.to_string(), &list), at(NOW_S))
        };
        assert_eq!(judge(limits::SIGNATURES_MAX - 1), Ok(()));
        assert_eq!(judge(limits::SIGNATURES_MAX), Err(Failure::SignatureMismatch));
    }

    #[test]
    fn the_timestamp_is_signed_as_it_was_sent() {
        let text = format!("00{NOW_S}");
        let tag = secret(OLD).tag(&[ID.as_bytes(), b".", text.as_bytes(), b".", BODY]);
        let fields = request(ID, &text, &format!("v1,{}", STANDARD.encode(tag.as_bytes())));
        assert_eq!(verdict(&scheme(&[OLD]), &fields, at(NOW_S)), Ok(()));
        let plain = request(ID, &text, &secret(OLD).sign(ID, NOW_S, BODY));
        assert_eq!(verdict(&scheme(&[OLD]), &plain, at(NOW_S)), Err(Failure::SignatureMismatch));
    }

    #[test]
    fn the_farthest_times_are_judged_like_any_other() {
        for timestamp_s in [0, i64::MAX] {
            let refused = verdict(&scheme(&[OLD]), &signed_by(OLD, timestamp_s), at(NOW_S));
            let failure = refused.expect_err("far outside the tolerance");
            assert!(failure.code().as_str().starts_with("timestamp_too_"), "{failure}");
        }
    }

    #[test]
    fn secrets_that_do_not_go_together_are_refused() {
        let refused = |lines: Vec<&str>| {
            let secrets = lines.into_iter().map(secret).collect();
            StandardWebhooks::new(secrets, Duration::ZERO).unwrap_err()
        };
        assert!(refused(vec![]).contains("no secret"));
        assert!(refused(vec![OLD, NEW, OLD]).contains("twice"));
    }
}
