//! Seeds of the simulator: whatever goes wrong, no promise is broken.
//!
//! `HEARTBEAT_SIMULATION_SEED=n` repeats one seed and prints what happens; `HEARTBEAT_SIMULATION_SEEDS=n` says how many
//! are tried.
#![expect(clippy::panic, reason = "a number that is none fails the test")]

#[path = "simulator.rs"]
mod simulator;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use simulator::telling::SHOWS_WHOLE_TRACE;
use simulator::{simulate, simulate_choices, tell_of_failures};

const SEEDS_DEFAULT: u64 = 200;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}

#[test]
fn whatever_goes_wrong_no_promise_is_broken() {
    tell_of_failures(|seed| eprintln!("HEARTBEAT_SIMULATION_SEED={seed} repeats this"));
    if let Some(seed) = number_from("HEARTBEAT_SIMULATION_SEED") {
        SHOWS_WHOLE_TRACE.store(true, Ordering::Relaxed);
        simulate(seed, "one");
        return;
    }
    let seeds = number_from("HEARTBEAT_SIMULATION_SEEDS").unwrap_or(SEEDS_DEFAULT);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    simulate(seed, "each");
                }
            });
        }
    });
}

/// What a fuzzer found worth keeping; and a simulation by choices has no chance in it either.
#[test]
fn choices_by_bytes_are_the_whole_of_a_simulation() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/runtime_ops");
    for entry in std::fs::read_dir(corpus).expect("the corpus is committed") {
        let path = entry.expect("readable").path();
        let bytes = std::fs::read(&path).expect("readable");
        let hashes =
            ["choices", "choices-again"].map(|purpose| simulate_choices(&bytes, purpose).trace_hash());
        assert_eq!(hashes[0], hashes[1], "{}", path.display());
    }
}

/// Another process goes the same way: nothing hangs on addresses, or on the order of what has none.
#[test]
fn a_seed_is_the_whole_of_a_simulation_in_another_process_too() {
    const ASKED: &str = "HEARTBEAT_SIMULATION_HASH_OF";
    if let Some(seed) = number_from(ASKED) {
        writeln!(std::io::stderr(), "hash {:016x}", simulate(seed, "hash").trace_hash())
            .expect("somebody reads it");
        return;
    }
    let this = std::env::current_exe().expect("a test has a program");
    for seed in 8..10 {
        let mut other = std::process::Command::new(&this);
        other.args(["--exact", "a_seed_is_the_whole_of_a_simulation_in_another_process_too", "--nocapture"]);
        let said = other.env(ASKED, seed.to_string()).output().expect("it runs").stderr;
        let hash = format!("hash {:016x}", simulate(seed, "here").trace_hash());
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(&hash), "seed {seed}: {hash} here, and there: {said}");
    }
}

#[test]
fn a_seed_is_the_whole_of_a_simulation() {
    for seed in 0..8 {
        let (first, second) = (simulate(seed, "first"), simulate(seed, "second"));
        if first.trace_hash() != second.trace_hash() {
            let both = first.trace.lines.iter().zip(&second.trace.lines);
            let differs =
                both.filter(|(one, other)| one != other).map(|(one, other)| format!("{one}\n{other}"));
            panic!("seed {seed} went two ways:\n{}", differs.take(1).collect::<String>());
        }
        assert!(first.elapsed > Duration::ZERO, "time passes");
        assert!(first.trace.lines.len() > 300 && first.runs() > 0, "something happened");
    }
}
