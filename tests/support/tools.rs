//! Programs of others that a test runs real faults with. A machine without one leaves that test out, and says so.

use std::ffi::OsStr;
use std::fs::File;
use std::process::{Child, Command, Stdio};

pub(crate) use super::skipped::tell_skipped;

use super::daemon::Daemon;
use super::{EdgeBox, until};

/// Whether a program can be run with these arguments, which must make it end at once with 0.
pub(crate) fn can_run(program: &str, arguments: &[&str]) -> bool {
    let ran = Command::new(program).args(arguments).output();
    let can = ran.is_ok_and(|output| output.status.success());
    if !can {
        tell_skipped(&format!("`{program} {}` does not work here", arguments.join(" ")));
    }
    can
}

/// Runs a command through another program, which gets it as its last arguments.
pub(crate) fn run_through(command: &mut Command, program: &str, arguments: &[&str]) {
    let mut through = Command::new(program);
    through.args(arguments).arg(command.get_program()).args(command.get_args()).env_clear();
    through.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    *command = through;
}

/// Whether system calls can be made to fail here.
pub(crate) fn can_inject() -> bool {
    can_run("strace", &["-f", "-o", "/dev/null", "true"])
}

/// Traces a daemon, which must be dumpable, with these arguments to strace(1), from now until one of the two ends. What it
/// saw stands in the box's file `trace`.
pub(crate) fn trace<A: AsRef<OsStr>>(edge_box: &EdgeBox, daemon: &Daemon, arguments: &[A]) -> Child {
    let tracer = Command::new("strace")
        .args(["-I", "1", "-p", &daemon.pid().to_string(), "-o"])
        .arg(edge_box.path("trace"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(File::create(edge_box.path("tracer")).expect("make its log"))
        .spawn()
        .expect("start strace");
    until("it is traced", || edge_box.read("tracer").contains("attached"));
    tracer
}

/// The same of some system calls, and does something to them, both as strace(1) writes it.
pub(crate) fn inject(edge_box: &EdgeBox, daemon: &Daemon, calls: &str, what: &str) -> Child {
    trace(edge_box, daemon, &["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}")])
}
