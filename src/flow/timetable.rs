//! When a flow with a definition of its own is due: `fixed_rate` and `fixed_delay`, grids anchored to a time of day, and
//! the spread.
//!
//! A grid that is anchored goes by civil times, numbered without a gap; each has one instant, and later numbers never have
//! earlier ones. So what lies between two instants is a difference of numbers, and the number at an instant is found
//! by bisection: nothing here loops over run times.

use super::Schedule;
use super::calendar::{Calendar, DAY_S};
use super::schedule::{Occurrence, interval_ms, jumped_back, next_occurrence, was_never_timed};
use crate::time::{Wall, Zone, Zones};

/// The run times of one flow on one box.
#[derive(Debug)]
pub struct Timetable {
    run_interval_s: u64,
    schedule: Schedule,
    grid: Option<Grid>,
    offset_ms: i64,
}

impl Timetable {
    /// Of a flow as defined, on the box whose database has this id. A zone that is not known is taken for UTC.
    pub fn new(
        (flow, run_interval_s): (&str, u64),
        schedule: Schedule,
        calendar: &Calendar,
        database_id: &str,
        zones: &Zones,
    ) -> Self {
        let grid = calendar.at.map(|at| Grid {
            at_s: i64::from(at.seconds()),
            step_s: i64::try_from(run_interval_s).unwrap_or(i64::MAX).min(DAY_S.into()),
            every: i64::try_from(run_interval_s / u64::from(DAY_S)).unwrap_or(i64::MAX).max(1),
            zone: zones.get_or_utc(calendar.time_zone.as_deref()),
        });
        Self { run_interval_s, schedule, grid, offset_ms: calendar.offset_ms(database_id, flow) }
    }

    /// The first run time of a flow that is new; 0, due at once, where nothing puts it off.
    pub fn first_run_at(&self, now: Wall) -> Wall {
        match &self.grid {
            Some(grid) if grid.every == 1 => self.later(grid.instant(self.number_at(grid, now) + 1)),
            // Over days the offset may be longer than from one time of day to the next.
            Some(grid) => self.later(grid.instant(grid.number_at(now) + 1)),
            None if self.offset_ms > 0 => self.later(now),
            None => Wall::from_millis(0),
        }
    }

    /// What running the flow now amounts to, as it is due; `next_run_at` is the stored run time, 0 if it never ran.
    pub fn occurrence(&self, next_run_at: Wall, now: Wall) -> Occurrence {
        let Some(grid) = &self.grid else {
            let occurrence = next_occurrence(next_run_at, self.run_interval_s, now);
            return match self.schedule {
                Schedule::FixedRate => occurrence,
                // The end of the run says when the next one is; until then it counts from now.
                Schedule::FixedDelay => {
                    Occurrence { misfires: 0, next_run_at: self.interval_after(now), ..occurrence }
                }
            };
        };
        let here = self.number_at(grid, now);
        let clock_jumped_back = jumped_back(next_run_at, now);
        if was_never_timed(next_run_at, now) || clock_jumped_back {
            let next_run_at = self.later(grid.instant(here.saturating_add(grid.every)));
            return Occurrence { scheduled_at: now, misfires: 0, next_run_at, clock_jumped_back };
        }
        let first = self.number_at(grid, next_run_at);
        let missed = (here - first).max(0) / grid.every;
        let next = first.saturating_add((missed + 1).saturating_mul(grid.every));
        Occurrence {
            scheduled_at: next_run_at,
            misfires: missed.unsigned_abs(),
            // Later than now, but for a clock past the last year that a calendar has.
            next_run_at: self
                .later(grid.instant(next))
                .max(Wall::from_millis(now.as_millis().saturating_add(1))),
            clock_jumped_back,
        }
    }

    /// The next run time of a flow whose definition became this one: what is due stays due, otherwise the last due time
    /// plus the new interval, or the new grid's next time.
    pub fn after_change(&self, next_run_at: Wall, last_run_interval_s: u64, now: Wall) -> Wall {
        let never_ran = next_run_at.as_millis() == 0;
        match &self.grid {
            _ if never_ran => self.first_run_at(now),
            Some(_) if next_run_at <= now => next_run_at,
            Some(_) => self.first_run_at(now),
            None => {
                let last_due_ms = next_run_at.as_millis().saturating_sub(interval_ms(last_run_interval_s));
                let next_ms = last_due_ms.saturating_add(interval_ms(self.run_interval_s));
                Wall::from_millis(next_ms).min(self.interval_after(now))
            }
        }
    }

    /// How many milliseconds further ahead than its interval the next run time honestly lies: on days on which an hour
    /// comes twice.
    pub fn slack_ms(&self, next_run_at: Wall, now: Wall) -> i64 {
        let beyond_ms = next_run_at.as_millis().saturating_sub(self.interval_after(now).as_millis());
        if self.grid.is_some() { beyond_ms.max(0) } else { 0 }
    }

    fn interval_after(&self, at: Wall) -> Wall {
        Wall::from_millis(at.as_millis().saturating_add(interval_ms(self.run_interval_s)))
    }

    fn number_at(&self, grid: &Grid, at: Wall) -> i64 {
        grid.number_at(Wall::from_millis(at.as_millis().saturating_sub(self.offset_ms)))
    }

    fn later(&self, at: Wall) -> Wall {
        Wall::from_millis(at.as_millis().saturating_add(self.offset_ms))
    }
}

/// Civil times, a step apart, that are numbered from the one of the first of January 1970 on.
#[derive(Debug)]
struct Grid {
    at_s: i64,
    /// Seconds; it divides a day, or is one.
    step_s: i64,
    /// Every how many-th is a run time: more than 1 only where the step is a day.
    every: i64,
    zone: Zone,
}

impl Grid {
    /// When the civil time of this number has come.
    fn instant(&self, number: i64) -> Wall {
        let civil_s = number.saturating_mul(self.step_s).saturating_add(self.at_s);
        let day_s = i64::from(DAY_S);
        // A day that the zone skipped whole is the next one: its time of day is still to come.
        let days_skipped = if self.step_s == day_s { self.zone.skipped_s(civil_s) / day_s } else { 0 };
        self.zone.first_instant(civil_s.saturating_add(days_skipped.saturating_mul(day_s)))
    }

    /// The greatest number whose civil time has come.
    fn number_at(&self, at: Wall) -> i64 {
        // Nowhere do clocks show a time that is two days off.
        let near = at.as_seconds().saturating_sub(self.at_s) / self.step_s;
        let margin = 2 * i64::from(DAY_S) / self.step_s + 2;
        let (mut come, mut to_come) = (near.saturating_sub(margin), near.saturating_add(margin));
        while to_come - come > 1 {
            let middle = come + (to_come - come) / 2;
            if self.instant(middle) <= at { come = middle } else { to_come = middle }
        }
        come
    }
}

#[cfg(test)]
mod tests {
    use super::super::TimeOfDay;
    use super::*;
    use crate::time::testing::zones;
    use std::collections::BTreeSet;

    const ID: &str = "00000000000000000000000000000007";
    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    fn at(text: &str) -> Wall {
        Wall::parse_rfc3339(text).unwrap()
    }

    fn anchored(run_interval_s: u64, time: &str, zone: &str) -> Timetable {
        let calendar = Calendar {
            at: Some(TimeOfDay::parse(time).unwrap()),
            time_zone: Some(zone.to_owned()),
            ..Calendar::default()
        };
        Timetable::new(("upload", run_interval_s), Schedule::FixedRate, &calendar, ID, &zones())
    }

    /// The run times from the first after `start` on, each claimed to the millisecond.
    fn run_times(timetable: &Timetable, start: &str, count: usize) -> Vec<String> {
        let first = timetable.first_run_at(at(start));
        let next = |time: &Wall| Some(timetable.occurrence(*time, *time).next_run_at);
        std::iter::successors(Some(first), next).take(count).map(|time| time.to_string()).collect()
    }

    #[test]
    fn a_day_of_daylight_saving_has_one_run_either_way() {
        let berlin = anchored(DAY, "02:30", "Europe/Berlin");
        let spring = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        assert_eq!(run_times(&berlin, "2026-03-27T12:00:00Z", 3), spring);
        let autumn = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        assert_eq!(run_times(&berlin, "2026-10-23T12:00:00Z", 3), autumn);
        let new_york = anchored(DAY, "01:30", "America/New_York");
        let autumn = ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
        assert_eq!(run_times(&new_york, "2026-10-30T12:00:00Z", 3), autumn);
        let lord_howe = anchored(DAY, "02:15", "Australia/Lord_Howe");
        let spring = ["2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"];
        assert_eq!(run_times(&lord_howe, "2026-10-02T00:00:00Z", 3), spring);
    }

    #[test]
    fn hours_that_are_skipped_or_repeated_run_once() {
        let hourly = anchored(HOUR, "00:15", "Europe/Berlin");
        let spring = ["2026-03-29T00:15:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"];
        assert_eq!(run_times(&hourly, "2026-03-29T00:00:00Z", 3), spring);
        let on_the_hour = anchored(HOUR, "00:00", "Europe/Berlin");
        let spring = ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"];
        assert_eq!(run_times(&on_the_hour, "2026-03-28T23:30:00Z", 3), spring);
        let autumn = ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"];
        assert_eq!(run_times(&on_the_hour, "2026-10-24T23:30:00Z", 2), autumn, "2 o'clock comes twice");
    }

    #[test]
    fn only_where_an_hour_comes_twice_does_a_run_time_lie_further_ahead_than_its_interval() {
        let hourly = anchored(HOUR, "00:00", "Europe/Berlin");
        let slack_ms = |timetable: &Timetable, now: &str| {
            timetable.slack_ms(timetable.occurrence(at(now), at(now)).next_run_at, at(now))
        };
        assert_eq!(slack_ms(&hourly, "2026-10-25T00:00:00Z"), 3_600_000);
        assert_eq!(slack_ms(&hourly, "2026-10-25T02:00:00Z"), 0);
        assert_eq!(slack_ms(&anchored(DAY, "02:30", "Europe/Berlin"), "2026-10-25T00:30:00Z"), 3_600_000);
        assert_eq!(slack_ms(&anchored(DAY, "02:30", "Pacific/Apia"), "2011-12-29T12:30:00Z"), 0);
        let plain = Timetable::new(("upload", 60), Schedule::FixedRate, &Calendar::default(), ID, &zones());
        assert_eq!(plain.slack_ms(at("2036-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")), 0);
    }

    #[test]
    fn a_day_that_a_zone_skipped_has_no_run_of_its_own() {
        let daily = anchored(DAY, "02:30", "Pacific/Apia");
        let days = ["2011-12-29T12:30:00Z", "2011-12-30T12:30:00Z", "2011-12-31T12:30:00Z"];
        assert_eq!(run_times(&daily, "2011-12-29T00:00:00Z", 3), days, "the 29th, the 31st, the 1st");
        let six_hourly = anchored(6 * HOUR, "02:30", "Pacific/Apia");
        let times =
            ["2011-12-30T00:30:00Z", "2011-12-30T06:30:00Z", "2011-12-30T10:00:00Z", "2011-12-30T12:30:00Z"];
        assert_eq!(run_times(&six_hourly, "2011-12-29T20:00:00Z", 4), times);
    }

    #[test]
    fn every_so_many_days_counts_from_the_first_run() {
        let weekly = anchored(7 * DAY, "02:30", "UTC");
        let weeks = ["2026-03-28T02:30:00Z", "2026-04-04T02:30:00Z", "2026-04-11T02:30:00Z"];
        assert_eq!(run_times(&weekly, "2026-03-27T12:00:00Z", 3), weeks);
        let late = weekly.occurrence(at("2026-03-28T02:30:00Z"), at("2026-04-20T00:00:00Z"));
        assert_eq!((late.misfires, late.next_run_at), (3, at("2026-04-25T02:30:00Z")));
        let jumped = weekly.occurrence(at("2030-01-01T02:30:00Z"), at("2026-03-28T12:00:00Z"));
        assert_eq!(jumped.next_run_at, at("2026-04-04T02:30:00Z"), "a week on, not tomorrow");
    }

    #[test]
    fn a_century_off_is_one_run_of_a_grid_with_a_time_of_day() {
        let daily = anchored(DAY, "02:30", "Europe/Berlin");
        let late = daily.occurrence(at("2026-03-28T01:30:00Z"), at("2126-03-28T12:00:00Z"));
        assert_eq!((late.misfires, late.next_run_at), (36_524, at("2126-03-29T01:30:00Z")));
        let unset = daily.occurrence(at("1970-01-02T01:30:00Z"), at("2026-03-28T12:00:00Z"));
        assert_eq!((unset.misfires, unset.scheduled_at), (0, at("2026-03-28T12:00:00Z")));
        let far = Wall::from_millis(i64::MAX - 1);
        assert!(daily.occurrence(at("2026-03-28T01:30:00Z"), far).next_run_at > far);
    }

    /// Goes through the civil times one by one, and through the instants minute by minute.
    fn oracle(zone: &Zone, at_s: i64, step_s: i64, from: Wall, until: Wall) -> Vec<Wall> {
        let first = (zone.civil_s(from) - at_s).div_euclid(step_s) * step_s + at_s;
        let mut wanted: Vec<i64> =
            (0..).map(|k| first + k * step_s).take_while(|s| *s <= zone.civil_s(until)).collect();
        wanted.reverse();
        let mut times = BTreeSet::new();
        let mut now = from;
        while now <= until && !wanted.is_empty() {
            while wanted.last().is_some_and(|civil_s| *civil_s <= zone.civil_s(now)) {
                wanted.pop();
                times.insert(now.as_millis());
            }
            now = Wall::from_seconds(now.as_seconds() + 60);
        }
        times.into_iter().map(Wall::from_millis).filter(|time| *time > from).collect()
    }

    #[test]
    fn a_grid_is_what_one_gets_by_looking_at_a_clock_every_minute() {
        for (name, start) in [
            ("Europe/Berlin", "2026-03-27T00:00:00Z"),
            ("Europe/Berlin", "2026-10-23T00:00:00Z"),
            ("America/New_York", "2026-03-06T00:00:00Z"),
            ("America/New_York", "2026-10-30T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-03T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-10-02T00:00:00Z"),
            ("UTC", "2026-10-02T00:00:00Z"),
        ] {
            let zone = zones().get(name).unwrap();
            for interval_s in [DAY, 12 * HOUR, 6 * HOUR, HOUR, HOUR / 2, HOUR / 4] {
                for time in ["00:00", "00:10", "01:30", "02:00", "02:15", "02:30", "03:00", "23:50"] {
                    let at_s = i64::from(TimeOfDay::parse(time).unwrap().seconds());
                    let until = Wall::from_seconds(at(start).as_seconds() + 4 * 86_400);
                    let step_s = i64::try_from(interval_s).unwrap();
                    let expected = oracle(&zone, at_s, step_s, at(start), until);
                    let timetable = anchored(interval_s, time, name);
                    let found = run_times(&timetable, start, expected.len());
                    let expected: Vec<String> = expected.iter().map(Wall::to_string).collect();
                    assert_eq!(found, expected, "{name} {time} every {interval_s} s");
                }
            }
        }
    }

    #[test]
    fn however_late_a_claim_is_it_stands_for_every_civil_time_since() {
        let timetable = anchored(HOUR, "00:15", "Europe/Berlin");
        let first = timetable.first_run_at(at("2026-10-23T00:00:00Z"));
        for late_minutes in (0..5 * 24 * 60).step_by(7) {
            let now = Wall::from_seconds(first.as_seconds() + late_minutes * 60);
            let occurrence = timetable.occurrence(first, now);
            let mut time = first;
            let mut passed = 0;
            loop {
                time = timetable.occurrence(time, time).next_run_at;
                if time > now {
                    break;
                }
                passed += 1;
            }
            assert_eq!(
                (occurrence.misfires, occurrence.next_run_at),
                (passed, time),
                "{late_minutes} min late"
            );
            assert_eq!(occurrence.scheduled_at, first);
        }
    }

    #[test]
    fn the_spread_shifts_a_grid_and_puts_off_a_first_run() {
        let with = |run_interval_s, time: Option<&str>| {
            let at = time.map(|time| TimeOfDay::parse(time).unwrap());
            let calendar = Calendar { at, spread_ms: 600_000, ..Calendar::default() };
            let offset_ms = calendar.offset_ms(ID, "upload");
            let table =
                Timetable::new(("upload", run_interval_s), Schedule::FixedRate, &calendar, ID, &zones());
            (table, offset_ms)
        };
        let now = at("2026-03-27T12:00:00Z");
        let (plain, offset_ms) = with(HOUR, None);
        assert!(offset_ms > 0);
        assert_eq!(plain.first_run_at(now).as_millis(), now.as_millis() + offset_ms);
        let (daily, _) = with(DAY, Some("12:00"));
        let first = daily.first_run_at(now);
        assert_eq!(first.as_millis(), now.as_millis() + offset_ms, "today's is still to come");
        let next = daily.occurrence(first, first).next_run_at;
        assert_eq!(next.as_millis() - first.as_millis(), 86_400_000);
        let late = daily.occurrence(first, at("2026-03-30T12:00:00Z"));
        assert_eq!(late.misfires, 2, "that of the 30th is still to come");
    }

    #[test]
    fn a_fixed_delay_counts_from_now_and_misses_nothing() {
        let calendar = Calendar::default();
        let table = Timetable::new(("upload", 60), Schedule::FixedDelay, &calendar, ID, &zones());
        let now = at("2026-03-27T12:00:00Z");
        let due = table.occurrence(at("2026-03-27T11:00:30Z"), now);
        assert_eq!((due.scheduled_at, due.misfires), (at("2026-03-27T11:00:30Z"), 0));
        assert_eq!(due.next_run_at, at("2026-03-27T12:01:00Z"));
    }

    #[test]
    fn a_change_counts_from_the_last_due_time_or_goes_to_the_next_of_its_grid() {
        let now = at("2026-03-27T12:00:00Z");
        let plain = |run_interval_s| {
            Timetable::new(
                ("upload", run_interval_s),
                Schedule::FixedRate,
                &Calendar::default(),
                ID,
                &zones(),
            )
        };
        let next = at("2026-03-27T12:10:00Z");
        assert_eq!(plain(2 * HOUR).after_change(next, HOUR, now), at("2026-03-27T13:10:00Z"));
        assert_eq!(plain(60).after_change(next, HOUR, now), at("2026-03-27T11:11:00Z"), "due");
        let far = at("2026-03-29T12:10:00Z");
        assert_eq!(
            plain(HOUR).after_change(far, HOUR, now),
            at("2026-03-27T13:00:00Z"),
            "never beyond trust"
        );
        let daily = anchored(DAY, "02:30", "UTC");
        assert_eq!(daily.after_change(next, HOUR, now), at("2026-03-28T02:30:00Z"));
        let due = at("2026-03-27T11:10:00Z");
        assert_eq!(daily.after_change(due, HOUR, now), due, "what is due stays due");
        let never = Wall::from_millis(0);
        assert_eq!(daily.after_change(never, HOUR, now), at("2026-03-28T02:30:00Z"));
        assert_eq!(plain(HOUR).after_change(never, DAY, now), never);
    }
}
