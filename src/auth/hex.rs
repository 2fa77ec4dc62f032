//! A message's code as GitHub and Grafana write it: 64 hexadecimal digits.

use super::secret::TAG_BYTES;

/// Reads a code. Only lower case is taken, as both senders write it, so that one code has one text.
pub(super) fn decode(text: &[u8]) -> Option<[u8; TAG_BYTES]> {
    let mut code = [0; TAG_BYTES];
    if text.len() != 2 * TAG_BYTES {
        return None;
    }
    for (byte, pair) in code.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(code)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_digits_are_a_code() {
        let right = "00ff".repeat(16);
        assert_eq!(decode(right.as_bytes()), Some([0, 0xff].repeat(16).try_into().unwrap()));
        for wrong in ["", &right[1..], &format!("{right}0"), &right.to_uppercase(), &"0g".repeat(32)] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
