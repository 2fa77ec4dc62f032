//! A daemon that nobody calls: its CPU and its wake-ups.

use std::time::Duration;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, quick_flows};
use crate::measure::Figure;
use crate::process::{cpu_ns, cpu_ticks};
use crate::row::{Found, Goal, Row};

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let daemon = Daemon::start(&Config::default(), &quick_flows(100))?;
    daemon.settle()?;
    std::thread::sleep(plan.pick(Duration::from_secs(3), Duration::from_millis(500)));
    let wakes = || -> Outcome<u64> {
        Ok(daemon.status("voluntary_ctxt_switches:")? + daemon.status("nonvoluntary_ctxt_switches:")?)
    };
    let (ticks, ns, woken) = (cpu_ticks(daemon.pid())?, cpu_ns(daemon.pid())?, wakes()?);
    let minute = plan.pick(Duration::from_secs(60), Duration::from_secs(2));
    std::thread::sleep(minute);
    let ticks = cpu_ticks(daemon.pid())? - ticks;
    let us = (cpu_ns(daemon.pid())? - ns) / 1e3;
    let woken = (wakes()? - woken) as f64;
    Ok(vec![
        Row::new("CPU of an idle daemon in a minute", "ticks of 10 ms", Figure::once(ticks))
            .goal(Goal::AtMost(0.0))
            .note(format!("{us:.0} us in all")),
        Row::new("wake-ups of an idle daemon in a minute, without watchdog", "times", Figure::once(woken))
            .goal(Goal::AtMost(0.0)),
    ]
    .into())
}
