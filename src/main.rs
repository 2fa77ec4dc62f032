//! `heartbeatd`: arguments in, a command carried out, an exit code out.

use heartbeat_runtime::{cli, pipeline};
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cli::run(std::env::args_os(), pipeline::kinds()))
}
