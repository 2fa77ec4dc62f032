//! The store against a real file.

mod plans;
mod pruning;

use super::*;
use crate::flow::{
    Command, Configuration, Definition, End, ErrorKind, FlowName, Origin, Retry, Schedule, Status,
};
use crate::time::Zones;

const NOW: Wall = Wall::from_seconds(1_800_000_000);

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("heartbeat-store-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn database(&self) -> PathBuf {
        self.0.join("heartbeat.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.database(), Durability::Full, 7, NOW).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn definition(name: &str, run_interval_s: u64) -> Definition {
    let command =
        Command { argv: vec!["/bin/true".to_owned()], working_directory: "/".into(), ..Command::default() };
    Definition {
        name: FlowName::new(name).unwrap(),
        description: None,
        enabled: true,
        run_interval_s,
        configuration: Configuration {
            schedule: Schedule::FixedRate,
            calendar: Default::default(),
            timeout_ms: 1000,
            kill_grace_ms: None,
            leftovers: Default::default(),
            retry: Retry::default(),
            rerun_interrupted: None,
            kind: "command".to_owned(),
            settings: serde_json::to_value(command).unwrap(),
        },
    }
}

fn add(store: &mut Store, name: &str) -> FlowId {
    store.apply_definition(&definition(name, 60), Origin::Database, &Zones::utc_only(), NOW).unwrap();
    store.flow(name).unwrap().unwrap().id
}

/// It leaves the flow's run time as it is.
fn new_run(store: &Store, flow: FlowId) -> NewRun {
    let at = "SELECT next_run_at, ahead_slack FROM data_flows WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((wall(row, "next_run_at")?, row.get("ahead_slack")?));
    let (next_run_at, slack_ms) = store.query_one("read a run time", at, [flow.0], read).unwrap();
    NewRun { flow, scheduled_at: NOW, misfires: 0, next_run_at, slack_ms }
}

fn advance(store: &mut Store, flow: FlowId, next_run_at: Wall, slack_ms: i64) {
    let params = rusqlite::params![flow.0, next_run_at.as_millis(), slack_ms, NOW.as_millis()];
    assert_eq!(store.execute("move a flow", claim::ADVANCE, params).unwrap(), 1);
}

fn record(store: &mut Store, flow: FlowId) -> Result<RunId> {
    let claim = Claim { agent: "default", heartbeat_id: Some("msg_1") };
    store.record_runs(claim, &[new_run(store, flow)], NOW)
}

fn succeeded(duration_ms: i64) -> End {
    End {
        error: None,
        exit: Some(crate::flow::Exit::Code(0)),
        duration_ms: Some(duration_ms),
        output: "ok\n".into(),
        output_truncated: false,
    }
}

/// As a process leaves it that is killed.
fn leave_a_log(folder: &Folder) -> PathBuf {
    let before = folder.0.join("before.db");
    let mut store = Store::open(&before, Durability::Full, 7, NOW).unwrap();
    add(&mut store, "it");
    std::fs::copy(before, folder.database()).unwrap();
    let log = folder.0.join("heartbeat.db-wal");
    std::fs::copy(folder.0.join("before.db-wal"), &log).unwrap();
    std::fs::File::options().write(true).open(&log).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    log
}

fn is_old(file: &Path) -> bool {
    std::fs::metadata(file).unwrap().modified().unwrap() == std::time::UNIX_EPOCH
}

#[test]
fn a_log_that_was_left_is_written_anew_as_it_was_wherever_a_link_leads() {
    let folder = Folder::new("left");
    let log = leave_a_log(&folder);
    let left = std::fs::read(&log).unwrap();
    let link = folder.0.join("link.db");
    std::os::unix::fs::symlink(folder.database(), &link).unwrap();
    let store = Store::open(&link, Durability::Full, 7, NOW).unwrap();
    assert!(!is_old(&log) && std::fs::read(&log).unwrap() == left);
    assert!(store.flow("it").unwrap().is_some());
}

#[test]
fn a_log_that_was_left_is_not_touched_while_another_program_may_write_to_it() {
    let folder = Folder::new("left-and-held");
    let log = leave_a_log(&folder);
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let owned = Owned::take(&folder.database(), Duration::ZERO).unwrap();
    let open = || Store::open_owned(&owned, Durability::Full, 7, Duration::ZERO, NOW);
    assert_eq!(open().unwrap_err().cause, Cause::Busy);
    assert!(is_old(&log));
    other.execute_batch("COMMIT").unwrap();
    assert!(open().is_ok() && !is_old(&log));
}

#[test]
fn a_flow_has_one_open_run_whatever_the_caller_does() {
    let folder = Folder::new("open");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let run = record(&mut store, flow).unwrap();
    assert_eq!(record(&mut store, flow).unwrap_err().cause, Cause::Constraint);
    store.start_run(run, NOW).unwrap();
    assert_eq!(record(&mut store, flow).unwrap_err().cause, Cause::Constraint);
    store.end_run(run, Status::InProgress, &succeeded(5), NOW).unwrap();
    assert!(record(&mut store, flow).is_ok());
}

#[test]
fn the_runs_of_a_claim_follow_each_other_however_many_there_are() {
    let folder = Folder::new("claim");
    let mut store = folder.open();
    store.begin().unwrap();
    let claim = Claim { agent: "one", heartbeat_id: None };
    let mut next = 1;
    for count in [1, 15, 16, 17, 32, 50] {
        let flows: Vec<_> = (0..count).map(|number| add(&mut store, &format!("{count}-{number}"))).collect();
        let at = |number: i64| Wall::from_seconds(1_900_000_000 + number);
        let run = |(flow, number)| NewRun {
            flow,
            scheduled_at: at(number),
            misfires: number.unsigned_abs(),
            next_run_at: at(number + 60),
            slack_ms: number,
        };
        let runs: Vec<NewRun> = flows.into_iter().rev().zip(1..).map(run).collect();
        assert_eq!(store.record_runs(claim, &runs, NOW).unwrap(), RunId(next), "{count}");
        let each = "SELECT run.id, flow.id, scheduled_at, misfires, next_run_at, ahead_slack, agent
          FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = data_flow_id WHERE run.id >= ?1 ORDER BY run.id";
        let read = |row: &rusqlite::Row<'_>| {
            let misfires: i64 = row.get(3)?;
            let run = NewRun {
                flow: FlowId(row.get(1)?),
                scheduled_at: wall(row, "scheduled_at")?,
                misfires: misfires.unsigned_abs(),
                next_run_at: wall(row, "next_run_at")?,
                slack_ms: row.get(5)?,
            };
            Ok((row.get(0)?, row.get(6)?, run))
        };
        let recorded = store.query_all("read the runs", each, [next], read).unwrap();
        let expected: Vec<_> = (next..).zip(&runs).map(|(id, run)| (id, "one".to_owned(), *run)).collect();
        assert_eq!(recorded, expected);
        next += i64::from(count);
        assert_eq!(
            store.record_runs(claim, &runs, NOW).unwrap_err().cause,
            Cause::Constraint,
            "all are open"
        );
    }
    store.roll_back();
}

#[test]
fn any_writer_is_refused_a_transition_backwards() {
    let folder = Folder::new("transition");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let run = record(&mut store, flow).unwrap();
    store.start_run(run, NOW).unwrap();
    store.end_run(run, Status::InProgress, &succeeded(5), NOW).unwrap();
    let shell = rusqlite::Connection::open(folder.database()).unwrap();
    let backwards = "UPDATE data_flow_runs SET status = 'in_progress', ended_at = NULL";
    assert!(shell.execute(backwards, []).unwrap_err().to_string().contains("a run goes from pending"));
}

#[test]
fn a_clock_that_steps_back_breaks_no_constraint() {
    let folder = Folder::new("steps-back");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let earlier = Wall::from_seconds(1000);
    for duration in [Some(1500), None] {
        let run = record(&mut store, flow).unwrap();
        store.start_run(run, NOW).unwrap();
        let end = End { duration_ms: duration, ..succeeded(0) };
        store.end_run(run, Status::InProgress, &end, earlier).unwrap();
        let ended = store.run(run).unwrap().unwrap().ended_at.unwrap();
        assert_eq!(ended.as_millis(), NOW.as_millis() + duration.unwrap_or(0));
    }
}

#[test]
fn ends_are_noted_at_the_flow() {
    let folder = Folder::new("noted");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let mut end_with = |end: &End| {
        let run = record(&mut store, flow).unwrap();
        store.start_run(run, NOW).unwrap();
        store.end_run(run, Status::InProgress, end, NOW).unwrap();
        let flow = store.flow("one").unwrap().unwrap();
        (flow.last_run_status.unwrap(), flow.consecutive_failures)
    };
    let failed = End::without_process(ErrorKind::ExitStatus, "exit status 3");
    let interrupted = End::without_process(ErrorKind::Interrupted, "the daemon ended");
    assert_eq!(end_with(&failed), ("failed".to_owned(), 1));
    assert_eq!(end_with(&failed), ("failed".to_owned(), 2));
    assert_eq!(end_with(&interrupted), ("failed".to_owned(), 2));
    assert_eq!(end_with(&succeeded(1)), ("success".to_owned(), 0));
}

#[test]
fn what_cannot_be_true_of_a_run_or_a_heartbeat_is_refused_of_any_writer() {
    let folder = Folder::new("untrue");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    record(&mut store, flow).unwrap();
    let refused = |sql: &str| {
        let error = store.connection.execute_batch(sql).expect_err(sql);
        assert_eq!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::ConstraintViolation),
            "{sql}: {error}"
        );
    };
    let columns = "data_flow_id, status, scheduled_at, started_at, ended_at, created_at, updated_at";
    refused(&format!("INSERT INTO data_flow_runs ({columns}) VALUES ({}, 'success', 1, 1, 1, 1, 1)", flow.0));
    refused("UPDATE data_flow_runs SET duration_ms = 5");
    refused("UPDATE data_flow_runs SET exit_code = 0");
    store
        .connection
        .execute_batch("UPDATE data_flow_runs SET status = 'in_progress', started_at = 1")
        .unwrap();
    let ended = "UPDATE data_flow_runs SET status = 'success', ended_at = 2";
    refused(&format!("{ended}, exit_code = 1"));
    refused(&format!("{ended}, signal = 9"));
    store.connection.execute_batch(&format!("{ended}, exit_code = 0")).unwrap();
    refused(
        "INSERT INTO heartbeats (agent, received_at, flows_due, flows_triggered, flows_skipped, flows_deferred,
           first_run_id) VALUES ('default', 1, 3, 1, 1, 0, 1)",
    );
}

#[test]
fn an_event_that_is_refused_is_dropped_alone() {
    let folder = Folder::new("savepoint");
    let mut store = folder.open();
    let (one, two) = (add(&mut store, "one"), add(&mut store, "two"));
    store.begin().unwrap();
    // As the first event, and after another.
    for locked in [two, one] {
        let refused = store.in_savepoint(|store| {
            record(store, two)?;
            record(store, locked)
        });
        assert_eq!(refused.unwrap_err().cause, Cause::Constraint);
        if locked == two {
            store.in_savepoint(|store| record(store, one)).unwrap();
        }
    }
    store.commit().unwrap();
    let runs = store.runs(&RunFilter { limit: 10, ..RunFilter::default() }).unwrap();
    assert_eq!(runs.iter().map(|run| run.flow.as_str()).collect::<Vec<_>>(), ["one"]);
}

#[test]
fn an_id_is_never_given_twice() {
    let folder = Folder::new("ids");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let first = record(&mut store, flow).unwrap();
    store.connection.execute("DELETE FROM data_flows", []).unwrap();
    assert!(store.run(first).unwrap().is_none(), "deleting a flow deletes its runs");
    let flow = add(&mut store, "one");
    assert!(record(&mut store, flow).unwrap() > first);
}

#[test]
fn what_is_due_is_found_by_time_and_by_a_clock_that_jumped_back() {
    let folder = Folder::new("due");
    let mut store = folder.open();
    for (name, next) in [("past", -5), ("now", 0), ("soon", 30), ("steered", 100), ("ahead", 10_000)] {
        let flow = add(&mut store, name);
        advance(&mut store, flow, Wall::from_seconds(NOW.as_seconds() + next), 0);
    }
    let never = add(&mut store, "never");
    let names = |flows: Vec<DueFlow>| flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>();
    assert_eq!(names(store.claimable(NOW, &[], 10).unwrap()), ["ahead", "never", "past", "now"]);
    assert_eq!(names(store.claimable(NOW, &[], 3).unwrap()), ["ahead", "never", "past"]);
    record(&mut store, never).unwrap();
    assert_eq!(store.count_due(NOW, &[]).unwrap(), DueCounts { due: 4, open: 1, shut: 0 });
    assert_eq!(names(store.claimable(NOW, &[], 10).unwrap()), ["ahead", "past", "now"]);
    assert_eq!(store.due_to_run(NOW).unwrap().len(), 4);
    assert!(store.horizon().unwrap().may_be_due(NOW));
}

#[test]
fn among_named_flows_others_are_neither_counted_nor_claimed() {
    let folder = Folder::new("among");
    let mut store = folder.open();
    for name in ["ahead", "now", "open", "others", "past", "shut", "soon"] {
        apply(&mut store, &definition(name, 60));
    }
    apply(&mut store, &with("shut", 60, Schedule::FixedRate, r#"{"only_between":["22:00","05:00"]}"#));
    let id = |store: &Store, name: &str| store.flow(name).unwrap().unwrap().id;
    for (name, offset_s) in [("ahead", 7200), ("now", 0), ("others", -9), ("past", -60), ("soon", 1)] {
        let flow = id(&store, name);
        advance(&mut store, flow, Wall::from_seconds(NOW.as_seconds() + offset_s), 0);
    }
    let open = id(&store, "open");
    record(&mut store, open).unwrap();
    let shut = store.windows().unwrap();
    let named = ["now", "ahead", "shut", "open", "gone", "soon", "past"].map(str::to_owned);
    let counts = store.count_due_among(&named, NOW, &shut).unwrap();
    assert_eq!(counts, DueCounts { due: 5, open: 1, shut: 1 });
    let claimable = |at_most| {
        let flows = store.claimable_among(&named, NOW, &shut, at_most).unwrap();
        flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>()
    };
    assert_eq!(claimable(10), ["ahead", "past", "now"], "as among all flows");
    assert_eq!(claimable(2), ["ahead", "past"]);
    assert_eq!(store.count_due_among(&[], NOW, &shut).unwrap(), DueCounts::default());
}

#[test]
fn between_its_horizons_nothing_is_due() {
    let folder = Folder::new("horizon");
    let mut store = folder.open();
    assert!(!store.horizon().unwrap().may_be_due(NOW), "no flow is never due");
    let flow = add(&mut store, "one");
    advance(&mut store, flow, Wall::from_seconds(NOW.as_seconds() + 60), 0);
    let horizon = store.horizon().unwrap();
    for (offset, may_be_due) in [(-1, true), (0, false), (59, false), (60, true)] {
        let now = Wall::from_seconds(NOW.as_seconds() + offset);
        assert_eq!(horizon.may_be_due(now), may_be_due, "{offset}");
    }
}

#[test]
fn a_new_interval_counts_from_the_last_due_time() {
    let folder = Folder::new("interval");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    advance(&mut store, flow, Wall::from_seconds(1_800_000_060), 0);
    let applied =
        store.apply_definition(&definition("one", 600), Origin::Database, &Zones::utc_only(), NOW).unwrap();
    assert_eq!(applied, Applied::Updated);
    assert_eq!(store.flow("one").unwrap().unwrap().next_run_at, Some(Wall::from_seconds(1_800_000_600)));
    let again =
        store.apply_definition(&definition("one", 600), Origin::Database, &Zones::utc_only(), NOW).unwrap();
    assert_eq!(again, Applied::Unchanged);
}

#[test]
fn an_attempt_waits_no_longer_than_its_backoff_wherever_the_clock_jumps() {
    let folder = Folder::new("waits");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let run = record(&mut store, flow).unwrap();
    store.start_run(run, NOW).unwrap();
    let end = End::without_process(ErrorKind::ExitStatus, "exit status 1");
    let then = Then::Retry { not_before: NOW + Duration::from_secs(10) };
    store.end_run_then(run, Status::InProgress, &end, then, NOW).unwrap();
    for (clock_s, left_s) in [(0, 10), (3, 7), (11, 0), (86_400 * 365, 0), (-86_400 * 14, 10)] {
        let now = Wall::from_seconds(NOW.as_seconds() + clock_s);
        let (.., left) = store.pending_runs(now).unwrap().remove(0);
        assert_eq!(left, Some(Duration::from_secs(left_s)), "{clock_s} s later");
    }
}

#[test]
fn an_open_run_keeps_the_definition_that_it_was_recorded_with() {
    let folder = Folder::new("keeps");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    record(&mut store, flow).unwrap();
    let mut changed = definition("one", 60);
    changed.configuration.timeout_ms = 9;
    store.apply_definition(&changed, Origin::Database, &Zones::utc_only(), NOW).unwrap();
    let (run, ..) = store.pending_runs(NOW).unwrap().remove(0);
    let pending = store.pending_run(run).unwrap().unwrap();
    assert_eq!(pending.configuration.as_ref().unwrap().timeout_ms, 1000);
}

#[test]
fn a_second_owner_is_refused_and_a_reader_is_welcome() {
    let folder = Folder::new("owner");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    let second = Store::open(&folder.database(), Durability::Full, 8, NOW).unwrap_err();
    assert_eq!(second.cause, Cause::Owned);
    let mut reader = Store::open_to_read(&folder.database()).unwrap();
    assert_eq!(reader.flows().unwrap().len(), 1);
    assert!(record(&mut reader, flow).is_err());
    drop(store);
    assert!(Store::open(&folder.database(), Durability::Full, 8, NOW).is_ok());
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_as_it_was() {
    let folder = Folder::new("foreign");
    let text = b"this is not a database, it is a letter to somebody, and it is longer than a header".to_vec();
    std::fs::write(folder.database(), &text).unwrap();
    let error = Store::open(&folder.database(), Durability::Full, 7, NOW).unwrap_err();
    assert_eq!(error.cause, Cause::Foreign, "{error}");
    assert_eq!(std::fs::read(folder.database()).unwrap(), text);
    let directory = Store::open(&folder.0, Durability::Full, 7, NOW).unwrap_err();
    assert_eq!(directory.cause, Cause::Foreign);
}

/// The same flow with a calendar of its own.
fn with(name: &str, run_interval_s: u64, schedule: Schedule, calendar: &str) -> Definition {
    let plain = definition(name, run_interval_s);
    let calendar = serde_json::from_str(calendar).unwrap();
    Definition { configuration: Configuration { schedule, calendar, ..plain.configuration }, ..plain }
}

fn apply(store: &mut Store, definition: &Definition) -> Flow {
    store.apply_definition(definition, Origin::Database, &Zones::utc_only(), NOW).unwrap();
    store.flow(definition.name.as_str()).unwrap().unwrap()
}

#[test]
fn a_fixed_delay_counts_from_the_end_of_the_last_run_whatever_else_a_run_moves() {
    let folder = Folder::new("delay");
    let mut store = folder.open();
    for (schedule, next_s) in [(Schedule::FixedDelay, 1060), (Schedule::FixedRate, 60)] {
        let flow = apply(&mut store, &with(schedule.as_str(), 60, schedule, "{}")).id;
        advance(&mut store, flow, Wall::from_seconds(NOW.as_seconds() + 60), 0);
        let run = record(&mut store, flow).unwrap();
        store.start_run(run, NOW).unwrap();
        let end = Wall::from_seconds(NOW.as_seconds() + 1000);
        store.end_run(run, Status::InProgress, &succeeded(1_000_000), end).unwrap();
        let next = store.flow(schedule.as_str()).unwrap().unwrap().next_run_at.unwrap();
        assert_eq!(next.as_seconds() - NOW.as_seconds(), next_s, "{schedule:?}");
    }
}

#[test]
fn a_flow_outside_its_window_is_counted_and_not_claimed() {
    let folder = Folder::new("windows");
    let mut store = folder.open();
    for name in ["night-1", "night-2"] {
        apply(&mut store, &with(name, 60, Schedule::FixedRate, r#"{"only_between":["22:00","05:00"]}"#));
    }
    apply(&mut store, &with("day", 60, Schedule::FixedRate, r#"{"only_between":["05:00","22:00"]}"#));
    let always = add(&mut store, "always");
    let mut windows = store.windows().unwrap();
    windows.retain(|window| window.to_string() == "22:00-05:00 UTC");
    assert_eq!((windows.len(), store.windows().unwrap().len()), (1, 2), "flows share a window");
    assert_eq!(store.count_due(NOW, &windows).unwrap(), DueCounts { due: 4, open: 0, shut: 2 });
    let names = |flows: Vec<DueFlow>| flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>();
    assert_eq!(names(store.claimable(NOW, &windows, 2).unwrap()), ["day", "always"], "they take up no room");
    record(&mut store, always).unwrap();
    let night = store.flow("night-1").unwrap().unwrap();
    record(&mut store, night.id).unwrap();
    let counts = store.count_due(NOW, &windows).unwrap();
    assert_eq!((counts, counts.claimable()), (DueCounts { due: 4, open: 2, shut: 1 }, 1));
    advance(&mut store, night.id, Wall::from_seconds(NOW.as_seconds() + 1_000_000), 0);
    assert_eq!(store.count_due(NOW, &windows).unwrap(), counts, "nor if the clock jumped back");
}

#[test]
fn a_new_schedule_moves_the_next_run_time_and_other_changes_do_not() {
    let folder = Folder::new("change");
    let mut store = folder.open();
    let moved = |store: &mut Store, changed: Definition| {
        let next = apply(store, &changed).next_run_at.unwrap();
        next.as_seconds() - NOW.as_seconds()
    };
    // NOW is 08:00 in UTC.
    let daily = r#"{"at":"02:30"}"#;
    assert_eq!(moved(&mut store, with("one", 86_400, Schedule::FixedRate, daily)), 66_600, "not at once");
    let described =
        Definition { description: Some("x".to_owned()), ..with("one", 86_400, Schedule::FixedRate, daily) };
    assert_eq!(moved(&mut store, described), 66_600);
    assert_eq!(moved(&mut store, with("one", 86_400, Schedule::FixedRate, r#"{"at":"12:00"}"#)), 14_400);
    assert_eq!(moved(&mut store, with("one", 3600, Schedule::FixedRate, r#"{"at":"12:30"}"#)), 1800);
    assert_eq!(moved(&mut store, with("one", 7200, Schedule::FixedRate, "{}")), 5400);
    assert_eq!(moved(&mut store, with("one", 3600, Schedule::FixedDelay, "{}")), 1800);
    let windowed = r#"{"only_between":["01:00","05:00"]}"#;
    assert_eq!(moved(&mut store, with("one", 3600, Schedule::FixedDelay, windowed)), 1800);
    let plain = apply(&mut store, &with("two", 3600, Schedule::FixedRate, "{}"));
    assert_eq!(plain.next_run_at, None, "due at once");
}

#[test]
fn a_run_time_may_lie_further_ahead_by_its_slack() {
    let folder = Folder::new("slack");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    for (ahead_s, is_due) in [(60 + 3600 + 60, 0), (60 + 3600 + 61, 1)] {
        let next = Wall::from_seconds(NOW.as_seconds() + ahead_s);
        advance(&mut store, flow, next, 3_600_000);
        assert_eq!(store.count_due(NOW, &[]).unwrap().due, is_due, "{ahead_s}");
        assert!(store.horizon().unwrap().may_be_due(NOW) || is_due == 0);
    }
}

#[test]
fn a_run_that_is_recorded_before_the_clock_is_set_is_marked() {
    let folder = Folder::new("unset");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    for (now, unset) in [(Wall::from_seconds(90), true), (NOW, false)] {
        let claim = Claim { agent: "internal", heartbeat_id: None };
        let run = new_run(&store, flow);
        let id = store.record_runs(claim, &[run], now).unwrap();
        let sql = "SELECT clock_unset FROM data_flow_runs WHERE id = ?1";
        let marked: bool = store.connection.query_row(sql, [id.0], |row| row.get(0)).unwrap();
        assert_eq!(marked, unset);
        store.start_run(id, now).unwrap();
        store.end_run(id, Status::InProgress, &succeeded(5), now).unwrap();
    }
}

#[test]
fn a_backup_that_is_cut_short_takes_no_file_of_the_database_with_it() {
    let folder = Folder::new("cut-short");
    let (database, copy) = (folder.0.join("plain.new"), folder.0.join("copy.new"));
    std::fs::write(&database, "all there is").unwrap();
    std::fs::write(&copy, "half a copy").unwrap();
    let cut = Cut::default();
    Store::drop_backup(&database, &folder.0.join("copy"), &cut);
    Store::drop_backup(&database, &folder.0.join("plain"), &cut);
    assert!(database.exists() && !copy.exists());
}

#[test]
fn a_backup_that_is_cut_short_makes_no_file_afterwards_however_far_it_was() {
    let folder = Folder::new("cut-early");
    let store = folder.open();
    let (target, copy, cut) = (folder.0.join("a#copy?"), folder.0.join("a#copy?.new"), Cut::default());
    let error = store.copy_to(&copy, &target).unwrap_err();
    assert!(!copy.exists(), "{error}");
    Store::drop_backup(&folder.database(), &target, &cut);
    let error = Store::back_up(&folder.database(), &target, &cut).unwrap_err();
    assert!(error.reason.contains("cut short") && !copy.exists(), "{error}");
    Store::back_up(&folder.database(), &target, &Cut::default()).unwrap();
    assert!(target.exists() && !copy.exists());
}

#[test]
fn a_backup_onto_a_database_that_a_flow_has_open_leaves_it_its_locks() {
    let folder = Folder::new("of-a-flow");
    let (source, target) = (folder.0.join("heartbeat.db"), folder.0.join("out.db"));
    let flows = rusqlite::Connection::open(&target).unwrap();
    flows.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
    let error = Store::back_up(&source, &target, &Cut::default()).unwrap_err();
    assert!(error.is_of_backup_target() && error.reason.contains("in use"), "{error}");
    assert!(is_locked_by_us(&std::fs::metadata(&target).unwrap()).unwrap());
}
