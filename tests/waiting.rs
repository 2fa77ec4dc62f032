//! `Prefer: wait=N` (RFC 7240): the answer waits for the runs' ends, within bounds.

mod support;

use rustix::net::sockopt::set_socket_linger;
use std::thread;
use std::time::{Duration, Instant};
use support::EdgeBox;
use support::heartbeat::Heartbeat;
use support::wire::Answer;

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";

fn box_with(script: &str, settings: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure(settings);
    edge_box.script("it", "", script);
    edge_box
}

#[test]
fn a_caller_that_waits_is_told_how_each_run_ended() {
    let edge_box = box_with("sleep 0.3; exit 3", "");
    let answer = edge_box.start().send(&Heartbeat::new().wait(10));
    assert_eq!(answer.field("Preference-Applied"), Some("wait=10"));
    let run = &answer.json()["runs"][0];
    assert_eq!((run["flow"].as_str(), run["status"].as_str()), (Some("it"), Some("failed")));
    assert_eq!((run["exit_code"].as_i64(), run["error_kind"].as_str()), (Some(3), Some("exit_status")));
    assert!(run["duration_ms"].as_u64().unwrap() >= 300, "{run}");
    assert_eq!(answer.count("flows_triggered"), 1);
}

#[test]
fn a_caller_that_does_not_ask_to_wait_does_not() {
    let edge_box = box_with(UNTIL_TOLD, "");
    let daemon = edge_box.start();
    let answer = daemon.beat();
    assert_eq!(answer.field("Preference-Applied"), None);
    assert_eq!(answer.json()["runs"][0]["status"], "in_progress");
}

#[test]
fn when_the_time_is_up_the_state_so_far_is_told() {
    let edge_box = box_with(UNTIL_TOLD, "");
    let daemon = edge_box.start();
    let start = Instant::now();
    let answer = daemon.send(&Heartbeat::new().wait(1));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.field("Preference-Applied"), Some("wait=1"));
    assert_eq!(answer.json()["runs"][0]["status"], "in_progress");
}

#[test]
fn a_wait_is_cut_to_what_the_operator_allows() {
    let edge_box = box_with(UNTIL_TOLD, "[limits]\nwait = \"1s\"\n");
    let daemon = edge_box.start();
    let start = Instant::now();
    let answer = daemon.send(&Heartbeat::new().wait(3600));
    assert!(start.elapsed() < support::PATIENCE);
    assert_eq!(answer.field("Preference-Applied"), Some("wait=1"));
}

#[test]
fn a_caller_that_leaves_cancels_nothing() {
    let edge_box = box_with(UNTIL_TOLD, "");
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    wire.send(Heartbeat::new().wait(30).to_bytes(&edge_box.secret));
    support::until("it runs", || edge_box.runs().iter().any(|run| run.status == "in_progress"));
    drop(wire);
    assert_eq!(daemon.beat().count("flows_due"), 0, "the daemon goes on");
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("it").status, "success");
}

#[test]
fn the_place_of_a_waiting_caller_that_left_is_free_for_another() {
    // One connection of two may wait.
    let edge_box = box_with(UNTIL_TOLD, "[limits]\nconnections = 2\nconnections_per_address = 2\n");
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    daemon.send(&heartbeat);
    let mut leaves = daemon.connect();
    leaves.send(heartbeat.clone().wait(60).to_bytes(&edge_box.secret));
    let wait = || {
        let mut wire = daemon.connect();
        wire.send(heartbeat.clone().wait(1).to_bytes(&edge_box.secret));
        wire.try_answer().ok().filter(|answer| answer.status == 200)
    };
    let may_wait = |answer: &Answer| answer.field("Preference-Applied").is_some();
    support::until("no other may wait", || wait().is_some_and(|answer| !may_wait(&answer)));
    // With a reset: one that only ends its side may still want the answer.
    set_socket_linger(&leaves.stream, Some(Duration::ZERO)).unwrap();
    drop(leaves);
    support::until("another may wait", || wait().is_some_and(|answer| may_wait(&answer)));
}

#[test]
fn a_duplicate_may_wait_too() {
    let edge_box = box_with(UNTIL_TOLD, "");
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    let first = daemon.send(&heartbeat);
    assert_eq!(first.json()["runs"][0]["status"], "in_progress");
    let mut wire = daemon.connect();
    wire.send(heartbeat.wait(20).to_bytes(&edge_box.secret));
    daemon.beat();
    edge_box.write("go", "");
    let repeat = wire.answer();
    assert!(repeat.is_duplicate());
    assert_eq!(repeat.field("Preference-Applied"), Some("wait=20"));
    assert_eq!(repeat.run_ids(), first.run_ids());
    assert_eq!(repeat.json()["runs"][0]["status"], "success");
}

#[test]
fn with_nothing_due_there_is_nothing_to_wait_for() {
    let edge_box = EdgeBox::new();
    let start = Instant::now();
    let answer = edge_box.start().send(&Heartbeat::new().wait(60));
    assert_eq!(answer.count("flows_triggered"), 0);
    assert!(start.elapsed() < support::PATIENCE);
}

#[test]
fn who_waits_holds_up_nobody_else() {
    let edge_box = box_with(UNTIL_TOLD, "");
    let daemon = edge_box.start();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| daemon.send(&Heartbeat::new().wait(20)));
        support::until("it runs", || edge_box.runs().iter().any(|run| run.status == "in_progress"));
        assert_eq!(daemon.beat().status, 200);
        assert!(!waiting.is_finished());
        edge_box.write("go", "");
        assert_eq!(waiting.join().unwrap().json()["runs"][0]["status"], "success");
    });
}

#[test]
fn at_most_half_of_the_connections_may_wait() {
    let edge_box = box_with(UNTIL_TOLD, "[limits]\nconnections = 8\nconnections_per_address = 8\n");
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    daemon.send(&heartbeat);
    let bytes = heartbeat.wait(20).to_bytes(&edge_box.secret);
    let mut waiting = [(); 4].map(|()| {
        let mut wire = daemon.connect();
        wire.send(&bytes);
        wire
    });
    let one_too_many = support::eventually("no more may wait", || {
        // Those before it wait once they are read; until then this one may be among the four.
        let mut wire = daemon.connect();
        wire.send(&bytes);
        wire.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        wire.try_answer().ok()
    });
    assert_eq!(one_too_many.field("Preference-Applied"), None);
    assert_eq!(one_too_many.json()["runs"][0]["status"], "in_progress");
    edge_box.write("go", "");
    for wire in &mut waiting {
        assert_eq!(wire.answer().status, 200);
    }
}
