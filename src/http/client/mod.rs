//! The other side of HTTP/1.1: a request into a buffer, the bytes that come back into an answer.
//!
//! Made to be driven by a loop. For each exchange: [`Request::append`] into what is written to the connection,
//! [`Receiver::push`] for what is read from it until there is an [`Answer`], [`Receiver::end`] when the server
//! closes. An answer that two readers could understand differently is a [`Fault`], as it may hold somebody
//! else's.
//!
//! Architecture invariant: no socket and no clock, and nothing is followed: redirects, links and waiting are
//! their caller's to judge.

mod answer;
mod fault;
mod fields;
mod head;
mod join;
mod link;
mod receiver;
mod request;
#[cfg(test)]
mod tests;
mod url;

pub use answer::Answer;
pub use fault::Fault;
pub use fields::check_field;
pub use receiver::Receiver;
pub use request::{Method, Request};
pub use url::{Scheme, Url};
