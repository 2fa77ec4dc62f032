//! Which of some named flows are due: for an agent that may start no others.
//!
//! Each name is looked for, so that what is due for others costs nothing: n names among all flows in O(n log n).

use rusqlite::params;

use super::super::{Result, Store};
use super::{DueCounts, DueFlow, list, read_counts, read_due};
use crate::flow::Window;
use crate::sorted::sort_by;
use crate::time::Wall;

/// The named flows; ?3 is the list of names. CROSS JOIN keeps the order: names first.
macro_rules! from_named {
    () => {
        concat!(
            " FROM (SELECT value AS allowed FROM json_each(?3)) CROSS JOIN data_flows ON name = allowed",
            with_open_run!(),
            " WHERE "
        )
    };
}
const COUNT_DUE: &str = concat!("SELECT ", counts!(), from_named!(), due!());
const COUNT_AHEAD: &str = concat!("SELECT ", counts!(), from_named!(), ahead!());
const CLAIM_DUE: &str = concat!("SELECT ", claim!(), from_named!(), due!(), claimable!());
const CLAIM_AHEAD: &str = concat!("SELECT ", claim!(), from_named!(), ahead!(), claimable!());
#[cfg(test)]
pub(in super::super) const QUERIES: [&str; 4] = [COUNT_DUE, COUNT_AHEAD, CLAIM_DUE, CLAIM_AHEAD];

impl Store {
    /// How many of these flows are due, while these windows are not open. Each name stands once.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn count_due_among(&self, names: &[String], now: Wall, shut: &[Window]) -> Result<DueCounts> {
        let params = params![now.as_millis(), list(shut), list(names)];
        [COUNT_DUE, COUNT_AHEAD].into_iter().try_fold(DueCounts::default(), |counts, sql| {
            Ok(counts.and(self.query_one("count an agent's due flows", sql, params, read_counts)?))
        })
    }

    /// Due flows among these that can be claimed, in the order of [`Store::claimable`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn claimable_among(
        &self,
        names: &[String],
        now: Wall,
        shut: &[Window],
        at_most: usize,
    ) -> Result<Vec<DueFlow>> {
        let params = params![now.as_millis(), list(shut), list(names)];
        let mut flows = self.query_all("find an agent's due flows", CLAIM_AHEAD, params, read_due)?;
        let mut due = self.query_all("find an agent's due flows", CLAIM_DUE, params, read_due)?;
        sort_by(&mut due, |one, other| one.next_run_at.cmp(&other.next_run_at));
        flows.append(&mut due);
        flows.truncate(at_most);
        Ok(flows)
    }
}
