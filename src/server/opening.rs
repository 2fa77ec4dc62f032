//! A database that cannot be opened at the start, for a reason that passes: it is tried again by a timer, while everybody
//! is told why they have to wait.

use super::leftovers::Leftovers;
use super::side_file::{LeftBehind, SideFile};
use super::{Server, ServerError};
use crate::limits;
use crate::runtime::Runtime;
use crate::store::StoreError;
use crate::time::{Monotonic, Now};

/// Opens the database and takes it over.
pub type Open = Box<dyn FnMut(Now) -> Result<Runtime, StoreError>>;

/// A database that is to be opened.
pub(super) struct Opening {
    open: Open,
    pub(super) next_at: Monotonic,
}

impl Server {
    /// Over a runtime that is closed: `open` is called until it succeeds, and what it opens takes its place.
    #[must_use]
    pub fn opening_with(mut self, open: Open) -> Self {
        let next_at = self.clock.now().monotonic + limits::STORE_RETRY;
        self.opening = Some(Opening { open, next_at });
        self
    }

    /// Tries again, if it is time to. Between two rounds: nobody waits for the runtime that goes.
    pub(super) fn open_if_due(&mut self, now: Now) -> Result<(), ServerError> {
        let Some(opening) = self.opening.as_mut().filter(|opening| now.monotonic >= opening.next_at) else {
            return Ok(());
        };
        if self.runtime.is_ending() {
            return Ok(());
        }
        match (opening.open)(now) {
            Ok(mut runtime) => {
                runtime.take_over_tally(&mut self.runtime);
                log::info!("the database is open");
                self.opening = None;
                self.runtime = runtime;
                self.begin(now)?;
                // What changed meanwhile could not come into force.
                self.reload.ask(None);
            }
            Err(error) if error.passes() => {
                opening.next_at = now.monotonic + limits::STORE_RETRY;
                // Told once and not with each try.
                let known = self.runtime.summary(now.monotonic).failure;
                let is_known = known.is_some_and(|known| known.to_string() == error.to_string());
                let level = if is_known { log::Level::Debug } else { log::Level::Error };
                log::log!(level, "{error}; help: {}", error.help());
                self.runtime.stay_closed(error);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Begins the daemon's life on its database: what an earlier one left is ended.
    pub(super) fn begin(&mut self, now: Now) -> Result<(), ServerError> {
        let database = self.runtime.store().path().to_owned();
        let instance = self.runtime.instance();
        let LeftBehind { records, .. } = LeftBehind::read(&database, instance);
        self.leftovers = Leftovers::new(instance, self.options.kill_grace, records);
        self.side_file = SideFile::new(&database, instance);
        self.end_survivors(now)
    }
}
