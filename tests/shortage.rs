//! Limits of the system that the daemon meets while it works: descriptors and memory that are gone and come back, programs
//! that cannot be executed.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fs::{self, OpenOptions};
use std::process::Command;
use support::daemon::Daemon;
use support::tools::{can_inject, can_run, inject};
use support::{EdgeBox, until};

const LINES: u32 = 2_000;

/// A command and two pipelines that run every second.
fn busy_box() -> EdgeBox {
    let edge_box = EdgeBox::new();
    let lines: String = (0..LINES).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    edge_box.write("in.jsonl", lines);
    edge_box.script("command", "run_interval = \"1s\"", "echo $HEARTBEAT_RUN_ID >> effects");
    let source = "run_interval = \"1s\"\n[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[batch]\nrecords = 100\n[sink]\n";
    let sqlite =
        "type = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\nmode = \"insert\"\ncreate = true\n";
    edge_box.flow("to-sqlite", &format!("{source}{sqlite}"));
    edge_box.flow("to-file", &format!("{source}type = \"file\"\npath = \"DIR/out.jsonl\"\n"));
    edge_box
}

/// Sets a soft limit of a daemon that runs.
fn limit(daemon: &Daemon, what: &str) {
    let limited = Command::new("prlimit").args(["--pid", &daemon.pid().to_string(), what]).status();
    assert!(limited.expect("run prlimit").success(), "{what}");
}

/// What was named is there and over, and what moved is there once.
fn nothing_is_lost_or_doubled(edge_box: &EdgeBox, named: &[i64]) {
    until("all runs are over", || !edge_box.has_open_runs());
    let runs = edge_box.runs();
    let lost: Vec<&i64> = named.iter().filter(|id| !runs.iter().any(|run| run.id == **id)).collect();
    assert!(lost.is_empty(), "runs {lost:?} were named and are lost");
    edge_box.each_had_its_effect_once_at_most();
    let database = Connection::open(edge_box.path("out.db")).expect("open it");
    let found: (u32, u32) = database
        .query_row("SELECT count(*), count(DISTINCT n) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("ask it");
    assert_eq!(found, (LINES, LINES));
    assert_eq!(edge_box.read("out.jsonl"), edge_box.read("in.jsonl"));
    assert!(edge_box.is_sound());
}

fn all_have_run_well(edge_box: &EdgeBox, daemon: &Daemon, named: &mut Vec<i64>) {
    let since = edge_box.runs().len();
    until("each flow has run well again", || {
        if let Ok(answer) = daemon.try_beat()
            && answer.status == 200
        {
            named.extend(answer.run_ids());
        }
        let runs = edge_box.runs();
        let is_well =
            |flow: &str| runs.iter().skip(since).any(|run| run.flow == flow && run.status == "success");
        ["command", "to-sqlite", "to-file"].into_iter().all(is_well)
    });
}

#[test]
fn descriptors_that_run_out_under_load_fail_single_runs_with_the_reason_and_lose_nothing() {
    if !can_run("prlimit", &["--version"]) {
        return;
    }
    let edge_box = busy_box();
    let daemon = edge_box.start();
    let mut named = Vec::new();
    for spare in [1, 3, 5, 7, 9] {
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("look at it").count();
        let failed_before = edge_box.runs().len();
        let mut wire = daemon.connect();
        wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
        limit(&daemon, &format!("--nofile={}:", open + spare));
        // Callers that find no room wait in the listener's queue, and are served in the end.
        let waiting: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
        let heartbeat = support::heartbeat::Heartbeat::new().wait(5);
        wire.send(heartbeat.to_bytes(&edge_box.secret));
        let answer = wire.answer();
        if answer.status == 200 {
            named.extend(answer.run_ids());
        }
        limit(&daemon, "--nofile=1024:");
        for mut wire in waiting {
            wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n");
            assert_eq!(wire.answer().status, 200);
        }
        for run in edge_box.runs().iter().skip(failed_before).filter(|run| run.status == "failed") {
            let kind = run.error_kind.as_deref().unwrap_or_default();
            assert!(["spawn", "source", "sink", "transform"].contains(&kind), "{run:?}");
        }
        all_have_run_well(&edge_box, &daemon, &mut named);
    }
    nothing_is_lost_or_doubled(&edge_box, &named);
}

#[test]
fn a_daemon_that_gets_no_more_memory_goes_on_or_ends_and_the_next_one_loses_nothing() {
    if !can_run("prlimit", &["--version"]) {
        return;
    }
    let edge_box = busy_box();
    let mut named = Vec::new();
    for spare_kib in [0, 64, 256, 1024, 4096] {
        let mut daemon = edge_box.start();
        limit(&daemon, &format!("--as={}:", (daemon.proc_status("VmSize") + spare_kib) * 1024));
        for _ in 0..3 {
            if let Ok(answer) = daemon.try_beat()
                && answer.status == 200
            {
                named.extend(answer.run_ids());
            }
            // One that has nothing to record an end with says so, and records it once there is memory again.
            until("what started is over, or the daemon, or it waits", || {
                !edge_box.has_open_runs() || !daemon.lives() || daemon.log().contains("out of memory")
            });
        }
        if daemon.lives() {
            limit(&daemon, "--as=unlimited:");
            all_have_run_well(&edge_box, &daemon, &mut named);
            assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
        } else {
            let (status, log) = (daemon.ended(), daemon.log());
            // What the allocator ends with, and what a failure of the disk's or the system's ends with.
            let is_told = log.contains("memory allocation of") || status.code() == Some(74);
            assert!(is_told, "{status}: {log}");
        }
    }
    let daemon = edge_box.start();
    all_have_run_well(&edge_box, &daemon, &mut named);
    nothing_is_lost_or_doubled(&edge_box, &named);
}

#[test]
fn a_program_that_the_system_does_not_execute_fails_one_run_and_the_reason_is_told() {
    let edge_box = EdgeBox::new();
    edge_box.write("garbage", b"\x7fELF and then nothing of the kind");
    edge_box.write("written", fs::read("/bin/true").expect("read a program"));
    edge_box.write("bare", b"echo hello\n");
    edge_box.write("windows", b"#!/bin/sh\r\necho hello\r\n");
    for program in ["garbage", "written", "bare", "windows"] {
        edge_box.set_mode(program, 0o755);
        edge_box.flow(program, &format!("[command]\nargv = [\"DIR/{program}\"]\n"));
    }
    edge_box.flow("folder", "[command]\nargv = [\"DIR/flows\"]\n");
    edge_box.script("sound", "", "true");
    // Whoever writes to a program keeps it from being executed.
    let _writer = OpenOptions::new().append(true).open(edge_box.path("written")).expect("open it");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let told = [
        ("garbage", "Exec format error"),
        ("written", "Text file busy"),
        ("folder", "Permission denied"),
        ("bare", "nor a script that begins with #!"),
        ("windows", "or ends that line with \\r\\n"),
    ];
    for (flow, words) in told {
        let run = edge_box.ended_run(flow);
        let message = run.error_message.clone().unwrap_or_default();
        assert!(run.error_kind.as_deref() == Some("spawn") && message.contains(words), "{run:?}");
    }
    assert_eq!(edge_box.ended_run("sound").status, "success");
    assert_eq!(edge_box.runs().len(), 6, "one run each");
}

#[test]
fn out_of_descriptors_a_pipeline_fails_with_its_source_and_goes_on_where_it_was() {
    if !can_run("prlimit", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    let text = "run_interval = \"1s\"\n[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[sink]\ntype = \"file\"\npath = \"DIR/out.jsonl\"\n";
    edge_box.flow("it", text);
    edge_box.write("in.jsonl", "{\"n\":1}\n");
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    let mut beat = || {
        wire.send(support::heartbeat::Heartbeat::new().wait(5).to_bytes(&edge_box.secret));
        wire.answer()
    };
    assert_eq!((beat().status, edge_box.ended_run("it").status.as_str()), (200, "success"));
    edge_box.write("in.jsonl", "{\"n\":1}\n{\"n\":2}\n");
    let open = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("look at it").count();
    // Its sink is opened first. How many the daemon itself opens on the way is not what this is about.
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|last| last == "sink") {
        limit(&daemon, &format!("--nofile={}:", open + kinds.len()));
        until("it is due again", || beat().count("flows_triggered") == 1);
        let failed = edge_box.ended_run("it");
        let message = failed.error_message.clone().unwrap_or_default();
        assert!(message.contains("Too many open files"), "{failed:?}");
        kinds.extend(failed.error_kind);
    }
    assert!(kinds.len() > 1 && kinds.last().is_some_and(|last| last == "source"), "{kinds:?}");
    assert_eq!(edge_box.read("out.jsonl"), "{\"n\":1}\n");
    limit(&daemon, "--nofile=1024:");
    until("it runs again", || {
        beat();
        edge_box.ended_run("it").status == "success"
    });
    assert_eq!(edge_box.read("out.jsonl"), edge_box.read("in.jsonl"));
}

#[test]
fn a_process_that_the_system_does_not_make_is_one_failed_run_with_the_reason() {
    if !can_inject() {
        return;
    }
    for (error, words) in
        [("EAGAIN", "Resource temporarily unavailable"), ("ENOMEM", "Cannot allocate memory")]
    {
        let edge_box = EdgeBox::new();
        edge_box.script("it", "run_interval = \"1s\"", "echo ran >> effects");
        let daemon = Daemon::start(&edge_box, |command| {
            command.arg("--dumpable");
        });
        let mut tracer = inject(&edge_box, &daemon, "clone,clone3,vfork,fork", &format!("error={error}"));
        daemon.beat();
        let run = edge_box.ended_run("it");
        let message = run.error_message.clone().unwrap_or_default();
        assert!(run.error_kind.as_deref() == Some("spawn") && message.contains(words), "{run:?}");
        assert_eq!((edge_box.runs().len(), edge_box.read("effects").as_str()), (1, ""));
        tracer.kill().expect("let it start processes again");
        tracer.wait().expect("reap strace");
        until("it runs again", || {
            daemon.beat_and_wait();
            !edge_box.read("effects").is_empty()
        });
    }
}
