//! How costs grow: with flows, with what is due, with history, with connections, with output. Each series starts daemons at
//! each point, and becomes a plot. A point that cannot be measured is said to be missing, and the others stand.

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
use crate::row::{Found, number};

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
    fn measure<const N: usize>(
        mut self,
        points: &[usize],
        mut costs: impl FnMut(usize) -> Outcome<[f64; N]>,
    ) -> Outcome<Found> {
        for at in points {
            let words = format!("{} {}", number(*at as f64), self.plot.across);
            let values = match costs(*at) {
                Ok(values) => values,
                Err(error) => {
                    println!("  {words}: could not be measured: {error}");
                    continue;
                }
            };
            for (curve, value) in self.plot.curves.iter_mut().zip(values) {
                curve.points.push(((*at).max(1) as f64, value));
            }
            let curves = self.plot.curves.iter().zip(values);
            let told: Vec<String> =
                curves.map(|(curve, value)| format!("{} {}", curve.name, number(value))).collect();
            println!("  {words}: {}", told.join(", "));
        }
        Ok(Found { rows: Vec::new(), plots: vec![self.plot] })
    }
}

/// As many as this process may have; the daemon inherits them.
fn allow_descriptors() -> Outcome<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?)
}

/// What an idle heartbeat and one with due flows cost a daemon with this in its database.
fn costs(plan: &Plan, fill: Fill) -> Outcome<[f64; 4]> {
    let mut beaten = Beaten::start(Fill { due_each_second: fill.due_each_second, ..fill })?;
    let answered: Outcome<Vec<_>> = (0..plan.pick(5, 1)).map(|_| beaten.beat()).collect();
    let resident = beaten.daemon.resident_bytes()? as f64 / MIB;
    drop(beaten);
    let daemon = filled::start(&Config::default(), Fill { due_each_second: 0, ..fill })?;
    let start_ms = cpu_ns(daemon.pid())? / 1e6;
    let idle = median_cpu_us(plan, &daemon, 64)?;
    Ok([idle, latency(&answered?).median() * 1e3, resident, start_ms])
}

fn median_cpu_us(plan: &Plan, daemon: &Daemon, connections: usize) -> Outcome<f64> {
    let count = plan.pick(20_000, 2_000).max(connections * 10);
    let loads: Outcome<Vec<f64>> = (0..plan.pick(3, 1))
        .map(|_| Ok(load(daemon.pid(), daemon.address(), Manner::kept(connections), count)?.cpu_us))
        .collect();
    Ok(Figure::of(loads?).median())
}

const COSTS: [&str; 4] = [
    "CPU of an idle heartbeat, us",
    "durable answer with 10 due, us",
    "resident, MiB",
    "CPU of the start, ms",
];

pub(super) fn flows(plan: &Plan) -> Outcome<Found> {
    let series = Series::new("flows", "Cost by the number of flows", "flows", &COSTS);
    let points: &[usize] = plan.pick(&[11, 100, 1000, 10_000, 100_000, 1_000_000], &[11, 1000]);
    series.measure(points, |flows| {
        let fill = Fill { flows, due_each_second: 10, ..Fill::default() };
        costs(plan, fill)
    })
}

pub(super) fn due(plan: &Plan) -> Outcome<Found> {
    let series = Series::new(
        "due",
        "Cost of one heartbeat by the number of flows that are due, of 1,001",
        "due flows",
        &["durable answer, us", "the daemon's CPU until all have run, us"],
    );
    let points: &[usize] = plan.pick(&[1, 3, 10, 30, 100, 300, 1000], &[1, 30]);
    series.measure(points, |due| {
        let mut beaten = Beaten::start(Fill { flows: 1001, due_each_second: due, ..Fill::default() })?;
        let answered = (0..plan.pick(5, 1)).map(|_| beaten.beat()).collect::<Outcome<Vec<_>>>()?;
        let cpu = Figure::of(answered.iter().map(|answered| answered.cpu_ms * 1e3));
        Ok([latency(&answered).median() * 1e3, cpu.median()])
    })
}

pub(super) fn history(plan: &Plan) -> Outcome<Found> {
    let series = Series::new(
        "history",
        "Cost by the number of runs on record, 100,000 flows",
        "runs on record (none at 1)",
        &COSTS,
    );
    let points: &[usize] = plan.pick(&[0, 1000, 10_000, 100_000, 1_000_000, 10_000_000], &[0, 1000]);
    series.measure(points, |runs| {
        let fill = Fill { flows: plan.pick(100_000, 1000), runs, due_each_second: 10, ..Fill::default() };
        costs(plan, fill)
    })
}

pub(super) fn connections(plan: &Plan) -> Outcome<Found> {
    let series = Series::new(
        "connections",
        "Cost by the number of busy connections, 1,000 flows",
        "connections",
        &["CPU of an idle heartbeat, us", "resident, MiB"],
    );
    // All are there before the first of them asks for anything.
    let limits = "connections = 11000\nconnections_per_address = 11000\nhead_timeout = \"1h\"\n".to_owned();
    let config = Config { limits, ..Config::default() };
    let points: &[usize] = plan.pick(&[1, 4, 16, 64, 256, 1000, 4000, 10_000], &[1, 64]);
    allow_descriptors()?;
    series.measure(points, |connections| {
        let daemon = filled::start(&config, Fill { flows: 1000, ..Fill::default() })?;
        let cpu = median_cpu_us(plan, &daemon, connections)?;
        Ok([cpu, daemon.peak_resident_bytes()? as f64 / MIB])
    })
}

pub(super) fn output(plan: &Plan) -> Outcome<Found> {
    let series = Series::new(
        "output",
        "Cost of a run by the bytes that it writes",
        "bytes of output (none at 1)",
        &["run, ms", "the daemon's CPU, ms", "resident, MiB"],
    );
    let points: &[usize] = plan
        .pick(&[0, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000], &[0, 100_000]);
    series.measure(points, |bytes| {
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
        Ok([median(0), median(1), median(2)])
    })
}
