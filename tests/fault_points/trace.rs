//! strace(1) over the daemon: it counts its calls, or makes one fail. The processes of runs are left alone.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::calls::{KINDS, Kind, Point, may_fail};
use crate::support::EdgeBox;
use crate::support::daemon::Daemon;
use crate::support::tools::{run_through, trace};

/// What strace is told.
pub(crate) struct Tracing {
    arguments: Vec<String>,
}

impl Tracing {
    /// It writes down every call of the kinds.
    pub(crate) fn counting() -> Self {
        let calls: Vec<&str> = KINDS.iter().map(|kind| kind.call).collect();
        Self { arguments: vec!["-y".to_owned(), "-e".to_owned(), format!("trace={}", calls.join(","))] }
    }

    /// It makes one call fail, or that and all that follow.
    pub(crate) fn failing(point: &Point) -> Self {
        let what = format!("trace={}", point.call);
        Self { arguments: ["-e".to_owned(), what, "-e".to_owned(), point.injection()].into() }
    }

    /// The daemon's own threads, too: for what starts no process.
    pub(crate) fn with_threads(mut self, threads: bool) -> Self {
        if threads {
            self.arguments.push("-f".to_owned());
        }
        self
    }

    /// From the daemon's start on. The daemon stays our child: its tracer is a process beside it.
    pub(crate) fn start(&self, edge_box: &EdgeBox, command: &mut Command) {
        let trace = edge_box.path("trace");
        let own = ["-D", "-I", "1", "-qq", "-o", trace.to_str().expect("a path in UTF-8")];
        let arguments: Vec<&str> = own.into_iter().chain(self.arguments.iter().map(String::as_str)).collect();
        run_through(command, "strace", &arguments);
    }

    /// From now on.
    pub(crate) fn attach(&self, edge_box: &EdgeBox, daemon: &Daemon) {
        let mut tracer = trace(edge_box, daemon, &self.arguments);
        // It is reaped when it ends.
        std::thread::spawn(move || tracer.wait());
    }
}

/// Lets the daemon go on untraced, if it lives and somebody traces it.
pub(crate) fn let_go(daemon: &mut Daemon) {
    while daemon.lives() {
        let tracer = daemon.proc_status("TracerPid");
        if tracer == 0 {
            return;
        }
        let _ended_just_now = Command::new("kill").arg(tracer.to_string()).stderr(Stdio::null()).status();
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether something was made to fail, and only what may.
pub(crate) fn has_failed_a_call(edge_box: &EdgeBox) -> bool {
    let trace = edge_box.read("trace");
    let mut failed = trace.lines().filter(|line| line.ends_with("(INJECTED)")).peekable();
    failed.peek().is_some() && failed.all(may_fail)
}

/// Which calls of each kind are to fail, by their numbers, of those that were written down. Each; but of what is done
/// alike for every process and every time zone of the machine, the first two and the last.
pub(crate) fn calls_made(edge_box: &EdgeBox) -> Vec<(&'static Kind, Vec<usize>)> {
    let trace = edge_box.read("trace");
    KINDS.iter().map(|kind| (kind, numbers_of(&trace, kind.call))).collect()
}

fn numbers_of(trace: &str, call: &str) -> Vec<usize> {
    // With threads, each line begins with its thread's number, and each thread counts for itself.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut numbers = Vec::new();
    let mut alike: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in trace.lines() {
        let Some((before, arguments)) = line.split_once(&format!("{call}(")) else { continue };
        if !before.trim().chars().all(|letter| letter.is_ascii_digit()) {
            continue;
        }
        let count = counts.entry(before).or_default();
        *count += 1;
        match sort_of(arguments) {
            _ if !may_fail(line) => {}
            Some(sort) => alike.entry(sort).or_default().push(*count),
            None => numbers.push(*count),
        }
    }
    for of_sort in alike.values() {
        numbers.extend(of_sort.iter().take(2).chain(of_sort.last()));
    }
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What many calls have in common; none where each is for itself.
fn sort_of(arguments: &str) -> Option<String> {
    let folders = ["/proc/", "/usr/share/zoneinfo/"];
    let folder = folders.into_iter().find(|folder| arguments.contains(folder))?;
    let (_, rest) = arguments.split_once(folder)?;
    let name = rest.split(['"', '>']).next().unwrap_or_default();
    let name = name.trim_start_matches(|letter: char| letter.is_ascii_digit());
    Some(if folder == "/proc/" { format!("{folder}{name}") } else { folder.to_owned() })
}

#[test]
fn every_call_is_a_point_but_those_that_are_made_for_every_process() {
    let trace = "read(3</box/a>, \"\") = 0\nread(3</proc/1/stat>) = 1\nread(3</proc/22/stat>) = 1\n\
                 read(3</proc/3/stat>) = 1\nread(3</proc/4/stat>) = 1\npread64(3</box/a>) = 1\nread(3</box/a>, \"read(\") = 0\n";
    assert_eq!(numbers_of(trace, "read"), [1, 2, 3, 5, 6]);
    let locks = "fcntl(5, F_SETLK, {l_type=F_UNLCK}) = 0\nfcntl(5, F_SETLK, {l_type=F_RDLCK}) = 0\nfcntl(5, F_GETFL) = 0\n";
    assert_eq!(numbers_of(locks, "fcntl"), [2]);
    assert_eq!(numbers_of("11 read(1</a>) = 0\n12 read(1</a>) = 0\n12 read(1</a>) = 0\n", "read"), [1, 2]);
}
