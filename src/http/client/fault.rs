//! Why there is no answer.

use std::borrow::Cow;
use std::fmt;

use crate::http::Limits;
use crate::http::error::{ErrorCode, Refusal};

/// Why what came is no answer. The connection is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What came first is not HTTP/1.
    NotHttp,
    /// The answer does not follow RFC 9112, or two readers could understand it differently.
    Malformed(Cow<'static, str>),
    /// A head or a trailer section is over one of its limits.
    HeadTooLong {
        /// The most bytes.
        head_bytes: usize,
        /// The most fields.
        headers: usize,
    },
    /// The content is over its limit.
    BodyTooLong {
        /// The status of the answer.
        status: u16,
        /// The most bytes.
        body_bytes: usize,
    },
    /// The content is encoded.
    Compressed {
        /// The status of the answer.
        status: u16,
        /// What `Content-Encoding` says.
        coding: String,
    },
    /// A 101.
    Switched,
    /// More than [`crate::limits::INTERIM_ANSWERS_MAX`] answers that announce another.
    TooManyInterim,
    /// The server closed before it sent a byte. On a connection that was used before, the request may not have been
    /// read: RFC 9112 section 9.3.1 says which may be sent again.
    Closed,
    /// The server closed within the head.
    CutHead {
        /// Bytes of it that came.
        came: usize,
    },
    /// The server closed within content of a known length.
    CutBody {
        /// Bytes of it that came.
        came: usize,
        /// Bytes that were announced.
        length: usize,
    },
    /// The server closed within chunked content.
    CutChunks {
        /// Bytes of the content that came.
        came: usize,
        /// Bytes that the last chunk still wanted; 0 if it was whole, and the end was not there.
        missing: usize,
    },
    /// The exchange was over.
    Over,
}

impl Fault {
    pub(super) fn malformed(detail: &'static str) -> Self {
        Self::Malformed(detail.into())
    }

    pub(super) fn head_too_long(limits: &Limits) -> Self {
        Self::HeadTooLong { head_bytes: limits.head_bytes, headers: limits.headers }
    }

    pub(super) fn body_too_long(status: u16, limits: &Limits) -> Self {
        Self::BodyTooLong { status, body_bytes: limits.body_bytes }
    }

    /// What the parts that both sides share refused; `status` is that of the answer whose content is read.
    pub(super) fn of(refusal: Refusal, status: u16, limits: &Limits) -> Self {
        match refusal.code {
            ErrorCode::HeadTooLarge => Self::head_too_long(limits),
            ErrorCode::BodyTooLarge => Self::body_too_long(status, limits),
            _ => Self::Malformed(refusal.detail),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("what came is not HTTP: an answer begins with HTTP/1.1 or HTTP/1.0"),
            Self::Malformed(detail) => write!(f, "the answer is not valid HTTP: {detail}"),
            Self::HeadTooLong { head_bytes, headers } => write!(
                f,
                "the answer's head or trailers have more than the {head_bytes} bytes or {headers} fields that are \
                 accepted"
            ),
            Self::BodyTooLong { status, body_bytes } => {
                write!(
                    f,
                    "the content of the answer ({status}) has more than the {body_bytes} bytes that are accepted"
                )
            }
            Self::Compressed { status, coding } => {
                write!(f, "the answer ({status}) is compressed ({coding}) though we asked for identity")
            }
            Self::Switched => {
                f.write_str("the server switches to another protocol (101), which nobody asked for")
            }
            Self::TooManyInterim => write!(
                f,
                "more than {} interim answers (1xx) came before the one that counts",
                crate::limits::INTERIM_ANSWERS_MAX
            ),
            Self::Closed => f.write_str("the server closed the connection before it sent an answer"),
            Self::CutHead { came } => {
                write!(
                    f,
                    "the server closed the connection within an answer's head, of which {came} bytes came"
                )
            }
            Self::CutBody { came, length } => {
                write!(f, "the server closed the connection after {came} of the content's {length} bytes")
            }
            Self::CutChunks { came, missing: 0 } => write!(
                f,
                "the server closed the connection after {came} bytes of chunked content, before the last chunk"
            ),
            Self::CutChunks { came, missing } => write!(
                f,
                "the server closed the connection after {came} bytes of chunked content, {missing} bytes before the \
                 end of a chunk"
            ),
            Self::Over => f.write_str("bytes came that belong to no request: the exchange was over"),
        }
    }
}

impl std::error::Error for Fault {}
