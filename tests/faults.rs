//! Faults that are not of one part: an end at any system call, a torn log, a daemon that was stopped for a while.

mod support;

use rustix::process::Signal;
use std::fs;
use std::time::{Duration, Instant};
use support::daemon::Daemon;
use support::tools::{can_inject, inject};
use support::{EdgeBox, until};

/// System calls that change something, or tell somebody: between any two of them the daemon may end.
const CALLS: &str = "write,pwrite64,sendto,fdatasync,fsync,ftruncate,clone3,vfork,clone,execve";
/// More than a heartbeat, its run and its end take.
const CALLS_MAX: u32 = 40;

/// Waits until every run has ended, or the daemon: whether it still lives then.
fn all_ended_or_gone(edge_box: &EdgeBox, daemon: &mut Daemon) -> bool {
    let open = "SELECT count(*) FROM data_flow_runs WHERE ended_at IS NULL";
    until("the runs have ended, or the daemon", || edge_box.number(open) == 0 || !daemon.lives());
    daemon.lives()
}

#[test]
fn killed_at_any_system_call_the_daemon_loses_no_run_that_it_named_and_runs_each_once() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1h\"", "echo $HEARTBEAT_RUN_ID >> effects");
    edge_box.start().stop();
    let mut named = Vec::new();
    let mut survived = false;
    for call in 1..=CALLS_MAX {
        edge_box.edit("UPDATE data_flows SET next_run_at = 1");
        let mut daemon = Daemon::start(&edge_box, |command| {
            command.arg("--dumpable");
        });
        let mut tracer = inject(&edge_box, &daemon, CALLS, &format!("signal=KILL:when={call}"));
        if let Ok(answer) = daemon.try_beat() {
            named.extend(answer.run_ids());
            survived = all_ended_or_gone(&edge_box, &mut daemon);
        }
        daemon.kill();
        let _ends_with_what_it_traces = tracer.wait();
        let on_record: Vec<i64> = edge_box.runs().iter().map(|run| run.id).collect();
        let lost: Vec<&i64> = named.iter().filter(|run| !on_record.contains(run)).collect();
        assert!(lost.is_empty(), "killed at call {call}: runs {lost:?} were named and are lost");
        assert!(edge_box.is_sound(), "killed at call {call}");
        if survived {
            break;
        }
    }
    assert!(survived, "the last rounds are past the last call");
    let mut daemon = edge_box.start();
    until("what is pending runs to its end", || {
        edge_box.number("SELECT count(*) FROM data_flow_runs WHERE ended_at IS NULL") == 0
    });
    daemon.stop();
    edge_box.each_had_its_effect_once_at_most();
    assert!(named.len() > 5, "{named:?}");
}

#[test]
fn a_log_with_a_torn_end_is_recovered_to_a_prefix_of_its_commits() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let mut daemon = edge_box.start();
    until("some runs have ended", || {
        daemon.beat_and_wait();
        edge_box.runs().len() >= 3
    });
    daemon.kill();
    let log = edge_box.path("heartbeat.db-wal");
    let (whole, before) = (fs::read(&log).expect("read the log"), edge_box.runs());
    // The reader above has made it anew; a power cut leaves none.
    let shm = edge_box.path("heartbeat.db-shm");
    for torn in [1, 512, 4096, 9000] {
        for zeroed in [false, true] {
            let kept = whole.len().saturating_sub(torn);
            let mut bytes = whole[..kept].to_vec();
            bytes.resize(if zeroed { whole.len() } else { kept }, 0);
            fs::write(&log, bytes).expect("tear the log");
            let _not_there = fs::remove_file(&shm);
            let runs = edge_box.runs();
            assert!(runs.len() <= before.len() && edge_box.is_sound(), "torn by {torn}");
            let same = runs.iter().zip(&before).all(|(now, then)| now.id == then.id);
            assert!(same, "torn by {torn}: {runs:?}");
        }
    }
    let _not_there = fs::remove_file(&shm);
    let daemon = edge_box.start();
    until("it goes on", || daemon.beat_and_wait().count("flows_triggered") == 1);
}

#[test]
fn a_daemon_that_was_stopped_for_a_while_makes_no_burst_and_judges_time_outs_again() {
    let edge_box = EdgeBox::new();
    edge_box.script("quick", "run_interval = \"1s\"", "true");
    edge_box.script("slow", "timeout = \"1s\"", "sleep 600");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    edge_box.ended_run("quick");
    daemon.signal(Signal::STOP);
    let stopped_at = Instant::now();
    until("several run times have passed", || stopped_at.elapsed() > Duration::from_millis(3_500));
    daemon.signal(Signal::CONT);
    assert_eq!(edge_box.ended_run("slow").error_kind.as_deref(), Some("timeout"));
    let answer = daemon.beat_and_wait();
    assert_eq!((answer.count("flows_due"), answer.count("flows_triggered")), (1, 1), "{answer:?}");
    let run = edge_box.ended_run("quick");
    assert!(run.misfires >= 1, "what was missed is one run: {run:?}");
    assert_eq!(edge_box.runs().len(), 3);
}

#[test]
fn runs_that_end_while_the_daemon_is_stopped_are_recorded_as_what_they_were() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 7\n");
    for number in 0..6 {
        let script = format!(
            ": > begun-{number}; while [ ! -e go ]; do sleep 0.02; done; echo it; : > over-{number}; exit {number}"
        );
        edge_box.script(&format!("flow-{number}"), "timeout = \"1m\"", &script);
    }
    // More than a pipe holds: it waits for its reader.
    edge_box.script("chatty", "timeout = \"1m\"", "yes | head -c 500000; echo end");
    let daemon = edge_box.start();
    for _ in 0..5 {
        daemon.signal(Signal::STOP);
        daemon.signal(Signal::CONT);
    }
    let all_are = |what: &str| (0..6).all(|number| edge_box.path(&format!("{what}-{number}")).exists());
    assert_eq!(daemon.beat().count("flows_triggered"), 7);
    until("they have begun", || all_are("begun"));
    daemon.signal(Signal::STOP);
    edge_box.write("go", "");
    until("they have ended", || all_are("over"));
    daemon.signal(Signal::CONT);
    for number in 0..6 {
        let run = edge_box.ended_run(&format!("flow-{number}"));
        assert_eq!((run.exit_code, run.output.as_str()), (Some(number), "it\n"), "{run:?}");
    }
    let run = edge_box.ended_run("chatty");
    assert!(run.status == "success" && run.output.ends_with("y\nend\n"), "{:?}", run.status);
    assert_eq!(daemon.beat().count("flows_triggered"), 0);
}

#[test]
fn a_run_that_somebody_stopped_is_ended_at_its_timeout_with_all_that_it_started() {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"1s\"\n");
    edge_box.script("it", "timeout = \"1s\"", "sleep 600 & echo $$ $! > pids; kill -STOP $!; kill -STOP $$");
    let daemon = edge_box.start();
    daemon.beat();
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("timeout"));
    let pids = edge_box.read("pids");
    until("nothing of it lives", || !pids.split_whitespace().any(support::is_alive));
    assert_eq!(daemon.get("/readyz").status, 200);
}
