//! Simulates boxes by seed, for as long as wanted: `cargo run --release --example simulate -- --seeds 1000`, from
//! `--from SEED` on, with `--threads N`, to the `--failures N`th failure; `--seed N` repeats one and prints all that
//! happens, `--choices FILE` does so with what the fuzzer of `runtime_ops` found.
//!
//! What is checked are `assert!`s of the simulator and the runtime, which a release build keeps. A seed that fails is
//! told with the round, the end of its trace and what is wrong, and the exit status is 1. Built with `--profile simulate`,
//! which is faster to build as well, the others go on; a release cannot go on after a panic.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

#[path = "../../tests/simulation/simulator.rs"]
mod simulator;

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulator::telling::SHOWS_WHOLE_TRACE;
use simulator::{World, simulate, simulate_choices, tell_of_failures};

/// How often it is told how far it is.
const TELLS_EVERY: Duration = Duration::from_secs(10);
/// Failures after which nothing more is to be learnt, unless `--failures` says otherwise.
const FAILURES_DEFAULT: usize = 20;
const YEAR_S: f64 = 365.25 * 86_400.0;

/// What is asked for.
struct Asked {
    seeds: u64,
    from: u64,
    threads: usize,
    failures: usize,
    one: Option<u64>,
    choices: Option<String>,
}

/// What has been simulated so far.
#[derive(Default)]
struct Sum {
    seeds: u64,
    elapsed: Duration,
    rounds: u64,
    runs: u64,
    heartbeats: u64,
    injected: BTreeMap<&'static str, u64>,
    failures: Vec<(u64, String)>,
}

impl Sum {
    fn add(&mut self, world: &World) {
        self.seeds += 1;
        self.elapsed += world.elapsed;
        self.rounds += world.trace.round;
        self.runs += world.runs();
        self.heartbeats += world.heartbeats_sent;
        for (what, count) in &world.injected {
            *self.injected.entry(what).or_default() += count;
        }
    }

    fn tell(&self, since: Instant) {
        let took = since.elapsed().as_secs_f64();
        println!(
            "{} seeds, {:.1} seeds/s; {:.4} simulated years, {} rounds, {} heartbeats, {} runs; {} failures",
            self.seeds,
            self.seeds as f64 / took,
            self.elapsed.as_secs_f64() / YEAR_S,
            self.rounds,
            self.heartbeats,
            self.runs,
            self.failures.len()
        );
    }
}

fn asked() -> Result<Asked, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut asked =
        Asked { seeds: 200, from: 0, threads, failures: FAILURES_DEFAULT, one: None, choices: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} takes a value"))?;
        if name == "--choices" {
            asked.choices = Some(value);
            continue;
        }
        let number: u64 = value.parse().map_err(|_| format!("{name} takes a number, not `{value}`"))?;
        match name.as_str() {
            "--seeds" => asked.seeds = number,
            "--from" => asked.from = number,
            "--threads" => asked.threads = usize::try_from(number).unwrap_or(usize::MAX).clamp(1, 256),
            "--failures" => asked.failures = usize::try_from(number).unwrap_or(usize::MAX),
            "--seed" => asked.one = Some(number),
            other => {
                return Err(format!(
                    "no option `{other}`; there are --seeds, --from, --threads, --failures, --seed, --choices"
                ));
            }
        }
    }
    Ok(asked)
}

fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(message) => {
            println!("{message}");
            return ExitCode::from(2);
        }
    };
    tell_of_failures(end_where_nothing_unwinds);
    if let Some(seed) = asked.one {
        SHOWS_WHOLE_TRACE.store(true, Ordering::Relaxed);
        let world = simulate(seed, "one");
        println!("seed {seed} has trace {:016x}", world.trace_hash());
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &asked.choices {
        SHOWS_WHOLE_TRACE.store(true, Ordering::Relaxed);
        let Ok(bytes) = std::fs::read(file) else {
            println!("cannot read {file}");
            return ExitCode::from(2);
        };
        println!("the choices of {file} have trace {:016x}", simulate_choices(&bytes, "one").trace_hash());
        return ExitCode::SUCCESS;
    }
    let sum = run(&asked);
    println!("what was done to the daemon:");
    for (what, count) in &sum.injected {
        println!("{count:>12}  {what}");
    }
    for (seed, message) in &sum.failures {
        println!("FAILED seed {seed}: {message}");
    }
    if sum.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn end_where_nothing_unwinds(seed: u64) {
    if cfg!(panic = "abort") {
        println!("FAILED seed {seed}");
        std::process::exit(1);
    }
}

fn run(asked: &Asked) -> Sum {
    let begun = Instant::now();
    let next = AtomicU64::new(asked.from);
    let is_over = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    let locked = || sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    std::thread::scope(|scope| {
        let works = || {
            while !is_over.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= asked.from.saturating_add(asked.seeds) {
                    return;
                }
                let outcome = catch_unwind(AssertUnwindSafe(|| simulate(seed, "many")));
                let mut sum = locked();
                match outcome {
                    Ok(world) => sum.add(&world),
                    Err(panic) => {
                        sum.seeds += 1;
                        sum.failures.push((seed, message(panic.as_ref())));
                        if sum.failures.len() >= asked.failures {
                            is_over.store(true, Ordering::Relaxed);
                        }
                    }
                }
            }
        };
        let workers: Vec<_> = (0..asked.threads).map(|_| scope.spawn(works)).collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(100));
            if told.elapsed() >= TELLS_EVERY {
                told = Instant::now();
                locked().tell(begun);
            }
        }
    });
    let sum = sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    sum.tell(begun);
    sum
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}
