//! Batches sent over HTTP: each arrives, whatever the receiver does and whoever is killed, and its key never stands for two
//! bodies.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::http_server::{Request, answer, serve};
use support::operator::Operator;
use support::{EdgeBox, until};

/// From `in.jsonl` to this address.
fn flow(edge_box: &EdgeBox, address: &str, more: &str) {
    let text = format!(
        "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[sink]\ntype = \"http\"\nurl = \"http://{address}/in?to=1\"\n{more}"
    );
    edge_box.flow("it", &text);
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.fold(String::new(), |mut text, n| {
        writeln!(text, "{{\"n\":{n}}}").expect("write to a string");
        text
    })
}

fn run(edge_box: &EdgeBox) -> Value {
    let (_, said) = edge_box.command(&["--json", "flow", "run", "it", "--wait"]);
    let id = edge_box.number("SELECT max(id) FROM data_flow_runs");
    let run = Operator::of(edge_box).json(&format!("GET /runs/{id}"));
    assert!(run["ended_at"].is_string(), "{said}");
    run
}

/// What was received, each request as it came.
type Received = Arc<Mutex<Vec<Request>>>;

fn receiver(judge: impl Fn(usize, &Request) -> Option<String> + Send + Sync + 'static) -> (String, Received) {
    let received = Received::default();
    let (kept, count) = (Arc::clone(&received), AtomicUsize::new(0));
    let address = serve(move |request| {
        kept.lock().expect("nobody failed").push(request.clone());
        judge(count.fetch_add(1, Ordering::Relaxed), request)
    });
    (address, received)
}

fn key(request: &Request) -> String {
    request.field("Idempotency-Key").expect("each has one").to_owned()
}

#[test]
fn after_kill_9_and_over_a_server_that_fails_and_hangs_up_all_arrive_and_no_key_has_two_bodies() {
    let (address, received) = receiver(|number, _| match number {
        number if number % 7 == 6 => None,
        number if number % 5 == 4 => Some(answer(503, "Retry-After: 0\r\n", "")),
        _ => Some(answer(200, "", "{}")),
    });
    let edge_box = EdgeBox::new();
    flow(&edge_box, &address, "[batch]\nrecords = 100\n");
    let rounds = 16;
    for round in 0..rounds {
        let file = edge_box.path("in.jsonl");
        let before = fs::read_to_string(&file).unwrap_or_default();
        fs::write(&file, before + &lines(round * 1250..(round + 1) * 1250)).expect("write it");
        let mut daemon = edge_box.start();
        let _accepted = edge_box.command(&["flow", "run", "it"]);
        let seen = received.lock().expect("nobody failed").len();
        let enough = usize::try_from(round % 5).expect("small") * 2;
        until("some were sent", || received.lock().expect("nobody failed").len() > seen + enough);
        daemon.kill();
    }
    let daemon = edge_box.start();
    until("what was interrupted is over", || !edge_box.has_open_runs());
    until("all is sent", || run(&edge_box)["status"] == "success");
    drop(daemon);
    let received = received.lock().expect("nobody failed");
    let mut bodies: BTreeMap<String, &str> = BTreeMap::new();
    for request in received.iter() {
        let other = bodies.insert(key(request), &request.body);
        assert!(other.is_none_or(|other| other == request.body), "{} has two bodies", key(request));
    }
    let mut arrived: Vec<i64> = Vec::new();
    for body in bodies.values() {
        let records: Vec<Value> = serde_json::from_str(body).expect("an array");
        arrived.extend(records.iter().filter_map(|record| record["n"].as_i64()));
    }
    arrived.sort_unstable();
    assert_eq!(arrived, (0..i64::from(rounds) * 1250).collect::<Vec<_>>(), "by its key each counts once");
    assert!(received.len() > bodies.len(), "some were sent again");
}

#[test]
fn a_receiver_that_is_down_for_long_gets_the_same_batch_when_it_is_back() {
    let edge_box = EdgeBox::new();
    let closed =
        std::net::TcpListener::bind("127.0.0.1:0").expect("listen").local_addr().expect("its address");
    flow(&edge_box, &closed.to_string(), "");
    fs::write(edge_box.path("in.jsonl"), lines(0..5)).expect("write it");
    let daemon = edge_box.start();
    let failed = run(&edge_box);
    assert_eq!((&failed["error_kind"], &failed["records_written"]), (&"sink".into(), &0.into()), "{failed}");
    let message = failed["error_message"].as_str().expect("one").to_owned();
    assert!(message.contains("cannot connect") && message.contains("tried 4 times"), "{message}");
    let (address, received) = receiver(|_, _| Some(answer(202, "", "")));
    flow(&edge_box, &address, "");
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    let taken = run(&edge_box);
    assert_eq!((&taken["status"], &taken["records_written"]), (&"success".into(), &5.into()), "{taken}");
    drop(daemon);
    let received = received.lock().expect("nobody failed");
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].line, "POST /in?to=1 HTTP/1.1");
    assert_eq!(received[0].field("Content-Type"), Some("application/json"));
    assert_eq!(received[0].body, r#"[{"n":0},{"n":1},{"n":2},{"n":3},{"n":4}]"#);
}

#[test]
fn what_is_refused_for_good_goes_to_the_dead_letters_or_fails_the_run() {
    let (address, _) = receiver(|_, request| {
        let is_bad = request.body.contains("\"n\":3");
        Some(if is_bad {
            answer(422, "Content-Type: text/plain\r\n", "three is bad")
        } else {
            answer(200, "", "")
        })
    });
    let edge_box = EdgeBox::new();
    flow(&edge_box, &address, "[batch]\nrecords = 2\n");
    fs::write(edge_box.path("in.jsonl"), lines(0..6)).expect("write it");
    let daemon = edge_box.start();
    let done = run(&edge_box);
    let counted = ["records_read", "records_written", "records_rejected"].map(|name| done[name].as_i64());
    assert_eq!((&done["status"], counted), (&"success".into(), [Some(6), Some(4), Some(2)]), "{done}");
    let dead = edge_box.read("dead-letter/it.jsonl");
    assert!(dead.lines().count() == 2 && dead.contains("422") && dead.contains("three is bad"), "{dead}");
    flow(&edge_box, &address, "on_rejection = \"fail\"\n[batch]\nrecords = 2\n");
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    fs::write(edge_box.path("in.jsonl"), lines(0..6) + "{\"n\":3}\n").expect("write it");
    let failed = run(&edge_box);
    assert_eq!((&failed["status"], &failed["error_kind"]), (&"failed".into(), &"sink".into()), "{failed}");
    drop(daemon);
}

#[test]
fn a_batch_is_taken_or_refused_though_the_answer_cannot_be_read() {
    let (address, received) = receiver(|_, request| {
        let status = if request.body.contains("\"n\":3") { 422 } else { 200 };
        Some(answer(status, "Content-Encoding: gzip\r\n", "no gzip"))
    });
    let edge_box = EdgeBox::new();
    flow(&edge_box, &address, "[batch]\nrecords = 2\n");
    fs::write(edge_box.path("in.jsonl"), lines(0..6)).expect("write it");
    let daemon = edge_box.start();
    let done = run(&edge_box);
    let counted = ["records_read", "records_written", "records_rejected"].map(|name| done[name].as_i64());
    assert_eq!((&done["status"], counted), (&"success".into(), [Some(6), Some(4), Some(2)]), "{done}");
    assert_eq!(received.lock().expect("nobody failed").len(), 3, "each was sent once");
    drop(daemon);
}

#[test]
fn a_receiver_that_never_answers_fails_the_run_in_time_and_heartbeats_go_on() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = silent.local_addr().expect("its address").to_string();
    let edge_box = EdgeBox::new();
    flow(&edge_box, &address, "timeout = \"100ms\"\n");
    fs::write(edge_box.path("in.jsonl"), lines(0..5)).expect("write it");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().json()["flows_triggered"], 1);
    assert_eq!(daemon.beat().status, 200);
    until("the run is over", || !edge_box.has_open_runs());
    let failed = edge_box.ended_run("it");
    let message = failed.error_message.unwrap_or_default();
    assert!(message.contains("no answer within 100ms"), "{message}");
}

#[test]
fn a_receiver_that_is_slow_holds_back_its_source_and_nobody_else() {
    let may_answer = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&may_answer);
    let (address, received) = receiver(move |_, _| {
        until("it may answer", || told.load(Ordering::Relaxed));
        Some(answer(200, "", ""))
    });
    let edge_box = EdgeBox::new();
    flow(&edge_box, &address, "timeout = \"60s\"\n[batch]\nrecords = 100\n");
    let long = "x".repeat(1000);
    let many: String = (0..20_000).map(|n| format!("{{\"n\":{n},\"long\":\"{long}\"}}\n")).collect();
    fs::write(edge_box.path("in.jsonl"), many).expect("write it");
    let daemon = edge_box.start();
    let before_kib = daemon.proc_status("VmRSS");
    daemon.beat();
    let count = || received.lock().expect("nobody failed").len();
    until("the first is sent", || count() == 1);
    for _ in 0..50 {
        assert_eq!(daemon.beat().status, 200);
    }
    assert_eq!(count(), 1, "nothing is sent while it is not taken");
    let grown_kib = daemon.proc_status("VmRSS").saturating_sub(before_kib);
    assert!(grown_kib < 8 * 1024, "20 MB wait in their file and not in memory: {grown_kib} KiB");
    may_answer.store(true, Ordering::Relaxed);
    until("the run is over", || !edge_box.has_open_runs());
    assert_eq!((edge_box.ended_run("it").error_message, count()), (None, 200));
}
