//! What a caller is told: the heartbeat's answer as JSON, or why there is none.

use serde::Serialize;

use super::orders::Reply;
use crate::http::append_decimal;
use crate::store::{Cause, Heartbeat, RunSummary, StoreError};
use crate::time::Wall;

/// The answer to a heartbeat or an operator.
#[derive(Clone, Debug)]
pub enum Answer {
    /// 200: what it names is on the disk.
    Heartbeat {
        /// JSON.
        body: Vec<u8>,
        /// Seconds of `Prefer: wait` that were honoured.
        waited_s: Option<u64>,
    },
    /// What an operator ordered is on the disk, or this is what was asked.
    Operator {
        /// What is told.
        reply: Reply,
        /// Seconds of `Prefer: wait` that were honoured.
        waited_s: Option<u64>,
    },
    /// It could not be recorded.
    Refused(Refusal),
}

/// Why a verified heartbeat is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The disk is full.
    StorageFull,
    /// The database cannot be written just now; why.
    StorageUnavailable(String),
    /// It was signed before the heartbeats that are still known by their ids, and is not one of them: it may be a replay.
    Pruned,
    /// The daemon is ending.
    ShuttingDown,
    /// A mistake in this program.
    Internal,
}

impl Refusal {
    pub(super) fn of(error: &StoreError) -> Self {
        match error.cause {
            Cause::Full => Self::StorageFull,
            Cause::Constraint | Cause::Internal => Self::Internal,
            Cause::Busy => Self::StorageUnavailable("another program holds the database".to_owned()),
            Cause::ReadOnly => Self::StorageUnavailable("the database cannot be written".to_owned()),
            _ => Self::StorageUnavailable("the database's disk fails".to_owned()),
        }
    }
}

/// The answer to a heartbeat that started nothing, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Idle {
    pub(super) received_at: Wall,
    pub(super) flows_due: u64,
    pub(super) flows_skipped: u64,
    /// Outside their windows: any other that could be claimed would have been.
    pub(super) flows_deferred: u64,
}

/// What a common answer to a heartbeat that started nothing takes, in bytes.
const IDLE_BYTES: usize = 256;

/// The members of an answer; INTERFACES fixes their names.
#[derive(Serialize)]
struct Body<'a> {
    flows_due: u64,
    flows_triggered: u64,
    flows_skipped: u64,
    flows_deferred: u64,
    duplicate: bool,
    timestamp: Wall,
    heartbeat_id: Option<&'a str>,
    runs: &'a [RunSummary],
    #[serde(skip_serializing_if = "is_false")]
    runs_truncated: bool,
    #[serde(skip_serializing_if = "is_zero")]
    runs_pruned: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's attribute asks for a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's attribute asks for a reference")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Appends the answer to a heartbeat that started nothing. By hand, as most answers are of this kind, and a serializer or
/// general formatting costs more than the rest of them.
pub(super) fn append_idle(json: &mut Vec<u8>, idle: &Idle, heartbeat_id: Option<&str>, duplicate: bool) {
    json.reserve(IDLE_BYTES);
    json.extend_from_slice(b"{\"flows_due\":");
    append_decimal(json, idle.flows_due);
    json.extend_from_slice(b",\"flows_triggered\":0,\"flows_skipped\":");
    append_decimal(json, idle.flows_skipped);
    json.extend_from_slice(b",\"flows_deferred\":");
    append_decimal(json, idle.flows_deferred);
    json.extend_from_slice(if duplicate { b",\"duplicate\":true" } else { b",\"duplicate\":false" });
    json.extend_from_slice(b",\"timestamp\":\"");
    idle.received_at.append_rfc3339(json);
    json.extend_from_slice(b"\",\"heartbeat_id\":");
    append_json(json, &heartbeat_id);
    json.extend_from_slice(b",\"runs\":[]}");
}

/// The answer to a heartbeat that started runs. `runs` are the first of those that are still on record, as many
/// as an answer holds; `known` is how many are on record.
pub(super) fn body(
    heartbeat: &Heartbeat,
    heartbeat_id: Option<&str>,
    duplicate: bool,
    runs: &[RunSummary],
    known: u64,
) -> Vec<u8> {
    write(&Body {
        flows_due: heartbeat.flows_due,
        flows_triggered: heartbeat.flows_triggered,
        flows_skipped: heartbeat.flows_skipped,
        flows_deferred: heartbeat.flows_deferred,
        duplicate,
        timestamp: heartbeat.received_at,
        heartbeat_id,
        runs,
        runs_truncated: known > runs.len() as u64,
        runs_pruned: heartbeat.flows_triggered.saturating_sub(known),
    })
}

fn write(body: &Body<'_>) -> Vec<u8> {
    let mut json = Vec::with_capacity(256);
    append_json(&mut json, body);
    json
}

fn append_json(json: &mut Vec<u8>, value: &impl Serialize) {
    if let Err(error) = serde_json::to_writer(json, value) {
        // Text, numbers and lists always have a JSON form; only a map with odd keys would not.
        unreachable!("an answer has a JSON form: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_answer_is_what_any_other_would_be_with_no_runs() {
        for (id, duplicate) in [(None, false), (Some("msg_1"), true), (Some("\"quoted\\"), false)] {
            let received_at = Wall::from_millis(1_763_893_800_050);
            let idle = Idle { received_at, flows_due: 12, flows_skipped: 5, flows_deferred: 7 };
            let heartbeat = Heartbeat {
                received_at,
                flows_due: 12,
                flows_triggered: 0,
                flows_skipped: 5,
                flows_deferred: 7,
                first_run: crate::store::RunId(1),
                signed_at: None,
            };
            let mut json = Vec::new();
            append_idle(&mut json, &idle, id, duplicate);
            assert_eq!(String::from_utf8(json), String::from_utf8(body(&heartbeat, id, duplicate, &[], 0)));
        }
    }
}
