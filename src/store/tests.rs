//! The store against a real file.

use super::*;
use crate::flow::{
    Command, Configuration, Definition, End, ErrorKind, FlowName, Origin, Retry, Schedule, Status,
};

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
    store.apply_definition(&definition(name, 60), Origin::Database, NOW).unwrap();
    store.flow(name).unwrap().unwrap().id
}

fn record(store: &mut Store, flow: FlowId) -> Result<RunId> {
    let claim = Claim { agent: "default", heartbeat_id: Some("msg_1") };
    store.record_run(&NewRun { flow, claim, scheduled_at: NOW, misfires: 0 }, NOW)
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
    store.in_savepoint(|store| record(store, one)).unwrap();
    let refused = store.in_savepoint(|store| {
        record(store, two)?;
        record(store, one)
    });
    assert_eq!(refused.unwrap_err().cause, Cause::Constraint);
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
        store.advance_flow(flow, Wall::from_seconds(NOW.as_seconds() + next), NOW).unwrap();
    }
    let never = add(&mut store, "never");
    let names = |flows: Vec<DueFlow>| flows.into_iter().map(|flow| flow.name).collect::<Vec<_>>();
    assert_eq!(names(store.claimable(NOW, 10).unwrap()), ["ahead", "never", "past", "now"]);
    assert_eq!(names(store.claimable(NOW, 3).unwrap()), ["ahead", "never", "past"]);
    record(&mut store, never).unwrap();
    assert_eq!(store.count_due(NOW).unwrap(), DueCounts { due: 4, open: 1 });
    assert_eq!(names(store.claimable(NOW, 10).unwrap()), ["ahead", "past", "now"]);
    assert_eq!(store.due_to_run(NOW).unwrap().len(), 4);
    assert!(store.horizon().unwrap().may_be_due(NOW));
}

#[test]
fn between_its_horizons_nothing_is_due() {
    let folder = Folder::new("horizon");
    let mut store = folder.open();
    assert!(!store.horizon().unwrap().may_be_due(NOW), "no flow is never due");
    let flow = add(&mut store, "one");
    store.advance_flow(flow, Wall::from_seconds(NOW.as_seconds() + 60), NOW).unwrap();
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
    store.advance_flow(flow, Wall::from_seconds(1_800_000_060), NOW).unwrap();
    let applied = store.apply_definition(&definition("one", 600), Origin::Database, NOW).unwrap();
    assert_eq!(applied, Applied::Updated);
    assert_eq!(store.flow("one").unwrap().unwrap().next_run_at, Some(Wall::from_seconds(1_800_000_600)));
    let again = store.apply_definition(&definition("one", 600), Origin::Database, NOW).unwrap();
    assert_eq!(again, Applied::Unchanged);
}

#[test]
fn an_open_run_keeps_the_definition_that_it_was_recorded_with() {
    let folder = Folder::new("keeps");
    let mut store = folder.open();
    let flow = add(&mut store, "one");
    record(&mut store, flow).unwrap();
    let mut changed = definition("one", 60);
    changed.configuration.timeout_ms = 9;
    store.apply_definition(&changed, Origin::Database, NOW).unwrap();
    let (run, ..) = store.pending_runs().unwrap().remove(0);
    let pending = store.pending_run(run).unwrap().unwrap();
    assert_eq!(pending.configuration.as_ref().unwrap().timeout_ms, 1000);
}

#[test]
fn a_second_owner_is_refused_and_a_reader_is_welcome() {
    let folder = Folder::new("owner");
    let mut store = folder.open();
    add(&mut store, "one");
    let second = Store::open(&folder.database(), Durability::Full, 8, NOW).unwrap_err();
    assert_eq!(second.cause, Cause::Owned);
    let mut reader = Store::open_to_read(&folder.database()).unwrap();
    assert_eq!(reader.flows().unwrap().len(), 1);
    assert!(reader.advance_flow(FlowId(1), NOW, NOW).is_err());
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

#[test]
fn no_query_of_a_heartbeat_or_of_an_end_scans_a_table() {
    let folder = Folder::new("plan");
    let store = folder.open();
    let queries = [
        flows::COUNT_DUE,
        flows::COUNT_AHEAD,
        flows::CLAIM_DUE,
        flows::CLAIM_AHEAD,
        flows::EARLIEST,
        flows::FURTHEST,
        flows::ADVANCE,
        runs::PENDING_RUN,
        runs::START,
        runs::END,
        runs::NOTE_END,
        runs::RECORD_AGAIN,
        retention::NOTE_DAY,
        retention::OLDEST_KEPT,
        retention::PRUNE_SUCCESSES,
        retention::PRUNE_FAILURES,
        history::SUMMARIES,
        history::COUNT,
        history::OPEN,
        heartbeats::FIND,
        heartbeats::NOTE_AGENT,
    ];
    for sql in queries {
        let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let parameters = vec![rusqlite::types::Null; plan.parameter_count()];
        let rows =
            plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get::<_, String>("detail"));
        for step in rows.unwrap() {
            let step = step.unwrap();
            assert!(!step.contains("SCAN"), "{sql}\n  {step}");
            assert!(!step.contains("TEMP B-TREE"), "{sql}\n  {step}");
        }
    }
}
