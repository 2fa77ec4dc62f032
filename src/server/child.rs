//! Children: started after their record, drained for as long as they run, reaped only when their group was told.
//!
//! A leader is kept as a zombie until everything about its end is done: its number is then still ours, so a signal to
//! its group reaches nobody else.

use mio::unix::SourceFd;
use mio::unix::pipe::Receiver;
use mio::{Interest, Registry};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, pidfd_open};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Stdio;

use super::confine::{self, OomScore};
use super::connection::retry;
use super::kept::Kept;
use super::program::{self, NotStarted, Pipes};
use super::tail::Tail;
use super::token::Source;
use super::{slots, stdin};
use crate::flow::{Exit, Launch};
use crate::limits;
use crate::runtime::{Cleanup, Job, Output, Signal};

/// The processes of the runs in progress.
#[derive(Debug)]
pub(super) struct Children {
    slots: Vec<Option<Child>>,
    by_run: HashMap<Job, usize>,
    output_bytes: usize,
    /// Whether exits come by pidfd; else by SIGCHLD.
    use_pidfd: bool,
    oom_score: OomScore,
}

#[derive(Debug)]
struct Child {
    job: Job,
    process: std::process::Child,
    pid: Pid,
    pidfd: Option<OwnedFd>,
    /// What goes to the tail: all that it writes, or its standard error alone.
    output: Option<Receiver>,
    /// Its standard output, where that is kept apart.
    stdout: Option<Kept>,
    tail: Tail,
    /// What was read since it was last taken, if somebody follows the run.
    fresh: Option<Vec<u8>>,
    cleanup: Cleanup,
}

/// What is known of a process.
enum Fate {
    GoesOn,
    Ended(Exit),
    ReapedElsewhere,
}

/// How a run's process ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) job: Job,
    /// None: somebody else reaped it, so how it ended is not known.
    pub(super) exit: Option<Exit>,
    pub(super) output: Output,
    /// What was read since it was last taken, if somebody follows the run.
    pub(super) fresh: Vec<u8>,
    /// Its process, a zombie still; none if somebody else reaped it.
    pub(super) leader: Option<(Pid, std::process::Child)>,
    pub(super) cleanup: Cleanup,
}

impl Children {
    pub(super) fn new(output_bytes: usize, use_pidfd: bool) -> Self {
        let oom_score = OomScore::of_this_process();
        Self { slots: Vec::new(), by_run: HashMap::new(), output_bytes, use_pidfd, oom_score }
    }

    /// Starts a run's process.
    ///
    /// # Errors
    /// Why it cannot be started; then nothing of it is left.
    pub(super) fn spawn(
        &mut self,
        job: Job,
        launch: Launch,
        cleanup: Cleanup,
        registry: &Registry,
    ) -> Result<Pid, NotStarted> {
        let pipe_failed = |error: std::io::Error| NotStarted::from(format!("cannot make a pipe: {error}"));
        let (output, child_errors) = std::io::pipe().map_err(pipe_failed)?;
        let (kept, child_output) = match launch.stdout_max {
            None => (None, child_errors.try_clone().map_err(pipe_failed)?),
            Some(bytes_max) => {
                let (kept, child_output) = std::io::pipe().map_err(pipe_failed)?;
                (Some((OwnedFd::from(kept), bytes_max)), child_output)
            }
        };
        let stdin = match launch.stdin.as_slice() {
            [] => Stdio::null(),
            text => {
                stdin::of(text).map_err(|error| format!("cannot make its standard input: {error}"))?.into()
            }
        };
        let pipes = Pipes { stdin, stdout: child_output.into(), stderr: child_errors.into() };
        self.oom_score.raise();
        let process = program::spawn(&launch, pipes)?;
        let pid = Pid::from_child(&process);
        let confined = confine::apply(pid, &launch);
        let child = Child {
            job,
            process,
            pid,
            pidfd: None,
            output: None,
            stdout: None,
            tail: Tail::new(self.output_bytes),
            fresh: None,
            cleanup,
        };
        let index = self.put(child);
        if let Err(message) = confined {
            self.abandon(index);
            return Err(message.into());
        }
        if let Err(error) = self.watch(index, OwnedFd::from(output), kept, registry) {
            // Without readiness its end would not be noticed: it must not go on.
            self.abandon(index);
            return Err(format!("cannot watch the process: {error}").into());
        }
        Ok(pid)
    }

    /// To be called when all that a round starts is started.
    pub(super) fn done_spawning(&mut self) {
        self.oom_score.lower();
    }

    fn put(&mut self, child: Child) -> usize {
        let index = slots::free(&mut self.slots);
        let before = self.by_run.insert(child.job, index);
        assert!(before.is_none(), "a run has one process");
        self.slots[index] = Some(child);
        index
    }

    fn watch(
        &mut self,
        index: usize,
        output: OwnedFd,
        kept: Option<(OwnedFd, usize)>,
        registry: &Registry,
    ) -> std::io::Result<()> {
        let Some(child) = self.slots[index].as_mut() else { return Ok(()) };
        let readable = |pipe: OwnedFd| {
            let mut pipe = Receiver::from(pipe);
            pipe.set_nonblocking(true)?;
            registry.register(&mut pipe, Source::Output(index).token(), Interest::READABLE)?;
            Ok::<_, std::io::Error>(pipe)
        };
        child.output = Some(readable(output)?);
        if let Some((kept, bytes_max)) = kept {
            child.stdout = Some(Kept::new(readable(kept)?, bytes_max));
        }
        if self.use_pidfd {
            let pidfd = pidfd_open(child.pid, PidfdFlags::empty())?;
            let source = &mut SourceFd(&pidfd.as_raw_fd());
            registry.register(source, Source::Exit(index).token(), Interest::READABLE)?;
            child.pidfd = Some(pidfd);
        }
        Ok(())
    }

    fn abandon(&mut self, index: usize) {
        if let Some(mut child) = self.slots[index].take() {
            self.by_run.remove(&child.job);
            let _gone_already = kill_process_group(child.pid, rustix::process::Signal::KILL);
            // After KILL this takes no longer than the kernel needs.
            let _status = child.process.wait();
        }
    }

    /// Tells a run's process group to end. A run whose process is gone has none to tell.
    pub(super) fn signal(&mut self, job: Job, signal: Signal) {
        let Some(child) = self.by_run.get(&job).and_then(|index| self.slots[*index].as_mut()) else { return };
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Err(error) = kill_process_group(child.pid, signal) {
            log::debug!(run = job; "cannot signal the run's process group: {error}");
        }
    }

    /// Takes in what a child wrote; true if there may be more, for the next round.
    pub(super) fn read_output(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        match self.slots.get_mut(index).and_then(Option::as_mut) {
            Some(child) => {
                let more_to_keep = child.keep(buffer, limits::OUTPUT_PER_ROUND_BYTES);
                if child.stdout.as_ref().is_some_and(Kept::is_too_much) {
                    // Nothing of it counts, so it need not go on.
                    let _gone_already = kill_process_group(child.pid, rustix::process::Signal::KILL);
                }
                child.drain(buffer, limits::OUTPUT_PER_ROUND_BYTES) || more_to_keep
            }
            None => false,
        }
    }

    /// From now on what a run writes is to be taken; what is kept of it so far. None if it has no process.
    pub(super) fn follow(&mut self, job: Job) -> Option<Vec<u8>> {
        let child = self.slots[*self.by_run.get(&job)?].as_mut()?;
        child.fresh.get_or_insert_default();
        Some(child.tail.kept().to_vec())
    }

    /// What a run that is followed has written since the last time.
    pub(super) fn take_fresh(&mut self, index: usize) -> Option<(Job, Vec<u8>)> {
        let child = self.slots.get_mut(index)?.as_mut()?;
        Some((child.job, std::mem::take(child.fresh.as_mut()?)))
    }

    /// How much is kept of the output of runs that start from now on, in bytes.
    pub(super) fn keep_output(&mut self, output_bytes: usize) {
        self.output_bytes = output_bytes;
    }

    /// Takes in the end of a child, if it has ended.
    pub(super) fn reap(&mut self, index: usize, buffer: &mut [u8]) -> Option<Ended> {
        let child = self.slots.get_mut(index)?.as_mut()?;
        let exit = match child.fate() {
            Fate::GoesOn => return None,
            Fate::Ended(exit) => Some(exit),
            Fate::ReapedElsewhere => None,
        };
        // A grandchild may hold the pipe open for ever; what the child itself wrote fits the pipe.
        child.drain(buffer, limits::OUTPUT_AFTER_EXIT_BYTES);
        child.keep(buffer, usize::MAX);
        let Child { job, process, pid, tail, stdout, cleanup, fresh, .. } = self.slots[index].take()?;
        self.by_run.remove(&job);
        let (tail, truncated) = tail.into_text();
        // What was reaped elsewhere left us a number that may be a stranger's by now.
        let leader = exit.is_some().then_some((pid, process));
        Some(Ended {
            job,
            exit,
            output: Output { tail, truncated, stdout: stdout.map(Kept::into_bytes).unwrap_or_default() },
            fresh: fresh.unwrap_or_default(),
            leader,
            cleanup,
        })
    }

    /// Whether this is a run's own process, ended or not.
    pub(super) fn is_leader(&self, pid: Pid) -> bool {
        self.slots.iter().flatten().any(|child| child.pid == pid)
    }

    /// The run whose own process leads this group.
    pub(super) fn run_led_by(&self, group: i32) -> Option<Job> {
        let child = self.slots.iter().flatten().find(|child| child.pid.as_raw_nonzero().get() == group)?;
        Some(child.job)
    }

    /// A run's own process.
    pub(super) fn leader_of(&self, job: Job) -> Option<Pid> {
        let index = self.by_run.get(&job)?;
        self.slots.get(*index)?.as_ref().map(|child| child.pid)
    }

    pub(super) fn is_running(&self, job: Job) -> bool {
        self.by_run.contains_key(&job)
    }

    /// Sends KILL to every group.
    pub(super) fn kill_all(&mut self) {
        for child in self.slots.iter().flatten() {
            let _gone_already = kill_process_group(child.pid, rustix::process::Signal::KILL);
        }
    }

    /// Every child: SIGCHLD does not tell which one has ended.
    pub(super) fn running(&self) -> Vec<usize> {
        (0..self.slots.len()).filter(|index| self.slots[*index].is_some()).collect()
    }
}

/// Whether this kernel has pidfds (Linux 5.3), and no sandbox forbids them.
pub(super) fn can_watch_by_pidfd() -> bool {
    pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).is_ok()
}

impl Child {
    /// Whether and how it ended, leaving it a zombie.
    fn fate(&self) -> Fate {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let id = match &self.pidfd {
            Some(pidfd) => WaitId::PidFd(pidfd.as_fd()),
            None => WaitId::Pid(self.pid),
        };
        let how = |status: WaitIdStatus| {
            let signal = status.terminating_signal().map(Exit::Signal);
            signal.or_else(|| status.exit_status().map(Exit::Code))
        };
        match rustix::process::waitid(id, options) {
            // Not our child any more: somebody else in this process waits for children, or ignores SIGCHLD.
            Err(Errno::CHILD) => Fate::ReapedElsewhere,
            Ok(status) => status.and_then(how).map_or(Fate::GoesOn, Fate::Ended),
            Err(_) => Fate::GoesOn,
        }
    }

    /// Takes in standard output that is kept; true if there may be more.
    fn keep(&mut self, buffer: &mut [u8], bytes_max: usize) -> bool {
        self.stdout.as_mut().is_some_and(|stdout| stdout.drain(buffer, bytes_max))
    }

    /// Reads at most so many bytes of output; true if there may be more.
    fn drain(&mut self, buffer: &mut [u8], bytes_max: usize) -> bool {
        let Some(output) = self.output.as_mut() else { return false };
        let mut left = bytes_max;
        while left > 0 {
            let room = left.min(buffer.len());
            match retry(|| output.read(&mut buffer[..room])) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => {
                    self.output = None;
                    return false;
                }
                Ok(Some(count)) => {
                    self.tail.push(&buffer[..count]);
                    if let Some(fresh) = &mut self.fresh {
                        fresh.extend_from_slice(&buffer[..count]);
                    }
                    left -= count;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunId;
    use rustix::process::{WaitOptions, waitpid};

    #[test]
    fn a_child_that_somebody_else_reaped_has_ended_though_nobody_knows_how() {
        let launch = Launch {
            argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo out".to_owned()],
            working_directory: "/".into(),
            ..Launch::default()
        };
        let cleanup = Cleanup { kill_grace: std::time::Duration::ZERO, leave: false };
        for use_pidfd in [true, false] {
            let poll = mio::Poll::new().unwrap();
            let mut children = Children::new(64, use_pidfd);
            children.spawn(Job::Run(RunId(7)), launch.clone(), cleanup, poll.registry()).unwrap();
            let pid = children.slots[0].as_ref().unwrap().pid;
            waitpid(Some(pid), WaitOptions::empty()).unwrap();
            let ended = children.reap(0, &mut [0; 64]).unwrap();
            assert_eq!(
                (ended.job, ended.exit, ended.output.tail.as_str()),
                (Job::Run(RunId(7)), None, "out\n")
            );
            assert!(children.running().is_empty());
        }
    }
}
