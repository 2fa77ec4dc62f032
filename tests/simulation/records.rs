//! What the database's file holds, as a reader beside the daemon finds it.

use std::collections::BTreeMap;

use heartbeat_runtime::flow::{Configuration, Status};
use rusqlite::OptionalExtension;

use super::invariants::{Book, Run};
use super::pipelines::States;

/// A flow as the file has it.
#[derive(Debug)]
pub(crate) struct FlowRow {
    pub(crate) is_of_file: bool,
    pub(crate) enabled: bool,
    pub(crate) interval_s: u64,
    pub(crate) configuration: Configuration,
}

impl Book {
    /// The flows on record, by name.
    pub(crate) fn definitions(&self) -> BTreeMap<String, FlowRow> {
        let sql = "SELECT name, origin, enabled, run_interval, configuration FROM data_flows";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            let configuration: String = row.get(4)?;
            let row_of_flow = FlowRow {
                is_of_file: row.get::<_, String>(1)? == "file",
                enabled: row.get(2)?,
                interval_s: row.get::<_, i64>(3)?.unsigned_abs(),
                configuration: serde_json::from_str(&configuration).expect("a definition"),
            };
            Ok((row.get(0)?, row_of_flow))
        };
        statement.query_map([], read).and_then(Iterator::collect).expect("readable")
    }

    /// Flows that run when they are due.
    pub(crate) fn runnable(&self) -> Vec<String> {
        let sql = "SELECT name FROM data_flows WHERE enabled AND NOT held ORDER BY name";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("readable")
    }

    /// Flows whose run time passed more than so long ago.
    pub(crate) fn overdue(&self, now_ms: i64, by_ms: i64) -> Vec<String> {
        let sql = "SELECT name FROM data_flows WHERE enabled AND next_run_at + ?2 < ?1 ORDER BY name";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let names = statement.query_map([now_ms, by_ms], |row| row.get(0)).and_then(Iterator::collect);
        names.expect("readable")
    }

    /// The cursors on record, by flow.
    pub(crate) fn cursors(&self) -> States {
        let sql = "SELECT name, state FROM cursors JOIN data_flows AS flow ON flow.id = data_flow_id";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            let state: String = row.get(1)?;
            Ok((row.get(0)?, serde_json::from_str(&state).expect("JSON")))
        };
        statement.query_map([], read).and_then(Iterator::collect).expect("readable")
    }

    /// What a run came to, for the trace.
    pub(crate) fn end_of(&self, run: i64) -> String {
        let sql = "SELECT status || ' ' || coalesce(error_kind || ': ' || error_message, '') FROM data_flow_runs WHERE id = ?1";
        self.reader.query_row(sql, [run], |row| row.get(0)).expect("a run that is on record")
    }

    /// Every record that a run has read is accounted for: of the newest runs, and of those that ended since.
    pub(crate) fn judge_records(&self) {
        let sql = "SELECT id FROM data_flow_runs
                   WHERE id IN (SELECT * FROM (SELECT id FROM data_flow_runs ORDER BY id DESC LIMIT 32)
                                UNION SELECT value FROM json_each(?1))
                     AND records_read + records_transformed_in
                     <> records_written + records_skipped + records_rejected + records_transformed_out
                   LIMIT 1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let ended = serde_json::json!(self.ended_now).to_string();
        let run: Option<i64> = statement.query_row([ended], |row| row.get(0)).optional().expect("readable");
        assert_eq!(run, None, "a run's records are accounted for");
    }

    pub(crate) fn read_runs(&self, first: i64) -> BTreeMap<i64, Run> {
        let sql = "SELECT run.id, flow.name, run.status, coalesce(run.agent || '/' || run.heartbeat_id,
                     CASE WHEN run.agent IS NULL THEN 'ordered' END, (
                     SELECT 'nameless-' || first_run_id FROM heartbeats
                     WHERE heartbeat_id IS NULL AND run.id >= first_run_id AND run.id < first_run_id + flows_triggered),
                     ''), run.scheduled_at, run.misfires, run.created_at,
                     run.started_at, run.ended_at, run.error_kind, run.exit_code, run.signal, run.attempt, run.rerun,
                     run.not_before, run.duration_ms, flow.id
                   FROM data_flow_runs AS run JOIN data_flows AS flow ON flow.id = run.data_flow_id WHERE run.id >= ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| {
            let status: String = row.get(2)?;
            let run = Run {
                flow: row.get(1)?,
                status: Status::from_word(&status).expect("a state"),
                heartbeat_id: row.get(3)?,
                scheduled_at: row.get(4)?,
                misfires: row.get(5)?,
                created_at: row.get(6)?,
                started_at: row.get(7)?,
                ended_at: row.get(8)?,
                error_kind: row.get(9)?,
                exit_code: row.get(10)?,
                signal: row.get(11)?,
                attempt: row.get(12)?,
                rerun: row.get(13)?,
                not_before: row.get(14)?,
                duration_ms: row.get(15)?,
                flow_id: row.get(16)?,
            };
            Ok((row.get(0)?, run))
        };
        let found = statement.query_map([first], read).and_then(Iterator::collect).expect("readable");
        self.with_heartbeats(found)
    }

    /// Gives runs that follow one of the runtime's own heartbeats, which have no id, the name of that heartbeat.
    fn with_heartbeats(&self, mut found: BTreeMap<i64, Run>) -> BTreeMap<i64, Run> {
        let nameless = found.iter().filter(|(_, run)| run.heartbeat_id.is_empty()).map(|(id, _)| *id);
        for id in nameless.collect::<Vec<_>>() {
            let flow = &found[&id].flow;
            let of_the_flow = |(_, before): &(&i64, &Run)| before.flow == *flow;
            let before = [&found, &self.runs].map(|runs| runs.range(..id).rev().find(of_the_flow));
            let before = before.into_iter().flatten().max_by_key(|(id, _)| **id).map(|(_, run)| run);
            let known = self.runs.get(&id).or(before);
            let name =
                known.map(|run| run.heartbeat_id.clone()).expect("what follows has something before it");
            found.get_mut(&id).expect("it was found").heartbeat_id = name;
        }
        found
    }
}
