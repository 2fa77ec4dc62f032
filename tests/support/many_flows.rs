//! A box's past that nobody lived through, for tests and figures alike.

/// SQL that makes `flows` flows of the one that a database has: each with so many runs, one each ten minutes, some of which
/// failed, and with 90 days. `now_ms` is milliseconds since 1970.
pub(crate) fn past(flows: usize, runs: usize, now_ms: i64) -> String {
    let of_run = "iif((flow.id * 7 + n) % 41 = 0";
    format!(
        "DROP TRIGGER data_flow_runs_begin; BEGIN;
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {flows} - 1)
         INSERT INTO data_flows (name, description, run_interval, configuration, origin, created_at, updated_at)
           SELECT printf('site-%05d', n), 'Collects what site ' || n || ' has measured', run_interval, configuration, 'database', 0, 0
           FROM number, data_flows;
         UPDATE data_flows SET created_at = {now_ms} - 200 * 86400000, last_run_at = {now_ms} - 600000, next_run_at = {now_ms} + 86400000,
           last_run_status = iif(id % 50 = 0, 'failed', 'success'), consecutive_failures = iif(id % 50 = 0, 2, 0);
         WITH RECURSIVE number (n) AS (SELECT {runs} UNION ALL SELECT n - 1 FROM number WHERE n > 1)
         INSERT INTO data_flow_runs (data_flow_id, status, scheduled_at, started_at, ended_at, duration_ms, error_kind,
             error_message, exit_code, output, created_at, updated_at)
           SELECT flow.id, {of_run}, 'failed', 'success'), at, at, at + 1000, 1000 + n, {of_run}, 'exit_status', NULL),
             {of_run}, 'exit status 3', NULL), {of_run}, 3, 0), 'sent 12 of 12 readings', at, at
           FROM (SELECT n, {now_ms} - n * 600000 AS at FROM number) CROSS JOIN data_flows AS flow ORDER BY n DESC, flow.id;
         WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < 89)
         INSERT INTO flow_days SELECT id, {now_ms} / 86400000 - n, 140, 4, 0, 200000, 9000 FROM number, data_flows;
         COMMIT"
    )
}
