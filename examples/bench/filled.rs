//! Boxes with a past that nobody lived through: flows and runs by the hundred thousand, written by SQL in one transaction.

use rusqlite::Connection;
use std::path::PathBuf;

use crate::Outcome;
use crate::daemon::{Config, Daemon, QUICK_FLOW, box_with, now_s};

/// What is to be in a database.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fill {
    pub(crate) flows: usize,
    /// Ended runs, spread evenly over the flows.
    pub(crate) runs: usize,
    /// Of the flows: due each second from the first on. The others are not due for days.
    pub(crate) due_each_second: usize,
    /// Of the flows: due once.
    pub(crate) due_once: usize,
}

/// A box's folder with this in its database; no daemon runs there.
pub(crate) fn folder(config: &Config, fill: Fill) -> Outcome<PathBuf> {
    // Retention would prune what is to be there. What is kept of a flow stays as it is by default where that is enough: each
    // end of a run looks at so many.
    let each = fill.runs / fill.flows.max(1) + 50;
    let kept = if each > 150 { format!("runs_per_flow = {}\n", 2 * each) } else { String::new() };
    let config = config.clone().tables(&format!("[history]\n{kept}age = \"3650d\"\ndatabase = \"64 GiB\"\n"));
    let first = [("flow-0".to_owned(), QUICK_FLOW.to_owned())];
    let folder = Daemon::start_in(box_with(&config, &first)?)?.stop()?;
    let database = Connection::open(folder.join("heartbeat.db"))?;
    let begin: String = database.query_row(
        "SELECT sql FROM sqlite_schema WHERE name = 'data_flow_runs_begin'",
        [],
        |row| row.get(0),
    )?;
    database
        .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -200000")?;
    database.execute_batch(&sql(fill, now_s() * 1000, &begin))?;
    database.execute_batch("PRAGMA journal_mode = WAL")?;
    Ok(folder)
}

pub(crate) fn start(config: &Config, fill: Fill) -> Outcome<Daemon> {
    Daemon::start_in(folder(config, fill)?)
}

fn sql(fill: Fill, now_ms: i64, begin_trigger: &str) -> String {
    let Fill { flows, runs, due_each_second, due_once } = fill;
    let (whole, rest) = (runs / flows.max(1), runs % flows.max(1));
    format!(
        "BEGIN; DROP TRIGGER data_flow_runs_begin;
         WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {flows} - 1)
         INSERT INTO data_flows (name, run_interval, configuration, origin, created_at, updated_at)
           SELECT printf('filled-%07d', n), run_interval, configuration, 'database', 0, 0
           FROM number, (SELECT * FROM data_flows WHERE id = 1) WHERE {flows} > 1;
         UPDATE data_flows SET last_run_at = {now_ms} - 600000, last_run_status = 'success',
           next_run_at = {now_ms} + 3 * 86400000 + id % 86400 * 1000;
         UPDATE data_flows SET run_interval = 1, next_run_at = {now_ms} WHERE id BETWEEN 2 AND 1 + {due_each_second};
         UPDATE data_flows SET next_run_at = {now_ms} WHERE id BETWEEN 2 AND 1 + {due_once};
         {} {}
         {begin_trigger}; COMMIT",
        runs_of("", whole, now_ms),
        runs_of(&format!("WHERE flow.id <= {rest}"), usize::from(rest > 0), now_ms),
    )
}

/// So many runs of each of these flows, one each ten minutes, the latest of which ended ten minutes ago.
fn runs_of(which: &str, each: usize, now_ms: i64) -> String {
    if each == 0 {
        return String::new();
    }
    format!(
        "WITH RECURSIVE number (n) AS (SELECT {each} UNION ALL SELECT n - 1 FROM number WHERE n > 1)
         INSERT INTO data_flow_runs (data_flow_id, status, scheduled_at, started_at, ended_at, duration_ms, exit_code,
             output, created_at, updated_at)
           SELECT flow.id, 'success', at, at, at + 1000, 1000, 0, 'done', at, at
           FROM (SELECT n, {now_ms} - n * 600000 AS at FROM number) CROSS JOIN data_flows AS flow {which};"
    )
}
