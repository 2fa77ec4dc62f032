//! What our own reader makes of the bytes of a connection, in whatever pieces they come.

use heartbeat_runtime::http::{Connection, Limits, Progress, Receiver};

use super::case::End;
use super::reference::Message;

/// What came of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    pub(crate) end: End,
    /// The sentence of a refusal.
    pub(crate) detail: String,
}

/// Reads bytes in one piece.
pub(crate) fn read(bytes: &[u8]) -> Reading {
    read_in(bytes, |left| left)
}

/// Reads bytes in two pieces.
pub(crate) fn read_split(bytes: &[u8], at: usize) -> Reading {
    let mut first = Some(at);
    read_in(bytes, |left| first.take().filter(|at| *at > 0).unwrap_or(left))
}

/// Reads bytes in pieces of the sizes that `next` gives; like the server, no more than is wanted, and nothing after a
/// request that ends the connection.
pub(crate) fn read_in(bytes: &[u8], mut next: impl FnMut(usize) -> usize) -> Reading {
    let limits = Limits::default();
    let mut receiver = Receiver::new();
    let mut messages = Vec::new();
    let mut rest = bytes;
    loop {
        let at_boundary = match receiver.poll(&limits) {
            Progress::Request(request) => {
                messages.push(Message::of(&request));
                let closes = request.connection() == Connection::Close;
                receiver.consume();
                if closes {
                    return Reading { messages, end: End::Closed, detail: String::new() };
                }
                continue;
            }
            Progress::Refused(refusal) => {
                let end = End::Refused(refusal.code.status().code());
                return Reading { messages, end, detail: refusal.detail.into_owned() };
            }
            // A CR alone may be the start of the empty line before a request: nobody can tell yet.
            Progress::Idle => receiver.buffered() == 0,
            Progress::Head | Progress::Body { .. } => false,
        };
        if rest.is_empty() {
            let end = if at_boundary { End::Kept } else { End::Waits };
            return Reading { messages, end, detail: String::new() };
        }
        let wanted = receiver.wants_bytes(&limits);
        assert_ne!(wanted, 0, "a receiver that waits wants something");
        let (piece, left) = rest.split_at(next(rest.len()).min(wanted).min(rest.len()));
        receiver.receive(piece);
        rest = left;
    }
}
