//! `Prefer: wait=N` (RFC 7240).

use super::method::is_token_byte;

/// The seconds of the first `wait` among the preferences of all `Prefer` fields, which are one list. Only the
/// first counts (section 2), even if it is not a number; what cannot be read is passed over, as a preference
/// is never a reason to refuse. More seconds than fit are as many as fit: the caller has a limit anyway.
pub(super) fn wait_seconds<'a>(fields: impl Iterator<Item = &'a [u8]>) -> Option<u64> {
    fields.flat_map(|field| elements(field, b',')).find_map(wait_of).flatten()
}

/// `Some(None)` for a `wait` that is not a number of seconds (section 4.3).
fn wait_of(preference: &[u8]) -> Option<Option<u64>> {
    // Parameters of a preference follow a semicolon; `wait` has none.
    let pair = elements(preference, b';').next()?;
    let name_bytes = pair.iter().take_while(|&&byte| is_token_byte(byte)).count();
    let (name, rest) = pair.split_at(name_bytes);
    if !name.eq_ignore_ascii_case(b"wait") {
        return None;
    }
    let value = rest.trim_ascii().strip_prefix(b"=").unwrap_or_default().trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|quoted| quoted.strip_suffix(b"\"")).unwrap_or(value);
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Some(None);
    }
    let seconds = value.iter().fold(0_u64, |sum, &digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
    });
    Some(Some(seconds))
}

/// Splits at a separator that stands outside quoted strings.
fn elements(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    list.split(move |&byte| {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        }
        !quoted && byte == separator
    })
    .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::wait_seconds;

    fn wait(fields: &[&str]) -> Option<u64> {
        wait_seconds(fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn a_wait_is_found_among_other_preferences() {
        for fields in [
            &["wait=10"][..],
            &["WAIT = 10"],
            &["wait=\"10\""],
            &["respond-async, wait=10"],
            &["respond-async; a=\"b, wait=3\", wait=10;x=y"],
            &["a=\"\\\", wait=3\", wait=10"],
            &["respond-async", "wait=10"],
            &["wait=10", "wait=20"],
            &["wait=10, wait=20"],
            &[", ,wait=010,"],
        ] {
            assert_eq!(wait(fields), Some(10), "{fields:?}");
        }
        assert_eq!(wait(&["wait=99999999999999999999999"]), Some(u64::MAX));
    }

    #[test]
    fn a_wait_that_is_no_number_is_no_wait_and_hides_the_later_ones() {
        for fields in [
            &[][..],
            &["await=10"],
            &["wait"],
            &["wait="],
            &["wait=-1"],
            &["wait=1.5"],
            &["wait=x, wait=10"],
            &["a; wait=10"],
            &["a=\"wait=10"],
        ] {
            assert_eq!(wait(fields), None, "{fields:?}");
        }
    }
}
