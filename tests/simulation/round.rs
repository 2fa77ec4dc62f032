//! One round of the daemon's loop, as the shell goes through it: sleep, what happened, commit, act, work.

use std::time::Duration;

use heartbeat_runtime::runtime::{Action, Event, Job, Runtime};
use heartbeat_runtime::store::RunId;
use heartbeat_runtime::time::{Monotonic, Now};

use super::process::Process;
use super::world::World;

/// A loop that wakes no sooner than this with nobody around is at rest: it looks after its history.
const HOUSEKEEPING_AT_LEAST: Duration = Duration::from_secs(1_800);
/// Rounds at one and the same moment in which nothing happens, before it counts as spinning.
const IDLE_ROUNDS_MAX: u32 = 53;

impl World {
    /// A step of the tick is done; is it the daemon's last?
    pub(crate) fn outlives_step(&mut self) -> bool {
        match self.steps_to_live.as_mut() {
            Some(0) => {
                self.inject("kills between two steps");
                self.die("KILLED");
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.runtime.is_some()
    }

    /// Tells the runtime; false if that was its last.
    pub(crate) fn tell(&mut self, event: Event<'_>) -> bool {
        let now = self.now();
        let Some(runtime) = self.runtime.as_mut() else { return false };
        runtime.handle(event, now);
        self.outlives_step()
    }

    /// Sleeps as the shell does: until something happens or the runtime wants its turn.
    fn sleep(&mut self) -> bool {
        let asleep_at = self.now().monotonic;
        let timeout = self.runtime.as_ref().and_then(Runtime::next_timeout);
        let ends = self.processes.values().flat_map(|process| [process.ends_at, process.kill_at]).flatten();
        let arrival = self.next_arrival.map(Monotonic::since_start);
        let told = self.receiver.under_way.map(|(at, _)| at);
        let happens_at = ends.chain(arrival).chain(told).chain(self.server.next_answer()).min();
        let Some(wake_at) = happens_at.into_iter().chain(timeout).min() else { return false };
        if happens_at.is_none() && wake_at.since(asleep_at) > HOUSEKEEPING_AT_LEAST {
            return false;
        }
        let slept = wake_at.since(asleep_at);
        self.judge_sleep(asleep_at + slept, slept);
        self.elapsed += slept + std::mem::take(&mut self.work_takes);
        if !self.calm && self.random.one_in(30) {
            // The process was stopped, or the box was busy or slept.
            let bound = self.random.pick(&[10, 3_000, 60_000, 600_000]);
            let late = self.random.millis(bound);
            self.inject(if bound < 60_000 { "loop held up" } else { "stopped for minutes" });
            self.note(format!("woken {} ms late", late.as_millis()));
            self.elapsed += late;
        }
        true
    }

    fn free_slots(&mut self) -> usize {
        let max = self.settings.max_concurrent_runs;
        max.saturating_sub(self.book().runs_in_progress())
    }

    /// Whether the runtime asked to be woken in time, and not for nothing.
    fn judge_sleep(&mut self, wake_at: Monotonic, slept: Duration) {
        self.idle_rounds = if slept.is_zero() { self.idle_rounds + 1 } else { 0 };
        assert!(self.idle_rounds < IDLE_ROUNDS_MAX, "the loop spins");
        if self.holder.is_some() {
            return self.own_beats.are_excused(self.elapsed);
        }
        let waits_for_nothing =
            self.free_slots() > 0 && !self.processes.values().any(|process| process.orphan);
        if let Some(run) = self.book().pending_run().filter(|_| waits_for_nothing && !self.stopping) {
            assert!(
                slept < Duration::from_secs(2),
                "run {run} is pending, slots are free, and nothing wakes the loop"
            );
        }
        self.judge_wake_ups(wake_at, slept, waits_for_nothing);
        for (run, end) in &self.untold_ends {
            let late = wake_at.since(end.told_at) > Duration::from_secs(2);
            assert!(!late, "the end of run {run} is known and nothing wakes the loop: {end:?}");
        }
        let untold = |process: &Process| !process.orphan && process.signalled_at.is_none();
        for (run, process) in self.processes.iter().filter(|(_, process)| untold(process)) {
            let late = wake_at > process.started_at + process.timeout;
            assert!(!late, "run {run} is past its time-out and nothing wakes the loop");
        }
    }

    /// One round of the loop; false when nothing will ever happen again.
    pub(crate) fn round(&mut self) -> bool {
        self.trace.round += 1;
        self.write_sources();
        if self.runtime.is_none() {
            self.start();
            return true;
        }
        if !self.sleep() {
            return false;
        }
        self.left_in_round.clear();
        let happened = self.happen();
        self.idle_rounds = if happened { 0 } else { self.idle_rounds };
        let now = self.now();
        let mut actions = Vec::new();
        let Some(runtime) = self.runtime.as_mut() else { return true };
        if let Err(error) = runtime.finish(now, &mut actions) {
            self.end_by_failure(&error, &actions);
            return true;
        }
        self.idle_rounds = if actions.is_empty() { self.idle_rounds } else { 0 };
        self.book().look(now);
        self.judge_what_is_in_hand();
        self.give_up_requests();
        self.note_recorded_ends();
        if !self.outlives_step() {
            return true;
        }
        for action in actions {
            self.act(action, now);
            if self.runtime.is_none() || !self.outlives_step() {
                return true;
            }
        }
        self.work(now);
        self.judge_patience(now);
        self.judge_tally();
        true
    }

    /// Work takes its time; in the calm none.
    pub(crate) fn rest_from_work(&mut self) {
        self.idle_rounds = 0;
        if !self.calm {
            self.work_takes = self.random.millis(20);
        }
    }

    fn act(&mut self, action: Action, now: Now) {
        match action {
            Action::Exchange(job, exchange) => {
                assert_eq!(job, Job::Alert, "no pipeline here speaks HTTP");
                self.send_alert(&exchange);
            }
            Action::Answer(connection, answer) => self.answered(connection, answer, now),
            Action::Reloaded(outcome) => self.reloaded(outcome.is_ok()),
            Action::Spawn(job, launch, cleanup) => {
                let RunId(run) = job.run().expect("nothing is told here");
                let named = launch.environment.iter().find(|(name, _)| name == "HEARTBEAT_FLOW");
                let flow = named.map(|(_, value)| value.clone()).expect("a child knows its flow");
                self.judge_environment(run, &launch.environment);
                self.spawn(run, &flow, cleanup, now);
            }
            Action::Signal(job, signal) => {
                let RunId(run) = job.run().expect("nothing is told here");
                self.signal(run, signal, now);
            }
            Action::Stop => self.stop(now),
        }
    }
}
