//! Callers whose answer names runs: it is made after the commit, and with `Prefer: wait=N` (RFC 7240) held until the
//! runs ended or the time is up.

use super::answer::{Answer, Refusal, body};
use super::heartbeat::Caller;
use super::{Action, ConnectionId, Runtime};
use crate::store::{Heartbeat, Result, RunId};
use crate::time::{Monotonic, Now};

/// A caller that waits. Its going away cancels nothing.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) connection: ConnectionId,
    /// Now, for one that did not ask to wait.
    pub(super) deadline: Monotonic,
    /// Seconds that it waits at most, if it asked to.
    wait_s: Option<u64>,
    heartbeat: Heartbeat,
    heartbeat_id: Option<String>,
    duplicate: bool,
    /// Runs of the heartbeat that it waits for.
    open_runs: Vec<RunId>,
}

impl Runtime {
    /// Lets a caller wait for the commit of its runs or, if it asked to and may, for their ends.
    pub(super) fn answer_claim(
        &mut self,
        caller: Caller<'_>,
        heartbeat: &Heartbeat,
        duplicate: bool,
        now: Now,
    ) -> Result<()> {
        let waiting =
            self.waiters.iter().chain(&self.tick.delta.waiters).filter(|waiter| waiter.wait_s.is_some());
        let may_wait = waiting.count() < self.settings.waiters_max;
        let wait = caller.wait.filter(|_| may_wait).map(|wait| wait.min(self.settings.wait_max));
        let open_runs = match wait {
            Some(_) => self.store.open_runs_of(heartbeat)?,
            None => Vec::new(),
        };
        self.tick.delta.waiters.push(Waiter {
            connection: caller.connection,
            deadline: now.monotonic + wait.unwrap_or_default(),
            wait_s: wait.map(|wait| wait.as_secs()),
            heartbeat: *heartbeat,
            heartbeat_id: caller.heartbeat_id.map(str::to_owned),
            duplicate,
            open_runs,
        });
        Ok(())
    }

    pub(super) fn note_ended_for_waiters(&mut self, ended: &[RunId]) {
        if ended.is_empty() {
            return;
        }
        for waiter in &mut self.waiters {
            waiter.open_runs.retain(|run| !ended.contains(run));
        }
    }

    /// Answers the callers whose runs ended or whose time is up.
    pub(super) fn answer_waiters(&mut self, now: Now, actions: &mut Vec<Action>) {
        let is_over = |waiter: &mut Waiter| waiter.open_runs.is_empty() || now.monotonic >= waiter.deadline;
        let over: Vec<Waiter> = self.waiters.extract_if(.., is_over).collect();
        self.answer_these(over, actions);
    }

    pub(super) fn answer_all_waiters(&mut self, actions: &mut Vec<Action>) {
        let all = std::mem::take(&mut self.waiters);
        self.answer_these(all, actions);
    }

    fn answer_these(&self, waiters: Vec<Waiter>, actions: &mut Vec<Action>) {
        for waiter in waiters {
            let answer = match self.store.run_summaries(&waiter.heartbeat, waiter.wait_s.is_some()) {
                Ok((runs, known)) => {
                    let id = waiter.heartbeat_id.as_deref();
                    let body = body(&waiter.heartbeat, id, waiter.duplicate, &runs, known);
                    Answer::Heartbeat { body, waited_s: waiter.wait_s }
                }
                Err(error) => Answer::Refused(Refusal::of(&error)),
            };
            actions.push(Action::Answer(waiter.connection, answer));
        }
    }

    pub(super) fn forget_waiter(&mut self, connection: ConnectionId) {
        let stays = |waiter: &Waiter| waiter.connection != connection;
        self.waiters.retain(stays);
        // It may have asked in this very round.
        self.tick.delta.waiters.retain(stays);
    }
}
