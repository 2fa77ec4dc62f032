//! Operators and the cursors of pipelines.

use serde::Deserialize;
use serde_json::Value as Json;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::orders::{Carried, Objection};
use crate::flow::Pipeline;
use crate::pipeline::cursor;
use crate::pipeline::files::SystemFiles;
use crate::pipeline::sink::State;
use crate::pipeline::{Failure, Owner};
use crate::store::{Flow, Result, Store};
use crate::time::Wall;

/// What would be right where a flow of another kind is named.
const NAME_A_PIPELINE: &str = "name a flow with a [source] and a [sink]";

/// A flow that is a pipeline.
#[derive(Debug)]
pub struct PipelineFlow {
    /// Its definition.
    pub pipeline: Pipeline,
    /// Whose its state is.
    pub owner: Owner,
    /// What our own database knows of its cursor.
    pub recorded: Option<State>,
}

/// A flow as a pipeline, or why it is none.
///
/// # Errors
/// The database cannot be read.
pub fn pipeline_of(store: &Store, flow: &Flow) -> Result<Result<PipelineFlow, Objection>> {
    if flow.configuration.kind != Pipeline::KIND {
        let why =
            format!("flow `{}` is a {}: only a pipeline has a cursor", flow.name, flow.configuration.kind);
        return Ok(Err(Objection::ConflictWithHelp(why, NAME_A_PIPELINE.to_owned())));
    }
    let pipeline = match Pipeline::deserialize(&flow.configuration.settings) {
        Ok(pipeline) => pipeline,
        Err(error) => return Ok(Err(Objection::Conflict(format!("its definition cannot be read: {error}")))),
    };
    let owner = Owner { database_id: store.id()?, flow: flow.name.clone() };
    // What is on record and no state any more is there to be replaced.
    let recorded = store.cursor(flow.id)?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Ok(PipelineFlow { pipeline, owner, recorded }))
}

fn objection(failure: Failure) -> Objection {
    Objection::Conflict(failure.message)
}

fn no_such_file(why: String) -> Objection {
    Objection::ConflictWithHelp(why, "name a file of rejected records that the daemon can read".to_owned())
}

/// Why a flow is not to be fed from this file, if it is not.
pub(super) fn object_to_feed(flow: &Flow, from: &str) -> Option<Objection> {
    if flow.configuration.kind != Pipeline::KIND {
        let why =
            format!("flow `{}` is a {}: only a pipeline takes --from", flow.name, flow.configuration.kind);
        return Some(Objection::ConflictWithHelp(why, NAME_A_PIPELINE.to_owned()));
    }
    let pipeline = Pipeline::deserialize(&flow.configuration.settings).ok()?;
    let file = match std::fs::metadata(from) {
        Ok(file) if file.is_file() => file,
        Ok(_) => return Some(no_such_file(format!("{from} is not a regular file"))),
        Err(error) => return Some(no_such_file(format!("cannot read {from}: {error}"))),
    };
    let is_it = |path: &Path| {
        let other = std::fs::metadata(path);
        other.is_ok_and(|other| (other.dev(), other.ino()) == (file.dev(), file.ino()))
    };
    if !pipeline.written_files().any(is_it) {
        return None;
    }
    let why = format!("{from} is a file that this flow writes: the run would never end");
    let help = format!("move it first: mv {from} {from}.fed, and then --from {from}.fed");
    Some(Objection::ConflictWithHelp(why, help))
}

/// Where a flow's source got to.
pub(super) fn show(store: &Store, flow: &Flow) -> Result<Result<Json, Objection>> {
    let found = pipeline_of(store, flow)?;
    Ok(found.and_then(|PipelineFlow { pipeline, owner, recorded }| {
        cursor::show(&pipeline, &owner, recorded.as_ref()).map_err(objection)
    }))
}

/// Sets it, where no run is open.
pub(super) fn set(
    store: &mut Store,
    flow: &Flow,
    cursor: &Json,
    now: Wall,
) -> Result<Result<Carried, Objection>> {
    let PipelineFlow { pipeline, owner, recorded } = match pipeline_of(store, flow)? {
        Ok(found) => found,
        Err(objection) => return Ok(Err(objection)),
    };
    if let Err(right) = cursor::check(&pipeline, cursor) {
        return Ok(Err(Objection::Invalid(right)));
    }
    let files = SystemFiles::default();
    let state = match cursor::set(&pipeline, &owner, recorded.as_ref(), cursor.clone(), &files) {
        Ok(state) => state,
        Err(failure) => return Ok(Err(objection(failure))),
    };
    if let Some(outbox) = recorded.as_ref().and_then(|state| state.outbox.as_ref()) {
        let (key, records) = (outbox.key.as_str(), outbox.records().len());
        log::warn!(flow = flow.name.as_str(), key, records; "the cursor is set: a batch on its way is dropped");
    }
    if let Some(state) = state {
        store.keep_cursor(flow.id, &serde_json::to_string(&state).unwrap_or_default(), now)?;
    }
    Ok(Ok(Carried::CursorSet))
}
