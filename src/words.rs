//! Figures as people say them: "3 min ago", "2.1s", "12 MiB", "2 flows".

use std::time::Duration;

use crate::time::{Wall, format_duration};

/// Units from the greatest on, in milliseconds, each with the count from which it is used.
const UNITS: [(&str, u64, u64); 4] =
    [("d", 86_400_000, 2), ("h", 3_600_000, 2), ("min", 60_000, 2), ("s", 1000, 1)];

/// So many of what the noun says: `1 flow`, `2 flows`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How long `time` is gone or still to come.
pub(crate) fn relative(time: Wall, now: Wall) -> String {
    let distance_ms = time.as_millis().abs_diff(now.as_millis());
    let Some((unit, count)) = UNITS
        .into_iter()
        .map(|(unit, unit_ms, least)| (unit, distance_ms / unit_ms, least))
        .find(|(_, count, least)| count >= least)
        .map(|(unit, count, _)| (unit, count))
    else {
        return "now".to_owned();
    };
    if time < now { format!("{count} {unit} ago") } else { format!("in {count} {unit}") }
}

/// A time with how long it is gone.
pub(crate) fn with_relative(time: Wall, now: Wall) -> String {
    let whole_seconds = Wall::from_seconds(time.as_seconds());
    format!("{whole_seconds} ({})", relative(time, now))
}

/// Milliseconds as people read them: `340ms`, `2.1s`, `3m12s`.
pub(crate) fn duration_ms(milliseconds: i64) -> String {
    let ms = u64::try_from(milliseconds).unwrap_or(0);
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => format_duration(Duration::from_secs(ms / 1000)),
    }
}

/// `12 MiB`, rounded down; a tenth where there are few.
pub(crate) fn bytes(count: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| count >= *unit) {
        Some((name, unit)) if count / unit < 10 => {
            format!("{}.{} {name}", count / unit, count % unit * 10 / unit)
        }
        Some((name, unit)) => format!("{} {name}", count / unit),
        None => format!("{count} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_now() {
        let now = Wall::from_seconds(1_000_000);
        let at = |seconds: i64| relative(Wall::from_seconds(1_000_000 + seconds), now);
        assert_eq!(at(0), "now");
        assert_eq!(at(12), "in 12 s");
        assert_eq!(at(-90), "90 s ago");
        assert_eq!(at(-180), "3 min ago");
        assert_eq!(at(7200), "in 2 h");
        assert_eq!(at(-86_400 * 3), "3 d ago");
        assert_eq!(relative(Wall::from_millis(i64::MIN), Wall::from_millis(i64::MAX)), "213503982334 d ago");
    }

    #[test]
    fn durations_keep_two_digits_or_so() {
        assert_eq!([340, 2140, 192_000, -1].map(duration_ms), ["340ms", "2.1s", "3m12s", "0ms"]);
    }

    #[test]
    fn sizes_keep_a_tenth_where_there_are_few() {
        assert_eq!(
            [0, 1023, 1536, 12 << 20, 3 << 30].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "12 MiB", "3.0 GiB"]
        );
    }
}
