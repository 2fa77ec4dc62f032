//! A row of `data_flow_runs` as a run of ours.

use rusqlite::types::Value;

use super::database::{RunRow, shown};
use crate::flow::ErrorKind;
use crate::limits;
use crate::store::{FlowId, ImportedRun, RunId};
use crate::time::Wall;

/// A run, and in what it differs from the row.
///
/// # Errors
/// Why it does not fit.
pub(super) fn convert(row: &RunRow, flow: FlowId) -> Result<(ImportedRun, Option<String>), String> {
    let status = text(&row.status, "status")?;
    let mut started_at = optional_time(&row.started_at, "started_at")?;
    let mut ended_at = optional_time(&row.ended_at, "ended_at")?;
    let (created_at, updated_at) =
        (time(&row.created_at, "created_at")?, time(&row.updated_at, "updated_at")?);
    let told = match &row.error_message {
        Value::Null => String::new(),
        message => cut(text(message, "error_message")?, limits::ERROR_MESSAGE_BYTES_MAX),
    };
    let (error, difference) = match status {
        "success" => (None, None),
        // What made a flow of theirs fail is an exception, of which its process tells by its exit status here.
        "failed" => (Some((ErrorKind::ExitStatus, told)), None),
        // In the engine a run never waits: it is made, begun and ended within one request, which is over.
        "pending" | "in_progress" => {
            started_at = started_at.or(Some(created_at));
            ended_at = started_at.max(Some(updated_at));
            let message = format!("it was {status} when it was imported from Rails");
            let difference =
                "it was {status}, which nobody goes on with: it is a failed run here, interrupted";
            (Some((ErrorKind::Interrupted, message)), Some(difference.replace("{status}", status)))
        }
        _ => {
            return Err(format!(
                "status {} is none of pending, in_progress, success, failed",
                shown(&row.status)
            ));
        }
    };
    let Some(ended_at) = ended_at else {
        return Err(format!("it is {status} and has no ended_at"));
    };
    let Some(started_at) = started_at else {
        return Err(format!("it is {status} and has no started_at"));
    };
    if ended_at < started_at {
        return Err(format!(
            "ended_at {} is before started_at {}",
            shown(&row.ended_at),
            shown(&row.started_at)
        ));
    }
    let run = ImportedRun {
        id: RunId(row.id),
        flow,
        started_at,
        ended_at,
        error,
        backtrace: match &row.error_backtrace {
            Value::Null => None,
            backtrace => Some(cut(text(backtrace, "error_backtrace")?, limits::BACKTRACE_BYTES_MAX)),
        },
        created_at,
        updated_at,
    };
    Ok((run, difference))
}

pub(super) fn text<'v>(value: &'v Value, column: &str) -> Result<&'v str, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(format!("{column} {} is no text", shown(value))),
    }
}

pub(super) fn optional_time(value: &Value, column: &str) -> Result<Option<Wall>, String> {
    match value {
        Value::Null => Ok(None),
        value => time(value, column).map(Some),
    }
}

/// A time as ActiveRecord writes it: `2025-11-17 10:30:00.123456`, in UTC.
pub(super) fn time(value: &Value, column: &str) -> Result<Wall, String> {
    let wrong =
        || format!("{column} {} is no time as Rails writes it: 2025-11-17 10:30:00.123456", shown(value));
    let Value::Text(text) = value else { return Err(wrong()) };
    Wall::parse_sql(text).ok_or_else(wrong)
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}
