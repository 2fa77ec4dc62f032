//! Programs as sources and sinks of pipelines: what they write and take moves as records, whatever they do.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use support::operator::Operator;
use support::tools::can_run;
use support::{EdgeBox, until};

fn from(script: &str) -> String {
    format!(
        "timeout = \"30s\"\nkill_grace = \"100ms\"\n[source]\ntype = \"exec\"\nshell = true\nargv = '''{script}'''\n[sink]\n\
         type = \"file\"\npath = \"DIR/out.jsonl\"\n"
    )
}

fn into(script: &str, more: &str) -> String {
    format!(
        "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[sink]\ntype = \"exec\"\nshell = true\nargv = '''{script}'''\n{more}"
    )
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, n| {
        writeln!(text, "{{\"n\":{n}}}").expect("write to a string");
        text
    })
}

/// Beats once, waits for the one run's end, and tells of it.
fn run(edge_box: &EdgeBox) -> Value {
    let mut daemon = edge_box.start();
    let answer = daemon.beat_and_wait().json();
    assert_eq!(answer["runs"].as_array().map(Vec::len), Some(1), "{answer}");
    let run = Operator::of(edge_box).json(&format!("GET /runs/{}", answer["runs"][0]["id"]));
    daemon.stop();
    run
}

fn out(edge_box: &EdgeBox) -> String {
    fs::read_to_string(edge_box.path("out.jsonl")).unwrap_or_default()
}

#[test]
fn what_jq_makes_of_anything_is_a_source_and_its_errors_are_the_runs_output() {
    if !can_run("jq", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    fs::write(edge_box.path("raw.json"), "[{\"v\":1},{\"v\":2}]").expect("write it");
    edge_box
        .flow("it", &from("echo working >&2; jq -c '.[] | {value: .v, run: env.HEARTBEAT_FLOW}' raw.json"));
    let run = run(&edge_box);
    assert_eq!((&run["status"], &run["records_written"]), (&"success".into(), &2.into()), "{run}");
    assert_eq!(out(&edge_box), "{\"value\":1,\"run\":\"it\"}\n{\"value\":2,\"run\":\"it\"}\n");
    assert_eq!(run["output"], "working\n");
}

#[test]
fn a_source_is_tried_out_by_running_its_program() {
    let edge_box = EdgeBox::new();
    edge_box.flow("it", &from("echo '{\"n\":1}'; echo '{\"n\":2}'"));
    edge_box.flow("bad", &from("exit 4").replace("out.jsonl", "other.jsonl"));
    let slow = from("sleep 1000").replace("30s", "200ms").replace("out.jsonl", "third.jsonl");
    edge_box.flow("slow", &slow);
    edge_box.start().stop();
    let (code, said) = edge_box.command(&["flow", "test", "it"]);
    assert!(code == Some(0) && said.contains("2 read, 2 would be written"), "{said}");
    let said = edge_box.command(&["--json", "flow", "test", "it", "--limit", "1"]).1;
    assert_eq!(said, "{\"n\":1}\n");
    let said = edge_box.command(&["flow", "test", "it", "--limit", "1"]).1;
    assert!(said.contains("2 read, 2 would be written") && said.lines().count() == 3, "{said}");
    let (code, said) = edge_box.command(&["flow", "test", "bad"]);
    assert!(code == Some(1) && said.contains("exit status 4"), "{said}");
    let (code, said) = edge_box.command(&["flow", "test", "slow"]);
    assert!(code == Some(1) && said.contains("timeout of 200ms"), "{said}");
    assert_eq!(out(&edge_box), "");
}

#[test]
fn a_program_that_floods_fails_or_hangs_leaves_nothing_and_says_why() {
    for (script, kind, message) in [
        ("yes '{\"n\":1}'", "source", "writes more than run_bytes = 8388608"),
        ("trap '' PIPE TERM; while :; do echo '{\"n\":1}'; done", "source", "writes more than run_bytes"),
        ("echo '{\"n\":1}'; exit 5", "source", "exit status 5"),
        ("echo '{\"n\":1}'; kill -9 $$", "source", "signal 9"),
        ("no-such-program", "source", "exit status 127"),
    ] {
        let edge_box = EdgeBox::new();
        edge_box.flow("it", &from(script));
        let run = run(&edge_box);
        assert_eq!((&run["status"], &run["error_kind"]), (&"failed".into(), &kind.into()), "{script}: {run}");
        assert!(run["error_message"].as_str().is_some_and(|text| text.contains(message)), "{script}: {run}");
        assert_eq!(out(&edge_box), "", "{script}");
    }
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
    let edge_box = EdgeBox::new();
    let script = "echo hanging >&2; echo '{\"n\":1}'; sleep 1000 & echo $! > sleeper; wait";
    edge_box.flow("it", &from(script).replace("30s", "300ms"));
    let run = run(&edge_box);
    assert_eq!((&run["status"], &run["error_kind"]), (&"failed".into(), &"timeout".into()), "{run}");
    assert_eq!(run["output"], "hanging\n");
    let sleeper: u32 = edge_box.read("sleeper").trim().parse().expect("its number");
    until("the sleeper is gone", || !std::path::Path::new(&format!("/proc/{sleeper}")).exists());
    assert_eq!(out(&edge_box), "");
}

#[test]
fn a_run_is_cancelled_and_a_daemon_ends_though_a_program_goes_on() {
    let edge_box = EdgeBox::new();
    edge_box.configure("shutdown_timeout = \"100ms\"\n");
    edge_box.flow("it", &from("echo $$ > sleeper; echo '{\"n\":1}'; exec sleep 1000"));
    let mut daemon = edge_box.start();
    let sleeper = || {
        let number = edge_box.read("sleeper").trim().to_owned();
        fs::remove_file(edge_box.path("sleeper")).expect("it is there");
        number
    };
    for ends_daemon in [false, true] {
        let (code, said) = edge_box.command(&["flow", "run", "it"]);
        assert_eq!(code, Some(0), "{said}");
        until("the program runs", || {
            fs::read_to_string(edge_box.path("sleeper")).is_ok_and(|text| text.ends_with('\n'))
        });
        let sleeper = sleeper();
        let run = if ends_daemon { 2 } else { 1 };
        match ends_daemon {
            true => drop(daemon.stop()),
            false => assert_eq!(edge_box.command(&["runs", "cancel", "1"]).0, Some(0)),
        }
        let ended = format!("SELECT count(*) FROM data_flow_runs WHERE id = {run} AND status = 'failed'");
        until("the run's end is on record", || edge_box.number(&ended) == 1);
        until("the program is gone", || !support::is_alive(&sleeper));
    }
    let kinds: Vec<_> = edge_box.runs().into_iter().map(|run| run.error_kind.unwrap_or_default()).collect();
    assert_eq!(kinds[..2], ["cancelled", "interrupted"]);
    assert_eq!(out(&edge_box), "");
}

#[test]
fn what_a_source_leaves_behind_is_ended_before_its_records_move_on() {
    let edge_box = EdgeBox::new();
    let script = "echo '{\"n\":1}'; setsid sleep 1000 > /dev/null 2>&1 & echo $! > sleeper";
    let sink = "[sink]\ntype = \"exec\"\nshell = true\nargv = '''kill -0 $(cat sleeper) 2> /dev/null && exit 9; cat > out.jsonl'''\n";
    let source = from(script);
    let (source, _) = source.split_once("[sink]").expect("there is one");
    edge_box.flow("it", &format!("{source}{sink}"));
    let run = run(&edge_box);
    assert_eq!(run["status"], "success", "{run}");
    assert_eq!(out(&edge_box), "{\"n\":1}\n");
}

#[test]
fn a_batch_goes_to_awk_and_comes_back_with_its_key_until_it_is_taken() {
    let edge_box = EdgeBox::new();
    fs::write(edge_box.path("in.jsonl"), lines(0..2500)).expect("write it");
    let script =
        "echo $HEARTBEAT_IDEMPOTENCY_KEY >> keys; test -e broken && exit 75; awk '{ print }' >> out.jsonl";
    edge_box.flow("it", &into(script, ""));
    fs::write(edge_box.path("broken"), "").expect("write it");
    let failed = run(&edge_box);
    assert_eq!((&failed["status"], &failed["error_kind"]), (&"failed".into(), &"sink".into()), "{failed}");
    assert_eq!(failed["records_written"], 0, "{failed}");
    fs::remove_file(edge_box.path("broken")).expect("it was there");
    let mut daemon = edge_box.start();
    let (code, said) = edge_box.command(&["flow", "run", "it", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    let taken = Operator::of(&edge_box).json("GET /runs/2");
    daemon.stop();
    assert_eq!((&taken["records_read"], &taken["records_written"]), (&2500.into(), &2500.into()), "{taken}");
    assert_eq!(out(&edge_box), lines(0..2500));
    let keys = edge_box.read("keys");
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!(keys.len(), 4, "one is repeated: {keys:?}");
    assert!(keys[0] == keys[1] && keys[1] != keys[2] && keys[2] != keys[3], "{keys:?}");
}

#[test]
fn a_batch_that_our_database_has_no_room_for_fails_its_run_and_no_other() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[history]\ndatabase = \"8 MiB\"\n");
    fs::write(edge_box.path("in.jsonl"), lines(0..300_000)).expect("write it");
    edge_box.flow("it", &into("cat >> out.jsonl", "[batch]\nwhole = true\n"));
    let failed = run(&edge_box);
    assert_eq!((&failed["status"], &failed["error_kind"]), (&"failed".into(), &"sink".into()), "{failed}");
    let message = failed["error_message"].as_str().expect("one");
    assert!(message.contains("of heartbeat.db, of which it may take 2 MiB"), "{message}");
    edge_box.flow("it", &into("cat >> out.jsonl", "[batch]\nrecords = 100000\n"));
    let daemon = edge_box.start();
    assert_eq!(edge_box.command(&["flow", "run", "it", "--wait"]).0, Some(0));
    drop(daemon);
    assert_eq!(out(&edge_box), lines(0..300_000));
}

#[test]
fn a_sink_that_reads_nothing_or_only_some_takes_what_it_says() {
    let edge_box = EdgeBox::new();
    fs::write(edge_box.path("in.jsonl"), lines(0..30_000)).expect("write it");
    edge_box.flow("it", &into("head -1 >> out.jsonl", "[batch]\nrecords = 30000\n"));
    let run = run(&edge_box);
    assert_eq!((&run["status"], &run["records_written"]), (&"success".into(), &30_000.into()), "{run}");
    assert_eq!(out(&edge_box), "{\"n\":0}\n");
}

#[test]
fn after_kill_9_at_any_moment_every_record_arrives_and_no_key_has_two_bodies() {
    let edge_box = EdgeBox::new();
    let script =
        "body=$(mktemp -p bodies $HEARTBEAT_IDEMPOTENCY_KEY.XXXXXX) && cat > $body && mv $body $body.whole";
    fs::create_dir(edge_box.path("bodies")).expect("make it");
    edge_box.flow("it", &into(script, "[batch]\nrecords = 100\n"));
    for round in 0..12 {
        let file = edge_box.path("in.jsonl");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, before + &lines(round * 500..(round + 1) * 500)).expect("write it");
        let mut daemon = edge_box.start();
        let _accepted = edge_box.command(&["flow", "run", "it"]);
        let count = |edge_box: &EdgeBox| fs::read_dir(edge_box.path("bodies")).expect("list it").count();
        let seen = count(&edge_box);
        until("a batch or two are given", || {
            count(&edge_box) > seen + usize::try_from(round % 3).expect("small")
        });
        daemon.kill();
    }
    let mut daemon = edge_box.start();
    until("what was interrupted is over", || !edge_box.has_open_runs());
    let (code, said) = edge_box.command(&["flow", "run", "it", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    daemon.stop();
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(edge_box.path("bodies")).expect("list it") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // What was killed in the middle took nothing.
        let Some((key, _)) = name.strip_suffix(".whole").and_then(|name| name.split_once('.')) else {
            continue;
        };
        let body = fs::read_to_string(&path).expect("read it");
        let other = bodies.insert(key.to_owned(), body.clone());
        assert!(other.is_none_or(|other| other == body), "{key} has two bodies");
    }
    let mut arrived: Vec<&str> = bodies.values().flat_map(|body| body.lines()).collect();
    arrived.sort_unstable();
    let all = lines(0..6000);
    let mut expected: Vec<&str> = all.lines().collect();
    expected.sort_unstable();
    assert_eq!(arrived, expected, "by its key each batch counts once");
}
