//! Every key of `heartbeatd.toml`, each defined once.

use std::time::Duration;

use super::alerts;
use super::key::{Key, Presence};
use super::kind::Kind;
use super::status;
use super::{Config, Durability, LogFormat};
use crate::limits;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// The least time-out: less is a unit mistaken.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

pub(super) static KEYS: &[Key<Config>] = &[
    Key {
        path: "listen",
        kind: Kind::Addresses(|c, v| c.listen = v),
        presence: Presence::Default(r#"["127.0.0.1:8787"]"#),
        doc: "Addresses for heartbeats; port 0 takes a free one, which the log tells.",
    },
    Key {
        path: "endpoint_path",
        kind: Kind::Text { set: |c, v| c.endpoint_path = v, bytes_max: limits::TARGET_BYTES_MAX },
        presence: Presence::Default(r#""/data_flows/heartbeat""#),
        doc: "The path that takes heartbeats.",
    },
    Key {
        path: "authentication_enabled",
        kind: Kind::Boolean(|c, v| c.authentication_enabled = v),
        presence: Presence::Default("true"),
        doc: "Whether a heartbeat must be signed, or carry the token.",
    },
    Key {
        path: "signing_secret_files",
        kind: Kind::Paths(|c, v| c.signing_secret_files = v),
        presence: Presence::Default(r#"["secret"]"#),
        doc: "Files that only you can read, a secret a line: whsec_…, then until=TIME if it ends. Also \
              HEARTBEATD_SIGNING_SECRET.",
    },
    Key {
        path: "signature_tolerance",
        kind: Kind::Duration {
            set: |c, v| c.signature_tolerance = v,
            min: limits::SIGNATURE_TOLERANCE_MIN,
            max: limits::SIGNATURE_TOLERANCE_MAX,
        },
        presence: Presence::Default(r#""5m""#),
        doc: "How far a signed time may differ from the clock here, either way.",
    },
    Key {
        path: "authentication_token_file",
        kind: Kind::Path(|c, v| c.authentication_token_file = Some(v)),
        presence: Presence::Optional(r#""token""#),
        doc: "A file that only you can read, with the token that X-Heartbeat-Token may carry. Also \
              HEARTBEATD_AUTHENTICATION_TOKEN.",
    },
    Key {
        path: "ip_whitelisting_enabled",
        kind: Kind::Boolean(|c, v| c.ip_whitelisting_enabled = v),
        presence: Presence::Default("true"),
        doc: "Whether only whitelisted_ips may call.",
    },
    Key {
        path: "whitelisted_ips",
        kind: Kind::Networks(|c, v| c.whitelisted_ips = v),
        presence: Presence::Default(r#"["127.0.0.0/8", "::1"]"#),
        doc: "Addresses and networks that may call, IPv4 and IPv6.",
    },
    Key {
        path: "trusted_proxies",
        kind: Kind::Networks(|c, v| c.trusted_proxies = v),
        presence: Presence::Default("[]"),
        doc: "Proxies whose X-Forwarded-For is believed.",
    },
    Key {
        path: "internal_heartbeat",
        kind: Kind::Duration {
            set: |c, v| c.internal_heartbeat = Some(v),
            min: limits::INTERNAL_HEARTBEAT_MIN,
            max: limits::INTERNAL_HEARTBEAT_MAX,
        },
        presence: Presence::Optional(r#""1m""#),
        doc: "The runtime beats by itself that often, for a box that no agent reaches.",
    },
    Key {
        path: "database",
        kind: Kind::Path(|c, v| c.database = v),
        presence: Presence::Default(r#""heartbeat.db""#),
        doc: "The SQLite database: flows, runs, heartbeats.",
    },
    Key {
        path: "flows_dir",
        kind: Kind::Path(|c, v| c.flows_dir = v),
        presence: Presence::Default(r#""flows""#),
        doc: "The folder of flow files; every *.toml in it is a flow.",
    },
    Key {
        path: "max_concurrent_runs",
        kind: Kind::Integer {
            set: |c, v| c.max_concurrent_runs = v,
            min: 1,
            max: limits::CONCURRENT_RUNS_MAX,
        },
        presence: Presence::Default("4"),
        doc: "Runs in progress at once; the others wait.",
    },
    Key {
        path: "max_claims_per_heartbeat",
        kind: Kind::Integer { set: |c, v| c.max_claims_per_heartbeat = v, min: 1, max: 100_000 },
        presence: Presence::Default("1000"),
        doc: "Due flows that one heartbeat starts; the rest stay due.",
    },
    Key {
        path: "durability",
        kind: Kind::Word {
            set: |c, v| c.durability = if v == "normal" { Durability::Normal } else { Durability::Full },
            words: &["full", "normal"],
        },
        presence: Presence::Default(r#""full""#),
        doc: "\"full\": what an answer names survives a power cut. \"normal\" gives that up for fewer syncs.",
    },
    Key {
        path: "shutdown_timeout",
        kind: Kind::Duration { set: |c, v| c.shutdown_timeout = v, min: Duration::ZERO, max: HOUR },
        presence: Presence::Default(r#""8s""#),
        doc: "How long runs may go on after SIGTERM.",
    },
    Key {
        path: "kill_grace",
        kind: Kind::Duration { set: |c, v| c.kill_grace = v, min: Duration::ZERO, max: HOUR },
        presence: Presence::Default(r#""3s""#),
        doc: "From TERM to KILL when a run is ended; a flow may have its own.",
    },
    Key {
        path: "allow_unauthenticated_network",
        kind: Kind::Boolean(|c, v| c.allow_unauthenticated_network = v),
        presence: Presence::Default("false"),
        doc: "Needed, with authentication_enabled = false, to listen beyond loopback.",
    },
    Key {
        path: "limits.wait",
        kind: Kind::Duration { set: |c, v| c.limits.wait = v, min: Duration::ZERO, max: HOUR },
        presence: Presence::Default(r#""60s""#),
        doc: "The longest that Prefer: wait=N holds an answer.",
    },
    Key {
        path: "limits.connections",
        kind: Kind::Integer { set: |c, v| c.limits.connections = v, min: 1, max: 65_536 },
        presence: Presence::Default("256"),
        doc: "Connections open at once; past it an idle one makes room, or a slow one of the address with most.",
    },
    Key {
        path: "limits.connections_per_address",
        kind: Kind::Integer { set: |c, v| c.limits.connections_per_address = v, min: 1, max: 65_536 },
        presence: Presence::Default("64"),
        doc: "Connections open at once from one address.",
    },
    Key {
        path: "limits.head",
        kind: Kind::Size { set: |c, v| c.limits.head_bytes = v, min: 1024, max: 1 << 20 },
        presence: Presence::Default(r#""16 KiB""#),
        doc: "Request line and fields of a request together.",
    },
    Key {
        path: "limits.headers",
        kind: Kind::Integer { set: |c, v| c.limits.headers = v, min: 8, max: limits::HEADERS_MAX },
        presence: Presence::Default("64"),
        doc: "Fields in a request.",
    },
    Key {
        path: "limits.body",
        kind: Kind::Size { set: |c, v| c.limits.body_bytes = v, min: 0, max: 16 << 20 },
        presence: Presence::Default(r#""64 KiB""#),
        doc: "A request's content.",
    },
    Key {
        path: "limits.head_timeout",
        kind: Kind::Duration { set: |c, v| c.limits.head_timeout = v, min: TIMEOUT_MIN, max: HOUR },
        presence: Presence::Default(r#""5s""#),
        doc: "From the connection to the end of a request's head.",
    },
    Key {
        path: "limits.body_timeout",
        kind: Kind::Duration { set: |c, v| c.limits.body_timeout = v, min: TIMEOUT_MIN, max: HOUR },
        presence: Presence::Default(r#""10s""#),
        doc: "From the end of the head to the end of the content.",
    },
    Key {
        path: "limits.idle_timeout",
        kind: Kind::Duration { set: |c, v| c.limits.idle_timeout = v, min: TIMEOUT_MIN, max: HOUR },
        presence: Presence::Default(r#""60s""#),
        doc: "Between two requests on one connection.",
    },
    Key {
        path: "limits.failed_signatures_per_minute",
        kind: Kind::Integer {
            set: |c, v| c.limits.failed_signatures_per_minute = u32::try_from(v).unwrap_or(u32::MAX),
            min: 1,
            max: 1_000_000,
        },
        presence: Presence::Default("30"),
        doc: "Wrong credentials per address before the answer is 429, unlogged. Right ones are always served.",
    },
    Key {
        path: "history.runs_per_flow",
        kind: Kind::Integer {
            set: |c, v| c.history.runs_per_flow = v,
            min: limits::RUNS_PER_FLOW_MIN,
            max: 1_000_000,
        },
        presence: Presence::Default("200"),
        doc: "Ended runs of each flow that are kept: the newest, and for a quarter failures older than those.",
    },
    Key {
        path: "history.age",
        kind: Kind::Duration { set: |c, v| c.history.age = v, min: HOUR, max: limits::RUN_INTERVAL_MAX },
        presence: Presence::Default(r#""90d""#),
        doc: "How long runs are kept at most.",
    },
    Key {
        path: "history.database",
        kind: Kind::Size {
            set: |c, v| c.history.database_bytes = v,
            min: limits::DATABASE_BYTES_MIN,
            max: limits::DATABASE_BYTES_MAX,
        },
        presence: Presence::Default(r#""256 MiB""#),
        doc: "The most that the database's file and its log may take; the oldest successes go first, then failures.",
    },
    Key {
        path: "history.output",
        kind: Kind::Size { set: |c, v| c.history.output_bytes = v, min: 0, max: limits::OUTPUT_BYTES_MAX },
        presence: Presence::Default(r#""16 KiB""#),
        doc: "The end of each run's output that is kept.",
    },
    Key {
        path: "status.listen",
        kind: Kind::Own {
            read: |value, _, c: &mut Config| {
                status::listen(value).map(|v| c.status.listen = v).map_err(|wrong| vec![wrong])
            },
            right: "an IP address with a port, or false",
        },
        presence: Presence::Default(r#""127.0.0.1:8788""#),
        doc: "The address of the status page, and of /metrics for Prometheus, or false; port 0 takes a free one. The \
              default one is done without where it is taken.",
    },
    Key {
        path: "status.whitelisted_ips",
        kind: Kind::Networks(|c, v| c.status.whitelisted_ips = v),
        presence: Presence::Default(r#"["127.0.0.0/8", "::1"]"#),
        doc: "Addresses and networks that may look on; of others nothing is read.",
    },
    Key {
        path: "status.hosts",
        kind: Kind::Hosts(|c, v| c.status.hosts = v),
        presence: Presence::Default("[]"),
        doc: "Names by which the status port is reached, beside localhost and IP addresses.",
    },
    Key {
        path: "status.output",
        kind: Kind::Boolean(|c, v| c.status.output = v),
        presence: Presence::Default("true"),
        doc: "Whether the status page shows the ends of runs' outputs, and what may quote what they tell.",
    },
    Key {
        path: "status.badges",
        kind: Kind::Boolean(|c, v| c.status.badges = v),
        presence: Presence::Default("false"),
        doc: "Whether there are badges, /badge/FLOW.svg and .json, which other sites' pages may show.",
    },
    Key {
        path: "alerts.url",
        kind: Kind::Own {
            read: |value, _, c: &mut Config| alerts::url(value).map(|url| c.alerts.url = Some(url)),
            right: "an absolute http URL",
        },
        presence: Presence::Optional(r#""http://192.168.1.20/alerts""#),
        doc: "Gets each alert as a POST, signed as by Standard Webhooks. Without url and command nothing is told.",
    },
    Key {
        path: "alerts.secret_file",
        kind: Kind::Path(|c, v| c.alerts.secret_file = Some(v)),
        presence: Presence::Optional(r#""alert-secret""#),
        doc: "A file that only you can read, with the secret that the receiver at url knows, as in signing_secret_files.",
    },
    Key {
        path: "alerts.command",
        kind: Kind::Own {
            read: |value, base, c: &mut Config| {
                alerts::command(value, base).map(|argv| c.alerts.command = argv)
            },
            right: "a list of texts, program first",
        },
        presence: Presence::Optional(r#"["/usr/local/bin/tell-me"]"#),
        doc: "In place of url: a program, which gets each alert as JSON on its standard input; 0 is delivered.",
    },
    Key {
        path: "alerts.after_failures",
        kind: Kind::Integer {
            set: |c, v| c.alerts.after_failures = v,
            min: 1,
            max: limits::ALERT_AFTER_FAILURES_MAX,
        },
        presence: Presence::Default("3"),
        doc: "Told once when a flow has failed so often in a row, and once when it succeeds again.",
    },
    Key {
        path: "alerts.run_longer_than",
        kind: Kind::Duration {
            set: |c, v| c.alerts.run_longer_than = Some(v),
            min: limits::ALERT_TIME_MIN,
            max: limits::RUN_INTERVAL_MAX,
        },
        presence: Presence::Optional(r#""30m""#),
        doc: "Told of a run that takes longer, while it goes on.",
    },
    Key {
        path: "alerts.no_heartbeat_for",
        kind: Kind::Duration {
            set: |c, v| c.alerts.no_heartbeat_for = Some(v),
            min: limits::ALERT_TIME_MIN,
            max: limits::RUN_INTERVAL_MAX,
        },
        presence: Presence::Optional(r#""1h""#),
        doc: "Told of an agent that was silent for so long, since it was heard or the daemon started, and of its return.",
    },
    Key {
        path: "alerts.watchdog_url",
        kind: Kind::Own {
            read: |value, _, c: &mut Config| alerts::url(value).map(|url| c.alerts.watchdog_url = Some(url)),
            right: "an absolute http URL",
        },
        presence: Presence::Optional(r#""http://192.168.1.20:8000/ping/box-1""#),
        doc: "Asked for by GET while all is well, so that somebody else can watch this daemon.",
    },
    Key {
        path: "alerts.every",
        kind: Kind::Duration {
            set: |c, v| c.alerts.every = v,
            min: limits::ALERT_TIME_MIN,
            max: limits::WATCHDOG_EVERY_MAX,
        },
        presence: Presence::Default(r#""1m""#),
        doc: "How often watchdog_url is asked for.",
    },
    Key {
        path: "control.socket",
        kind: Kind::Path(|c, v| c.control.socket = v),
        presence: Presence::Default(r#""heartbeatd.sock""#),
        doc: "The Unix socket for operators. Whoever may write to it may do all that the daemon may.",
    },
    Key {
        path: "control.mode",
        kind: Kind::Mode(|c, v| c.control.mode = v),
        presence: Presence::Default(r#""0600""#),
        doc: "The socket's permissions; \"0660\" lets the daemon's group in.",
    },
    Key {
        path: "log.level",
        kind: Kind::Word {
            set: |c, v| c.log.level = v.parse().unwrap_or(log::LevelFilter::Info),
            words: &["error", "warn", "info", "debug", "trace"],
        },
        presence: Presence::Default(r#""info""#),
        doc: "The least that is logged, to standard error.",
    },
    Key {
        path: "log.format",
        kind: Kind::Word {
            set: |c, v| c.log.format = if v == "json" { LogFormat::Json } else { LogFormat::Text },
            words: &["text", "json"],
        },
        presence: Presence::Default(r#""text""#),
        doc: "\"text\", or \"json\" for one object a line.",
    },
];

/// The least interval and time-out of a flow that is written in whole seconds.
pub(super) const WHOLE_SECONDS_MIN: Duration = SECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_defaults_are_those_of_the_limits() {
        let config = Config::defaults(Path::new("/etc/heartbeatd"));
        let Config { limits: bounds, .. } = &config;
        assert_eq!(config.listen, ["127.0.0.1:8787".parse().unwrap()]);
        assert_eq!(config.listen[0].port(), super::super::LISTEN_PORT_DEFAULT);
        assert_eq!(config.signing_secret_files, [Path::new("/etc/heartbeatd/secret")]);
        assert_eq!(config.database, Path::new("/etc/heartbeatd/heartbeat.db"));
        assert_eq!(config.signature_tolerance, limits::SIGNATURE_TOLERANCE_DEFAULT);
        assert_eq!(config.max_concurrent_runs, limits::CONCURRENT_RUNS_DEFAULT);
        assert_eq!(config.max_claims_per_heartbeat, limits::CLAIMS_PER_HEARTBEAT_DEFAULT);
        assert_eq!(config.shutdown_timeout, limits::SHUTDOWN_TIMEOUT_DEFAULT);
        assert_eq!(config.kill_grace, limits::KILL_GRACE_DEFAULT);
        assert_eq!(bounds.wait, limits::WAIT_DEFAULT);
        assert_eq!(bounds.connections, limits::CONNECTIONS_DEFAULT);
        assert_eq!(bounds.connections_per_address, limits::CONNECTIONS_PER_ADDRESS_DEFAULT);
        assert_eq!(bounds.head_bytes, limits::HEAD_BYTES_DEFAULT);
        assert_eq!(bounds.headers, limits::HEADERS_DEFAULT);
        assert_eq!(bounds.body_bytes, limits::BODY_BYTES_DEFAULT);
        assert_eq!(bounds.head_timeout, limits::HEAD_TIMEOUT_DEFAULT);
        assert_eq!(bounds.body_timeout, limits::BODY_TIMEOUT_DEFAULT);
        assert_eq!(bounds.idle_timeout, limits::IDLE_TIMEOUT_DEFAULT);
        assert_eq!(bounds.failed_signatures_per_minute, limits::FAILED_SIGNATURES_PER_MINUTE_DEFAULT);
        assert_eq!(config.history.runs_per_flow, limits::RUNS_PER_FLOW_DEFAULT);
        assert_eq!(config.history.age, limits::HISTORY_AGE_DEFAULT);
        assert_eq!(config.history.database_bytes, limits::DATABASE_BYTES_DEFAULT);
        assert_eq!(config.history.output_bytes, limits::OUTPUT_BYTES_DEFAULT);
        assert_eq!(config.control.mode, 0o600);
        assert_eq!(config.alerts.after_failures, limits::ALERT_AFTER_FAILURES_DEFAULT);
        assert_eq!(config.alerts.every, limits::WATCHDOG_EVERY_DEFAULT);
    }

    #[test]
    fn no_key_is_defined_twice() {
        let mut paths: Vec<_> = KEYS.iter().map(|key| key.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), KEYS.len());
    }
}
