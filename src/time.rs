//! The two clocks as types, and how times and durations are written.
//!
//! Wall time is for what is stored and compared with stored times; monotonic time is for durations and
//! time-outs. They do not mix: a box's wall clock may start in 1970 and jump by years.
//!
//! Architecture invariant: nothing here reads a clock. The shell does, once a round, and hands down one [`Now`].

mod zone;

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

#[cfg(test)]
pub(crate) use zone::testing;
pub use zone::{UTC, Zone, ZoneData, Zones};

/// A point on the wall clock: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

/// A point on the monotonic clock: time since an arbitrary start, the same for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// What is stored.
    pub wall: Wall,
    /// What time-outs are measured by.
    pub monotonic: Monotonic,
}

impl Wall {
    /// From milliseconds since 1970 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since 1970 UTC; what does not fit is the nearest that does.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970 UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970 UTC, rounded towards the past.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whether the clock has been set since the box was built (see [`crate::limits::RELEASE_EPOCH_MS`]).
    pub const fn is_set(self) -> bool {
        self.0 >= crate::limits::RELEASE_EPOCH_MS
    }

    /// This time in RFC 3339, UTC; milliseconds are written only when there are any, and then as three digits.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }

    /// The same, always with milliseconds, so that the order of texts is that of times.
    pub fn rfc3339_millis(self) -> String {
        let text = self.to_string();
        match text.strip_suffix('Z') {
            Some(second) if !second.contains('.') => format!("{second}.000Z"),
            _ => text,
        }
    }

    /// This time as HTTP's `Date` has it (RFC 9110 section 5.6.7, IMF-fixdate).
    pub fn http_date(self) -> String {
        let time = jiff::tz::Offset::UTC.to_datetime(self.timestamp());
        let named = |names: &[&'static str], number: i8| {
            names.get(usize::from(number.unsigned_abs())).copied().unwrap_or_default()
        };
        format!(
            "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
            named(&WEEKDAYS, time.weekday().to_monday_zero_offset()),
            time.day(),
            named(&MONTHS, time.month() - 1),
            time.year(),
            time.hour(),
            time.minute(),
            time.second()
        )
    }

    /// Reads an RFC 3339 time.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse_rfc3339(text: &str) -> Result<Self, String> {
        match text.parse::<jiff::Timestamp>() {
            Ok(timestamp) => Ok(Self(timestamp.as_millisecond())),
            Err(_) => Err(format!("`{text}` is not an RFC 3339 time such as 2026-11-23T10:30:00Z")),
        }
    }

    /// Reads HTTP's dates: the one that is written, and the two obsolete ones that are to be read as well (RFC 9110
    /// section 5.6.7). None if it is none of them.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let forms = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
        let civil = forms.iter().find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())?;
        let timestamp = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
        Some(Self(timestamp.as_millisecond()))
    }

    /// Reads a time as ActiveRecord writes it to SQLite, in UTC: `2025-11-17 10:30:00.123456`. None if it is none.
    pub fn parse_sql(text: &str) -> Option<Self> {
        let civil = text.parse::<jiff::civil::DateTime>().ok()?;
        let timestamp = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
        Some(Self(timestamp.as_millisecond()))
    }

    fn timestamp(self) -> jiff::Timestamp {
        let nearest = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(nearest)
    }
}

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl serde::Serialize for Wall {
    /// As in JSON everywhere: RFC 3339 in UTC.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some((text, length)) => f.write_str(std::str::from_utf8(&text[..length]).unwrap_or_default()),
            None => fmt::Display::fmt(&self.timestamp(), f),
        }
    }
}

impl Wall {
    /// Appends what `Display` writes.
    pub(crate) fn append_rfc3339(self, out: &mut Vec<u8>) {
        match self.text() {
            Some((text, length)) => out.extend_from_slice(&text[..length]),
            None => out.extend_from_slice(self.to_string().as_bytes()),
        }
    }

    /// This time in RFC 3339 and the length of that; none of years that have not four digits. By hand: every answer holds
    /// one, and general formatting costs more than the answer's signature.
    fn text(self) -> Option<([u8; 24], usize)> {
        let time = jiff::tz::Offset::UTC.to_datetime(self.timestamp());
        let year @ 0..=9999 = u64::try_from(time.year()).ok()? else { return None };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put(&mut text[0..4], year);
        for (start, number) in
            [(5, time.month()), (8, time.day()), (11, time.hour()), (14, time.minute()), (17, time.second())]
        {
            put(&mut text[start..start + 2], u64::from(number.unsigned_abs()));
        }
        let millisecond = self.0.rem_euclid(1000).unsigned_abs();
        put(&mut text[20..23], millisecond);
        let mut end = text.len();
        if millisecond == 0 {
            text[19] = b'Z';
            end = 20;
        }
        Some((text, end))
    }
}

/// Writes a number in decimal, right-aligned over what is there.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

impl Add<Duration> for Wall {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Monotonic {
    /// Time since the clock's arbitrary start.
    pub const fn since_start(duration: Duration) -> Self {
        Self(duration)
    }

    /// Time from `earlier` to here; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A duration in whole milliseconds, rounded down; what does not fit is the greatest that does.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Units, longest first, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads a duration as people write it: `"250ms"`, `"5s"`, `"15m"`, `"1h30m"`, `"90d"`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "`{text}` is not a duration such as \"250ms\", \"5s\", \"15m\", \"1h30m\", \"90d\" or whole seconds"
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    // Rust reads a sign as well.
    if rest.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = rest.parse::<u32>()
    {
        return Ok(Duration::from_secs(u64::from(seconds)));
    }
    let mut total_ms: u64 = 0;
    let mut last_unit_ms = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let (_, unit_ms) = *UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        // Descending units only: `1m1m` or `5s1h` is a slip, not a sum.
        if unit_ms >= last_unit_ms {
            return Err(wrong());
        }
        last_unit_ms = unit_ms;
        total_ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = &rest[digits + letters..];
    }
    Ok(Duration::from_millis(total_ms))
}

/// A duration as [`parse_duration`] reads it, in the fewest units: `1h30m`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit_ms) in UNITS.into_iter().filter(|(name, _)| *name != "w") {
        if rest_ms >= unit_ms {
            text.push_str(&format!("{}{name}", rest_ms / unit_ms));
            rest_ms %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let ms = |text| parse_duration(text).map(|d| d.as_millis());
        assert_eq!(ms("250ms"), Ok(250));
        assert_eq!(ms("1h30m"), Ok(5_400_000));
        assert_eq!(ms("90d"), Ok(7_776_000_000));
        assert_eq!(ms("5"), Ok(5000));
        for wrong in ["", "m", "5x", "1m1m", "5s1h", "-5s", "1.5h", "99999999999999999999s", "1h 30m", "+5"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_formatted_duration_reads_back() {
        for ms in [0, 1, 999, 1000, 61_001, 86_400_000, 7_776_000_000] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        assert_eq!(format_duration(Duration::from_secs(5400)), "1h30m");
    }

    #[test]
    fn each_form_of_a_http_date_is_read() {
        let time = Wall::from_seconds(784_111_777);
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(Wall::parse_http_date(date), Some(time), "{date}");
        }
        for wrong in [
            "",
            "120",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 2027 00:00:00 GMT",
        ] {
            assert_eq!(Wall::parse_http_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_written_as_the_standards_have_them() {
        let time = Wall::from_seconds(1_763_893_800);
        assert_eq!(time.rfc3339(), "2025-11-23T10:30:00Z");
        assert_eq!(time.http_date(), "Sun, 23 Nov 2025 10:30:00 GMT");
        for (day, date) in [(0, "Thu, 01 Jan 1970"), (59, "Sun, 01 Mar 1970"), (19_782, "Thu, 29 Feb 2024")] {
            assert_eq!(Wall::from_seconds(day * 86_400).http_date(), format!("{date} 00:00:00 GMT"));
        }
        assert_eq!(Wall::from_seconds(951_868_799).http_date(), "Tue, 29 Feb 2000 23:59:59 GMT");
        assert_eq!(Wall::from_seconds(1_766_880_000).http_date(), "Sun, 28 Dec 2025 00:00:00 GMT");
        assert_eq!(Wall::from_millis(1_763_893_800_050).rfc3339(), "2025-11-23T10:30:00.050Z");
        for (ms, written) in [(1_763_893_800_000, "10:30:00.000Z"), (1_763_893_800_050, "10:30:00.050Z")] {
            assert_eq!(Wall::from_millis(ms).rfc3339_millis(), format!("2025-11-23T{written}"));
        }
        assert_eq!(Wall::from_millis(-1).rfc3339(), "1969-12-31T23:59:59.999Z");
        for ms in [0, 1, 951_782_400_123, 4_102_444_799_999, i64::MAX] {
            let written = Wall::from_millis(ms).rfc3339();
            assert_eq!(Wall::parse_rfc3339(&written).map(Wall::rfc3339), Ok(written));
        }
        assert_eq!(Wall::parse_rfc3339("2025-11-23T10:30:00Z"), Ok(time));
        assert!(Wall::parse_rfc3339("yesterday").is_err());
        assert!(
            !Wall::from_millis(i64::MIN).rfc3339().is_empty(),
            "a time out of range is written, not a panic"
        );
    }
}
