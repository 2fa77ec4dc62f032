//! The static `X-Heartbeat-Token`, for agents that cannot sign.
//!
//! Kept is only a code of the token, 32 bytes whatever its length, and codes are compared: neither where a guess
//! differs nor how long the token is shows in the time taken. Such a request carries no signed time and no id, so it
//! can be replayed; the security guide says so.

use std::fmt;

use hmac::Hmac;
use hmac::digest::{FixedOutput as _, Update as _};
use sha2::Sha256;

use super::secret::{Tag, keyed};
use super::{Clock, Failure, Field, Fields, Scheme, Signed};
use crate::limits;

const FIELD: &str = "x-heartbeat-token";

/// A static token, and the scheme that accepts it.
pub struct Token {
    /// Fixed and no secret: it only turns texts of any length into codes of one length.
    start: Hmac<Sha256>,
    code: Tag,
}

impl Token {
    /// Reads a token file or variable: 16 to 512 visible ASCII characters, white space around them ignored.
    ///
    /// # Errors
    /// A sentence that says what would be right; it never holds any of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim_ascii();
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token is one line of visible ASCII characters without spaces".to_owned());
        }
        if !(limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX).contains(&token.len()) {
            let (least, most) = (limits::TOKEN_BYTES_MIN, limits::TOKEN_BYTES_MAX);
            return Err(format!("the token has {} characters; {least} to {most} are right", token.len()));
        }
        let start = keyed(FIELD.as_bytes());
        let code = code(&start, token.as_bytes());
        Ok(Self { start, code })
    }
}

fn code(start: &Hmac<Sha256>, token: &[u8]) -> Tag {
    let mut mac = start.clone();
    mac.update(token);
    Tag::new(mac.finalize_fixed())
}

impl Scheme for Token {
    fn wants(&self) -> &'static str {
        FIELD
    }

    fn verify<'r>(&self, fields: &'r dyn Fields, _: &[u8], _: &Clock) -> Option<Result<Signed<'r>, Failure>> {
        match fields.field(FIELD) {
            Field::Absent => None,
            Field::Repeated => {
                Some(Err(Failure::SignatureMalformed { why: "x-heartbeat-token may come only once" }))
            }
            Field::One(given) if code(&self.start, given) == self.code => {
                Some(Ok(Signed { id: None, signed_at: None }))
            }
            Field::One(_) => Some(Err(Failure::TokenMismatch)),
        }
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

    fn verdict(values: &[&str]) -> Option<Result<(), Failure>> {
        let fields = Pairs(values.iter().map(|value| (FIELD, value.as_bytes().to_vec())).collect());
        let clock = Clock { now: Wall::from_seconds(0), greatest_signed_at: None };
        Token::parse(TOKEN).unwrap().verify(&fields, b"", &clock).map(|result| result.map(|_| ()))
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
