//! One round of the loop: everything that it changed is one transaction, then one change in memory, then actions.

use super::alerts::{AlertDelta, AlertSettings};
use super::answer::{Answer, Idle, Refusal};
use super::flow_files::Followed;
use super::lines::Line;
use super::running::{Cleanup, Running};
use super::tally::Counted;
use super::wait::Waiter;
use super::{Action, ConnectionId, Job, Runtime, Settings};
use crate::auth::ReplayKey;
use crate::flow::Launch;
use crate::limits;
use crate::store::{Cause, FlowId, Result, RunId, StoreError};
use crate::time::{Monotonic, Now, Wall};

/// The round under way.
#[derive(Debug, Default)]
pub(super) struct Tick {
    /// Why it cannot be committed any more.
    failure: Option<StoreError>,
    pub(super) delta: Delta,
    /// Why the last round that had something to write could not; none if it could.
    pub(super) last_failure: Option<StoreError>,
}

/// A process to start, and what becomes of what it leaves behind.
type Process = (Box<Launch>, Cleanup);

/// What the round changes in memory once it is committed, and what is done then.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) answers: Vec<(ConnectionId, Answer)>,
    pub(super) waiters: Vec<Waiter>,
    /// Ids of heartbeats that started nothing.
    pub(super) idle_ids: Vec<(ReplayKey, Idle)>,
    /// Runs recorded as pending.
    pub(super) claimed: Vec<(RunId, FlowId)>,
    /// Attempts recorded as pending, each with the time that it waits for.
    pub(super) waiting: Vec<(RunId, (FlowId, Monotonic))>,
    /// Runs that are not pending any more: those that are started or refused below, and those that are gone.
    pub(super) left_pending: Vec<RunId>,
    /// Runs that went from pending to in progress.
    /// A pipeline has no process to start.
    pub(super) started: Vec<(RunId, Running, Option<Process>)>,
    /// Runs that ended before they started.
    pub(super) refused: Vec<RunId>,
    /// Runs in progress that an operator cancelled: their processes are to be told.
    pub(super) cancelled: Vec<RunId>,
    /// Runs that were in progress and whose end is recorded.
    pub(super) ended: Vec<RunId>,
    /// The greatest signed time that started runs.
    pub(super) signed_at: Option<Wall>,
    /// When the runtime next beats by itself.
    pub(super) beat_at: Option<Monotonic>,
    /// Whether an operator or the flows folder changed flows.
    pub(super) flows_changed: bool,
    /// What is to be kept to from now on, with what following the flows folder did; none: it could not be stored.
    pub(super) reload: Option<(Settings, Option<Followed>)>,
    /// What is told from now on, and to whom, once the reload is in force.
    pub(super) alert_settings: Option<Box<AlertSettings>>,
    /// What is told.
    pub(super) alerts: AlertDelta,
    /// Runs of pipelines whose offered state is recorded.
    pub(super) cursors: Vec<RunId>,
    /// Whether agents' last heartbeats were written.
    pub(super) agents_noted: bool,
    /// Signed times at or below which an agent's heartbeats are known by their ids no more.
    pub(super) floors: Vec<(String, Wall)>,
    /// What is counted.
    pub(super) counted: Counted,
    /// What the log tells of it.
    pub(super) lines: Vec<Line>,
}

impl Runtime {
    /// Commits what the round changed, applies it, and says what to do.
    ///
    /// # Errors
    /// Only those after which the process must not go on: [`Cause::Sync`], [`Cause::Corrupt`].
    pub fn finish(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<()> {
        self.wake_waiting(now);
        self.beat(now);
        let committed = if self.is_closed { Ok(()) } else { self.write(now) };
        let delta = std::mem::replace(&mut self.tick.delta, self.spare.delta());
        match committed {
            Ok(()) => self.apply(delta, now, actions),
            Err(error) => self.drop_round(delta, error, now, actions)?,
        }
        self.judge_deadlines(now, actions);
        self.judge_alert_command(now, actions);
        self.beat_watchdog(now, actions);
        self.answer_waiters(now, actions);
        self.proceed_with_shutdown(now, actions);
        Ok(())
    }

    /// Everything that the round writes, up to and with the commit.
    fn write(&mut self, now: Now) -> Result<()> {
        if let Some(failure) = self.tick.failure.take() {
            return Err(failure);
        }
        let retrying = self.store_retry_at.is_some_and(|at| now.monotonic >= at);
        if retrying && self.tick.last_failure.is_some() {
            // Only writing shows whether the store can be written again.
            self.ensure_transaction()?;
            self.store.probe()?;
            self.prune_by_size(now.wall)?;
        }
        // While the store is left in peace, what is in hand rides along with whatever is written all the same.
        if retrying || self.store_retry_at.is_none() || self.store.has_transaction() {
            self.tell_of_storage(now)?;
            self.record_cursors(now)?;
            self.record_ends()?;
            self.start_pending(now)?;
            self.retain(now)?;
            self.note_agents()?;
            self.tell_what_time_shows(now)?;
            self.deliver_alerts(now)?;
        }
        if self.store.has_transaction() {
            self.store.commit()?;
            self.tally.commits += 1;
            if self.tick.last_failure.take().is_some() {
                log::info!("what happens can be recorded again");
            }
        }
        if retrying || self.tick.last_failure.is_none() {
            self.store_retry_at = None;
        }
        Ok(())
    }

    fn apply(&mut self, mut delta: Delta, now: Now, actions: &mut Vec<Action>) {
        for (key, idle) in &delta.idle_ids {
            self.idle_ids.insert(*key, *idle);
        }
        self.tally.committed(&delta.counted);
        self.raise_floors(delta.floors);
        self.greatest_signed_at = self.greatest_signed_at.max(delta.signed_at);
        self.beat_at = delta.beat_at.or(self.beat_at);
        // A claim moves a flow's next run time, and so does the end of a run where the delay is fixed.
        let run_times_moved =
            !(delta.claimed.is_empty() && delta.ended.is_empty() && delta.refused.is_empty());
        if run_times_moved || delta.flows_changed {
            self.horizon = None;
        }
        self.pending.extend(delta.claimed);
        self.waiting.extend(delta.waiting);
        for run in &delta.left_pending {
            let was_pending = self.pending.remove(run).is_some() || self.waiting.remove(run).is_some();
            assert!(was_pending, "only a pending run is started or refused");
        }
        self.cursors_are_recorded(&delta.cursors, now);
        self.forget_ended(&delta.ended);
        self.waiters.extend(delta.waiters);
        self.note_ended_for_waiters(&delta.ended);
        self.note_ended_for_waiters(&delta.refused);
        if delta.agents_noted {
            self.agents_are_noted();
        }
        delta.lines.iter().for_each(Line::log);
        let answers = delta.answers.drain(..);
        actions.extend(answers.map(|(connection, answer)| Action::Answer(connection, answer)));
        self.spare.keep(delta.answers, delta.idle_ids, delta.counted.heartbeats);
        self.take_up(delta.started, actions);
        self.end_cancelled(delta.cancelled, now, actions);
        self.alerts_are_recorded(delta.alerts, now, actions);
        match delta.reload {
            None => {}
            Some((settings, Some(followed))) => {
                if settings.internal_heartbeat != self.settings.internal_heartbeat {
                    self.beat_at = settings.internal_heartbeat.map(|every| now.monotonic + every);
                }
                self.settings = settings;
                self.take_up_alerts(delta.alert_settings, now);
                // There may be free slots now, which those that wait for one are told of by no event.
                if !self.pending.is_empty() {
                    self.store_retry_at.get_or_insert(now.monotonic);
                }
                if let Err(error) = self.store.limit_size(settings.history.database_bytes) {
                    log::error!("{error}; help: {}", error.help());
                }
                followed.log();
                actions.push(Action::Reloaded(Ok(followed)));
            }
            Some((_, None)) => {
                let refusal = self.readiness().err().unwrap_or(Refusal::Internal);
                actions.push(Action::Reloaded(Err(refusal)));
            }
        }
    }

    /// Starts what is to be started of runs that are in progress now.
    fn take_up(&mut self, started: Vec<(RunId, Running, Option<Process>)>, actions: &mut Vec<Action>) {
        let starts = !started.is_empty();
        for (run, running, process) in started {
            let before = self.running.insert(run, running);
            assert!(before.is_none(), "a run is started once");
            actions.extend(process.map(|(launch, cleanup)| Action::Spawn(Job::Run(run), launch, cleanup)));
        }
        // A lowered maximum lets runs finish that are in progress; none is started beyond it.
        assert!(
            !starts || self.running.len() <= self.settings.max_concurrent_runs,
            "a slot for each run in progress"
        );
    }

    /// The round did not happen: every caller of it is told so. Ends that it would have recorded stay where they are,
    /// and are offered again.
    fn drop_round(
        &mut self,
        delta: Delta,
        error: StoreError,
        now: Now,
        actions: &mut Vec<Action>,
    ) -> Result<()> {
        self.store.roll_back();
        self.tally.dropped(&delta.counted);
        if matches!(error.cause, Cause::Sync | Cause::Corrupt) {
            return Err(error);
        }
        // Told once and not with each try: where the disk is full, the log is the last that should grow.
        let is_known = self.tick.last_failure.as_ref().is_some_and(|last| last.cause == error.cause);
        let level = if is_known { log::Level::Debug } else { log::Level::Error };
        log::log!(level, retry = error.may_succeed_later(); "{error}; help: {}", error.help());
        // Callers that fail again and again do not put it off.
        let agreed = self.store_retry_at.filter(|at| now.monotonic < *at);
        self.store_retry_at = Some(agreed.unwrap_or(now.monotonic + limits::STORE_RETRY));
        // Orders are told so as well; questions are answered from what is on record.
        let (promised, asking): (Vec<Waiter>, Vec<Waiter>) =
            delta.waiters.into_iter().partition(|waiter| waiter.tells_of_this_round);
        self.waiters.extend(asking);
        self.alerts.note_failure(now);
        // It may have been read within the transaction.
        self.horizon = None;
        if delta.reload.is_some() {
            actions.push(Action::Reloaded(Err(Refusal::of(&error))));
        }
        let waiting = promised.iter().map(|waiter| waiter.connection);
        for connection in delta.answers.iter().map(|(connection, _)| *connection).chain(waiting) {
            actions.push(Action::Answer(connection, Answer::Refused(Refusal::of(&error))));
        }
        self.tick.last_failure = Some(error);
        Ok(())
    }

    /// Begins the round's transaction, unless it has begun: reading needs none.
    pub(super) fn ensure_transaction(&mut self) -> Result<()> {
        if self.store.has_transaction() { Ok(()) } else { self.store.begin() }
    }

    /// What an event's failure means for the round: a refused event is answered alone, anything else ends it.
    pub(super) fn event_failed(&mut self, connection: ConnectionId, error: StoreError) {
        self.tick.delta.answers.push((connection, Answer::Refused(Refusal::of(&error))));
        self.round_failed(error);
    }

    /// The same for an event that nobody waits for.
    pub(super) fn round_failed(&mut self, error: StoreError) {
        if error.cause == Cause::Constraint {
            log::error!("{error}; help: {}", error.help());
        } else {
            self.tick.failure = Some(error);
        }
    }

    /// Whether the round is lost already; its callers are told at its end.
    pub(super) fn round_is_lost(&self) -> bool {
        self.tick.failure.is_some()
    }
}
