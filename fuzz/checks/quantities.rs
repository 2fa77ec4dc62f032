//! Durations, sizes, times, dates, times of day and names, as people and protocols write them: no panic, what is written
//! of one reads back as the same, and dates are what counting days makes of them.
//!
//! Each line of the input is read as each of them; the first eight bytes are a number, which is written as each of them.

use std::time::Duration;

use heartbeat_runtime::config::{format_size, parse_size};
use heartbeat_runtime::flow::{FlowName, TimeOfDay, Window, parse_environment_file};
use heartbeat_runtime::http::client::Answer;
use heartbeat_runtime::limits;
use heartbeat_runtime::time::{Wall, format_duration, parse_duration};

use super::bytes::Bytes;

/// The target.
pub fn check(data: &[u8]) {
    let mut input = Bytes(data);
    let number = u64::try_from(input.number::<8>()).expect("8 bytes");
    number_is_written(number);
    let text = String::from_utf8_lossy(input.0);
    environment(&text);
    text.split('\n').for_each(line);
}

fn number_is_written(number: u64) {
    for shift in [0, 16, 32, 48] {
        let duration = Duration::from_millis(number >> shift);
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        let bytes = usize::try_from(number >> shift).expect("64 bits");
        assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        let time = Wall::from_millis(i64::try_from(number >> shift >> 1).expect("63 bits"));
        let seconds = Wall::from_seconds(time.as_seconds());
        // Years have four digits.
        if time.as_seconds() < 253_402_300_800 {
            assert_eq!(Wall::parse_rfc3339(&time.rfc3339()), Ok(time));
            assert_eq!(Wall::parse_rfc3339(&time.rfc3339_millis()), Ok(time));
            assert_eq!(time.http_date(), naive_http_date(seconds.as_seconds()));
            assert_eq!(Wall::parse_http_date(&time.http_date()), Some(seconds));
        }
        assert!(!time.http_date().is_empty() && !time.rfc3339().is_empty());
    }
}

/// RFC 9110 section 5.6.7, by counting days and months one after the other from 1970 on.
fn naive_http_date(seconds: i64) -> String {
    let (mut days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let weekday =
        ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).expect("a weekday")];
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let months = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= months[month] {
        days -= months[month];
        month += 1;
    }
    let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{weekday}, {:02} {} {year:04} {hour:02}:{minute:02}:{second:02} GMT", days + 1, names[month])
}

fn line(text: &str) {
    match parse_duration(text) {
        Ok(duration) => {
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
            assert_eq!(naive_duration_ms(text.trim()), Some(duration.as_millis()), "{text}");
        }
        Err(wrong) => {
            assert!(wrong.contains("\"1h30m\""));
            assert_eq!(naive_duration_ms(text.trim()), None, "{text}");
        }
    }
    if let Ok(bytes) = parse_size(text) {
        assert_eq!(parse_size(&format_size(bytes)), Ok(bytes), "{text}");
        assert!(text.trim().starts_with(|letter: char| letter.is_ascii_digit()));
    }
    if let Ok(time) = Wall::parse_rfc3339(text) {
        let written = time.rfc3339();
        assert_eq!(Wall::parse_rfc3339(&written).map(Wall::rfc3339), Ok(written), "{text}");
    }
    if let Ok(time) = TimeOfDay::parse(text) {
        assert!(time.seconds() < 86_400);
        assert_eq!(TimeOfDay::parse(&time.to_string()), Ok(time), "{text}");
    }
    if let Some(window) = Window::parse(text) {
        assert_eq!(Window::parse(&window.to_string()).as_ref(), Some(&window), "{text}");
    }
    if let Ok(name) = FlowName::new(text) {
        assert!(name.as_str() == text && (1..=limits::FLOW_NAME_BYTES_MAX).contains(&text.len()));
    }
    // What a server says of waiting is a number of seconds, or a time that is compared with ours.
    let answer = Answer { fields: vec![("retry-after".to_owned(), text.to_owned())], ..Answer::default() };
    let (now, wait) =
        (Wall::from_seconds(1_700_000_000), answer.retry_after(Wall::from_seconds(1_700_000_000)));
    let is_number = !text.trim().is_empty() && text.trim().bytes().all(|byte| byte.is_ascii_digit());
    match Wall::parse_http_date(text.trim()) {
        Some(time) => {
            let ahead_ms = u64::try_from(time.as_millis() - now.as_millis()).unwrap_or(0);
            assert_eq!(wait, Some(Duration::from_millis(ahead_ms)), "{text}");
        }
        None => assert_eq!(wait.is_some(), is_number, "{text}"),
    }
}

/// The sum of its parts; each unit once, in descending order. Or whole seconds.
fn naive_duration_ms(text: &str) -> Option<u128> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u32>().ok().map(|seconds| u128::from(seconds) * 1000);
    }
    let units = ["w", "d", "h", "m", "s", "ms"];
    let (mut sum, mut number, mut unit) = (0_u128, String::new(), String::new());
    let mut last = None;
    for letter in text.chars().chain(['0']) {
        if letter.is_ascii_digit() && !unit.is_empty() {
            let place = units.iter().position(|known| *known == unit)?;
            if last.is_some_and(|last| last >= place) {
                return None;
            }
            last = Some(place);
            let unit_ms = [604_800_000, 86_400_000, 3_600_000, 60_000, 1000, 1][place];
            sum += u128::from(number.parse::<u64>().ok()?) * unit_ms;
            (number, unit) = (String::new(), String::new());
        }
        match letter {
            '0'..='9' => number.push(letter),
            'a'..='z' if !number.is_empty() => unit.push(letter),
            _ => return None,
        }
    }
    // The digit that ended it stands alone.
    (number == "0" && last.is_some() && sum <= u64::MAX.into()).then_some(sum)
}

/// A file of variables is read or refused with a line; a value is in no message.
fn environment(text: &str) {
    match parse_environment_file(text) {
        Ok(variables) => {
            // What execve(2) takes, and nothing that a run is told by the daemon.
            for (name, value) in &variables {
                assert!(
                    !name.is_empty() && !name.contains(['=', '\0', '\n']) && !value.contains(['\0', '\n'])
                );
                assert!(!name.starts_with("HEARTBEAT_") && !name.starts_with("HEARTBEATD_"));
            }
        }
        Err((line, wrong)) => {
            assert!(line >= 1 && line <= text.lines().count().max(1) && !wrong.is_empty());
        }
    }
}
