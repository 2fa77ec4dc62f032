//! A disk that is full, and one that fails: real ones, as far as a file system of limited size and failing system calls
//! are.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use support::daemon::Daemon;
use support::disk::{can_mount, remount, start_on_a_small_disk};
use support::operator::Operator;
use support::tools::{can_inject, inject, run_through};
use support::{EdgeBox, eventually, until};

fn fill(disk: &std::path::Path) -> PathBuf {
    let path = disk.join("filler");
    let mut file = File::create(&path).expect("make the filler");
    while file.write_all(&[0; 512]).is_ok() {}
    path
}

#[test]
fn on_a_full_disk_callers_are_told_ends_are_kept_and_then_it_goes_on_by_itself() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("first", "", "while [ ! -e go ]; do sleep 0.02; done; echo done");
    edge_box.script("second", "run_interval = \"1s\"", "true");
    let (daemon, disk) = start_on_a_small_disk(&edge_box, "true");
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    until("the second run has ended", || daemon.log().contains("run ended"));

    let filler = fill(&disk);
    let refused = eventually("a heartbeat with something due", || {
        let answer = daemon.beat();
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, refused.error().as_str()), (503, "storage_full"), "{refused:?}");
    assert!(refused.field("Retry-After").is_some(), "{refused:?}");
    edge_box.write("go", "");
    let readiness = daemon.get("/readyz");
    assert_eq!((readiness.status, readiness.error().as_str()), (503, "storage_full"), "{readiness:?}");
    assert_eq!(daemon.get("/healthz").status, 200);
    // It tries again, and does not believe a try that wrote nothing.
    let tries = |log: String| log.matches("help: free some space").count();
    let before = tries(daemon.log());
    until("it tried twice more", || tries(daemon.log()) >= before + 2);
    assert_eq!(daemon.get("/readyz").status, 503);
    assert_eq!(
        daemon.log().matches("run ended").count(),
        1,
        "nothing is told that is not on record: {}",
        daemon.log()
    );

    fs::remove_file(filler).expect("make room");
    until("it is ready again", || daemon.get("/readyz").status == 200);
    until("the end is on record", || daemon.log().matches("run ended").count() == 2);
    assert_eq!(daemon.beat_and_wait().status, 200);
}

#[test]
fn on_a_slow_disk_what_happens_during_a_sync_shares_the_next_one() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 40\n");
    for number in 0..40 {
        edge_box.script(&format!("flow-{number}"), "", "true");
    }
    let mut daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    let mut tracer = inject(&edge_box, &daemon, "fdatasync,fsync", "delay_enter=150000");
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 40);
    let syncs = edge_box.read("trace").lines().filter(|line| line.contains("sync(")).count();
    assert!((2..=20).contains(&syncs), "40 starts and 40 ends took {syncs} syncs");
    daemon.stop();
    let _ends_with_what_it_traces = tracer.wait();
}

#[test]
fn a_sync_that_fails_ends_the_daemon_without_an_answer_and_the_next_one_starts_clean() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    let mut tracer = inject(&edge_box, &daemon, "fdatasync,fsync", "error=EIO:when=1");
    let answer = daemon.try_beat();
    assert!(answer.is_err(), "a failed sync is no answer: {answer:?}");
    assert_eq!(daemon.ended().code(), Some(74), "{}", daemon.log());
    assert!(daemon.log().contains("the disk failed to keep what was written"), "{}", daemon.log());
    let _ends_with_what_it_traces = tracer.wait();
    // The database is closed: what had been synced before moves from its log into it, and nothing of what had not.
    assert_eq!(edge_box.runs(), [], "a later sync is not believed: {}", edge_box.read("trace"));

    let daemon = edge_box.start();
    assert!(edge_box.is_sound());
    daemon.beat_and_wait();
    assert_eq!(edge_box.ended_run("it").status, "success");
    assert_eq!(edge_box.runs().len(), 1, "and it ran once");
}

#[test]
fn on_a_full_disk_an_order_is_refused_and_the_state_is_told() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let (_daemon, disk) = start_on_a_small_disk(&edge_box, "true");
    let mut operator = Operator::of(&edge_box);
    let filler = fill(&disk);
    // The log's pages that are there already are written over first.
    let mut held = false;
    let refused = eventually("an order that cannot be recorded", || {
        held = !held;
        let answer = operator.patch("it", held);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((refused.status, refused.error().as_str()), (503, "storage_full"), "{refused:?}");
    let status = operator.status();
    assert!(status["degraded"].as_str().is_some_and(|why| why.contains("full")), "{status}");
    let (code, said) = edge_box.command(&["--quiet", "status", "--ready"]);
    assert!(
        code == Some(75) && said.contains("it takes no heartbeats now: ") && said.contains("full"),
        "{said}"
    );
    assert_eq!(operator.json("GET /flows/it")["held"], !held, "what was refused did not happen");
    fs::remove_file(filler).expect("make room");
    until("it can be recorded again", || operator.patch("it", held).status == 200);
    until("the state is well", || operator.status()["degraded"].is_null());
    assert_eq!(edge_box.command(&["--quiet", "status", "--ready"]), (Some(0), String::new()));
}

#[test]
fn a_disk_that_turns_read_only_is_told_and_ends_are_recorded_when_it_can_be_written_again() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("first", "", "while [ ! -e go ]; do sleep 0.02; done");
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
    let mut tracer = inject(&edge_box, &daemon, "pwrite64", "error=EROFS");
    edge_box.write("go", "");
    until("it is told", || daemon.get("/readyz").status == 503);
    assert_eq!(daemon.get("/readyz").error(), "storage_unavailable");
    assert_eq!(daemon.get("/healthz").status, 200);
    assert!(!daemon.log().contains("run ended"), "{}", daemon.log());

    tracer.kill().expect("let it write again");
    tracer.wait().expect("reap strace");
    until("it goes on by itself", || daemon.get("/readyz").status == 200);
    assert_eq!(edge_box.ended_run("first").status, "success");
}

#[test]
fn sinks_whose_disk_is_full_fail_their_runs_and_go_on_where_they_were_when_there_is_room() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    let lines: String = (0..30_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    edge_box.write("in.jsonl", &lines);
    let source = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[batch]\nrecords = 1000\n[sink]\n";
    let sqlite = "type = \"sqlite\"\ndatabase = \"DIR/disk/out.db\"\ntable = \"t\"\nmode = \"insert\"\ncreate = true\n";
    edge_box.flow("to-sqlite", &format!("{source}{sqlite}"));
    edge_box.flow("to-file", &format!("{source}type = \"file\"\npath = \"DIR/disk/out.jsonl\"\n"));
    let disk = edge_box.path("disk");
    fs::create_dir_all(&disk).expect("make the mount point");
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
        let script = "mount -t tmpfs -o size=300k tmpfs \"$0\" && exec \"$@\"";
        run_through(
            command,
            "unshare",
            &["-rm", "sh", "-c", script, disk.to_str().expect("a path in UTF-8")],
        );
    });
    daemon.beat_and_wait();
    for flow in ["to-sqlite", "to-file"] {
        let run = edge_box.ended_run(flow);
        let message = run.error_message.clone().unwrap_or_default();
        assert!(
            run.error_kind.as_deref() == Some("sink") && message.contains("full")
                || message.contains("No space left"),
            "{run:?}"
        );
    }
    assert_eq!(daemon.get("/readyz").status, 200, "it is not our own disk");

    remount(&edge_box, &daemon, "size=16m");
    for flow in ["to-sqlite", "to-file"] {
        let (code, said) = edge_box.command(&["flow", "run", flow, "--wait"]);
        assert_eq!(code, Some(0), "{said}");
    }
    let inside = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), disk.display()));
    assert!(
        fs::read_to_string(inside.join("out.jsonl")).expect("read it") == lines,
        "each line is there once"
    );
    // A path through proc(5) is another one to SQLite.
    fs::copy(inside.join("out.db"), edge_box.path("copy.db")).expect("copy it");
    let database = rusqlite::Connection::open(edge_box.path("copy.db")).expect("open it");
    let found: (u32, u32) = database
        .query_row("SELECT count(*), count(DISTINCT n) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("ask it");
    assert_eq!(found, (30_000, 30_000));
}
