//! When a flow is due, against a clock on the wall that is looked at every few minutes: grids anchored to a time of day
//! over days of daylight saving and a day that never was, misfires, clocks that jump, changes of a definition, windows,
//! and the waits between attempts.
//!
//! The input is decisions. All zones' clocks jump at whole quarters of an hour, so a look each quarter, or each minute
//! where run times lie on minutes, misses nothing.

use std::time::Duration;

use heartbeat_runtime::flow::{
    Calendar, DAY_S, Retry, Schedule, TimeOfDay, Timetable, Window, next_occurrence,
};
use heartbeat_runtime::time::{Wall, Zone};

use super::bytes::Bytes;
use super::zones;

const ID: &str = "00000000000000000000000000000007";
const DAY: i64 = DAY_S as i64;

/// The target.
pub fn check(data: &[u8]) {
    let mut input = Bytes(data);
    match input.byte() % 8 {
        0 => plain(&mut input),
        1 => window(&mut input),
        2 => retry(&mut input),
        3 => extremes(&mut input),
        _ => anchored(&mut input),
    }
}

fn small(input: &mut Bytes<'_>) -> i64 {
    i64::try_from(input.number::<2>()).expect("2 bytes")
}

/// Days near which clocks jump, in seconds: in Berlin, New York, on Lord Howe Island, either way; in Samoa; and none.
const DAYS: [&str; 8] = [
    "2026-03-29T00:00:00Z",
    "2026-10-25T00:00:00Z",
    "2026-03-08T00:00:00Z",
    "2026-11-01T00:00:00Z",
    "2026-10-03T00:00:00Z",
    "2026-04-04T00:00:00Z",
    "2011-12-30T00:00:00Z",
    "2027-01-01T00:00:00Z",
];

/// A time within two days of one of these.
fn time_near(input: &mut Bytes<'_>, day: usize) -> Wall {
    let day_s = Wall::parse_rfc3339(DAYS[day]).expect("a time").as_seconds();
    let away_s = (small(input) - 32_768) * 5;
    Wall::from_millis((day_s + away_s) * 1000 + [0, 0, 1, 999][usize::from(input.byte()) % 4])
}

/// A flow without a time of day: whole intervals are counted one by one.
fn plain(input: &mut Bytes<'_>) {
    let interval_s = input.pick(&[1, 7, 60, 3600, 86_400, 604_800]);
    let (missed, within) = (i64::from(input.byte()), small(input));
    let interval_ms = interval_s * 1000;
    let next = time_near(input, 0);
    let now = Wall::from_millis(next.as_millis() + missed * interval_ms + within * interval_ms / 65_536);
    let occurrence = next_occurrence(next, interval_s.unsigned_abs(), now);
    let (mut at, mut passed) = (next.as_millis() + interval_ms, 0);
    while at <= now.as_millis() {
        at += interval_ms;
        passed += 1;
    }
    assert_eq!((occurrence.scheduled_at, occurrence.misfires), (next, passed));
    assert_eq!((occurrence.next_run_at.as_millis(), occurrence.clock_jumped_back), (at, false));

    let schedule = input.pick(&[Schedule::FixedRate, Schedule::FixedDelay]);
    let zones = zones::zones();
    let flow = ("flow", interval_s.unsigned_abs());
    let timetable = Timetable::new(flow, schedule, &Calendar::default(), ID, &zones);
    let of_table = timetable.occurrence(next, now);
    if schedule == Schedule::FixedRate {
        assert_eq!(of_table, occurrence);
    } else {
        assert_eq!((of_table.misfires, of_table.next_run_at.as_millis()), (0, now.as_millis() + interval_ms));
    }
    assert_eq!(timetable.first_run_at(now), Wall::from_millis(0), "due at once");
    let last_s = input.pick(&[1, 60, 86_400]);
    let changed = timetable.after_change(next, last_s, now).as_millis();
    let last_ms = i64::try_from(last_s).expect("small") * 1000;
    assert_eq!(changed, (next.as_millis() - last_ms + interval_ms).min(now.as_millis() + interval_ms));
    // A clock that jumped back.
    let back = timetable.occurrence(Wall::from_millis(now.as_millis() + 1 + within), now);
    assert!(back.clock_jumped_back && back.scheduled_at == now && back.misfires == 0);
}

/// Whatever the numbers are, nothing overflows, and the next run time lies ahead.
fn extremes(input: &mut Bytes<'_>) {
    let zones = zones::zones();
    let number = |input: &mut Bytes<'_>| {
        let number = i64::from_be_bytes(u64::try_from(input.number::<8>()).expect("8 bytes").to_be_bytes());
        number >> (input.byte() % 64)
    };
    let (next, now) = (Wall::from_millis(number(input)), Wall::from_millis(number(input)));
    let interval_s = number(input).unsigned_abs().max(1);
    let at = TimeOfDay::parse("02:30").ok().filter(|_| interval_s % 2 == 0);
    // As the configuration has it: it fills days, or a day is filled by it.
    let interval_s = match at {
        Some(_) if interval_s > 86_400 => interval_s - interval_s % 86_400,
        Some(_) => input.pick(&[1, 60, 3600, 86_400]),
        None => interval_s,
    };
    let calendar = Calendar {
        at,
        time_zone: Some(input.pick(&zones::NAMES).to_owned()),
        spread_ms: number(input).unsigned_abs() % 1_000_000,
        only_between: None,
    };
    let timetable = Timetable::new(("flow", interval_s), Schedule::FixedRate, &calendar, ID, &zones);
    let occurrence = timetable.occurrence(next, now);
    assert!(occurrence.next_run_at > now || now.as_millis() == i64::MAX, "{timetable:?} {next:?} {now:?}");
    assert!(timetable.slack_ms(occurrence.next_run_at, now) >= 0);
    let _first = timetable.first_run_at(now);
    let _changed = timetable.after_change(next, number(input).unsigned_abs(), now);
}

fn window(input: &mut Bytes<'_>) {
    let minutes = [small(input) % 1440, small(input) % 1440];
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
    let text = format!("{}-{} Europe/Berlin", clock(minutes[0]), clock(minutes[1]));
    let window = Window::parse(&text).expect("a window");
    assert_eq!(Window::parse(&window.to_string()), Some(window.clone()));
    let (days, minute, second) = (small(input) - 32_768, small(input) % 1440, i64::from(input.byte() % 60));
    // From its begin on, minute by minute, until its end.
    let (mut at, mut open_for) = (minutes[0], None);
    for passed in 0..1440 {
        if at == minutes[1] {
            break;
        }
        if at == minute {
            open_for = Some(passed * 60 + second);
        }
        at = (at + 1) % 1440;
    }
    let civil_s = days * DAY + minute * 60 + second;
    assert_eq!(window.open_for_s(civil_s).map(i64::from), open_for, "{text} {civil_s}");
    assert_eq!(window.is_open(civil_s), open_for.is_some());
}

fn retry(input: &mut Bytes<'_>) {
    let number =
        |input: &mut Bytes<'_>| u64::try_from(input.number::<8>() >> (input.byte() % 64)).expect("64 bits");
    let attempts = u32::from(input.byte());
    // Up to an age of the universe in milliseconds, and more: what lies beyond 2^63 is not told apart.
    let retry = Retry { attempts, backoff_ms: number(input) >> 2, backoff_cap_ms: number(input) >> 2 };
    let salt = number(input);
    let mut whole = u128::from(retry.backoff_ms);
    for attempt in 1..=attempts {
        let most = whole.min(retry.backoff_cap_ms.into());
        match retry.delay_after(attempt, salt) {
            None => assert_eq!(attempt, attempts),
            Some(delay) => {
                assert!(
                    attempt < attempts && (most / 2..=most).contains(&delay.as_millis()),
                    "{retry:?} {delay:?}"
                );
                assert!(delay <= retry.delay_max() + Duration::ZERO);
            }
        }
        whole = (whole * 2).min(u128::from(u64::MAX));
    }
}

/// Run times as somebody sees them who looks at the clock on the wall again and again.
struct Watched {
    zone: Zone,
    /// Seconds between two looks.
    look_s: i64,
    at_s: i64,
    step_s: i64,
}

impl Watched {
    /// What comes, from an instant on and until another, each with the number of civil times that came there at once:
    /// those that the clock had not shown before. In seconds.
    fn come(&self, from_s: i64, until_s: i64) -> Vec<(i64, i64)> {
        // How far the clock is off holds for a quarter at least.
        let mut off = (i64::MIN, 0);
        let mut civil = |at_s: i64| {
            let quarter_s = at_s.div_euclid(900) * 900;
            if off.0 != quarter_s {
                off = (quarter_s, self.zone.civil_s(Wall::from_seconds(quarter_s)) - quarter_s);
            }
            at_s + off.1
        };
        let mut at_s = (from_s - 2 * DAY).div_euclid(self.look_s) * self.look_s;
        let mut shown = civil(at_s);
        let (mut come, mut put_off) = (Vec::new(), 0);
        while at_s < until_s {
            at_s += self.look_s;
            let now = civil(at_s);
            if now <= shown {
                continue;
            }
            let mut count =
                (now - self.at_s).div_euclid(self.step_s) - (shown - self.at_s).div_euclid(self.step_s);
            // A day that was skipped whole has no time of day: it comes with the next day's, which may be there already.
            if self.step_s == DAY && now - shown > DAY && count == 1 {
                put_off += count;
                count = 0;
            } else if count > 0 {
                count += std::mem::take(&mut put_off);
            }
            shown = now;
            if count > 0 && at_s > from_s {
                come.push((at_s, count));
            }
        }
        come
    }
}

fn anchored(input: &mut Bytes<'_>) {
    let look_s = input.pick(&[900, 900, 60]);
    let steps: &[i64] =
        if look_s == 60 { &[60, 180, 600, 3600, 86_400] } else { &[900, 3600, 10_800, 43_200, 86_400] };
    let step_s = input.pick(steps);
    // More than a day only where there are few looks.
    let every = if step_s == DAY && look_s == 900 { i64::from(input.byte() % 8).max(1) } else { 1 };
    let at_s = small(input) * look_s % DAY;
    let day = usize::from(input.byte()) % DAYS.len();
    let name = input.pick(&zones::NAMES);
    let at = TimeOfDay::parse(&format!("{:02}:{:02}", at_s / 3600, at_s / 60 % 60)).expect("a time");
    let spread_ms = if input.byte().is_multiple_of(2) { 0 } else { 1 + input.number::<2>() };
    let calendar = Calendar {
        at: Some(at),
        time_zone: Some(name.to_owned()),
        only_between: None,
        spread_ms: u64::try_from(spread_ms).expect("small"),
    };
    let zones = zones::zones();
    let interval_s = (step_s * every).unsigned_abs();
    let timetable = Timetable::new(("flow", interval_s), Schedule::FixedRate, &calendar, ID, &zones);
    let offset_ms = calendar.offset_ms(ID, "flow");
    assert!((0..=i64::try_from(spread_ms).expect("small")).contains(&offset_ms));
    let watched = Watched { zone: zones.get(name).expect("a zone"), look_s, at_s, step_s };

    let now = time_near(input, day);
    let behind_s = small(input) * if look_s == 60 { 1 } else { 20 };
    let next = Wall::from_millis(now.as_millis() - behind_s * 1000);
    let context = || format!("{calendar:?} every {interval_s} s, next {next}, now {now}");
    // The grid is what is watched, later by the offset.
    let seconds = |at: Wall| (at.as_millis() - offset_ms).div_euclid(1000);
    let later = |at_s: i64| Wall::from_millis(at_s * 1000 + offset_ms);
    let far_s = now.as_seconds() + (every + 3) * DAY;
    let come = watched.come(seconds(next), far_s);

    let occurrence = timetable.occurrence(next, now);
    if !next.is_set() && now.is_set() {
        return;
    }
    let passed: i64 = come.iter().filter(|(at_s, _)| *at_s <= seconds(now)).map(|(_, count)| count).sum();
    let missed = passed / every;
    assert_eq!(
        (occurrence.scheduled_at, occurrence.misfires),
        (next, missed.unsigned_abs()),
        "{}",
        context()
    );
    let nth = |come: &[(i64, i64)], wanted: i64| {
        let mut counted = 0;
        come.iter()
            .find(|(_, count)| {
                counted += count;
                counted >= wanted
            })
            .map(|(at_s, _)| *at_s)
    };
    let expected = nth(&come, (missed + 1) * every).expect("it comes within days");
    assert_eq!(occurrence.next_run_at, later(expected), "{}", context());
    assert!(occurrence.next_run_at > now);

    // A clock that fell back: the grid goes on from now.
    let ahead = Wall::from_millis(now.as_millis() + 1 + behind_s);
    let from = |from_s: i64| watched.come(from_s, far_s);
    let back = timetable.occurrence(ahead, now);
    let expected = nth(&from(seconds(now)), every).expect("it comes within days");
    assert!(back.clock_jumped_back && back.scheduled_at == now && back.misfires == 0);
    assert_eq!(back.next_run_at, later(expected), "{}", context());

    // A new flow, and one whose definition changed.
    let begin_s = if every == 1 { seconds(now) } else { now.as_seconds() };
    let first = nth(&from(begin_s), 1).expect("it comes within days");
    assert_eq!(timetable.first_run_at(now), later(first), "{}", context());
    assert_eq!(timetable.after_change(next, 60, now), next, "what is due stays due");
    assert_eq!(timetable.after_change(ahead, 60, now), later(first));
    let slack_ms = timetable.slack_ms(occurrence.next_run_at, now);
    let beyond_ms = occurrence.next_run_at.as_millis()
        - now.as_millis()
        - i64::try_from(interval_s).expect("small") * 1000;
    assert_eq!(slack_ms, beyond_ms.max(0));
}
