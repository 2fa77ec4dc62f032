//! Processes that runs left behind: those of runs that just ended, which became our children as we are their subreaper
//! (prctl(2)), and those that outlived an earlier daemon. They get TERM, then KILL; the loop never waits for them.
//!
//! Invariants: no stranger is ever signalled, and nobody's exit status is stolen. A child of ours keeps its number until
//! we reap it, so what is known of it stays true; any other process is looked at again once its pidfd is open. A run's
//! own process stays a zombie while its leftovers are ended, so the number of its group is still ours.

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, waitid,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Child;
use std::time::Duration;

use super::child::Children;
use super::processes::{self, Mark, Stat, Whose};
use super::side_file::Record;
use super::slots;
use super::token::Source;
use crate::runtime::{Cleanup, Job};
use crate::sorted::collected;
use crate::time::Monotonic;

/// Lists of processes that are read at the start, at most: something that forks faster than this is ended as it is found.
const LOOKS_MAX: usize = 8;

/// How long until a process that is in the middle of execve(2) is asked again.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The leftovers that are being ended.
#[derive(Debug)]
pub(super) struct Leftovers {
    instance: String,
    /// From TERM to KILL where the flow has no other.
    kill_grace: Duration,
    slots: Vec<Option<Leftover>>,
    endings: BTreeMap<Job, Ending>,
    /// What is known of processes of runs: their environment may be cleared later.
    claims: HashMap<Pid, Claim>,
    /// When to look again: a process could not tell whose it is. Until then nothing counts as gone.
    look_again_at: Option<Monotonic>,
    /// Children of ours that live on: they were left on purpose, or cannot be signalled.
    left_alone: HashSet<Pid>,
    /// What an earlier daemon started and did not see the end of.
    pub(super) records: Vec<Record>,
}

#[derive(Debug)]
struct Leftover {
    job: Job,
    pid: Pid,
    /// Always there for a process that is no child of ours.
    pidfd: Option<OwnedFd>,
    is_our_child: bool,
}

/// A run whose leftovers are being ended.
#[derive(Debug)]
struct Ending {
    /// The run's own process, ended and not reaped.
    leader: Option<(Pid, Child)>,
    group_was_told: bool,
    /// None: KILL was sent, and newcomers get it at once.
    kill_at: Option<Monotonic>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    job: Job,
    started_at: u64,
}

/// A process is in the middle of execve(2).
struct AskAgain;

/// How long leftovers of a run have from TERM to KILL; none: they are left alone.
pub(super) type Grace<'a> = &'a dyn Fn(&Mark) -> Option<Duration>;

impl Leftovers {
    pub(super) fn new(instance: &str, kill_grace: Duration, records: Vec<Record>) -> Self {
        Self {
            instance: instance.to_owned(),
            kill_grace,
            slots: Vec::new(),
            endings: BTreeMap::new(),
            claims: HashMap::new(),
            look_again_at: None,
            left_alone: HashSet::new(),
            records,
        }
    }

    // --- What outlived an earlier daemon ------------------------------------------------------------------------

    /// Looks for processes of an earlier daemon and tells each to end. The runs that they belong to. Called before the
    /// first process of ours is started: those carry the same instance.
    ///
    /// Whoever holds the database's lock sees them all: a child shares the lock until its exec has given it the
    /// environment that it is known by.
    ///
    /// A flow may have started this very daemon: what leads to it is spared.
    pub(super) fn look_for_survivors(
        &mut self,
        grace: Grace<'_>,
        now: Monotonic,
        registry: &Registry,
    ) -> BTreeSet<Job> {
        // One that forks and exits while the list is read is found by its child in the next.
        for _ in 0..LOOKS_MAX {
            if !self.tell_survivors(grace, now, registry) {
                break;
            }
        }
        // A number on record is worth less with time: kept are those of what is being ended.
        self.records.retain(|record| self.endings.contains_key(&record.job));
        collected(self.endings.keys().copied())
    }

    /// Tells survivors that are not known yet to end; whether another look is worth it.
    fn tell_survivors(&mut self, grace: Grace<'_>, now: Monotonic, registry: &Registry) -> bool {
        let spared = processes::ourselves_and_ancestors();
        let known_before = self.slots.iter().flatten().count();
        let mut asks_again = false;
        for pid in processes::all() {
            if spared.contains(&pid) || self.slots.iter().flatten().any(|known| known.pid == pid) {
                continue;
            }
            let (job, grace) = match self.survivor_of(pid, grace) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(AskAgain) => {
                    asks_again = true;
                    continue;
                }
            };
            let told = self.tell_survivor(pid, job, grace, now, registry);
            if let Err(error) = told.or_else(unless_gone) {
                let pid = pid.as_raw_nonzero();
                log::warn!("cannot end process {pid}, which outlived an earlier daemon: {error}");
            }
        }
        asks_again || self.slots.iter().flatten().count() > known_before
    }

    /// The run that a process of an earlier daemon belongs to, if it is to be ended: it is on record, or in a group that
    /// is, or carries our instance.
    fn survivor_of(&self, pid: Pid, grace: Grace<'_>) -> Result<Option<(Job, Duration)>, AskAgain> {
        // One that has ended and waits for its parent to reap it needs no end.
        let Some(stat) = processes::stat(pid).filter(|stat| !stat.has_ended) else { return Ok(None) };
        let recorded = self.records.iter().find(|record| match record.pid == pid {
            true => record.is_of(&stat),
            false => record.led_group_of(&stat),
        });
        let mark = match recorded {
            // Whatever becomes of leftovers, the run's own process must not meet the next one.
            Some(record) => {
                let mark = Mark { job: record.job, flow: String::new() };
                return Ok(Some((record.job, grace(&mark).unwrap_or(self.kill_grace))));
            }
            None => match processes::whose(pid, &self.instance) {
                Whose::Run(mark) => mark,
                Whose::NotTold => return Ok(None),
                Whose::AskAgain => return Err(AskAgain),
            },
        };
        Ok(grace(&mark).map(|grace| (mark.job, grace)))
    }

    fn tell_survivor(
        &mut self,
        pid: Pid,
        job: Job,
        grace: Duration,
        now: Monotonic,
        registry: &Registry,
    ) -> std::io::Result<()> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        // The number may have gone to a stranger since it was looked at; what the pidfd stands for stays.
        match self.survivor_of(pid, &|_| Some(grace)) {
            Ok(Some((found, _))) if found == job => {}
            _ => return Ok(()),
        }
        let index = slots::free(&mut self.slots);
        let source = &mut SourceFd(&pidfd.as_raw_fd());
        registry.register(source, Source::Survivor(index).token(), Interest::READABLE)?;
        let kill_at = self.endings.get(&job).map_or(Some(now + grace), |ending| ending.kill_at);
        let signal = if kill_at.is_some() { Signal::TERM } else { Signal::KILL };
        log::warn!(run = job, pid = pid.as_raw_nonzero().get(); "a process outlived an earlier daemon: sending {}", name(signal));
        pidfd_send_signal(&pidfd, signal)?;
        self.endings.entry(job).or_insert(Ending { leader: None, group_was_told: false, kill_at });
        self.slots[index] = Some(Leftover { job, pid, pidfd: Some(pidfd), is_our_child: false });
        Ok(())
    }

    /// A survivor is gone. Its run, if nothing else of it lives: it may have forked meanwhile.
    pub(super) fn survivor_gone(&mut self, index: usize, now: Monotonic, registry: &Registry) -> Option<Job> {
        let Leftover { job, pidfd, .. } = self.slots.get_mut(index)?.take()?;
        if let Some(pidfd) = pidfd {
            // A child that is about to exec may still have a copy of it: nobody else is to be told of it.
            let _closed_all_the_same = registry.deregister(&mut SourceFd(&pidfd.as_raw_fd()));
        }
        self.tell_survivors(&|mark| (mark.job == job).then_some(Duration::ZERO), now, registry);
        self.finish_ending(job)
    }

    // --- What our own runs leave behind -------------------------------------------------------------------------

    /// A run's own process has ended, and is still a zombie if it is given. [`Leftovers::look`] ends what it left
    /// behind. Whether that is to be waited for; else it is left alone.
    pub(super) fn begin_ending(
        &mut self,
        job: Job,
        leader: Option<(Pid, Child)>,
        cleanup: Cleanup,
        now: Monotonic,
    ) -> bool {
        if cleanup.leave {
            self.claims.retain(|_, claim| claim.job != job);
            reap_leader(leader);
            return false;
        }
        let kill_at = Some(now + cleanup.kill_grace);
        self.endings.insert(job, Ending { leader, group_was_told: false, kill_at });
        true
    }

    /// A run is about to be signalled: whatever descends from its process now is of the run, though its environment be
    /// cleared and its group another.
    pub(super) fn claim_descendants(&mut self, job: Job, leader: Pid) {
        for pid in processes::descendants_of(leader) {
            if let Some(Stat { started_at, .. }) = processes::stat(pid) {
                self.claims.insert(pid, Claim { job, started_at });
            }
        }
    }

    /// A child ended: reaps it if it was none of a run's own, and looks for newcomers: the children of one that died
    /// are ours now. The runs of which nothing lives any more.
    pub(super) fn look(&mut self, children: &Children, grace: Grace<'_>, now: Monotonic) -> BTreeSet<Job> {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(Leftover::is_gone) {
                *slot = None;
            }
        }
        self.look_at_children(children, grace, now);
        let over: Vec<Job> = self.endings.keys().copied().collect();
        collected(over.into_iter().filter_map(|job| self.finish_ending(job)))
    }

    fn look_at_children(&mut self, children: &Children, grace: Grace<'_>, now: Monotonic) {
        let ours = processes::children_of(getpid());
        self.look_again_at = None;
        self.left_alone.retain(|pid| ours.contains(pid));
        for pid in ours {
            let is_leader =
                children.is_leader(pid) || self.endings.values().any(|ending| ending.is_led_by(pid));
            if is_leader || self.slots.iter().flatten().any(|known| known.pid == pid) {
                continue;
            }
            let Some(stat) = processes::stat(pid) else { continue };
            let Ok(mark) = self.mark_of_child(pid, &stat, children) else {
                self.look_again_at = Some(now + ASK_AGAIN_AFTER);
                continue;
            };
            // Descendants of runs are in other groups than we. Ours hold what a program that embeds us started itself.
            if mark.is_none() && processes::our_stat().is_some_and(|our| our.group == stat.group) {
                continue;
            }
            if has_ended(pid) {
                self.claims.remove(&pid);
            } else if let Some(mark) = mark.filter(|mark| !children.is_running(mark.job)) {
                self.judge_child(pid, &stat, &mark, grace, now);
            }
        }
    }

    /// The run that an adopted child belongs to.
    fn mark_of_child(
        &mut self,
        pid: Pid,
        stat: &Stat,
        children: &Children,
    ) -> Result<Option<Mark>, AskAgain> {
        let of_run = |job: Job| Mark { job, flow: String::new() };
        if let Some(claim) = self.claims.get(&pid).filter(|claim| claim.started_at == stat.started_at) {
            return Ok(Some(of_run(claim.job)));
        }
        let of_group = children.run_led_by(stat.group).or_else(|| self.run_led_by(stat.group)).map(of_run);
        let mark = match (processes::whose(pid, &self.instance), of_group) {
            (Whose::Run(mark), _) | (_, Some(mark)) => mark,
            (Whose::NotTold, None) => return Ok(None),
            (Whose::AskAgain, None) => return Err(AskAgain),
        };
        self.claims.insert(pid, Claim { job: mark.job, started_at: stat.started_at });
        Ok(Some(mark))
    }

    /// The run whose own process, ended and not reaped, led this group.
    fn run_led_by(&self, group: i32) -> Option<Job> {
        let group = Pid::from_raw(group)?;
        self.endings.iter().find(|(_, ending)| ending.is_led_by(group)).map(|(job, _)| *job)
    }

    fn judge_child(&mut self, pid: Pid, stat: &Stat, mark: &Mark, grace: Grace<'_>, now: Monotonic) {
        if self.left_alone.contains(&pid) {
            return;
        }
        if !self.endings.contains_key(&mark.job) {
            // It was missing from an earlier list, or was left on purpose.
            let Some(grace) = grace(mark) else {
                self.left_alone.insert(pid);
                return;
            };
            let kill_at = Some(now + grace);
            self.endings.insert(mark.job, Ending { leader: None, group_was_told: false, kill_at });
        }
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).ok();
        // A program that embeds us may have reaped it: then the number is a stranger's.
        if processes::stat(pid).is_none_or(|again| again.started_at != stat.started_at) {
            return;
        }
        let leftover = Leftover { job: mark.job, pid, pidfd, is_our_child: true };
        match self.tell(&leftover, stat.group) {
            Ok(()) => {
                let index = slots::free(&mut self.slots);
                self.slots[index] = Some(leftover);
            }
            Err(Errno::SRCH) => {}
            Err(error) => {
                let pid_shown = pid.as_raw_nonzero().get();
                log::warn!(run = mark.job, pid = pid_shown; "cannot end a process that the run left behind: {error}");
                self.left_alone.insert(pid);
            }
        }
    }

    fn tell(&mut self, leftover: &Leftover, group: i32) -> Result<(), Errno> {
        let Some(ending) = self.endings.get_mut(&leftover.job) else { return Ok(()) };
        match &ending.leader {
            _ if ending.kill_at.is_none() => leftover.signal(Signal::KILL),
            Some((leader, _)) if leader.as_raw_nonzero().get() == group => {
                // All of the group at once, and each of it once.
                if !std::mem::replace(&mut ending.group_was_told, true) {
                    kill_process_group(*leader, Signal::TERM)?;
                }
                Ok(())
            }
            _ => leftover.signal(Signal::TERM),
        }
    }

    // --- Both -----------------------------------------------------------------------------------------------------

    /// The run, if its leftovers were being ended and none is left.
    fn finish_ending(&mut self, job: Job) -> Option<Job> {
        let is_open = self.look_again_at.is_some();
        if is_open || self.slots.iter().flatten().any(|leftover| leftover.job == job) {
            return None;
        }
        let ending = self.endings.remove(&job)?;
        self.claims.retain(|_, claim| claim.job != job);
        self.records.retain(|record| record.job != job);
        reap_leader(ending.leader);
        Some(job)
    }

    /// Sends KILL to those that TERM did not end.
    pub(super) fn judge_deadlines(&mut self, now: Monotonic) {
        let is_due = |ending: &Ending| ending.kill_at.is_some_and(|at| now >= at);
        let due: Vec<Job> =
            self.endings.iter().filter(|(_, ending)| is_due(ending)).map(|(job, _)| *job).collect();
        for job in due {
            log::warn!(run = job; "a process that the run left behind goes on after SIGTERM: sending SIGKILL");
            self.kill(job);
        }
    }

    /// Sends KILL to all of them.
    pub(super) fn kill_all(&mut self) {
        for job in self.endings.keys().copied().collect::<Vec<_>>() {
            self.kill(job);
        }
    }

    fn kill(&mut self, job: Job) {
        let Some(ending) = self.endings.get_mut(&job) else { return };
        ending.kill_at = None;
        if let Some((leader, _)) = &ending.leader {
            let _gone_already = kill_process_group(*leader, Signal::KILL);
        }
        for leftover in self.slots.iter().flatten().filter(|leftover| leftover.job == job) {
            let _gone_already = leftover.signal(Signal::KILL);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Monotonic> {
        self.endings.values().filter_map(|ending| ending.kill_at).chain(self.look_again_at).min()
    }

    pub(super) fn wants_a_look(&self, now: Monotonic) -> bool {
        self.look_again_at.is_some_and(|at| now >= at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.endings.is_empty()
    }
}

impl Leftover {
    fn signal(&self, signal: Signal) -> Result<(), Errno> {
        match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, signal),
            // A child that is not reaped keeps its number.
            None if self.is_our_child => kill_process(self.pid, signal),
            None => Ok(()),
        }
    }

    /// Whether it has ended; if it is our child it is reaped then.
    fn is_gone(&self) -> bool {
        match &self.pidfd {
            Some(pidfd) if !self.is_our_child => {
                let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
                rustix::event::poll(&mut ended, Some(&Timespec::default())).is_ok_and(|count| count > 0)
            }
            _ => has_ended(self.pid),
        }
    }
}

impl Ending {
    fn is_led_by(&self, pid: Pid) -> bool {
        self.leader.as_ref().is_some_and(|(leader, _)| *leader == pid)
    }
}

/// Whether a child that is no run's own process has ended; it is reaped then.
fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::Pid(pid), options) {
        Ok(status) => status.is_some(),
        Err(error) => error == Errno::CHILD,
    }
}

fn reap_leader(leader: Option<(Pid, Child)>) {
    if let Some((_, mut process)) = leader {
        // A zombie: this takes no time, and how it ended is known.
        let _known = process.wait();
    }
}

fn name(signal: Signal) -> &'static str {
    if signal == Signal::KILL { "SIGKILL" } else { "SIGTERM" }
}

/// A process that is gone need not be ended.
fn unless_gone(error: std::io::Error) -> std::io::Result<()> {
    let is_gone = Errno::from_io_error(&error) == Some(Errno::SRCH);
    if is_gone { Ok(()) } else { Err(error) }
}
