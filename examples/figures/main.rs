//! The figures that the documents claim, measured on this machine: `cargo run --release --example figures`, or only
//! some of them: `-- idle`, `-- heartbeats`, `-- runs`, `-- pipelines`, `-- pages`.
//!
//! Every speed is a ratio against something measured in the same run, in turns: nginx's fixed answer where nginx is
//! installed, and a bare loop that records, spawns and records again.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod bare;
#[expect(dead_code, reason = "the soak has a log to read")]
mod daemon;
mod load;
#[path = "../../tests/support/many_flows.rs"]
mod many_flows;
mod pages;
mod pipelines;

use daemon::{Daemon, Nginx};
use std::error::Error;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Rounds of each measurement; the median counts.
const ROUNDS: usize = 5;
/// How long one round of load lasts.
const LOAD_ROUND: Duration = Duration::from_secs(2);
/// Runs in one round.
const RUNS: usize = 1000;

fn main() -> Outcome<()> {
    let only = std::env::args().nth(1);
    let known = ["idle", "heartbeats", "runs", "pipelines", "pages"];
    if let Some(other) = only.as_deref().filter(|only| !known.contains(only)) {
        return Err(format!("no figures `{other}`; there are {}", known.join(", ")).into());
    }
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    daemon::build()?;
    if wanted("idle") {
        size_and_memory()?;
        first_answer()?;
        disk_writes()?;
    }
    if wanted("heartbeats") {
        heartbeats(1)?;
        heartbeats(64)?;
    }
    if wanted("runs") {
        runs(1)?;
        runs(16)?;
    }
    if wanted("pipelines") {
        pipelines::speed()?;
        pipelines::heartbeats_meanwhile()?;
    }
    if wanted("pages") {
        pages::of(1000)?;
    }
    Ok(())
}

fn size_and_memory() -> Outcome<()> {
    let size = std::fs::metadata(daemon::binary())?.len();
    println!("stripped release binary          {:.2} MiB", mib(size));
    let daemon = Daemon::start(100, 4)?;
    daemon.settle()?;
    println!("resident memory, 100 flows, idle {:.2} MiB", mib(daemon.resident_bytes()?));
    Ok(())
}

fn first_answer() -> Outcome<()> {
    let daemon = Daemon::start(100, 4)?;
    daemon.settle()?;
    let folder = daemon.stop()?;
    let times: Outcome<Vec<f64>> = (0..9)
        .map(|_| {
            let start = Instant::now();
            let daemon = Daemon::start_in(folder.clone())?;
            daemon.beat(None)?;
            let ms = start.elapsed().as_secs_f64() * 1e3;
            daemon.stop()?;
            Ok(ms)
        })
        .collect();
    println!("first answer after the start     {:.1} ms", median(times?));
    Ok(())
}

fn disk_writes() -> Outcome<()> {
    let daemon = Daemon::start(100, 4)?;
    daemon.settle()?;
    let before = daemon.written_bytes()?;
    for _ in 0..100 {
        daemon.beat(None)?;
    }
    let written = daemon.written_bytes()? - before;
    println!("written by 100 idle heartbeats   {written} bytes");
    Ok(())
}

fn heartbeats(connections: usize) -> Outcome<()> {
    let daemon = Daemon::start(1000, 4)?;
    daemon.settle()?;
    let nginx = Nginx::start()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(load::cpu_us_per_request(daemon.pid(), daemon.address(), connections, LOAD_ROUND)?);
        if let Some(nginx) = &nginx {
            theirs.push(load::cpu_us_per_request(nginx.worker()?, nginx.address(), connections, LOAD_ROUND)?);
        }
    }
    let ours = median(ours);
    print!("CPU per signed heartbeat, {connections:>2} connections, 1,000 flows, nothing due: {ours:.2} us");
    match nginx {
        Some(_) => {
            let theirs = median(theirs);
            println!("; nginx's fixed 200: {theirs:.2} us; ratio {:.2}", ours / theirs);
        }
        None => println!(" (no nginx here to compare with)"),
    }
    Ok(())
}

fn runs(at_a_time: usize) -> Outcome<()> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let daemon = Daemon::start(RUNS, at_a_time)?;
        let start = Instant::now();
        daemon.beat(Some(60))?;
        ours.push(RUNS as f64 / start.elapsed().as_secs_f64());
        bare.push(bare::runs_per_second(RUNS, at_a_time)?);
    }
    let (ours, bare) = (median(ours), median(bare));
    println!(
        "durable runs of /bin/true, {at_a_time:>2} at a time: {ours:.0}/s; bare loop: {bare:.0}/s; ratio {:.2}",
        ours / bare
    );
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
