//! What a flow's schedule takes from the clock on the wall of a place: a time of day, a window, and an offset of its own.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::hash::{FNV_BASIS, fnv1a, mixed};
use crate::time::UTC;

/// Seconds of a day.
pub const DAY_S: u32 = 86_400;

/// A time of day, in seconds from 00:00:00 on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// Reads `"02:30"` or `"02:30:15"`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not a time of day such as \"02:30\"", text.escape_debug());
        let mut parts = text.split(':').map(|part| match part.as_bytes() {
            [b'0'..=b'9', b'0'..=b'9'] => part.parse::<u32>().ok(),
            _ => None,
        });
        let mut next = |most: u32| parts.next().map(|part| part.filter(|number| *number <= most));
        match (next(23), next(59), next(59), next(0)) {
            (Some(Some(hours)), Some(Some(minutes)), seconds @ (None | Some(Some(_))), None) => {
                Ok(Self(hours * 3600 + minutes * 60 + seconds.flatten().unwrap_or(0)))
            }
            _ => Err(wrong()),
        }
    }

    /// Seconds from 00:00:00.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds) = (self.0 / 3600, self.0 / 60 % 60, self.0 % 60);
        write!(f, "{hours:02}:{minutes:02}")?;
        if seconds == 0 { Ok(()) } else { write!(f, ":{seconds:02}") }
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

/// What of a flow's definition goes by the clock of a place. By default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Anchors the grid of run times to this time of day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<TimeOfDay>,
    /// The IANA name of the place's time zone; UTC if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// From when, and until before when, a due flow may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_between: Option<[TimeOfDay; 2]>,
    /// Milliseconds over which the run times of many boxes are spread.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spread_ms: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's attribute asks for a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Calendar {
    /// Whether nothing of it is set.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The window with its zone, if there is one.
    pub fn window(&self) -> Option<Window> {
        let [from, until] = self.only_between?;
        Some(Window { from, until, time_zone: self.time_zone.clone().unwrap_or_else(|| UTC.to_owned()) })
    }

    /// This flow's own part of the spread on the box whose database has this id, in milliseconds: the same after
    /// restarts and with other versions of the program.
    pub fn offset_ms(&self, database_id: &str, flow: &str) -> i64 {
        if self.spread_ms == 0 {
            return 0;
        }
        // Mixed, so that every bit counts in the remainder.
        let bytes = database_id.bytes().chain([0]).chain(flow.bytes());
        i64::try_from(mixed(fnv1a(FNV_BASIS, bytes)) % self.spread_ms).unwrap_or(0)
    }
}

/// A part of every day in which flows may run. Flows with the same window share its text in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    from: TimeOfDay,
    until: TimeOfDay,
    /// Its zone's name.
    pub time_zone: String,
}

impl Window {
    /// Reads what its `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (times, time_zone) = text.split_once(' ')?;
        let (from, until) = times.split_once('-')?;
        let (from, until) = (TimeOfDay::parse(from).ok()?, TimeOfDay::parse(until).ok()?);
        Some(Self { from, until, time_zone: time_zone.to_owned() })
    }

    /// Whether it is open when the clocks of its zone show this civil time. It may cross midnight.
    pub fn is_open(&self, civil_s: i64) -> bool {
        self.open_for_s(civil_s).is_some()
    }

    /// For how many seconds it has been open then, by those clocks; none: it is shut.
    pub fn open_for_s(&self, civil_s: i64) -> Option<u32> {
        let time = u32::try_from(civil_s.rem_euclid(i64::from(DAY_S))).unwrap_or(0);
        let since_its_begin = |time: u32| (time + DAY_S - self.from.0) % DAY_S;
        let open_for_s = since_its_begin(time);
        (open_for_s < since_its_begin(self.until.0)).then_some(open_for_s)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{} {}", self.from, self.until, self.time_zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;
    use crate::time::testing::zone;

    #[test]
    fn a_time_of_day_reads_as_it_is_written() {
        for (text, seconds) in [("00:00", 0), ("02:30", 9000), ("23:59:59", 86_399)] {
            let time = TimeOfDay::parse(text).unwrap();
            assert_eq!((time.seconds(), time.to_string().as_str()), (seconds, text));
        }
        assert_eq!(TimeOfDay::parse("07:05:00").unwrap().to_string(), "07:05");
        for wrong in
            ["", "2:30", "24:00", "02:60", "02:30:60", "0230", "02:30:00:00", "+2:30", "02:3O", "-1:00"]
        {
            assert!(TimeOfDay::parse(wrong).is_err(), "{wrong}");
        }
    }

    fn window(from: &str, until: &str, zone: &str) -> Window {
        Window::parse(&format!("{from}-{until} {zone}")).unwrap()
    }

    #[test]
    fn a_window_opens_at_its_start_and_is_closed_at_its_end() {
        let night = window("22:00", "05:00", "UTC");
        assert_eq!(night.to_string(), "22:00-05:00 UTC");
        for (seconds, open) in [(0, true), (17_999, true), (18_000, false), (79_199, false), (79_200, true)] {
            assert_eq!(night.is_open(seconds), open, "{seconds}");
            assert_eq!(night.is_open(seconds - 3 * 86_400), open, "{seconds} before 1970");
        }
        let day = window("01:00", "05:00", "UTC");
        for (seconds, open) in [(3599, false), (3600, true), (17_999, true), (18_000, false)] {
            assert_eq!(day.is_open(seconds), open, "{seconds}");
        }
    }

    #[test]
    fn a_window_goes_by_the_clocks_of_its_zone_on_days_of_daylight_saving_too() {
        let berlin = zone("Europe/Berlin");
        let is_open =
            |window: &Window, at: &str| window.is_open(berlin.civil_s(Wall::parse_rfc3339(at).unwrap()));
        let skipped = window("02:00", "03:00", "Europe/Berlin");
        for minute in 0..60 {
            assert!(!is_open(&skipped, &format!("2026-03-29T00:{minute:02}:00Z")), "it is 1 o'clock");
            assert!(!is_open(&skipped, &format!("2026-03-29T01:{minute:02}:00Z")), "it is 3 o'clock");
        }
        let night = window("22:00", "02:30", "Europe/Berlin");
        for (at, open) in [
            ("2026-10-24T19:59:59Z", false),
            ("2026-10-24T20:00:00Z", true),
            ("2026-10-25T00:29:59Z", true),
            ("2026-10-25T00:30:00Z", false),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:29:59Z", true),
            ("2026-10-25T01:30:00Z", false),
        ] {
            assert_eq!(is_open(&night, at), open, "{at}");
        }
    }

    #[test]
    fn the_spread_is_the_same_for_ever_and_differs_by_box_and_flow() {
        let calendar = Calendar { spread_ms: 600_000, ..Calendar::default() };
        let id = "00000000000000000000000000000007";
        assert_eq!(calendar.offset_ms(id, "upload"), 18_286);
        assert_eq!(calendar.offset_ms(id, "backup"), 215_746);
        let offsets: Vec<i64> =
            (0..1000).map(|n| calendar.offset_ms(&format!("{n:032x}"), "upload")).collect();
        assert!(offsets.iter().all(|offset| (0..600_000).contains(offset)));
        for tenth in 0..10 {
            let there = offsets.iter().filter(|offset| **offset / 60_000 == tenth).count();
            assert!((60..140).contains(&there), "{there} of 1000 in tenth {tenth}");
        }
        assert_eq!(Calendar::default().offset_ms(id, "upload"), 0);
    }

    #[test]
    fn a_plain_calendar_is_stored_as_nothing() {
        assert_eq!(serde_json::to_string(&Calendar::default()).unwrap(), "{}");
        let text =
            r#"{"at":"02:30","time_zone":"Europe/Berlin","only_between":["22:00","05:00"],"spread_ms":5}"#;
        let calendar: Calendar = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&calendar).unwrap(), text);
        assert_eq!(calendar.window().unwrap().to_string(), "22:00-05:00 Europe/Berlin");
    }
}
