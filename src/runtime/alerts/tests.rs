//! The rules and the outbox over virtual time and a real database.

mod bench;

use super::super::{ConnectionId, Event, Job, Order, Output, Unanswered};
use super::*;
use crate::flow::Exit;
use bench::{Bench, DAY, HOUR, SECOND, told_by_url};
use serde_json::Value;
use std::path::Path;

#[test]
fn a_flow_that_fails_n_times_in_a_row_is_told_once_and_so_is_its_recovery() {
    let mut bench = Bench::new("failing", told_by_url());
    let runs = [bench.run(3), bench.run(3), bench.run(3)];
    let (told, _) = bench.answer(200);
    assert_eq!(told["type"], "flow.failing");
    let data = &told["data"];
    assert_eq!((&data["flow"], &data["run_id"]), (&"upload".into(), &runs[2].0.into()));
    assert_eq!((&data["consecutive_failures"], &data["error_kind"]), (&3.into(), &"exit_status".into()));
    assert_eq!(data["message"], "flow upload failed 3 times in a row: exit status 3");
    assert_eq!(data["box"]["host"], "box-7");
    bench.run(3);
    assert_eq!(bench.take_all(), [""; 0], "it is told once");
    assert_eq!(bench.figures().open[0].subject, "upload");
    bench.run(0);
    assert_eq!(bench.take_all(), ["flow.recovered"]);
    bench.run(0);
    bench.run(3);
    bench.run(3);
    assert_eq!(bench.take_all(), [""; 0]);
    assert_eq!((bench.figures().open_total, bench.figures().undelivered), (0, 0));
    assert_eq!((bench.counts().created[0], bench.counts().delivered, bench.counts().queued), (1, 2, 0));
}

#[test]
fn neither_an_operator_s_word_nor_an_attempt_that_is_tried_again_counts() {
    let mut bench = Bench::new("cancelled", AlertSettings { after_failures: 1, ..told_by_url() });
    let run = bench.begin_run();
    bench.handle(Event::Order { connection: ConnectionId(1), uid: 0, order: Order::Cancel(run), wait: None });
    bench.round();
    bench.end_run(run, 1);
    assert_eq!(bench.take_all(), [""; 0]);
    bench.attempts = 2;
    bench.reload(bench.settings.clone());
    let first = bench.run(1);
    assert_eq!(bench.take_all(), [""; 0], "it is tried again");
    bench.pass(2 * SECOND);
    bench.end_run(RunId(first.0 + 1), 1);
    assert_eq!(bench.take_all(), ["flow.failing"]);
}

#[test]
fn what_was_told_is_known_after_a_restart_and_when_the_number_of_failures_is_another() {
    let mut bench = Bench::new("restart", AlertSettings { after_failures: 2, ..told_by_url() });
    bench.run(1);
    bench.run(1);
    assert_eq!(bench.take_all(), ["flow.failing"]);
    bench.settings.after_failures = 5;
    bench.start();
    bench.run(1);
    assert_eq!(bench.take_all(), [""; 0], "not told twice");
    bench.run(0);
    assert_eq!(bench.take_all(), ["flow.recovered"]);
    bench.run(1);
    bench.run(1);
    assert_eq!(bench.take_all(), [""; 0], "five are wanted now");
    bench.reload(AlertSettings { after_failures: 3, ..told_by_url() });
    bench.run(1);
    assert_eq!(bench.take_all(), ["flow.failing"]);
}

#[test]
fn a_run_that_takes_long_is_told_of_once_while_it_goes_on() {
    let mut bench = Bench::new("long", AlertSettings { run_longer_than: Some(60 * SECOND), ..told_by_url() });
    let run = bench.begin_run();
    bench.pass(59 * SECOND);
    assert!(bench.sent.is_empty());
    bench.pass(2 * SECOND);
    let (told, _) = bench.answer(200);
    assert_eq!((&told["type"], &told["data"]["run_id"]), (&"run.long".into(), &run.0.into()));
    bench.pass(HOUR);
    assert_eq!(bench.take_all(), [""; 0], "once a run");
    bench.end_run(run, 0);
    bench.begin_run();
    bench.pass(61 * SECOND);
    assert_eq!(bench.take_all(), ["run.long"], "and once the next");
}

#[test]
fn an_agent_that_is_silent_is_told_of_once_and_so_is_its_return_wherever_the_clock_jumps() {
    let mut bench = Bench::new("silent", AlertSettings { no_heartbeat_for: Some(HOUR), ..told_by_url() });
    bench.pass(50 * 60 * SECOND);
    bench.beat();
    bench.wall_offset = 365 * DAY;
    bench.pass(50 * 60 * SECOND);
    assert!(bench.sent.is_empty(), "it was heard, and no clock makes it silent");
    bench.pass(11 * 60 * SECOND);
    let (told, _) = bench.answer(200);
    assert_eq!((&told["type"], &told["data"]["agent"]), (&"agent.silent".into(), &"default".into()));
    assert!(told["data"]["last_heartbeat_at"].is_string(), "{told}");
    bench.pass(DAY);
    bench.start();
    bench.pass(DAY);
    assert_eq!(bench.take_all(), [""; 0], "told once, over a restart as well");
    assert_eq!(bench.figures().open_total, 1);
    bench.beat();
    assert_eq!(bench.take_all(), ["agent.returned"]);
    bench.beat();
    assert_eq!((bench.take_all(), bench.figures().open_total), (vec![], 0));
    bench.pass(2 * HOUR);
    assert_eq!(bench.take_all(), ["agent.silent"]);
}

#[test]
fn an_agent_that_was_never_heard_is_silent_since_the_start_and_one_that_is_expected_no_more_is_forgotten() {
    let mut bench = Bench::new("never", AlertSettings { no_heartbeat_for: Some(HOUR), ..told_by_url() });
    bench.pass(HOUR + SECOND);
    assert!(bench.answer(200).0["data"]["last_heartbeat_at"].is_null());
    bench.reload(AlertSettings { agents: vec!["other".to_owned()], ..bench.settings.clone() });
    bench.pass(SECOND);
    assert_eq!((bench.take_all(), bench.figures().open_total), (vec![], 0));
}

#[test]
fn an_alert_is_tried_again_under_its_id_after_longer_and_longer_times() {
    let mut bench = Bench::new("again", AlertSettings { after_failures: 1, ..told_by_url() });
    bench.run(1);
    let first = bench.on_its_way();
    let mut pauses = Vec::new();
    for _ in 0..16 {
        bench.nobody_answers();
        assert!(bench.sent.is_empty(), "it waits");
        let since = bench.elapsed;
        while bench.sent.is_empty() {
            bench.pass(SECOND);
        }
        pauses.push((bench.elapsed - since).as_secs());
        assert_eq!(bench.on_its_way(), first, "the same content under the same id");
    }
    assert!((2..=6).contains(&pauses[0]) && (900..=1802).contains(&pauses[15]), "{pauses:?}");
    let error = bench.figures().last_error.unwrap();
    assert!(error.contains("receiver.example") && !error.contains("/in"), "{error}");
    // Killed in the middle of a try: it is on record, and comes again.
    bench.start();
    bench.pass(HOUR);
    assert_eq!(bench.answer(200), first);
    assert_eq!((bench.figures().undelivered, bench.counts().delivered), (0, 1));
}

#[test]
fn an_alert_is_given_up_after_three_days_of_trying_and_never_by_a_clock_alone() {
    let mut bench = Bench::new("given-up", AlertSettings { after_failures: 1, ..told_by_url() });
    bench.run(1);
    bench.wall_offset = 365 * DAY;
    for _ in 0..9 {
        bench.nobody_answers();
        bench.pass(HOUR);
    }
    assert_eq!((bench.figures().undelivered, bench.counts().given_up), (1, 0), "a year passed in no time");
    bench.wall_offset = Duration::ZERO;
    while bench.elapsed < 3 * DAY {
        bench.nobody_answers();
        bench.pass(HOUR);
        assert!(bench.elapsed > 3 * DAY || bench.counts().given_up == 0);
    }
    bench.nobody_answers();
    assert_eq!((bench.figures().undelivered, bench.counts().given_up), (0, 1));
    bench.pass(DAY);
    assert!(bench.sent.is_empty());
    bench.run(0);
    assert_eq!(bench.answer(410).0["type"], "flow.recovered");
    assert_eq!(
        (bench.figures().undelivered, bench.counts().given_up),
        (0, 2),
        "410: nobody is there any more"
    );
}

#[test]
fn an_alert_that_is_refused_holds_up_only_what_is_about_the_same() {
    let settings = AlertSettings { after_failures: 1, no_heartbeat_for: Some(HOUR), ..told_by_url() };
    let mut bench = Bench::new("poison", settings);
    bench.run(1);
    bench.answer(400);
    bench.run(0);
    bench.pass(HOUR + SECOND);
    for _ in 0..50 {
        if bench.sent.is_empty() {
            bench.pass(60 * SECOND);
            continue;
        }
        let refused = bench.on_its_way().0["data"]["flow"] == "upload";
        assert_ne!(bench.on_its_way().0["type"], "flow.recovered", "the failure is to be told first");
        bench.answer(if refused { 400 } else { 200 });
    }
    assert_eq!((bench.counts().delivered, bench.figures().undelivered), (1, 2), "the silence was told");
}

#[test]
fn once_somebody_answers_everything_that_waits_goes_out_and_to_another_receiver_at_once() {
    let settings = AlertSettings { after_failures: 1, no_heartbeat_for: Some(SECOND), ..told_by_url() };
    let mut bench = Bench::new("answers", settings.clone());
    bench.pass(SECOND);
    bench.run(1);
    for _ in 0..40 {
        bench.nobody_answers();
        while bench.sent.is_empty() {
            bench.pass(60 * SECOND);
        }
    }
    assert_eq!((bench.take_all().len(), bench.figures().undelivered), (2, 0), "the second waits no longer");
    bench.run(0);
    for _ in 0..20 {
        bench.nobody_answers();
        while bench.sent.is_empty() {
            bench.pass(60 * SECOND);
        }
    }
    bench.nobody_answers();
    let url = Url::parse("http://other.example/").unwrap();
    let to = Some(Recipient::Url { url, secret_file: PathBuf::from("/box/alert-secret") });
    bench.reload(AlertSettings { to, ..settings });
    bench.pass(SECOND);
    assert_eq!(bench.take_all(), ["flow.recovered"]);
}

#[test]
fn the_outbox_is_bounded_and_the_oldest_go() {
    let mut bench = Bench::new("bounded", AlertSettings { after_failures: 1, ..told_by_url() });
    bench.run(1);
    bench.nobody_answers();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
                INSERT INTO alerts (uid, type, subject, data, created_at)
                SELECT printf('%032x', i), 'run.long', 'flow x', '{}', 1 FROM n";
    bench.runtime = None;
    rusqlite::Connection::open(bench.database()).unwrap().execute_batch(fill).unwrap();
    bench.start();
    assert_eq!(bench.counts().queued, 1000);
    bench.run(0);
    assert_eq!((bench.figures().undelivered, bench.counts().dropped), (1000, 1));
    let first = "SELECT type FROM alerts ORDER BY id LIMIT 1";
    let oldest: String =
        rusqlite::Connection::open(bench.database()).unwrap().query_row(first, [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, "run.long", "the first one is gone");
}

#[test]
fn a_command_is_told_in_its_environment_and_ended_when_it_takes_too_long() {
    let to = Recipient::Command { argv: vec!["tell".to_owned()], working_directory: "/box".into() };
    let mut bench = Bench::new("command", AlertSettings { to: Some(to), after_failures: 1, ..told_by_url() });
    bench.run(1);
    let launch = bench.commands.pop().expect("it is started");
    let variable = |name: &str| launch.environment.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let body: Value = serde_json::from_slice(&launch.stdin).unwrap();
    assert_eq!(variable("HEARTBEAT_ALERT_ID"), body["id"].as_str().unwrap());
    assert_eq!(variable("HEARTBEAT_ALERT_TYPE"), "flow.failing");
    assert_eq!(variable("HEARTBEAT_FLOW"), "upload");
    assert_eq!(launch.working_directory, Path::new("/box"));
    bench.pass(limits::ALERT_TIMEOUT + SECOND / 2);
    assert_eq!(bench.signals, 1, "TERM");
    bench.pass(2 * SECOND);
    assert_eq!(bench.signals, 2, "KILL");
    let output = Output { tail: "no route\u{1b}[2J to host\n".to_owned(), ..Output::default() };
    let ended = |exit, leftovers, output| Event::Exited { job: Job::Alert, exit, output, leftovers };
    bench.handle(ended(Exit::Signal(9), true, output));
    bench.pass(HOUR);
    assert!(bench.commands.is_empty(), "what the last one left behind is being ended");
    let error = bench.figures().last_error.unwrap();
    assert!(error.contains("longer than 30s") && error.contains("no route [2J to host"), "{error:?}");
    bench.handle(Event::LeftoversGone(Job::Alert));
    bench.pass(SECOND);
    assert_eq!(bench.commands.len(), 1);
    bench.handle(ended(Exit::Code(0), false, Output::default()));
    bench.round();
    assert_eq!((bench.figures().undelivered, bench.counts().delivered), (0, 1));
}

#[test]
fn a_full_database_is_told_when_there_is_nothing_left_to_delete_and_when_it_is_not_full_any_more() {
    let mut bench = Bench::new("full", told_by_url());
    bench.runtime = None;
    let database = rusqlite::Connection::open(bench.database()).unwrap();
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3100)
                INSERT INTO heartbeats (agent, received_at, flows_due, flows_triggered, flows_skipped, flows_deferred,
                  first_run_id) SELECT hex(zeroblob(500)), 1800000000000, 1, 1, 0, 0, i FROM n";
    database.execute_batch(fill).unwrap();
    drop(database);
    bench.start();
    bench.pass(20 * SECOND);
    let (told, _) = bench.answer(200);
    assert_eq!(told["type"], "database.near_limit", "{told}");
    assert!(bench.runtime.as_ref().is_some_and(Runtime::is_near_limit));
    bench.start();
    bench.pass(2 * HOUR);
    assert_eq!(bench.take_all(), [""; 0], "told once");
    bench.runtime = None;
    let database = rusqlite::Connection::open(bench.database()).unwrap();
    database.execute_batch("DELETE FROM heartbeats").unwrap();
    drop(database);
    bench.start();
    bench.pass(20 * SECOND);
    assert_eq!((bench.take_all(), bench.figures().open_total), (vec!["database.below_limit".to_owned()], 0));
    assert!(bench.runtime.as_ref().is_some_and(|runtime| !runtime.is_near_limit()));
}

#[test]
fn a_database_that_could_not_be_written_for_long_is_told_of_when_it_can_and_no_alert_is_lost_meanwhile() {
    let mut bench = Bench::new("storage", AlertSettings { after_failures: 1, ..told_by_url() });
    let run = bench.begin_run();
    let holder = rusqlite::Connection::open(bench.database()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    bench.end_run(run, 1);
    bench.pass(2 * limits::ALERT_STORAGE_AFTER);
    assert!(bench.sent.is_empty(), "what is not on record is not told");
    holder.execute_batch("COMMIT").unwrap();
    bench.pass(2 * SECOND);
    assert_eq!(bench.take_all(), ["storage.recovered", "flow.failing"]);
}

#[test]
fn it_is_told_as_well_where_an_operator_s_order_is_what_first_gets_written() {
    let mut bench = Bench::new("storage-order", told_by_url());
    let holder = rusqlite::Connection::open(bench.database()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let order = Order::Run { flow: "upload".to_owned(), from: None };
    bench.handle(Event::Order { connection: ConnectionId(1), uid: 0, order, wait: None });
    assert_eq!(bench.round(), None);
    bench.pass(2 * limits::ALERT_STORAGE_AFTER);
    holder.execute_batch("COMMIT").unwrap();
    // Before the time of the next try has come.
    bench.begin_run();
    assert_eq!(bench.take_all(), ["storage.recovered"]);
}

#[test]
fn what_is_over_while_nobody_is_told_is_not_open_for_the_next_one() {
    let told = AlertSettings { after_failures: 1, ..told_by_url() };
    let mut bench = Bench::new("meanwhile", told.clone());
    bench.run(1);
    assert_eq!(bench.take_all(), ["flow.failing"]);
    bench.reload(AlertSettings { to: None, ..told.clone() });
    bench.run(0);
    assert_eq!((bench.figures().undelivered, bench.figures().open_total), (0, 0));
    bench.reload(told);
    bench.run(1);
    assert_eq!(bench.take_all(), ["flow.failing"], "it fails anew");
}

#[test]
fn an_alert_that_is_refused_again_and_again_delays_no_other_one() {
    let settings = AlertSettings { after_failures: 1, no_heartbeat_for: Some(SECOND), ..told_by_url() };
    let mut bench = Bench::new("refused", settings);
    bench.pass(SECOND);
    assert_eq!(bench.take_all(), ["agent.silent"]);
    bench.run(1);
    for _ in 0..16 {
        bench.answer(400);
        while bench.sent.is_empty() {
            bench.pass(60 * SECOND);
        }
    }
    bench.answer(400);
    assert!(bench.sent.is_empty());
    bench.beat();
    assert_eq!(bench.on_its_way().0["type"], "agent.returned", "at once");
}

#[test]
fn an_answer_that_comes_after_a_reload_shows_nothing_of_the_url_before() {
    let mut bench = Bench::new("reloaded", AlertSettings { after_failures: 1, ..told_by_url() });
    bench.run(1);
    let url = Url::parse("http://other.example/new").unwrap();
    let to = Some(Recipient::Url { url, secret_file: PathBuf::from("/box/alert-secret") });
    bench.reload(AlertSettings { to, ..bench.settings.clone() });
    bench.nobody_answers();
    let error = bench.figures().last_error.unwrap();
    assert!(error.contains("receiver.example") && !error.contains("/in"), "{error}");
}

#[test]
fn the_watchdog_hears_of_us_only_while_the_database_can_be_written() {
    let url = Url::parse("http://watch.example/ping/secret").unwrap();
    let watchdog = Some(Watchdog { url, every: 60 * SECOND });
    let mut bench = Bench::new("watchdog", AlertSettings { watchdog, ..AlertSettings::default() });
    assert_eq!(bench.sent.len(), 1, "at once");
    let answered = || Err(Unanswered { message: "x".to_owned(), may_succeed_later: true });
    bench.pass(600 * SECOND);
    assert_eq!(bench.sent.len(), 1, "one at a time");
    bench.handle(Event::Answered { job: Job::Watchdog, answered: answered() });
    bench.pass(SECOND);
    assert_eq!(bench.sent.len(), 2);
    let holder = rusqlite::Connection::open(bench.database()).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let order = Order::Run { flow: "upload".to_owned(), from: None };
    bench.handle(Event::Order { connection: ConnectionId(1), uid: 0, order, wait: None });
    bench.round();
    bench.handle(Event::Answered { job: Job::Watchdog, answered: answered() });
    bench.pass(600 * SECOND);
    assert_eq!(bench.sent.len(), 2, "not while it is degraded");
    holder.execute_batch("COMMIT").unwrap();
    bench.pass(62 * SECOND);
    assert_eq!(bench.sent.len(), 3);
}

#[test]
fn nothing_is_told_and_nothing_written_where_nobody_is_to_be_told() {
    let settings = AlertSettings {
        to: None,
        after_failures: 1,
        no_heartbeat_for: Some(HOUR),
        run_longer_than: Some(SECOND),
        ..told_by_url()
    };
    let mut bench = Bench::new("nobody", settings);
    bench.run(1);
    bench.pass(2 * HOUR);
    assert_eq!((bench.figures().undelivered, bench.figures().open_total), (0, 0));
}
