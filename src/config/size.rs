//! Sizes as people write them.

/// Units, largest first, in bytes.
const UNITS: [(&str, usize); 8] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

/// Reads a size, in bytes: `"64 KiB"`, `"1 MiB"`, `"2 MB"`, `"512"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let wrong = || {
        format!(
            "{} is not a size such as \"64 KiB\", \"1 MiB\", \"2 MB\" or bytes",
            super::fault::shown(text)
        )
    };
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at_checked(digits).ok_or_else(wrong)?;
    let number: usize = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start();
    let bytes = if unit.is_empty() { Some(1) } else { bytes_of(unit) };
    bytes.and_then(|bytes| number.checked_mul(bytes)).ok_or_else(wrong)
}

/// A size as [`parse_size`] reads it, in the largest binary unit that divides it: `64 KiB`, `1000 B`.
pub fn format_size(bytes: usize) -> String {
    let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
    match binary.into_iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

fn bytes_of(unit: &str) -> Option<usize> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("64 KiB", 65_536),
            ("1MiB", 1 << 20),
            ("2 MB", 2_000_000),
            ("512", 512),
            ("0 B", 0),
            (" 3 kB ", 3000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "KiB",
            "1.5 KiB",
            "-1",
            "1 kib",
            "1 Ki",
            "99999999999999999999",
            "18446744073709551615 KiB",
            "٣",
        ] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_formatted_size_reads_back() {
        for bytes in [0, 1, 1000, 1024, 65_536, 1 << 20, 3 << 30] {
            assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }
        assert_eq!(format_size(64 * 1024), "64 KiB");
    }
}
