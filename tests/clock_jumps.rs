//! Schedules under a clock that jumps: years ahead, weeks back, or from 1970 to now. By daemons that have another clock.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use support::EdgeBox;
use support::clock::FakeClock;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::until;

const DAY_S: i64 = 86_400;
/// Signs nothing, so that it is served while the clock is not set.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn start_at(edge_box: &EdgeBox, clock: &FakeClock, time: &str) -> Daemon {
    Daemon::start(edge_box, |command| clock.set(command, time))
}

/// A box that beats by itself, with a flow of each sort.
fn box_of_all_sorts(settings: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure(settings);
    edge_box.script("rate", "run_interval = \"1h\"", "true");
    edge_box.script("delay", "run_interval = \"1h\"\nschedule = \"fixed_delay\"", "true");
    edge_box.script("daily", "run_interval = \"1d\"\nat = \"02:30\"\ntime_zone = \"UTC\"", "true");
    edge_box
}

fn count(edge_box: &EdgeBox, flow: &str) -> usize {
    edge_box.runs().iter().filter(|run| run.flow == flow && run.ended_at.is_some()).count()
}

/// Waits until these flows have so many ended runs, then lets the daemon beat on: none has one more.
fn exactly(edge_box: &EdgeBox, daemon: &Daemon, expected: &[(&str, usize)]) {
    for (flow, runs) in expected {
        until(&format!("{runs} runs of {flow} ended"), || count(edge_box, flow) >= *runs);
    }
    let answer = daemon.exchange(with_token());
    assert_eq!(answer.count("flows_due"), 0, "nothing is due any more");
    for (flow, runs) in expected {
        assert_eq!(count(edge_box, flow), *runs, "{flow}");
    }
    assert!(edge_box.runs().iter().all(|run| run.ended_at >= run.started_at));
}

fn with_token() -> Vec<u8> {
    Heartbeat::new().with_proof(&format!("X-Heartbeat-Token: {TOKEN}\r\n"))
}

/// A box whose flows ran once today, with the daemon down.
fn box_that_ran(settings: &str) -> EdgeBox {
    let edge_box = box_of_all_sorts(&format!("authentication_token_file = \"token\"\n{settings}"));
    edge_box.write_secret("token", TOKEN);
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    exactly(&edge_box, &daemon, &[("rate", 1), ("delay", 1), ("daily", 0)]);
    daemon.stop();
    edge_box
}

#[test]
fn a_clock_that_jumps_years_ahead_makes_one_run_of_what_was_missed() {
    let Some(clock) = FakeClock::find() else { return };
    for (time, hours) in [("+1y", 8_759), ("+100y", 875_000)] {
        let edge_box = box_that_ran("");
        let daemon = start_at(&edge_box, &clock, time);
        let answer = daemon.exchange(with_token());
        assert_eq!((answer.count("flows_due"), answer.count("flows_triggered")), (3, 3), "{time}");
        exactly(&edge_box, &daemon, &[("rate", 2), ("delay", 2), ("daily", 1)]);
        let missed = edge_box.ended_run("rate").misfires;
        assert!((hours - 1000..=hours + 1000).contains(&missed), "{missed} of {time}");
        assert_eq!(edge_box.ended_run("delay").misfires, 0, "a delay misses nothing");
        assert!(!daemon.log().contains("jumped back"));
    }
}

#[test]
fn a_clock_that_jumps_two_weeks_back_runs_what_it_had_put_off_once_and_says_so() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = box_that_ran("");
    let daemon = start_at(&edge_box, &clock, "-14d");
    let answer = daemon.exchange(with_token());
    assert_eq!((answer.count("flows_due"), answer.count("flows_triggered")), (3, 3));
    daemon.until_logged("the clock jumped back");
    exactly(&edge_box, &daemon, &[("rate", 2), ("delay", 2), ("daily", 1)]);
    for flow in ["rate", "delay", "daily"] {
        let next =
            edge_box.number(&format!("SELECT next_run_at FROM data_flows WHERE name = '{flow}'")) / 1000;
        let ahead = next - (now_s() - 14 * DAY_S);
        assert!((0..=DAY_S + 60).contains(&ahead), "{flow} is {ahead} s ahead of the clock that there is");
    }
}

#[test]
fn before_the_clock_is_set_the_box_runs_by_itself_and_the_step_to_now_is_one_run_a_flow() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = box_of_all_sorts("internal_heartbeat = \"1s\"\nauthentication_token_file = \"token\"\n");
    edge_box.write_secret("token", TOKEN);
    edge_box.script("often", "run_interval = \"1s\"", "true");
    let time = edge_box.path("time");
    edge_box.write("time", "@1970-01-01 00:05:00");
    let daemon = Daemon::start(&edge_box, |command| clock.follow(command, &time));
    until("it runs again and again", || count(&edge_box, "often") >= 3);
    assert_eq!(daemon.beat().status, 503, "while agents are sent away");
    assert_eq!([count(&edge_box, "rate"), count(&edge_box, "delay"), count(&edge_box, "daily")], [1, 1, 0]);
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE clock_unset = 0"), 0);
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE agent IS NOT 'internal'"), 0);

    // As NTP does it, while the daemon runs. By rename, so that no half of it is read.
    edge_box.write("time.new", "+0");
    std::fs::rename(edge_box.path("time.new"), &time).unwrap();
    for (flow, runs) in [("rate", 2), ("delay", 2), ("daily", 1)] {
        until(&format!("{flow} caught up"), || count(&edge_box, flow) >= runs);
    }
    let often = count(&edge_box, "often");
    until("it goes on by the new clock", || count(&edge_box, "often") >= often + 2);
    assert_eq!([count(&edge_box, "rate"), count(&edge_box, "delay"), count(&edge_box, "daily")], [2, 2, 1]);
    assert!(edge_box.runs().iter().all(|run| run.ended_at >= run.started_at));
    assert_eq!(daemon.beat().status, 200, "and agents are heard again");
    assert_eq!(edge_box.ended_run("rate").misfires, 0, "nobody knows how many there were");
    let now = now_s() * 1000;
    assert!(
        (now - edge_box.ended_run("rate").scheduled_at).abs() < 60_000,
        "it was due when the clock was set"
    );
    assert_eq!(
        edge_box.number(&format!(
            "SELECT count(*) FROM data_flow_runs WHERE clock_unset = 1 AND created_at > {}",
            now / 2
        )),
        0
    );
}

/// Sets the clock of a daemon that follows the file. By rename, so that no half of it is read.
fn set_clock(edge_box: &EdgeBox, time: &str) {
    edge_box.write("time.new", time);
    std::fs::rename(edge_box.path("time.new"), edge_box.path("time")).expect("set the clock");
}

#[test]
fn a_clock_that_is_set_by_years_while_it_runs_makes_one_run_a_flow_each_time_and_ends_no_run() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = EdgeBox::new();
    edge_box.configure("internal_heartbeat = \"1s\"\n");
    let once = |name: &str, keys: &str| edge_box.script(name, keys, &format!("echo it >> {name}.ran"));
    once("rate", "run_interval = \"1h\"");
    once("delay", "run_interval = \"1h\"\nschedule = \"fixed_delay\"");
    once("daily", "run_interval = \"1d\"\nat = \"02:30\"\ntime_zone = \"UTC\"");
    once("often", "run_interval = \"1s\"");
    edge_box.script(
        "long",
        "run_interval = \"3660d\"\ntimeout = \"10m\"",
        "while [ ! -e go ]; do sleep 0.02; done",
    );
    // History is pruned by age, so what has run is counted by what it did.
    let ran = |flow: &str| edge_box.read(&format!("{flow}.ran")).lines().count();
    let settled = |expected: [usize; 3]| {
        for (flow, count) in ["rate", "delay", "daily"].into_iter().zip(expected) {
            until(&format!("{flow} ran {count} times"), || ran(flow) >= count);
        }
        let often = ran("often");
        until("heartbeats go on", || ran("often") >= often + 2);
        assert_eq!(["rate", "delay", "daily"].map(ran), expected);
    };
    edge_box.write("time", "+0");
    let time = edge_box.path("time");
    let daemon = Daemon::start(&edge_box, |command| clock.follow(command, &time));
    let replayed = Heartbeat::new();
    daemon.send(&replayed);
    settled([1, 1, 0]);
    for (jump, expected) in [("+100y", [2, 2, 1]), ("-14d", [3, 3, 2]), ("+0", [4, 4, 3]), ("+1y", [5, 5, 4])]
    {
        set_clock(&edge_box, jump);
        settled(expected);
        // It is another day's signature, or one that is known, or one whose id may have been forgotten.
        let answer = daemon.send(&replayed);
        let is_harmless =
            answer.status == 401 || answer.count("flows_triggered") == 0 || answer.is_duplicate();
        assert!(is_harmless, "{jump}: {answer:?}");
    }
    edge_box.write("go", "");
    daemon.until_logged("flow=long status=success");
    assert!(!daemon.log().contains("flow=long status=failed"), "its timeout goes by time that passed");
    assert_eq!(
        edge_box.number("SELECT count(*) FROM data_flow_runs WHERE duration_ms NOT BETWEEN 0 AND 300000"),
        0
    );
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE ended_at < started_at"), 0);
    daemon.until_logged("the clock jumped back");
}
