//! A copy of the database while the daemon writes, what it is good for, and damage that is named.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use support::guide::Guide;
use support::operator::Operator;
use support::wire::Answer;
use support::{EdgeBox, until};

/// Runs the commands that docs/operations.md has below a heading, with its paths as they are here.
fn run_documented(edge_box: &EdgeBox, heading: &str) {
    let guide = Guide::of("docs/operations.md");
    let commands = guide.blocks(heading, "sh")[0].replace("box/", "").replace("/mnt/stick", "stick");
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
    edge_box.write("stick/heartbeat.db", "");
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
    assert!(said.contains("the database itself") && said.contains("help: name a new file"), "{said}");
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
    let number = |sql| usize::try_from(edge_box.number(sql)).expect("a size");
    let root = number("SELECT rootpage FROM sqlite_schema WHERE name = 'data_flow_runs'");
    // No page of a table begins so.
    bytes[(root - 1) * number("SELECT page_size FROM pragma_page_size")] = 0x55;
    fs::write(&file, &bytes).expect("damage the database");
    for command in [vec!["check", "--database"], vec!["backup", &text(&edge_box, "copy.db")]] {
        let (code, said) = edge_box.command(&command);
        assert_eq!(code, Some(74), "{command:?}: {said}");
        assert!(said.contains("heartbeat.db") && said.contains("restore a backup"), "{said}");
    }
    assert!(!edge_box.path("copy.db").exists(), "half a copy is none");
    assert!(fs::read(&file).expect("read the database") == bytes, "nothing was changed");
}

fn asked(file: impl AsRef<Path>) -> String {
    serde_json::json!({ "file": file.as_ref() }).to_string()
}

fn back_up(operator: &mut Operator, file: impl AsRef<Path>) -> Answer {
    operator.ask_with("POST /backup", "", &asked(file))
}

fn until_begun(edge_box: &EdgeBox, file: &str) {
    let exists = |name: &str| edge_box.path(name).exists();
    until("the copy has begun", || exists(&format!("{file}.new")) || exists(file));
}

/// So many MiB that a copy has to take with it.
fn fill(edge_box: &EdgeBox, mebibytes: u32) {
    edge_box.edit(&format!(
        "CREATE TABLE ballast (it BLOB); WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count
           WHERE n < {mebibytes}) INSERT INTO ballast SELECT randomblob(1048576) FROM count;"
    ));
}

#[test]
fn the_daemon_makes_a_whole_copy_that_only_those_can_read_who_can_read_the_database() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    fs::set_permissions(edge_box.path("heartbeat.db"), fs::Permissions::from_mode(0o600)).expect("set it");
    let copy = edge_box.path("copy.db");
    let mut operator = Operator::of(&edge_box);
    assert_eq!(back_up(&mut operator, &copy).status, 200, "an older copy");
    let answer = back_up(&mut operator, &copy);
    let length = fs::metadata(&copy).expect("look at the copy").len();
    assert_eq!(answer.json(), serde_json::json!({"file": copy, "bytes": length}), "{answer:?}");
    assert_eq!(fs::metadata(&copy).expect("look at it").permissions().mode() & 0o777, 0o600);
    assert!(!edge_box.path("copy.db.new").exists());
    assert_eq!(operator.status()["phase"], "serving", "the connection goes on");
    daemon.until_logged("the database is copied");
    daemon.stop();
    fs::rename(copy, edge_box.path("heartbeat.db")).expect("put the copy in place");
    for rest in ["heartbeat.db-wal", "heartbeat.db-shm"] {
        let _none_after_a_clean_end = fs::remove_file(edge_box.path(rest));
    }
    let _daemon = edge_box.start();
    assert!(edge_box.is_sound());
    assert_eq!(edge_box.runs().len(), 1, "what was known before the copy is in it");
}

#[test]
fn heartbeats_are_answered_while_a_copy_is_made_and_a_second_one_is_refused() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    edge_box.start().stop();
    fill(&edge_box, 64);
    let daemon = edge_box.start();
    let (mut first, mut second) = (Operator::of(&edge_box), Operator::of(&edge_box));
    first.send("POST /backup", "", &asked(edge_box.path("first.db")));
    until_begun(&edge_box, "first.db");
    // As long as it is being written everybody else is served: otherwise these would be answered after it.
    let mut served = 0;
    while !edge_box.path("first.db").exists() {
        let refused = back_up(&mut second, edge_box.path("second.db"));
        if refused.status != 409 {
            break;
        }
        assert_eq!(refused.error(), "conflict");
        assert!(refused.json()["detail"].as_str().is_some_and(|it| it.contains("first.db")), "{refused:?}");
        assert_eq!(daemon.beat().status, 200);
        served += 1;
    }
    assert!(served > 0, "the copy was made in one step of the loop");
    assert!(first.read_until("}").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_caller_that_goes_away_changes_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    fill(&edge_box, 16);
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.send("POST /backup", "", &asked(edge_box.path("copy.db")));
    until_begun(&edge_box, "copy.db");
    drop(operator);
    daemon.until_logged("the database is copied");
    assert!(edge_box.path("copy.db").exists());
    assert_eq!(back_up(&mut Operator::of(&edge_box), edge_box.path("next.db")).status, 200);
}

#[test]
fn a_target_that_cannot_be_is_told_and_left_as_it_is() {
    let edge_box = EdgeBox::new();
    // Named as the half of a copy of `plain` would be.
    edge_box.configure("database = \"plain.new\"\n");
    let _daemon = edge_box.start();
    edge_box.write("file", "mine");
    let another = rusqlite::Connection::open(edge_box.path("others.db"));
    another.and_then(|it| it.execute_batch("CREATE TABLE it (x)")).expect("make another program's database");
    fs::hard_link(edge_box.path("plain.new"), edge_box.path("other-name")).expect("link it");
    symlink(edge_box.path("plain.new"), edge_box.path("link")).expect("link it");
    let mut operator = Operator::of(&edge_box);
    let others =
        ["plain.new-wal", "plain.new-shm", "plain.new-journal", "plain.new.lock", "plain.new.children"];
    let itself = ["plain.new", "plain", "other-name", "link", "flows/../plain.new"];
    for (names, words) in [
        (&itself[..], "the database itself"),
        (&others, "a file that belongs to it"),
        (&["nowhere/copy.db", "file/copy.db"], "cannot write the backup"),
        (&["flows", "heartbeatd.sock"], "no regular file"),
        (&["file", "secret", "heartbeatd.toml", "others.db"], "no copy of a heartbeatd's database"),
    ] {
        for name in names {
            let refused = back_up(&mut operator, edge_box.path(name));
            assert_eq!((refused.status, refused.error().as_str()), (409, "conflict"), "{name}: {refused:?}");
            let told = refused.json();
            let detail = told["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(words) && told["help"].is_string(), "{name}: {told}");
        }
    }
    for file in ["copy.db", "", "/folder/", "/with\0nul"] {
        assert_eq!(back_up(&mut operator, file).error(), "invalid_request", "{file:?}");
    }
    assert_eq!(edge_box.read("file"), "mine");
    assert!(!edge_box.path("plain.new-journal").exists());
    assert_eq!(operator.status()["phase"], "serving");
    assert!(operator.status()["degraded"].is_null());
}

#[test]
fn a_daemon_that_ends_cuts_a_copy_short_and_says_so() {
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    fill(&edge_box, 64);
    let mut daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.send("POST /backup", "", &asked(edge_box.path("copy.db")));
    until_begun(&edge_box, "copy.db");
    daemon.signal(Signal::TERM);
    let told = operator.read_until("}");
    assert_eq!(daemon.ended().code(), Some(0));
    // It may have been done just then.
    if edge_box.path("copy.db").exists() {
        assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    } else {
        assert!(told.starts_with("HTTP/1.1 503") && told.contains("shutting_down"), "{told}");
    }
    assert!(!edge_box.path("copy.db.new").exists(), "nothing is left of it");
    let _daemon = edge_box.start();
    assert!(edge_box.is_sound());
    assert_eq!(back_up(&mut Operator::of(&edge_box), edge_box.path("copy.db")).status, 200);
}
