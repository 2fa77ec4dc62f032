//! A row of `data_flow_runs` as a run of ours.

use super::database::Cells;
use crate::flow::ErrorKind;
use crate::limits;
use crate::store::{FlowId, ImportedRun, RunId};

/// A run, and in what it differs from the row.
///
/// # Errors
/// Why it does not fit.
pub(super) fn convert(row: &Cells, flow: FlowId) -> Result<(ImportedRun, Option<String>), String> {
    let status = row.text("status")?;
    let mut started_at = row.optional_time("started_at")?;
    let mut ended_at = row.optional_time("ended_at")?;
    let (created_at, updated_at) = (row.time("created_at")?, row.time("updated_at")?);
    let message = row.optional_text("error_message")?.unwrap_or_default();
    let (error, difference) = match status {
        "success" => (None, None),
        // What made a flow of theirs fail is an exception, of which its process tells by its exit status here.
        "failed" => (Some((ErrorKind::ExitStatus, cut(message, limits::ERROR_MESSAGE_BYTES_MAX))), None),
        // In the engine a run never waits: it is made, begun and ended within one request, which is over.
        "pending" | "in_progress" => {
            started_at = started_at.or(Some(created_at));
            ended_at = started_at.max(Some(updated_at));
            let message = format!("it was {status} when it was imported from Rails");
            let difference =
                format!("it was {status}, which nobody goes on with: it is a failed run here, interrupted");
            (Some((ErrorKind::Interrupted, message)), Some(difference))
        }
        _ => {
            let shown = row.shown("status");
            return Err(format!("status {shown} is none of pending, in_progress, success, failed"));
        }
    };
    let ended_at = ended_at.ok_or_else(|| format!("it is {status} and has no ended_at"))?;
    let started_at = started_at.ok_or_else(|| format!("it is {status} and has no started_at"))?;
    if ended_at < started_at {
        let (end, start) = (row.shown("ended_at"), row.shown("started_at"));
        return Err(format!("ended_at {end} is before started_at {start}"));
    }
    let backtrace = row.optional_text("error_backtrace")?;
    let run = ImportedRun {
        id: RunId(row.id),
        flow,
        started_at,
        ended_at,
        error,
        backtrace: backtrace.map(|text| cut(text, limits::BACKTRACE_BYTES_MAX)),
        created_at,
        updated_at,
    };
    Ok((run, difference))
}

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}
