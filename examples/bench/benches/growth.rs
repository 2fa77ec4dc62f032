//! How costs grow: with flows, with what is due, with history, with connections, with output. Each series starts a daemon a
//! point, and becomes a plot; what a slope means is in ARCHITECTURE.md.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::{Duration, Instant};

use super::Plan;
use super::due::{Beaten, latency};
use super::heartbeats::load;
use crate::Outcome;
use crate::daemon::{Config, Daemon};
use crate::filled::{self, Fill};
use crate::load::Manner;
use crate::measure::Figure;
use crate::plot::{Curve, Plot};
use crate::process::cpu_ns;
use crate::row::Found;

const MIB: f64 = 1024.0 * 1024.0;

/// Curves that grow with their points.
struct Series {
    plot: Plot,
}

impl Series {
    fn new(name: &'static str, title: &str, across: &'static str, curves: &[&str]) -> Self {
        let curves =
            curves.iter().map(|name| Curve { name: (*name).to_owned(), points: Vec::new() }).collect();
        Self { plot: Plot { name, title: title.to_owned(), across, up: "", curves } }
    }

    /// Nothing has no place on a logarithmic axis: it stands at one.
    fn add(&mut self, at: usize, values: &[f64]) {
        for (curve, value) in self.plot.curves.iter_mut().zip(values) {
            curve.points.push((at.max(1) as f64, *value));
        }
        let told: Vec<String> = self
            .plot
            .curves
            .iter()
            .zip(values)
            .map(|(curve, value)| format!("{} {}", curve.name, crate::row::number(*value)))
            .collect();
        println!("  {} {}: {}", crate::row::number(at as f64), self.plot.across, told.join(", "));
    }
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    allow_descriptors()?;
    let plots = [flows, due, history, connections, output]
        .into_iter()
        .map(|series| Ok(series(plan)?.plot))
        .collect::<Outcome<Vec<_>>>()?;
    Ok(Found { rows: Vec::new(), plots })
}

/// As many as this process may have; the daemon inherits them.
fn allow_descriptors() -> Outcome<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?)
}

/// What an idle heartbeat and one with due flows cost a daemon with this in its database.
fn costs(plan: &Plan, fill: Fill) -> Outcome<[f64; 3]> {
    let mut beaten = Beaten::start(Fill { due_each_second: fill.due_each_second, ..fill })?;
    let answered: Outcome<Vec<_>> = (0..plan.pick(5, 1)).map(|_| beaten.beat()).collect();
    let resident = beaten.daemon.resident_bytes()? as f64 / MIB;
    drop(beaten);
    let daemon = filled::start(&Config::default(), Fill { due_each_second: 0, ..fill })?;
    let idle = median_cpu_us(plan, &daemon, 64)?;
    Ok([idle, latency(&answered?).median() * 1e3, resident])
}

fn median_cpu_us(plan: &Plan, daemon: &Daemon, connections: usize) -> Outcome<f64> {
    let count = plan.pick(20_000, 2_000).max(connections * 2);
    let loads: Outcome<Vec<f64>> = (0..plan.pick(3, 1))
        .map(|_| Ok(load(daemon.pid(), daemon.address(), Manner::kept(connections), count)?.cpu_us))
        .collect();
    Ok(Figure::of(loads?).median())
}

const COSTS: [&str; 3] = ["CPU of an idle heartbeat, us", "durable answer with 10 due, us", "resident, MiB"];

fn flows(plan: &Plan) -> Outcome<Series> {
    let mut series = Series::new("flows", "Cost by the number of flows", "flows", &COSTS);
    let points: &[usize] = plan.pick(&[11, 100, 1000, 10_000, 100_000, 1_000_000], &[11, 1000]);
    for flows in points {
        let fill = Fill { flows: *flows, due_each_second: 10, ..Fill::default() };
        series.add(*flows, &costs(plan, fill)?);
    }
    Ok(series)
}

fn due(plan: &Plan) -> Outcome<Series> {
    let mut series = Series::new(
        "due",
        "Cost of one heartbeat by the number of flows that are due, of 1,001",
        "due flows",
        &["durable answer, us", "the daemon's CPU until all have run, us"],
    );
    let points: &[usize] = plan.pick(&[1, 3, 10, 30, 100, 300, 1000], &[1, 30]);
    for due in points {
        let mut beaten = Beaten::start(Fill { flows: 1001, due_each_second: *due, ..Fill::default() })?;
        let answered = (0..plan.pick(5, 1)).map(|_| beaten.beat()).collect::<Outcome<Vec<_>>>()?;
        let cpu = Figure::of(answered.iter().map(|answered| answered.cpu_ms * 1e3));
        series.add(*due, &[latency(&answered).median() * 1e3, cpu.median()]);
    }
    Ok(series)
}

fn history(plan: &Plan) -> Outcome<Series> {
    let mut series = Series::new(
        "history",
        "Cost by the number of runs on record, 100,000 flows",
        "runs on record",
        &COSTS,
    );
    let points: &[usize] = plan.pick(&[0, 1000, 10_000, 100_000, 1_000_000, 10_000_000], &[0, 1000]);
    for runs in points {
        let fill =
            Fill { flows: plan.pick(100_000, 1000), runs: *runs, due_each_second: 10, ..Fill::default() };
        series.add(*runs, &costs(plan, fill)?);
    }
    Ok(series)
}

fn connections(plan: &Plan) -> Outcome<Series> {
    let mut series = Series::new(
        "connections",
        "Cost by the number of busy connections, 1,000 flows",
        "connections",
        &["CPU of an idle heartbeat, us", "resident, MiB"],
    );
    let limits = "connections = 11000\nconnections_per_address = 11000\n".to_owned();
    let config = Config { limits, ..Config::default() };
    let points: &[usize] = plan.pick(&[1, 4, 16, 64, 256, 1000, 4000, 10_000], &[1, 64]);
    for connections in points {
        let daemon = filled::start(&config, Fill { flows: 1000, ..Fill::default() })?;
        let cpu = median_cpu_us(plan, &daemon, *connections)?;
        series.add(*connections, &[cpu, daemon.peak_resident_bytes()? as f64 / MIB]);
    }
    Ok(series)
}

fn output(plan: &Plan) -> Outcome<Series> {
    let mut series = Series::new(
        "output",
        "Cost of a run by the bytes that it writes",
        "bytes of output",
        &["run, ms", "the daemon's CPU, ms", "resident, MiB"],
    );
    let points: &[usize] = plan
        .pick(&[0, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000], &[0, 100_000]);
    for bytes in points {
        let text = format!(
            "run_interval = \"90d\"\n[command]\nargv = [\"head\", \"-c\", \"{bytes}\", \"/dev/zero\"]\n"
        );
        let flow = [("writer".to_owned(), text)];
        let mut samples = Vec::new();
        for _ in 0..plan.pick(3, 1) {
            let daemon = Daemon::start(&Config::default(), &flow)?;
            std::thread::sleep(Duration::from_millis(50));
            let (cpu, start) = (cpu_ns(daemon.pid())?, Instant::now());
            daemon.beat(Some(60))?;
            let ms = start.elapsed().as_secs_f64() * 1e3;
            let cpu = (cpu_ns(daemon.pid())? - cpu) / 1e6;
            samples.push([ms, cpu, daemon.peak_resident_bytes()? as f64 / MIB]);
        }
        let median = |index: usize| Figure::of(samples.iter().map(|sample| sample[index])).median();
        series.add(*bytes, &[median(0), median(1), median(2)]);
    }
    Ok(series)
}
