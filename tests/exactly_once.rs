//! A heartbeat starts each due flow once, however often and however many of them come.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::sync::Barrier;
use std::thread;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::wire::Answer;

/// A box with one flow that notes each of its runs.
fn box_with_a_flow() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections = 500\nconnections_per_address = 500\n");
    edge_box.script("note", "", "echo ran >> effects");
    edge_box
}

fn send_at_once(daemon: &Daemon, heartbeats: &[Heartbeat]) -> Vec<Answer> {
    let together = Barrier::new(heartbeats.len());
    thread::scope(|scope| {
        let send = |heartbeat| {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                daemon.send(heartbeat)
            })
        };
        let senders: Vec<_> = heartbeats.iter().map(send).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    })
}

/// What every repeat of a heartbeat is told, its runs' progress aside.
fn effect(answer: &Answer) -> (Vec<i64>, Vec<u64>, String) {
    let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"];
    let counts = counts.iter().map(|name| answer.count(name)).collect();
    (answer.run_ids(), counts, answer.json()["timestamp"].to_string())
}

#[test]
fn a_due_flow_runs_exactly_once_among_200_simultaneous_heartbeats() {
    let edge_box = box_with_a_flow();
    let daemon = edge_box.start();
    let heartbeats: Vec<_> = (0..200).map(|_| Heartbeat::new().wait(10)).collect();
    let answers = send_at_once(&daemon, &heartbeats);
    let triggered: u64 = answers.iter().map(|answer| answer.count("flows_triggered")).sum();
    assert_eq!(triggered, 1, "one of them started it");
    assert_eq!(edge_box.ended_run("note").status, "success");
    assert_eq!(edge_box.runs().len(), 1);
    assert_eq!(edge_box.read("effects"), "ran\n");
}

#[test]
fn a_heartbeat_sent_a_hundred_times_at_once_has_one_effect_and_one_answer() {
    let edge_box = box_with_a_flow();
    let daemon = edge_box.start();
    let first = Heartbeat::new();
    let answers = send_at_once(&daemon, &vec![first; 100]);
    assert_eq!(answers.iter().filter(|answer| !answer.is_duplicate()).count(), 1);
    for answer in &answers {
        assert_eq!(effect(answer), effect(&answers[0]));
    }
    assert_eq!(answers[0].count("flows_triggered"), 1);
    edge_box.ended_run("note");
    assert_eq!(edge_box.read("effects"), "ran\n");
}

#[test]
fn a_replay_starts_nothing_though_its_flow_is_due_again_before_and_after_restart_and_kill() {
    let edge_box = box_with_a_flow();
    let mut daemon = edge_box.start();
    let first = Heartbeat::new();
    let original = daemon.send(&first);
    assert!(!original.is_duplicate());
    edge_box.ended_run("note");
    let again_due = "UPDATE data_flows SET next_run_at = 1";
    let signed_anew = Heartbeat { signed_at_s: first.signed_at_s + 1, ..first.clone() };
    let other_body = Heartbeat { body: "{\"n\":2}".to_owned(), ..signed_anew.clone() };
    let replays = [first, signed_anew, other_body];
    let all_are_duplicates = |daemon: &Daemon| {
        for replay in &replays {
            let answer = daemon.send(replay);
            assert!(answer.is_duplicate(), "{answer:?}");
            assert_eq!(effect(&answer), effect(&original));
        }
    };

    all_are_duplicates(&daemon);
    assert_eq!(daemon.stop().code(), Some(0));
    edge_box.edit(again_due);
    let mut daemon = edge_box.start();
    all_are_duplicates(&daemon);
    daemon.kill();
    edge_box.edit(again_due);
    let daemon = edge_box.start();
    all_are_duplicates(&daemon);

    assert_eq!(edge_box.runs().len(), 1);
    assert_eq!(edge_box.read("effects"), "ran\n");
    assert_eq!(daemon.beat().count("flows_triggered"), 1, "the flow was due all the time");
}

#[test]
fn a_repeat_of_a_heartbeat_that_started_nothing_starts_nothing_when_flows_have_come_due() {
    let edge_box = box_with_a_flow();
    edge_box.script("often", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let idle = Heartbeat::new();
    let first = daemon.send(&idle);
    assert_eq!(first.count("flows_triggered"), 0);
    support::until("the flow comes due", || daemon.beat().count("flows_triggered") == 1);
    let runs = edge_box.runs().len();
    support::until("the flow is due again", || {
        edge_box.number("SELECT next_run_at FROM data_flows WHERE name = 'often'") < now_s() * 1000
    });
    let repeat = daemon.send(&idle);
    assert!(repeat.is_duplicate());
    assert_eq!(effect(&repeat), effect(&first));
    assert_eq!(edge_box.runs().len(), runs);
}
