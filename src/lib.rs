//! A reliable runner of data flows for small edge boxes.
//!
//! A monitoring agent sends a signed heartbeat over HTTP; the runtime verifies it, finds the data flows that
//! are due, runs each exactly once through a state machine, and records every run in SQLite. The binary
//! `heartbeatd` is a thin shell over this library; ARCHITECTURE.md is the map.

pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod flow;
pub mod gate;
pub mod http;
pub mod limits;
pub mod pipeline;
pub mod rails;
pub mod runtime;
pub mod server;
pub mod setup;
mod sorted;
pub mod status;
pub mod store;
pub mod time;
mod words;
