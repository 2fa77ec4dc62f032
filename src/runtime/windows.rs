//! Flows that may run only in a part of the day: which of their windows are not open now.

use super::Runtime;
use crate::flow::Window;
use crate::store::{Horizon, Result};
use crate::time::{Wall, Zone};

/// A window with the zone that it goes by.
pub(super) type ZonedWindow = (Window, Zone);

impl Runtime {
    /// Whether a look at the flows is worth a query.
    pub(super) fn may_be_due(&mut self, now: Wall) -> Result<bool> {
        if self.horizon.is_none() {
            self.windows = self.read_windows()?;
        }
        let horizon: &Horizon = match &mut self.horizon {
            Some(horizon) => horizon,
            none => none.insert(self.store.horizon()?),
        };
        Ok(horizon.may_be_due(now))
    }

    fn read_windows(&self) -> Result<Vec<ZonedWindow>> {
        let zoned = |window: Window| {
            let zone = self.zones.get_or_utc(Some(&window.time_zone));
            (window, zone)
        };
        Ok(self.store.windows()?.into_iter().map(zoned).collect())
    }

    /// The windows that are not open.
    pub(super) fn shut_windows(&self, now: Wall) -> Vec<Window> {
        let shut = self.windows.iter().filter(|(window, zone)| !window.is_open(zone.civil_s(now)));
        shut.map(|(window, _)| window.clone()).collect()
    }
}
