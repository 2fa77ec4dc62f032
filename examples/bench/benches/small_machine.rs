//! A small machine: 32 MiB of memory and a fifth of a core. By control groups where they can be made: then what the daemon's
//! children take and the files that it caches count as well. Else by a bound of its address space, and by stopping it for
//! 80 ms of each 100.

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Plan;
use super::heartbeats::load;
use super::pipelines::{flow, write_lines};
use crate::Outcome;
use crate::daemon::{Config, Daemon, folder, quick_flows};
use crate::load::Manner;
use crate::measure::Figure;
use crate::process::signal;
use crate::row::{Found, Row};

const MEMORY_BYTES: u64 = 32 * 1024 * 1024;
const MIB: f64 = 1024.0 * 1024.0;

/// What holds a process down, until it is dropped.
enum Hold {
    Groups(Vec<PathBuf>),
    Signals,
}

impl Hold {
    /// Groups at the top of each controller, which go with this.
    fn groups(pid: u32) -> Outcome<Self> {
        let name = format!("heartbeat-bench-{}", std::process::id());
        let top = Path::new("/sys/fs/cgroup");
        let files: Vec<(PathBuf, &str, String)> = if top.join("cgroup.controllers").exists() {
            let group = top.join(&name);
            vec![
                (group.clone(), "memory.max", MEMORY_BYTES.to_string()),
                (group, "cpu.max", "20000 100000".to_owned()),
            ]
        } else {
            let cpu = top.join("cpu").join(&name);
            vec![
                (top.join("memory").join(&name), "memory.limit_in_bytes", MEMORY_BYTES.to_string()),
                (cpu.clone(), "cpu.cfs_period_us", "100000".to_owned()),
                (cpu, "cpu.cfs_quota_us", "20000".to_owned()),
            ]
        };
        let mut made = Self::Groups(Vec::new());
        for (group, file, value) in files {
            if let Self::Groups(groups) = &mut made
                && !groups.contains(&group)
            {
                fs::create_dir(&group)?;
                groups.push(group.clone());
            }
            fs::write(group.join(file), value)?;
        }
        if let Self::Groups(groups) = &made {
            for group in groups {
                fs::write(group.join("cgroup.procs"), pid.to_string())?;
            }
        }
        Ok(made)
    }

    fn of(pid: u32) -> Outcome<Self> {
        if let Ok(groups) = Self::groups(pid) {
            return Ok(groups);
        }
        let bound = Rlimit { current: Some(MEMORY_BYTES), maximum: Some(MEMORY_BYTES) };
        prlimit(i32::try_from(pid).ok().and_then(Pid::from_raw), Resource::As, bound)?;
        Ok(Self::Signals)
    }

    fn words(&self) -> &'static str {
        match self {
            Self::Groups(_) => "held by control groups",
            Self::Signals => "held by prlimit(2) and by signals: there are no control groups to be had",
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Self::Groups(groups) = self else { return };
        // A group can go when its last process is gone.
        for group in groups {
            for _ in 0..100 {
                if fs::remove_dir(&*group).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// Stops and continues a process, for a fifth of the time each.
fn stop_and_go(pid: u32, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        signal(pid, Signal::STOP);
        std::thread::sleep(Duration::from_millis(80));
        signal(pid, Signal::CONT);
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let files = folder();
    fs::create_dir_all(&files)?;
    let lines = plan.pick(200_000, 10_000);
    write_lines(&files.join("in.jsonl"), lines)?;
    let found = held(plan, &files, lines);
    fs::remove_dir_all(&files)?;
    found
}

fn held(plan: &Plan, files: &Path, lines: u32) -> Outcome<Found> {
    let runs = plan.pick(300, 30);
    // The runs come first, all with one heartbeat; the pipeline when a second one finds it due.
    let config = Config::default().top(&format!("max_claims_per_heartbeat = {runs}\n"));
    let mut flows = quick_flows(runs);
    flows.push(("it".to_owned(), flow(files, "out")));
    let daemon = Daemon::start(&config, &flows)?;
    let hold = Hold::of(daemon.pid())?;
    let is_over = AtomicBool::new(false);
    let rows = std::thread::scope(|scope| {
        if matches!(hold, Hold::Signals) {
            scope.spawn(|| stop_and_go(daemon.pid(), &is_over));
        }
        let rows = measure(plan, &daemon, runs, lines);
        is_over.store(true, Ordering::Relaxed);
        rows
    });
    let words = hold.words();
    drop(daemon);
    drop(hold);
    let mut rows = rows?;
    if let Some(first) = rows.first_mut() {
        first.notes.push(words.to_owned());
    }
    Ok(rows.into())
}

fn measure(plan: &Plan, daemon: &Daemon, runs: usize, lines: u32) -> Outcome<Vec<Row>> {
    let start = Instant::now();
    daemon.beat(Some(60))?;
    daemon.beat(Some(60))?;
    let seconds = start.elapsed().as_secs_f64();
    let failed: i64 = daemon.database()?.query_row(
        "SELECT count(*) FROM data_flow_runs WHERE status <> 'success'",
        [],
        |row| row.get(0),
    )?;
    if failed > 0 {
        return Err(format!("{failed} runs did not succeed within a minute").into());
    }
    let moved: f64 = daemon.database()?.query_row(
        "SELECT records_written * 1000.0 / duration_ms FROM data_flow_runs WHERE records_written > 0",
        [],
        |row| row.get(0),
    )?;
    let told = load(daemon.pid(), daemon.address(), Manner::kept(16), plan.pick(20_000, 1_000))?;
    let memory = daemon.peak_resident_bytes()? as f64 / MIB;
    Ok(vec![
        Row::new(
            format!("{runs} runs of /bin/true and a pipeline of {lines} lines, together"),
            "s",
            Figure::once(seconds),
        ),
        Row::new("records of that pipeline", "/s", Figure::once(moved)),
        Row::new("heartbeats with nothing due, 16 connections", "/s", Figure::once(told.per_second)),
        Row::new("CPU of each of them", "us", Figure::once(told.cpu_us)),
        Row::new("resident, at most", "MiB", Figure::once(memory)),
    ])
}
