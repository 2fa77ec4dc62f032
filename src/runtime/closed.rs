//! A runtime that stands in while the database cannot be opened: everybody is told why, and nothing is done.

use std::hash::RandomState;

use super::answer::{Answer, Refusal};
use super::{Event, Outcome, Runtime, Settings};
use crate::flow::Kinds;
use crate::store::{Result, Store, StoreError};
use crate::time::{Now, Zones};

impl Runtime {
    /// Stands in for the database that could not be opened.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn closed(error: StoreError, settings: Settings, now: Now) -> Result<Self> {
        let store = Store::stand_in(&error.path)?;
        let (kinds, zones) = (Kinds::default(), Zones::utc_only());
        let mut runtime = Self::over(store, String::new(), settings, kinds, zones, RandomState::new(), now)?;
        runtime.stay_closed(error);
        Ok(runtime)
    }

    /// Whether the database cannot be opened yet.
    pub const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The database still cannot be opened.
    pub fn stay_closed(&mut self, error: StoreError) {
        self.is_closed = true;
        self.tick.last_failure = Some(error);
    }

    /// Whether it was told to end.
    pub const fn is_ending(&self) -> bool {
        self.phase.is_stopping()
    }

    pub(super) fn refuse_while_closed(&mut self, event: Event<'_>, now: Now) {
        match event {
            Event::Heartbeat { connection, verified, .. } => {
                self.count_heartbeat(verified.agent(), Outcome::Refused);
                let refusal = self.readiness().err().unwrap_or(Refusal::Internal);
                self.answer(connection, Answer::Refused(refusal));
            }
            Event::Order { connection, .. } | Event::Ask { connection, .. } => {
                let refusal = self.readiness().err().unwrap_or(Refusal::Internal);
                self.answer(connection, Answer::Refused(refusal));
            }
            Event::Reload(reload) => self.tick.delta.reload = Some((reload.settings, None)),
            Event::Shutdown => self.shut_down(now),
            // Nothing was started, and nobody waits.
            _ => {}
        }
    }
}
