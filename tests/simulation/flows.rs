//! The flows of a simulated box: one of each sort of schedule among plain ones.

use std::path::PathBuf;
use std::time::Duration;

use heartbeat_runtime::flow::{
    Calendar, Command, Configuration, Definition, FlowName, Leftovers, Pipeline, Retry, Schedule, TimeOfDay,
};

use super::pipelines;
use super::random::Random;

/// Windows open so many seconds after midnight, and shut at midnight.
pub(crate) const WINDOW_OPENS_S: u32 = 150;
/// The longest time-out.
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_secs(15);
/// The longest that a failed run waits for its next attempt.
pub(crate) const BACKOFF_CAP_MS: u64 = 1_500;

pub(crate) fn definition(number: usize, random: &mut Random) -> Definition {
    let command = Command {
        argv: vec!["/virtual".to_owned()],
        working_directory: PathBuf::from("/"),
        ..Command::default()
    };
    let (schedule, run_interval_s, calendar) = schedule(random);
    // A kind that nobody registered: such a run ends before it starts.
    let kind = match random.below(12) {
        0 => "unknown",
        1..3 => Pipeline::KIND,
        _ => "command",
    };
    let name = format!("flow-{number}");
    let settings = match kind {
        Pipeline::KIND => pipelines::settings(&name, random),
        _ => serde_json::to_value(command).expect("a JSON form"),
    };
    Definition {
        name: FlowName::new(name).expect("a name"),
        description: None,
        enabled: true,
        run_interval_s,
        configuration: Configuration {
            schedule,
            calendar,
            timeout_ms: random.pick(&[1_000, 4_000, 15_000]),
            kill_grace_ms: None,
            leftovers: Leftovers::End,
            retry: Retry {
                attempts: random.pick(&[1, 1, 2, 3]),
                backoff_ms: random.pick(&[0, 50, 700]),
                backoff_cap_ms: BACKOFF_CAP_MS,
            },
            rerun_interrupted: random.pick(&[None, Some(true), Some(false)]),
            kind: kind.to_owned(),
            settings,
        },
    }
}

/// Half of all flows have a plain schedule, the others one of each sort.
fn schedule(random: &mut Random) -> (Schedule, u64, Calendar) {
    let spread_ms = |random: &mut Random, interval_s: u64| random.pick(&[0, 400, 1000 * interval_s]);
    let interval_s = random.pick(&[1, 2, 3, 7, 20, 60]);
    let mut calendar = Calendar::default();
    match random.below(10) {
        0 => return (Schedule::FixedDelay, interval_s, calendar),
        1 => calendar.spread_ms = spread_ms(random, interval_s),
        2 => {
            let window = [(0, WINDOW_OPENS_S / 60, WINDOW_OPENS_S % 60), (0, 0, 0)];
            calendar.only_between = Some(window.map(time_of_day));
        }
        3 | 4 => {
            let divides_a_day = random.pick(&[1, 2, 3, 20, 60]);
            calendar.at = Some(time_of_day((2, 30, u32::try_from(random.below(60)).expect("small"))));
            calendar.spread_ms = spread_ms(random, divides_a_day);
            return (Schedule::FixedRate, divides_a_day, calendar);
        }
        _ => {}
    }
    (Schedule::FixedRate, interval_s, calendar)
}

fn time_of_day((hours, minutes, seconds): (u32, u32, u32)) -> TimeOfDay {
    TimeOfDay::parse(&format!("{hours:02}:{minutes:02}:{seconds:02}")).expect("a time of day")
}
