//! What heartbeats ask of the kernel, by strace(1). An idle one: one read and one write, and a wait that all share who came
//! within one round. Nothing else: no file, no lock, no clock. One that starts runs: in which order.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rustix::process::Signal;
use std::collections::BTreeMap;
use std::process::Child;
use std::time::{Duration, Instant};

use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::{can_inject, trace};
use support::wire::Wire;
use support::{EdgeBox, until};

/// Heartbeats one after the other; and batches of as many at once as there are connections.
const SINGLE: usize = 50;
const BATCHES: usize = 10;
const CONNECTIONS: usize = 64;
/// What a process is made with, whichever way the standard library takes.
const PROCESS_MADE: [&str; 3] = ["clone", "clone3", "vfork"];
/// A daemon looks after its history for the first time five seconds after its start.
const HOUSEKEEPING_DONE: Duration = Duration::from_secs(8);

/// A daemon with a flow that is not due, and connections on which each has sent a heartbeat.
fn settled(edge_box: &EdgeBox) -> (Daemon, Vec<Wire>) {
    edge_box.configure("[limits]\nconnections_per_address = 100\n");
    edge_box.script("hourly", "", "true");
    let started = Instant::now();
    let daemon = Daemon::start(edge_box, |command| {
        command.arg("--dumpable");
    });
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    let mut wires: Vec<Wire> = (0..CONNECTIONS).map(|_| daemon.connect()).collect();
    beat(edge_box, &mut wires);
    until("it has looked after its history", || started.elapsed() > HOUSEKEEPING_DONE);
    (daemon, wires)
}

/// A heartbeat on each connection, and then all answers.
fn beat(edge_box: &EdgeBox, wires: &mut [Wire]) {
    send(edge_box, wires);
    take(wires);
}

fn send(edge_box: &EdgeBox, wires: &mut [Wire]) {
    for wire in wires {
        wire.send(Heartbeat::new().to_bytes(&edge_box.secret));
    }
}

fn take(wires: &mut [Wire]) {
    for wire in wires {
        assert_eq!(wire.answer().count("flows_due"), 0);
    }
}

/// How often the daemon makes which call while something is done.
fn calls_during(edge_box: &EdgeBox, daemon: &Daemon, act: impl FnMut()) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for name in names_of_calls_during(edge_box, daemon, act) {
        *calls.entry(name).or_default() += 1;
    }
    calls
}

/// Every call that the daemon makes while something is done.
fn names_of_calls_during(edge_box: &EdgeBox, daemon: &Daemon, act: impl FnMut()) -> Vec<String> {
    names_of_calls_of(trace::<&str>(edge_box, daemon, &[]), edge_box, act)
}

/// Every call that a tracer sees while something is done.
fn names_of_calls_of(mut tracer: Child, edge_box: &EdgeBox, mut act: impl FnMut()) -> Vec<String> {
    act();
    let tracer_pid = i32::try_from(tracer.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(tracer_pid.expect("it has a number"), Signal::TERM).expect("let go");
    tracer.wait().expect("it ends");
    let told = edge_box.read("trace");
    let names = told.lines().filter_map(|line| line.split_once('(')).map(|(name, _)| name.to_owned());
    // Other lines tell of signals.
    names.filter(|name| !name.contains(' ')).collect()
}

/// Takes the waits out; what is left is to be this many reads and writes.
fn waits_besides(mut calls: BTreeMap<String, usize>, heartbeats: usize) -> usize {
    let waits = ["epoll_wait", "epoll_pwait"].iter().filter_map(|name| calls.remove(*name)).sum();
    let expected = [("recvfrom".to_owned(), heartbeats), ("sendto".to_owned(), heartbeats)];
    assert_eq!(calls, BTreeMap::from(expected), "calls of {heartbeats} heartbeats, {waits} waits aside");
    waits
}

#[test]
fn an_idle_heartbeat_is_one_read_one_write_and_a_wait() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    let (daemon, mut wires) = settled(&edge_box);
    let one = &mut wires[..1];
    let calls = calls_during(&edge_box, &daemon, || {
        for _ in 0..SINGLE {
            beat(&edge_box, one);
        }
    });
    let waits = waits_besides(calls, SINGLE);
    // The one that it was in when the trace began, and the one that it ended in.
    assert!(waits <= SINGLE + 2, "{waits} waits for {SINGLE} heartbeats");
}

#[test]
fn runs_are_on_the_disk_before_the_answer_and_answered_before_their_processes_are_made() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    ["one", "two"].iter().for_each(|name| edge_box.script(name, "", "true"));
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    let calls = names_of_calls_during(&edge_box, &daemon, || {
        assert_eq!(daemon.beat().count("flows_triggered"), 2);
        until("both have ended", || edge_box.runs().iter().all(|run| run.status == "success"));
    });
    let is_of_interest = |name: &&str| ["fdatasync", "sendto"].contains(name) || PROCESS_MADE.contains(name);
    let order: Vec<&str> = calls.iter().map(String::as_str).filter(is_of_interest).take(3).collect();
    let [sync, answer, process] = order[..] else { panic!("{calls:?}") };
    assert_eq!((sync, answer), ("fdatasync", "sendto"), "{order:?}");
    assert!(PROCESS_MADE.contains(&process), "{order:?}");
}

#[test]
fn callers_have_their_turn_while_processes_are_made() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    (0..12).for_each(|number| edge_box.script(&format!("flow-{number}"), "", "true"));
    edge_box.configure("max_concurrent_runs = 12\n");
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    let made_slowly = ["-e", "inject=clone,clone3,vfork:delay_exit=2000"];
    let calls = names_of_calls_of(trace(&edge_box, &daemon, &made_slowly), &edge_box, || {
        assert_eq!(daemon.beat().count("flows_triggered"), 12);
        until("all have ended", || edge_box.runs().iter().all(|run| run.status == "success"));
    });
    let rounds = calls.split(|name| name == "epoll_wait" || name == "epoll_pwait");
    let made = rounds.map(|round| round.iter().filter(|name| PROCESS_MADE.contains(&name.as_str())).count());
    let most = made.max().unwrap_or_default();
    // Five milliseconds, of two or more for each.
    assert!((1..=3).contains(&most), "{most} processes were made in one round");
}

#[test]
fn heartbeats_that_come_at_once_share_a_wait() {
    if !can_inject() {
        return;
    }
    let edge_box = EdgeBox::new();
    let (daemon, mut wires) = settled(&edge_box);
    let is_stopped = || {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap_or_default();
        state.contains(") T ") || state.contains(") t ")
    };
    let mut batch = || {
        // It sleeps while they arrive, so that all of them are there when it wakes.
        daemon.signal(Signal::STOP);
        until("it is stopped", is_stopped);
        send(&edge_box, &mut wires);
        daemon.signal(Signal::CONT);
        take(&mut wires);
    };
    // Lists that hold a round's heartbeats have grown to that by then.
    batch();
    let calls = calls_during(&edge_box, &daemon, || (0..BATCHES).for_each(|_| batch()));
    let waits = waits_besides(calls, BATCHES * CONNECTIONS);
    // Of each batch: the wait that the stop has cut short, the one that tells of the batch, and the next.
    assert!(waits <= 3 * BATCHES + 2, "{waits} waits for {BATCHES} batches of {CONNECTIONS} heartbeats");
}
