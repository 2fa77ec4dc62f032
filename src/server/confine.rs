//! What a child may use: inherited, or set from outside as soon as it is started. Between its start and its exec no code
//! of ours runs.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_pgrp};
use std::fs::File;
use std::io::Write;

use crate::flow::{Launch, ProcessLimits};
use crate::limits;

/// The `oom_score_adj` (proc(5)) that children inherit: when memory runs out they die before the daemon. It is the
/// daemon's own only while it starts them, which costs less than to write each child's, and leaves none out.
#[derive(Debug)]
pub(super) struct OomScore {
    /// None: a sandbox forbids it, and a run can do without.
    file: Option<File>,
    own: i32,
    is_raised: bool,
}

impl OomScore {
    /// To be called while this process is dumpable still: later the file is root's (proc(5)).
    pub(super) fn of_this_process() -> Self {
        let path = "/proc/self/oom_score_adj";
        let own = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        // What is not known cannot be put back.
        let file = own.and_then(|_: i32| File::options().write(true).open(path).ok());
        if file.is_none() {
            log::debug!("cannot read and write {path}");
        }
        Self { file, own: own.unwrap_or(0), is_raised: false }
    }

    pub(super) fn raise(&mut self) {
        self.set(true);
    }

    pub(super) fn lower(&mut self) {
        self.set(false);
    }

    fn set(&mut self, raised: bool) {
        let Some(file) = self.file.as_mut().filter(|_| raised != self.is_raised) else { return };
        let added = if raised { limits::CHILD_OOM_SCORE_ADDED } else { 0 };
        let score = (self.own + added).min(1000);
        match file.write_all(score.to_string().as_bytes()) {
            Ok(()) => self.is_raised = raised,
            Err(error) => log::debug!("cannot set oom_score_adj to {score}: {error}"),
        }
    }
}

/// Confines a process that was just started, and leads a group of its own.
///
/// # Errors
/// Which limit cannot be set, and why; then the process must not go on.
pub(super) fn apply(pid: Pid, launch: &Launch) -> Result<(), String> {
    let ProcessLimits { memory_bytes, processes, files, cpu_s } = launch.limits;
    // At the soft limit a process is told (SIGXCPU), at the hard one it is killed.
    let cpu = cpu_s.map(|seconds| (seconds, seconds + 1));
    let same = |limit: Option<u64>| limit.map(|limit| (limit, limit));
    let wanted = [
        ("memory", Resource::As, same(memory_bytes)),
        ("processes", Resource::Nproc, same(processes)),
        ("files", Resource::Nofile, same(files)),
        ("cpu", Resource::Cpu, cpu),
    ];
    for (name, resource, limit) in wanted {
        let Some((current, maximum)) = limit else { continue };
        let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
        unless_gone(prlimit(Some(pid), resource, limit).map(drop)).map_err(|error| {
            let why = match error {
                Errno::PERM => "it is more than the daemon itself may use",
                _ => "the system refuses it",
            };
            format!("[command] limits: cannot set {name} = {current}: {why}: {error}")
        })?;
    }
    if let Some(nice) = launch.nice {
        // What it has started meanwhile is in its group.
        unless_gone(setpriority_pgrp(Some(pid), nice)).map_err(|error| {
            format!("[command] nice: cannot set {nice}: less than the daemon's own needs root: {error}")
        })?;
    }
    Ok(())
}

/// Somebody else may have reaped it already.
fn unless_gone(result: Result<(), Errno>) -> Result<(), Errno> {
    result.or_else(|error| if error == Errno::SRCH { Ok(()) } else { Err(error) })
}
