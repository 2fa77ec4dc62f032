//! The receive half of one exchange: bytes in, an answer out.
//!
//! Invariant: however the bytes are split over [`Receiver::push`] calls, the answer or the fault is the same, but for
//! one thing that only time can tell: whether bytes come behind an answer.

use std::mem;

use super::answer::Answer;
use super::fault::Fault;
use super::head::{Framing, Head};
use super::request::Method;
use crate::http::Limits;
use crate::http::chunked::Chunked;
use crate::http::scan::Scan;
use crate::limits::INTERIM_ANSWERS_MAX;

/// What every answer begins with: whatever else speaks at that port is known by its first bytes, and not waited for.
const START: &[u8] = b"HTTP/";

/// Reads the answer to one request.
///
/// Holds what was pushed last, no more than `head_bytes` of what came before, and `body_bytes` of content.
#[derive(Debug)]
pub struct Receiver {
    limits: Limits,
    method: Method,
    /// What was received and is not done with.
    buffer: Vec<u8>,
    phase: Phase,
    /// Interim answers that were skipped.
    interim: usize,
    any_came: bool,
    needs_content: bool,
    /// What is known of the answer.
    answer: Answer,
}

#[derive(Debug)]
enum Phase {
    Head(Scan),
    /// So many bytes in all.
    Length(usize),
    Chunked(Chunked),
    UntilClose,
    /// There was an answer, or a fault.
    Over,
}

impl Receiver {
    /// For the answer to a request of this method. At most [`crate::limits::HEADERS_MAX`] fields are accepted
    /// whatever the limits say.
    pub fn new(limits: Limits, method: Method) -> Self {
        Self {
            limits,
            method,
            buffer: Vec::new(),
            phase: Phase::Head(Scan::default()),
            interim: 0,
            any_came: false,
            needs_content: true,
            answer: Answer::default(),
        }
    }

    /// Takes a success as well whose content cannot be read, as it takes every other status.
    #[must_use]
    pub fn without_need_of_content(self) -> Self {
        Self { needs_content: false, ..self }
    }

    /// Takes what was read from the connection, and gives the answer once it is whole. Bytes that are read after it
    /// belong to no request: then the connection must be closed, whatever the answer says.
    ///
    /// # Errors
    /// Why there is no answer and will be none. After an answer or a fault it is [`Fault::Over`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Answer>, Fault> {
        self.any_came |= !bytes.is_empty();
        self.buffer.extend_from_slice(bytes);
        match self.advance().or_else(|fault| self.without_content(fault)) {
            Ok(false) => Ok(None),
            Ok(true) => {
                self.answer.may_reuse &= self.buffer.is_empty();
                self.finish();
                Ok(Some(mem::take(&mut self.answer)))
            }
            Err(fault) => {
                self.finish();
                Err(fault)
            }
        }
    }

    /// The server closed its side of the connection: gives the answer whose content ends there.
    ///
    /// # Errors
    /// How much of an answer came, if it was not whole. After an answer or a fault it is [`Fault::Over`].
    pub fn end(&mut self) -> Result<Answer, Fault> {
        let came = self.answer.body.len();
        let outcome = match &self.phase {
            Phase::Head(_) if !self.any_came => Err(Fault::Closed),
            Phase::Head(_) => Err(Fault::CutHead { came: self.buffer.len() }),
            Phase::Length(length) => Err(Fault::CutBody { came, length: *length }),
            Phase::Chunked(chunked) => Err(Fault::CutChunks { came, missing: chunked.missing() }),
            Phase::UntilClose => Ok(mem::take(&mut self.answer)),
            Phase::Over => Err(Fault::Over),
        };
        self.finish();
        outcome
    }

    fn finish(&mut self) {
        self.phase = Phase::Over;
        self.buffer = Vec::new();
    }

    /// Whether an answer is whole whose content is compressed or too long: its status says all, unless its content is what
    /// was asked for.
    fn without_content(&mut self, fault: Fault) -> Result<bool, Fault> {
        let (Fault::Compressed { status, .. } | Fault::BodyTooLong { status, .. }) = fault else {
            return Err(fault);
        };
        if self.needs_content && (200..300).contains(&status) {
            return Err(fault);
        }
        self.answer.body = Vec::new();
        self.answer.may_reuse = false;
        Ok(true)
    }

    /// Judges what has come since the last time; whether the answer is whole.
    fn advance(&mut self) -> Result<bool, Fault> {
        while let Phase::Head(_) = self.phase {
            if !self.advance_head()? {
                return Ok(false);
            }
        }
        let (status, body) = (self.answer.status, &mut self.answer.body);
        match &mut self.phase {
            Phase::Length(length) => {
                let wanted = length.saturating_sub(body.len()).min(self.buffer.len());
                body.extend(self.buffer.drain(..wanted));
                Ok(body.len() == *length)
            }
            Phase::Chunked(chunked) => {
                let decoded = chunked.decode(&self.buffer, body, &self.limits);
                let decoded = decoded.map_err(|refusal| Fault::of(refusal, status, &self.limits))?;
                self.buffer.drain(..decoded.consumed);
                Ok(decoded.whole)
            }
            Phase::UntilClose => {
                body.append(&mut self.buffer);
                if body.len() > self.limits.body_bytes {
                    return Err(Fault::body_too_long(status, &self.limits));
                }
                Ok(false)
            }
            Phase::Head(_) => Ok(false),
            Phase::Over => Err(Fault::Over),
        }
    }

    /// Whether a head was there and is done with.
    fn advance_head(&mut self) -> Result<bool, Fault> {
        let Phase::Head(scan) = &mut self.phase else { return Ok(false) };
        let window = self.buffer.get(..self.limits.head_bytes).unwrap_or(&self.buffer);
        let start = window.get(..START.len()).unwrap_or(window);
        if !START.starts_with(start) {
            return Err(Fault::NotHttp);
        }
        let end = scan.section(window).map_err(|refusal| Fault::of(refusal, 0, &self.limits))?;
        let Some(end) = end else {
            let full = window.len() == self.limits.head_bytes;
            return if full { Err(Fault::head_too_long(&self.limits)) } else { Ok(false) };
        };
        let head = Head::read(window.get(..end).unwrap_or_default(), self.method, &self.limits)?;
        self.buffer.drain(..end);
        self.phase = match head {
            Some(head) => self.begin(head)?,
            None if self.interim == INTERIM_ANSWERS_MAX => return Err(Fault::TooManyInterim),
            None => {
                self.interim += 1;
                Phase::Head(Scan::default())
            }
        };
        Ok(true)
    }

    fn begin(&mut self, head: Head) -> Result<Phase, Fault> {
        let Head { status, fields, framing, may_reuse } = head;
        self.answer = Answer { status, fields, body: Vec::new(), may_reuse };
        Ok(match framing {
            Framing::Unreadable(fault) => return Err(fault),
            Framing::None => Phase::Length(0),
            Framing::Length(length) => Phase::Length(length),
            Framing::Chunked => Phase::Chunked(Chunked::default()),
            Framing::UntilClose => Phase::UntilClose,
        })
    }
}
