//! Agents: they sign heartbeats with one of two secrets, send them again or anew, or have but a token; one may start a few
//! flows only. And one who has no secret.

use std::rc::Rc;
use std::time::Duration;

use heartbeat_runtime::auth::{Agent, Allowlist, Keyring, Scope, Secret, StandardWebhooks, Token};
use heartbeat_runtime::gate::Gate;

use super::random::Random;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The one that takes its place: both are good.
const NEXT_SECRET: &str = "whsec_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";
/// Of the agent that may start only [`NARROW_FLOWS`].
const NARROW_SECRET: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
pub(crate) const NARROW: &str = "narrow";
pub(crate) const NARROW_FLOWS: [&str; 3] = ["flow-0", "flow-2", "flow-of-nobody"];
const OTHER_SECRET: &str = "whsec_Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
/// Of the agent that cannot sign: its heartbeats have no ids, and none is the same as another.
const TOKEN: &str = "token-of-the-simulation";
pub(crate) const TOKEN_AGENT: &str = "token";
pub(crate) const TOLERANCE_S: u64 = 300;

/// 76 hours.
const SENDERS_TRY_FOR_S: u64 = 76 * 3600;
/// So many letters are the last.
const LAST: usize = 4;

/// A request as it goes over the wire.
#[derive(Debug)]
pub(crate) struct Letter {
    /// Its heartbeat's; one with a token has it for us alone.
    pub(crate) id: String,
    pub(crate) agent: &'static str,
    pub(crate) timestamp_s: i64,
    pub(crate) wait_s: Option<u64>,
    /// Whether whoever wrote it had the secret.
    pub(crate) genuine: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Letter {
    /// Whether it has an id and a time that are signed.
    pub(crate) fn is_signed(&self) -> bool {
        self.agent != TOKEN_AGENT
    }
}

/// Whoever writes: keeps what was written, to send it again.
#[derive(Debug)]
pub(crate) struct Agents {
    secret: Secret,
    next_secret: Secret,
    narrow_secret: Secret,
    other_secret: Secret,
    written: Vec<Rc<Letter>>,
}

impl Agents {
    pub(crate) fn new() -> Self {
        let [secret, next_secret, narrow_secret, other_secret] =
            [SECRET, NEXT_SECRET, NARROW_SECRET, OTHER_SECRET].map(parsed);
        Self { secret, next_secret, narrow_secret, other_secret, written: Vec::new() }
    }

    /// An honest heartbeat that was never sent before.
    pub(crate) fn honest(&mut self, now_s: i64, random: &mut Random) -> Rc<Letter> {
        self.honest_of("default", now_s, random)
    }

    fn honest_of(&mut self, agent: &'static str, now_s: i64, random: &mut Random) -> Rc<Letter> {
        let id = match self.written.last() {
            // An id is its agent's own: another's may be the same.
            Some(last) if last.is_signed() && self.is_young(&last.id, now_s) && random.one_in(8) => {
                last.id.clone()
            }
            _ => format!("{agent}_{}_{:x}", self.written.len(), random.below(1 << 16)),
        };
        self.write(id, agent, now_s, random)
    }

    /// Whether a sender may still try again to send what it gave this id.
    fn is_young(&self, id: &str, now_s: i64) -> bool {
        let first = self.written.iter().find(|letter| letter.id == id);
        first.is_none_or(|letter| letter.timestamp_s.abs_diff(now_s) < SENDERS_TRY_FOR_S)
    }

    /// A letter from long ago.
    pub(crate) fn old(&self, now_s: i64, random: &mut Random) -> Option<Rc<Letter>> {
        let is_old =
            |letter: &&Rc<Letter>| letter.is_signed() && letter.timestamp_s.abs_diff(now_s) > TOLERANCE_S;
        let old: Vec<_> = self.written.iter().filter(is_old).collect();
        // Those that are just forgotten are among the last.
        let of = if random.one_in(2) { old.len().min(LAST) } else { old.len() };
        (of > 0).then(|| Rc::clone(old[old.len() - 1 - random.index(of)]))
    }

    /// Any letter, and in a word what it is.
    pub(crate) fn any(&mut self, now_s: i64, random: &mut Random) -> (&'static str, Rc<Letter>) {
        let Some(last) = self.written.len().checked_sub(1) else {
            return ("honest heartbeats", self.honest(now_s, random));
        };
        let recent = last - random.index(last.min(5) + 1);
        match random.below(100) {
            0..35 => ("honest heartbeats", self.honest(now_s, random)),
            35..47 => ("heartbeats of an agent with a scope", self.honest_of(NARROW, now_s, random)),
            47..52 => ("heartbeats with a token", self.honest_of(TOKEN_AGENT, now_s, random)),
            52..68 => ("the same bytes again, at once", Rc::clone(&self.written[recent])),
            68..75 => {
                ("the same bytes again, from long ago", Rc::clone(&self.written[random.index(last + 1)]))
            }
            75..88 => {
                let Letter { id, agent, .. } = &*self.written[recent];
                let (id, agent) = (id.clone(), *agent);
                if !self.is_young(&id, now_s) {
                    return ("honest heartbeats", self.honest(now_s, random));
                }
                ("ids signed anew", self.write(id, agent, now_s, random))
            }
            _ => ("forgeries", self.forge(recent, now_s, random)),
        }
    }

    fn write(
        &mut self,
        id: String,
        agent: &'static str,
        timestamp_s: i64,
        random: &mut Random,
    ) -> Rc<Letter> {
        let wait_s = random.percent(30).then(|| 1 + random.below(9));
        let body = format!("{{\"site\":{}}}", random.below(1000));
        let proof = match agent {
            TOKEN_AGENT => format!("X-Heartbeat-Token: {TOKEN}\r\n"),
            _ => {
                let signatures = self.signatures(agent, &id, timestamp_s, body.as_bytes(), random);
                signed(&id, timestamp_s, &signatures)
            }
        };
        let bytes = request(&proof, wait_s, body.as_bytes(), random);
        let letter = Rc::new(Letter { id, agent, timestamp_s, wait_s, genuine: true, bytes });
        self.written.push(Rc::clone(&letter));
        letter
    }

    /// At least one of them is right.
    fn signatures(
        &self,
        agent: &str,
        id: &str,
        timestamp_s: i64,
        body: &[u8],
        random: &mut Random,
    ) -> String {
        let sign = |secret: &Secret| secret.sign(id, timestamp_s, body);
        if agent == NARROW {
            return sign(&self.narrow_secret);
        }
        match random.below(8) {
            0 => sign(&self.next_secret),
            1 => format!("{} {}", sign(&self.secret), sign(&self.next_secret)),
            2 => format!("{} {}", sign(&self.other_secret), sign(&self.next_secret)),
            3 => format!("v2,AAAA v1a,BBBB {} v1,nonsense", sign(&self.secret)),
            _ => sign(&self.secret),
        }
    }

    /// Signed with another secret, or a signature put to an id, a time or a body that it was not made for, or one that
    /// comes twice.
    fn forge(&self, of: usize, now_s: i64, random: &mut Random) -> Rc<Letter> {
        let id = if random.one_in(2) { self.written[of].id.clone() } else { "msg_forged".to_owned() };
        let (body, now) = (b"{}", now_s);
        let signature = |id: &str, at_s, body: &[u8]| self.secret.sign(id, at_s, body);
        let how = random.below(6);
        let signature = match how {
            0 => self.other_secret.sign(&id, now, body),
            1 => signature(&id, now - 1, body),
            2 => signature("msg_of_another", now, body),
            3 => signature(&id, now, b"{ }"),
            4 => signature(&id, now, body).replace("v1,", "v2,"),
            _ => signature(&id, now, body),
        };
        let mut proof = signed(&id, now, &signature);
        if how == 5 {
            // Refused whatever each of them is worth.
            proof.push_str(&format!("webhook-signature: {}\r\n", self.other_secret.sign(&id, now, body)));
        }
        let bytes = request(&proof, None, body, random);
        Rc::new(Letter { id, agent: "nobody", timestamp_s: now, wait_s: None, genuine: false, bytes })
    }
}

fn signed(id: &str, timestamp_s: i64, signatures: &str) -> String {
    format!("webhook-id: {id}\r\nwebhook-timestamp: {timestamp_s}\r\nwebhook-signature: {signatures}\r\n")
}

fn request(proof: &str, wait_s: Option<u64>, body: &[u8], random: &mut Random) -> Vec<u8> {
    let prefer = wait_s.map(|seconds| format!("Prefer: wait={seconds}\r\n")).unwrap_or_default();
    let chunked = random.one_in(3);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", body.len())
    };
    let head = format!("POST /heartbeat HTTP/1.1\r\nHost: box\r\n{proof}{prefer}{framing}\r\n\r\n");
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

fn parsed(line: &str) -> Secret {
    Secret::parse_line(line).expect("a secret").expect("a line with a secret")
}

/// The gate of a box that knows these agents.
pub(crate) fn gate() -> Gate {
    let tolerance = Duration::from_secs(TOLERANCE_S);
    let secrets = vec![parsed(SECRET), parsed(NEXT_SECRET)];
    let default = Agent::of_top_level(secrets, None, tolerance).expect("two secrets");
    let narrow = StandardWebhooks::new(vec![parsed(NARROW_SECRET)], tolerance).expect("one secret");
    let flows = Some(NARROW_FLOWS.map(str::to_owned).to_vec());
    let narrow = Agent::new(NARROW, vec![Box::new(narrow)]).within(Scope { whitelist: None, flows });
    let token = Agent::new(TOKEN_AGENT, vec![Box::new(Token::parse(TOKEN).expect("a token"))]);
    let keyring = Keyring::new(vec![default, narrow, token]);
    Gate::new("/heartbeat".to_owned(), keyring, None, Allowlist::new(Vec::new()), 30)
}
