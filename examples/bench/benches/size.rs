//! The binary's size, what is resident, and how soon after its start the daemon answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Plan;
use super::heartbeats::load;
use crate::Outcome;
use crate::daemon::{self, Config, Daemon, quick_flows};
use crate::filled::{self, Fill};
use crate::load::Manner;
use crate::measure::Figure;
use crate::process::{Core, cpu_ns, move_to};
use crate::row::{Found, Goal, Row};

const MIB: f64 = 1024.0 * 1024.0;
/// How long a daemon is left alone before it counts as idle.
const PAUSE: Duration = Duration::from_millis(300);

fn mib(bytes: u64) -> Figure {
    Figure::once(bytes as f64 / MIB)
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let binary = std::fs::metadata(daemon::binary())?.len();
    let rows = vec![
        Row::new("stripped binary, default features", "MiB", mib(binary)).goal(Goal::AtMost(4.0)),
        idle_after_runs()?,
        with_many_flows(plan)?,
        busy(plan)?,
        first_answer(plan)?,
    ];
    Ok(rows.into())
}

/// Of flows that all ran once.
fn idle_after_runs() -> Outcome<Row> {
    let daemon = Daemon::start(&Config::default(), &quick_flows(100))?;
    daemon.settle()?;
    std::thread::sleep(PAUSE);
    Ok(Row::new("resident, 100 flows that all ran once, idle", "MiB", mib(daemon.resident_bytes()?))
        .goal(Goal::AtMost(5.0))
        .note(daemon.resident_parts()?))
}

fn with_many_flows(plan: &Plan) -> Outcome<Row> {
    let fill = Fill { flows: plan.pick(100_000, 10_000), due_once: 100, ..Fill::default() };
    let daemon = filled::start(&Config::default(), fill)?;
    daemon.settle()?;
    load(daemon.pid(), daemon.address(), Manner::kept(4), 1000)?;
    std::thread::sleep(PAUSE);
    Ok(Row::new(
        "resident, 100,000 flows, after 100 runs and 1,000 heartbeats",
        "MiB",
        mib(daemon.resident_bytes()?),
    )
    .goal(Goal::AtMost(12.0))
    .note(daemon.resident_parts()?))
}

/// While 256 callers have one request each on its way.
fn busy(plan: &Plan) -> Outcome<Row> {
    let daemon = filled::start(&Config::default(), Fill { flows: 1000, due_once: 100, ..Fill::default() })?;
    daemon.settle()?;
    let is_over = AtomicBool::new(false);
    let (count, mut samples) = (plan.pick(50_000, 5_000), Vec::new());
    let (pid, address) = (daemon.pid(), daemon.address());
    std::thread::scope(|scope| -> Outcome<()> {
        let callers = scope.spawn(|| {
            let loaded = move_to(Core::Load).and_then(|()| load(pid, address, Manner::kept(256), count));
            is_over.store(true, Ordering::Relaxed);
            loaded.map(|_| ()).map_err(|error| error.to_string())
        });
        while !is_over.load(Ordering::Relaxed) {
            samples.push(daemon.resident_bytes()? as f64 / MIB);
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(callers.join().map_err(|_| "a caller failed")??)
    })?;
    let most = Figure::of(samples).most();
    Ok(Row::new("resident, 256 busy connections, 1,000 flows, at most", "MiB", Figure::once(most))
        .goal(Goal::AtMost(8.0)))
}

/// From the start of its process to the whole answer of a heartbeat; the database is in the page cache.
fn first_answer(plan: &Plan) -> Outcome<Row> {
    let (flows, runs) = plan.pick((100_000, 1_000_000), (1000, 10_000));
    let mut folder = filled::folder(&Config::default(), Fill { flows, runs, ..Fill::default() })?;
    let (mut times, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..=plan.pick(11, 2) {
        let start = Instant::now();
        let daemon = Daemon::start_in(folder)?;
        daemon.beat(None)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        cpu.push(cpu_ns(daemon.pid())? / 1e6);
        folder = daemon.stop()?;
    }
    std::fs::remove_dir_all(folder)?;
    // The first start opens what SQL alone wrote.
    let cpu = Figure::of(cpu.split_off(1)).median();
    Ok(Row::new(
        "from the start to the first answer, 100,000 flows, 1,000,000 runs",
        "ms",
        Figure::of(times.split_off(1)),
    )
    .goal(Goal::AtMost(20.0))
    .note(format!("of it {cpu:.1} ms are the daemon's CPU; the rest is syncs, and waiting for a core")))
}
