//! The table `cursors`, and what runs of pipelines have moved.

use rusqlite::params;

use super::error::Result;
use super::flows::signed;
use super::{FlowId, RunId, Store};
use crate::flow::Counters;
use crate::time::Wall;

const KEEP: &str = "INSERT INTO cursors (data_flow_id, state, updated_at) VALUES (?1, ?2, ?3)
    ON CONFLICT (data_flow_id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at";
const COUNT: &str = "UPDATE data_flow_runs SET records_read = ?2, records_written = ?3, records_updated = ?4,
      records_skipped = ?5, records_rejected = ?6, records_transformed_in = ?7, records_transformed_out = ?8,
      bytes_read = ?9
    WHERE id = ?1";

impl Store {
    /// The state of a pipeline, as JSON; none: it has none, or its sink keeps it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cursor(&self, flow: FlowId) -> Result<Option<String>> {
        let sql = "SELECT state FROM cursors WHERE data_flow_id = ?1";
        self.query_optional("read a cursor", sql, [flow.0], |row| row.get(0))
    }

    /// Moves it.
    ///
    /// # Errors
    /// The write is refused.
    pub fn keep_cursor(&mut self, flow: FlowId, state: &str, now: Wall) -> Result<()> {
        self.execute("record a cursor", KEEP, params![flow.0, state, now.as_millis()]).map(drop)
    }

    /// Records what a run has moved.
    ///
    /// # Errors
    /// The write is refused.
    pub fn count_records(&mut self, run: RunId, counters: &Counters) -> Result<()> {
        assert!(counters.balance(), "each record that is read is accounted for: {counters:?}");
        let Counters {
            read,
            written,
            updated,
            skipped,
            rejected,
            transformed_in,
            transformed_out,
            bytes_read,
        } = *counters;
        let [read, written, updated, skipped, rejected, transformed_in, transformed_out, bytes_read] =
            [read, written, updated, skipped, rejected, transformed_in, transformed_out, bytes_read]
                .map(signed);
        let params = params![
            run.0,
            read,
            written,
            updated,
            skipped,
            rejected,
            transformed_in,
            transformed_out,
            bytes_read
        ];
        self.execute("record what a run has moved", COUNT, params).map(drop)
    }
}
