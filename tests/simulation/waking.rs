//! Nothing that is to happen by itself is forgotten: who sleeps is woken for it in time.

use std::time::Duration;

use heartbeat_runtime::flow::Status;
use heartbeat_runtime::runtime::{INTERNAL_AGENT, Outcome, Runtime, Settings};
use heartbeat_runtime::time::Monotonic;

use super::world::World;

/// The daemon tries so often what it could not record, and no sooner.
const TRIES_AGAIN_WITHIN: Duration = Duration::from_secs(2);
/// Rounds that its own heartbeat may be late: one in which it finds that it can write again, and that in which it beats.
const LATE_ROUNDS_MAX: u32 = 3;

/// Heartbeats of the daemon's own.
#[derive(Debug, Default)]
pub(crate) struct OwnBeats {
    count: u64,
    since: Duration,
    late_rounds: u32,
}

impl OwnBeats {
    /// Whether the daemon goes on beating, as it is told to.
    pub(crate) fn keeps_on(&mut self, count: u64, settings: &Settings, now: Duration) -> bool {
        let every = settings.internal_heartbeat.filter(|_| count == self.count);
        let is_late = every.is_some_and(|every| now > self.since + every + TRIES_AGAIN_WITHIN);
        if count != self.count || settings.internal_heartbeat.is_none() {
            (self.count, self.since) = (count, now);
        }
        self.late_rounds = if is_late { self.late_rounds + 1 } else { 0 };
        self.late_rounds <= LATE_ROUNDS_MAX
    }

    /// It cannot, or need not.
    pub(crate) fn are_excused(&mut self, now: Duration) {
        (self.since, self.late_rounds) = (now, 0);
    }
}

/// How often the daemon has beaten by itself in this life.
pub(crate) fn beats(runtime: &Runtime) -> u64 {
    Outcome::ALL.iter().map(|outcome| runtime.tally().heartbeats(INTERNAL_AGENT, *outcome)).sum()
}

impl World {
    /// What was waited for in the life before is waited for anew.
    pub(crate) fn life_begins(&mut self) {
        self.own_beats = OwnBeats::default();
        self.own_beats.are_excused(self.elapsed);
        let now = self.now().monotonic;
        self.book().since.values_mut().for_each(|since| *since = now);
    }

    /// Whether a sleep until then is not too long.
    pub(crate) fn judge_wake_ups(&mut self, wake_at: Monotonic, slept: Duration, waits_for_nothing: bool) {
        if self.stopping {
            return self.own_beats.are_excused(self.elapsed);
        }
        if let Some(every) = self.settings.internal_heartbeat {
            assert!(slept <= every.max(TRIES_AGAIN_WITHIN), "nothing wakes it for its own heartbeat");
        }
        let book = self.book.as_ref().expect("the daemon was started");
        for (id, run) in book.open().filter(|_| waits_for_nothing && slept > TRIES_AGAIN_WITHIN) {
            let Some(not_before) = run.not_before.filter(|_| run.status == Status::Pending) else { continue };
            let wait = Duration::from_millis((not_before - run.created_at).unsigned_abs());
            let since = book.since[id];
            assert!(
                wake_at <= since + wait,
                "run {id} has waited long enough and nothing wakes the loop: {run:?}"
            );
        }
        for run in self.server.runs_under_way() {
            let timeout = book.configuration_of(run).timeout();
            let is_late = book.since.get(&run).is_some_and(|since| wake_at > *since + timeout);
            // Once it has ended, that is recorded at once, or as soon as the database is free.
            assert!(
                !is_late || slept <= TRIES_AGAIN_WITHIN,
                "run {run} is past its time-out and nothing wakes the loop"
            );
        }
    }
}
