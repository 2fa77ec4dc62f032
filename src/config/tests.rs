//! Every key right and wrong, faults all at once, and the example read back.

use super::*;
use crate::flow::{Command, FlowKind, KindFault, Kinds, RunContext, Schedule, Work};
use ipnet::IpNet;
use serde::Deserialize;

const FILE: &str = "/etc/heartbeatd/heartbeatd.toml";

fn read(text: &str) -> Result<Config, Faults> {
    parse(text, Path::new(FILE), &[])
}

fn with_environment(text: &str, pairs: &[(&str, &str)]) -> Result<Config, Faults> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parse(text, Path::new(FILE), &pairs)
}

/// The faults' lines and keys; each must have a message and a help.
fn faults<V: std::fmt::Debug>(read: Result<V, Faults>) -> Vec<(usize, String)> {
    let faults = read.unwrap_err();
    assert!(!faults.is_empty());
    for fault in &faults {
        assert!(!fault.help.is_empty() && !fault.message.is_empty(), "{fault:?}");
        assert!(!fault.to_string().contains('\n') && !fault.help.contains('\n'), "{fault:?}");
    }
    faults.into_iter().map(|fault| (fault.line.unwrap_or(0), fault.key.unwrap_or_default())).collect()
}

fn help(read: Result<Config, Faults>) -> String {
    let faults = read.unwrap_err();
    assert_eq!(faults.len(), 1, "{faults}");
    faults.into_iter().map(|fault| fault.help).collect()
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(read(""), Ok(Config::defaults(Path::new("/etc/heartbeatd"))));
}

#[test]
fn a_socket_has_a_mode_in_octal_text_and_a_path_that_fits() {
    let mode = |text: &str| read(&format!("[control]\nmode = {text}\n"));
    for (text, expected) in [("\"0600\"", 0o600), ("\"660\"", 0o660), ("\"0777\"", 0o777)] {
        assert_eq!(mode(text).map(|config| config.control.mode), Ok(expected), "{text}");
    }
    for wrong in ["600", "0o600", "\"0400\"", "\"01600\"", "\"0680\"", "\"+600\"", "\"rw-\""] {
        assert_eq!(faults(mode(wrong)), [(2, "control.mode".to_owned())], "{wrong}");
    }
    let long = read(&format!("[control]\nsocket = \"{}\"\n", "x".repeat(100)));
    assert_eq!(faults(long), [(2, "control.socket".to_owned())]);
}

#[test]
fn all_faults_come_at_once_each_with_its_line_and_key() {
    let text = "\
listn = [\"127.0.0.1:1\"]
endpoint_path = \"heartbeat\"
authentication_enabled = \"yes\"
whitelisted_ips = [
  \"10.0.0.0/8\",
  \"10.0.0.1/8\",
  \"nonsense\",
]
max_concurrent_runs = 0
durability = \"most\"
what is this

[limits]
bodyy = 1
head_timeout = 2026-11-23
wait = \"2h\"
";
    let expected = [
        (1, "listn"),
        (2, "endpoint_path"),
        (3, "authentication_enabled"),
        (6, "whitelisted_ips"),
        (7, "whitelisted_ips"),
        (9, "max_concurrent_runs"),
        (10, "durability"),
        (14, "limits.bodyy"),
        (15, "limits.head_timeout"),
        (16, "limits.wait"),
    ];
    let without_syntax_error = faults(read(&text.replace("what is this", "")));
    assert_eq!(without_syntax_error, expected.map(|(line, key)| (line, key.to_owned())));
    let with_it = faults(read(text));
    assert!(with_it.contains(&(11, String::new())) && with_it.contains(&(14, "limits.bodyy".to_owned())));
}

#[test]
fn each_kind_takes_what_is_right() {
    let config = read(
        "listen = ['0.0.0.0:0', '0.0.0.0:0', '[::1]:8787']\nsigning_secret_files = ['a', '/b', './c/../d']\n\
         whitelisted_ips = ['10.0.0.0/8', '192.168.1.7', '::ffff:10.1.0.0/112', '::ffff:1.2.3.4', 'fd00::/8']\n\
         signature_tolerance = 60\nkill_grace = '250ms'\nshutdown_timeout = '1m30s'\ndurability = 'normal'\n\
         authentication_token_file = 'token'\nlimits.body = '1 MiB'\nlimits.head = 0x1000\n\
         limits.connections = 1_000\n[history]\noutput = 0\n[log]\nlevel = 'trace'\nformat = 'json'\n",
    )
    .unwrap();
    let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
    assert_eq!(config.listen.len(), 3);
    let secrets = ["/etc/heartbeatd/a", "/b", "/etc/heartbeatd/c/../d"].map(PathBuf::from);
    assert_eq!(config.signing_secret_files, secrets);
    assert!(config.signing_secret_files_given);
    assert_eq!(
        config.whitelisted_ips,
        nets(&["10.0.0.0/8", "192.168.1.7/32", "10.1.0.0/16", "1.2.3.4/32", "fd00::/8"])
    );
    assert_eq!(config.signature_tolerance, Duration::from_secs(60));
    assert_eq!(config.kill_grace, Duration::from_millis(250));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(90));
    assert_eq!(config.durability, Durability::Normal);
    assert_eq!(config.authentication_token_file, Some(PathBuf::from("/etc/heartbeatd/token")));
    assert_eq!((config.limits.body_bytes, config.limits.head_bytes), (1 << 20, 4096));
    assert_eq!((config.limits.connections, config.history.output_bytes), (1000, 0));
    assert_eq!(config.log, Log { level: log::LevelFilter::Trace, format: LogFormat::Json });
}

#[test]
fn each_kind_refuses_what_is_wrong() {
    for wrong in [
        "listen = '127.0.0.1:8787'",
        "listen = ['localhost:8787']",
        "listen = ['127.0.0.1']",
        "listen = ['127.0.0.1:99999']",
        "listen = [8787]",
        "listen = []",
        "listen = ['127.0.0.1:1', '127.0.0.1:1']",
        "endpoint_path = ''",
        "endpoint_path = '/a b'",
        "endpoint_path = '/ä'",
        "endpoint_path = '/a?b'",
        "endpoint_path = '/a#b'",
        "endpoint_path = '/a{b}'",
        "endpoint_path = '/healthz'",
        "endpoint_path = \"/\\u0000\"",
        "authentication_enabled = 1",
        "signing_secret_files = 'secret'",
        "signing_secret_files = []",
        "signing_secret_files = ['']",
        "signing_secret_files = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']",
        "signature_tolerance = '0s'",
        "signature_tolerance = '25h'",
        "signature_tolerance = 5.0",
        "signature_tolerance = -5",
        "signature_tolerance = 99999999999999999999999999999999999999999999",
        "signature_tolerance = '5 minutes'",
        "whitelisted_ips = ['127.0.0.1:80']",
        "whitelisted_ips = ['10.0.0.0/33']",
        "whitelisted_ips = ['fe80::1%eth0']",
        "database = ''",
        "database = \"a\\u0000b\"",
        "database = {}",
        "max_concurrent_runs = 257",
        "max_concurrent_runs = '4'",
        "durability = 'FULL'",
        "durability = []",
        "limits = 5",
        "limits.body = '17 MiB'",
        "limits.body = '1 kib'",
        "limits.headers = 257",
        "limits.connections = 10",
        "limits.connections_per_address = 257",
        "log.level = 'loud'",
        "log.level.deeper = 'info'",
        "\"limits.body\" = 5",
        "status = 5",
        "status.listen = true",
        "status.listen = '127.0.0.1'",
        "status.listen = ['127.0.0.1:8788']",
        "status.listen = '127.0.0.1:8787'",
        "listen = ['127.0.0.1:8788']",
        "status.hosts = 'box.example'",
        "status.hosts = ['box.example:80']",
        "status.hosts = ['http://box.example']",
        "status.hosts = ['*']",
        "status.hosts = ['']",
        "status.hosts = ['10.0.0.1']",
        "status.output = 'no'",
        "[[limits]]\nbody = 1",
        "durability = 'full'\ndurability = 'full'",
        "\"\" = 1",
    ] {
        assert_eq!(faults(read(wrong)).len(), 1, "{wrong}");
    }
}

#[test]
fn those_who_look_on_have_a_port_of_their_own_unless_there_is_none() {
    let status = |text: &str| read(text).unwrap().status;
    let default = status("");
    assert_eq!((default.listen, default.listen_given), ("127.0.0.1:8788".parse().ok(), false));
    assert!(default.output && !default.badges && default.hosts.is_empty());
    let other =
        status("[status]\nlisten = '[::1]:0'\nhosts = ['Box.Example']\nwhitelisted_ips = ['10.0.0.0/8']\n");
    assert_eq!((other.listen, other.listen_given), ("[::1]:0".parse().ok(), true));
    assert_eq!((other.hosts, other.whitelisted_ips.len()), (vec!["box.example".to_owned()], 1));
    assert_eq!(status("listen = ['127.0.0.1:8788']\nstatus.listen = false").listen, None);
    let pairs = [("HEARTBEATD_STATUS__LISTEN", "false"), ("HEARTBEATD_STATUS__HOSTS", "a, b")];
    let status = with_environment("", &pairs).unwrap().status;
    assert_eq!(
        (status.listen, status.listen_given, status.hosts),
        (None, true, vec!["a".to_owned(), "b".to_owned()])
    );
}

#[test]
fn a_slip_is_told_what_was_meant() {
    for (wrong, expected) in [
        ("listn = []", "did you mean `listen`?"),
        ("limits.bodyy = 1", "did you mean `body`?"),
        ("[limit]\nbody = 1", "did you mean [limits]?"),
        ("body = 1", "`body` belongs under [limits]"),
        ("limits.database = 1", "`database` belongs above the first [table]"),
        ("\"log.level\" = 1", "`level` belongs under [log]"),
        (
            "whitelisted_ips = ['10.1.2.3/8']",
            "write \"10.0.0.0/8\" for the network, or \"10.1.2.3\" for the one address",
        ),
        (
            "limits.body = '17 MiB'",
            "give a size from 0 B to 16 MiB, such as body = \"64 KiB\" under [limits]",
        ),
        ("listen = ['::1']", "add a port: \"[::1]:8787\""),
        ("listen = ['127.0.0.1:8788']", "give two ports, or set listen = false under [status]"),
        ("status.hosts = ['10.0.0.1']", "leave it out: every IP address is right"),
    ] {
        assert_eq!(help(read(wrong)), expected, "{wrong}");
    }
    assert!(help(read("authentication_token = 'x'")).contains("authentication_token_file = "));
    assert!(help(read("colour = 1")).starts_with("remove it; known here: listen, "));
}

#[test]
fn no_message_repeats_a_secret() {
    for text in [
        "signing_secret_files = ['whsec_SECRET']",
        "signing_secret = 'whsec_SECRET'",
        "signing_secret_files = 'whsec_SECRET'",
        "authentication_token = 'SECRET'",
        "listen = ['whsec_SECRET']",
        "a = whsec_SECRET",
        "whsec_SECRET",
    ] {
        let faults = with_environment(text, &[("HEARTBEATD_SIGNING_SECRT", "whsec_SECRET")]).unwrap_err();
        assert!(
            !faults.to_string().contains("SECRET\n") && !faults.to_string().contains("whsec_S"),
            "{faults}"
        );
    }
}

#[test]
fn the_environment_overrides_the_file() {
    let pairs = [
        ("HEARTBEATD_LIMITS__BODY", "65536"),
        ("HEARTBEATD_LIMITS__HEAD", "8 KiB"),
        ("HEARTBEATD_LISTEN", "127.0.0.1:0, [::1]:0"),
        ("HEARTBEATD_TRUSTED_PROXIES", ""),
        ("HEARTBEATD_DATABASE", "data/h.db"),
        ("HEARTBEATD_AUTHENTICATION_ENABLED", "false"),
        ("HEARTBEATD_MAX_CONCURRENT_RUNS", "9"),
        ("HEARTBEATD_LOG__LEVEL", "debug"),
        ("HEARTBEATD_CONFIG", "x"),
        ("HEARTBEATD_SIGNING_SECRET", "whsec_x"),
        ("HEARTBEATD_AUTHENTICATION_TOKEN", "y"),
        ("HEARTBEAT_FLOW", "not ours"),
        ("PATH", "/bin"),
    ];
    let text = "database = 'other.db'\nlimits.body = 5\ntrusted_proxies = ['10.0.0.1']\n";
    let config = with_environment(text, &pairs).unwrap();
    assert_eq!((config.limits.body_bytes, config.limits.head_bytes), (65_536, 8192));
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.trusted_proxies, []);
    assert_eq!(config.database, Path::new("/etc/heartbeatd/data/h.db"));
    assert_eq!((config.authentication_enabled, config.max_concurrent_runs), (false, 9));
    assert_eq!(config.log.level, log::LevelFilter::Debug);
}

#[test]
fn faults_of_the_environment_name_the_variable() {
    let pairs = [
        ("HEARTBEATD_LIMITS__BODY", "lots"),
        ("HEARTBEATD_LISTEN", "127.0.0.1"),
        ("HEARTBEATD_LIMITS_BODY", "1"),
        ("HEARTBEATD_listen", "127.0.0.1:1"),
        ("HEARTBEATD_", "x"),
        ("HEARTBEATD_AUTHENTICATION_ENABLED", "yes"),
    ];
    let found = with_environment("listn = 1\n", &pairs).unwrap_err();
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 7, "{found}");
    assert!(lines[0].starts_with("/etc/heartbeatd/heartbeatd.toml:1: listn: "));
    assert_eq!(lines[1], "environment: HEARTBEATD_LIMITS__BODY: `lots` is not a size");
    let helps: Vec<&str> = found.iter().map(|fault| fault.help.as_str()).collect();
    assert_eq!(helps[1], "give a size from 0 B to 16 MiB, such as HEARTBEATD_LIMITS__BODY=64 KiB");
    assert_eq!(helps[3], "did you mean HEARTBEATD_LIMITS__BODY?");
    assert_eq!(helps[4], "did you mean HEARTBEATD_LISTEN?");
}

#[test]
fn what_contradicts_itself_is_refused() {
    let open = "authentication_enabled = false\nlisten = ['0.0.0.0:1']\n";
    assert_eq!(faults(read(open)), [(1, "authentication_enabled".to_owned())]);
    assert!(read(&format!("{open}allow_unauthenticated_network = true")).is_ok());
    assert!(
        read("authentication_enabled = false\nlisten = ['[::ffff:127.0.0.1]:1', '[::1]:1', '127.1.2.3:1']")
            .is_ok()
    );
    let bare = "\nsigning_secret_files = []\n";
    assert_eq!(faults(read(bare)), [(2, "signing_secret_files".to_owned())]);
    assert!(read(&format!("{bare}authentication_token_file = 'token'")).is_ok());
    assert!(with_environment(bare, &[("HEARTBEATD_SIGNING_SECRET", "whsec_x")]).is_ok());
    assert!(with_environment(bare, &[("HEARTBEATD_AUTHENTICATION_TOKEN", "x")]).is_ok());
    assert!(with_environment(bare, &[("HEARTBEATD_SIGNING_SECRET", " ")]).is_err());
    assert!(read("limits.connections = 3\nlimits.connections_per_address = 3").is_ok());
    let pairs = [("HEARTBEATD_LIMITS__CONNECTIONS", "3")];
    assert_eq!(faults(with_environment("", &pairs)), [(0, "HEARTBEATD_LIMITS__CONNECTIONS".to_owned())]);
}

#[test]
fn a_file_beyond_its_size_is_refused_unread() {
    assert_eq!(faults(read(&"#".repeat(limits::CONFIG_FILE_BYTES_MAX + 1))).len(), 1);
    assert_eq!(faults(flow(&"#".repeat(limits::FLOW_FILE_BYTES_MAX + 1))).len(), 1);
}

struct Other;

impl FlowKind for Other {
    fn name(&self) -> &'static str {
        "other"
    }
    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        let key = |key: &str| KindFault { key: Some(key.to_owned()), ..KindFault::from("is odd".to_owned()) };
        match settings.get("n") {
            Some(serde_json::Value::String(path)) => Err(key(path)),
            Some(_) => Ok(()),
            None => Err("other.n is\nmissing".to_owned().into()),
        }
    }
    fn launch(&self, _: &serde_json::Value, _: &RunContext<'_>) -> Result<Work, String> {
        Err("never".to_owned())
    }
}

fn flow(text: &str) -> Result<crate::flow::Definition, Faults> {
    let mut kinds = Kinds::default();
    kinds.register(Box::new(Other));
    let zones = crate::time::testing::zones();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
    parse_flow(text, Path::new("/box/flows/upload.toml"), &context)
}

fn command(text: &str) -> Command {
    Command::deserialize(flow(text).unwrap().configuration.settings).unwrap()
}

#[test]
fn a_whole_flow_file_is_read() {
    let text = "name = 'a-b_1'\ndescription = 'Ä'\nenabled = false\nrun_interval = '15m'\nschedule = 'fixed_rate'\n\
                timeout = '250ms'\nkill_grace = '1s'\n[command]\nargv = ['./bin/x', '', 'ü']\n\
                working_directory = 'work/.'\nenvironment = { PATH = '/bin', A-B = '=' }\ninherit = ['TZ']\n\
                stdin = \"\"\"\n{}\n\"\"\"\n";
    let definition = flow(text).unwrap();
    assert_eq!(
        (definition.name.as_str(), definition.run_interval_s, definition.enabled),
        ("a-b_1", 900, false)
    );
    assert_eq!(definition.description.as_deref(), Some("Ä"));
    let configuration = &definition.configuration;
    assert_eq!((configuration.timeout_ms, configuration.kill_grace_ms), (250, Some(1000)));
    assert_eq!(configuration.kind, "command");
    let command = command(text);
    assert_eq!(command.argv, ["/box/flows/bin/x", "", "ü"]);
    assert_eq!(command.working_directory, Path::new("/box/flows/work"));
    assert_eq!(command.environment.get("A-B").map(String::as_str), Some("="));
    assert_eq!((command.inherit, command.stdin.as_deref()), (vec!["TZ".to_owned()], Some("{}\n")));
}

#[test]
fn a_short_flow_file_takes_its_stem_and_the_defaults() {
    let text = "run_interval = 1\ncommand.argv = ['date']\n";
    let definition = flow(text).unwrap();
    assert_eq!((definition.name.as_str(), definition.enabled), ("upload", true));
    assert_eq!(definition.configuration.timeout(), limits::TIMEOUT_DEFAULT);
    let command = command(text);
    assert_eq!((command.argv, command.working_directory), (vec!["date".to_owned()], PathBuf::from("/box")));
    let shell = "run_interval = 1\n[command]\nshell = true\nargv = './a | b'\n";
    assert_eq!(self::command(shell).argv, ["./a | b"]);
}

#[test]
fn a_schedule_is_read_whole() {
    let text = "run_interval = '6h'\nat = '02:30'\ntime_zone = 'Europe/Berlin'\nonly_between = ['22:00', '05:00']\n\
                spread = '10m'\ncommand.argv = ['a']\n";
    let configuration = flow(text).unwrap().configuration;
    let calendar = serde_json::to_string(&configuration.calendar).unwrap();
    let expected =
        r#"{"at":"02:30","time_zone":"Europe/Berlin","only_between":["22:00","05:00"],"spread_ms":600000}"#;
    assert_eq!((calendar.as_str(), configuration.schedule), (expected, Schedule::FixedRate));
    for (interval, fits) in
        [("1s", true), ("45m", true), ("7h", false), ("1d", true), ("36h", false), ("2w", true)]
    {
        let text = format!("run_interval = '{interval}'\nat = '02:30'\ncommand.argv = ['a']");
        assert_eq!(flow(&text).is_ok(), fits, "{interval}");
    }
    let delay = flow("run_interval = 1\nschedule = 'fixed_delay'\ncommand.argv = ['a']").unwrap();
    assert_eq!(delay.configuration.schedule, Schedule::FixedDelay);
    assert!(delay.configuration.calendar.is_plain());
}

#[test]
fn faults_of_a_schedule_say_what_would_be_right() {
    let help = |keys: &str| {
        let found = flow(&format!("run_interval = '50m'\n{keys}\ncommand.argv = ['a']\n")).unwrap_err();
        let fault = found.iter().next().unwrap();
        (fault.line.unwrap(), fault.key.clone().unwrap(), fault.help.clone())
    };
    let of = |line: usize, key: &str, help: &str| (line, key.to_owned(), help.to_owned());
    let neighbours =
        "give an interval that divides 24h, or whole days, such as \"48m\" or \"1h\"; or remove at";
    assert_eq!(help("at = '02:30'"), of(1, "run_interval", neighbours));
    for (written, meant) in [
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("New York", "America/New_York"),
    ] {
        let found = help(&format!("time_zone = '{written}'"));
        assert_eq!(found, of(2, "time_zone", &format!("did you mean \"{meant}\"?")));
    }
    let iana = "give an IANA name such as time_zone = \"Europe/Berlin\"";
    assert_eq!(help("time_zone = 'Mars'"), of(2, "time_zone", iana));
    assert_eq!(help("spread = '51m'"), of(2, "spread", "give at most spread = \"50m\""));
}

#[test]
fn a_cron_line_is_told_the_keys_that_do_it() {
    for (line, right) in [
        ("0 3 * * *", "such as run_interval = \"1d\" and at = \"03:00\""),
        ("5 14 * * *", "such as run_interval = \"1d\" and at = \"14:05\""),
        ("*/15 * * * *", "such as run_interval = \"15m\" and at = \"00:00\""),
        ("@hourly", "such as run_interval = \"1h\" and at = \"00:00\""),
        ("30 * * * *", "such as run_interval = \"1h\" and at = \"00:30\""),
        // What has no such keys is told an example.
        ("0 3 * * mon", "such as run_interval = \"1d\" and at = \"02:30\""),
        ("0 25 * * *", "such as run_interval = \"1d\" and at = \"02:30\""),
        ("*/7 * * * *", "such as run_interval = \"1d\" and at = \"02:30\""),
        ("@weekly", "such as run_interval = \"1d\" and at = \"02:30\""),
    ] {
        for key in ["run_interval", "schedule", "at", "cron"] {
            let rest = if key == "run_interval" { "" } else { "run_interval = '1h'\n" };
            let found = flow(&format!("{key} = '{line}'\n{rest}command.argv = ['a']\n")).unwrap_err();
            let told: Vec<_> = found.iter().map(|fault| (fault.line, fault.key.as_deref())).collect();
            assert_eq!(told, [(Some(1), Some(key))], "{line}");
            let help = &found.iter().next().unwrap().help;
            assert!(
                help.starts_with("in place of a cron line give run_interval, ") && help.ends_with(right),
                "{help}"
            );
        }
    }
    let help = |text: &str| flow(text).unwrap_err().iter().next().unwrap().help.clone();
    for other in [
        "run_interval = '1 2 3 4'",
        "run_interval = 'every day at 3 pm'",
        "schedule = '@home'",
        "schedule = 'a b c d e'",
    ] {
        let help = help(&format!("{other}\nrun_interval = 1\ncommand.argv = ['a']"));
        assert!(!help.contains("cron"), "{other}: {help}");
    }
}

#[test]
fn flow_files_are_refused_for_each_fault() {
    let head = "run_interval = 1\n[command]\n";
    let huge = format!("{head}argv = ['{}', '{}']", "a".repeat(70_000), "b".repeat(70_000));
    let many = format!("{head}argv = [{}]", "'a',".repeat(limits::ARGUMENTS_MAX + 1));
    let stdin = format!("{head}argv = ['a']\nstdin = '{}'", "a".repeat(limits::STDIN_BYTES_MAX + 1));
    for (text, key) in [
        ("command.argv = ['a']", "run_interval"),
        ("run_interval = 1", ""),
        ("run_interval = 1\ncommand = 'a'", "command"),
        ("run_interval = 0\ncommand.argv = ['a']", "run_interval"),
        ("run_interval = '1500ms'\ncommand.argv = ['a']", "run_interval"),
        ("run_interval = '20000d'\ncommand.argv = ['a']", "run_interval"),
        ("run_interval = 1\nschedule = 'fixed'\ncommand.argv = ['a']", "schedule"),
        ("run_interval = 1\nat = '25:00'\ncommand.argv = ['a']", "at"),
        ("run_interval = 1\nat = 2.5\ncommand.argv = ['a']", "at"),
        ("run_interval = 1\nat = '02:30'\nschedule = 'fixed_delay'\ncommand.argv = ['a']", "at"),
        ("run_interval = 1\nonly_between = ['01:00']\ncommand.argv = ['a']", "only_between"),
        ("run_interval = 1\nonly_between = ['01:00', '24:00']\ncommand.argv = ['a']", "only_between"),
        ("run_interval = 1\nonly_between = ['01:00', '01:00']\ncommand.argv = ['a']", "only_between"),
        ("run_interval = 1\nonly_between = '01:00-05:00'\ncommand.argv = ['a']", "only_between"),
        ("run_interval = 1\ntime_zone = '../secret'\ncommand.argv = ['a']", "time_zone"),
        ("run_interval = 1\nname = 'Up load'\ncommand.argv = ['a']", "name"),
        ("run_interval = 1\nname = 5\ncommand.argv = ['a']", "name"),
        ("run_interval = 1\ntimeout = 0\ncommand.argv = ['a']", "timeout"),
        ("run_interval = 1\n[command]", "command.argv"),
        (&format!("{head}argv = []"), "command.argv"),
        (&format!("{head}argv = ['']"), "command.argv"),
        (&format!("{head}argv = 'a b'"), "command.argv"),
        (&format!("{head}argv = ['a', 5]"), "command.argv"),
        (&format!("{head}argv = [\"a\\u0000\"]"), "command.argv"),
        (&format!("{head}shell = true\nargv = ['a', 'b']"), "command.argv"),
        (&format!("{head}shel = true\nargv = ['a', 'b']"), "command.shel"),
        (&format!("{head}argv = ['a']\nenvironment = {{ HEARTBEATD_X = '1' }}"), "command.environment"),
        (&format!("{head}argv = ['a']\nenvironment = {{ HEARTBEAT_RUN_ID = '1' }}"), "command.environment"),
        (&format!("{head}argv = ['a']\nenvironment = {{ 'A=B' = '1' }}"), "command.environment"),
        (&format!("{head}argv = ['a']\nenvironment = {{ A = 1 }}"), "command.environment"),
        (&format!("{head}argv = ['a']\nenvironment = {{ A = \"\\u0000\" }}"), "command.environment"),
        (&format!("{head}argv = ['a']\ninherit = ['HEARTBEATD_SIGNING_SECRET']"), "command.inherit"),
        (&format!("{head}argv = ['a']\ninherit = 'TZ'"), "command.inherit"),
        (&format!("{head}argv = ['a']\nenvironment = {{ HEARTBEAT_OTHER = '1' }}"), "command.environment"),
        (&format!("{head}argv = ['a']\nnice = 20"), "command.nice"),
        (&format!("{head}argv = ['a']\nnice = '5'"), "command.nice"),
        (&format!("{head}argv = ['a']\nuser = 1000"), "command.user"),
        (&format!("{head}argv = ['a']\nlimits = 5"), "command.limits"),
        (&format!("{head}argv = ['a']\nlimits = {{ memory = '1 KiB' }}"), "command.limits"),
        (&format!("{head}argv = ['a']\nlimits = {{ cpu = '1500ms' }}"), "command.limits"),
        (&format!("{head}argv = ['a']\nlimits = {{ files = 1 }}"), "command.limits"),
        (&format!("{head}argv = ['a']\nlimits = {{ file = 100 }}"), "command.limits"),
        (&format!("{head}argv = ['a']\nenvironment_file = ''"), "command.environment_file"),
        ("run_interval = 1\nleftovers = 'keep'\ncommand.argv = ['a']", "leftovers"),
        (&huge, "command.argv"),
        (&many, "command.argv"),
        (&stdin, "command.stdin"),
        ("run_interval = 1\n[command]\nargv = ['a']\n[other]\nn = 1", "other"),
        ("run_interval = 1\n[other]\nm = 1", "other"),
        ("run_interval = 1\n[other]\nn = inf", "other"),
        ("run_interval = 1\nother = 1", "other"),
    ] {
        let found = faults(flow(text));
        assert_eq!(
            found.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>(),
            [key],
            "{}",
            &text[..text.len().min(200)]
        );
    }
    let several = "run_intervall = 1\n[command]\nargv = []\nenviron = {}\ninherit = ['', 'HEARTBEAT_ID']\n";
    assert_eq!(faults(flow(several)).iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 4, 5, 5, 0]);
}

#[test]
fn what_a_command_may_use_and_leave_behind_is_read() {
    let text = "run_interval = 1\nleftovers = 'leave'\n[command]\nargv = ['a']\nuser = '900'\nnice = -5
environment_file = 'a.env'\nlimits = { memory = '1 GiB', processes = 9, files = 64, cpu = '1h' }\n";
    let definition = flow(text).unwrap();
    let expected = serde_json::json!({
        "argv": ["a"], "shell": false, "working_directory": definition.configuration.settings["working_directory"],
        "environment_file": "/box/flows/a.env", "user": "900", "nice": -5,
        "limits": { "memory": 1_073_741_824, "processes": 9, "files": 64, "cpu": 3600 },
    });
    assert_eq!(definition.configuration.settings, expected);
    assert_eq!(definition.configuration.leftovers, crate::flow::Leftovers::Leave);
    // What was stored before there were these keys still reads.
    let older = serde_json::json!({
        "schedule": "fixed_rate", "timeout_ms": 1, "kind": "command",
        "settings": { "argv": ["a"], "working_directory": "/" },
    });
    let older: crate::flow::Configuration = serde_json::from_value(older).unwrap();
    assert_eq!(older.leftovers, crate::flow::Leftovers::End);
    assert!(crate::flow::Kinds::default().get("command").unwrap().check(&older.settings).is_ok());
}

#[test]
fn another_kind_judges_its_own_table() {
    let definition = flow("run_interval = 1\n[other]\nn = { deep = [1, 2.5] }\n").unwrap();
    assert_eq!(definition.configuration.kind, "other");
    assert_eq!(definition.configuration.settings.to_string(), r#"{"n":{"deep":[1,2.5]}}"#);
    for (key, line, shown) in [("n", 4, "other.n"), ("m.2.x", 3, "other.m[2].x"), ("o", 2, "other.o")] {
        let found = flow(&format!("run_interval = 1\n[other]\nm = []\nn = '{key}'\n")).unwrap_err();
        let expected =
            format!("/box/flows/upload.toml:{line}: {shown}: is odd\nhelp: correct the table [other]");
        assert_eq!(found.to_string().trim(), format!("error: {expected}"));
    }
}

#[test]
fn a_broken_flow_file_is_still_known_by_its_name() {
    let name = |text| flow_name(text, Path::new("flows/stem.toml")).map(String::from);
    assert_eq!(name("name = 'other'\nrun_interval = \n[comm"), Some("other".to_owned()));
    assert_eq!(name("[[["), Some("stem".to_owned()));
    assert_eq!(name("name = 'No Name'"), None);
    assert_eq!(flow_name("", Path::new("flows/No Name.toml")), None);
}
