//! Pipelines through the daemon: what a flow author writes moves records, each once, and operators see how far it got.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use support::daemon::Daemon;
use support::operator::Operator;
use support::{EdgeBox, until};

fn append(edge_box: &EdgeBox, name: &str, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(edge_box.path(name)).expect("open it");
    file.write_all(text.as_bytes()).expect("append to it");
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, n| {
        writeln!(text, "{{\"n\":{n},\"sensor\":\"s{}\",\"value\":{}.5}}", n % 7, n % 50)
            .expect("write to a string");
        text
    })
}

fn number(edge_box: &EdgeBox, database: &str, sql: &str) -> i64 {
    let database = Connection::open(edge_box.path(database)).expect("open it");
    database.query_row(sql, [], |row| row.get(0)).expect("ask it")
}

const READINGS: &str = r#"
[source]
type = "file"
path = "DIR/in.jsonl"
[[transform]]
sql = "SELECT n, sensor, value * 1.8 + 32 AS fahrenheit FROM batch WHERE value > 10"
[sink]
type = "sqlite"
database = "DIR/readings.db"
table = "reading"
create = true
"#;

fn counters(run: &Value) -> [i64; 5] {
    ["read", "written", "rejected", "transformed_out", "skipped"]
        .map(|name| run[format!("records_{name}").as_str()].as_i64().unwrap_or(-1))
}

#[test]
fn ten_lines_of_toml_move_a_log_into_a_database_and_the_next_run_takes_what_is_new() {
    let edge_box = EdgeBox::new();
    edge_box.flow("readings", READINGS);
    append(&edge_box, "in.jsonl", &lines(0..5000));
    append(&edge_box, "in.jsonl", "not json\n{\"n\":5000,\"va");
    let daemon = edge_box.start();
    let answer = daemon.beat_and_wait();
    let told = &answer.json()["runs"][0];
    assert_eq!(
        (&told["status"], counters(told)),
        (&"success".into(), [5001, 4000, 1, 1000, 0]),
        "{answer:?}"
    );
    assert!(told["records_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{answer:?}");
    let mut operator = Operator::of(&edge_box);
    let run = operator.json("GET /runs/1");
    assert_eq!(counters(&run), [5001, 4000, 1, 1000, 0], "{run}");
    assert_eq!(number(&edge_box, "readings.db", "SELECT count(DISTINCT n) FROM reading"), 4000);
    assert!(edge_box.read("dead-letter/readings.jsonl").contains("not json"));
    append(&edge_box, "in.jsonl", "lue\":20,\"sensor\":\"x\"}\n");
    let (code, said) = edge_box.command(&["flow", "run", "readings", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        number(&edge_box, "readings.db", "SELECT count(*) FROM reading WHERE fahrenheit = 68.0 AND n = 5000"),
        1
    );
    let (_, said) = edge_box.command(&["runs", "show", "1"]);
    assert!(said.contains("records read"), "{said}");
}

#[test]
fn what_would_be_written_is_shown_and_nothing_is_written() {
    let edge_box = EdgeBox::new();
    edge_box.flow("readings", READINGS);
    append(&edge_box, "in.jsonl", &lines(0..30));
    edge_box.start().stop();
    let (code, said) = edge_box.command(&["flow", "test", "readings", "--limit", "13"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("fahrenheit") && said.contains("52.7") && said.contains("13 read, 3 would be written"),
        "{said}"
    );
    let (_, said) = edge_box.command(&["--json", "flow", "test", "readings", "--limit", "12"]);
    let last = said.lines().last();
    assert_eq!(last, Some("{\"n\":11,\"sensor\":\"s4\",\"fahrenheit\":52.7}"), "{said}");
    assert!(!edge_box.path("readings.db").exists(), "nothing is written");
}

#[test]
fn a_cursor_is_shown_reset_and_set() {
    let edge_box = EdgeBox::new();
    for (name, sink) in [
        ("a", "type = \"file\"\npath = \"DIR/out.jsonl\""),
        ("b", "type = \"sqlite\"\ndatabase = \"DIR/b.db\"\ntable = \"t\"\ncreate = true"),
    ] {
        edge_box.flow(name, &format!("[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[sink]\n{sink}\n"));
    }
    append(&edge_box, "in.jsonl", &lines(0..10));
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    for name in ["a", "b"] {
        let (code, shown) = edge_box.command(&["flow", "cursor", name]);
        assert_eq!(code, Some(0), "{shown}");
        let cursor: Value = serde_json::from_str(&shown).expect("it is JSON");
        assert_eq!(cursor["files"][0]["offset"], edge_box.read("in.jsonl").len(), "{shown}");
        assert_eq!(edge_box.command(&["flow", "cursor", name, "--reset"]), (Some(0), "null\n".to_owned()));
        assert_eq!(edge_box.command(&["flow", "run", name, "--wait"]).0, Some(0));
        assert_eq!(edge_box.command(&["flow", "cursor", name]).1, shown, "it read everything again");
        let (code, said) = edge_box.command(&["flow", "cursor", name, "--set", "{\"files\":7}"]);
        assert_eq!(code, Some(65), "{said}");
        assert_eq!(edge_box.command(&["flow", "cursor", name, "--set", "{"]).0, Some(65));
    }
    assert_eq!(edge_box.read("out.jsonl").lines().count(), 20);
    daemon.stop();
    // The same without a daemon.
    assert_eq!(edge_box.command(&["flow", "cursor", "a", "--reset"]), (Some(0), "null\n".to_owned()));
}

#[test]
fn check_runs_the_authors_tests_and_says_what_differs() {
    let edge_box = EdgeBox::new();
    let test = "[[test]]\ninput = [{ n = 1, value = 20.0, sensor = 'a' }, { n = 2, value = 5 }]\nexpect = [{ n = 1, sensor = 'a', fahrenheit = 68 }]\n";
    edge_box.flow("readings", &format!("{READINGS}{test}"));
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    edge_box.flow("readings", &format!("{READINGS}{}", test.replace("68", "69")));
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(78), "{said}");
    let difference = "test[1]: record 1 is {\"n\":1,\"sensor\":\"a\",\"fahrenheit\":68.0}, expected {\"fahrenheit\":69,\"n\":1,\"sensor\":\"a\"}";
    assert!(said.contains(difference), "{said}");
}

#[test]
fn check_warns_where_a_sort_or_a_join_has_no_index() {
    let edge_box = EdgeBox::new();
    let tables = "CREATE TABLE r (id INTEGER PRIMARY KEY, at, sensor); CREATE TABLE s (name, place)";
    Connection::open(edge_box.path("in.db")).expect("open it").execute_batch(tables).expect("make them");
    let flow = r#"
[source]
type = "sqlite"
database = "DIR/in.db"
table = "r"
cursor = "at"
[[transform]]
sql = "SELECT batch.id, s.place FROM batch JOIN ref.s ON s.name = batch.sensor"
attach = { ref = "DIR/in.db" }
[sink]
type = "file"
path = "DIR/out.jsonl"
"#;
    edge_box.flow("it", flow);
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("make an index on `at`") && said.contains("makes an index for each batch"),
        "{said}"
    );
    let indexes = "CREATE INDEX r_at ON r (at); CREATE INDEX s_name ON s (name)";
    Connection::open(edge_box.path("in.db")).expect("open it").execute_batch(indexes).expect("make them");
    assert!(!edge_box.command(&["check"]).1.contains("warning"));
}

#[test]
fn a_secret_of_an_http_sink_that_is_missing_or_that_others_can_read_is_told_by_check() {
    let edge_box = EdgeBox::new();
    let flow = r#"
run_interval = "1h"
[source]
type = "file"
path = "DIR/in.jsonl"
[sink]
type = "http"
url = "http://127.0.0.1:9/"
header_files = { Authorization = "DIR/token" }
secret_file = "DIR/receiver.secret"
"#;
    edge_box.flow("it", flow);
    std::fs::write(edge_box.path("token"), "Bearer hunter2").expect("write it");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(edge_box.path("token"), mode(0o644)).expect("open it to all");
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("token: others than its owner have access to it (mode 0644)"), "{said}");
    assert!(said.contains("receiver.secret: does not exist") && !said.contains("hunter2"), "{said}");
    std::fs::set_permissions(edge_box.path("token"), mode(0o600)).expect("close it");
    std::fs::rename(edge_box.path("token"), edge_box.path("receiver.secret")).expect("rename it");
    let said = edge_box.command(&["check"]).1;
    assert!(said.contains("token: does not exist") && !said.contains("receiver.secret"), "{said}");
}

#[test]
fn a_secret_of_an_http_source_that_is_missing_or_that_others_can_read_is_told_by_check() {
    let edge_box = EdgeBox::new();
    let flow = r#"
run_interval = "1h"
[source]
type = "http"
url = "http://127.0.0.1:9/"
header_files = { Authorization = "DIR/token", X-Other = "DIR/other" }
[sink]
type = "file"
path = "DIR/out.jsonl"
"#;
    edge_box.flow("it", flow);
    std::fs::write(edge_box.path("token"), "Bearer hunter2").expect("write it");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(edge_box.path("token"), mode(0o644)).expect("open it to all");
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("token: others than its owner have access to it (mode 0644)"), "{said}");
    assert!(said.contains("[source]") && said.contains("other: does not exist"), "{said}");
    std::fs::set_permissions(edge_box.path("token"), mode(0o600)).expect("close it");
    std::fs::copy(edge_box.path("token"), edge_box.path("other")).expect("copy it");
    assert!(!edge_box.command(&["check"]).1.contains("warning"));
}

#[test]
fn a_test_of_the_author_has_its_own_time_for_now() {
    let edge_box = EdgeBox::new();
    let flow = READINGS.replace(
        "SELECT n, sensor, value * 1.8 + 32 AS fahrenheit FROM batch WHERE value > 10",
        "SELECT n, date('now') AS day, CURRENT_TIMESTAMP AS at, unixepoch() AS s, strftime('%H', 'now', '+1 hour') AS h FROM batch",
    );
    let test = "[[test]]\nnow = \"2026-11-23T10:30:00Z\"\ninput = [{ n = 1 }]\n\
                expect = [{ n = 1, day = '2026-11-23', at = '2026-11-23 10:30:00', s = 1795429800, h = '11' }]\n";
    edge_box.flow("readings", &format!("{flow}{test}"));
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn sql_that_does_more_than_read_is_told_of_with_its_line() {
    let edge_box = EdgeBox::new();
    edge_box.flow("readings", &READINGS.replace("SELECT n, sensor", "DELETE"));
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("flows/readings.toml:7") && said.contains("transform[1].sql"), "{said}");
}

#[test]
fn a_pipeline_that_takes_too_long_or_is_cancelled_ends_between_two_steps_and_goes_on_later() {
    let edge_box = EdgeBox::new();
    edge_box.flow("readings", &format!("timeout = \"250ms\"\n{READINGS}[batch]\nrecords = 5\n"));
    append(&edge_box, "in.jsonl", &lines(0..60_000));
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let run = edge_box.ended_run("readings");
    assert_eq!(run.error_kind.as_deref(), Some("timeout"), "{run:?}");
    let before = number(&edge_box, "readings.db", "SELECT count(*) FROM reading");
    assert!((1..48_000).contains(&before), "{before}");
    edge_box.flow("readings", READINGS);
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    assert_eq!(edge_box.command(&["flow", "run", "readings", "--wait"]).0, Some(0));
    assert_eq!(
        number(
            &edge_box,
            "readings.db",
            "SELECT count(DISTINCT n) = count(*) AND count(*) = 48000 - 1200 FROM reading WHERE n >= 0 AND fahrenheit > 50 AND n % 50 <> 11"
        ),
        1
    );
}

#[test]
fn a_line_of_a_gibibyte_is_rejected_in_little_memory_and_the_next_one_is_read() {
    let edge_box = EdgeBox::new();
    edge_box.flow("readings", READINGS);
    append(&edge_box, "in.jsonl", &lines(0..50));
    let file = OpenOptions::new().append(true).open(edge_box.path("in.jsonl")).expect("open it");
    // A hole in a file reads as NUL bytes.
    file.set_len(1 << 30).expect("make it long");
    append(&edge_box, "in.jsonl", &format!("\n{}", lines(50..100)));
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    daemon.beat_and_wait();
    assert_eq!(edge_box.ended_run("readings").status, "success");
    let run = Operator::of(&edge_box).json("GET /runs/1");
    assert_eq!(counters(&run), [101, 80, 1, 20, 0], "{run}");
    let kib = daemon.proc_status("VmHWM");
    assert!(kib < 64 * 1024, "{kib} KiB");
    assert!(edge_box.read("dead-letter/readings.jsonl").len() < 1 << 20);
}

#[test]
fn several_pipelines_and_commands_go_on_at_the_same_time() {
    let edge_box = EdgeBox::new();
    append(&edge_box, "in.jsonl", &lines(0..30_000));
    for name in ["a", "b", "c"] {
        edge_box.flow(name, &READINGS.replace("readings.db", &format!("{name}.db")));
    }
    edge_box.script("command", "", "true");
    let daemon = edge_box.start();
    daemon.beat();
    until("the command ends while records are moved", || {
        edge_box.runs().iter().any(|run| run.flow == "command" && run.ended_at.is_some())
    });
    for name in ["a", "b", "c"] {
        assert_eq!(edge_box.ended_run(name).error_message, None);
        assert_eq!(number(&edge_box, &format!("{name}.db"), "SELECT count(DISTINCT n) FROM reading"), 24_000);
    }
}

const MACHINE: &str = r#"
[source]
type = "system"
metrics = ["load", "memory", "disk", "temperature", "uptime"]
disk = "DIR"
[[transform]]
sql = """SELECT time, load_1m, cpu_count, memory_available_bytes * 100.0 / memory_total_bytes AS memory_free,
  disk_size_bytes, temperature_celsius, uptime_seconds FROM batch"""
[schema.fields]
time = { type = "timestamp", required = true }
uptime_seconds = { type = "real", required = true }
[sink]
type = "sqlite"
database = "DIR/machine.db"
table = "look"
create = true
"#;

#[test]
fn each_run_takes_one_look_at_the_machine_through_sql_into_a_database() {
    let edge_box = EdgeBox::new();
    edge_box.flow("machine", MACHINE);
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    let daemon = edge_box.start();
    let answer = daemon.beat_and_wait();
    assert_eq!(answer.json()["runs"][0]["status"], "success", "{answer:?}");
    let (code, said) = edge_box.command(&["flow", "run", "machine", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    let run = Operator::of(&edge_box).json("GET /runs/1");
    assert_eq!(counters(&run), [1, 1, 0, 0, 0], "{run}");
    let good =
        "SELECT count(DISTINCT time) FROM look WHERE time GLOB '20??-??-??T??:??:??.???Z' AND load_1m >= 0
        AND memory_free BETWEEN 1 AND 100 AND disk_size_bytes > 0 AND uptime_seconds > 0";
    assert_eq!(number(&edge_box, "machine.db", good), 2);
    let column = "SELECT count(*) FROM pragma_table_info('look') WHERE name = 'temperature_celsius'";
    assert_eq!(number(&edge_box, "machine.db", column), 1, "with a sensor or without");
    assert_eq!(edge_box.command(&["flow", "cursor", "machine"]), (Some(0), "null\n".to_owned()));
    let (code, said) = edge_box.command(&["flow", "cursor", "machine", "--set", "7"]);
    assert!(code == Some(65) && said.contains("a cursor of a system source is null"), "{said}");
    let (code, said) = edge_box.command(&["flow", "test", "machine"]);
    assert!(code == Some(0) && said.contains("1 read, 1 would be written"), "{said}");
}

#[test]
fn check_tells_of_a_metric_that_is_none_and_what_may_be_meant() {
    let edge_box = EdgeBox::new();
    edge_box.flow("machine", &MACHINE.replace("\"uptime\"", "\"uptme\""));
    let (code, said) = edge_box.command(&["check"]);
    assert_ne!(code, Some(0), "{said}");
    for part in ["machine.toml:", "source.metrics", "`uptme` is not a metric", "did you mean \"uptime\"?"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
