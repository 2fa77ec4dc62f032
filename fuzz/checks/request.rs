//! However the bytes of a connection are split, the same requests and the same refusal come out of it, within
//! the bounds on memory; and hyper, a mature reader, understands whatever ours accepts, and the same of it.
//!
//! The first byte of the input chooses how the rest is split. Limits are small, so that the fuzzer reaches them.

use heartbeat_runtime::http::{Connection, Field, Limits, Problem, Progress, Receiver, Refusal, client};

use super::reference::{self, Message, Then};
use super::split::pieces;

const LIMITS: Limits = Limits { head_bytes: 256, headers: 6, body_bytes: 64 };

/// The target.
pub fn check(data: &[u8]) {
    let Some((&split, bytes)) = data.split_first() else { return };
    let whole = outcomes(bytes, |left| left);
    let pieces = outcomes(bytes, pieces(split));
    assert_eq!(whole, pieces);
    agree(bytes);
}

/// Where ours accepts, hyper does, and frames it alike. Where ours refuses, it may do as it likes: `mutations.rs` of the
/// conformance tests has what it accepts that ours does not.
fn agree(bytes: &[u8]) {
    let Accepted { messages: ours, is_open } = accepted(bytes);
    if ours.is_empty() {
        return;
    }
    let theirs = reference::read(bytes);
    for (at, message) in ours.iter().enumerate() {
        let Some(other) = theirs.messages.get(at) else { panic!("hyper refuses {message:?}") };
        // Settled in writing: `settled.rs` of the conformance tests.
        let is_settled = message.method == "OPTIONS" && message.path == "*" && other.path == "/";
        assert!(is_settled || message.is_same(other), "{message:?}\nhyper: {other:?}");
    }
    if is_open {
        assert_eq!((theirs.messages.len(), theirs.then), (ours.len(), Then::Open));
    }
}

/// What ours makes of the bytes, up to the last request of a connection.
struct Accepted {
    messages: Vec<Message>,
    /// They end where a request does, after which another may come.
    is_open: bool,
}

fn accepted(bytes: &[u8]) -> Accepted {
    let mut receiver = Receiver::new();
    let mut messages = Vec::new();
    let mut rest = bytes;
    loop {
        let mut is_open = false;
        match receiver.poll(&LIMITS) {
            Progress::Request(request) => {
                messages.push(Message::of(&request));
                if request.connection() == Connection::Close {
                    return Accepted { messages, is_open };
                }
                receiver.consume();
                continue;
            }
            Progress::Refused(_) => return Accepted { messages, is_open },
            Progress::Idle => is_open = receiver.buffered() == 0,
            Progress::Head | Progress::Body { .. } => {}
        }
        if rest.is_empty() {
            return Accepted { messages, is_open };
        }
        let (piece, left) = rest.split_at(receiver.wants_bytes(&LIMITS).min(rest.len()));
        receiver.receive(piece);
        rest = left;
    }
}

/// What comes out when pieces of the sizes that `next` gives arrive one after the other, no more of each
/// being received than is wanted.
fn outcomes(bytes: &[u8], mut next: impl FnMut(usize) -> usize) -> Vec<String> {
    let mut receiver = Receiver::new();
    let mut outcomes = Vec::new();
    let mut rest = bytes;
    loop {
        let mut continues = 0;
        loop {
            match receiver.poll(&LIMITS) {
                Progress::Request(request) => {
                    assert!(request.body.len() <= LIMITS.body_bytes);
                    assert!(request.path.starts_with('/') || request.path == "*");
                    assert!(request.minor_version == 0 || request.host.is_some());
                    assert!(!matches!(request.field("content-length"), Field::Repeated));
                    let values: Vec<_> = ["host", "a", "prefer", "expect"]
                        .map(|name| request.fields(name).collect::<Vec<_>>())
                        .into();
                    assert_eq!(request.head_only(), request.method_text() == "HEAD");
                    outcomes.push(format!(
                        "{} {} {:?} {:?} {:?} {:?} {:?} {:?} {values:?}",
                        request.method_text(),
                        request.path,
                        request.query,
                        request.host,
                        request.connection(),
                        request.body,
                        request.prefer_wait(),
                        request.content_is_encoded(),
                    ));
                }
                Progress::Refused(refusal) => {
                    assert_eq!(receiver.wants_bytes(&LIMITS), 0);
                    told(&refusal, receiver.refused_head_only());
                    outcomes.push(format!("{refusal:?} {}", receiver.refused_head_only()));
                    receiver.receive(rest);
                    assert!(matches!(receiver.poll(&LIMITS), Progress::Refused(again) if again == refusal));
                    assert_eq!(receiver.held_bytes(), 0, "what is refused is let go");
                    return outcomes;
                }
                Progress::Body { send_continue } => {
                    continues += usize::from(send_continue);
                    assert!(continues <= 1);
                    // Once content has begun nobody waits for leave to send it.
                    let received = &bytes[..bytes.len() - rest.len()];
                    assert!(!send_continue || received.ends_with(b"\r\n\r\n"));
                    break;
                }
                Progress::Idle | Progress::Head => break,
            }
            receiver.consume();
        }
        if rest.is_empty() {
            return outcomes;
        }
        let wanted = receiver.wants_bytes(&LIMITS);
        assert_ne!(wanted, 0, "a receiver that waits has to want something");
        let (piece, left) = rest.split_at(next(rest.len()).min(wanted));
        receiver.receive(piece);
        assert!(receiver.buffered() <= Receiver::buffered_bytes_max(&LIMITS));
        rest = left;
    }
}

/// Whatever is refused is told in an answer that a client reads.
fn told(refusal: &Refusal, head_only: bool) {
    let mut written = Vec::new();
    Problem::of(refusal).append(&mut written, "Sun, 06 Nov 1994 08:49:37 GMT", Connection::Close, head_only);
    let method = if head_only { client::Method::Head } else { client::Method::Get };
    let limits = Limits { body_bytes: 4096, ..Limits::default() };
    let answer =
        client::Receiver::new(limits, method).push(&written).expect("an answer of ours is well-formed");
    let answer = answer.expect("all of it came");
    assert_eq!((answer.status, answer.may_reuse), (refusal.code.status().code(), false));
    assert_eq!(answer.body.is_empty(), head_only);
}
