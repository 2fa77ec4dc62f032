//! What each fuzz target checks, as plain functions of the input: `fuzz_targets/` hands them to the fuzzer, and
//! `tests/corpora.rs` replays every committed input through them.
//!
//! A check that reads decisions rather than text takes them from the input byte by byte ([`bytes`]), so that an input
//! means the same for ever.

pub mod agents;
pub mod allowlist;
mod bytes;
pub mod chunked;
pub mod config;
pub mod control_api;
pub mod csv;
pub mod cursor;
pub mod flow_file;
mod growing;
pub mod http_answer;
pub mod http_written;
pub mod json_lines;
pub mod quantities;
#[path = "../../tests/conformance/reference.rs"]
mod reference;
pub mod remembered;
pub mod request;
pub mod runtime_ops;
pub mod schedule;
pub mod signature;
mod split;
pub mod url;
mod zones;
