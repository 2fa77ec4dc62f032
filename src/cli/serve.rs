//! `serve`: the daemon in the foreground.

use std::path::Path;

use super::failure::{Exit, Failure};
use crate::setup::Loaded;

/// Serves until SIGTERM or SIGINT.
pub(super) fn run(
    _loaded: &Loaded,
    _environment: &[(String, String)],
    _port_file: Option<&Path>,
    _level: Option<log::LevelFilter>,
) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "`serve` is not built yet", "use a later version"))
}
