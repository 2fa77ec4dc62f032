//! Numbers as text, without an allocation.

/// Appends a number in decimal digits.
pub(crate) fn append_decimal(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.get_mut(start..).unwrap_or_default().reverse();
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_are_those_that_the_standard_library_writes() {
        for number in [0, 7, 10, 199, 65_536, u64::MAX] {
            let mut out = b"n=".to_vec();
            super::append_decimal(&mut out, number);
            assert_eq!(out, format!("n={number}").into_bytes());
        }
    }
}
