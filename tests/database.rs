//! The database, the port and the flow files that a daemon finds at its start, and others who use the database too.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::{can_run, run_through};
use support::wire::Answer;
use support::{EdgeBox, until};

/// What a daemon says that does not start, and its exit code.
fn refused(edge_box: &EdgeBox) -> (i32, String) {
    let (code, said) = Daemon::refused(edge_box, |_| {});
    assert!(said.contains("error: ") && said.contains("help: "), "{said}");
    (code.unwrap(), said)
}

/// A refusal that names the database and leaves its bytes alone.
fn refused_untouched(edge_box: &EdgeBox) -> (i32, String) {
    let file = edge_box.path("heartbeat.db");
    let before = fs::read(&file).unwrap();
    let (code, said) = refused(edge_box);
    assert!(said.contains(file.to_str().unwrap()), "{said}");
    assert!(fs::read(&file).unwrap() == before, "nothing was changed");
    (code, said)
}

fn box_with_a_database() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    edge_box.start().stop();
    edge_box
}

/// SQLite before 3.42 takes `json_valid(NULL)` for false.
#[test]
fn the_system_s_own_sqlite3_finds_a_database_sound() {
    if !can_run("sqlite3", &["-version"]) {
        return;
    }
    let edge_box = box_with_a_database();
    assert_eq!(edge_box.start().beat_and_wait().count("flows_triggered"), 1);
    let file = edge_box.path("heartbeat.db");
    let judged = Command::new("sqlite3").arg(file).arg("PRAGMA integrity_check").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&judged.stdout), "ok\n", "{judged:?}");
}

#[test]
fn a_second_daemon_on_a_database_is_refused_and_the_first_goes_on() {
    let edge_box = box_with_a_database();
    let daemon = edge_box.start();
    let (code, said) = refused(&edge_box);
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("another process owns it") && said.contains("heartbeat.db"), "{said}");
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
}

#[test]
fn a_database_of_a_later_version_is_refused_and_not_touched() {
    let edge_box = box_with_a_database();
    edge_box.edit("PRAGMA user_version = 999");
    let (code, said) = refused_untouched(&edge_box);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("999"), "{said}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let edge_box = EdgeBox::new();
    edge_box.write("heartbeat.db", "this is a letter to somebody\n".repeat(500));
    let (code, said) = refused_untouched(&edge_box);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("not a database"), "{said}");
}

#[test]
fn a_damaged_database_is_refused_and_not_touched() {
    let edge_box = box_with_a_database();
    let file = edge_box.path("heartbeat.db");
    let mut bytes = fs::read(&file).unwrap();
    // The pages after the first: every table's root among them.
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xa5);
    fs::write(&file, bytes).unwrap();
    let (code, said) = refused_untouched(&edge_box);
    assert_eq!(code, 74, "{said}");
    assert!(said.contains("malformed") && said.contains("restore a backup"), "{said}");
}

#[test]
fn another_program_s_database_is_refused_and_not_touched() {
    let edge_box = EdgeBox::new();
    let other = Connection::open(edge_box.path("heartbeat.db")).unwrap();
    other.execute_batch("CREATE TABLE letters (id INTEGER PRIMARY KEY, text TEXT)").unwrap();
    drop(other);
    let (code, said) = refused_untouched(&edge_box);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("another program's database"), "{said}");
}

#[test]
fn a_folder_in_the_database_s_place_is_refused() {
    let edge_box = EdgeBox::new();
    fs::create_dir(edge_box.path("heartbeat.db")).unwrap();
    let (code, said) = refused(&edge_box);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("heartbeat.db") && said.contains("folder"), "{said}");
}

/// Each part of a box that its user needs, when it is root's.
#[test]
fn what_of_a_database_is_another_user_s_is_named_with_its_owner() {
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can_run("setpriv", &[&as_nobody[..], &["true"]].concat()) {
        return;
    }
    for (part, mode) in
        [("heartbeat.db", 0o600), ("heartbeat.db", 0o644), ("heartbeat.db.lock", 0o600), ("", 0o755)]
    {
        let edge_box = box_with_a_database();
        let chown = |owner: &str, path| Command::new("chown").args(["-R", owner]).arg(path).status().unwrap();
        assert!(chown("65534", edge_box.path("")).success());
        match part {
            // The folder alone.
            "" => std::os::unix::fs::chown(edge_box.path(""), Some(0), Some(0)).unwrap(),
            _ => assert!(chown("0", edge_box.path(part)).success()),
        }
        edge_box.set_mode(part, mode);
        let closed = edge_box.path(part).display().to_string();
        let expected = format!(
            "cannot open the database: {}: this user may not write to it: it belongs to uid 0, with mode {mode:04o}",
            closed.trim_end_matches('/')
        );
        let (code, said) = Daemon::refused(&edge_box, |command| run_through(command, "setpriv", &as_nobody));
        assert!(code == Some(74) && said.contains(&expected) && said.contains("`sudo "), "{said}");
        if (part, mode) == ("heartbeat.db", 0o600) {
            let mut check = Command::new(env!("CARGO_BIN_EXE_heartbeatd"));
            check.args(["check", "--database", "--config"]).arg(edge_box.path("heartbeatd.toml"));
            run_through(&mut check, "setpriv", &as_nobody);
            let told = check.output().unwrap();
            let said = String::from_utf8_lossy(&told.stderr).into_owned();
            assert!(told.status.code() == Some(74) && said.contains(&expected), "{said}");
            let (code, said) = edge_box.command(&["check", "--database"]);
            assert!(code == Some(0) && said.contains("is another user's than its folder"), "{said}");
        }
    }
}

#[test]
fn a_port_in_use_is_refused_by_its_address() {
    let edge_box = EdgeBox::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    edge_box.write("heartbeatd.toml", format!("listen = [\"{address}\"]\n"));
    let (code, said) = refused(&edge_box);
    assert_eq!(code, 74, "{said}");
    assert!(said.contains(&address.to_string()), "{said}");
}

#[test]
fn every_fault_of_the_configuration_is_told_at_once_by_file_line_and_key() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurent_runs = 2\nshutdown_timeout = \"soon\"\n[limits]\nbody = -1\n");
    let (code, said) = refused(&edge_box);
    assert_eq!(code, 78, "{said}");
    let file = edge_box.path("heartbeatd.toml");
    for (line, key) in [(2, "max_concurent_runs"), (3, "shutdown_timeout"), (5, "body")] {
        let place = format!("{}:{line}", file.display());
        assert!(
            said.lines().any(|text| text.contains(&place) && text.contains(key)),
            "{place} {key}: {said}"
        );
    }
    assert!(said.contains("max_concurrent_runs"), "a suggestion: {said}");
}

#[test]
fn a_flow_whose_file_broke_goes_on_with_its_last_good_definition() {
    let edge_box = EdgeBox::new();
    edge_box.script("good", "", "echo good");
    edge_box.script("broken", "", "echo as before");
    edge_box.start().stop();
    edge_box.flow("broken", "timeout = \"soon\"\n[command]\nargv = [\"false\"]\n");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 2);
    assert_eq!(edge_box.ended_run("broken").output, "as before\n");
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("ERROR")).unwrap();
    assert!(line.contains("flows/broken.toml:2") && line.contains("timeout"), "{log}");
}

#[test]
fn a_new_flow_whose_file_is_broken_is_left_out_and_the_others_run() {
    let edge_box = EdgeBox::new();
    edge_box.script("good", "", "echo good");
    edge_box.write("flows/broken.toml", "run_interval = \"1h\n");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    assert!(daemon.log().contains("flows/broken.toml:1"), "{}", daemon.log());
}

#[test]
fn a_flow_whose_file_is_gone_is_disabled_and_keeps_its_history() {
    let edge_box = box_with_a_database();
    edge_box.start().beat_and_wait();
    fs::remove_file(edge_box.path("flows/it.toml")).unwrap();
    edge_box.edit("UPDATE data_flows SET next_run_at = 1");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_due"), 0);
    assert_eq!(edge_box.runs().len(), 1);
    assert!(daemon.log().contains("file is gone"), "{}", daemon.log());
}

#[test]
fn without_the_flows_folder_every_flow_goes_on_and_the_folder_is_named() {
    let edge_box = box_with_a_database();
    fs::remove_dir_all(edge_box.path("flows")).unwrap();
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    let log = daemon.log();
    let folder = format!(
        "the flows folder cannot be read, all flows go on as they are: {}",
        edge_box.path("flows").display()
    );
    assert!(log.contains(&folder) && log.contains("make the folder"), "{log}");
}

#[test]
fn readers_may_look_at_any_time_and_hold_up_nothing() {
    let edge_box = box_with_a_database();
    edge_box.script("other", "", "true");
    let daemon = edge_box.start();
    let reader = edge_box.database();
    reader.execute_batch("BEGIN").unwrap();
    let runs = || reader.query_row("SELECT count(*) FROM data_flow_runs", [], |row| row.get::<_, i64>(0));
    assert_eq!(runs(), Ok(0));
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 2);
    assert_eq!(runs(), Ok(0), "its snapshot stays");
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(runs(), Ok(2));
    assert!(edge_box.is_sound());
}

#[test]
fn while_another_program_holds_the_database_callers_are_told_and_then_it_goes_on_by_itself() {
    let edge_box = EdgeBox::new();
    edge_box.script("first", "", "while [ ! -e go ]; do sleep 0.02; done");
    let daemon = edge_box.start();
    daemon.beat();
    let other = Connection::open(edge_box.path("heartbeat.db")).unwrap();
    other.busy_timeout(support::PATIENCE).unwrap();
    other.execute_batch("UPDATE data_flows SET next_run_at = 1; BEGIN IMMEDIATE").unwrap();

    edge_box.write("go", "");
    let is_busy = |answer: &Answer| answer.status == 503 && answer.error() == "storage_unavailable";
    daemon.until_logged("database is locked");
    let answer = daemon.exchange("GET /readyz HTTP/1.1\r\nHost: box\r\n\r\n");
    assert!(answer.status == 503 && answer.json()["error"] == "storage_unavailable", "{answer:?}");
    assert!(answer.field("Retry-After").is_some(), "{answer:?}");
    assert_eq!(daemon.exchange("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n").status, 200);
    assert!(!is_busy(&daemon.beat()), "nothing is claimed while the flow's run is open: nothing is written");

    other.execute_batch("COMMIT").unwrap();
    assert_eq!(edge_box.ended_run("first").status, "success", "its end was kept, and is recorded later");
    until("it is ready again", || daemon.exchange("GET /readyz HTTP/1.1\r\nHost: box\r\n\r\n").status == 200);
}

/// The `sqlite3` shell on the database, in the middle of a transaction; its end ends that.
struct Shell(Child);

impl Shell {
    fn holding(edge_box: &EdgeBox, sql: &str) -> Self {
        let mut shell = Command::new("sqlite3");
        shell.arg("-bail").arg(edge_box.path("heartbeat.db"));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = shell.stdin.take().unwrap();
        writeln!(input, ".timeout 60000\n{sql};\nSELECT 'it holds it';").unwrap();
        shell.stdin = Some(input);
        let said = BufReader::new(shell.stdout.take().unwrap());
        assert!(said.lines().any(|line| line.unwrap() == "it holds it"), "{sql}");
        Self(shell)
    }

    /// As somebody does who closes the terminal.
    fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_sqlite3_shell_that_is_left_in_a_read_holds_up_nothing_and_one_in_a_write_only_until_it_ends() {
    if !can_run("sqlite3", &["-version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "echo $HEARTBEAT_RUN_ID >> effects");
    edge_box.script("slow", "", "while [ ! -e go ]; do sleep 0.02; done");
    let daemon = edge_box.start();
    daemon.beat();
    let mut named: Vec<i64> = Vec::new();
    let mut beat = |status: u16| {
        until(&format!("an answer {status} to a heartbeat with something due"), || {
            let answer = daemon.beat();
            assert!([200, 503].contains(&answer.status), "{answer:?}");
            let runs = if answer.status == 200 { answer.run_ids() } else { Vec::new() };
            named.extend(&runs);
            answer.status == status && (status == 503 || !runs.is_empty())
        });
    };

    let shell = Shell::holding(&edge_box, "BEGIN; SELECT count(*) FROM data_flow_runs");
    (0..3).for_each(|_| beat(200));
    assert_eq!(daemon.get("/readyz").status, 200);
    shell.end();

    for sql in ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE; DELETE FROM data_flow_runs"] {
        let shell = Shell::holding(&edge_box, sql);
        beat(503);
        edge_box.write("go", "");
        assert_eq!(daemon.get("/healthz").status, 200);
        until("it is told", || daemon.get("/readyz").status == 503);
        shell.end();
        until("it is ready again", || daemon.get("/readyz").status == 200);
        beat(200);
    }
    assert_eq!(edge_box.ended_run("slow").status, "success", "its end was kept");
    until("all runs are over", || !edge_box.has_open_runs());
    let runs = edge_box.runs();
    assert!(named.iter().all(|id| runs.iter().any(|run| run.id == *id)), "{named:?} of {runs:?}");
    let effects = edge_box.read("effects");
    let of_it = runs.iter().filter(|run| run.flow == "it" && run.status == "success").count();
    assert_eq!(effects.lines().count(), of_it, "each run once: {runs:?}");
    assert!(edge_box.is_sound());
}

#[test]
fn a_heartbeat_that_cannot_be_recorded_gets_503_and_starts_nothing() {
    let edge_box = box_with_a_database();
    let daemon = edge_box.start();
    let other = Connection::open(edge_box.path("heartbeat.db")).unwrap();
    other.busy_timeout(support::PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = daemon.beat();
    assert_eq!((answer.status, answer.error().as_str()), (503, "storage_unavailable"));
    assert!(answer.field("Retry-After").is_some());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(edge_box.runs().len(), 0);
    support::eventually("it is recorded", || {
        let answer = daemon.beat();
        (answer.status == 200).then(|| assert_eq!(answer.count("flows_triggered"), 1))
    });
}

#[test]
fn a_503_to_a_caller_behind_a_trusted_proxy_is_logged_under_the_caller() {
    let edge_box = box_with_a_database();
    edge_box.configure("trusted_proxies = [\"127.0.0.1\"]\nwhitelisted_ips = [\"10.1.2.3\"]\n");
    let daemon = edge_box.start();
    let other = Connection::open(edge_box.path("heartbeat.db")).unwrap();
    other.busy_timeout(support::PATIENCE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let answer = daemon.send(&Heartbeat::new().field("X-Forwarded-For: 10.1.2.3"));
    assert_eq!(answer.status, 503);
    let log = daemon.log();
    assert!(log.contains("client=10.1.2.3 error=storage_unavailable"), "{log}");
}

#[test]
fn a_heartbeat_with_nothing_due_writes_no_byte() {
    let edge_box = box_with_a_database();
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    // What an agent's last heartbeat may write once an hour is written with the first.
    daemon.beat();
    let files = || {
        let of = |name: &str| {
            let file = fs::metadata(edge_box.path(name)).ok()?;
            Some((file.len(), file.mtime(), file.mtime_nsec()))
        };
        ["heartbeat.db", "heartbeat.db-wal"].map(of)
    };
    // Only root may read it: the daemon lets no other process look into it.
    let written = || {
        let io = fs::read_to_string(format!("/proc/{}/io", daemon.pid())).ok()?;
        io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse::<u64>().ok())
    };
    let before = (files(), written());
    for _ in 0..50 {
        assert_eq!(daemon.beat().count("flows_due"), 0);
    }
    assert_eq!((files(), written()), before);
}
