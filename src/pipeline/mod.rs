//! Moves records from a source through schema and SQL to a sink, each exactly once, a bounded step at a time.
//!
//! The runtime steps a [`run::Moving`]; nothing here waits, knows a socket or a process, or reads a clock but through
//! [`files::Files`], which is also the only way to a file; how long a statement takes is alone measured where it runs. SQL
//! on databases of others goes through `sql`.
//!
//! Architecture invariant: a cursor never moves over data that is not durable. What a sink has taken and where its
//! source got to are committed together; what has to be written beside that is announced by a commit before.

mod append;
mod batch;
mod clock;
mod conversation;
pub mod cursor;
mod dead_letters;
#[cfg(test)]
mod faults;
pub mod files;
mod functions;
mod kind;
pub mod outside;
pub mod record;
mod render;
pub mod run;
mod schema;
pub mod sink;
pub mod source;
mod sql;
mod transform;
pub mod trial;

pub use kind::kinds;
pub(crate) use sql::{Access, open as open_foreign};

use crate::flow::ErrorKind;

/// Why a run cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `source`, `transform`, `schema`, `sink` or `configuration`.
    pub kind: ErrorKind,
    /// What failed, on what, and why.
    pub message: String,
    /// Another program holds a database: the same step may succeed a little later.
    pub is_busy: bool,
}

impl Failure {
    /// One that stays.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), is_busy: false }
    }

    /// Of the source.
    pub fn source(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Source, message)
    }

    /// Of the sink.
    pub fn sink(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Sink, message)
    }
}

/// What the parts of a pipeline return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Whose state a sink keeps that keeps it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The id of the heartbeatd's database that the flow belongs to.
    pub database_id: String,
    /// The flow's name.
    pub flow: String,
}

#[cfg(test)]
mod tests;
