//! What flows have that goes by the clock of a place: a few windows and time zones, shared by many flows.

use super::{Result, Store};
use crate::flow::Window;

/// Each value once, from one to the next in its index: `DISTINCT` would go through every flow that has one.
macro_rules! each_once {
    ($value:expr) => {
        concat!(
            "WITH RECURSIVE each (value) AS (
               SELECT min(",
            $value,
            ") FROM data_flows WHERE ",
            $value,
            " IS NOT NULL
               UNION ALL
               SELECT (SELECT min(",
            $value,
            ") FROM data_flows WHERE ",
            $value,
            " > each.value) FROM each WHERE each.value IS NOT NULL)
             SELECT value FROM each WHERE value IS NOT NULL"
        )
    };
}
macro_rules! zone {
    () => {
        "json_extract(configuration, '$.calendar.time_zone')"
    };
}

pub(super) const WINDOWS: &str = each_once!("only_between");
pub(super) const ZONES: &str = each_once!(zone!());
pub(super) const IN_ZONE: &str = concat!("SELECT name FROM data_flows WHERE ", zone!(), " = ?1 ORDER BY id");

impl Store {
    /// The windows of all flows.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn windows(&self) -> Result<Vec<Window>> {
        let found = self.query_all("find the flows' windows", WINDOWS, [], |row| row.get::<_, String>(0))?;
        Ok(found.iter().filter_map(|text| Window::parse(text)).collect())
    }

    /// The time zones that flows name.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn time_zones(&self) -> Result<Vec<String>> {
        self.query_all("find the flows' time zones", ZONES, [], |row| row.get(0))
    }

    /// The flows that name this time zone.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn flows_in_zone(&self, zone: &str) -> Result<Vec<String>> {
        self.query_all("find the flows of a time zone", IN_ZONE, [zone], |row| row.get(0))
    }
}
