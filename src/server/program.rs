//! From a launch to a process: the program is looked up in the child's own `PATH`, and a failure says why in words
//! that help.

use rustix::fs::{Access, access};
use rustix::io::Errno;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::notify::NOTIFY_SOCKET;
use super::users;
use crate::flow::{self, ErrorKind, Launch};
use crate::setup;

/// The ends of the child's pipes that it gets.
pub(super) struct Pipes {
    pub(super) stdin: Stdio,
    pub(super) stdout: Stdio,
    pub(super) stderr: Stdio,
}

/// Why a process was not started.
#[derive(Debug)]
pub(super) struct NotStarted {
    /// `Spawn`, or `Configuration` where trying again cannot help.
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

impl From<String> for NotStarted {
    fn from(message: String) -> Self {
        Self { kind: ErrorKind::Spawn, message }
    }
}

/// Starts a process in a group of its own, with nothing but what the launch names.
///
/// # Errors
/// A sentence that names what is missing.
pub(super) fn spawn(launch: &Launch, pipes: Pipes) -> Result<Child, NotStarted> {
    let Some((name, arguments)) = launch.argv.split_first() else {
        return Err("argv is empty".to_owned().into());
    };
    let user = launch.user.as_deref().map(users::find).transpose();
    let user = user.map_err(|message| NotStarted { kind: ErrorKind::Configuration, message })?;
    let environment = environment(launch)?;
    let program = find(name, &environment)?;
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
    if let Some(user) = user {
        // The standard library drops the daemon's supplementary groups then.
        command.uid(user.uid).gid(user.gid);
    }
    command.spawn().map_err(|error| explain(&program, &launch.working_directory, &error).into())
}

/// Why a launch would fail here and now, as far as that can be seen without trying.
pub(crate) fn objection(launch: &Launch) -> Option<String> {
    let folder = &launch.working_directory;
    if !folder.is_dir() {
        return Some(format!("working_directory {} is not a folder", folder.display()));
    }
    // Its file may be another user's to read.
    let environment = environment(launch).ok()?;
    let program = match find(launch.argv.first()?, &environment) {
        Ok(program) => folder.join(program),
        Err(why) => return Some(why),
    };
    let is_missing = program.try_exists().is_ok_and(|exists| !exists);
    is_missing.then(|| does_not_exist(&program))
}

fn does_not_exist(program: &Path) -> String {
    let shown = program.display().to_string();
    let hint = line_hint(&shown).unwrap_or(" (a relative path starts at the folder of its file)");
    format!("{shown} does not exist{hint}")
}

/// For those who give a command line as the program.
fn line_hint(program: &str) -> Option<&'static str> {
    let is_line = program.contains([' ', '|', '&', ';', '<', '>']);
    is_line.then_some("; in argv each word is an item of its own, or set shell = true")
}

/// What is inherited, what is set, and what the flow's own file sets; of the same name the latter wins. A value that is
/// inherited need not be UTF-8.
fn environment(launch: &Launch) -> Result<Vec<(String, OsString)>, String> {
    let read = launch.environment_file.as_deref().map(setup::read_environment_file).transpose();
    let of_file = read.map_err(|fault| format!("environment_file {fault}; {}", fault.help_line()))?;
    // The service manager's ear is the daemon's alone, whatever a flow asks for.
    let may_inherit = |name: &&String| flow::check_variable_name(name).is_ok() && *name != NOTIFY_SOCKET;
    let inherited = launch.inherit.iter().filter(may_inherit);
    let inherited = inherited.filter_map(|name| Some((name.clone(), std::env::var_os(name)?)));
    let set = launch.environment.iter().cloned().chain(of_file.unwrap_or_default());
    let mut environment: Vec<(String, OsString)> = Vec::new();
    for (name, value) in inherited.chain(set.map(|(name, value)| (name, value.into()))) {
        match environment.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => environment.push((name, value)),
        }
    }
    Ok(environment)
}

/// The program, looked up as a child of this environment would.
fn find(name: &str, environment: &[(String, OsString)]) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
    let path = path.unwrap_or_default();
    let folders = std::env::split_paths(path).filter(|folder| !folder.as_os_str().is_empty());
    let mut candidates = folders.map(|folder| folder.join(name));
    let found =
        candidates.find(|candidate| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok());
    found.ok_or_else(|| {
        let hint = line_hint(name).unwrap_or_default();
        format!("no program `{name}` in the command's PATH ({}){hint}", path.display())
    })
}

fn explain(program: &Path, working_directory: &Path, error: &io::Error) -> String {
    let program = &working_directory.join(program);
    let shown = program.display();
    let reason = match error.kind() {
        _ if !working_directory.is_dir() => {
            format!("working_directory {} is not a folder", working_directory.display())
        }
        io::ErrorKind::NotFound if program.exists() => {
            format!(
                "{shown} names an interpreter in its first line that does not exist, or ends that line with \\r\\n"
            )
        }
        io::ErrorKind::NotFound => return does_not_exist(program),
        io::ErrorKind::PermissionDenied => format!("{shown} is not executable for this user (chmod +x)"),
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            format!(
                "{shown} is neither a program for this machine nor a script that begins with #! and its interpreter"
            )
        }
        _ => format!("{shown} cannot be started"),
    };
    format!("{reason}: {error}")
}
