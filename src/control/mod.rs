//! The routes of the control socket: HTTP requests become orders and questions for the runtime, and its replies become
//! JSON. Who may reach the socket is decided by its file's permissions alone.
//!
//! | route | |
//! | --- | --- |
//! | `GET /flows` | `{"flows":[…]}`, newest first; `?limit=&before=NAME` |
//! | `POST /flows` | `{"files":[{"path":"/media/x.toml","text":"…"}]}`: stores what these flow files define, all or none; the text is a flow file's, its relative paths are taken from `path`, which is not read |
//! | `GET /flows/{name}` | the flow, values of secrets shown as `"…"` |
//! | `PATCH /flows/{name}` | `{"held":true}` disables, `false` enables |
//! | `DELETE /flows/{name}` | deletes it with its runs |
//! | `POST /flows/{name}/runs` | runs it now: the run; `Prefer: wait=N` waits for its end |
//! | `GET /flows/{name}/cursor` | `{"flow":"x","cursor":…}`: where a pipeline's source got to; null: nothing was read yet |
//! | `PUT /flows/{name}/cursor` | `{"cursor":…}` sets it, null resets it; a conflict while a run is open |
//! | `GET /flows/{name}/runs`, `GET /runs` | `{"runs":[…]}`, newest first; `?limit=&before=ID&status=` |
//! | `GET /runs/{id}` | the run with its output |
//! | `GET /runs/{id}/output` | the output as text, as it comes, until the run has ended and the connection closes |
//! | `POST /runs/{id}/cancel` | ends it: the run; `Prefer: wait=N` waits for its end |
//! | `GET /status` | the state of the whole |
//! | `POST /reload` | reads configuration and flow files anew |
//!
//! Architecture invariant: pure. No sockets, files or SQL. A member or parameter that is not known is refused.

mod content;
mod flow_files;
mod render;
mod routes;

pub use render::{Facts, Rendered, fault_json, problem, render, tell_reloaded, without_secrets};
pub use routes::{Routed, route};
