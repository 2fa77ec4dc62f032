//! Grafana's webhook contact point: `X-Grafana-Alerting-Signature`, hexadecimal HMAC-SHA256 over `timestamp:body` where
//! the contact point has a timestamp header, else over the body alone. Source:
//! <https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/>.
//!
//! Where a timestamp header is agreed on it must come: otherwise whoever captured a request could leave it out, and
//! send `timestamp:body` as a body that the same signature fits for ever. Grafana gives no id. A retry is signed anew,
//! so what has the same signature is the same heartbeat.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;

use super::secret::{any_fits, code, of_one_agent};
use super::{Clock, Failure, Field, Fields, Scheme, Secret, Signed, hex, seconds};

const SIGNATURE: &str = "x-grafana-alerting-signature";
/// Bytes of a code that make an id: two of 128 bits are not alike by chance.
const ID_BYTES: usize = 16;

/// Verifies requests signed as Grafana does, with any of several secrets.
#[derive(Debug)]
pub struct Grafana {
    secrets: Vec<Secret>,
    timestamp_header: Option<String>,
    tolerance: Duration,
}

impl Grafana {
    /// Accepts any of `secrets`. With a `timestamp_header` (in lower case) that field must come, is signed, and may differ
    /// from our clock by at most `tolerance`, either way.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is no secret, there are too many, or one stands twice.
    pub fn new(
        secrets: Vec<Secret>,
        timestamp_header: Option<String>,
        tolerance: Duration,
    ) -> Result<Self, String> {
        Ok(Self { secrets: of_one_agent(secrets)?, timestamp_header, tolerance })
    }

    fn judge(
        &self,
        fields: &dyn Fields,
        signature: Field<'_>,
        body: &[u8],
        clock: &Clock,
    ) -> Result<Signed<'static>, Failure> {
        let malformed = |why| Err(Failure::SignatureMalformed { why });
        let Field::One(signature) = signature else {
            return malformed("x-grafana-alerting-signature may come only once");
        };
        let Some(tag) = hex::decode(signature) else {
            return malformed("x-grafana-alerting-signature is 64 hexadecimal digits");
        };
        let Some(header) = &self.timestamp_header else {
            return match any_fits(&self.secrets, clock, &[body], &[tag]) {
                true => Ok(Signed { id: None, signed_at: None }),
                false => Err(Failure::SignatureMismatch),
            };
        };
        let timestamp = match fields.field(header) {
            Field::Absent => {
                let which = "the timestamp header; the contact point has to have the one that the agent's \
                             timestamp_header names";
                return Err(Failure::SignatureMissing { which });
            }
            Field::One(timestamp) => timestamp,
            Field::Repeated => return malformed("the timestamp header may come only once"),
        };
        let Some(signed_s) = seconds(timestamp) else {
            return malformed("the timestamp header is whole seconds since 1970, digits only");
        };
        if !any_fits(&self.secrets, clock, &[timestamp, b":", body], &[tag]) {
            return Err(Failure::SignatureMismatch);
        }
        let signed_at = clock.judge(signed_s, self.tolerance)?;
        Ok(Signed { id: Some(id_of(signature)), signed_at: Some(signed_at) })
    }
}

/// An id that follows from a signature, and does not tell it: ids are logged, signatures are not.
fn id_of(signature: &[u8]) -> Cow<'static, str> {
    let mut id = "grafana_".to_owned();
    for byte in code(signature).as_bytes().iter().take(ID_BYTES) {
        let _text_takes_all = write!(id, "{byte:02x}");
    }
    id.into()
}

impl Scheme for Grafana {
    fn name(&self) -> &'static str {
        "grafana"
    }

    fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    fn can_be_replayed(&self) -> bool {
        self.timestamp_header.is_none()
    }

    fn wants(&self) -> &'static str {
        SIGNATURE
    }

    fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        clock: &Clock,
    ) -> Option<Result<Signed<'r>, Failure>> {
        match fields.field(SIGNATURE) {
            Field::Absent => None,
            signature => Some(self.judge(fields, signature, body, clock)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::super::testing::Pairs;
    use super::*;
    use crate::time::Wall;

    const SECRET: &str = "grafana-shared-secret";
    const TIMESTAMP: &str = "x-grafana-alerting-timestamp";
    const SIGNED_S: i64 = 1_763_900_000;
    const BODY: &[u8] = b"{\"status\":\"firing\"}";
    /// Of the project's vectors.
    const RIGHT: &str = "33c6c13df57850fb29456a1b59c27abf2158e1c856f7757b121f0f8289366954";
    const RIGHT_WITHOUT: &str = "5ca312b403c2b86c78b362c4ba49fd0f59290cbb65869b9ed374b03ed83f0a03";
    const TOLERANCE: Duration = Duration::from_secs(300);

    type Verdict = Option<Result<(Option<String>, Option<Wall>), Failure>>;

    fn verdict(header: Option<&str>, fields: &[(&'static str, &str)], body: &[u8], now_s: i64) -> Verdict {
        let secrets = Secret::parse_file_of(SECRET, Form::Text).unwrap();
        let scheme = Grafana::new(secrets, header.map(str::to_owned), TOLERANCE).unwrap();
        let fields = Pairs(fields.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect());
        let clock = Clock { now: Wall::from_seconds(now_s), greatest_signed_at: None };
        let result = scheme.verify(&fields, body, &clock);
        result.map(|result| result.map(|signed| (signed.id.map(|id| id.into_owned()), signed.signed_at)))
    }

    fn timed(fields: &[(&'static str, &str)], body: &[u8], now_s: i64) -> Verdict {
        verdict(Some(TIMESTAMP), fields, body, now_s)
    }

    const GOOD: &[(&str, &str)] = &[(SIGNATURE, RIGHT), (TIMESTAMP, "1763900000")];

    #[test]
    fn time_and_body_are_proved_and_the_same_signature_is_the_same_heartbeat() {
        let Some(Ok((Some(id), signed_at))) = timed(GOOD, BODY, SIGNED_S + 7) else { panic!() };
        assert_eq!(signed_at, Some(Wall::from_seconds(SIGNED_S)));
        assert!(id.starts_with("grafana_") && id.len() == 40, "{id}");
        assert!(!RIGHT.contains(&id[8..]), "the signature is not told");
        assert_eq!(timed(GOOD, BODY, SIGNED_S), Some(Ok((Some(id), signed_at))));
        assert_eq!(timed(&[], BODY, SIGNED_S), None);
    }

    #[test]
    fn without_a_timestamp_header_the_body_alone_is_signed() {
        let untimed = |signature| verdict(None, &[(SIGNATURE, signature)], BODY, 5);
        assert_eq!(untimed(RIGHT_WITHOUT), Some(Ok((None, None))), "whatever our clock says");
        assert_eq!(untimed(RIGHT), Some(Err(Failure::SignatureMismatch)));
    }

    #[test]
    fn where_a_time_is_agreed_on_it_cannot_be_left_out() {
        let missing = |result| matches!(result, Some(Err(Failure::SignatureMissing { .. })));
        assert!(missing(timed(&[(SIGNATURE, RIGHT_WITHOUT)], BODY, SIGNED_S)));
        let joined = [b"1763900000:", BODY].concat();
        assert!(missing(timed(&GOOD[..1], &joined, SIGNED_S)), "the same bytes were signed");
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let mismatch = Some(Err(Failure::SignatureMismatch));
        assert_eq!(timed(GOOD, b"{}", SIGNED_S), mismatch);
        let later = [(SIGNATURE, RIGHT), (TIMESTAMP, "1763900001")];
        assert_eq!(timed(&later, BODY, SIGNED_S), mismatch);
        let padded = [(SIGNATURE, RIGHT), (TIMESTAMP, "01763900000")];
        assert_eq!(timed(&padded, BODY, SIGNED_S), mismatch);
        let flipped = RIGHT.replace("33c6", "33c7");
        assert_eq!(timed(&[(SIGNATURE, &flipped), GOOD[1]], BODY, SIGNED_S), mismatch);
    }

    #[test]
    fn skew_is_told_to_holders_of_the_secret_alone() {
        let (by, allowed) = (Duration::from_secs(301), TOLERANCE);
        assert_eq!(timed(GOOD, BODY, SIGNED_S + 301), Some(Err(Failure::TimestampTooOld { by, allowed })));
        assert_eq!(timed(GOOD, BODY, SIGNED_S - 301), Some(Err(Failure::TimestampTooNew { by, allowed })));
        assert_eq!(timed(GOOD, BODY, 60), Some(Err(Failure::ClockNotSet)));
        assert_eq!(timed(GOOD, b"{}", SIGNED_S + 301), Some(Err(Failure::SignatureMismatch)));
    }

    #[test]
    fn what_cannot_be_read_or_comes_twice_is_malformed() {
        let upper = RIGHT.to_uppercase();
        for wrong in [
            &[(SIGNATURE, "abc"), GOOD[1]][..],
            &[(SIGNATURE, &upper), GOOD[1]],
            &[GOOD[0], (TIMESTAMP, "1763900000.5")],
            &[GOOD[0], (TIMESTAMP, "")],
            &[GOOD[0], GOOD[0], GOOD[1]],
            &[GOOD[0], GOOD[1], GOOD[1]],
        ] {
            let refused = timed(wrong, BODY, SIGNED_S);
            assert!(matches!(refused, Some(Err(Failure::SignatureMalformed { .. }))), "{wrong:?}");
        }
    }
}
