//! HTTP/1.1 (RFC 9110, RFC 9112) without I/O: received bytes in, requests out, answers into a buffer; in `client`
//! the other way round.
//!
//! When in doubt, a request is refused and its connection closed: what this reader and another one on the way
//! could understand differently is how requests are smuggled past the rules of the other.
//!
//! Architecture invariant: nothing here knows a socket, a clock, a route or a secret. However the bytes are
//! split, the outcome is the same. Nothing is allocated for a request that is served once a connection is warm.

mod chunked;
pub mod client;
mod decimal;
mod error;
mod framing;
mod head;
mod host;
mod method;
mod prefer;
mod problem;
mod receiver;
mod request;
mod response;
mod scan;
mod span;
#[cfg(test)]
mod split_tests;
mod target;
#[cfg(test)]
mod tests;

pub(crate) use decimal::append_decimal;
pub use error::{ErrorCode, Refusal};
pub use method::Method;
pub use problem::{PROBLEM_TYPE, Problem};
pub use receiver::{Progress, Receiver};
pub use request::{Field, Request};
pub use response::{CONTINUE, Connection, Response, Status, append_until_close};
pub use target::is_path_byte;

use crate::limits;

/// What a message may measure: a request by an operator's `[limits]`, an answer by what asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// First line and fields together, empty line included, in bytes; of trailers the same.
    pub head_bytes: usize,
    /// Fields; at most [`limits::HEADERS_MAX`] whatever this says.
    pub headers: usize,
    /// Content, its transfer coding removed, in bytes.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: limits::HEAD_BYTES_DEFAULT,
            headers: limits::HEADERS_DEFAULT,
            body_bytes: limits::BODY_BYTES_DEFAULT,
        }
    }
}
