//! What the keys of a flow's schedule cannot say alone: whether they fit each other, and whether the zone is known.

use std::time::Duration;

use super::document::{Node, Raw};
use super::fault::shown;
use super::flow_keys::Draft;
use super::key::{Judge, most_alike};
use super::kind::milliseconds;
use crate::flow::{Calendar, DAY_S, Schedule};
use crate::time::{Zones, format_duration};

pub(super) fn calendar(draft: &Draft, zones: &Zones, judge: &mut Judge<'_>) -> Calendar {
    let calendar = Calendar {
        at: draft.at,
        time_zone: draft.time_zone.clone(),
        only_between: draft.only_between,
        spread_ms: draft.spread.map(milliseconds).unwrap_or(0),
    };
    if let Some(name) = &calendar.time_zone {
        zone(name, zones, judge);
    }
    if calendar.only_between.is_some_and(|[from, until]| from == until) {
        let help = "give another end, which is the first time outside, such as only_between = [\"01:00\", \"05:00\"]";
        judge.fault_of("only_between", "starts and ends at the same time", help);
    }
    if calendar.at.is_some() && draft.schedule == Some(Schedule::FixedDelay) {
        let help = "keep at and remove schedule, or count from the end of the last run and remove at";
        judge.fault_of("at", "stands beside schedule = \"fixed_delay\", whose times follow no clock", help);
    }
    if let Some(interval_s) = draft.run_interval_s {
        interval(&calendar, interval_s, judge);
    }
    calendar
}

/// The keys that do what a line of crontab(5) does, or an example where that is not easily told; `None` if this is none.
pub(super) fn instead_of_cron(node: &Node) -> Option<String> {
    let Raw::Text(line) = &node.value else { return None };
    let line = match line.as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" | "@monthly" => "0 0 * * 0",
        line => line,
    };
    let fields: Vec<&str> = line.split_whitespace().collect();
    let is_field = |field: &&str| field.starts_with(|first: char| first == '*' || first.is_ascii_digit());
    if fields.len() != 5 || !fields.iter().take(2).all(is_field) {
        return None;
    }
    let number = |field: &str, below: u32| field.parse().ok().filter(|number| *number < below);
    let (mut interval, mut hour, mut minute) = ("1d".to_owned(), 2, 30);
    if let [m, h, "*", "*", "*"] = fields.as_slice() {
        let step =
            m.strip_prefix("*/").and_then(|step| number(step, 60)).filter(|step| 60u32.is_multiple_of(*step));
        match (number(m, 60), number(h, 24), step) {
            (Some(m), Some(h), _) => (hour, minute) = (h, m),
            (Some(m), None, _) if *h == "*" => (interval, hour, minute) = ("1h".to_owned(), 0, m),
            (None, _, Some(step)) if *h == "*" => (interval, hour, minute) = (format!("{step}m"), 0, 0),
            _ => {}
        }
    }
    Some(format!(
        "in place of a cron line give run_interval, and at for a time of day, such as run_interval = \"{interval}\" and at = \"{hour:02}:{minute:02}\""
    ))
}

fn zone(name: &str, zones: &Zones, judge: &mut Judge<'_>) {
    if zones.get(name).is_some() {
        return;
    }
    let names = zones.names();
    let find = |wanted: &dyn Fn(&str) -> bool| names.iter().map(String::as_str).find(|known| wanted(known));
    // The place alone is what people know: `Berlin`, `new york`.
    let place = name.rsplit('/').next().unwrap_or_default().replace(' ', "_");
    let is_place =
        |known: &str| known.rsplit('/').next().is_some_and(|known| known.eq_ignore_ascii_case(&place));
    let lower: Vec<String> = names.iter().map(|known| known.to_ascii_lowercase()).collect();
    let like = most_alike(name, lower.iter().map(String::as_str));
    let meant = find(&|known| known.eq_ignore_ascii_case(name))
        .or_else(|| find(&is_place))
        .or_else(|| find(&|known| like.is_some_and(|like| known.eq_ignore_ascii_case(like))));
    let help = match meant {
        Some(known) => format!("did you mean \"{known}\"?"),
        None if names.is_empty() => {
            "install the time zone data (the package tzdata), or use time_zone = \"UTC\"".to_owned()
        }
        None => "give an IANA name such as time_zone = \"Europe/Berlin\"".to_owned(),
    };
    judge.fault_of("time_zone", format!("{} is not a time zone that is known here", shown(name)), help);
}

/// With a time of day the interval fills days, or a day is filled by it.
fn interval(calendar: &Calendar, interval_s: u64, judge: &mut Judge<'_>) {
    let written = |seconds: u64| format_duration(Duration::from_secs(seconds));
    let day_s = u64::from(DAY_S);
    let fits = interval_s.is_multiple_of(day_s) || day_s.is_multiple_of(interval_s);
    if calendar.at.is_some() && !fits {
        let (less, more) = neighbours(interval_s, day_s);
        let help = format!(
            "give an interval that divides 24h, or whole days, such as \"{}\" or \"{}\"; or remove at",
            written(less),
            written(more)
        );
        let message = format!("{} does not fit a time of day", written(interval_s));
        judge.fault_of("run_interval", message, help);
    }
    if u128::from(calendar.spread_ms) > u128::from(interval_s) * 1000 {
        let message = format!("is longer than the run_interval of {}", written(interval_s));
        let help = format!("give at most spread = \"{}\"", written(interval_s));
        judge.fault_of("spread", message, help);
    }
}

/// The nearest intervals that fit, either side.
fn neighbours(interval_s: u64, day_s: u64) -> (u64, u64) {
    if interval_s > day_s {
        let days = interval_s / day_s;
        return (days * day_s, (days + 1) * day_s);
    }
    // Nobody means 53m20s.
    let unit_s = if interval_s > 60 { 60 } else { 1 };
    let divides = |seconds: &u64| day_s.is_multiple_of(*seconds) && seconds.is_multiple_of(unit_s);
    let less = (1..interval_s).rev().find(divides).unwrap_or(1);
    let more = (interval_s..=day_s).find(divides).unwrap_or(day_s);
    (less, more)
}
