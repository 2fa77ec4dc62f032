//! `kill -9` of the daemon, at any moment: nothing that it answered is lost, and no flow has two processes.

mod support;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use support::daemon::Daemon;
use support::{EdgeBox, is_alive, until};

const ROUNDS: u32 = 30;
/// `KILL_SEED` in the environment chooses other moments.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// xorshift64*: enough to choose moments.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}

/// The lock belongs to the processes of a run and goes with the last of them, however they end.
fn add_flows(edge_box: &EdgeBox) {
    for (index, lasts) in ["0.05", "0.1", "0.15", "0.2", "0.25", "0.3"].iter().enumerate() {
        let script = format!(
            "flock -n -E 75 lock.$HEARTBEAT_FLOW sleep {lasts}; [ $? = 75 ] && echo $HEARTBEAT_FLOW >> OVERLAP; true"
        );
        edge_box.script(&format!("flow-{index}"), "run_interval = \"1s\"", &script);
    }
}

/// Beats until the daemon is gone; every run that an answer named.
fn beat_until_killed(daemon: &Daemon, killed: &AtomicBool) -> BTreeSet<i64> {
    let mut named = BTreeSet::new();
    while !killed.load(Ordering::Relaxed) {
        if let Ok(answer) = daemon.try_beat() {
            assert_eq!(answer.status, 200, "{answer:?}");
            named.extend(answer.run_ids());
        }
    }
    named
}

#[test]
fn thirty_rounds_of_kill_9_lose_no_run_that_an_answer_named_and_never_run_a_flow_twice_at_once() {
    let seed = std::env::var("KILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    eprintln!("KILL_SEED={seed}");
    let mut moments = Moments(seed);
    let edge_box = EdgeBox::new();
    add_flows(&edge_box);
    let mut named = BTreeSet::new();
    let mut interrupted = 0;
    let mut daemon = edge_box.start();
    for round in 0..ROUNDS {
        let killed = AtomicBool::new(false);
        let moment = Duration::from_millis(moments.below(300));
        named.extend(thread::scope(|scope| {
            let agents = [(); 2].map(|()| scope.spawn(|| beat_until_killed(&daemon, &killed)));
            // Not a wait for anything: this is the moment at which it is killed.
            thread::sleep(moment);
            daemon.signal(rustix::process::Signal::KILL);
            killed.store(true, Ordering::Relaxed);
            agents.into_iter().flat_map(|agent| agent.join().unwrap()).collect::<Vec<_>>()
        }));
        daemon.ended();
        let running = |edge_box: &EdgeBox| -> BTreeSet<i64> {
            let runs = edge_box.runs();
            runs.iter().filter(|run| run.status == "in_progress").map(|run| run.id).collect()
        };
        let left = running(&edge_box);
        edge_box.edit("UPDATE data_flows SET next_run_at = 1");

        daemon = edge_box.start();
        let runs = edge_box.runs();
        for run in runs.iter().filter(|run| left.contains(&run.id)) {
            assert_eq!(run.error_kind.as_deref(), Some("interrupted"), "round {round}: {run:?}");
        }
        interrupted += left.len();
        let on_record: BTreeSet<i64> = runs.iter().map(|run| run.id).collect();
        let lost: Vec<_> = named.difference(&on_record).collect();
        assert!(lost.is_empty(), "round {round} lost runs {lost:?}");
        assert!(edge_box.is_sound(), "round {round}");
        assert_eq!(edge_box.read("OVERLAP"), "", "round {round}");
    }
    until("what is pending runs to its end", || {
        edge_box.number("SELECT count(*) FROM data_flow_runs WHERE ended_at IS NULL") == 0
    });
    assert_eq!(edge_box.read("OVERLAP"), "");
    let others =
        "SELECT count(*) FROM data_flow_runs WHERE status = 'failed' AND error_kind <> 'interrupted'";
    assert_eq!(edge_box.number(others), 0, "a run either succeeds or is interrupted");
    // Enough to show something, also on a machine that is busy.
    assert!(named.len() > 8 && interrupted > 4, "{} runs named, {interrupted} interrupted", named.len());
}

/// Notes those before it that are still alive.
const LONG: &str = "for pid in $(cat pids); do grep -qs . /proc/$pid/cmdline && echo $pid >> OVERLAP; done
    echo $$ >> pids; while :; do sleep 0.05; done";

fn a_survivor_is_ended_before_its_flow_runs_again(script: &str) {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"400ms\"\n");
    edge_box.write("pids", "");
    edge_box.script("long", "", script);
    let mut daemon = edge_box.start();
    daemon.beat();
    until("it runs", || edge_box.read("pids").lines().count() == 1);
    daemon.kill();
    let survivor = edge_box.read("pids");
    assert!(is_alive(&survivor), "it outlives the daemon");
    edge_box.edit("UPDATE data_flows SET next_run_at = 1");

    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 1, "the interrupted run is over");
    until("it runs again", || edge_box.read("pids").lines().count() == 2);
    assert!(!is_alive(&survivor));
    assert_eq!(edge_box.read("OVERLAP"), "");
    let runs = edge_box.runs();
    assert_eq!(runs[0].error_kind.as_deref(), Some("interrupted"));
    assert_eq!(runs[1].status, "in_progress");
    assert!(daemon.log().contains("outlived an earlier daemon"), "{}", daemon.log());
}

#[test]
fn a_process_that_outlived_the_daemon_is_ended_before_its_flow_runs_again() {
    a_survivor_is_ended_before_its_flow_runs_again(LONG);
}

#[test]
fn a_process_that_outlived_the_daemon_and_ignores_sigterm_is_killed_before_its_flow_runs_again() {
    a_survivor_is_ended_before_its_flow_runs_again(&format!("trap '' TERM; {LONG}"));
}

#[test]
fn a_run_that_ended_and_was_not_recorded_when_the_daemon_was_killed_is_interrupted_and_not_run_again() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "echo ran >> effects; while [ ! -e go ]; do sleep 0.02; done; : > over");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("it runs", || !edge_box.read("effects").is_empty());
    // Its end cannot be recorded while another program holds the database.
    let holder = rusqlite::Connection::open(edge_box.path("heartbeat.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    edge_box.write("go", "");
    until("its end was seen and could not be recorded", || {
        edge_box.path("over").exists() && daemon.get("/readyz").status == 503
    });
    daemon.kill();
    drop(holder);
    assert_eq!(edge_box.runs()[0].status, "in_progress");
    let daemon = edge_box.start();
    assert_eq!(edge_box.ended_run("it").error_kind.as_deref(), Some("interrupted"));
    assert_eq!(daemon.beat().count("flows_due"), 0, "it ran, and is not due");
    assert_eq!((edge_box.runs().len(), edge_box.read("effects").as_str()), (1, "ran\n"));
}

#[test]
fn a_run_that_was_pending_when_the_daemon_was_killed_runs_after_its_restart() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\n");
    edge_box.script("first", "", "sleep 60");
    edge_box.script("second", "", "echo ran >> effects");
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    let pending = edge_box.runs().into_iter().find(|run| run.status == "pending").unwrap();
    daemon.kill();
    let _daemon = edge_box.start();
    let run = support::eventually("the pending run ends", || {
        edge_box.runs().into_iter().find(|run| run.id == pending.id && run.ended_at.is_some())
    });
    assert_eq!(run.error_kind, None);
    let interrupted = edge_box.runs().iter().filter(|run| run.error_kind.is_some()).count();
    assert_eq!((interrupted, edge_box.runs().len()), (1, 2));
}

#[test]
fn the_end_of_a_survivor_leaves_the_new_daemon_s_runs_alone() {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"400ms\"\n");
    edge_box.script("stubborn", "", "trap '' TERM; echo $$ >> pids; while :; do sleep 0.05; done");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("it runs", || !edge_box.read("pids").is_empty());
    daemon.kill();
    let survivor = edge_box.read("pids");

    edge_box.script("new", "", "echo $$ >> new; while [ ! -e go ]; do sleep 0.02; done");
    let daemon = edge_box.start();
    daemon.beat();
    until("the new run runs", || !edge_box.read("new").is_empty());
    until("the survivor is gone", || !is_alive(&survivor));
    // Served in a later round than the survivor's end.
    daemon.beat();
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("new").error_message, None);
}

#[test]
fn a_daemon_that_one_of_its_own_flows_started_does_not_take_itself_for_a_survivor() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "env");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    daemon.stop();
    let output = edge_box.ended_run("it").output;
    let carried: Vec<_> = output.lines().filter_map(|line| line.split_once('=')).collect();
    assert!(carried.iter().any(|(name, _)| *name == "HEARTBEAT_INSTANCE"), "{output}");
    let mut daemon = Daemon::start(&edge_box, |command| {
        command.envs(carried);
    });
    assert_eq!(daemon.beat().status, 200);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!daemon.log().contains("outlived"), "{}", daemon.log());
}
