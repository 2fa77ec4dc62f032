//! Callers: agents that send signed heartbeats, again or anew, one that may start a few flows only, and one who has not
//! the secret.

use std::rc::Rc;
use std::time::Duration;

use heartbeat_runtime::auth::Secret;
use heartbeat_runtime::http::Receiver;
use heartbeat_runtime::time::Monotonic;

use super::random::Random;

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Of the agent that may start only [`NARROW_FLOWS`]; its ids start with its name.
pub(crate) const NARROW_SECRET: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
pub(crate) const NARROW: &str = "narrow";
pub(crate) const NARROW_FLOWS: [&str; 3] = ["flow-0", "flow-2", "flow-of-nobody"];
const OTHER_SECRET: &str = "whsec_Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

/// A request as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) id: String,
    pub(crate) timestamp_s: i64,
    pub(crate) wait_s: Option<u64>,
    /// Whether whoever wrote it had the secret.
    pub(crate) genuine: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A virtual connection: what its peer has still to send, and what of it has been understood.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) receiver: Receiver,
    pub(crate) letter: Rc<Letter>,
    pub(crate) sent_bytes: usize,
    /// When the runtime got its heartbeat, until it is answered.
    pub(crate) asked_at: Option<Monotonic>,
}

impl Connection {
    pub(crate) fn new(letter: Rc<Letter>) -> Self {
        Self { receiver: Receiver::new(), letter, sent_bytes: 0, asked_at: None }
    }

    /// The connection is kept for another request.
    pub(crate) fn reuse(&mut self, letter: Rc<Letter>) {
        self.letter = letter;
        self.sent_bytes = 0;
        self.asked_at = None;
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.sent_bytes < self.letter.bytes.len()
    }

    /// The next piece of its request arrives; in the calm all of it.
    pub(crate) fn send(&mut self, calm: bool, random: &mut Random) {
        let rest = &self.letter.bytes[self.sent_bytes..];
        let count = if calm || random.percent(60) { rest.len() } else { 1 + random.index(rest.len()) };
        self.receiver.receive(&rest[..count]);
        self.sent_bytes += count;
    }

    /// The longest that its answer may take, given the longest wait that is honoured.
    pub(crate) fn patience(&self, wait_max: Duration) -> Duration {
        self.letter.wait_s.map_or(Duration::ZERO, |wait_s| Duration::from_secs(wait_s).min(wait_max))
    }
}

/// Whoever writes: keeps what was written, to send it again.
#[derive(Debug)]
pub(crate) struct Agents {
    secret: Secret,
    narrow_secret: Secret,
    other_secret: Secret,
    written: Vec<Rc<Letter>>,
}

impl Agents {
    pub(crate) fn new() -> Self {
        let secret = |line| Secret::parse_line(line).expect("a secret").expect("a line with a secret");
        let [secret, narrow_secret, other_secret] = [SECRET, NARROW_SECRET, OTHER_SECRET].map(secret);
        Self { secret, narrow_secret, other_secret, written: Vec::new() }
    }

    /// An honest heartbeat that was never sent before.
    pub(crate) fn honest(&mut self, now_s: i64, random: &mut Random) -> Rc<Letter> {
        self.honest_of("msg", now_s, random)
    }

    fn honest_of(&mut self, agent: &str, now_s: i64, random: &mut Random) -> Rc<Letter> {
        let id = format!("{agent}_{}_{:x}", self.written.len(), random.below(1 << 16));
        let wait_s = random.percent(30).then(|| 1 + random.below(9));
        self.write(id, now_s, wait_s, random)
    }

    /// Any letter: new, the same bytes again (recent or old), an id signed anew, or a forgery.
    pub(crate) fn any(&mut self, now_s: i64, random: &mut Random) -> Rc<Letter> {
        let Some(last) = self.written.len().checked_sub(1) else { return self.honest(now_s, random) };
        let recent = last - random.index(last.min(5) + 1);
        match random.below(100) {
            0..35 => self.honest(now_s, random),
            35..50 => self.honest_of(NARROW, now_s, random),
            50..68 => Rc::clone(&self.written[recent]),
            68..75 => Rc::clone(&self.written[random.index(last + 1)]),
            75..88 => {
                let id = self.written[recent].id.clone();
                let wait_s = random.percent(30).then(|| 1 + random.below(9));
                self.write(id, now_s, wait_s, random)
            }
            _ => self.forge(recent, now_s, random),
        }
    }

    fn write(
        &mut self,
        id: String,
        timestamp_s: i64,
        wait_s: Option<u64>,
        random: &mut Random,
    ) -> Rc<Letter> {
        let body = format!("{{\"site\":{}}}", random.below(1000));
        let secret = if id.starts_with(NARROW) { &self.narrow_secret } else { &self.secret };
        let signature = secret.sign(&id, timestamp_s, body.as_bytes());
        let bytes = request(&id, timestamp_s, &signature, wait_s, body.as_bytes(), random);
        let letter = Rc::new(Letter { id, timestamp_s, wait_s, genuine: true, bytes });
        self.written.push(Rc::clone(&letter));
        letter
    }

    /// Signed with another secret, or a signature put to an id, a time or a body that it was not made for.
    fn forge(&self, of: usize, now_s: i64, random: &mut Random) -> Rc<Letter> {
        let id = if random.one_in(2) { self.written[of].id.clone() } else { "msg_forged".to_owned() };
        let (body, now) = (b"{}", now_s);
        let signature = match random.below(4) {
            0 => self.other_secret.sign(&id, now, body),
            1 => self.secret.sign(&id, now - 1, body),
            2 => self.secret.sign("msg_of_another", now, body),
            _ => self.secret.sign(&id, now, b"{ }"),
        };
        let bytes = request(&id, now, &signature, None, body, random);
        Rc::new(Letter { id, timestamp_s: now, wait_s: None, genuine: false, bytes })
    }
}

fn request(
    id: &str,
    timestamp_s: i64,
    signature: &str,
    wait_s: Option<u64>,
    body: &[u8],
    random: &mut Random,
) -> Vec<u8> {
    let prefer = wait_s.map(|seconds| format!("Prefer: wait={seconds}\r\n")).unwrap_or_default();
    let chunked = random.one_in(3);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", body.len())
    };
    let head = format!(
        "POST /heartbeat HTTP/1.1\r\nHost: box\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp_s}\r\n\
         webhook-signature: {signature}\r\n{prefer}{framing}\r\n\r\n"
    );
    let mut bytes = head.into_bytes();
    if chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(body);
    }
    bytes
}
