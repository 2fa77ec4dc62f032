//! Operators' orders and questions as events of a round: recorded in its transaction, told after its commit.

use std::time::Duration;

use super::answer::{Answer, Refusal};
use super::lines::Line;
use super::orders::{Carried, Order, Question, Reply, Report, Told, carry_out, look_up, report};
use super::running::{Signal, Stage};
use super::shutdown::Phase;
use super::wait::{Asks, Waiter};
use super::{Action, ConnectionId, Runtime};
use crate::flow::ErrorKind;
use crate::store::{Result, RunId};
use crate::time::{Monotonic, Now};

impl Runtime {
    pub(super) fn order(
        &mut self,
        connection: ConnectionId,
        uid: u32,
        order: &Order,
        wait: Option<Duration>,
        now: Now,
    ) {
        if self.phase.is_stopping() && matches!(order, Order::Run { .. }) {
            return self.answer(connection, Answer::Refused(Refusal::ShuttingDown));
        }
        if self.round_is_lost() {
            // Told why at the end of the round.
            return self.answer(connection, Answer::Refused(Refusal::Internal));
        }
        if let Err(error) = self.carry_out(connection, uid, order, wait, now) {
            self.event_failed(connection, error);
        }
    }

    fn carry_out(
        &mut self,
        connection: ConnectionId,
        uid: u32,
        order: &Order,
        wait: Option<Duration>,
        now: Now,
    ) -> Result<()> {
        self.ensure_transaction()?;
        let Self { store, zones, .. } = self;
        let carried = match store.in_savepoint(|store| carry_out(store, order, zones, now.wall))? {
            Ok(carried) => carried,
            Err(objection) => {
                let reply = Reply::Objection(objection);
                self.answer(connection, Answer::Operator { reply, waited_s: None });
                return Ok(());
            }
        };
        let delta = &mut self.tick.delta;
        let (mut open_run, mut ended) = (None, Vec::new());
        match &carried {
            Carried::Added(_, cancelled) => ended.clone_from(cancelled),
            Carried::Held(cancelled) => ended.extend(cancelled),
            Carried::Removed | Carried::CursorSet => {}
            Carried::Recorded(run, flow) => {
                delta.claimed.push((*run, *flow));
                open_run = Some(*run);
            }
            Carried::Cancelled(run) => ended.push(*run),
            Carried::InProgress(run) => {
                delta.cancelled.push(*run);
                open_run = Some(*run);
            }
        }
        self.count_cancelled(&ended);
        let delta = &mut self.tick.delta;
        delta.left_pending.extend(&ended);
        delta.refused.extend(&ended);
        delta.flows_changed = true;
        delta.lines.push(Line::Ordered { uid, order: order.clone() });
        let wait = wait.filter(|_| open_run.is_some()).map(|wait| wait.min(self.settings.wait_max));
        self.tick.delta.waiters.push(Waiter {
            connection,
            deadline: Some(now.monotonic + wait.unwrap_or_default()),
            wait_s: wait.map(|wait| wait.as_secs()),
            open_runs: open_run.into_iter().collect(),
            tells_of_this_round: true,
            asks: Asks::Operator(Told::of(order, carried)),
        });
        Ok(())
    }

    /// Answered after the round's commit, so that nothing is told that is not on the disk; and also if there is none.
    pub(super) fn ask(&mut self, connection: ConnectionId, question: Question, now: Now) {
        self.tick.delta.waiters.push(Waiter {
            connection,
            deadline: Some(now.monotonic),
            wait_s: None,
            open_runs: Vec::new(),
            tells_of_this_round: false,
            asks: Asks::Operator(Told::LookUp(question)),
        });
    }

    /// Tells the processes of cancelled runs to end.
    pub(super) fn end_cancelled(&mut self, cancelled: Vec<RunId>, now: Now, actions: &mut Vec<Action>) {
        for run in cancelled {
            let Some(running) = self.running.get_mut(&run) else { continue };
            // Whatever ends already ends for the reason that it began to.
            if let Stage::Running = running.stage {
                let kill_at = now.monotonic + running.kill_grace;
                running.stage = Stage::Terminating { because: ErrorKind::Cancelled, kill_at };
                running.signal(run, Signal::Terminate, actions);
            }
        }
    }

    pub(super) fn answer_question(
        &mut self,
        connection: ConnectionId,
        question: &Question,
        now: Now,
    ) -> Result<Reply> {
        if let Question::Status = question {
            return Ok(Reply::Status(Box::new(self.report(now))));
        }
        let mut reply = look_up(&self.store, question, now.wall)?;
        match &mut reply {
            Reply::Following(run) => self.waiters.push(Waiter {
                connection,
                deadline: None,
                wait_s: None,
                open_runs: vec![*run],
                tells_of_this_round: false,
                asks: Asks::Operator(Told::Reply(Reply::Followed(*run))),
            }),
            Reply::Run(run) => {
                if let Some((counters, elapsed_ms)) = self.moved_so_far(RunId(run.id), now) {
                    run.count(&counters, elapsed_ms);
                }
            }
            _ => {}
        }
        Ok(reply)
    }

    /// The state of the whole.
    pub fn report(&self, now: Now) -> Report {
        let mut report = report(&self.store, now.wall);
        report.phase = match self.phase {
            Phase::Serving => "serving",
            _ => "ending",
        };
        let start = Monotonic::since_start(Duration::ZERO);
        report.alert_counts = Some(self.alert_counts());
        report.uptime_s = Some(now.monotonic.since(start).as_secs());
        if let Some(error) = &self.tick.last_failure {
            report.degraded = Some(error.to_string());
        }
        // What stands in for a database tells nothing of it.
        report.figures = report.figures.filter(|_| !self.is_closed);
        if let Some(figures) = &mut report.figures {
            self.agents_as_heard(&mut figures.agents);
        }
        report
    }
}
