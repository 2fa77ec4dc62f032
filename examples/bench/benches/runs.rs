//! Runs of a command that does nothing, each on durable record before it starts and when it has ended.

use std::time::Instant;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, box_with, folder, quick_flows};
use crate::floors;
use crate::load::{Manner, closed_loop};
use crate::measure::{Contender, Figure, in_turns};
use crate::peers::{Peer, webhook, webhook_requests};
use crate::process::{Core, cpu_ns};
use crate::row::{Found, Goal, Row};

/// Runs a second, and the daemon's own CPU for each, in microseconds.
type Speed = (f64, f64);

fn of_daemon(runs: usize, at_a_time: usize) -> Outcome<Speed> {
    let folder = box_with(&Config::at_a_time(at_a_time), &quick_flows(runs))?;
    let daemon = Daemon::start_on(Core::Any, folder)?;
    let before = cpu_ns(daemon.pid())?;
    let start = Instant::now();
    daemon.beat(Some(60))?;
    let rate = runs as f64 / start.elapsed().as_secs_f64();
    Ok((rate, (cpu_ns(daemon.pid())? - before) / 1e3 / runs as f64))
}

fn of_bare_loop(runs: usize, at_a_time: usize) -> Outcome<Speed> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let database = folder.join("bare.db");
    let words = ["runs", &database.to_string_lossy(), &runs.to_string(), &at_a_time.to_string()];
    let rate = floors::run(Core::Any, &words);
    std::fs::remove_dir_all(&folder)?;
    Ok((rate?, f64::NAN))
}

fn of_webhook(peer: &Peer, runs: usize, at_a_time: usize) -> Outcome<Speed> {
    let before = cpu_ns(peer.pid())?;
    let time = closed_loop(peer.address, Manner::kept(at_a_time), &webhook_requests(runs)?)?;
    Ok((runs as f64 / time.as_secs_f64(), (cpu_ns(peer.pid())? - before) / 1e3 / runs as f64))
}

fn rows_for(plan: &Plan, at_a_time: usize, peer: Option<&Peer>) -> Outcome<Vec<Row>> {
    let runs = plan.pick(1000, 100);
    let mut contenders: Vec<Contender<'_, Speed>> =
        vec![Box::new(|| of_daemon(runs, at_a_time)), Box::new(|| of_bare_loop(runs, at_a_time))];
    if let Some(peer) = peer {
        contenders.push(Box::new(move || of_webhook(peer, runs, at_a_time)));
    }
    let measured = in_turns(plan.rounds(), &mut contenders)?;
    let rate =
        |index: usize| measured.get(index).map(|rounds| Figure::of(rounds.iter().map(|speed| speed.0)));
    let cpu = |index: usize| measured.get(index).map(|rounds| Figure::of(rounds.iter().map(|speed| speed.1)));
    let (floor, ahead) = if at_a_time == 1 { (0.75, None) } else { (0.85, Some(Goal::AtLeast(1.0))) };
    let ours = rate(0).ok_or("the daemon was measured")?;
    let own = cpu(0).ok_or("the daemon was measured")?;
    Ok(vec![
        Row::new(format!("heartbeat, record, /bin/true, end on record: {at_a_time} at a time"), "/s", ours)
            .beside("bare loop", rate(1).as_ref(), Some(Goal::AtLeast(floor)))
            .beside("webhook, which keeps no record", rate(2).as_ref(), ahead),
        Row::new(format!("own CPU of a run, {at_a_time} at a time, its process aside"), "us", own).beside(
            "webhook, which keeps no record",
            cpu(2).as_ref(),
            None,
        ),
    ])
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let peer = webhook()?;
    let mut rows = rows_for(plan, 16, peer.as_ref())?;
    rows.extend(rows_for(plan, 1, peer.as_ref())?);
    Ok(rows.into())
}
