//! Every key of a flow file but for those in the tables of a command or a pipeline, each defined once.

use std::time::Duration;

use super::key::{Key, Presence};
use super::keys::WHOLE_SECONDS_MIN;
use super::kind::{Kind, milliseconds};
use crate::flow::{Leftovers, Retry, Schedule, TimeOfDay};
use crate::limits;

/// A flow file as written, each value right by itself.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) run_interval_s: Option<u64>,
    pub(super) schedule: Option<Schedule>,
    pub(super) at: Option<TimeOfDay>,
    pub(super) time_zone: Option<String>,
    pub(super) only_between: Option<[TimeOfDay; 2]>,
    pub(super) spread: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) kill_grace: Option<Duration>,
    pub(super) leftovers: Leftovers,
    pub(super) rerun_interrupted: Option<bool>,
    pub(super) retry: Retry,
    pub(super) transform_time_max: Option<Duration>,
}

/// The one key of a pipeline that stands in no table.
pub(super) const TRANSFORM_TIME_MAX: &str = "transform_time_max";

const HOUR: Duration = Duration::from_secs(3600);

pub(super) static FLOW_KEYS: &[Key<Draft>] = &[
    Key {
        path: "name",
        kind: Kind::Text { set: |d, v| d.name = Some(v), bytes_max: limits::FLOW_NAME_BYTES_MAX },
        presence: Presence::Optional(r#""upload-readings""#),
        doc: "Unique among flows: a-z 0-9 _ -; by default the file's name without .toml.",
    },
    Key {
        path: "description",
        kind: Kind::Text { set: |d, v| d.description = Some(v), bytes_max: limits::DESCRIPTION_BYTES_MAX },
        presence: Presence::Optional(r#""Sends the readings of the last minutes""#),
        doc: "For people.",
    },
    Key {
        path: "enabled",
        kind: Kind::Boolean(|d, v| d.enabled = Some(v)),
        presence: Presence::Default("true"),
        doc: "Whether it runs.",
    },
    Key {
        path: "run_interval",
        kind: Kind::WholeSeconds {
            set: |d, v| d.run_interval_s = Some(v),
            min: WHOLE_SECONDS_MIN,
            max: limits::RUN_INTERVAL_MAX,
        },
        presence: Presence::Required(r#""15m""#),
        doc: "From one run time to the next; a heartbeat after it starts the run.",
    },
    Key {
        path: "schedule",
        kind: Kind::Word {
            set: |d, v| {
                let is_delay = v == Schedule::FixedDelay.as_str();
                d.schedule = Some(if is_delay { Schedule::FixedDelay } else { Schedule::FixedRate });
            },
            words: &["fixed_rate", "fixed_delay"],
        },
        presence: Presence::Default(r#""fixed_rate""#),
        doc: "\"fixed_rate\": the interval counts from the time a run was due, so that it does not drift; \
              \"fixed_delay\": from the end of the last run.",
    },
    Key {
        path: "at",
        kind: Kind::TimeOfDay(|d, v| d.at = Some(v)),
        presence: Presence::Optional(r#""02:30""#),
        doc: "Anchors the run times to a time of day: the first run is the next one of them. The interval divides 24h, \
              or is whole days. A time that the clocks skip runs at the next they show, one that comes twice once.",
    },
    Key {
        path: "time_zone",
        kind: Kind::Text { set: |d, v| d.time_zone = Some(v), bytes_max: 64 },
        presence: Presence::Default(r#""UTC""#),
        doc: "Whose clock at and only_between go by: an IANA name, such as \"Europe/Berlin\".",
    },
    Key {
        path: "only_between",
        kind: Kind::TimesOfDay(|d, v| d.only_between = Some(v)),
        presence: Presence::Optional(r#"["01:00", "05:00"]"#),
        doc: "When it may run; outside it stays due. The end is the first time outside, and may lie after midnight.",
    },
    Key {
        path: "spread",
        kind: Kind::Duration {
            set: |d, v| d.spread = Some(v),
            min: Duration::ZERO,
            max: limits::RUN_INTERVAL_MAX,
        },
        presence: Presence::Optional(r#""10m""#),
        doc: "Each box adds a part of this, its own and always the same, to the times of at, or else to the first run, so \
              that many boxes do not call at once.",
    },
    Key {
        path: "timeout",
        kind: Kind::Duration {
            set: |d, v| d.timeout = Some(v),
            min: Duration::from_millis(1),
            max: limits::RUN_INTERVAL_MAX,
        },
        presence: Presence::Default(r#""1h""#),
        doc: "How long a run may take; then it is ended and has failed.",
    },
    Key {
        path: "kill_grace",
        kind: Kind::Duration { set: |d, v| d.kill_grace = Some(v), min: Duration::ZERO, max: HOUR },
        presence: Presence::Optional(r#""3s""#),
        doc: "From TERM to KILL when a run is ended; by default as in heartbeatd.toml.",
    },
    Key {
        path: "leftovers",
        kind: Kind::Word {
            set: |d, v| d.leftovers = if v == "leave" { Leftovers::Leave } else { Leftovers::End },
            words: &["end", "leave"],
        },
        presence: Presence::Default(r#""end""#),
        doc: "What becomes of processes that a run leaves behind: \"end\" ends them, and the flow waits until they are \
              gone; \"leave\" is for commands that start a service.",
    },
    Key {
        path: "rerun_interrupted",
        kind: Kind::Boolean(|d, v| d.rerun_interrupted = Some(v)),
        presence: Presence::Optional("true"),
        doc: "Whether a run that the daemon's end cut short is run again at once, at most three times in a row; \
              a command is not, unless this says so.",
    },
    Key {
        path: TRANSFORM_TIME_MAX,
        kind: Kind::Duration {
            set: |d, v| d.transform_time_max = Some(v),
            min: Duration::from_millis(1),
            max: limits::TRANSFORM_TIME_MAX,
        },
        presence: Presence::Default(r#""250ms""#),
        doc: "How long the transforms of one batch may take; past it the run has failed. Heartbeats wait that long.",
    },
    Key {
        path: "retry.attempts",
        kind: Kind::Integer {
            set: |d, v| d.retry.attempts = u32::try_from(v).unwrap_or(u32::MAX),
            min: 1,
            max: limits::RETRY_ATTEMPTS_MAX,
        },
        presence: Presence::Default("1"),
        doc: "Attempts in all, of which the first is one. A run that failed is tried again until one succeeds.",
    },
    Key {
        path: "retry.backoff",
        kind: Kind::Duration {
            set: |d, v| d.retry.backoff_ms = milliseconds(v),
            min: Duration::ZERO,
            max: limits::RETRY_BACKOFF_MAX,
        },
        presence: Presence::Default(r#""10s""#),
        doc: "From the end of the first attempt to the second, doubled for each that follows; up to half of it is left \
              out at random.",
    },
    Key {
        path: "retry.backoff_cap",
        kind: Kind::Duration {
            set: |d, v| d.retry.backoff_cap_ms = milliseconds(v),
            min: Duration::ZERO,
            max: limits::RETRY_BACKOFF_MAX,
        },
        presence: Presence::Default(r#""10m""#),
        doc: "The doubling ends here.",
    },
];
