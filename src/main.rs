//! `heartbeatd`: arguments in, a command carried out, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(heartbeat_runtime::cli::run(std::env::args_os()))
}
