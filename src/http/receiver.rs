//! The receive half of one connection: bytes in, requests out.
//!
//! Invariant: however the bytes are split over [`Receiver::receive`] calls, the requests and the refusal that
//! come out are the same. So every judgement is made on the bytes in their order and on nothing else, and
//! where two faults meet, the one whose proof is complete at the earlier byte is told.

use std::mem;

use super::Limits;
use super::chunked::Chunked;
use super::error::Refusal;
use super::head::{Framing, Head, head_too_large};
use super::request::Request;
use super::scan::Scan;
use super::target;
use crate::limits::CHUNK_LINE_BYTES_MAX;

/// Capacity that a buffer keeps between requests, in bytes: what a common request needs. What a large one
/// took is given back, because a box has many connections and little memory.
const KEPT_BYTES: usize = 4096;

/// Reads requests out of what a connection sends.
///
/// The order of calls: read at most [`Receiver::wants_bytes`] bytes from the socket, hand them to
/// [`Receiver::receive`], then [`Receiver::poll`]. On [`Progress::Request`], answer, call
/// [`Receiver::consume`] and poll again, as more may have come. On [`Progress::Refused`], answer and close.
/// A caller that reads no more than is wanted keeps memory within [`Receiver::buffered_bytes_max`] for what
/// was received and `body_bytes` for a body that came in chunks.
#[derive(Debug, Default)]
pub struct Receiver {
    /// What was received; the request in hand, or the part of one, starts at `start`.
    buffer: Vec<u8>,
    start: usize,
    phase: Phase,
    /// Whether the one empty line before a request has come already.
    empty_line_skipped: bool,
    scan: Scan,
    head: Head,
    /// Whether `100 Continue` is still to be sent.
    continue_due: bool,
    chunked: Chunked,
    /// The content of a request that came in chunks.
    body: Vec<u8>,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Head,
    /// The head is in; the content ends so many bytes behind it.
    Length(usize),
    /// The head is in; the decoder finds the end. What it is done with is taken out of the buffer, so that
    /// a peer which sends one byte a chunk does not fill memory with framing.
    Chunked,
    /// A request is in hand.
    Ready,
    /// For good. The buffers are given back: such a connection may drain for a while.
    Refused { refusal: Refusal, head_only: bool },
}

/// How far the next request has come.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Nothing of it is here, an empty line aside.
    Idle,
    /// A part of the head is here.
    Head,
    /// The head is here, the content not all of it.
    Body {
        /// Send [`super::CONTINUE`] now: the peer waits for it. True once at most for each request.
        send_continue: bool,
    },
    /// It is here. Polling again gives it again, until it is consumed.
    Request(Request<'a>),
    /// The bytes are not a request that is served. Polling again gives the same, whatever else comes: the
    /// connection is closed after the answer, as nobody can tell where a next request would start.
    Refused(Refusal),
}

impl Receiver {
    /// For a new connection. Allocates nothing until something is received.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was read from the connection. After a refusal it is thrown away.
    pub fn receive(&mut self, bytes: &[u8]) {
        if matches!(self.phase, Phase::Refused { .. }) {
            return;
        }
        if self.start > 0 && self.buffer.capacity() - self.buffer.len() < bytes.len() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes received and not consumed.
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// Memory that it holds, in bytes: for what was received and not consumed, for content that was decoded, and what it keeps
    /// for the next request.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity() + self.body.capacity()
    }

    /// The most bytes that are ever buffered, if no more are received than are wanted.
    pub fn buffered_bytes_max(limits: &Limits) -> usize {
        limits.head_bytes + limits.body_bytes + limits.head_bytes.max(CHUNK_LINE_BYTES_MAX) + 2
    }

    /// How many bytes the caller may receive now; asked after a poll. None while a request is in hand, so
    /// that a peer which sends without waiting for answers is held up by TCP, and none after a refusal.
    pub fn wants_bytes(&self, limits: &Limits) -> usize {
        match self.phase {
            Phase::Ready | Phase::Refused { .. } => 0,
            _ => Self::buffered_bytes_max(limits).saturating_sub(self.buffered()),
        }
    }

    /// Whether the request that is refused, by this or by a caller that waited too long for the rest, is a `HEAD`, as far
    /// as can be told: its answer has no content (RFC 9110 section 9.3.2).
    pub fn refused_head_only(&self) -> bool {
        match self.phase {
            Phase::Refused { head_only, .. } => head_only,
            _ => self.unconsumed().starts_with(b"HEAD "),
        }
    }

    /// How far the next request has come. Polling twice gives the same, `send_continue` aside. `limits` have
    /// to stay as they are while a part of a request is here, for the outcome not to depend on timing.
    pub fn poll(&mut self, limits: &Limits) -> Progress<'_> {
        // Between two requests, as it is most often asked.
        if matches!(self.phase, Phase::Head) && self.buffer.len() == self.start {
            return Progress::Idle;
        }
        if let Err(refusal) = self.advance(limits) {
            let head_only = self.refused_head_only();
            *self = Self { phase: Phase::Refused { refusal, head_only }, ..Self::default() };
        }
        match &self.phase {
            Phase::Head if matches!(self.unconsumed(), b"" | b"\r") => Progress::Idle,
            Phase::Head => Progress::Head,
            Phase::Length(_) | Phase::Chunked => {
                Progress::Body { send_continue: mem::take(&mut self.continue_due) }
            }
            Phase::Ready => Progress::Request(Request::new(&self.head, self.unconsumed(), self.content())),
            Phase::Refused { refusal, .. } => Progress::Refused(refusal.clone()),
        }
    }

    /// The request in hand is answered: its bytes are dropped. Without one, nothing happens.
    pub fn consume(&mut self) {
        if !matches!(self.phase, Phase::Ready) {
            return;
        }
        let content_bytes = if let Framing::Length(length) = self.head.framing { length } else { 0 };
        self.start = (self.start + self.head.end + content_bytes).min(self.buffer.len());
        if self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            self.buffer.shrink_to(KEPT_BYTES);
        }
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.phase = Phase::Head;
        self.empty_line_skipped = false;
    }

    fn unconsumed(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn content(&self) -> &[u8] {
        match self.head.framing {
            Framing::Chunked => &self.body,
            Framing::Length(length) => {
                self.unconsumed().get(self.head.end..self.head.end + length).unwrap_or_default()
            }
            Framing::None => &[],
        }
    }

    /// Judges what has come since the last time.
    fn advance(&mut self, limits: &Limits) -> Result<(), Refusal> {
        if matches!(self.phase, Phase::Head) {
            self.advance_head(limits)?;
        }
        // RFC 9110 section 10.1.1: content that comes without it needs no 100 any more.
        self.continue_due &= self.buffered() == self.head.end;
        match self.phase {
            Phase::Length(length) if self.buffered() >= self.head.end + length => self.phase = Phase::Ready,
            Phase::Chunked => self.advance_chunked(limits)?,
            _ => {}
        }
        Ok(())
    }

    fn advance_head(&mut self, limits: &Limits) -> Result<(), Refusal> {
        self.skip_empty_line();
        let unconsumed = self.buffer.get(self.start..).unwrap_or_default();
        let window = unconsumed.get(..limits.head_bytes).unwrap_or(unconsumed);
        let section = self.scan.section(window).map_err(|refusal| match window.first() {
            // RFC 8446 section 5.1: a record with a handshake begins so, and no request does.
            Some(0x16) => {
                Refusal::bad("this is TLS, and the port speaks plain HTTP: use http://, or a proxy in front")
            }
            _ => refusal,
        });
        let Some(end) = section? else {
            return if window.len() == limits.head_bytes { Err(over_limit(window)) } else { Ok(()) };
        };
        self.scan = Scan::default();
        self.head.fill(window.get(..end).unwrap_or_default(), limits)?;
        self.continue_due = self.head.expects_continue;
        self.phase = match self.head.framing {
            Framing::None => Phase::Ready,
            Framing::Length(length) => Phase::Length(length),
            Framing::Chunked => {
                self.chunked = Chunked::default();
                Phase::Chunked
            }
        };
        Ok(())
    }

    /// RFC 9112 section 2.2: at least one empty line before a request is ignored, as old senders end their
    /// content with one. Here it is one: what comes next has to be a request.
    fn skip_empty_line(&mut self) {
        if !self.empty_line_skipped && self.unconsumed().starts_with(b"\r\n") {
            self.start += 2;
            self.empty_line_skipped = true;
            self.scan = Scan::default();
        }
    }

    fn advance_chunked(&mut self, limits: &Limits) -> Result<(), Refusal> {
        let from = self.start + self.head.end;
        let undecoded = self.buffer.get(from..).unwrap_or_default();
        let decoded = self.chunked.decode(undecoded, &mut self.body, limits)?;
        self.buffer.drain(from..from + decoded.consumed);
        if decoded.whole {
            self.phase = Phase::Ready;
        }
        Ok(())
    }
}

/// A head that fills its limit: the target is to blame if the first line has not ended by then.
fn over_limit(window: &[u8]) -> Refusal {
    if window.contains(&b'\r') { head_too_large() } else { target::too_long() }
}
