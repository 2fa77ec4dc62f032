//! Callers whose answer names runs: it is made after the commit, and with `Prefer: wait=N` (RFC 7240) held until the
//! runs ended or the time is up.

use super::answer::{Answer, Refusal, body};
use super::heartbeat::Caller;
use super::orders::Told;
use super::{Action, ConnectionId, Runtime};
use crate::store::{Heartbeat, Result, RunId};
use crate::time::{Monotonic, Now};

/// A caller that waits. Its going away cancels nothing.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) connection: ConnectionId,
    /// Now, for one that did not ask to wait; none: as long as the runs take.
    pub(super) deadline: Option<Monotonic>,
    /// Seconds that it waits at most, if it asked to.
    pub(super) wait_s: Option<u64>,
    /// Runs that it waits for.
    pub(super) open_runs: Vec<RunId>,
    /// Whether the answer tells of what the round writes in which it was asked: if that is dropped, so is the answer.
    pub(super) tells_of_this_round: bool,
    pub(super) asks: Asks,
}

/// What a caller wants to know when its wait is over.
#[derive(Debug)]
pub(super) enum Asks {
    /// What became of its heartbeat.
    Heartbeat { heartbeat: Heartbeat, heartbeat_id: Option<String>, duplicate: bool },
    /// What an operator ordered or asked.
    Operator(Told),
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
        let of_heartbeats =
            |waiter: &&Waiter| waiter.wait_s.is_some() && matches!(waiter.asks, Asks::Heartbeat { .. });
        let waiting = self.waiters.iter().chain(&self.tick.delta.waiters).filter(of_heartbeats);
        let may_wait = waiting.count() < self.settings.waiters_max;
        let wait = caller.wait.filter(|_| may_wait).map(|wait| wait.min(self.settings.wait_max));
        let open_runs = match wait {
            Some(_) => self.store.open_runs_of(heartbeat)?,
            None => Vec::new(),
        };
        self.tick.delta.waiters.push(Waiter {
            connection: caller.connection,
            deadline: Some(now.monotonic + wait.unwrap_or_default()),
            wait_s: wait.map(|wait| wait.as_secs()),
            open_runs,
            tells_of_this_round: true,
            asks: Asks::Heartbeat {
                heartbeat: *heartbeat,
                heartbeat_id: caller.heartbeat_id.map(str::to_owned),
                duplicate,
            },
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
        if self.waiters.is_empty() {
            return;
        }
        let is_over = |waiter: &mut Waiter| {
            waiter.open_runs.is_empty() || waiter.deadline.is_some_and(|deadline| now.monotonic >= deadline)
        };
        let over: Vec<Waiter> = self.waiters.extract_if(.., is_over).collect();
        self.answer_these(over, now, actions);
    }

    pub(super) fn answer_all_waiters(&mut self, now: Now, actions: &mut Vec<Action>) {
        let all = std::mem::take(&mut self.waiters);
        self.answer_these(all, now, actions);
    }

    fn answer_these(&mut self, waiters: Vec<Waiter>, now: Now, actions: &mut Vec<Action>) {
        for waiter in waiters {
            let connection = waiter.connection;
            let answer =
                self.answer_to(waiter, now).unwrap_or_else(|error| Answer::Refused(Refusal::of(&error)));
            actions.push(Action::Answer(connection, answer));
        }
    }

    fn answer_to(&mut self, waiter: Waiter, now: Now) -> Result<Answer> {
        let waited_s = waiter.wait_s;
        let reply = match waiter.asks {
            Asks::Heartbeat { heartbeat, heartbeat_id, duplicate } => {
                let (mut runs, known) = self.store.run_summaries(&heartbeat, waited_s.is_some())?;
                for run in &mut runs {
                    if let Some((counters, elapsed_ms)) = self.moved_so_far(RunId(run.id), now) {
                        run.count(&counters, elapsed_ms);
                    }
                }
                let body = body(&heartbeat, heartbeat_id.as_deref(), duplicate, &runs, known);
                return Ok(Answer::Heartbeat { body, waited_s });
            }
            Asks::Operator(Told::LookUp(question)) => {
                self.answer_question(waiter.connection, &question, now)?
            }
            Asks::Operator(Told::Reply(reply)) => reply,
        };
        Ok(Answer::Operator { reply, waited_s })
    }

    pub(super) fn forget_waiter(&mut self, connection: ConnectionId) {
        let stays = |waiter: &Waiter| waiter.connection != connection;
        self.waiters.retain(stays);
        // It may have asked in this very round.
        self.tick.delta.waiters.retain(stays);
    }
}
