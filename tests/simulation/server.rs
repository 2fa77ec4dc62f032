//! The server that records are sent to: it takes batches, refuses them or is not there, and knows by its key one that it
//! took before.

use std::collections::BTreeMap;

use heartbeat_runtime::http::client::{Answer, Method, Receiver};
use heartbeat_runtime::runtime::{Event, Exchange, Job, Unanswered};
use heartbeat_runtime::store::RunId;
use heartbeat_runtime::time::Monotonic;

use super::world::World;
use super::writer::numbers;

/// What it has, and what is on its way there.
#[derive(Debug, Default)]
pub(crate) struct Server {
    /// By run: when its request is over, and what it is answered, if it is.
    under_way: BTreeMap<i64, (Monotonic, Option<u16>)>,
    /// What a key ever stood for.
    bodies: BTreeMap<String, Vec<u8>>,
    /// The numbers that it took, by flow and key.
    taken: BTreeMap<String, BTreeMap<String, Vec<u64>>>,
}

impl Server {
    /// What was taken of a flow's records, batch by batch.
    pub(crate) fn taken_of(&self, flow: &str) -> Vec<u64> {
        self.taken.get(flow).into_iter().flat_map(|batches| batches.values().flatten().copied()).collect()
    }

    /// When the next request is over.
    pub(crate) fn next_answer(&self) -> Option<Monotonic> {
        self.under_way.values().map(|(at, _)| *at).min()
    }

    /// The runs whose request is over.
    pub(crate) fn over(&self, now: Monotonic) -> Vec<i64> {
        self.under_way.iter().filter(|(_, (at, _))| *at <= now).map(|(run, _)| *run).collect()
    }

    /// The runs that wait for an answer.
    pub(crate) fn runs_under_way(&self) -> impl Iterator<Item = i64> {
        self.under_way.keys().copied()
    }

    /// Whoever asked is gone.
    pub(crate) fn forget_requests(&mut self) {
        self.under_way.clear();
    }
}

impl World {
    /// A batch sets out: what becomes of it is decided now.
    pub(crate) fn send_batch(&mut self, run: i64, exchange: &Exchange) {
        let flow = self.book().runs[&run].flow.clone();
        let key = exchange.fields.iter().find(|(name, _)| name == "Idempotency-Key");
        let key = key.map(|(_, key)| key.clone()).expect("each batch has a key");
        let body = exchange.body.clone().expect("a batch is the content");
        let on_record = self.book().cursors().remove(&flow).expect("it is recorded before it is sent");
        assert_eq!(on_record["outbox"]["key"], key.as_str(), "what is sent is on record");
        let known = self.server.bodies.entry(key.clone()).or_insert_with(|| body.clone());
        assert_eq!(known, &body, "a key stands for one body");
        let is_taken = self.server.taken.get(&flow).is_some_and(|batches| batches.contains_key(&key));
        let (takes, status, what) = match self.random.below(if self.calm { 1 } else { 10 }) {
            0..5 => (true, Some(204), "batches taken"),
            5 => (true, None, "batches taken whose answer is lost"),
            6 => (false, None, "batches lost on their way"),
            7 if !is_taken => (false, Some(400), "batches refused"),
            _ => (false, Some(503), "batches put off"),
        };
        if is_taken {
            self.inject("batches sent again that were taken");
        }
        self.inject(what);
        self.note(format!("batch {key} of {flow} sets out, taken: {takes}, answered: {status:?}"));
        if takes {
            self.server.taken.entry(flow).or_default().insert(key, numbers(&body));
        }
        let takes_ms = if self.calm { 1 } else { self.random.pick(&[1, 50, 20_000]) };
        let over_at = self.now().monotonic + self.random.millis(takes_ms).min(exchange.timeout);
        let before = self.server.under_way.insert(run, (over_at, status));
        assert!(before.is_none(), "a run makes one request at a time");
    }

    /// A request is over.
    pub(crate) fn answer_batch(&mut self, run: i64) {
        let Some((_, status)) = self.server.under_way.remove(&run) else { return };
        let answered = match status {
            None => {
                let may_succeed_later = self.calm || self.random.one_in(2);
                Err(Unanswered { message: "no answer".to_owned(), may_succeed_later })
            }
            Some(status) => Ok(Box::new(answer(status))),
        };
        self.note(format!("the request of run {run} is over: {status:?}"));
        self.tell(Event::Answered { job: Job::Run(RunId(run)), answered });
    }

    /// Those of runs that are over are given up, as in the shell.
    pub(crate) fn give_up_requests(&mut self) {
        let book = self.book.as_ref().expect("the daemon was started");
        let is_open = |run: &i64| book.runs.get(run).is_some_and(|run| run.status.is_open());
        self.server.under_way.retain(|run, _| is_open(run));
    }
}

/// An answer without content.
pub(crate) fn answer(status: u16) -> Answer {
    let mut answers = Receiver::new(Default::default(), Method::Post);
    let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    answers.push(text.as_bytes()).expect("right").expect("whole")
}
