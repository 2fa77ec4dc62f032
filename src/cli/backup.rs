//! `backup`: a consistent copy of the database, with or without a daemon.

use serde_json::json;

use super::Context;
use super::arguments::Backup;
use super::failure::Failure;
use crate::store::{Cut, Store};
use crate::words;

/// Writes the copy.
pub(super) fn run(context: &Context, backup: &Backup) -> Result<(), Failure> {
    let loaded = context.load()?;
    // Says it where there is no database yet.
    drop(context.open_to_read(&loaded)?);
    let bytes = Store::back_up(&loaded.config.database, &backup.file, &Cut::default())?;
    let output = &context.output;
    if output.json {
        return output.value(&json!({"file": backup.file.to_string_lossy(), "bytes": bytes}));
    }
    if output.quiet {
        return Ok(());
    }
    output.line(format!("{} holds a whole copy, {}", backup.file.display(), words::bytes(bytes)))
}
