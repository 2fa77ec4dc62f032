//! A disk whose syncs take 20 ms: how many heartbeats share one. strace(1) holds each `fdatasync` and `fsync` of the daemon
//! for that long after the real one, and its log counts them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, box_with, now_s, quick_flows, secret};
use crate::load::{Caller, Manner, Requests, closed_loop};
use crate::measure::Figure;
use crate::process::installed;
use crate::row::{Found, Goal, Row};

const CALLERS: usize = 64;

/// A daemon on a slow disk, where each heartbeat starts one run.
struct Slow {
    daemon: Daemon,
    log: PathBuf,
}

impl Slow {
    fn start(strace: &Path, at_a_time: usize, flows: &[(String, String)]) -> Outcome<Self> {
        let config = Config::at_a_time(at_a_time).top("max_claims_per_heartbeat = 1\n");
        let folder = box_with(&config, flows)?;
        let log = folder.join("syncs");
        let before = [
            &strace.to_string_lossy(),
            "-f",
            "--seccomp-bpf",
            "-qq",
            "-o",
            &log.to_string_lossy(),
            "-e",
            "trace=fdatasync,fsync",
            "-e",
            "signal=none",
            "-e",
            "inject=fdatasync,fsync:delay_exit=20000",
        ]
        .map(str::to_owned);
        Ok(Self { daemon: Daemon::start_behind(folder, &before)?, log })
    }

    fn syncs(&self) -> Outcome<usize> {
        let log = std::fs::read_to_string(&self.log)?;
        Ok(log.lines().filter(|line| line.contains("sync(") && line.contains("DELAYED")).count())
    }
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let Some(strace) = installed("strace") else { return Err("strace is not installed".into()) };
    let mut rows = vec![bursts(&strace, plan.pick(7, 1))?];
    rows.extend(all_the_time(&strace, plan.pick(20, 2))?);
    Ok(rows.into())
}

/// 64 that come while a sync goes on: they are answered after the next one.
fn bursts(strace: &Path, rounds: usize) -> Outcome<Row> {
    let flow = "run_interval = \"90d\"\n[command]\nargv = [\"sleep\", \"20\"]\n".to_owned();
    let flows: Vec<_> =
        (0..(CALLERS + 1) * rounds).map(|number| (format!("flow-{number}"), flow.clone())).collect();
    let slow = Slow::start(strace, 1, &flows)?;
    let mut shared = Vec::new();
    for _ in 0..rounds {
        let requests = Requests::heartbeats(CALLERS + 1, &secret(), now_s(), None);
        let connect = |_| Caller::connect(Ipv4Addr::LOCALHOST, slow.daemon.address());
        let mut callers = (0..=CALLERS).map(connect).collect::<Outcome<Vec<_>>>()?;
        std::thread::sleep(Duration::from_millis(100));
        let before = slow.syncs()?;
        callers[0].send(requests.get(0))?;
        std::thread::sleep(Duration::from_millis(7));
        for (index, caller) in callers.iter_mut().enumerate().skip(1) {
            caller.send(requests.get(index))?;
        }
        let (manner, mut buffer) = (Manner::kept(1), vec![0; 64 * 1024]);
        for caller in &mut callers {
            while !caller.receive(&mut buffer, &manner)? {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        let syncs = slow.syncs()? - before;
        shared.push(CALLERS as f64 / syncs.saturating_sub(1).max(1) as f64);
    }
    Ok(Row::new(
        "heartbeats that start runs, per sync: 64 that come while a sync goes on",
        "heartbeats",
        Figure::of(shared),
    )
    .goal(Goal::AtLeast(64.0))
    .note("strace --inject=fdatasync,fsync:delay_exit=20000"))
}

/// 64 callers of which each sends its next heartbeat when it has its answer; runs start and end meanwhile.
fn all_the_time(strace: &Path, each: usize) -> Outcome<Vec<Row>> {
    let count = CALLERS * each;
    let slow = Slow::start(strace, 16, &quick_flows(count))?;
    let requests = Requests::heartbeats(count, &secret(), now_s(), None);
    let before = slow.syncs()?;
    let time = closed_loop(slow.daemon.address(), Manner::kept(CALLERS), &requests)?.as_secs_f64();
    let syncs = slow.syncs()? - before;
    Ok(vec![
        Row::new("heartbeats that start a run, per sync: 64 callers one after the other, runs ending meanwhile", "heartbeats",
            Figure::once(count as f64 / syncs.max(1) as f64))
            .note(format!("{count} heartbeats, {syncs} syncs, {time:.2} s; a caller whose answer came first comes again while the others \
                still wait, so that rounds with few and with many take turns")),
        Row::new("heartbeats that start a run, a second", "/s", Figure::once(count as f64 / time)),
    ])
}
