//! What an operator sees and sets of a pipeline's cursor.

use serde_json::Value as Json;

use super::files::Files;
use super::sink::{self, State};
use super::{Owner, Result, source};
use crate::flow::Pipeline;

/// Where a pipeline's source got to; null: nothing was read yet.
///
/// # Errors
/// The sink keeps it, and cannot be read.
pub fn show(pipeline: &Pipeline, owner: &Owner, recorded: Option<&State>) -> Result<Json> {
    let sink = sink::open(&pipeline.sink, &pipeline.fields, owner);
    Ok(sink.state(recorded)?.unwrap_or_default().cursor)
}

/// Judges a cursor that is to be set.
///
/// # Errors
/// A sentence that says what would be right.
pub fn check(pipeline: &Pipeline, cursor: &Json) -> Result<(), String> {
    source::open(&pipeline.source).check_cursor(cursor)
}

/// Sets it. What the sink knew of its file is forgotten: that is taken as it is now. A batch that is on its way is dropped, for
/// whoever sets a cursor says what is to be sent next. What was fed back stays so, and rejected records that are still to be
/// written out. The state that our own database is to keep, if it does.
///
/// # Errors
/// The sink keeps it, and cannot be written.
pub fn set(
    pipeline: &Pipeline,
    owner: &Owner,
    recorded: Option<&State>,
    cursor: Json,
    files: &dyn Files,
) -> Result<Option<State>> {
    let mut sink = sink::open(&pipeline.sink, &pipeline.fields, owner);
    let held = sink.state(recorded)?.unwrap_or_default();
    let state = State { cursor, sink: serde_json::Value::Null, outbox: None, ..held };
    Ok((!sink.set_state(&state, files)?).then_some(state))
}
