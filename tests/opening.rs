//! A database that cannot be opened when the daemon starts, for a reason that passes: everybody is told to wait, and then
//! it goes on by itself.

mod support;

use rusqlite::Connection;
use std::fs;
use support::daemon::Daemon;
use support::disk::{can_mount, remount, start_on_a_small_disk};
use support::{EdgeBox, until};

/// A daemon that tells everybody to wait, for this reason.
fn waits(daemon: &Daemon, error: &str) {
    let answer = daemon.beat();
    assert_eq!((answer.status, answer.error().as_str()), (503, error), "{answer:?}");
    assert!(answer.field("Retry-After").is_some(), "{answer:?}");
    let readiness = daemon.get("/readyz");
    assert_eq!((readiness.status, readiness.error().as_str()), (503, error), "{readiness:?}");
    assert_eq!(daemon.get("/healthz").status, 200);
}

fn goes_on(daemon: &Daemon) {
    until("the database is open", || daemon.get("/readyz").status == 200);
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
}

#[test]
fn a_database_that_another_program_holds_at_the_start_is_waited_for_while_callers_are_told() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    edge_box.start().stop();
    let Ok(other) = Connection::open(edge_box.path("heartbeat.db")) else { panic!("open the database") };
    assert_eq!(other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"), Ok(()));
    let daemon = edge_box.start();
    waits(&daemon, "storage_unavailable");
    let (code, said) = edge_box.command(&["flow", "run", "it"]);
    assert!(code == Some(75) && said.contains("another program holds the database"), "{code:?} {said}");
    drop(other);
    goes_on(&daemon);
    assert_eq!(edge_box.ended_run("it").status, "success");
    assert_eq!(edge_box.command(&["status"]).0, Some(0));
}

#[test]
fn a_daemon_that_waits_for_its_database_ends_when_it_is_told_to() {
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let Ok(other) = Connection::open(edge_box.path("heartbeat.db")) else { panic!("open the database") };
    assert_eq!(other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"), Ok(()));
    let mut daemon = edge_box.start();
    waits(&daemon, "storage_unavailable");
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn runs_and_processes_that_an_earlier_daemon_left_are_ended_once_the_database_can_be_opened() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "echo $$ >> pids; [ -e go ] || sleep 60");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("it runs", || !edge_box.read("pids").is_empty());
    daemon.kill();
    let survivor = edge_box.read("pids");
    let Ok(other) = Connection::open(edge_box.path("heartbeat.db")) else { panic!("open the database") };
    assert_eq!(other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE"), Ok(()));
    let daemon = edge_box.start();
    waits(&daemon, "storage_unavailable");
    drop(other);
    until("it is ready", || daemon.get("/readyz").status == 200);
    until("the survivor is gone", || !support::is_alive(&survivor));
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
}

#[test]
fn on_a_disk_that_is_full_at_the_start_the_database_is_made_when_there_is_room() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let (daemon, disk) =
        start_on_a_small_disk(&edge_box, "{ head -c 2000000 /dev/zero > \"$0/filler\"; true; }");
    waits(&daemon, "storage_full");
    assert!(fs::remove_file(disk.join("filler")).is_ok(), "make room");
    goes_on(&daemon);
}

#[test]
fn on_a_disk_that_is_read_only_at_the_start_it_goes_on_when_that_is_over() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let prepare =
        "cp \"$0\"/../heartbeat.db \"$0\"/ && : > \"$0/heartbeat.db.lock\" && mount -o remount,ro \"$0\"";
    edge_box.script("it", "", "true");
    let (daemon, _) = start_on_a_small_disk(&edge_box, prepare);
    waits(&daemon, "storage_unavailable");
    remount(&edge_box, &daemon, "rw");
    goes_on(&daemon);
}
