//! From a launch to a process: the program is looked up in the child's own `PATH`, and a failure says why in words
//! that help.

use rustix::fs::{Access, access};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::flow::Launch;

/// The ends of the child's pipes that it gets.
pub(super) struct Pipes {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Starts a process in a group of its own, with nothing but what the launch names.
///
/// # Errors
/// A sentence that names what is missing.
pub(super) fn spawn(launch: &Launch, pipes: Pipes) -> Result<Child, String> {
    let Some((name, arguments)) = launch.argv.split_first() else {
        return Err("argv is empty".to_owned());
    };
    if !launch.working_directory.is_dir() {
        return Err(format!("working_directory {} is not a folder", launch.working_directory.display()));
    }
    let environment = environment(launch);
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let program = find(name, path.unwrap_or_default())?;
    // An absolute program and no closure before exec: the standard library then uses posix_spawn(3), which copies
    // neither page tables nor descriptors that are closed on exec.
    let mut command = Command::new(&program);
    command
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.working_directory)
        .process_group(0)
        .stdin(pipes.stdin)
        .stdout(pipes.stdout)
        .stderr(pipes.stderr);
    command.spawn().map_err(|error| explain(&program, &error))
}

/// What is inherited and not set anew, and what is set. A value that is inherited need not be UTF-8.
fn environment(launch: &Launch) -> Vec<(String, OsString)> {
    let inherited = launch.inherit.iter().filter_map(|name| Some((name.clone(), std::env::var_os(name)?)));
    let mut environment: Vec<_> = inherited.collect();
    environment.retain(|(name, _)| launch.environment.iter().all(|(set, _)| set != name));
    environment.extend(launch.environment.iter().map(|(name, value)| (name.clone(), value.into())));
    environment
}

fn find(name: &str, path: &OsStr) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let folders = std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty());
    let mut candidates = folders.map(|folder| folder.join(name));
    candidates
        .find(|candidate| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok())
        .ok_or_else(|| format!("no program `{name}` in the command's PATH ({})", path.display()))
}

fn explain(program: &Path, error: &io::Error) -> String {
    let shown = program.display();
    let reason = match error.kind() {
        io::ErrorKind::NotFound if program.exists() => {
            format!("{shown} names an interpreter in its first line that does not exist")
        }
        io::ErrorKind::NotFound => format!("{shown} does not exist"),
        io::ErrorKind::PermissionDenied => format!("{shown} is not executable for this user (chmod +x)"),
        _ => format!("{shown} cannot be started"),
    };
    format!("{reason}: {error}")
}
