//! Replies as JSON, objections and refusals as problem documents.

use serde_json::{Value, json};
use std::path::Path;

use crate::config::Fault;
use crate::flow::{FlowName, hide_secrets};
use crate::http::{ErrorCode, PROBLEM_TYPE, Problem, Status};
use crate::runtime::{Followed, Objection, Reply};
use crate::store::{Applied, Flow, RunId, StoreError};

/// An answer that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its status.
    pub status: Status,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Allow`, with 405 and for `OPTIONS`.
    pub allow: Option<String>,
    /// Its content.
    pub body: Vec<u8>,
}

/// What only the daemon as a whole knows of its state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Flow files that cannot be used: what is wrong, file by file.
    pub bad_flow_files: Vec<Fault>,
    /// Reloads that failed, since the start.
    pub failed_reloads: u64,
    /// Why the last reload failed; none if it did not.
    pub reload_error: Option<String>,
}

impl Rendered {
    fn json(value: &Value) -> Self {
        let body = value.to_string().into_bytes();
        Self { status: Status::OK, content_type: "application/json", allow: None, body }
    }

    pub(super) fn options(allow: String) -> Self {
        Self {
            status: Status::NO_CONTENT,
            content_type: "application/json",
            allow: Some(allow),
            body: Vec::new(),
        }
    }

    pub(super) fn not_allowed(allow: String) -> Self {
        let detail = "this path does not know this method; Allow names those that it knows";
        Self { allow: Some(allow), ..problem(ErrorCode::MethodNotAllowed, detail) }
    }
}

/// A problem document.
pub fn problem(code: ErrorCode, detail: &str) -> Rendered {
    let mut body = Vec::new();
    Problem::new(code, detail).append_body(&mut body);
    Rendered { status: code.status(), content_type: PROBLEM_TYPE, allow: None, body }
}

/// A problem document with a further member `faults`: each with `file`, `line`, `key`, `message` and `help`.
pub(super) fn problem_with_faults(code: ErrorCode, detail: &str, faults: &[Fault]) -> Rendered {
    problem_with(code, detail, "faults", faults.iter().map(fault_json).collect())
}

/// A problem document with one further member.
fn problem_with(code: ErrorCode, detail: &str, name: &str, member: Value) -> Rendered {
    let mut body = Vec::new();
    Problem { members: &[(name, member)], ..Problem::new(code, detail) }.append_body(&mut body);
    Rendered { status: code.status(), content_type: PROBLEM_TYPE, allow: None, body }
}

/// A fault, wherever it is shown as JSON.
pub fn fault_json(fault: &Fault) -> Value {
    json!({
        "file": fault.file.to_string_lossy(),
        "line": fault.line,
        "key": fault.key,
        "message": fault.message,
        "help": fault.help,
    })
}

fn lines(faults: &[Fault]) -> Value {
    faults.iter().map(ToString::to_string).collect()
}

/// What an operator is told. The output of a run that is followed has no such form: the shell passes it on.
pub fn render(reply: Reply, facts: &Facts) -> Rendered {
    match reply {
        Reply::Added(added) => {
            let flows: Vec<Value> = added.iter().map(|(name, applied)| added_json(name, *applied)).collect();
            Rendered::json(&json!({ "flows": flows }))
        }
        Reply::Flow(flow) => Rendered::json(&flow_json(*flow)),
        Reply::Flows(flows) => list("flows", "name", flows.items.into_iter().map(flow_json), flows.goes_on),
        Reply::Removed => Rendered {
            status: Status::NO_CONTENT,
            content_type: "application/json",
            allow: None,
            body: Vec::new(),
        },
        Reply::Cursor(flow, cursor) => Rendered::json(&json!({ "flow": flow, "cursor": cursor })),
        Reply::Run(run) => Rendered::json(&json!(run)),
        Reply::Runs(runs) => list("runs", "id", runs.items.iter().map(|run| json!(run)), runs.goes_on),
        Reply::Heartbeats(part) => {
            list("heartbeats", "id", part.items.iter().map(|heartbeat| json!(heartbeat)), part.goes_on)
        }
        Reply::Status(report) => {
            let mut value = json!(report);
            value["bad_flow_files"] = lines(&facts.bad_flow_files);
            value["failed_reloads"] = json!(facts.failed_reloads);
            value["reload_error"] = json!(facts.reload_error);
            Rendered::json(&value)
        }
        Reply::Output(text) => Rendered {
            status: Status::OK,
            content_type: "text/plain; charset=utf-8",
            allow: None,
            body: text.into_bytes(),
        },
        Reply::Following(_) | Reply::Followed(_) => Rendered::options("GET".to_owned()),
        Reply::Objection(objection) => object(&objection),
    }
}

/// A part of a list; `next` is the `key` that the part behind it is asked for with.
fn list(name: &str, key: &str, items: impl Iterator<Item = Value>, goes_on: bool) -> Rendered {
    let items: Vec<Value> = items.collect();
    let next = items.last().filter(|_| goes_on).map(|last| last[key].clone());
    Rendered::json(&json!({ name: items, "next": next }))
}

fn object(objection: &Objection) -> Rendered {
    match objection {
        Objection::NoFlow(name) => {
            let name: String = name.chars().take(128).collect();
            problem(ErrorCode::NotFound, &format!("there is no flow `{}`", name.escape_debug()))
        }
        Objection::NoRun(RunId(id)) => problem(ErrorCode::NotFound, &format!("there is no run {id}")),
        Objection::Conflict(why) => problem(ErrorCode::Conflict, why),
        Objection::ConflictWithHelp(why, help) => problem_with(ErrorCode::Conflict, why, "help", json!(help)),
        Objection::Invalid(right) => problem(ErrorCode::InvalidRequest, right),
    }
}

fn added_json(name: &FlowName, applied: Applied) -> Value {
    let action = match applied {
        Applied::Created => "create",
        Applied::Updated | Applied::Disabled(_) => "update",
        Applied::Unchanged => "identical",
    };
    json!({ "action": action, "flow": name.as_str() })
}

/// The same, with `"…"` for values that are secret by their name.
pub fn without_secrets(mut flow: Flow) -> Flow {
    hide_secrets(&mut flow.configuration.settings);
    flow
}

fn flow_json(flow: Flow) -> Value {
    json!(without_secrets(flow))
}

/// How a backup ended: its size in bytes, or why there is none.
pub fn tell_backed_up(file: &Path, outcome: &Result<u64, StoreError>) -> Rendered {
    match outcome {
        Ok(bytes) => Rendered::json(&json!({ "file": file.to_string_lossy(), "bytes": bytes })),
        Err(error) => {
            let is_of_target = error.is_of_backup_target();
            let code = if is_of_target { ErrorCode::Conflict } else { ErrorCode::StorageUnavailable };
            problem_with(code, &error.to_string(), "help", json!(error.help()))
        }
    }
}

/// How a reload ended: what it did, with the settings that only a restart changes; or every fault, and all is as before.
pub fn tell_reloaded(outcome: Result<(&Followed, &[&str]), &[Fault]>, facts: &Facts) -> Rendered {
    match outcome {
        Ok((followed, until_restart)) => Rendered::json(&json!({
            "flows": {
                "created": followed.created,
                "updated": followed.updated,
                "disabled": followed.disabled,
                "conflicts": followed.conflicts,
            },
            "bad_flow_files": lines(&facts.bad_flow_files),
            "faults": facts.bad_flow_files.iter().map(fault_json).collect::<Value>(),
            "unchanged_until_restart": until_restart,
        })),
        Err(faults) => {
            let detail = "the configuration has faults: everything stays as it was";
            problem_with_faults(ErrorCode::Conflict, detail, faults)
        }
    }
}
