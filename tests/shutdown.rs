//! SIGTERM: what runs may finish, within bounds; what has not started starts after the restart.

mod support;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};
use support::heartbeat::Heartbeat;
use support::{EdgeBox, is_alive, until};

const UNTIL_TOLD: &str = "echo $$ >> pids; while [ ! -e go ]; do sleep 0.02; done";

fn box_with(script: &str, settings: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure(settings);
    edge_box.script("it", "", script);
    edge_box
}

fn until_it_runs(edge_box: &EdgeBox) {
    until("it runs", || !edge_box.read("pids").is_empty());
}

#[test]
fn a_run_that_ends_in_time_is_recorded_as_what_it_was_and_callers_are_told_meanwhile() {
    let edge_box = box_with(UNTIL_TOLD, "shutdown_timeout = \"60s\"\n");
    let mut daemon = edge_box.start();
    let mut wire = daemon.connect();
    wire.send(Heartbeat::new().to_bytes(&edge_box.secret));
    assert_eq!(wire.answer().count("flows_triggered"), 1);
    until_it_runs(&edge_box);
    daemon.signal(Signal::TERM);
    daemon.until_logged("told to end");

    wire.send(Heartbeat::new().to_bytes(&edge_box.secret));
    for answer in [wire.answer(), daemon.beat()] {
        assert_eq!((answer.status, answer.error().as_str()), (503, "shutting_down"));
        assert!(answer.field("Retry-After").is_some());
    }
    let readiness = daemon.exchange("GET /readyz HTTP/1.1\r\nHost: box\r\n\r\n");
    assert_eq!((readiness.status, readiness.field("Retry-After").is_some()), (503, true));
    assert_eq!(daemon.exchange("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n").status, 200);

    edge_box.write("go", "");
    assert_eq!(daemon.ended().code(), Some(0));
    assert_eq!(edge_box.ended_run("it").status, "success");
}

#[test]
fn a_run_that_goes_on_is_interrupted_in_time_even_if_it_ignores_sigterm() {
    let settings = "shutdown_timeout = \"500ms\"\nkill_grace = \"1s\"\n";
    for script in [UNTIL_TOLD.to_owned(), format!("trap '' TERM; {UNTIL_TOLD}")] {
        let edge_box = box_with(&script, settings);
        let mut daemon = edge_box.start();
        daemon.beat();
        until_it_runs(&edge_box);
        let start = Instant::now();
        assert_eq!(daemon.stop().code(), Some(0));
        let took = start.elapsed();
        // The bound is 1.5 s; the rest is for a machine that is busy.
        assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(3000), "{took:?}");
        let run = edge_box.ended_run("it");
        assert_eq!((run.status.as_str(), run.error_kind.as_deref()), ("failed", Some("interrupted")));
        assert!(!is_alive(&edge_box.read("pids")));
    }
}

#[test]
fn runs_that_have_not_started_stay_pending_and_run_after_the_restart() {
    let edge_box = box_with(UNTIL_TOLD, "shutdown_timeout = \"60s\"\nmax_concurrent_runs = 1\n");
    edge_box.script("next", "", "echo ran >> effects");
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    until_it_runs(&edge_box);
    daemon.signal(Signal::TERM);
    daemon.until_logged("told to end");
    edge_box.write("go", "");
    assert_eq!(daemon.ended().code(), Some(0));
    let states = |edge_box: &EdgeBox| -> Vec<_> {
        edge_box.runs().into_iter().map(|run| (run.flow, run.status)).collect()
    };
    let state = |flow: &str, status: &str| (flow.to_owned(), status.to_owned());
    assert_eq!(states(&edge_box), [state("it", "success"), state("next", "pending")]);
    assert_eq!(edge_box.read("effects"), "");

    let _daemon = edge_box.start();
    assert_eq!(edge_box.ended_run("next").status, "success");
    assert_eq!(edge_box.read("effects"), "ran\n");
    assert_eq!(edge_box.runs().len(), 2);
}

#[test]
fn a_second_signal_does_not_wait_for_the_runs() {
    let edge_box = box_with(UNTIL_TOLD, "shutdown_timeout = \"60s\"\n");
    let mut daemon = edge_box.start();
    daemon.beat();
    until_it_runs(&edge_box);
    daemon.signal(Signal::INT);
    daemon.until_logged("told to end");
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
}

#[test]
fn a_caller_that_waits_is_answered_before_the_end() {
    let edge_box = box_with(UNTIL_TOLD, "shutdown_timeout = \"200ms\"\nkill_grace = \"5s\"\n");
    let mut daemon = edge_box.start();
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| daemon.send(&Heartbeat::new().wait(30)));
        until_it_runs(&edge_box);
        daemon.signal(Signal::TERM);
        waiting.join().unwrap()
    });
    assert_eq!(answer.json()["runs"][0]["error_kind"], "interrupted");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_caller_that_waits_for_a_run_that_never_started_is_told_so_before_the_end() {
    let edge_box = box_with(UNTIL_TOLD, "shutdown_timeout = \"60s\"\nmax_concurrent_runs = 1\n");
    edge_box.script("next", "", "true");
    let mut daemon = edge_box.start();
    let mut wire = daemon.connect();
    wire.send(Heartbeat::new().wait(60).to_bytes(&edge_box.secret));
    until_it_runs(&edge_box);
    daemon.signal(Signal::TERM);
    daemon.until_logged("told to end");
    edge_box.write("go", "");
    let answer = wire.answer().json();
    let status = |flow: &str| {
        let run = answer["runs"].as_array().unwrap().iter().find(|run| run["flow"] == flow);
        run.unwrap()["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((status("it").as_str(), status("next").as_str()), ("success", "pending"));
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn callers_that_do_not_read_hold_up_the_end_together_no_longer_than_one_of_them() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    let many = "GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n".repeat(1000);
    let fill = || {
        let mut slow = daemon.connect();
        set_socket_recv_buffer_size(&slow.stream, 4096).unwrap();
        slow.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let full = (0..10_000).find_map(|_| slow.stream.write_all(many.as_bytes()).err());
        assert!(full.is_some(), "the daemon stops reading from who does not read");
        slow
    };
    let _slow: Vec<_> = thread::scope(|scope| {
        let filled: Vec<_> = (0..12).map(|_| scope.spawn(fill)).collect();
        filled.into_iter().map(|filled| filled.join().unwrap()).collect()
    });
    let start = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    // Half a second is the bound for all; the rest is for a machine that is busy. One after the other would take six.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn with_nothing_running_it_ends_at_once_and_logs_what_it_counted() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    daemon.beat();
    let start = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(daemon.log().contains("ended connections=1 heartbeats=1"), "{}", daemon.log());
}

#[test]
fn without_any_grace_kill_is_sent_all_the_same_and_nothing_outlives_the_daemon() {
    for grace in ["0s", "100ms"] {
        let settings = format!("shutdown_timeout = \"0s\"\nkill_grace = \"{grace}\"\n");
        let edge_box = box_with(&format!("trap '' TERM; {UNTIL_TOLD}"), &settings);
        let mut daemon = edge_box.start();
        daemon.beat();
        until_it_runs(&edge_box);
        let pid = edge_box.read("pids");
        assert_eq!(daemon.stop().code(), Some(0));
        assert!(!is_alive(&pid), "with a grace of {grace}");
        let run = edge_box.ended_run("it");
        assert_eq!((run.error_kind.as_deref(), run.signal), (Some("interrupted"), Some(9)), "{run:?}");
    }
}
