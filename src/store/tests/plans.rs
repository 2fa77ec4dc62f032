//! What SQLite makes of the queries.

use super::*;

fn plan(store: &Store, sql: &str) -> Vec<String> {
    let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = vec![rusqlite::types::Null; plan.parameter_count()];
    let steps = plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get("detail"));
    steps.unwrap().map(|step| step.unwrap()).collect()
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
        claim::ADVANCE,
        runs::PENDING_RUN,
        runs::START,
        runs::END,
        runs::ENDING,
        runs::NOTE_END,
        runs::DELAY,
        runs::NOTE_ATTEMPT,
        runs::RECORD_AGAIN,
        retention::NOTE_DAY,
        retention::OLDEST_KEPT,
        retention::RUNS_ENDED,
        retention::PRUNE_SUCCESSES,
        retention::PRUNE_FAILURES,
        history::SUMMARIES,
        history::COUNT,
        history::OPEN,
        glance::STANDING,
        glance::MARKS,
        glance::LINES,
        glance::LOOKED_UNTIL,
        glance::BEFORE,
        glance::AFTER,
        glance::STANDINGS,
        glance::FLOW,
        glance::DAYS,
        heartbeats::FIND,
        heartbeats::NOTE_AGENT,
    ];
    for sql in queries.into_iter().chain(flows::QUERIES_AMONG) {
        for step in plan(&store, sql) {
            // The list of windows that are not open, or of an agent's flows: a parameter, not a table.
            if step.contains("json_each VIRTUAL TABLE") {
                continue;
            }
            assert!(!step.contains("SCAN"), "{sql}\n  {step}");
            // What is due for others is not gone through.
            let is_by_name = !step.contains("SEARCH data_flows") || step.contains("(name=?)");
            assert!(is_by_name || !flows::QUERIES_AMONG.contains(&sql), "{sql}\n  {step}");
            assert!(!step.contains("TEMP B-TREE"), "{sql}\n  {step}");
        }
    }
}

#[test]
fn what_the_start_asks_for_is_found_in_indexes_that_leave_other_flows_out() {
    let folder = Folder::new("plan-start");
    let store = folder.open();
    for (sql, index) in [
        (calendars::WINDOWS, "COVERING INDEX data_flows_windows"),
        (calendars::ZONES, "INDEX data_flows_zones"),
        (calendars::IN_ZONE, "INDEX data_flows_zones"),
        (flows::OF_FILES, "COVERING INDEX data_flows_of_files"),
        (runs::PENDING, "INDEX data_flow_runs_open"),
        (runs::IN_PROGRESS, "INDEX data_flow_runs_open"),
    ] {
        let mut steps = plan(&store, sql);
        steps.retain(|step| ["data_flow", "SCAN run", "SEARCH run"].iter().any(|table| step.contains(table)));
        assert!(!steps.is_empty() && steps.iter().all(|step| step.contains(index)), "{sql}\n  {steps:?}");
    }
}

#[test]
fn what_metrics_ask_for_is_as_much_as_they_tell_however_many_flows_there_are() {
    let folder = Folder::new("metrics");
    let mut store = folder.open();
    // In the order of the rows, so that its limit ends it.
    assert_eq!(plan(&store, metrics::STATES), ["SCAN data_flows"]);
    for counted in [metrics::TOTAL, metrics::RUNNABLE] {
        let plan = plan(&store, counted);
        assert!(plan.iter().all(|step| step.contains("COVERING INDEX")), "{counted}\n  {plan:?}");
    }
    let ids: Vec<_> = ["c", "b", "a"].map(|name| apply(&mut store, &definition(name, 60)).id).into();
    store.hold_flow(ids[0], true, NOW).unwrap();
    let states = store.flow_states(2).unwrap();
    assert_eq!((states.total, states.runnable), (3, 2));
    assert_eq!(states.flows.iter().map(|flow| flow.id).collect::<Vec<_>>(), ids[..2]);
    let [held, other] = states.flows.try_into().unwrap();
    assert!(held.held && !held.runnable && !other.held && other.runnable);
    assert_eq!((other.next_run_at, other.last_run_at, other.last_run_succeeded), (None, None, None));
}
