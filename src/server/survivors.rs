//! Processes that outlived an earlier daemon: found by the environment that every child carries, ended before their flow
//! runs again.

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use super::slots;
use super::token::Source;
use crate::limits;
use crate::store::RunId;
use crate::time::Monotonic;

/// Lists of processes that are read at the start, at most: something that forks faster than this is ended as it is found.
const LOOKS_MAX: usize = 8;

/// The survivors that are being ended.
#[derive(Debug)]
pub(super) struct Survivors {
    instance: String,
    slots: Vec<Option<Survivor>>,
    kill_grace: Duration,
}

#[derive(Debug)]
struct Survivor {
    run: RunId,
    pid: Pid,
    pidfd: OwnedFd,
    kill_at: Option<Monotonic>,
}

impl Survivors {
    pub(super) fn new(instance: &str, kill_grace: Duration) -> Self {
        Self { instance: instance.to_owned(), slots: Vec::new(), kill_grace }
    }

    /// Looks for processes of our instance and tells each to end. The runs that they belong to. Called before the first
    /// process of ours is started: those carry the same instance.
    ///
    /// Whoever holds the database's lock sees them all: a child shares the lock until its exec has given it the
    /// environment that it is known by.
    ///
    /// A flow may have started this very daemon: what leads to it is spared.
    pub(super) fn look(&mut self, now: Monotonic, registry: &Registry) -> BTreeSet<RunId> {
        // One that forks and exits while the list is read is found by its child in the next.
        for _ in 0..LOOKS_MAX {
            if !self.tell_newcomers(|_| true, now, registry) {
                break;
            }
        }
        self.slots.iter().flatten().map(|survivor| survivor.run).collect()
    }

    /// Tells processes of our instance that are not known yet to end, if they belong to such a run; whether there were any.
    fn tell_newcomers(
        &mut self,
        is_meant: impl Fn(RunId) -> bool,
        now: Monotonic,
        registry: &Registry,
    ) -> bool {
        let Ok(entries) = std::fs::read_dir("/proc") else { return false };
        let spared = ourselves_and_ancestors();
        let known_before = self.slots.iter().flatten().count();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        for pid in numbers.filter_map(Pid::from_raw) {
            if spared.contains(&pid)
                || self.slots.iter().flatten().any(|known| known.pid == pid)
                || !run_of(pid, &self.instance).is_some_and(&is_meant)
            {
                continue;
            }
            let ended = self.end(pid, now, registry);
            if let Err(error) = ended.or_else(unless_gone) {
                log::warn!(
                    "cannot end process {}, which outlived an earlier daemon: {error}",
                    pid.as_raw_nonzero()
                );
            }
        }
        self.slots.iter().flatten().count() > known_before
    }

    fn end(&mut self, pid: Pid, now: Monotonic, registry: &Registry) -> std::io::Result<()> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // The number may have gone to a stranger since it was looked at; what the pidfd stands for stays.
        let Some(run) = run_of(pid, &self.instance) else { return Ok(()) };
        let index = slots::free(&mut self.slots);
        let source = &mut SourceFd(&pidfd.as_raw_fd());
        registry.register(source, Source::Survivor(index).token(), Interest::READABLE)?;
        log::warn!(run = run.0, pid = pid.as_raw_nonzero().get(); "a process outlived an earlier daemon: sending SIGTERM");
        pidfd_send_signal(&pidfd, Signal::TERM)?;
        self.slots[index] = Some(Survivor { run, pid, pidfd, kill_at: Some(now + self.kill_grace) });
        Ok(())
    }

    /// A survivor is gone. Its run, if nothing else of it lives: it may have forked meanwhile.
    pub(super) fn gone(&mut self, index: usize, now: Monotonic, registry: &Registry) -> Option<RunId> {
        let survivor = self.slots.get_mut(index)?.take()?;
        self.tell_newcomers(|run| run == survivor.run, now, registry);
        let lives_on = self.slots.iter().flatten().any(|other| other.run == survivor.run);
        (!lives_on).then_some(survivor.run)
    }

    /// Sends KILL to those that TERM did not end.
    pub(super) fn judge_deadlines(&mut self, now: Monotonic) {
        for survivor in self.slots.iter_mut().flatten() {
            if survivor.kill_at.is_some_and(|at| now >= at) {
                survivor.kill_at = None;
                log::warn!(run = survivor.run.0; "a process that outlived an earlier daemon goes on: sending SIGKILL");
                let _gone_already = pidfd_send_signal(&survivor.pidfd, Signal::KILL);
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Monotonic> {
        self.slots.iter().flatten().filter_map(|survivor| survivor.kill_at).min()
    }
}

/// A process that is gone need not be ended.
fn unless_gone(error: std::io::Error) -> std::io::Result<()> {
    let is_gone = rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::SRCH);
    if is_gone { Ok(()) } else { Err(error) }
}

/// This process, its parent, and so on.
fn ourselves_and_ancestors() -> Vec<Pid> {
    let mut line = vec![rustix::process::getpid()];
    while let Some(parent) = line.last().and_then(|pid| parent_of(*pid)) {
        // While the line is read an ancestor may die and its number go to a child of ours.
        if line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

/// The fourth field of `/proc/PID/stat` (proc(5)). The second, the program's name in parentheses, may hold anything.
fn parent_of(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let end_of_name = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = stat.get(end_of_name + 1..)?.split(|byte| *byte == b' ').skip(2);
    std::str::from_utf8(fields.next()?).ok()?.parse().ok().and_then(Pid::from_raw)
}

/// The run that a process belongs to, if it carries our instance. Processes of other users cannot be read.
fn run_of(pid: Pid, instance: &str) -> Option<RunId> {
    let file = std::fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let mut environment = Vec::new();
    file.take(2 * limits::COMMAND_BYTES_MAX as u64).read_to_end(&mut environment).ok()?;
    let value = |name: &[u8]| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    if value(b"HEARTBEAT_INSTANCE")? != instance.as_bytes() {
        return None;
    }
    std::str::from_utf8(value(b"HEARTBEAT_RUN_ID")?).ok()?.parse().ok().map(RunId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_ancestors_begins_with_us_and_our_parent_and_ends() {
        let line = ourselves_and_ancestors();
        assert_eq!(line.first().copied(), Some(rustix::process::getpid()));
        assert_eq!(line.get(1).copied(), rustix::process::getppid());
        assert_eq!(line.last().and_then(|pid| parent_of(*pid)), None, "{line:?}");
    }
}
