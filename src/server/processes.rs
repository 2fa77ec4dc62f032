//! What the system tells of processes (proc(5)): parents, groups, sessions, and the run that a process belongs to.

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, getpid};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::collections::HashSet;
use std::io::Read;

use crate::limits;
use crate::runtime::Job;
use crate::store::RunId;

/// A process at one moment. Its number may go to another one as soon as somebody has reaped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Clock ticks since the system's start: with the number and the system's start it names a process for good.
    pub(super) started_at: u64,
    /// Whether it only waits to be reaped, none of its threads alive.
    pub(super) has_ended: bool,
    /// Whether it is in execve(2), its old memory gone and its new one not ready.
    is_between_programs: bool,
}

/// A thread of the kernel (`include/linux/sched.h`): it never has memory of its own.
const PF_KTHREAD: u64 = 0x0020_0000;

/// Fifty-two numbers of twenty digits at most, and a name.
const STAT_BYTES_MAX: usize = 2048;

/// The time in which [`Stat::started_at`] is given, as it is now.
pub(super) fn ticks_since_boot() -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    let per_second = clock_ticks_per_second();
    tv_sec.unsigned_abs() * per_second + tv_nsec.unsigned_abs() * per_second / 1_000_000_000
}

/// Reads `/proc/PID/stat`.
pub(super) fn stat(pid: Pid) -> Option<Stat> {
    // One read gives all of it; it is asked of every process there is.
    let mut text = [0; STAT_BYTES_MAX];
    let mut file = std::fs::File::open(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let length = file.read(&mut text).ok()?;
    parse_stat(text.get(..length)?)
}

/// Ourselves. getsid(2) and getpgrp(2) say no more, and in a PID namespace whose session began outside of it they
/// give 0, which no `Pid` can hold.
pub(super) fn our_stat() -> Option<Stat> {
    stat(getpid())
}

/// The second field, the program's name in parentheses, may hold anything.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let end_of_name = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end_of_name + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The state, the third field, is the first here.
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let has_ended = matches!(*fields.first()?, "Z" | "X") && number(20).is_none_or(|threads| threads <= 1);
    let is_kernel_s = number(9).is_some_and(|flags| flags & PF_KTHREAD != 0);
    Some(Stat {
        has_ended,
        is_between_programs: number(51) == Some(0) && !has_ended && !is_kernel_s,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started_at: fields.get(19)?.parse().ok()?,
    })
}

/// Every process there is. What starts meanwhile may be missing.
pub(super) fn all() -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(Pid::from_raw).collect()
}

/// The children of a process, those that nobody has reaped as well. If one exits meanwhile, another may be missing;
/// of that end we are told, and look again.
pub(super) fn children_of(pid: Pid) -> Vec<Pid> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut children = Vec::new();
    for task in std::fs::read_dir(tasks).into_iter().flatten().flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(list) => {
                children.extend(list.split_whitespace().filter_map(|number| number.parse::<i32>().ok()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && task.path().exists() => {
                // This kernel has no such file.
                let parent = pid.as_raw_nonzero().get();
                return all()
                    .into_iter()
                    .filter(|pid| stat(*pid).is_some_and(|s| s.parent == parent))
                    .collect();
            }
            // That thread is gone.
            Err(_) => {}
        }
    }
    children.into_iter().filter_map(Pid::from_raw).collect()
}

/// The children of a process, their children, and so on, as far as the chain of parents is whole.
pub(super) fn descendants_of(pid: Pid) -> HashSet<Pid> {
    let mut found = HashSet::new();
    let mut to_ask = vec![pid];
    while let Some(parent) = to_ask.pop() {
        to_ask.extend(children_of(parent).into_iter().filter(|child| found.insert(*child)));
    }
    found
}

/// This process, its parent, and so on.
pub(super) fn ourselves_and_ancestors() -> Vec<Pid> {
    let mut line = vec![getpid()];
    while let Some(parent) = line.last().and_then(|pid| Pid::from_raw(stat(*pid)?.parent)) {
        // While the line is read an ancestor may die and its number go to a child of ours.
        if line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

/// What a process carries in its environment of the run that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) job: Job,
    pub(super) flow: String,
}

/// What a process's environment tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Run(Mark),
    /// It has no mark of our instance, or cannot be read: other users' cannot.
    NotTold,
    /// It is in the middle of execve(2), and has no environment for that moment.
    AskAgain,
}

/// Whose a process is by its environment.
pub(super) fn whose(pid: Pid, instance: &str) -> Whose {
    // It may have finished its exec between the look at the one and the look at the other.
    for _ in 0..2 {
        match environment_of(pid) {
            None => return Whose::NotTold,
            Some(environment) if environment.is_empty() => {}
            Some(environment) => return mark_in(&environment, instance).map_or(Whose::NotTold, Whose::Run),
        }
        if stat(pid).is_some_and(|stat| stat.is_between_programs) {
            return Whose::AskAgain;
        }
    }
    Whose::NotTold
}

fn environment_of(pid: Pid) -> Option<Vec<u8>> {
    let file = std::fs::File::open(format!("/proc/{}/environ", pid.as_raw_nonzero())).ok()?;
    let mut environment = Vec::new();
    file.take(limits::ENVIRONMENT_READ_BYTES_MAX).read_to_end(&mut environment).ok()?;
    Some(environment)
}

fn mark_in(environment: &[u8], instance: &str) -> Option<Mark> {
    let value = |name: &[u8]| {
        let mut variables = environment.split(|byte| *byte == 0);
        variables.find_map(|variable| variable.strip_prefix(name)?.strip_prefix(b"="))
    };
    if value(b"HEARTBEAT_INSTANCE")? != instance.as_bytes() {
        return None;
    }
    // No run is told of an alert, nor an alert's command of a run.
    let run = || std::str::from_utf8(value(b"HEARTBEAT_RUN_ID")?).ok()?.parse().ok().map(RunId);
    let job = match value(b"HEARTBEAT_ALERT_ID") {
        Some(_) => Job::Alert,
        None => Job::Run(run()?),
    };
    let flow = String::from_utf8_lossy(value(b"HEARTBEAT_FLOW").unwrap_or_default()).into_owned();
    Some(Mark { job, flow })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_ancestors_begins_with_us_and_our_parent_and_ends() {
        let line = ourselves_and_ancestors();
        assert_eq!(line.first().copied(), Some(getpid()));
        assert_eq!(line.get(1).copied(), rustix::process::getppid());
    }

    #[test]
    fn a_process_starts_between_the_times_before_and_after_its_start() {
        for _ in 0..20 {
            let before = ticks_since_boot();
            let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
            let after = ticks_since_boot();
            let started_at = stat(Pid::from_child(&child)).unwrap().started_at;
            assert!((before..=after).contains(&started_at), "{before} {started_at} {after}");
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_program_s_name_may_hold_anything() {
        let text = b"42 (a) R 1 (b) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 12345 999 1";
        let expected = Stat {
            parent: 7,
            group: 42,
            session: 40,
            started_at: 12_345,
            has_ended: false,
            is_between_programs: false,
        };
        assert_eq!(parse_stat(text), Some(expected));
        assert_eq!(parse_stat(b"42 (a"), None);
        assert_eq!(parse_stat(b"42 (a) S 7"), None);
    }

    #[test]
    fn children_and_their_children_are_found() {
        let mut child =
            std::process::Command::new("/bin/sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(children_of(getpid()).contains(&pid));
        while children_of(pid).is_empty() {
            std::thread::yield_now();
        }
        let grandchild = children_of(pid)[0];
        assert!(descendants_of(getpid()).contains(&grandchild));
        assert_eq!(stat(pid).unwrap().parent, getpid().as_raw_nonzero().get());
        for pid in [grandchild, pid] {
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
        child.wait().unwrap();
    }
}
