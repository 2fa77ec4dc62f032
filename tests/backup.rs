//! A copy of the database while the daemon writes, what it is good for, and damage that is named.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use std::fs;
use std::process::Command;
use support::{EdgeBox, until};

/// Runs the commands that docs/operations.md has below a heading, with its paths as they are here.
fn run_documented(edge_box: &EdgeBox, heading: &str) {
    let document = include_str!("../docs/operations.md");
    let section = document.split("\n## ").find(|section| section.starts_with(heading)).unwrap_or_default();
    let commands = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    let commands =
        commands.expect("the section has commands").replace("box/", "").replace("/mnt/stick", "stick");
    let heartbeatd = env!("CARGO_BIN_EXE_heartbeatd");
    let script = format!("heartbeatd() {{ '{heartbeatd}' --config heartbeatd.toml \"$@\"; }}\n{commands}");
    let ran = Command::new("sh").args(["-euc", &script]).current_dir(edge_box.path("")).output();
    let output = ran.expect("run sh");
    assert!(output.status.success(), "{commands}: {output:?}");
}

fn text(edge_box: &EdgeBox, name: &str) -> String {
    edge_box.path(name).to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn a_backup_made_while_the_daemon_writes_is_whole_and_can_be_restored() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let mut daemon = edge_box.start();
    let kept = support::heartbeat::Heartbeat::with_id("msg_kept");
    daemon.send(&kept.clone().wait(20));
    fs::create_dir(edge_box.path("stick")).expect("make a place for copies");
    edge_box.write("stick/heartbeat.db", "an older copy");
    until("some backups are made while it runs flows", || {
        daemon.beat();
        run_documented(&edge_box, "Backup");
        edge_box.runs().len() >= 3
    });
    assert!(!edge_box.path("stick/heartbeat.db.new").exists());

    daemon.kill();
    run_documented(&edge_box, "Restore");
    let daemon = edge_box.start();
    assert!(daemon.send(&kept).is_duplicate(), "what was known before the backup is known after it");
    assert!(edge_box.is_sound());
}

#[test]
fn a_backup_onto_the_database_itself_is_refused() {
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let (code, said) = edge_box.command(&["backup", &text(&edge_box, "heartbeat.db")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("the database itself"), "{said}");
    assert!(edge_box.is_sound());
}

#[test]
fn a_backup_that_cannot_be_written_leaves_the_one_before() {
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let (code, said) = edge_box.command(&["backup", &text(&edge_box, "nowhere/copy.db")]);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("error: ") && said.contains("help: "), "{said}");
}

#[test]
fn damage_is_named_by_check_and_by_backup_and_nothing_is_reset() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    daemon.stop();
    let (code, said) = edge_box.command(&["check", "--database"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("is whole"), "{said}");

    let file = edge_box.path("heartbeat.db");
    let mut bytes = fs::read(&file).expect("read the database");
    let root = edge_box.number("SELECT rootpage FROM sqlite_schema WHERE name = 'data_flow_runs'");
    // No page of a table begins so.
    bytes[(usize::try_from(root).expect("a page") - 1) * 4096] = 0x55;
    fs::write(&file, &bytes).expect("damage the database");
    for command in [vec!["check", "--database"], vec!["backup", &text(&edge_box, "copy.db")]] {
        let (code, said) = edge_box.command(&command);
        assert_eq!(code, Some(74), "{command:?}: {said}");
        assert!(said.contains("heartbeat.db") && said.contains("restore a backup"), "{said}");
    }
    assert!(!edge_box.path("copy.db").exists(), "half a copy is none");
    assert!(fs::read(&file).expect("read the database") == bytes, "nothing was changed");
}
