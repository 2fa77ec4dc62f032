//! What a source or a sink needs of the world outside of files, and what came of it. Whoever steps the run does it between
//! two steps.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::flow::{Exit, Launch};
use crate::http::client::{Answer, Method, Url};

/// Something to be done before the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// A program is to be run to its end.
    Program(Box<Launch>),
    /// A request is to be made, and its answer read.
    Exchange(Box<Exchange>),
    /// Some time is to go by.
    Pause(Duration),
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Whom it goes to. One connection for each origin is kept for the run's next request.
    pub url: Url,
    /// What is asked.
    pub method: Method,
    /// Further fields.
    pub fields: Vec<(String, String)>,
    /// Fields whose values are read now from files that only we can read, and never shown.
    pub field_files: BTreeMap<String, PathBuf>,
    /// The content.
    pub body: Option<Vec<u8>>,
    /// How it is signed (Standard Webhooks), if it is.
    pub signature: Option<Signature>,
    /// From its begin to the end of the answer.
    pub timeout: Duration,
    /// The most that the answer's content may be, in bytes.
    pub body_bytes_max: usize,
    /// Whether a success is of no use without its content. Where it is not, and with any other status, content that is
    /// compressed or too long is left unread.
    pub needs_content: bool,
}

/// How a request is signed (Standard Webhooks).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The file with the secret.
    pub secret_file: PathBuf,
    /// The message's id.
    pub id: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Whom we asked and what went wrong, in which phase.
    pub message: String,
    /// Whether the same request may be answered another time.
    pub may_succeed_later: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The program ended.
    Ended {
        /// How; none: somebody else reaped it.
        exit: Option<Exit>,
        /// What it wrote to its standard output, where [`Launch::stdout_max`] says that it is kept.
        stdout: Vec<u8>,
    },
    /// The request was answered, or not.
    Answered(Result<Box<Answer>, Unanswered>),
    /// The time has gone by.
    Resumed,
}
