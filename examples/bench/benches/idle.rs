//! A daemon that nobody calls: its CPU and its wake-ups.

use std::time::Duration;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, quick_flows};
use crate::measure::Figure;
use crate::process::{cpu_ns, cpu_ticks};
use crate::row::{Found, Goal, Row};

/// What happened to the daemon within a time.
struct Slept {
    ticks: f64,
    us: f64,
    wakes: f64,
}

fn sleep(daemon: &Daemon, time: Duration) -> Outcome<Slept> {
    let wakes = || -> Outcome<f64> { Ok(daemon.status("voluntary_ctxt_switches:")? as f64) };
    let (ticks, ns, woken) = (cpu_ticks(daemon.pid())?, cpu_ns(daemon.pid())?, wakes()?);
    std::thread::sleep(time);
    Ok(Slept {
        ticks: cpu_ticks(daemon.pid())? - ticks,
        us: (cpu_ns(daemon.pid())? - ns) / 1e3,
        wakes: wakes()? - woken,
    })
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let daemon = Daemon::start(&Config::default(), &quick_flows(100))?;
    daemon.settle()?;
    std::thread::sleep(plan.pick(Duration::from_secs(3), Duration::from_millis(500)));
    let minute = plan.pick(Duration::from_secs(60), Duration::from_secs(1));
    // Within it the time-out of the last connection runs down, though the caller is gone.
    let first = sleep(&daemon, minute)?;
    let second = sleep(&daemon, minute)?;
    Ok(vec![
        Row::new("CPU of an idle daemon in a minute", "ticks of 10 ms", Figure::once(second.ticks))
            .goal(Goal::AtMost(0.0))
            .note(format!("{:.0} us in all", second.us)),
        Row::new(
            "wake-ups of an idle daemon in a minute, without watchdog",
            "times",
            Figure::once(second.wakes),
        )
        .goal(Goal::AtMost(0.0))
        .note(format!(
            "in the minute before, the first after the last caller: {:.0} times, {:.0} ticks, {:.0} us",
            first.wakes, first.ticks, first.us
        )),
    ]
    .into())
}
