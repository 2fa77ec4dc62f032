//! What the runtime is about, in a few figures that cost no look into the database.

use std::time::Duration;

use super::Runtime;
use crate::store::StoreError;
use crate::time::{Monotonic, Wall};

/// See [`Runtime::summary`].
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// Runs in progress.
    pub in_progress: usize,
    /// Runs that wait for a slot or for the end of their backoff.
    pub waiting: usize,
    /// Who sent the last verified heartbeat since the start, and when.
    pub last_heartbeat: Option<(&'a str, Wall)>,
    /// Why nothing can be recorded just now.
    pub failure: Option<&'a StoreError>,
    /// How long the end may still take, if it was ordered.
    pub ends_within: Option<Duration>,
}

impl Runtime {
    /// What it is about.
    pub fn summary(&self, now: Monotonic) -> Summary<'_> {
        Summary {
            in_progress: self.running.len(),
            waiting: self.pending.len() + self.waiting.len(),
            last_heartbeat: self.last_heard(),
            failure: self.tick.last_failure.as_ref(),
            ends_within: self.ends_by().map(|end| end.since(now)),
        }
    }
}
