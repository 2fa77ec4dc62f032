//! Reload: everything is read and judged first, then switched at once; or all stays as it was, and that is told.

mod support;

use rustix::process::Signal;
use std::thread;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::operator::Operator;
use support::{eventually, until};

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";

fn reload(edge_box: &EdgeBox) -> support::wire::Answer {
    Operator::of(edge_box).ask("POST /reload")
}

fn hang_up(daemon: &Daemon) {
    let before = daemon.log().matches("reloaded").count();
    daemon.signal(Signal::HUP);
    until("it has reloaded", || daemon.log().matches("reloaded").count() > before);
}

#[test]
fn flow_files_are_followed_at_a_hang_up() {
    let edge_box = EdgeBox::new();
    edge_box.script("goes", "", "true");
    edge_box.script("changes", "", "echo before");
    let daemon = edge_box.start();
    edge_box.script("comes", "", "true");
    edge_box.script("changes", "", "echo after");
    std::fs::remove_file(edge_box.path("flows/goes.toml")).expect("remove a flow file");
    hang_up(&daemon);
    let answer = daemon.beat_and_wait();
    assert_eq!(answer.count("flows_triggered"), 2, "{answer:?}");
    assert_eq!(edge_box.ended_run("changes").output, "after\n");
    assert_eq!(edge_box.ended_run("comes").status, "success");
    daemon.until_logged("the flow's file is gone");
}

#[test]
fn whitelist_secrets_path_and_limits_are_switched_at_once() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    let mut kept = daemon.connect();
    kept.send(Heartbeat::new().to_bytes(&edge_box.secret));
    assert_eq!(kept.answer().status, 200);

    edge_box.configure(
        "endpoint_path = \"/beat\"\nwhitelisted_ips = [\"127.0.0.1\", \"10.0.0.0/8\"]\n[limits]\nbody = 8\n",
    );
    assert_eq!(reload(&edge_box).status, 200);
    kept.send(Heartbeat::new().to_bytes(&edge_box.secret));
    assert_eq!(kept.answer().error(), "not_found", "connections go on, under the new settings");
    let long = "POST /beat HTTP/1.1\r\nHost: box\r\nContent-Length: 9\r\n\r\n123456789";
    assert_eq!(daemon.exchange(long).status, 413);

    edge_box.configure("whitelisted_ips = [\"10.0.0.0/8\"]\n");
    assert_eq!(reload(&edge_box).status, 200);
    assert_eq!(daemon.beat().error(), "address_not_allowed");

    let (text, other) = heartbeat_runtime::auth::Secret::generate(&[9; 32]);
    edge_box.write_secret("secret", &text);
    edge_box.configure("");
    assert_eq!(reload(&edge_box).status, 200);
    assert_eq!(daemon.beat().error(), "signature_mismatch", "the old secret");
    assert_eq!(daemon.exchange(Heartbeat::new().to_bytes(&other)).status, 200, "the new one");
}

#[test]
fn with_anything_wrong_everything_stays_as_it_was_and_that_is_told() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    // A right new path and a wrong limit; and a new flow, which is not taken up either.
    edge_box.configure("endpoint_path = \"/beat\"\nmax_concurrent_runs = 0\n");
    edge_box.script("new", "", "true");
    let answer = operator.ask("POST /reload");
    assert_eq!((answer.status, answer.error().as_str()), (409, "conflict"), "{answer:?}");
    let fault = &answer.json()["faults"][0];
    assert_eq!((&fault["line"], &fault["key"]), (&3.into(), &"max_concurrent_runs".into()), "{fault}");
    assert_eq!(daemon.beat().status, 200, "the old path");
    assert_eq!(operator.ask("GET /flows/new").status, 404);
    let status = operator.status();
    assert_eq!(status["failed_reloads"], 1);
    assert!(status["reload_error"].as_str().unwrap().contains("max_concurrent_runs"), "{status}");

    // A secret that others can read.
    edge_box.configure("");
    edge_box.set_mode("secret", 0o644);
    daemon.signal(Signal::HUP);
    daemon.until_logged("chmod 600");
    assert_eq!(daemon.beat().status, 200, "the old secret");
    assert_eq!(operator.status()["failed_reloads"], 2);

    edge_box.set_mode("secret", 0o600);
    assert_eq!(operator.ask("POST /reload").status, 200);
    assert_eq!(operator.ask("GET /flows/new").status, 200);
    assert!(operator.status()["reload_error"].is_null());
}

#[test]
fn a_flow_file_that_is_half_written_costs_its_own_flow_alone() {
    let edge_box = EdgeBox::new();
    edge_box.script("half", "", "echo whole");
    edge_box.script("other", "", "true");
    let daemon = edge_box.start();
    edge_box.write("flows/half.toml", "run_interval = \"1h\"\n[command]\nargv = [\"ec");
    edge_box.script("other", "", "echo changed");
    let answer = reload(&edge_box).json();
    assert_eq!(answer["flows"]["updated"], 1, "{answer}");
    assert!(answer["bad_flow_files"].to_string().contains("half.toml:3"), "{answer}");
    assert!(answer["faults"][0]["help"].as_str().is_some_and(|help| !help.is_empty()), "{answer}");
    assert!(daemon.log().contains("half.toml:3"));
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 2);
    assert_eq!(edge_box.ended_run("half").output, "whole\n", "its last good definition");
    assert_eq!(edge_box.ended_run("other").output, "changed\n");
    edge_box.script("half", "", "echo repaired");
    assert_eq!(reload(&edge_box).json()["bad_flow_files"], serde_json::json!([]));
}

#[test]
fn what_only_a_restart_changes_is_named_and_keeps_its_value() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    edge_box.write(
        "heartbeatd.toml",
        "listen = [\"127.0.0.1:1\"]\ndatabase = \"other.db\"\ndurability = \"normal\"\n[control]\nsocket = \"other.sock\"\nmode = \"0660\"\n[log]\nformat = \"json\"\n",
    );
    let named =
        ["listen", "database", "durability", "status.listen", "control.socket", "control.mode", "log.format"];
    for _ in 0..2 {
        let answer = reload(&edge_box).json();
        assert_eq!(answer["unchanged_until_restart"], serde_json::json!(named), "{answer}");
    }
    assert!(daemon.log().contains("keys=listen,database"), "{}", daemon.log());
    assert_eq!(daemon.beat().status, 200);
    assert!(!edge_box.path("other.db").exists() && !edge_box.path("other.sock").exists());
}

#[test]
fn an_address_that_stays_open_to_the_network_keeps_its_authentication() {
    let edge_box = EdgeBox::new();
    let with = |address: &str, more: &str| {
        let text = format!("listen = [\"{address}:0\"]\n{more}[status]\nlisten = false\n");
        edge_box.write("heartbeatd.toml", text);
    };
    with("0.0.0.0", "");
    let daemon = edge_box.start();
    with("127.0.0.1", "authentication_enabled = false\n");
    let answer = reload(&edge_box);
    assert_eq!((answer.status, answer.error().as_str()), (409, "conflict"), "{answer:?}");
    let fault = &answer.json()["faults"][0];
    assert!(fault["message"].as_str().unwrap().contains("anyone who reaches 0.0.0.0:0"), "{fault}");
    let unsigned = daemon.exchange(Heartbeat::new().with_proof(""));
    assert_eq!(unsigned.error(), "signature_missing");
    with("127.0.0.1", "authentication_enabled = false\nallow_unauthenticated_network = true\n");
    assert_eq!(reload(&edge_box).status, 200);
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof("")).status, 200);
}

#[test]
fn a_lower_maximum_lets_runs_finish_and_a_higher_one_starts_what_waits() {
    let edge_box = EdgeBox::new();
    for name in ["a", "b", "c", "d"] {
        edge_box.script(name, "", UNTIL_TOLD);
    }
    edge_box.configure("max_concurrent_runs = 3\n");
    let daemon = edge_box.start();
    daemon.beat();
    let in_progress = || edge_box.number("SELECT count(*) FROM data_flow_runs WHERE status = 'in_progress'");
    assert_eq!(in_progress(), 3);
    edge_box.configure("max_concurrent_runs = 1\n");
    assert_eq!(reload(&edge_box).status, 200);
    assert_eq!(in_progress(), 3, "runs go on");
    edge_box.configure("max_concurrent_runs = 4\n");
    assert_eq!(reload(&edge_box).status, 200);
    until("the fourth starts", || in_progress() == 4);
    edge_box.configure("max_concurrent_runs = 1\n");
    assert_eq!(reload(&edge_box).status, 200);
    edge_box.write("go", "");
    for name in ["a", "b", "c", "d"] {
        assert_eq!(edge_box.ended_run(name).status, "success");
    }
    assert_eq!(daemon.beat().status, 200);
}

#[test]
fn the_level_of_the_log_is_switched() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[log]\nlevel = \"error\"\n");
    let daemon = edge_box.start();
    edge_box.configure("[log]\nlevel = \"info\"\n");
    assert_eq!(reload(&edge_box).status, 200);
    daemon.until_logged("reloaded");
    assert!(!daemon.log().contains("listening"), "that was before");
}

#[test]
fn a_storm_of_hang_ups_under_load_loses_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.script("often", "run_interval = \"1s\"", "true");
    edge_box.script("long", "", UNTIL_TOLD);
    let daemon = edge_box.start();
    daemon.beat();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut wire = daemon.connect();
                    for _ in 0..100 {
                        wire.send(Heartbeat::new().to_bytes(&edge_box.secret));
                        let answer = wire.answer();
                        assert_eq!(answer.status, 200, "{answer:?}");
                    }
                })
            })
            .collect();
        for number in 0..50 {
            // Half of the time the configuration is broken.
            edge_box.configure(if number % 2 == 0 { "endpoint_path = 7\n" } else { "" });
            daemon.signal(Signal::HUP);
        }
        callers.into_iter().for_each(|caller| caller.join().expect("every heartbeat is answered"));
    });
    edge_box.configure("");
    assert_eq!(reload(&edge_box).status, 200);
    let status = Operator::of(&edge_box).status();
    assert!(status["reload_error"].is_null(), "{status}");
    assert_eq!(status["runs"]["in_progress"], 1, "the run goes on: {status}");
    edge_box.write("go", "");
    let long = eventually("the long run ends", || Some(edge_box.ended_run("long")));
    assert_eq!(long.status, "success");
    assert!(edge_box.is_sound());
}

#[test]
fn a_reload_that_cannot_be_stored_changes_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    let holder = rusqlite::Connection::open(edge_box.path("heartbeat.db")).expect("open the database");
    holder.execute_batch("BEGIN IMMEDIATE").expect("hold the database");
    edge_box.configure("endpoint_path = \"/beat\"\n");
    edge_box.script("new", "", "true");
    let answer = reload(&edge_box);
    assert_eq!((answer.status, answer.error().as_str()), (503, "storage_unavailable"), "{answer:?}");
    let status = Operator::of(&edge_box).status();
    assert!(status["degraded"].is_string() && status["failed_reloads"] == 1, "status answers: {status}");
    let held = Operator::of(&edge_box).patch("it", true);
    assert_eq!((held.status, held.error().as_str()), (503, "storage_unavailable"), "{held:?}");
    drop(holder);
    until("it can be written again", || daemon.beat().status == 200);
    until("a reload works", || reload(&edge_box).status == 200);
    assert_eq!(Operator::of(&edge_box).ask("GET /flows/new").status, 200);
    assert_eq!(daemon.beat().error(), "not_found", "now the new path is in force");
}
