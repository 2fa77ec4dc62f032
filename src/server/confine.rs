//! What a child may use, set from outside as soon as it is started: between its start and its exec no code of ours runs.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, prlimit, setpriority_pgrp};

use crate::flow::{Launch, ProcessLimits};
use crate::limits;

/// What every child gets, whatever its flow says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confinement {
    /// The children's `oom_score_adj` (proc(5)): when memory runs out they die before the daemon.
    oom_score: i32,
}

impl Confinement {
    pub(super) fn of_this_process() -> Self {
        let own = std::fs::read_to_string("/proc/self/oom_score_adj");
        let own: i32 = own.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        Self { oom_score: (own + limits::CHILD_OOM_SCORE_ADDED).min(1000) }
    }

    /// Confines a process that was just started, and leads a group of its own.
    ///
    /// # Errors
    /// Which limit cannot be set, and why; then the process must not go on.
    pub(super) fn apply(&self, pid: Pid, launch: &Launch) -> Result<(), String> {
        // Not every sandbox lets this be written, and a run can do without.
        let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
        if let Err(error) = std::fs::write(&path, self.oom_score.to_string()) {
            log::debug!("cannot write {path}: {error}");
        }
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
}

/// Somebody else may have reaped it already.
fn unless_gone(result: Result<(), Errno>) -> Result<(), Errno> {
    result.or_else(|error| if error == Errno::SRCH { Ok(()) } else { Err(error) })
}
