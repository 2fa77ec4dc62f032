//! The command line, through the real binary.
//!
//! - `support`: a box in a temporary folder; `skipped`: a test that shows nothing says so
//! - `prepare`: `init`, `check`, usage, exit codes
//! - `flows`: `flow new|add|list|show`, `runs list|show`
//! - `operate`: `flow add|enable|disable|remove|run`, `runs cancel`, `status`, `reload`, with a daemon and without one
//! - `signing`: `sign`, `verify`, `beat` against a running daemon
//! - `demonstration`: `demo`
//! - `escapes`: what comes from outside cannot act on a terminal
//! - `generate`: what `init` and `flow new` write, and what they do not
//! - `help`: the examples of `--help`
//! - `json`: `--json`, held against docs/command-line.md
//! - `shells`: `completions`, `man`

mod demonstration;
mod escapes;
mod flows;
#[expect(clippy::unwrap_used, reason = "test code: what goes wrong here fails the test")]
mod generate;
#[expect(clippy::unwrap_used, reason = "test code: what goes wrong here fails the test")]
mod help;
#[expect(clippy::panic, reason = "test code: what goes wrong here fails the test")]
mod json;
#[expect(clippy::unwrap_used, reason = "test code: what goes wrong here fails the test")]
mod operate;
mod prepare;
#[expect(clippy::unwrap_used, reason = "test code: what goes wrong here fails the test")]
mod shells;
mod signing;
#[path = "../support/skipped.rs"]
mod skipped;
#[expect(clippy::unwrap_used, clippy::panic, reason = "test code: what goes wrong here fails the test")]
mod support;
