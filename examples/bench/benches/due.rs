//! Heartbeats that start runs: the time to the answer, which is sent when they are on durable record.

use std::time::{Duration, Instant};

use super::Plan;
use super::heartbeats::{Load, figures, load};
use crate::Outcome;
use crate::daemon::{Config, Daemon, folder};
use crate::filled::{self, Fill};
use crate::floors;
use crate::load::Manner;
use crate::measure::{Contender, Figure, in_turns};
use crate::process::{Core, cpu_ns};
use crate::row::{Found, Goal, Row};

/// A daemon whose due flows are due again each second.
pub(super) struct Beaten {
    pub(super) daemon: Daemon,
    due: usize,
    database: rusqlite::Connection,
    last: Option<Instant>,
}

/// What one heartbeat cost.
#[derive(Clone, Copy)]
pub(super) struct Answered {
    pub(super) ms: f64,
    /// The daemon's, until the answer was there.
    answer_cpu_ms: f64,
    /// The daemon's, until its runs have ended.
    pub(super) cpu_ms: f64,
}

impl Beaten {
    pub(super) fn start(fill: Fill) -> Outcome<Self> {
        let config = Config::at_a_time(16).top("max_claims_per_heartbeat = 100000\n");
        let daemon = filled::start(&config, fill)?;
        let database = daemon.database()?;
        let mut beaten = Self { daemon, due: fill.due_each_second, database, last: None };
        beaten.beat()?;
        Ok(beaten)
    }

    /// Waits until all are due, beats, and waits for the runs to end.
    pub(super) fn beat(&mut self) -> Outcome<Answered> {
        // Run times are counted from those before: they may lie a second after a heartbeat that came late.
        let pause = Duration::from_millis(1050);
        if let Some(last) = self.last {
            std::thread::sleep(pause.saturating_sub(last.elapsed()));
        }
        let before = cpu_ns(self.daemon.pid())?;
        let start = Instant::now();
        let answer = self.daemon.ask(None)?;
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let answer_cpu_ms = (cpu_ns(self.daemon.pid())? - before) / 1e6;
        self.last = Some(start);
        if !answer.contains(&format!("\"flows_triggered\":{},", self.due)) {
            return Err(format!("{} flows were to be due: {answer}", self.due).into());
        }
        let mut open = self.database.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM data_flow_runs WHERE status IN ('pending', 'in_progress'))",
        )?;
        while open.query_row([], |row| row.get::<_, bool>(0))? {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Answered { ms, answer_cpu_ms, cpu_ms: (cpu_ns(self.daemon.pid())? - before) / 1e6 })
    }
}

pub(super) fn latency(answered: &[Answered]) -> Figure {
    Figure::of(answered.iter().map(|answered| answered.ms))
}

fn cpu(answered: &[Answered]) -> Figure {
    Figure::of(answered.iter().map(|answered| answered.cpu_ms))
}

pub(super) fn run(plan: &Plan) -> Outcome<Found> {
    let mut rows = beside_a_commit(plan)?;
    rows.push(a_thousand(plan)?);
    let samples = plan.pick(25, 2);
    let many = plan.pick(100_000, 10_000);
    let fill = |flows, runs| Fill { flows, runs, due_each_second: 10, ..Fill::default() };
    let [few, lots] = both(samples, fill(100, 0), fill(many, 0))?;
    rows.extend(pair("10 due among 100,000 flows", &lots, "10 due among 100", &few, 1.2));
    let (among, history) = plan.pick((10_000, 1_000_000), (1000, 10_000));
    let [without, with] = both(samples, fill(among, 0), fill(among, history))?;
    rows.extend(pair(
        "10 due among 10,000 flows with 1,000,000 runs of history",
        &with,
        "without history",
        &without,
        1.1,
    ));
    rows.push(idle_with_history(plan, among, history)?);
    Ok(rows.into())
}

fn both(samples: usize, left: Fill, right: Fill) -> Outcome<[Vec<Answered>; 2]> {
    let (mut left, mut right) = (Beaten::start(left)?, Beaten::start(right)?);
    let mut contenders: [Contender<'_, Answered>; 2] = [Box::new(|| left.beat()), Box::new(|| right.beat())];
    let mut measured = in_turns(samples, &mut contenders)?.into_iter();
    Ok(std::array::from_fn(|_| measured.next().unwrap_or_default()))
}

fn pair(what: &str, ours: &[Answered], beside: &str, theirs: &[Answered], most: f64) -> [Row; 2] {
    let goal = Some(Goal::AtMost(most));
    [
        Row::new(format!("time to the durable answer, {what}"), "ms", latency(ours)).beside(
            beside,
            Some(&latency(theirs)),
            goal,
        ),
        Row::new(format!("CPU of that heartbeat and its runs, {what}"), "ms", cpu(ours)).beside(
            beside,
            Some(&cpu(theirs)),
            goal,
        ),
    ]
}

/// One due flow against what its durability alone costs.
fn beside_a_commit(plan: &Plan) -> Outcome<Vec<Row>> {
    let mut beaten = Beaten::start(Fill { flows: 100, due_each_second: 1, ..Fill::default() })?;
    let mut contenders: [Contender<'_, f64>; 2] =
        [Box::new(|| Ok(beaten.beat()?.ms)), Box::new(|| commit_ms(plan.pick(50, 10)))];
    let measured = in_turns(plan.pick(11, 2), &mut contenders)?;
    let [ours, bare] = [0, 1].map(|index| Figure::of(measured[index].iter().copied()));
    Ok(vec![Row::new("time to the durable answer, 1 due among 100 flows", "ms", ours).beside(
        "bare SQLite commit",
        Some(&bare),
        None,
    )])
}

fn commit_ms(count: usize) -> Outcome<f64> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let database = folder.join("bare.db");
    let ms = floors::run(Core::Measured, &["commits", &database.to_string_lossy(), &count.to_string()]);
    std::fs::remove_dir_all(&folder)?;
    ms
}

fn a_thousand(plan: &Plan) -> Outcome<Row> {
    let mut beaten = Beaten::start(Fill { flows: 1001, due_each_second: 1000, ..Fill::default() })?;
    let answered = (0..plan.pick(9, 1)).map(|_| beaten.beat()).collect::<Outcome<Vec<_>>>()?;
    let cpu = Figure::of(answered.iter().map(|answered| answered.answer_cpu_ms));
    Ok(Row::new("time to the durable answer, 1,000 due flows", "ms", latency(&answered))
        .goal(Goal::AtMost(15.0))
        .note(format!(
            "of it {:.1} ms are the daemon's CPU; the rest is the sync, and waiting for a core",
            cpu.median()
        )))
}

fn idle_with_history(plan: &Plan, flows: usize, runs: usize) -> Outcome<Row> {
    let config = Config::default();
    let without = filled::start(&config, Fill { flows, ..Fill::default() })?;
    let with = filled::start(&config, Fill { flows, runs, ..Fill::default() })?;
    let count = plan.pick(20_000, 2_000);
    let of = |daemon: &Daemon| load(daemon.pid(), daemon.address(), Manner::kept(64), count);
    let mut contenders: [Contender<'_, Load>; 2] = [Box::new(|| of(&without)), Box::new(|| of(&with))];
    in_turns(1, &mut contenders)?;
    let measured = in_turns(plan.rounds(), &mut contenders)?;
    let [without, with] = [0, 1].map(|index| figures(&measured[index], |load| load.cpu_us));
    Ok(Row::new("CPU per signed heartbeat with nothing due, 1,000,000 runs of history", "us", with).beside(
        "without history",
        Some(&without),
        Some(Goal::AtMost(1.1)),
    ))
}
