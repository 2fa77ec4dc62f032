//! When history is cut back: a flow's with each end of a run, the whole by a timer and when it has grown; never much in
//! one round, so that the loop stays awake.

use super::Runtime;
use crate::limits;
use crate::sorted::sort_by;
use crate::store::{FlowId, Kept, Result, RunId};
use crate::time::{Monotonic, Now, Wall, millis};

/// What is under way.
#[derive(Debug)]
pub(super) struct Retention {
    /// When the whole is looked at next.
    look_at: Monotonic,
    /// Steps by age that this look may still take.
    steps_left: u32,
    /// Runs that have ended since the size was looked at.
    ended: u32,
    /// Where cutting by size goes on, and whether failures go as well.
    after: RunId,
    failures_go: bool,
    /// Whether nothing was left to delete when it was last too large.
    is_exhausted: bool,
}

impl Retention {
    pub(super) fn new(now: Monotonic) -> Self {
        let look_at = now + limits::RETENTION_AFTER_START;
        let steps_left = limits::RETENTION_STEPS_MAX;
        Self { look_at, steps_left, ended: 0, after: RunId(0), failures_go: false, is_exhausted: false }
    }

    pub(super) fn next_timeout(&self) -> Monotonic {
        self.look_at
    }
}

impl Runtime {
    /// Whether the database is near its limit, with no history left to delete.
    pub const fn is_near_limit(&self) -> bool {
        self.retention.is_exhausted
    }

    /// How much of a flow's history is kept.
    pub(super) fn kept(&self) -> Kept {
        Kept::of(self.settings.history.runs_per_flow)
    }

    /// Cuts back the history of each flow of which enough runs have ended, however that was: started or not.
    fn prune_flows(&mut self) -> Result<()> {
        let kept = self.kept();
        let Self { store, tick, .. } = self;
        let mut ended: Vec<FlowId> = tick.delta.counted.ends.iter().map(|end| end.flow).collect();
        sort_by(&mut ended, FlowId::cmp);
        for ends in ended.chunk_by(FlowId::eq) {
            if store.is_to_be_pruned(ends[0], ends.len(), kept)? {
                store.prune_flow(ends[0], kept)?;
            }
        }
        Ok(())
    }

    /// Cuts the whole back, if it is time or it has grown: by one step.
    pub(super) fn retain(&mut self, now: Now) -> Result<()> {
        self.prune_flows()?;
        self.retention.ended += u32::try_from(self.tick.delta.counted.ends.len()).unwrap_or(u32::MAX);
        let is_time = now.monotonic >= self.retention.look_at;
        if !is_time && self.retention.ended < limits::RETENTION_AFTER_RUNS {
            return Ok(());
        }
        // Nothing is written where nothing is found.
        self.ensure_transaction()?;
        let more_is_old = is_time && self.retention.steps_left > 0 && self.prune_by_age(now.wall)?;
        let is_large = self.prune_by_size(now.wall)?;
        let retention = &mut self.retention;
        retention.ended = 0;
        if more_is_old {
            retention.steps_left -= 1;
        } else if !is_large {
            retention.steps_left = limits::RETENTION_STEPS_MAX;
        }
        if more_is_old || is_large {
            retention.look_at = now.monotonic + limits::RETENTION_STEP_PAUSE;
        } else if is_time {
            retention.look_at = now.monotonic + limits::RETENTION_EVERY;
        }
        Ok(())
    }

    /// Where agents sign their times, those tell how late it is at least: a clock that jumped years ahead makes nothing old.
    pub(super) fn at_least_so_late(&self, now: Wall) -> Wall {
        self.greatest_signed_at.map_or(now, |signed| signed.min(now))
    }

    /// Deletes what is too old; whether there may be more of it.
    fn prune_by_age(&mut self, now: Wall) -> Result<bool> {
        const ROWS: usize = limits::RETENTION_ROWS_PER_STEP;
        let now = self.at_least_so_late(now);
        let before = |age| Wall::from_millis(now.as_millis().saturating_sub(millis(age)));
        let runs = self.store.prune_old_runs(before(self.settings.history.age), ROWS)?;
        let (heartbeats, floors) = self.store.prune_heartbeats(before(limits::HEARTBEAT_IDS_KEPT), ROWS)?;
        let today = now.as_seconds().div_euclid(86_400);
        let days = self.store.prune_days(today - limits::DAYS_KEPT, ROWS)?;
        self.tick.delta.floors.extend(floors);
        Ok(runs.max(heartbeats).max(days) >= ROWS)
    }

    /// Keeps the file and its log under their limit: the oldest successes go first, then the oldest failures. Whether there
    /// is more to do.
    pub(super) fn prune_by_size(&mut self, now: Wall) -> Result<bool> {
        let size = self.store.size()?;
        let limit = self.settings.history.database_bytes;
        let high = limit - limit / 4;
        self.tell_of_size(size, false, now)?;
        if size.used_bytes.saturating_add(size.log_bytes) <= high {
            (self.retention.after, self.retention.failures_go) = (RunId(0), false);
            self.retention.is_exhausted = false;
            return self.shrink_by_a_step(size.used_bytes, size.free_bytes);
        }
        let status = if self.retention.failures_go { "failed" } else { "success" };
        let rows = limits::RETENTION_ROWS_PER_STEP;
        let (_, next) = self.store.prune_runs_after(self.retention.after, status, rows)?;
        match next {
            Some(after) => self.retention.after = after,
            // Past the failures there is nothing left to delete.
            None if self.retention.failures_go => {
                self.tell_of_size(size, true, now)?;
                self.retention.is_exhausted = true;
                (self.retention.after, self.retention.failures_go) = (RunId(0), false);
                return Ok(false);
            }
            None => (self.retention.after, self.retention.failures_go) = (RunId(0), true),
        }
        self.store.shrink(limits::SHRINK_PAGES_PER_STEP)?;
        Ok(true)
    }

    /// Some free pages are left for what comes next.
    fn shrink_by_a_step(&mut self, used_bytes: u64, free_bytes: u64) -> Result<bool> {
        let spare = (used_bytes / 4).max(limits::FREE_BYTES_KEPT);
        if free_bytes <= spare {
            return Ok(false);
        }
        self.store.shrink(limits::SHRINK_PAGES_PER_STEP)?;
        Ok(true)
    }

    /// Whether a heartbeat that is not on record may be one whose record was pruned: then it must not start runs again.
    pub(super) fn may_be_pruned(&self, agent: &str, signed_at: Option<Wall>) -> bool {
        let floor = self.floors.iter().find(|(name, _)| name == agent).map(|(_, floor)| *floor);
        floor.zip(signed_at).is_some_and(|(floor, signed_at)| signed_at <= floor)
    }

    pub(super) fn raise_floors(&mut self, raised: Vec<(String, Wall)>) {
        for (agent, floor) in raised {
            match self.floors.iter_mut().find(|(name, _)| *name == agent) {
                Some((_, known)) => *known = floor.max(*known),
                None => self.floors.push((agent, floor)),
            }
        }
    }
}
