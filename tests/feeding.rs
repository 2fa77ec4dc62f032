//! Rejected records fed back: each arrives once, whatever is killed or ordered again, and what moves is seen meanwhile.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use support::heartbeat::Heartbeat;
use support::operator::Operator;
use support::{EdgeBox, eventually, until};

const TABLE: &str = "type = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\ncreate = true";
const FILE: &str =
    "type = \"file\"\npath = \"DIR/out/out.jsonl\"\nrotate = { size = \"200 KiB\", keep = 1000 }";

/// A pipeline from `in.jsonl` to a sink; `DIR` is the box's folder.
fn pipeline(edge_box: &EdgeBox, name: &str, sink: &str, rest: &str) {
    let text = format!("[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[sink]\n{sink}\n{rest}\n");
    edge_box.flow(name, &text);
}

fn letter(n: u32, record: &str) -> String {
    format!("{{\"record\":{record},\"reason\":\"so\",\"from\":{{\"path\":\"/x\",\"offset\":{n}}}}}\n")
}

fn letters(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|n| letter(n, &format!("{{\"n\":{n}}}"))).collect()
}

/// The numbers that arrived, in order.
fn in_table(edge_box: &EdgeBox) -> Vec<i64> {
    let path = edge_box.path("out.db");
    if !path.exists() {
        return Vec::new();
    }
    let database = Connection::open(path).expect("open it");
    let Ok(mut statement) = database.prepare("SELECT n FROM t ORDER BY n") else { return Vec::new() };
    let rows = statement.query_map([], |row| row.get(0)).expect("ask it");
    rows.map(|row| row.expect("read it")).collect()
}

fn in_files(edge_box: &EdgeBox) -> Vec<i64> {
    let files = fs::read_dir(edge_box.path("out")).into_iter().flatten().flatten();
    let texts = files.map(|file| fs::read_to_string(file.path()).unwrap_or_default());
    let number = |line: &str| serde_json::from_str::<Value>(line).ok()?["n"].as_i64();
    let mut numbers: Vec<i64> =
        texts.flat_map(|text| text.lines().filter_map(number).collect::<Vec<_>>()).collect();
    numbers.sort_unstable();
    numbers
}

fn feed(edge_box: &EdgeBox, name: &str, file: &str) -> (Option<i32>, String) {
    let file = edge_box.path(file);
    edge_box.command(&["flow", "run", name, "--wait", "--from", &file.to_string_lossy()])
}

#[test]
fn what_a_schema_rejected_is_fed_back_once_it_is_corrected() {
    let edge_box = EdgeBox::new();
    for (name, sink) in [("table", TABLE), ("file", FILE)] {
        pipeline(&edge_box, name, sink, "[schema.fields]\nn = \"integer\"\nunit = \"text\"");
    }
    let lines: String = (0..100).fold(String::new(), |text, n| match n % 10 {
        7 => text + &format!("{{\"n\":{n},\"unit\":[7]}}\n"),
        _ => text + &format!("{{\"n\":{n},\"unit\":\"C\"}}\n"),
    });
    edge_box.write("in.jsonl", lines + "no json\n");
    let _daemon = edge_box.start();
    let rejects_again = |name: &str| {
        let all: Vec<i64> = (0..100).collect();
        let arrived = || if name == "table" { in_table(&edge_box) } else { in_files(&edge_box) };
        assert_eq!(edge_box.command(&["flow", "run", name, "--wait"]).0, Some(0));
        assert_eq!(arrived().len(), 90);
        let cursor = edge_box.command(&["flow", "cursor", name]);
        let dead = format!("dead-letter/{name}.jsonl");
        fs::rename(edge_box.path(&dead), edge_box.path(&format!("{name}.again"))).expect("move it");
        let (code, said) = feed(&edge_box, name, &format!("{name}.again"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("11 read, 0 written, 11 rejected"), "{said}");
        fs::rename(edge_box.path(&dead), edge_box.path(&format!("{name}.once-more"))).expect("move it");
        pipeline(
            &edge_box,
            name,
            if name == "table" { TABLE } else { FILE },
            "[schema.fields]\nn = \"integer\"\nunit = \"json\"",
        );
        assert_eq!(edge_box.command(&["reload"]).0, Some(0));
        let (code, said) = feed(&edge_box, name, &format!("{name}.once-more"));
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("11 read, 10 written, 1 rejected"), "{said}");
        assert_eq!(arrived(), all);
        assert!(edge_box.read(&dead).contains("no json"));
        assert_eq!(edge_box.command(&["flow", "cursor", name]), cursor, "the flow's own stays");
        assert_eq!(edge_box.command(&["flow", "run", name, "--wait"]).0, Some(0));
        assert_eq!(arrived(), all);
    };
    rejects_again("table");
    rejects_again("file");
}

#[test]
fn the_same_file_fed_again_feeds_nothing_twice_even_after_a_reset() {
    let edge_box = EdgeBox::new();
    pipeline(&edge_box, "a", TABLE, "");
    pipeline(&edge_box, "b", FILE, "");
    edge_box.write("rejected", letters(0..100));
    let daemon = edge_box.start();
    for name in ["a", "b"] {
        assert_eq!(feed(&edge_box, name, "rejected").0, Some(0));
        assert_eq!(edge_box.command(&["flow", "cursor", name, "--reset"]).0, Some(0));
        let (code, said) = feed(&edge_box, name, "rejected");
        assert!(code == Some(0) && said.contains("0 read, 0 written, 0 B"), "{said}");
        let (_, said) = edge_box.command(&["--json", "runs", "list", "--flow", name, "--limit", "1"]);
        let run: Value = serde_json::from_str(&said).expect("it is JSON");
        assert_eq!(run["source_file"], edge_box.path("rejected").to_string_lossy().as_ref());
    }
    daemon.until_logged("was fed before");
    assert_eq!(in_table(&edge_box), (0..100).collect::<Vec<_>>());
    assert_eq!(in_files(&edge_box), in_table(&edge_box));
}

#[test]
fn kill_9_while_records_are_fed_and_each_arrives_once() {
    const RECORDS: u32 = 20_000;
    let feeds = |name: &str, sink: &str, arrived: &dyn Fn(&EdgeBox) -> Vec<i64>| {
        let edge_box = EdgeBox::new();
        pipeline(&edge_box, name, sink, "[batch]\nrecords = 50");
        // Every hundredth is rejected again.
        let is_good = |n: &u32| n % 100 != 7;
        let some_bad =
            |n| if is_good(&n) { letters(n..n + 1) } else { letter(n, &format!("\"no json {n}\"")) };
        edge_box.write("rejected", (0..RECORDS).map(some_bad).collect::<String>());
        let file = edge_box.path("rejected");
        let mut midway = 0;
        for kill in 1..=5 {
            let mut daemon = edge_box.start();
            // After the first time it is run again by itself, a few times.
            edge_box.command(&["flow", "run", name, "--from", &file.to_string_lossy()]);
            until("some of it has arrived", || arrived(&edge_box).len() >= kill * 3000);
            daemon.kill();
            midway += u32::from(arrived(&edge_box).len() < RECORDS as usize);
        }
        assert!(midway >= 3, "most kills come while records are fed: {midway}");
        let _daemon = edge_box.start();
        until("what was begun has ended", || edge_box.runs().iter().all(|run| run.ended_at.is_some()));
        assert_eq!(feed(&edge_box, name, "rejected").0, Some(0));
        assert_eq!(arrived(&edge_box), (0..RECORDS).filter(is_good).map(i64::from).collect::<Vec<_>>());
        let dead = edge_box.read(&format!("dead-letter/{name}.jsonl"));
        let bad: Vec<String> = (0..RECORDS).filter(|n| !is_good(n)).map(|n| format!("no json {n}")).collect();
        let record = |line: &str| serde_json::from_str::<Value>(line).expect("it is JSON")["record"].clone();
        assert_eq!(dead.lines().map(record).collect::<Vec<_>>(), bad);
        assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE source_file IS NULL"), 0);
        assert!(edge_box.runs().iter().any(|run| run.rerun > 0), "some are run again by themselves");
        assert!(edge_box.is_sound());
    };
    feeds("table", TABLE, &in_table);
    feeds("file", FILE, &in_files);
}

#[test]
fn what_would_never_end_or_cannot_be_fed_is_refused() {
    let edge_box = EdgeBox::new();
    pipeline(&edge_box, "it", TABLE, "");
    edge_box.script("command", "", "true");
    edge_box.write("in.jsonl", "no json\n");
    let mut daemon = edge_box.start();
    assert_eq!(edge_box.command(&["flow", "run", "it", "--wait"]).0, Some(0));
    edge_box.write("rejected", letters(0..1));
    let refused = || {
        let (code, said) = feed(&edge_box, "it", "dead-letter/it.jsonl");
        assert!(code == Some(1) && said.contains("help: move it first: mv "), "{said}");
        assert!(feed(&edge_box, "it", "missing").1.contains("missing: No such file"));
    };
    refused();
    let (code, said) = feed(&edge_box, "command", "rejected");
    assert!(code == Some(1) && said.contains("only a pipeline takes --from"), "{said}");
    let mut operator = Operator::of(&edge_box);
    let answer = operator.ask_with("POST /flows/it/runs", "", "{\"from\":\"rejected\"}");
    assert_eq!((answer.status, answer.error()), (400, "invalid_request".to_owned()));
    daemon.stop();
    let own = edge_box.path("dead-letter/it.jsonl");
    let (code, said) = edge_box.command(&["flow", "run", "it", "--from", &own.to_string_lossy()]);
    assert!(code == Some(1) && said.contains("help: move it first: mv "), "without a daemon: {said}");
    assert_eq!(edge_box.runs().len(), 1, "nothing was recorded");
}

#[test]
fn what_a_run_has_moved_is_seen_while_it_lasts() {
    let edge_box = EdgeBox::new();
    pipeline(&edge_box, "it", TABLE, "[batch]\nrecords = 5");
    edge_box.write("rejected", letters(0..50_000));
    let _daemon = edge_box.start();
    let file = edge_box.path("rejected");
    assert_eq!(edge_box.command(&["flow", "run", "it", "--from", &file.to_string_lossy()]).0, Some(0));
    let mut operator = Operator::of(&edge_box);
    let read = |run: &Value| run["records_read"].as_u64().unwrap_or(0);
    let first = eventually("it has begun", || Some(operator.json("GET /runs/1")).filter(|run| read(run) > 0));
    assert_eq!(first["status"], "in_progress", "{first}");
    assert!(first["records_per_second"].as_f64() > Some(0.0), "{first}");
    until("it goes on", || read(&operator.json("GET /runs/1")) > read(&first));
    let (_, shown) = edge_box.command(&["--json", "runs", "show", "1"]);
    let shown: Value = serde_json::from_str(&shown).expect("it is JSON");
    assert!(shown["status"] == "in_progress" && read(&shown) > read(&first), "{shown}");
    let (_, shown) = edge_box.command(&["runs", "show", "1"]);
    assert!(shown.contains("records read") && shown.contains("/s\n"), "{shown}");
    assert_eq!(edge_box.number("SELECT records_read FROM data_flow_runs"), 0, "nothing is written for it");
    assert_eq!(edge_box.command(&["runs", "cancel", "1"]).0, Some(0));
    let run = operator.json("GET /runs/1");
    assert_eq!((&run["status"], read(&run)), (&"failed".into(), in_table(&edge_box).len() as u64), "{run}");
}

#[test]
fn a_heartbeat_that_waits_is_told_what_pipelines_moved() {
    let edge_box = EdgeBox::new();
    pipeline(&edge_box, "it", TABLE, "");
    edge_box.script("command", "", "true");
    edge_box.write("in.jsonl", "{\"n\":1}\n{\"n\":2}\nno json\n");
    let daemon = edge_box.start();
    let answer = daemon.send(&Heartbeat::new().wait(20)).json();
    let run = |flow: &str| {
        let runs = answer["runs"].as_array().expect("it names runs");
        runs.iter().find(|run| run["flow"] == flow).expect("it is named").clone()
    };
    assert_eq!((&run("it")["records_read"], &run("it")["records_written"]), (&3.into(), &2.into()));
    assert_eq!(run("command").get("records_read"), None);
    let mut operator = Operator::of(&edge_box);
    let mut rate =
        |run: &Value| operator.json(&format!("GET /runs/{}", run["id"]))["records_per_second"].clone();
    assert!(rate(&run("command")).is_null());
    assert!(rate(&run("it")).is_number(), "it took a millisecond");
}
