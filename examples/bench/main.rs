//! Speed, size and wear, measured on this machine beside its peers: `cargo run --release --example bench -- all`.
//!
//! Words behind `--`: names of benches (`-- list` tells them), `all` for those of the table, `growth` for how costs
//! grow, `short` for fewer rounds and smaller numbers, which writes nothing, and `--as-built` to take the daemon that is there.
//! Otherwise the results are merged into `docs/benchmarks/`. It judges nothing by its exit status but whether it could measure.
//!
//! What is compared is measured in turns, and every ratio is one of figures of the same round. What is measured has one core,
//! those who call have another one. A peer that is not installed is said to be missing.

#![expect(clippy::print_stdout, reason = "its output is what it is for")]

mod benches;
mod daemon;
mod filled;
mod floors;
mod load;
mod machine;
#[path = "../../tests/support/many_flows.rs"]
mod many_flows;
mod measure;
mod open_loop;
mod peers;
mod plot;
mod process;
mod report;
mod row;

use benches::{BENCHES, Bench, Plan};
use std::error::Error;
use std::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Wanted {
    benches: Vec<&'static Bench>,
    is_short: bool,
    as_built: bool,
}

fn wanted(words: &[String]) -> Outcome<Wanted> {
    let mut wanted = Wanted { benches: Vec::new(), is_short: false, as_built: false };
    for word in words {
        let named = BENCHES.iter().find(|bench| bench.name == word);
        match (word.as_str(), named) {
            ("short", _) => wanted.is_short = true,
            ("--as-built", _) => wanted.as_built = true,
            ("all", _) => wanted.benches.extend(BENCHES.iter().filter(|bench| bench.is_of_table)),
            ("growth", _) => wanted.benches.extend(BENCHES.iter().filter(|bench| !bench.is_of_table)),
            (_, Some(bench)) => wanted.benches.push(bench),
            _ => return Err(format!("no bench `{word}`; `-- list` tells those that there are").into()),
        }
    }
    if wanted.benches.is_empty() {
        wanted.benches = BENCHES.iter().filter(|bench| bench.is_of_table).collect();
    }
    Ok(wanted)
}

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == floors::WORD) {
        return floors::be(&words[1..]);
    }
    if words == ["list"] {
        for bench in BENCHES {
            println!("{:<18} {}", bench.name, bench.about);
        }
        return Ok(());
    }
    let wanted = wanted(&words)?;
    if !wanted.as_built {
        daemon::build()?;
    }
    process::move_to(process::Core::Load)?;
    let machine = machine::describe();
    report::print_machine(&machine);
    if wanted.is_short {
        println!("short form: one round, and smaller numbers than the rows say; no figure here counts");
    }
    let plan = Plan { is_short: wanted.is_short };
    let mut failures = Vec::new();
    for bench in wanted.benches {
        println!("\n{}: {}", bench.name, bench.about);
        let start = Instant::now();
        match (bench.run)(&plan) {
            Ok(found) => {
                found.rows.iter().for_each(report::print_row);
                // At once: who gives up in the middle keeps what is there.
                if !wanted.is_short {
                    report::write(&machine, bench, &found)?;
                }
            }
            Err(error) => {
                println!("  could not be measured: {error}");
                failures.push(bench.name);
            }
        }
        println!("  ({:.0} s)", start.elapsed().as_secs_f64());
    }
    if !wanted.is_short {
        println!("\nwritten to docs/benchmarks");
    }
    if failures.is_empty() { Ok(()) } else { Err(format!("not measured: {}", failures.join(", ")).into()) }
}
