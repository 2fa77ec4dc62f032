//! One version after another on the same database: nobody touches what another one owns or only a later one understands.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::fs;
use support::daemon::Daemon;
use support::{EdgeBox, is_alive, until};

/// A box with a run in progress, which says when it begins.
fn box_with_a_run() -> (EdgeBox, Daemon) {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"1s\"\n");
    edge_box.script("it", "", "echo $$ >> pids; while [ ! -e go ]; do sleep 0.02; done; echo done");
    let daemon = edge_box.start();
    daemon.beat();
    until("it runs", || edge_box.read("pids").ends_with('\n'));
    (edge_box, daemon)
}

/// What stands on the disk of the database.
fn files(edge_box: &EdgeBox) -> Vec<(String, Vec<u8>)> {
    let names = ["heartbeat.db", "heartbeat.db.children"];
    names.map(|name| (name.to_owned(), fs::read(edge_box.path(name)).unwrap())).into()
}

#[test]
fn a_database_of_a_later_version_is_left_alone_with_the_processes_of_its_runs() {
    let (edge_box, mut daemon) = box_with_a_run();
    daemon.kill();
    edge_box.edit("PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE)");
    let before = files(&edge_box);
    let (code, said) = Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("version 2") && said.contains("help: "), "{said}");
    assert!(files(&edge_box) == before, "nothing was touched");
    assert!(is_alive(&edge_box.read("pids")), "its process is the later version's to end");
    // As the one that knows it finds it.
    edge_box.edit("PRAGMA user_version = 1");
    let _daemon = edge_box.start();
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
    until("its process is gone", || !is_alive(&edge_box.read("pids")));
}

#[test]
fn a_new_daemon_is_refused_while_the_old_one_works_and_takes_over_when_that_has_ended() {
    let (edge_box, mut old) = box_with_a_run();
    let (code, said) = Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(75), "{said}");
    assert!(is_alive(&edge_box.read("pids")), "the run goes on");
    edge_box.script("pending", "", "echo ran >> effects");
    // As an upgrade goes: the old one lets its runs finish, then the new one starts.
    old.signal(rustix::process::Signal::TERM);
    edge_box.write("go", "");
    assert_eq!(old.ended().code(), Some(0));
    let new = edge_box.start();
    let run = edge_box.ended_run("it");
    assert_eq!((run.status.as_str(), run.output.as_str()), ("success", "done\n"));
    assert_eq!(new.beat_and_wait().count("flows_triggered"), 1, "and goes on with what is new");
    assert_eq!(edge_box.read("effects"), "ran\n");
    assert!(edge_box.is_sound());
}
