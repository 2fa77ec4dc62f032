//! GitHub's webhooks: `X-Hub-Signature-256: sha256=…`, HMAC-SHA256 over the body alone. Source:
//! <https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>.
//!
//! Neither a time nor the delivery's id is signed: the id tells an honest retry, and whoever captures a request can
//! send it again under another one.

use super::secret::{any_fits, of_one_agent};
use super::{Clock, Failure, Field, Fields, Scheme, Secret, Signed, hex, well_formed_id};

const SIGNATURE: &str = "x-hub-signature-256";
const DELIVERY: &str = "x-github-delivery";
const MALFORMED: &str = "x-hub-signature-256 is sha256= and 64 hexadecimal digits, once";

/// Verifies requests signed as GitHub does, with any of several secrets.
#[derive(Debug)]
pub struct GitHub {
    secrets: Vec<Secret>,
}

impl GitHub {
    /// Accepts any of `secrets`.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is no secret, there are too many, or one stands twice.
    pub fn new(secrets: Vec<Secret>) -> Result<Self, String> {
        Ok(Self { secrets: of_one_agent(secrets)? })
    }

    fn judge<'r>(
        &self,
        [signature, delivery]: [Field<'r>; 2],
        body: &[u8],
        clock: &Clock,
    ) -> Result<Signed<'r>, Failure> {
        let malformed = |why| Err(Failure::SignatureMalformed { why });
        let code = match signature {
            // GitHub signs only if the webhook has a secret.
            Field::Absent => return Err(Failure::SignatureMissing { which: SIGNATURE }),
            Field::One(value) => value.strip_prefix(b"sha256=").and_then(hex::decode),
            Field::Repeated => None,
        };
        let Some(code) = code else { return malformed(MALFORMED) };
        let id = match delivery {
            Field::Absent => None,
            Field::One(value) => match well_formed_id(value) {
                Some(id) => Some(id.into()),
                None => {
                    return malformed("x-github-delivery is 1 to 256 visible ASCII characters without a dot");
                }
            },
            Field::Repeated => return malformed("x-github-delivery may come only once"),
        };
        match any_fits(&self.secrets, clock, &[body], &[code]) {
            true => Ok(Signed { id, signed_at: None }),
            false => Err(Failure::SignatureMismatch),
        }
    }
}

impl Scheme for GitHub {
    fn name(&self) -> &'static str {
        "github"
    }

    fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    fn can_be_replayed(&self) -> bool {
        true
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
        let fields = [SIGNATURE, DELIVERY].map(|name| fields.field(name));
        if fields == [Field::Absent; 2] { None } else { Some(self.judge(fields, body, clock)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::super::testing::Pairs;
    use super::*;
    use crate::time::Wall;

    /// GitHub's own example.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const RIGHT: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const NOW: Wall = Wall::from_seconds(1_763_900_000);

    fn scheme(lines: &str) -> GitHub {
        GitHub::new(Secret::parse_file_of(lines, Form::Text).unwrap()).unwrap()
    }

    fn verdict(
        lines: &str,
        fields: &[(&'static str, &str)],
        body: &[u8],
    ) -> Option<Result<Option<String>, Failure>> {
        let fields = Pairs(fields.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect());
        let clock = Clock { now: NOW, greatest_signed_at: None };
        let result = scheme(lines).verify(&fields, body, &clock);
        result.map(|result| result.map(|signed| signed.id.map(|id| id.into_owned())))
    }

    #[test]
    fn the_body_is_proved_and_the_delivery_is_the_id() {
        let id = "72d3162e-cc78-11e3-81ab-4c9367dc0958";
        let fields = [(SIGNATURE, RIGHT), (DELIVERY, id)];
        assert_eq!(verdict(SECRET, &fields, BODY), Some(Ok(Some(id.to_owned()))));
        assert_eq!(verdict(SECRET, &fields[..1], BODY), Some(Ok(None)));
        assert_eq!(verdict(SECRET, &[], BODY), None);
    }

    #[test]
    fn what_was_tampered_with_is_refused() {
        let mismatch = Some(Err(Failure::SignatureMismatch));
        assert_eq!(verdict(SECRET, &[(SIGNATURE, RIGHT)], b"Hello, World"), mismatch);
        assert_eq!(verdict("It's a Secret to Nobody..", &[(SIGNATURE, RIGHT)], BODY), mismatch);
        let flipped = RIGHT.replace("757107", "757106");
        assert_eq!(verdict(SECRET, &[(SIGNATURE, &flipped)], BODY), mismatch);
    }

    #[test]
    fn what_cannot_be_read_or_comes_twice_is_malformed() {
        let bare = RIGHT.trim_start_matches("sha256=");
        let sha1 = RIGHT.replace("sha256", "sha1");
        let upper = RIGHT.to_uppercase();
        for wrong in ["", bare, &sha1, &upper, &RIGHT[..70], &format!("{RIGHT}00")] {
            let refused = verdict(SECRET, &[(SIGNATURE, wrong)], BODY);
            assert!(matches!(refused, Some(Err(Failure::SignatureMalformed { .. }))), "{wrong}");
        }
        for twice in [
            &[(SIGNATURE, RIGHT), (SIGNATURE, RIGHT)][..],
            &[(SIGNATURE, RIGHT), (DELIVERY, "a"), (DELIVERY, "a")],
            &[(SIGNATURE, RIGHT), (DELIVERY, "a.b")],
        ] {
            let refused = verdict(SECRET, twice, BODY);
            assert!(matches!(refused, Some(Err(Failure::SignatureMalformed { .. }))), "{twice:?}");
        }
        let unsigned = Some(Err(Failure::SignatureMissing { which: SIGNATURE }));
        assert_eq!(verdict(SECRET, &[(DELIVERY, "a")], BODY), unsigned, "the webhook has no secret");
    }

    #[test]
    fn several_secrets_are_in_force_until_they_end() {
        let (ended, lasting) = (NOW, Wall::from_seconds(NOW.as_seconds() + 1));
        let line = |until: Wall| format!("another secret of 16\n{SECRET} until={until}\n");
        assert_eq!(verdict(&line(lasting), &[(SIGNATURE, RIGHT)], BODY), Some(Ok(None)));
        let refused = verdict(&line(ended), &[(SIGNATURE, RIGHT)], BODY);
        assert_eq!(refused, Some(Err(Failure::SignatureMismatch)));
    }
}
