//! Heartbeats that find nothing due: the CPU of each, and how many a second.

use std::net::SocketAddr;
use std::time::Duration;

use super::Plan;
use crate::Outcome;
use crate::daemon::{Config, Daemon, now_s, secret};
use crate::filled::{self, Fill};
use crate::floors::Answering;
use crate::load::{Manner, Requests, closed_loop};
use crate::measure::{Contender, Figure, in_turns, percentile, sorted};
use crate::open_loop::latencies_ms;
use crate::peers::{Peer, nginx};
use crate::process::cpu_ns;
use crate::row::{Found, Goal, Row};

/// From one heartbeat to the next where they come at an even rate.
const EVERY: Duration = Duration::from_micros(500);

/// What one round of load on somebody told.
pub(super) struct Load {
    pub(super) cpu_us: f64,
    pub(super) per_second: f64,
}

/// Sends so many signed heartbeats, and tells what each cost the process.
pub(super) fn load(pid: u32, to: SocketAddr, manner: Manner, count: usize) -> Outcome<Load> {
    let requests = Requests::heartbeats(count, &secret(), now_s(), None);
    load_with(pid, to, manner, &requests)
}

pub(super) fn load_with(pid: u32, to: SocketAddr, manner: Manner, requests: &Requests) -> Outcome<Load> {
    let before = cpu_ns(pid)?;
    let time = closed_loop(to, manner, requests)?;
    let count = requests.len() as f64;
    Ok(Load { cpu_us: (cpu_ns(pid)? - before) / 1e3 / count, per_second: count / time.as_secs_f64() })
}

/// A figure of each round.
pub(super) fn figures(rounds: &[Load], of: fn(&Load) -> f64) -> Figure {
    Figure::of(rounds.iter().map(of))
}

/// Those who answer.
struct Field {
    few: Daemon,
    many: Daemon,
    bare: Answering,
    nginx: Option<(Peer, u32)>,
}

impl Field {
    fn set_up(plan: &Plan) -> Outcome<Self> {
        let config = Config::default();
        let nginx = match nginx()? {
            Some(peer) => {
                let worker = peer.worker()?;
                Some((peer, worker))
            }
            None => None,
        };
        Ok(Self {
            few: filled::start(&config, Fill { flows: 1000, ..Fill::default() })?,
            many: filled::start(&config, Fill { flows: plan.pick(100_000, 10_000), ..Fill::default() })?,
            bare: Answering::start()?,
            nginx,
        })
    }

    /// Each one's rounds: of few flows, of many, of the bare loop, of nginx.
    fn measure(&self, rounds: usize, connections: usize, count: usize) -> Outcome<[Vec<Load>; 4]> {
        let manner = Manner::kept(connections);
        let of = |pid: u32, to: SocketAddr| -> Contender<'_, Load> {
            Box::new(move || load(pid, to, manner, count))
        };
        let mut contenders = vec![
            of(self.few.pid(), self.few.address()),
            of(self.many.pid(), self.many.address()),
            of(self.bare.pid(), self.bare.address),
        ];
        contenders.extend(self.nginx.as_ref().map(|(peer, worker)| of(*worker, peer.address)));
        in_turns(1, &mut contenders)?;
        let mut measured = in_turns(rounds, &mut contenders)?.into_iter();
        Ok(std::array::from_fn(|_| measured.next().unwrap_or_default()))
    }
}

/// The 50th, 99th and 99.9th percentile of answers, in microseconds.
type Waits = [f64; 3];

/// Heartbeats that come at an even rate, whatever the answers take.
fn waits(to: SocketAddr, count: usize) -> Outcome<Waits> {
    let requests = Requests::heartbeats(count, &secret(), now_s(), None);
    let waits = sorted(latencies_ms(to, 64, EVERY, &requests, || true)?);
    Ok([50.0, 99.0, 99.9].map(|percent| percentile(&waits, percent) * 1e3))
}

impl Field {
    fn waits(&self, plan: &Plan) -> Outcome<Vec<Row>> {
        let count = plan.pick(4_000, 500);
        let mut contenders: Vec<Contender<'_, Waits>> = vec![Box::new(|| waits(self.few.address(), count))];
        if let Some((peer, _)) = &self.nginx {
            contenders.push(Box::new(move || waits(peer.address, count)));
        }
        let measured = in_turns(plan.rounds(), &mut contenders)?;
        let row = |(index, words): (usize, &str)| {
            let of = |rounds: &Vec<Waits>| Figure::of(rounds.iter().map(|waits| waits[index]));
            let what = format!("{words} of an answer, from the intended time, 2,000 heartbeats a second");
            Row::new(what, "us", of(&measured[0])).beside(
                "nginx's fixed 200",
                measured.get(1).map(of).as_ref(),
                None,
            )
        };
        Ok([(0, "median"), (1, "99th percentile"), (2, "99.9th percentile")].into_iter().map(row).collect())
    }
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let field = Field::set_up(plan)?;
    let crowd = field.measure(plan.short_rounds(), 64, plan.pick(20_000, 2_000))?;
    let single = field.measure(plan.short_rounds(), 1, plan.pick(2_500, 500))?;
    let cpu: Vec<Figure> = crowd.iter().map(|rounds| figures(rounds, |load| load.cpu_us)).collect();
    let rate = |of: &[Vec<Load>; 4]| -> Vec<Figure> {
        of.iter().map(|rounds| figures(rounds, |load| load.per_second)).collect()
    };
    let nginx = |figures: &[Figure]| field.nginx.as_ref().map(|_| figures[3].clone());
    let mut rows = vec![
        Row::new("CPU per signed heartbeat, 64 kept connections, 1,000 flows", "us", cpu[0].clone())
            .beside("nginx's fixed 200", nginx(&cpu).as_ref(), Some(Goal::AtMost(1.0)))
            .beside("bare loop", Some(&cpu[2]), None),
        Row::new("the same with 100,000 flows", "us", cpu[1].clone()).beside(
            "1,000 flows",
            Some(&cpu[0]),
            Some(Goal::AtMost(1.1)),
        ),
    ];
    for (words, loads) in [("1 connection", &single), ("64 connections", &crowd)] {
        let rate = rate(loads);
        rows.push(
            Row::new(format!("heartbeats a second, {words}, 1,000 flows"), "/s", rate[0].clone())
                .beside("nginx's fixed 200", nginx(&rate).as_ref(), Some(Goal::AtLeast(1.0)))
                .beside("bare loop", Some(&rate[2]), None),
        );
    }
    rows.extend(field.waits(plan)?);
    Ok(rows.into())
}
