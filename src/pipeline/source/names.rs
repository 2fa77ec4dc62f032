//! What a file's name says of it.

use std::path::Path;

/// What compressors append to a name: such files are no text.
const COMPRESSED: [&str; 4] = ["gz", "xz", "zst", "bz2"];

pub(super) fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

pub(super) fn is_compressed(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| COMPRESSED.iter().any(|other| extension == *other))
}

/// Whether a file with this name may have had the other one before it was rotated away: a number or a date follows. What
/// merely begins alike is another's, such as `x.log.jsonl`, which a sink writes, or `x.log.tmp`, which is not whole yet.
pub(super) fn is_rotated(name: &str, live_name: &str) -> bool {
    let Some(suffix) = name.strip_prefix(live_name).filter(|_| !live_name.is_empty()) else { return false };
    suffix == ".old"
        || suffix
            .strip_prefix(['.', '-', '_'])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_or_a_date_makes_a_rotated_name() {
        for name in
            ["x.log.1", "x.log.12", "x.log-20261125", "x.log_2026-11-25", "x.log.2026-11-25", "x.log.old"]
        {
            assert!(is_rotated(name, "x.log"), "{name}");
        }
        for name in
            ["x.log", "x.log.jsonl", "x.log.db", "x.log.tmp", "x.logs", "x.log1", "x.log.", "y.log.1", ""]
        {
            assert!(!is_rotated(name, "x.log"), "{name}");
        }
        assert!(!is_rotated(".1", ""));
    }
}
