//! Operators: they hold flows and lift the hold, order runs and cancel them, ask, and reload, whatever else happens.

use heartbeat_runtime::runtime::{
    Answer, ConnectionId, Event, Objection, Order, Question, Refusal, Reload, Reply, Settings,
};
use heartbeat_runtime::store::{RunFilter, RunId};
use heartbeat_runtime::time::{Monotonic, Now};
use std::collections::BTreeMap;
use std::time::Duration;

use super::alerts;
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
    reloading: Option<Settings>,
}

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
        let names: Vec<String> = self.flows().iter().map(|flow| flow.name.to_string()).collect();
        let flow = self.random.pick(&names.iter().map(String::as_str).collect::<Vec<_>>()).to_owned();
        let newest = self.book().runs.last_key_value().map_or(1, |(id, _)| *id);
        let run = (newest + 1 - i64::try_from(self.random.below(8)).expect("small")).max(1);
        match self.random.below(100) {
            0..25 => {
                let held = self.random.one_in(2);
                self.order(Order::Hold { flow, held });
            }
            25..55 => self.order(Order::Run { flow, from: None }),
            55..75 => self.order(Order::Cancel(RunId(run))),
            75..80 => self.ask(Question::Status, What::Question),
            80..85 => {
                let filter = RunFilter { flow: Some(flow), limit: 3, ..RunFilter::default() };
                self.ask(Question::Runs(filter), What::Question);
            }
            85..92 => self.ask(Question::Output(RunId(run)), What::Output(run)),
            _ => self.reload(),
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
        let connection = self.next_operator(What::Order(order.clone()), wait);
        self.tell(Event::Order { connection, uid: 1000, order, wait });
    }

    fn ask(&mut self, question: Question, what: What) {
        let connection = self.next_operator(what, None);
        self.tell(Event::Ask { connection, question });
    }

    /// Twice in a round the shell reloads once.
    fn reload(&mut self) {
        if self.operators.reloading.is_some() {
            return;
        }
        let settings = Settings { max_concurrent_runs: 1 + self.random.index(4), ..self.settings };
        self.note(format!("reload: {} at once", settings.max_concurrent_runs));
        self.operators.reloading = Some(settings);
        // Until the commit both may be true.
        self.book().allow_runs(settings.max_concurrent_runs);
        let definitions = self.flows().to_vec();
        self.tell(Event::Reload(Box::new(Reload {
            settings,
            alerts: Box::new(alerts::settings()),
            definitions,
            bad: Vec::new(),
        })));
    }

    pub(crate) fn reloaded(&mut self, came_into_force: bool) {
        let settings = self.operators.reloading.take().expect("a reload ends in its round");
        assert!(came_into_force || self.holder.is_some(), "a reload fails without a reason");
        if came_into_force {
            self.note("reloaded".to_owned());
            self.settings = settings;
        }
    }

    /// The daemon is gone, and with it what it had not answered.
    pub(crate) fn operators_are_cut_off(&mut self) {
        let Operators { open, held, reloading, .. } = &mut self.operators;
        *reloading = None;
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
            assert_eq!(self.book().is_held(&flow), held, "what an operator was told of {flow} holds");
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
                assert_eq!(self.book().is_held(&name), flow.held, "an operator is told what is on record");
                self.operators.held.insert(name, Some(flow.held));
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
                assert!(!matches!(objection, Objection::NoFlow(_)), "every flow is there");
            }
            (Answer::Operator { reply: Reply::Status(_) | Reply::Runs(_), .. }, What::Question) => {}
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
