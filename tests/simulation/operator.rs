//! Operators: they hold flows and lift the hold, order runs and cancel them, ask, and reload, whatever else happens.

use heartbeat_runtime::runtime::{
    Answer, ConnectionId, Event, Objection, Order, Question, Refusal, Reply, Settings,
};
use heartbeat_runtime::store::{HeartbeatFilter, RunFilter, RunId};
use heartbeat_runtime::time::{Monotonic, Now};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::world::World;

/// Operators' connections have numbers of their own.
const FIRST: u64 = 1 << 40;

/// Everything that is known of operators.
#[derive(Debug, Default)]
pub(crate) struct Operators {
    made: u64,
    /// What is ordered or asked and not answered.
    open: BTreeMap<u64, Asked>,
    /// Whether each flow is held, as operators were told; none: an order was not answered.
    held: BTreeMap<String, Option<bool>>,
    /// A reload of this round, with what it brings.
    pub(crate) reloading: Option<Settings>,
    /// Runs that were in progress when somebody ordered their end.
    cancelled: BTreeSet<i64>,
    /// Flows that were ever ordered to be deleted.
    pub(crate) deleted: BTreeSet<String>,
}

impl Operators {
    /// Whether somebody ordered the end of a run.
    pub(crate) fn is_cancelled(&self, run: i64) -> bool {
        self.cancelled.contains(&run)
    }
}

/// Flows that there may be by command.
const ADDED_MAX: usize = 3;

#[derive(Debug)]
struct Asked {
    what: What,
    at: Monotonic,
    wait: Option<Duration>,
}

#[derive(Debug)]
enum What {
    Order(Order),
    Question,
    /// The output of a run, until its end.
    Output(i64),
}

impl World {
    /// An operator does something, or goes away.
    pub(crate) fn operate(&mut self) {
        if self.random.one_in(8)
            && let Some(id) = self.operators.open.keys().next().copied()
        {
            self.note(format!("operator {id} goes away"));
            let left = self.operators.open.remove(&id);
            if let Some(Asked { what: What::Order(Order::Hold { flow, .. }), .. }) = left {
                self.operators.held.insert(flow, None);
            }
            self.left_in_round.insert(id);
            self.tell(Event::Closed(ConnectionId(id)));
            return;
        }
        let names = self.flows();
        let Some(last) = names.len().checked_sub(1) else { return };
        let flow = names[self.random.index(last + 1)].clone();
        let newest = self.book().runs.last_key_value().map_or(1, |(id, _)| *id);
        let run = (newest + 1 - i64::try_from(self.random.below(8)).expect("small")).max(1);
        match self.random.below(100) {
            0..25 => {
                let held = self.random.one_in(2);
                self.order(Order::Hold { flow, held });
            }
            25..50 => self.order(Order::Run { flow, from: None }),
            50..70 => self.cancel(run),
            70..78 => self.add_or_remove(flow),
            78..90 => {
                let question = self.question(flow, run);
                self.ask(question, What::Question);
            }
            _ => self.ask(Question::Output(RunId(run)), What::Output(run)),
        }
    }

    fn question(&mut self, flow: String, run: i64) -> Question {
        match self.random.below(6) {
            0 => Question::Status,
            1 => Question::Flows { limit: 2, before: self.random.one_in(2).then_some(flow) },
            2 => Question::Flow(flow),
            3 => Question::Run(RunId(run)),
            4 => Question::Heartbeats(HeartbeatFilter { limit: 3, ..HeartbeatFilter::default() }),
            _ => Question::Runs(RunFilter { flow: Some(flow), limit: 3, ..RunFilter::default() }),
        }
    }

    /// A run may end in the very round in which it is cancelled, before or after.
    fn cancel(&mut self, run: i64) {
        let is_own = self.processes.get(&run).is_some_and(|process| !process.orphan);
        let ends_too = is_own && self.random.one_in(3);
        if ends_too {
            self.inject("ends in the round of the cancel");
        }
        let ends_first = ends_too && self.random.one_in(2);
        if ends_first {
            self.reap(run);
            if self.runtime.is_none() {
                return;
            }
        }
        if is_own {
            self.operators.cancelled.insert(run);
        }
        self.order(Order::Cancel(RunId(run)));
        if ends_too && !ends_first && self.runtime.is_some() {
            self.reap(run);
        }
    }

    /// A flow is added by command, changed or deleted.
    fn add_or_remove(&mut self, flow: String) {
        let added = self.flows().iter().filter(|flow| !self.folder.has_file_of(flow)).count();
        if added < ADDED_MAX && self.random.one_in(2) {
            let mut new = self.folder.new_command(&mut self.random);
            if self.random.one_in(3) {
                new.name = heartbeat_runtime::flow::FlowName::new(flow).expect("a name");
            }
            self.inject("flows added by command");
            self.order(Order::Add(vec![new]));
        } else {
            let file = self.folder.has_file_of(&flow).then(|| format!("/flows/{flow}.toml").into());
            self.inject("flows ordered to be deleted");
            self.operators.deleted.insert(flow.clone());
            self.order(Order::Remove { flow, file });
        }
    }

    fn next_operator(&mut self, what: What, wait: Option<Duration>) -> ConnectionId {
        self.operators.made += 1;
        let id = FIRST + self.operators.made;
        self.note(format!("operator {id}: {what:?}, wait {wait:?}"));
        let at = self.now().monotonic;
        self.operators.open.insert(id, Asked { what, at, wait });
        ConnectionId(id)
    }

    pub(crate) fn order(&mut self, order: Order) {
        let wait = self.random.one_in(3).then(|| self.random.millis(9_000));
        self.book().flows_may_change |= matches!(order, Order::Add(_) | Order::Remove { .. });
        let connection = self.next_operator(What::Order(order.clone()), wait);
        self.tell(Event::Order { connection, uid: 1000, order, wait });
    }

    fn ask(&mut self, question: Question, what: What) {
        let connection = self.next_operator(what, None);
        self.tell(Event::Ask { connection, question });
    }

    /// The daemon is gone, and with it what it had not answered.
    pub(crate) fn operators_are_cut_off(&mut self) {
        let Operators { open, held, reloading, cancelled, .. } = &mut self.operators;
        *reloading = None;
        cancelled.clear();
        for (_, asked) in std::mem::take(open) {
            if let What::Order(Order::Hold { flow, .. }) = asked.what {
                held.insert(flow, None);
            }
        }
    }

    /// What operators were told of holds is still so.
    pub(crate) fn judge_holds(&mut self) {
        let told = self.operators.held.clone();
        for (flow, held) in told.into_iter().filter_map(|(flow, held)| Some((flow, held?))) {
            match self.book().is_held(&flow) {
                Some(is_held) => assert_eq!(is_held, held, "what an operator was told of {flow} holds"),
                None => drop(self.operators.held.remove(&flow)),
            }
        }
    }

    /// Whether an answer is an operator's; if so, it is judged.
    pub(crate) fn operator_answered(&mut self, id: u64, answer: &Answer, now: Now) -> bool {
        if id <= FIRST {
            return false;
        }
        if let Answer::Operator { reply: Reply::Following(RunId(run)), .. } = answer {
            let asked = self.operators.open.get(&id).filter(|asked| matches!(asked.what, What::Output(_)));
            assert!(asked.is_some() || self.left_in_round.contains(&id), "run {run} is followed by nobody");
            return true;
        }
        let Some(Asked { what, at, wait }) = self.operators.open.remove(&id) else {
            assert!(self.left_in_round.contains(&id), "an answer is kept for {id}, which left long ago");
            return true;
        };
        let waits = wait.is_some_and(|wait| now.monotonic < at + wait.min(self.settings.wait_max));
        match (answer, what) {
            (
                Answer::Operator { reply: Reply::Flow(flow), .. },
                What::Order(Order::Hold { flow: name, .. }),
            ) => {
                self.note(format!("{id} is told: {name} held {}", flow.held));
                let on_record = self.book().is_held(&name);
                assert_eq!(on_record, Some(flow.held), "an operator is told what is on record");
                self.operators.held.insert(name, Some(flow.held));
            }
            (Answer::Operator { reply: Reply::Removed, .. }, What::Order(Order::Remove { flow, .. })) => {
                self.note(format!("{id} is told: {flow} is deleted"));
                self.operators.held.remove(&flow);
            }
            (Answer::Operator { reply: Reply::Added(added), .. }, What::Order(Order::Add(new))) => {
                self.note(format!("{id} is told: {added:?}"));
                assert_eq!(added.len(), new.len(), "what became of each");
            }
            (Answer::Operator { reply: Reply::Run(told), .. }, What::Order(_)) => {
                self.note(format!("{id} is told: run {} {}", told.id, told.status.as_str()));
                let run =
                    self.book().runs.get(&told.id).cloned().expect("a run that is told of is on record");
                assert_eq!(run.status, told.status, "an operator is told what is on record");
                assert!(!run.status.is_open() || !waits || self.stopping, "told before the run's end");
            }
            (Answer::Operator { reply: Reply::Objection(objection), .. }, _) => {
                self.note(format!("{id} is told: {objection:?}"));
                let may_be_gone = |flow| self.operators.deleted.contains(flow);
                let is_gone = if let Objection::NoFlow(flow) = objection { may_be_gone(flow) } else { true };
                assert!(is_gone, "a flow that nobody deleted is gone: {objection:?}");
            }
            (Answer::Operator { .. }, What::Question) => {}
            (Answer::Operator { reply: Reply::Output(_), .. }, What::Output(run)) => {
                let ended = self.book().runs.get(&run).is_none_or(|run| !run.status.is_open());
                assert!(ended, "the output of run {run} is told as whole");
            }
            (Answer::Operator { reply: Reply::Followed(_), .. }, What::Output(run)) => {
                let ended = self.book().runs.get(&run).is_none_or(|run| !run.status.is_open());
                assert!(ended || self.stopping, "run {run} is followed to its end");
            }
            (Answer::Refused(refusal), What::Order(order)) => {
                self.note(format!("{id} is refused: {refusal:?}"));
                let excused = self.holder.is_some() || (*refusal == Refusal::ShuttingDown && self.stopping);
                assert!(excused && *refusal != Refusal::Internal, "{refusal:?} for {order:?}");
            }
            (answer, what) => panic!("{answer:?} for {what:?}"),
        }
        true
    }

    /// Nobody waits for longer than it asked to.
    pub(crate) fn judge_operators_patience(&self, now: Now) {
        for (id, Asked { what, at, wait }) in &self.operators.open {
            let until = *at + wait.unwrap_or_default().min(self.settings.wait_max);
            let follows = matches!(what, What::Output(_));
            assert!(follows || now.monotonic < until, "operator {id} has no answer to {what:?}");
        }
    }
}
