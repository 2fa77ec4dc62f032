//! Everything that a box lives through, for as long as wanted: `cargo run --release --example soak -- --minutes 30`.
//!
//! Honest agents, forgers, idlers, leavers, people who look on, operators, reloads, commands and pipelines work on one real
//! daemon. Its memory, descriptors, threads, database and CPU are sampled meanwhile and printed as a table. It fails if memory
//! rises over the second half by more than noise, if descriptors or threads are left over, or if an honest heartbeat was not
//! answered with 200. `--as-built` takes the binary that is there.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod callers;
#[path = "../bench/daemon.rs"]
#[expect(dead_code, reason = "the bench uses the rest of it")]
mod daemon;
#[path = "../bench/load.rs"]
#[expect(dead_code, reason = "the bench uses the rest of it")]
mod load;
mod onlookers;
#[path = "../bench/process.rs"]
#[expect(dead_code, reason = "the bench uses the rest of it")]
mod process;
mod samples;
mod setting;
#[path = "../../tests/support/wire.rs"]
#[expect(dead_code, clippy::expect_used, reason = "the tests use the rest of it")]
mod wire;

use daemon::Daemon;
use samples::{Sample, Samples};
use setting::Setting;
use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long an answer may take before it counts as none: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const MINUTES_DEFAULT: f64 = 5.0;
/// From one sample to the next, of which there are at least so many.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const SAMPLES_MIN: u32 = 40;
/// How long the daemon gets to let go of callers that have left.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

/// What those who make the load share.
#[derive(Default)]
pub(crate) struct Shared {
    stop: AtomicBool,
    /// What was done, by kind.
    pub(crate) done: [AtomicU64; KINDS.len()],
    /// What must not have happened, in sentences; the first ones.
    faults: Mutex<Vec<String>>,
    fault_count: AtomicU64,
    slowest_us: AtomicU64,
}

/// What there is to do, in the order of [`Kind`].
const KINDS: [&str; 9] = [
    "honest heartbeats",
    "of them with a wait",
    "forged heartbeats",
    "slow and idle callers",
    "callers that left",
    "pages and metrics",
    "events watched",
    "orders of operators",
    "reloads",
];

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Honest,
    Waiting,
    Forged,
    Slow,
    Left,
    Page,
    Event,
    Order,
    Reload,
}

impl Shared {
    pub(crate) fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn did(&self, kind: Kind) {
        self.done[kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes how long an honest heartbeat waited for its answer.
    pub(crate) fn took(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.slowest_us.fetch_max(us, Ordering::Relaxed);
    }

    pub(crate) fn fault(&self, sentence: String) {
        self.fault_count.fetch_add(1, Ordering::Relaxed);
        if let Ok(mut faults) = self.faults.lock() {
            faults.truncate(19);
            faults.push(sentence);
        }
    }

    /// Sleeps a little, unless it is over.
    pub(crate) fn pause(&self, time: Duration) {
        let end = Instant::now() + time;
        while self.goes_on() && Instant::now() < end {
            std::thread::sleep(time.min(Duration::from_millis(50)));
        }
    }
}

struct Arguments {
    minutes: f64,
    as_built: bool,
}

fn arguments() -> Outcome<Arguments> {
    let mut found = Arguments { minutes: MINUTES_DEFAULT, as_built: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--minutes" => found.minutes = words.next().ok_or("--minutes: how many?")?.parse()?,
            "--as-built" => found.as_built = true,
            other => return Err(format!("{other}: there are --minutes N and --as-built").into()),
        }
    }
    if !(found.minutes > 0.0 && found.minutes <= 100_000.0) {
        return Err("--minutes: more than 0, and at most 100000".into());
    }
    Ok(found)
}

fn main() -> Outcome<()> {
    let arguments = arguments()?;
    if !arguments.as_built {
        daemon::build()?;
    }
    let setting = Setting::make()?;
    let daemon = Daemon::start_logging(process::Core::Any, setting.folder.clone())?;
    let setting = setting.with_status_port()?;
    daemon.beat(Some(30))?;
    let before = Sample::of(&daemon, &setting)?;
    let shared = Shared::default();
    let samples = soak(&daemon, &setting, &shared, Duration::from_secs_f64(arguments.minutes * 60.0))?;
    let after = settled(&daemon, &setting, &before)?;
    let mut faults = shared.faults.into_inner().unwrap_or_default();
    samples.print(&before, &after);
    for (kind, done) in KINDS.iter().zip(&shared.done) {
        println!("{kind:<24} {:>10}", done.load(Ordering::Relaxed));
    }
    println!("{:<24} {:>10} ms", "slowest honest answer", shared.slowest_us.into_inner() / 1000);
    println!("{:<24} {:>10}", "runs on record", setting.number("SELECT count(*) FROM data_flow_runs")?);
    println!("{:<24} {:>10}", "runs ever", setting.number("SELECT max(id) FROM data_flow_runs")?);
    faults.extend(samples.faults(&before, &after));
    faults.extend(setting.faults()?);
    let count = shared.fault_count.into_inner();
    if faults.is_empty() {
        println!("memory is flat, nothing is left over, every honest heartbeat was answered");
        return Ok(());
    }
    Err(format!("{count} answers at fault; in all:\n{}", faults.join("\n")).into())
}

/// Makes the load and samples it.
fn soak(daemon: &Daemon, setting: &Setting, shared: &Shared, time: Duration) -> Outcome<Samples> {
    std::thread::scope(|scope| {
        let loads = callers::loads().into_iter().chain(onlookers::loads());
        for load in loads {
            scope.spawn(move || load(daemon, setting, shared));
        }
        let samples = sample(daemon, setting, time);
        shared.stop.store(true, Ordering::Relaxed);
        samples
    })
}

fn sample(daemon: &Daemon, setting: &Setting, time: Duration) -> Outcome<Samples> {
    let (begin, mut samples) = (Instant::now(), Samples::default());
    let every = SAMPLE_EVERY.min(time / SAMPLES_MIN);
    while begin.elapsed() < time {
        std::thread::sleep(every);
        samples.add(begin.elapsed(), Sample::of(daemon, setting)?);
    }
    Ok(samples)
}

/// A sample when nobody calls any more and all is given back; the last one, if that does not come.
fn settled(daemon: &Daemon, setting: &Setting, before: &Sample) -> Outcome<Sample> {
    let give_up = Instant::now() + SETTLED_WITHIN;
    loop {
        let now = Sample::of(daemon, setting)?;
        let is_settled = now.descriptors <= before.descriptors && now.threads <= before.threads;
        if is_settled && !setting.has_open_runs()? || Instant::now() > give_up {
            return Ok(now);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
