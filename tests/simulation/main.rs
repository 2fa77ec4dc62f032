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

use simulator::simulate;

const SEEDS_DEFAULT: u64 = 200;

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`")))
}

#[test]
fn whatever_goes_wrong_no_promise_is_broken() {
    if let Some(seed) = number_from("HEARTBEAT_SIMULATION_SEED") {
        let world = simulate(seed, "one");
        // Not by a macro: what those print is shown only of tests that fail.
        writeln!(std::io::stderr(), "{}", world.trace.join("\n")).expect("somebody reads it");
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

#[test]
fn a_seed_is_the_whole_of_a_simulation() {
    for seed in 0..8 {
        let (first, second) = (simulate(seed, "first"), simulate(seed, "second"));
        if first.trace_hash() != second.trace_hash() {
            let both = first.trace.iter().zip(&second.trace);
            let differs =
                both.filter(|(one, other)| one != other).map(|(one, other)| format!("{one}\n{other}"));
            panic!("seed {seed} went two ways:\n{}", differs.take(1).collect::<String>());
        }
        assert!(first.elapsed > Duration::ZERO && first.trace.len() > 300, "something happened");
    }
}
