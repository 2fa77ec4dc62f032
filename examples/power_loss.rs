//! Cuts the power as often as wanted, and says what came of it:
//! `cargo run --profile simulate --example power_loss -- --cuts 1000000`, from the workload of `--seed N` on.
//!
//! What a runtime with its store and pipelines does is recorded as what its disk was told. Then the power is cut after each
//! sync, at other places and while the database recovers; each time the disk keeps something else of what was not synced.
//! A state that was judged already by the same promises is not judged again. The first promise that does not hold is told
//! with the seed of its workload, and the example ends with 1.
#![expect(clippy::expect_used, clippy::print_stdout, reason = "it is run by hand, and tells what it finds")]

#[path = "../tests/power_loss/harness.rs"]
mod harness;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use harness::folder;
use harness::random::Random;
use harness::verdict::{Judge, Plan, Tally};
use harness::workload::{Honesty, Workload};

const PLAN: Plan = Plan { at_syncs: 8, elsewhere_per_mille: 900, goes_on_one_in: 40, again_one_in: 10 };
const SECONDS_A_REPORT: u64 = 60;

fn number_after(flag: &str, default: u64) -> u64 {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == flag);
    at.and_then(|at| arguments.get(at + 1)).map_or(default, |text| text.parse().expect("a number"))
}

struct Progress {
    since: Instant,
    next_seed: AtomicU64,
    is_over: AtomicBool,
    sum: Mutex<(Tally, u64)>,
    reported_at_s: AtomicU64,
    cuts: u64,
}

impl Progress {
    /// One workload after the other, until there were enough cuts, or one that breaks a promise.
    fn work(&self, thread: usize) {
        let folder = folder(&format!("long-{thread}"));
        while !self.is_over.load(Ordering::Relaxed) {
            let seed = self.next_seed.fetch_add(1, Ordering::Relaxed);
            let workload = Workload::record(&folder, seed, Honesty::default());
            let mut judge = Judge::new(&workload, PLAN, Random::new(!seed));
            let broken = judge.judge();
            for (place, broken) in &broken {
                let operations = workload.orders.len();
                println!("seed {seed}, after {place} of {operations} operations: {broken:?}");
            }
            let mut sum = self.sum.lock().expect("nobody panics with it");
            sum.0.add(judge.tally);
            sum.1 += broken.len() as u64;
            let is_enough = sum.0.cuts >= self.cuts || sum.1 > 0;
            self.is_over.fetch_or(is_enough, Ordering::Relaxed);
            let seconds = self.since.elapsed().as_secs();
            if seconds >= self.reported_at_s.load(Ordering::Relaxed) + SECONDS_A_REPORT {
                self.reported_at_s.store(seconds, Ordering::Relaxed);
                self.report(&sum.0);
            }
        }
        let _only_a_temporary_folder = std::fs::remove_dir_all(folder);
    }

    fn report(&self, tally: &Tally) {
        let seconds = self.since.elapsed().as_secs().max(1);
        let Tally { cuts, alike, losses, promises, gone_on, records, again } = tally;
        println!(
            "{cuts} cuts in {seconds} s, {} a second; {alike} left what another had; {again} while recovering; of writes {} lost, {} torn, {} reordered, \
             of names {} lost; {promises} promises looked for; {gone_on} times gone on to the end, with {records} records",
            cuts / seconds,
            losses.lost,
            losses.torn,
            losses.reordered,
            losses.names,
        );
    }
}

fn main() -> ExitCode {
    let progress = Progress {
        since: Instant::now(),
        next_seed: AtomicU64::new(number_after("--seed", 0)),
        is_over: AtomicBool::new(false),
        sum: Mutex::default(),
        reported_at_s: AtomicU64::new(0),
        cuts: number_after("--cuts", 10_000),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let progress = &progress;
            scope.spawn(move || progress.work(thread));
        }
    });
    let (tally, broken) = *progress.sum.lock().expect("nobody panics with it");
    progress.report(&tally);
    println!("{broken} promises broken");
    ExitCode::from(u8::from(broken > 0))
}
