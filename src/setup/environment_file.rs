//! A flow's file of environment variables: read at each start of a run, and never stored, shown or logged.

use std::path::Path;

use super::files;
use crate::config::Fault;
use crate::flow::parse_environment_file;

/// Reads a flow's `environment_file`, which nobody but its owner may read.
///
/// # Errors
/// As [`super::read_private_file`], or the line that is wrong; nothing that the file holds is in the message.
pub fn read_environment_file(path: &Path) -> Result<Vec<(String, String)>, Fault> {
    let text = files::read_private(path, "make it, or correct environment_file in the flow's file")?;
    parse_environment_file(&text).map_err(|(line, wrong)| {
        let help = "write lines NAME=value; a line that begins with # is skipped";
        Fault { line: Some(line), ..Fault::of_file(path, wrong, help) }
    })
}
