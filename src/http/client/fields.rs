//! Which fields a request may be given.

use crate::http::method::is_token_byte;

/// Fields that say how a message is framed and sent: they are the client's own.
const RESERVED: &[&str] = &[
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "TE",
    "Trailer",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
];

/// Whether a request may have this field (RFC 9110 sections 5.1 and 5.5). The value, which may be a credential, is
/// in no message.
///
/// # Errors
/// A sentence that says what would be right.
pub fn check_field(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(format!("`{}` is not a field's name: letters, digits and `-`", name.escape_debug()));
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(format!("the field {reserved} is set by the client itself: leave it out"));
    }
    let text = value.as_bytes();
    if text.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err(format!(
            "the value of {name} has a line end or another control character: give one line of text"
        ));
    }
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = text {
        return Err(format!("the value of {name} begins or ends with white space: leave it out"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_field;

    #[test]
    fn names_are_tokens_and_values_one_line_of_text() {
        for (name, value) in
            [("Accept", "text/csv"), ("X-a_b!", ""), ("Authorization", "Bearer a b\tc"), ("X", "caf\u{e9}")]
        {
            assert_eq!(check_field(name, value), Ok(()), "{name}");
        }
        for (name, value) in [
            ("", "a"),
            ("a b", "c"),
            ("a:", "b"),
            ("caf\u{e9}", "a"),
            ("a\r\nb", "c"),
            ("a", "b\r\nHost: c"),
            ("a", "b\nc"),
            ("a", "b\rc"),
            ("a", "b\0"),
            ("a", "b\x7f"),
            ("a", " b"),
            ("a", "b\t"),
            ("a", " "),
        ] {
            assert!(check_field(name, value).is_err(), "{name:?} {value:?}");
        }
    }

    #[test]
    fn what_the_client_sets_is_not_given() {
        for name in ["host", "CONTENT-LENGTH", "Transfer-encoding", "te", "Accept-Encoding", "Expect"] {
            assert!(check_field(name, "a").unwrap_err().contains("set by the client"), "{name}");
        }
    }

    #[test]
    fn no_message_has_the_value() {
        for value in ["hunter2\n", " hunter2"] {
            assert!(!check_field("Authorization", value).unwrap_err().contains("hunter2"));
        }
    }
}
