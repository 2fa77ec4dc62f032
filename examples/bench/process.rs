//! Processes: on which core they run, and what the kernel says of them.

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::Outcome;

/// Where something runs. With one core all of these are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Core {
    /// The core of what is measured: the first one.
    Measured,
    /// The core of those who call: the last one.
    Load,
    /// Wherever the kernel likes: for what is many processes.
    Any,
}

/// The cores that this program was started on.
fn cores() -> &'static CpuSet {
    static CORES: OnceLock<CpuSet> = OnceLock::new();
    CORES.get_or_init(|| sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new()))
}

pub(crate) fn core_count() -> usize {
    numbers().count()
}

fn numbers() -> impl DoubleEndedIterator<Item = usize> {
    (0..CpuSet::MAX_CPU).filter(|number| cores().is_set(*number))
}

fn set_of(core: Core) -> CpuSet {
    let number = match core {
        Core::Measured => numbers().next(),
        Core::Load => numbers().next_back(),
        Core::Any => None,
    };
    let Some(number) = number else { return *cores() };
    let mut set = CpuSet::new();
    set.set(number);
    set
}

/// Moves this thread, and with it the threads and processes that it starts from now on.
pub(crate) fn move_to(core: Core) -> Outcome<()> {
    Ok(sched_setaffinity(None, &set_of(core))?)
}

/// Starts something on a core: a process has its starter's.
pub(crate) fn on<T>(core: Core, start: impl FnOnce() -> T) -> Outcome<T> {
    let before = sched_getaffinity(None)?;
    let _all_cores_first = cores();
    move_to(core)?;
    let started = start();
    sched_setaffinity(None, &before)?;
    Ok(started)
}

/// User and system time of all threads of a process, in nanoseconds (the first figure of schedstat, in proc(5)).
pub(crate) fn cpu_ns(pid: u32) -> Outcome<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("the kernel does not tell CPU time")?.parse::<f64>()?;
    }
    Ok(sum)
}

/// The same as users see it, in hundredths of a second (proc(5): fields 14 and 15).
pub(crate) fn cpu_ticks(pid: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(field(11) + field(12))
}

/// A figure of a file of `/proc/PID`, in KiB where it is a size.
pub(crate) fn told(pid: u32, file: &str, name: &str) -> Outcome<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the kernel does not tell")?;
    Ok(value.split_whitespace().next().unwrap_or("").parse()?)
}

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Ends a process.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _gone_already = kill_process(pid, signal);
    }
}

/// The first process that one started.
pub(crate) fn child_of(pid: u32) -> Outcome<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().next().ok_or("a process has no child")?.parse()?)
}

/// A program's file, if it is installed.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(sbin).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A port that nobody has, for a program that cannot take port 0.
pub(crate) fn free_port() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until somebody listens there.
pub(crate) fn wait_for(address: SocketAddr, who: &str) -> Outcome<()> {
    let give_up = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > give_up {
            return Err(format!("{who} does not start").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
