//! What is written to the disk, as the kernel counts it: each page that a process made dirty and that was to be written
//! (`write_bytes` in proc(5)), so with frames of the log and with checkpoints.

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, quick_flows};
use crate::filled::{self, Fill};
use crate::measure::Figure;
use crate::row::{Found, Goal, Row};
use std::time::Duration;

/// A box of which days are told: so many flows, each run so often a day, each run by itself.
const TYPICAL_FLOWS: usize = 20;
const TYPICAL_RUNS: f64 = 288.0;
/// What is on record of each already.
const PAST_RUNS: usize = 200;

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    // Each heartbeat starts one run: so each run has its own commits, as when flows are due at different times.
    let config = Config::at_a_time(1).top("max_claims_per_heartbeat = 1\n");
    let flows = TYPICAL_FLOWS + 1;
    let fill = Fill { flows, runs: flows * PAST_RUNS, due_each_second: TYPICAL_FLOWS, ..Fill::default() };
    let daemon = filled::start(&config, fill)?;
    run_one_by_one(&daemon, TYPICAL_FLOWS)?;
    let runs = plan.pick(600, 60);
    let before = daemon.written_bytes()?;
    run_one_by_one(&daemon, runs)?;
    let each = (daemon.written_bytes()? - before) as f64 / runs as f64 / 1024.0;
    drop(daemon);
    let daemon = Daemon::start(&Config::default(), &quick_flows(1))?;
    daemon.settle()?;
    let beats: u32 = plan.pick(1000, 100);
    let before = daemon.written_bytes()?;
    for _ in 0..beats {
        daemon.beat(None)?;
    }
    let idle = (daemon.written_bytes()? - before) as f64 / f64::from(beats);
    let day = each * TYPICAL_FLOWS as f64 * TYPICAL_RUNS / 1024.0;
    let in_a_round = all_at_once(plan)?;
    Ok(vec![
        Row::new("written by a heartbeat with nothing due", "bytes", Figure::once(idle)).goal(Goal::AtMost(0.0)),
        Row::new("written by a heartbeat and its one run, of 20 flows with a history, checkpoints with it", "KiB", Figure::once(each)).goal(Goal::AtMost(16.0)),
        Row::new("written by each of many runs of one heartbeat, 16 at a time", "KiB", Figure::once(in_a_round)),
        Row::new("written a day by 20 flows each 5 minutes, none of them at the same time", "MiB", Figure::once(day))
            .note("5,760 times the heartbeat with one run; a row an hour of an idle agent is below a tenth of a MiB"),
    ]
    .into())
}

/// So many runs, each of a heartbeat of its own.
fn run_one_by_one(daemon: &Daemon, runs: usize) -> Outcome<()> {
    let mut started = 0;
    while started < runs {
        if daemon.ask(Some(30))?.contains("\"flows_triggered\":1") {
            started += 1;
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// KiB a run when many share their commits.
fn all_at_once(plan: &Plan) -> Outcome<f64> {
    let runs = plan.pick(1000, 100);
    let daemon = Daemon::start(&Config::at_a_time(16), &quick_flows(runs))?;
    let before = daemon.written_bytes()?;
    daemon.beat(Some(60))?;
    Ok((daemon.written_bytes()? - before) as f64 / runs as f64 / 1024.0)
}
