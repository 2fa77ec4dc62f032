//! What fields say about the end of a message and of its connection, the same for requests and for answers.

use super::error::{ErrorCode, Refusal};
use super::method::is_token_byte;

/// What the `Transfer-Encoding` fields, which are one list, have named so far (RFC 9112 section 6.1).
#[derive(Default)]
pub(super) struct Codings {
    any: bool,
    chunked: bool,
    after_chunked: bool,
    malformed: bool,
    unknown: bool,
}

impl Codings {
    pub(super) fn note(&mut self, value: &[u8]) {
        for coding in elements(value) {
            self.any = true;
            self.after_chunked |= self.chunked;
            // An empty element may be ignored (RFC 9110 section 5.6.1.2); no honest sender makes one here.
            // Parameters of chunked are an error (RFC 9112 section 7.1), and no other coding is known.
            self.malformed |= coding.is_empty() || !coding.iter().all(|&byte| is_token_byte(byte));
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.unknown = true;
            }
        }
    }

    pub(super) fn are_chunked(&self) -> Result<bool, Refusal> {
        if self.malformed || self.after_chunked {
            return Err(Refusal::bad("the Transfer-Encoding is not chunked once and last"));
        }
        if self.unknown {
            return Err(Refusal::new(ErrorCode::NotImplemented, "the only transfer coding known is chunked"));
        }
        Ok(self.any)
    }
}

/// What the `Connection` fields have said so far.
#[derive(Default)]
pub(super) struct Persistence {
    close: bool,
    keep_alive: bool,
}

impl Persistence {
    pub(super) fn note(&mut self, value: &[u8]) {
        for option in elements(value) {
            // What is no token hides whatever it was meant to say, and readers differ over it: the safe reading is the end.
            self.close |=
                option.eq_ignore_ascii_case(b"close") || !option.iter().all(|&byte| is_token_byte(byte));
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Whether the connection goes on after a message of this version (RFC 9112 section 9.3): "close" wins over
    /// everything.
    pub(super) fn holds(&self, minor_version: u8) -> bool {
        !self.close && (minor_version == 1 || self.keep_alive)
    }
}

/// The elements of a list (RFC 9110 section 5.6.1), empty ones included. None may be a quoted string.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Digits and nothing else, no sign, within 64 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Without optional white space: space and tab, nothing else (RFC 9110 section 5.6.3).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
