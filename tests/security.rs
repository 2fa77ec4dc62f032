//! What an attacker tries who has a foot on the box, or a page in the operator's browser.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::{can_run, run_through};

/// What the user nobody runs as.
const AS_NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

fn mode(edge_box: &EdgeBox, name: &str) -> u32 {
    std::fs::metadata(edge_box.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_database_and_what_stands_beside_it_are_for_their_owner_alone_whatever_the_umask() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "echo private");
    let daemon = Daemon::start(&edge_box, |command| {
        run_through(command, "sh", &["-c", "umask 000; exec \"$0\" \"$@\""]);
    });
    daemon.beat_and_wait();
    for end in ["", "-wal", "-shm", ".lock", ".children"] {
        assert_eq!(mode(&edge_box, &format!("heartbeat.db{end}")), 0o600, "heartbeat.db{end}");
    }
}

#[test]
fn a_mode_that_the_operator_gave_the_database_stays() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    daemon.stop();
    edge_box.set_mode("heartbeat.db", 0o640);
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().status, 200);
    assert_eq!(mode(&edge_box, "heartbeat.db"), 0o640);
}

/// flock(2) asks for no right to write: whoever may open the file may hold it.
#[test]
fn no_other_user_can_hold_the_lock_against_the_daemon() {
    let takes = ["flock", "--nonblock", "--exclusive"];
    if !can_run("setpriv", &[&AS_NOBODY[..], &["true"]].concat()) || !can_run("flock", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let mut other = Command::new("setpriv");
    other.args(AS_NOBODY).args(takes).arg(edge_box.path("heartbeat.db.lock")).arg("true");
    let said = other.output().unwrap();
    assert!(!said.status.success(), "another user holds the lock: {said:?}");
    assert_eq!(edge_box.start().beat().status, 200);
}

#[test]
fn where_nobody_proves_anything_a_web_page_starts_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.configure("authentication_enabled = false\n");
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    // A browser sends it with each POST of a page, also with one from a sandbox, or under a name that was rebound.
    for origin in ["http://evil.example", "null", "http://localhost:8787", ""] {
        let heartbeat = Heartbeat::new().field(&format!("Origin: {origin}"));
        let answer = daemon.exchange(heartbeat.with_proof("Content-Type: text/plain\r\n"));
        assert_eq!((answer.status, answer.error()), (403, "address_not_allowed".to_owned()), "{origin}");
    }
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof("")).count("flows_triggered"), 1);
}

#[test]
fn a_signed_heartbeat_may_say_where_it_comes_from() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    assert_eq!(daemon.send(&Heartbeat::new().field("Origin: https://monitor.example")).status, 200);
}
