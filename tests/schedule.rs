//! When a flow is due, and in what order what is due runs.

mod support;

use support::heartbeat::{Heartbeat, now_s};
use support::{EdgeBox, until};

const MINUTE_MS: i64 = 60_000;

fn next_run_at(edge_box: &EdgeBox, flow: &str) -> i64 {
    edge_box.number(&format!("SELECT next_run_at FROM data_flows WHERE name = '{flow}'"))
}

/// A box whose flow `it` ran once, and whose daemon is down.
fn box_after_a_run(keys: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.script("it", keys, "true");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    daemon.stop();
    edge_box
}

#[test]
fn run_times_that_passed_while_the_box_was_off_are_one_run_and_the_grid_stays() {
    let edge_box = box_after_a_run("run_interval = \"1m\"");
    let grid = now_s() * 1000 - 10 * MINUTE_MS - MINUTE_MS / 2 + 77;
    edge_box.edit(&format!("UPDATE data_flows SET next_run_at = {grid}"));
    let daemon = edge_box.start();
    let answer = daemon.beat_and_wait();
    assert_eq!((answer.count("flows_due"), answer.count("flows_triggered")), (1, 1));
    assert_eq!(daemon.beat().count("flows_due"), 0, "one run catches up with all of them");
    let run = edge_box.ended_run("it");
    assert_eq!(
        (run.scheduled_at, run.misfires),
        (grid, 10),
        "the earliest missed time, and the others counted"
    );
    assert_eq!(next_run_at(&edge_box, "it"), grid + 11 * MINUTE_MS);
}

#[test]
fn late_heartbeats_do_not_make_a_flow_drift() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    until("four runs have ended", || {
        daemon.beat_and_wait();
        let due_at = next_run_at(&edge_box, "it");
        until("the next heartbeat is late", || heartbeat_runtime::server::now().as_millis() > due_at);
        edge_box.runs().len() >= 4
    });
    let runs = edge_box.runs();
    for pair in runs.windows(2) {
        let apart = pair[1].scheduled_at - pair[0].scheduled_at;
        assert!(apart > 0 && apart % 1000 == 0, "on the grid, to the millisecond: {apart}");
        assert_eq!(apart, 1000 * (pair[0].misfires + 1), "{pair:?}");
    }
    assert!(runs.iter().any(|run| run.started_at != Some(run.scheduled_at)), "a heartbeat was late");
}

#[test]
fn no_more_runs_than_allowed_go_on_at_once_and_the_rest_start_in_order() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 2\n");
    for index in 0..6 {
        edge_box.script(&format!("flow-{index}"), "", "while [ ! -e go ]; do sleep 0.02; done");
    }
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 6);
    let statuses: Vec<_> = edge_box.runs().into_iter().map(|run| run.status).collect();
    assert_eq!(statuses, ["in_progress", "in_progress", "pending", "pending", "pending", "pending"]);
    edge_box.write("go", "");
    until("all have ended", || edge_box.runs().iter().all(|run| run.status == "success"));
    let runs = edge_box.runs();
    assert!(runs.is_sorted_by_key(|run| run.started_at), "{runs:?}");
    for run in &runs {
        let at = run.started_at.unwrap();
        let others =
            runs.iter().filter(|other| other.started_at.unwrap() <= at && at < other.ended_at.unwrap());
        assert!(others.filter(|other| other.id != run.id).count() < 2, "at the start of {run:?}");
    }
}

#[test]
fn what_a_heartbeat_may_not_claim_stays_due_for_the_next() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_claims_per_heartbeat = 2\n");
    for index in 0..5 {
        edge_box.script(&format!("flow-{index}"), "", "true");
    }
    let daemon = edge_box.start();
    let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"];
    let beat = || {
        let answer = daemon.beat_and_wait();
        counts.map(|name| answer.count(name))
    };
    assert_eq!([beat(), beat(), beat(), beat()], [[5, 2, 0, 3], [3, 2, 0, 1], [1, 1, 0, 0], [0; 4]]);
    assert_eq!(edge_box.runs().len(), 5);
}

#[test]
fn the_flow_that_has_been_due_longest_is_claimed_first() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_claims_per_heartbeat = 1\n");
    for name in ["a", "b", "c"] {
        edge_box.script(name, "", "true");
    }
    edge_box.start().stop();
    for (name, minutes_ago) in [("a", 5), ("b", 7), ("c", 6)] {
        let at = now_s() * 1000 - minutes_ago * MINUTE_MS;
        edge_box.edit(&format!("UPDATE data_flows SET next_run_at = {at} WHERE name = '{name}'"));
    }
    let daemon = edge_box.start();
    for _ in 0..3 {
        daemon.beat_and_wait();
    }
    let order: Vec<_> = edge_box.runs().into_iter().map(|run| run.flow).collect();
    assert_eq!(order, ["b", "c", "a"]);
}

#[test]
fn a_due_flow_that_still_runs_is_skipped_and_counted() {
    let edge_box = EdgeBox::new();
    edge_box.script("long", "run_interval = \"1s\"", "while [ ! -e go ]; do sleep 0.02; done");
    let daemon = edge_box.start();
    daemon.beat();
    until("it is due again", || next_run_at(&edge_box, "long") < now_s() * 1000);
    let answer = daemon.beat();
    let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"];
    assert_eq!(counts.map(|name| answer.count(name)), [1, 0, 1, 0]);
    assert_eq!(edge_box.runs().len(), 1);
    edge_box.write("go", "");
    edge_box.ended_run("long");
    assert_eq!(daemon.beat().count("flows_triggered"), 1, "it was due all the time");
}

#[test]
fn a_run_time_far_ahead_means_that_the_clock_jumped_back_and_the_flow_is_due() {
    let edge_box = box_after_a_run("run_interval = \"1m\"");
    let ten_years_ahead = now_s() * 1000 + 10 * 365 * 24 * 60 * MINUTE_MS;
    edge_box.edit(&format!("UPDATE data_flows SET next_run_at = {ten_years_ahead}"));
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    assert!(daemon.log().contains("the clock jumped back"));
    let run = edge_box.ended_run("it");
    assert_eq!(next_run_at(&edge_box, "it"), run.scheduled_at + MINUTE_MS, "its grid restarts at now");
    assert_eq!(daemon.beat().count("flows_due"), 0);
}

#[test]
fn a_run_time_that_a_steered_clock_can_have_left_is_kept() {
    let edge_box = box_after_a_run("run_interval = \"1m\"");
    let kept = now_s() * 1000 + MINUTE_MS + MINUTE_MS / 2;
    edge_box.edit(&format!("UPDATE data_flows SET next_run_at = {kept}"));
    assert_eq!(edge_box.start().beat().count("flows_due"), 0);
    assert_eq!(next_run_at(&edge_box, "it"), kept);
}

#[test]
fn a_flow_that_is_switched_off_is_not_due() {
    let edge_box = EdgeBox::new();
    edge_box.script("off", "enabled = false", "true");
    edge_box.script("on", "", "true");
    let answer = edge_box.start().beat();
    assert_eq!((answer.count("flows_due"), answer.count("flows_triggered")), (1, 1));
}

#[test]
fn a_fixed_delay_counts_from_the_end_of_the_run() {
    let edge_box = EdgeBox::new();
    let keys =
        "run_interval = \"1m\"\nschedule = \"fixed_delay\"\nretry = { attempts = 2, backoff = \"0s\" }";
    edge_box.script("it", keys, "[ $HEARTBEAT_ATTEMPT = 2 ] && while [ ! -e go ]; do sleep 0.02; done");
    let daemon = edge_box.start();
    daemon.beat();
    until("the second attempt runs", || edge_box.runs().last().is_some_and(|run| run.id == 2));
    let provisional = next_run_at(&edge_box, "it");
    assert!(provisional > now_s() * 1000, "not due while it runs");
    edge_box.write("go", "");
    let run = edge_box.ended_run("it");
    assert_eq!(run.status, "success");
    let from_its_end = next_run_at(&edge_box, "it") - run.ended_at.unwrap();
    assert!((MINUTE_MS..MINUTE_MS + 1000).contains(&from_its_end), "{from_its_end}: the last attempt's end");
    assert!(next_run_at(&edge_box, "it") > provisional);
}

/// A window that is open now, or not: an hour around it, in a zone whose clock is at noon's side of midnight.
fn window_around_now(from_s: i64, until_s: i64) -> String {
    let time = |offset: i64| {
        let second = (now_s() + offset).rem_euclid(86_400);
        format!("{:02}:{:02}", second / 3600, second / 60 % 60)
    };
    format!("only_between = [\"{}\", \"{}\"]", time(from_s), time(until_s))
}

#[test]
fn a_flow_outside_its_window_stays_due_and_costs_no_write() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_claims_per_heartbeat = 1\n");
    edge_box.script("shut", &window_around_now(3600, 7200), "true");
    edge_box.script("open", &window_around_now(-3600, 3600), "true");
    let daemon = edge_box.start();
    let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"];
    let answer = daemon.beat_and_wait();
    assert_eq!(counts.map(|name| answer.count(name)), [2, 1, 0, 1]);
    let database = edge_box.database();
    let version = || database.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = version();
    let heartbeat = Heartbeat::new();
    for duplicate in [false, true] {
        let answer = daemon.send(&heartbeat);
        assert_eq!(counts.map(|name| answer.count(name)), [1, 0, 0, 1]);
        assert_eq!(answer.is_duplicate(), duplicate);
    }
    assert_eq!(version(), before, "nothing was written");
    assert_eq!(edge_box.ended_run("open").status, "success");
    assert_eq!(edge_box.runs().len(), 1);
}

#[test]
fn a_new_flow_with_a_time_of_day_waits_for_it_and_one_that_is_spread_for_its_part() {
    let edge_box = EdgeBox::new();
    edge_box.script("daily", &format!("run_interval = \"1d\"\nat = \"{}\"", "00:00"), "true");
    edge_box.script("spread", "run_interval = \"1h\"\nspread = \"1h\"", "true");
    edge_box.script("plain", "", "true");
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().run_ids().len(), 1);
    assert_eq!(edge_box.ended_run("plain").status, "success");
    assert_eq!(next_run_at(&edge_box, "daily") % (1440 * MINUTE_MS), 0);
    let (due, created) =
        (next_run_at(&edge_box, "spread"), edge_box.number("SELECT max(created_at) FROM data_flows"));
    assert!((created..created + 60 * MINUTE_MS).contains(&due));
    daemon.stop();
    edge_box.start().stop();
    assert_eq!(next_run_at(&edge_box, "spread"), due, "a restart changes nothing");
}

#[test]
fn a_time_of_day_goes_by_the_systems_zones() {
    if !std::path::Path::new("/usr/share/zoneinfo/Asia/Kathmandu").exists() {
        support::tools::tell_skipped("for want of time zone data (apt-get install tzdata)");
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1d\"\nat = \"02:30\"\ntime_zone = \"Asia/Kathmandu\"", "true");
    edge_box.start().stop();
    // 02:30 there is 20:45 in UTC, all the year round.
    assert_eq!(next_run_at(&edge_box, "it") / MINUTE_MS % 1440, 20 * 60 + 45);
}

#[test]
fn an_unknown_zone_is_a_fault_of_its_flow_alone() {
    let edge_box = EdgeBox::new();
    edge_box.script("lost", "at = \"02:30\"\ntime_zone = \"Europe/Nowhere\"", "true");
    edge_box.script("found", "", "true");
    let daemon = edge_box.start();
    let log = daemon.log();
    assert!(
        log.contains("lost.toml:3: time_zone: `Europe/Nowhere` is not a time zone that is known here"),
        "{log}"
    );
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
}

#[test]
fn a_box_that_no_agent_reaches_beats_by_itself_and_writes_nothing_when_nothing_is_due() {
    let edge_box = EdgeBox::new();
    edge_box.configure("internal_heartbeat = \"1s\"\n");
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let mut daemon = edge_box.start();
    until("it ran again and again", || {
        edge_box.runs().iter().filter(|run| run.status == "success").count() >= 3
    });
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE agent IS NOT 'internal'"), 0);
    let heartbeats = edge_box.number("SELECT count(*) FROM heartbeats WHERE agent = 'internal'");
    assert!(heartbeats >= 3 && edge_box.number("SELECT count(heartbeat_id) FROM heartbeats") == 0);
    daemon.stop();
    edge_box.edit("UPDATE data_flows SET held = 1");

    let daemon = edge_box.start();
    let database = edge_box.database();
    let version = || database.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = version();
    let waited = std::time::Instant::now();
    until("it has beaten a few times", || waited.elapsed() > std::time::Duration::from_millis(2500));
    assert_eq!(version(), before);
    assert_eq!(daemon.beat().count("flows_due"), 0);
}
