//! A database that cannot be opened when the daemon starts, for a reason that passes: everybody is told to wait, and then
//! it goes on by itself.

mod support;

use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::daemon::Daemon;
use support::tools::{can_run, run_through};
use support::wire::Answer;
use support::{EdgeBox, until};

fn get(daemon: &Daemon, path: &str) -> Answer {
    daemon.exchange(format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n"))
}

/// A daemon that tells everybody to wait, for this reason.
fn waits(daemon: &Daemon, error: &str) {
    let answer = daemon.beat();
    assert_eq!((answer.status, answer.error().as_str()), (503, error), "{answer:?}");
    assert!(answer.field("Retry-After").is_some(), "{answer:?}");
    let readiness = get(daemon, "/readyz");
    assert_eq!((readiness.status, readiness.error().as_str()), (503, error), "{readiness:?}");
    assert_eq!(get(daemon, "/healthz").status, 200);
}

fn goes_on(daemon: &Daemon) {
    until("the database is open", || get(daemon, "/readyz").status == 200);
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
    until("it is ready", || get(&daemon, "/readyz").status == 200);
    until("the survivor is gone", || !support::is_alive(&survivor));
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
}

/// A daemon whose database is on a disk of its own, prepared by this script, which finds the disk at `$0`; and that disk as
/// it is seen from here.
fn on_a_disk(edge_box: &EdgeBox, prepare: &str) -> (Daemon, PathBuf) {
    edge_box.configure("database = \"disk/heartbeat.db\"\n");
    edge_box.script("it", "", "true");
    let disk = edge_box.path("disk");
    assert!(fs::create_dir_all(&disk).is_ok(), "make the mount point");
    let script = format!("mount -t tmpfs -o size=1536k tmpfs \"$0\" && {prepare} && exec \"$@\"");
    let daemon = Daemon::start(edge_box, |command| {
        command.arg("--dumpable");
        let disk = disk.to_str().unwrap_or_default();
        run_through(command, "unshare", &["-rm", "sh", "-c", &script, disk]);
    });
    let inside = format!("/proc/{}/root{}", daemon.pid(), disk.display());
    (daemon, PathBuf::from(inside))
}

#[test]
fn on_a_disk_that_is_full_at_the_start_the_database_is_made_when_there_is_room() {
    if !can_run("unshare", &["-rm", "true"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    let (daemon, disk) = on_a_disk(&edge_box, "{ head -c 2000000 /dev/zero > \"$0/filler\"; true; }");
    waits(&daemon, "storage_full");
    assert!(fs::remove_file(disk.join("filler")).is_ok(), "make room");
    goes_on(&daemon);
}

#[test]
fn on_a_disk_that_is_read_only_at_the_start_it_goes_on_when_that_is_over() {
    if !can_run("unshare", &["-rm", "true"]) || !can_run("nsenter", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let prepare =
        "cp \"$0\"/../heartbeat.db \"$0\"/ && : > \"$0/heartbeat.db.lock\" && mount -o remount,ro \"$0\"";
    let (daemon, disk) = on_a_disk(&edge_box, prepare);
    waits(&daemon, "storage_unavailable");
    let pid = daemon.pid().to_string();
    let path = edge_box.path("disk");
    let arguments = ["-t", &pid, "-U", "-m", "--preserve-credentials", "mount", "-o", "remount,rw"];
    let remounted = Command::new("nsenter").args(arguments).arg(&path).status();
    assert!(remounted.is_ok_and(|status| status.success()), "make {} writable", path.display());
    assert!(Path::new(&disk).exists());
    goes_on(&daemon);
}
