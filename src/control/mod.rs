//! The routes of the control socket: HTTP requests become orders and questions for the runtime, and its replies become
//! JSON. Who may reach the socket is decided by its file's permissions alone.
//!
//! `docs/openapi.json` describes each route, and `tests/openapi.rs` holds it against [`ROUTES`]; `docs/control.md` is the
//! guide. Lists are newest first, and `next` is what `before` asks for the part behind; null: there is none.
//!
//! Architecture invariant: pure. No sockets, files or SQL. A member or parameter that is not known is refused.

mod content;
mod flow_files;
mod query;
mod render;
mod routes;

pub use render::{
    Facts, Rendered, fault_json, problem, render, tell_backed_up, tell_reloaded, without_secrets,
};
pub use routes::{Operation, ROUTES, Route, Routed, route};
