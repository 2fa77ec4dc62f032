//! Static tokens, for agents that cannot sign: `X-Heartbeat-Token: TOKEN`, and for an agent with the scheme `token`
//! `Authorization: Bearer TOKEN` (RFC 6750 section 2.1) as well.
//!
//! Such a request carries no signed time and no id, so it can be replayed; the security guide says so.

use std::fmt;

use super::secret::of_one_agent;
use super::{Clock, Failure, Field, Fields, Form, Scheme, Secret, Signed};

const FIELD: &str = "x-heartbeat-token";
const AUTHORIZATION: &str = "authorization";
const BEARER: &[u8] = b"bearer ";

/// Static tokens, and the scheme that accepts any of them.
pub struct Token {
    tokens: Vec<Secret>,
    /// Whether `Authorization` is looked at, too.
    takes_bearer: bool,
}

impl Token {
    /// Reads a token file or variable: 16 to 512 visible ASCII characters, white space around them ignored. Only
    /// `X-Heartbeat-Token` may carry it.
    ///
    /// # Errors
    /// A sentence that says what would be right; it never holds any of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).map(Self::of_top_level)
    }

    /// Reads it, and makes no scheme of it yet.
    ///
    /// # Errors
    /// As above.
    pub fn read(text: &str) -> Result<Secret, String> {
        Secret::from_text(text.trim_ascii(), Form::Token)
    }

    /// Accepts this one, in `X-Heartbeat-Token` alone.
    pub fn of_top_level(token: Secret) -> Self {
        Self { tokens: vec![token], takes_bearer: false }
    }

    /// Accepts any of `tokens` in either field.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is no token, there are too many, or one stands twice.
    pub fn of_agent(tokens: Vec<Secret>) -> Result<Self, String> {
        Ok(Self { tokens: of_one_agent(tokens)?, takes_bearer: true })
    }

    /// All are compared, so that the time taken does not tell which one it is.
    fn accepts(&self, given: &[u8], clock: &Clock) -> bool {
        let latest = clock.latest();
        let in_force = self.tokens.iter().filter(|token| token.is_in_force(latest));
        in_force.fold(false, |fits, token| fits | token.is(given))
    }
}

/// What follows `Bearer`; another authorization is somebody else's.
fn bearer(field: Field<'_>) -> Field<'_> {
    let Field::One(value) = field else { return field };
    match value.split_at_checked(BEARER.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(BEARER) => Field::One(token.trim_ascii_start()),
        _ => Field::Absent,
    }
}

impl Scheme for Token {
    fn name(&self) -> &'static str {
        "token"
    }

    fn secrets(&self) -> &[Secret] {
        &self.tokens
    }

    fn can_be_replayed(&self) -> bool {
        true
    }

    fn wants(&self) -> &'static str {
        if self.takes_bearer { "authorization: Bearer TOKEN, or x-heartbeat-token" } else { FIELD }
    }

    fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        _: &[u8],
        clock: &Clock,
    ) -> Option<Result<Signed<'r>, Failure>> {
        let authorization =
            if self.takes_bearer { bearer(fields.field(AUTHORIZATION)) } else { Field::Absent };
        let given = match (fields.field(FIELD), authorization) {
            (Field::Absent, Field::Absent) => return None,
            (Field::One(given), Field::Absent) | (Field::Absent, Field::One(given)) => given,
            _ => {
                let why = "a token may come only once, in x-heartbeat-token or in authorization";
                return Some(Err(Failure::SignatureMalformed { why }));
            }
        };
        Some(match self.accepts(given, clock) {
            true => Ok(Signed { id: None, signed_at: None }),
            false => Err(Failure::TokenMismatch),
        })
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pairs;
    use super::*;
    use crate::time::Wall;

    const TOKEN: &str = "0123456789abcdef";
    const OTHER: &str = "fedcba9876543210";

    fn judge(token: &Token, fields: &[(&'static str, &str)]) -> Option<Result<(), Failure>> {
        let fields = Pairs(fields.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect());
        let clock = Clock { now: Wall::from_seconds(1000), greatest_signed_at: None };
        token.verify(&fields, b"", &clock).map(|result| result.map(|_| ()))
    }

    fn verdict(values: &[&str]) -> Option<Result<(), Failure>> {
        let fields: Vec<_> = values.iter().map(|value| (FIELD, *value)).collect();
        judge(&Token::parse(TOKEN).unwrap(), &fields)
    }

    fn of_agent(lines: &str, fields: &[(&'static str, &str)]) -> Option<Result<(), Failure>> {
        judge(&Token::of_agent(Secret::parse_file_of(lines, Form::Token).unwrap()).unwrap(), fields)
    }

    #[test]
    fn only_the_whole_token_is_accepted() {
        assert_eq!(verdict(&[TOKEN]), Some(Ok(())));
        for wrong in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0", &"x".repeat(9999)] {
            assert_eq!(verdict(&[wrong]), Some(Err(Failure::TokenMismatch)), "{wrong}");
        }
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn a_repeated_token_is_refused() {
        assert!(matches!(verdict(&[TOKEN, TOKEN]), Some(Err(Failure::SignatureMalformed { .. }))));
        let bearer = format!("Bearer {TOKEN}");
        for twice in [
            [(FIELD, TOKEN), (AUTHORIZATION, bearer.as_str())],
            [(AUTHORIZATION, bearer.as_str()), (AUTHORIZATION, bearer.as_str())],
        ] {
            let refused = of_agent(TOKEN, &twice);
            assert!(matches!(refused, Some(Err(Failure::SignatureMalformed { .. }))), "{twice:?}");
        }
    }

    #[test]
    fn an_agent_may_carry_it_as_a_bearer_and_other_authorizations_are_none_of_ours() {
        for right in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef"] {
            assert_eq!(of_agent(TOKEN, &[(AUTHORIZATION, right)]), Some(Ok(())), "{right}");
        }
        assert_eq!(of_agent(TOKEN, &[(FIELD, TOKEN)]), Some(Ok(())));
        let wrong = of_agent(TOKEN, &[(AUTHORIZATION, "Bearer 0123456789abcde")]);
        assert_eq!(wrong, Some(Err(Failure::TokenMismatch)));
        for other in ["Basic 0123456789abcdef", TOKEN, "Bearer", ""] {
            assert_eq!(of_agent(TOKEN, &[(AUTHORIZATION, other)]), None, "{other}");
            let both = of_agent(TOKEN, &[(AUTHORIZATION, other), (FIELD, TOKEN)]);
            assert_eq!(both, Some(Ok(())), "{other}");
        }
        let top_level = judge(&Token::parse(TOKEN).unwrap(), &[(AUTHORIZATION, "Bearer 0123456789abcdef")]);
        assert_eq!(top_level, None, "the top level's has its own field");
    }

    #[test]
    fn several_tokens_are_in_force_until_they_end() {
        let lines =
            format!("{TOKEN} until=1970-01-01T00:16:40Z\n{OTHER} until=1970-01-01T00:16:41Z\n# a note\n");
        assert_eq!(of_agent(&lines, &[(FIELD, TOKEN)]), Some(Err(Failure::TokenMismatch)));
        assert_eq!(of_agent(&lines, &[(FIELD, OTHER)]), Some(Ok(())));
    }

    #[test]
    fn a_token_is_16_to_512_visible_characters() {
        for right in [TOKEN, &format!("{TOKEN}\r\n"), &"~".repeat(512)] {
            assert!(Token::parse(right).is_ok(), "{right}");
        }
        let inner_space = format!("{TOKEN} {TOKEN}");
        for wrong in ["", "0123456789abcde", &"~".repeat(513), &inner_space, "0123456789abcdéf"] {
            let message = Token::parse(wrong).unwrap_err();
            assert!(wrong.is_empty() || !message.contains(wrong), "{message}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", Token::parse(TOKEN).unwrap()), "Token(…)");
    }
}
