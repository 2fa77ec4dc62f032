//! `/metrics` and the port that it is on: what is told is what happened, and it is told to those who may look on.

mod support;

use rusqlite::Connection;
use rustix::process::Signal;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use support::daemon::Daemon;
use support::metrics::{Metrics, busy_box, look, look_as, status_port, watched_box};
use support::tools::{can_run, tell_skipped};
use support::wire::Wire;
use support::{EdgeBox, eventually, until};

const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[test]
fn what_is_counted_is_what_happened() {
    let (edge_box, daemon) = busy_box();
    let metrics = Metrics::of(&edge_box);
    for (outcome, count) in [("started", 1), ("idle", 1), ("duplicate", 1), ("refused", 0)] {
        let series = format!("heartbeatd_heartbeats_total{{agent=\"default\",outcome=\"{outcome}\"}}");
        assert_eq!(metrics.count(&series), count, "{outcome}");
    }
    for (error, count) in
        [("signature_mismatch", 1), ("signature_missing", 1), ("not_found", 1), ("address_not_allowed", 0)]
    {
        let series = format!("heartbeatd_refusals_total{{listener=\"heartbeat\",error=\"{error}\"}}");
        assert_eq!(metrics.count(&series), count, "{error}");
    }
    let accepted = |port| format!("heartbeatd_connections_accepted_total{{listener=\"{port}\"}}");
    assert_eq!(metrics.count(&accepted("heartbeat")), 6);
    assert_eq!((metrics.count(&accepted("status")), metrics.count(&accepted("control"))), (1, 0));
    assert_eq!(metrics.count("heartbeatd_connections{listener=\"status\"}"), 1, "the one that looks");
    assert_eq!(metrics.count("heartbeatd_flows_found_total{result=\"triggered\"}"), 3);

    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"good\",end=\"success\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"bad\",end=\"success\"}"), 0);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"bad\",end=\"exit_status\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"(others)\",end=\"success\"}"), 0);
    assert_eq!(metrics.count("heartbeatd_run_duration_seconds_count"), 3);
    assert_eq!(metrics.count("heartbeatd_flow_consecutive_failures{flow=\"bad\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_flow_last_run_successful{flow=\"bad\"}"), 0);
    assert_eq!(metrics.count("heartbeatd_flow_last_run_successful{flow=\"good\"}"), 1);
    for (what, count) in [("read", 3), ("written", 2), ("updated", 0), ("skipped", 0), ("rejected", 1)] {
        assert_eq!(
            metrics.count(&format!("heartbeatd_records_{what}_total{{flow=\"pipe\"}}")),
            count,
            "{what}"
        );
        assert_eq!(metrics.find(&format!("heartbeatd_records_{what}_total{{flow=\"good\"}}")), None);
    }
    assert_eq!(metrics.count("heartbeatd_source_read_bytes_total{flow=\"pipe\"}"), 26);

    let next = edge_box.number("SELECT next_run_at FROM data_flows WHERE name = 'good'");
    let told = metrics.find("heartbeatd_flow_next_run_timestamp_seconds{flow=\"good\"}");
    assert_eq!(told, Some(format!("{}.{:03}", next / 1000, next % 1000).as_str()));
    assert_eq!((metrics.count("heartbeatd_flows"), metrics.count("heartbeatd_flows_runnable")), (3, 3));
    for (name, value) in [
        ("clock_set", 1),
        ("degraded", 0),
        ("database_readable", 1),
        ("last_reload_successful", 1),
        ("open_runs{state=\"in_progress\"}", 0),
        ("database_limit_bytes", 256 * 1024 * 1024),
        ("run_slots", 4),
    ] {
        assert_eq!(metrics.count(&format!("heartbeatd_{name}")), value, "{name}");
    }
    drop(daemon);
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    if !can_run("promtool", &["--version"]) {
        return;
    }
    let (edge_box, _daemon) = busy_box();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run promtool");
    let text = Metrics::of(&edge_box).text;
    promtool.stdin.take().expect("it reads").write_all(text.as_bytes()).expect("it reads all");
    let said = promtool.wait_with_output().expect("it ends");
    let complaints = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && complaints.is_empty(), "{}", String::from_utf8_lossy(&complaints));
}

#[test]
fn only_those_on_the_list_look_on_and_of_others_nothing_is_read() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\nwhitelisted_ips = [\"127.0.0.2\"]\n");
    let daemon = edge_box.start();
    let refused = look_as(&edge_box, Ipv4Addr::LOCALHOST, "this is no request at all\r\n\r\n");
    assert_eq!((refused.status, refused.error().as_str()), (403, "address_not_allowed"));
    assert_eq!(daemon.get("/healthz").status, 200, "the heartbeat port has a list of its own");
    let metrics = look_as(&edge_box, OTHER, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(metrics.status, 200);
    assert_eq!(metrics.field("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(text.contains("listener=\"status\",error=\"address_not_allowed\"} 1\n"), "{text}");
    assert!(text.contains("listener=\"heartbeat\",error=\"address_not_allowed\"} 0\n"), "{text}");
}

#[test]
fn a_name_that_is_not_the_boxs_gets_421_until_it_is_listed() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    let by = |host: &str| {
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n");
        look_as(&edge_box, Ipv4Addr::LOCALHOST, &request)
    };
    let refused = by("box.example");
    assert_eq!((refused.status, refused.error().as_str()), (421, "misdirected_request"));
    let port = status_port(&edge_box);
    assert_eq!(by(&format!("127.0.0.1:{port}")).status, 200);
    edge_box.configure("[status]\nlisten = \"127.0.0.1:9\"\nhosts = [\"box.example\"]\n");
    daemon.signal(Signal::HUP);
    daemon.until_logged("reloaded");
    assert_eq!(by("box.example:80").status, 200);
    assert!(daemon.log().contains("keys=status.listen"), "{}", daemon.log());
}

#[test]
fn there_is_health_and_nothing_can_be_changed() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    assert_eq!(look(&edge_box, "/healthz").json()["status"], "ok");
    assert_eq!(look(&edge_box, "/readyz").json()["status"], "ready");
    let ask = |line: &str| {
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        look_as(&edge_box, Ipv4Addr::LOCALHOST, &request)
    };
    let posted = ask("POST /metrics");
    assert_eq!((posted.status, posted.field("Allow")), (405, Some("GET, HEAD, OPTIONS")));
    assert_eq!(ask("OPTIONS /metrics").field("Allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(ask("POST /data_flows/heartbeat").status, 404);
    let mut wire = Wire::connect(status_port(&edge_box));
    wire.send(
        "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let head = wire.head();
    assert!(head.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0) > 1000);
    assert_eq!(wire.answer().json()["status"], "ok", "a HEAD has no content, and the connection goes on");
    assert_eq!(daemon.beat().status, 200);
}

#[test]
fn those_who_look_on_crowd_nobody_out_but_each_other() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    let port = status_port(&edge_box);
    let mut busy: Vec<Wire> = (0..32).map(|_| Wire::connect(port)).collect();
    for wire in &mut busy {
        wire.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /metr");
        assert_eq!(wire.answer().status, 200);
    }
    until("all have begun another request", || look(&edge_box, "/healthz").status == 503);
    assert_eq!(daemon.beat().status, 200);
    busy.pop();
    let shown = || (look(&edge_box, "/metrics").status == 200).then(|| Metrics::of(&edge_box));
    let metrics = eventually("there is room again", shown);
    assert!(metrics.count("heartbeatd_refusals_total{listener=\"status\",error=\"overloaded\"}") >= 1);
}

#[test]
fn an_idle_heartbeat_writes_nothing_by_the_kernels_own_account() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let written = || {
        let metrics = Metrics::of(&edge_box);
        metrics.find("heartbeatd_disk_written_bytes_total").and_then(|bytes| bytes.parse::<u64>().ok())
    };
    let Some(at_first) = written() else {
        return tell_skipped("the kernel keeps no account of what a thread writes");
    };
    daemon.beat_and_wait();
    assert!(written() > Some(at_first), "a run is recorded");
    until("fifty heartbeats go by and nothing is written", || {
        let before = written();
        (0..50).for_each(|_| assert_eq!(daemon.beat().count("flows_due"), 0));
        written() == before
    });
    assert!(
        Metrics::of(&edge_box).count("heartbeatd_heartbeats_total{agent=\"default\",outcome=\"idle\"}") >= 50
    );
}

#[test]
fn what_could_not_be_committed_is_not_counted_as_done() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let other = Connection::open(edge_box.path("heartbeat.db")).expect("open the database");
    other.busy_timeout(support::PATIENCE).expect("set a time-out");
    other.execute_batch("BEGIN IMMEDIATE").expect("hold the database");
    assert_eq!(daemon.beat().status, 503);
    let metrics = Metrics::of(&edge_box);
    let count = |outcome: &str| {
        metrics.count(&format!("heartbeatd_heartbeats_total{{agent=\"default\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!((count("started"), count("refused")), (0, 1));
    assert_eq!(metrics.count("heartbeatd_flows_found_total{result=\"triggered\"}"), 0);
    assert_eq!(metrics.count("heartbeatd_degraded"), 1);
    assert!(metrics.count("heartbeatd_dropped_rounds_total") >= 1);
    assert_eq!(
        metrics.count("heartbeatd_refusals_total{listener=\"heartbeat\",error=\"storage_unavailable\"}"),
        1
    );
    other.execute_batch("COMMIT").expect("let it go");
    until("it is recorded", || daemon.beat().count("flows_triggered") == 1);
    assert_eq!(Metrics::of(&edge_box).count("heartbeatd_degraded"), 0);
}

#[test]
fn cancelled_and_interrupted_runs_are_counted_as_such() {
    let edge_box = watched_box();
    edge_box.script("long", "timeout = \"1h\"", "exec sleep 1000");
    for flow in ["retried", "gone", "absent"] {
        edge_box.script(flow, "retry = { attempts = 2, backoff = \"1h\" }", "false");
    }
    let mut daemon = edge_box.start();
    daemon.beat();
    let open =
        |state: &str| Metrics::of(&edge_box).count(&format!("heartbeatd_open_runs{{state=\"{state}\"}}"));
    until("one runs and three wait", || (open("in_progress"), open("waiting")) == (1, 3));
    assert_eq!(edge_box.command(&["flow", "disable", "retried"]).0, Some(0));
    std::fs::remove_file(edge_box.path("flows/gone.toml")).expect("remove a flow's file");
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    let metrics = Metrics::of(&edge_box);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"retried\",end=\"exit_status\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"retried\",end=\"cancelled\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"gone\",end=\"cancelled\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_flow_held{flow=\"retried\"}"), 1);
    assert_eq!((metrics.count("heartbeatd_flows"), metrics.count("heartbeatd_flows_runnable")), (4, 2));
    assert_eq!(metrics.find("heartbeatd_flow_next_run_timestamp_seconds{flow=\"retried\"}"), None);
    daemon.kill();
    std::fs::remove_file(edge_box.path("flows/absent.toml")).expect("remove a flow's file");
    let _daemon = edge_box.start();
    let metrics = Metrics::of(&edge_box);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"long\",end=\"interrupted\"}"), 1);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"absent\",end=\"cancelled\"}"), 1);
    assert_eq!(metrics.find("heartbeatd_runs_total{flow=\"retried\",end=\"cancelled\"}"), None);
    assert!(metrics.find("heartbeatd_last_heartbeat_timestamp_seconds{agent=\"default\"}").is_some());
}

#[test]
fn beyond_five_hundred_flows_the_others_are_told_of_together() {
    let edge_box = watched_box();
    for number in 0..520 {
        edge_box.script(&format!("flow-{number:03}"), "at = \"00:00\"\nrun_interval = \"1d\"", "true");
    }
    let daemon = edge_box.start();
    for flow in ["flow-000", "flow-519"] {
        assert_eq!(edge_box.command(&["flow", "run", flow, "--wait"]).0, Some(0));
    }
    let metrics = Metrics::of(&edge_box);
    assert_eq!((metrics.count("heartbeatd_flows"), metrics.count("heartbeatd_flows_runnable")), (520, 520));
    let told = |family: &str| metrics.families[family].samples.len();
    assert_eq!(told("heartbeatd_flow_runnable"), 500);
    assert_eq!(told("heartbeatd_runs_total"), 501);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"flow-000\",end=\"success\"}"), 1);
    assert_eq!(metrics.find("heartbeatd_runs_total{flow=\"flow-519\",end=\"success\"}"), None);
    assert_eq!(metrics.count("heartbeatd_runs_total{flow=\"(others)\",end=\"success\"}"), 1);
    assert_eq!(daemon.beat().status, 200);
}

#[test]
fn a_default_port_that_is_taken_is_done_without_and_one_that_was_asked_for_is_not() {
    // Whoever has it, nobody else does.
    let _taken_here_or_elsewhere = TcpListener::bind("127.0.0.1:8788");
    let edge_box = EdgeBox::new();
    edge_box.write("heartbeatd.toml", "listen = [\"127.0.0.1:0\"]\n");
    let daemon = edge_box.start();
    assert!(
        daemon
            .log()
            .contains("no status page and no metrics until the next start: status.listen: cannot listen on")
    );
    assert_eq!(daemon.beat().status, 200);
    assert_eq!(edge_box.read("port").lines().count(), 1);
    drop(daemon);
    let taken = TcpListener::bind("127.0.0.1:0").expect("take a port");
    let address = taken.local_addr().expect("it has an address");
    edge_box.configure(&format!("[status]\nlisten = \"{address}\"\n"));
    let (code, said) = Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(74));
    assert!(said.contains(&format!("error: status.listen: cannot listen on {address}")), "{said}");
    assert!(said.contains("under [status]"), "{said}");
}

#[test]
fn a_cursor_lags_by_what_was_not_moved_and_by_nothing_once_all_is() {
    let edge_box = watched_box();
    let line = "{\"v\":1}\n";
    edge_box.write("in.jsonl", line.repeat(3));
    let source = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[batch]\nrecords = 2\n[sink]\n";
    let into_table = "type = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\n";
    let into_program = "type = \"exec\"\nargv = [\"/bin/sh\", \"-c\", \"cat; test -e DIR/open\"]\n";
    edge_box.flow("table", &format!("{source}{into_table}"));
    edge_box.flow("program", &format!("{source}{into_program}"));
    edge_box.flow("load", "[source]\ntype = \"system\"\n[sink]\ntype = \"file\"\npath = \"DIR/load\"\n");
    let _daemon = edge_box.start();
    let run = |code| {
        for flow in ["table", "program"] {
            assert_eq!(edge_box.command(&["flow", "run", flow, "--wait"]).0, Some(code), "{flow}");
        }
        Metrics::of(&edge_box)
    };
    let lags = |metrics: &Metrics| {
        ["table", "program"]
            .map(|flow| metrics.count(&format!("heartbeatd_cursor_lag_bytes{{flow=\"{flow}\"}}")))
    };
    let moved = |metrics: &Metrics| {
        let series = |flow| format!("heartbeatd_cursor_moved_timestamp_seconds{{flow=\"{flow}\"}}");
        ["table", "program", "load"].map(|flow| metrics.find(&series(flow)).map(str::to_owned))
    };
    let out = Connection::open(edge_box.path("out.db")).expect("make a database");
    for _ in 0..2 {
        let metrics = run(1);
        assert_eq!((lags(&metrics), moved(&metrics)), ([24, 24], [None, None, None]));
    }
    out.execute_batch("CREATE TABLE t (v INTEGER)").expect("make the table");
    edge_box.write("open", "");
    let metrics = run(0);
    assert_eq!(lags(&metrics), [0, 0]);
    let [Some(_), Some(_), None] = moved(&metrics) else { panic!("both have moved: {:?}", moved(&metrics)) };
    edge_box.write("in.jsonl", line.repeat(3) + "{\"v\"");
    let again = run(0);
    assert_eq!((lags(&again), moved(&again)), ([4, 4], moved(&metrics)), "a line that is not whole stays");
    assert_eq!(edge_box.command(&["flow", "run", "load", "--wait"]).0, Some(0));
    edge_box.write("fed.jsonl", "");
    assert_eq!(
        edge_box
            .command(&[
                "flow",
                "run",
                "table",
                "--wait",
                "--from",
                &edge_box.path("fed.jsonl").display().to_string()
            ])
            .0,
        Some(0)
    );
    let metrics = Metrics::of(&edge_box);
    assert_eq!((lags(&metrics), moved(&metrics)), ([4, 4], moved(&again)));
    assert_eq!(metrics.find("heartbeatd_cursor_lag_bytes{flow=\"load\"}"), None, "it has no cursor");
}

#[test]
fn a_reload_that_failed_is_told_until_one_succeeds() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    let good = edge_box.read("heartbeatd.toml");
    let told = || {
        let metrics = Metrics::of(&edge_box);
        ["reload_failures_total", "last_reload_successful"]
            .map(|name| metrics.count(&format!("heartbeatd_{name}")))
    };
    assert_eq!(told(), [0, 1]);
    edge_box.write("heartbeatd.toml", format!("max_concurrent_runs = 0\n{good}"));
    daemon.signal(Signal::HUP);
    until("it is told", || told() == [1, 0]);
    daemon.until_logged("max_concurrent_runs");
    edge_box.write("heartbeatd.toml", good);
    daemon.signal(Signal::HUP);
    until("it is over", || told() == [1, 1]);
}
