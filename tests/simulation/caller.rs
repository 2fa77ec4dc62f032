//! Connections: what their peers have still to send, and what of it has been understood.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use heartbeat_runtime::http::Receiver;
use heartbeat_runtime::time::Monotonic;

use super::agents::Letter;
use super::random::Random;

/// What is no request, and must not become one whatever stands before it.
const GARBAGE: [&[u8]; 5] = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GARBAGE\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"POST /heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /heartbeat HTTP/1.1\r\nHost: box\r\nHost: other\r\nContent-Length: 0\r\n\r\n",
];

/// A virtual connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) receiver: Receiver,
    /// Sent on it and not understood yet, in order.
    letters: VecDeque<Rc<Letter>>,
    outgoing: Vec<u8>,
    sent_bytes: usize,
    /// Whether what comes behind the last letter is none.
    has_garbage: bool,
    /// The heartbeat that the runtime has, and since when, until it is answered.
    pub(crate) asked: Option<(Rc<Letter>, Monotonic)>,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self {
            receiver: Receiver::new(),
            letters: VecDeque::new(),
            outgoing: Vec::new(),
            sent_bytes: 0,
            has_garbage: false,
            asked: None,
        }
    }

    /// Another letter is to be sent, before or after those before it are answered.
    pub(crate) fn post(&mut self, letter: Rc<Letter>) {
        assert!(!self.has_garbage, "nothing comes behind garbage");
        self.outgoing.extend_from_slice(&letter.bytes);
        self.letters.push_back(letter);
    }

    pub(crate) fn post_garbage(&mut self, random: &mut Random) {
        self.outgoing.extend_from_slice(random.pick(&GARBAGE));
        self.has_garbage = true;
    }

    /// Whether another letter may be sent on it.
    pub(crate) fn is_kept(&self) -> bool {
        !self.has_garbage
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.sent_bytes < self.outgoing.len()
    }

    /// Whether something of it can be understood now.
    pub(crate) fn can_go_on(&self) -> bool {
        self.asked.is_none() && (self.is_sending() || self.has_garbage || !self.letters.is_empty())
    }

    /// The next piece of what it sends arrives; in the calm all of it.
    pub(crate) fn send(&mut self, calm: bool, random: &mut Random) {
        let rest = &self.outgoing[self.sent_bytes..];
        if rest.is_empty() {
            return;
        }
        let count = if calm || random.percent(60) { rest.len() } else { 1 + random.index(rest.len()) };
        self.receiver.receive(&rest[..count]);
        self.sent_bytes += count;
        if !self.is_sending() {
            self.outgoing.clear();
            self.sent_bytes = 0;
        }
    }

    /// The letter that a request is; every one is somebody's.
    pub(crate) fn understood(&mut self) -> Rc<Letter> {
        self.letters.pop_front().expect("a request that nobody sent")
    }

    /// All that is on its way has come, and is no whole request.
    pub(crate) fn judge_incomplete(&self) {
        let all_has_come = !self.is_sending() && (self.has_garbage || !self.letters.is_empty());
        assert!(!all_has_come, "all of it has come: {:?}", self.letters);
    }

    /// What it sent is refused for its form.
    pub(crate) fn judge_refused(&self) {
        let is_garbage = self.has_garbage && self.letters.is_empty();
        assert!(is_garbage, "a letter is refused for its form: {:?}", self.letters);
    }

    /// The longest that the answer to its heartbeat may take, given the longest wait that is honoured.
    pub(crate) fn patience(letter: &Letter, wait_max: Duration) -> Duration {
        letter.wait_s.map_or(Duration::ZERO, |wait_s| Duration::from_secs(wait_s).min(wait_max))
    }
}
