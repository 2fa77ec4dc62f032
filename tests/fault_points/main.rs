//! Fault points: in the binary as it is, the Nth system call of a kind fails with a chosen error, once or from then on,
//! by strace(1). The daemon ends with a code and a sentence, or goes on; and nothing that it answered is lost. Nor is it where
//! the daemon is killed at that call.
//!
//! - `calls`: which calls fail, and how
//! - `trace`: strace over the daemon
//! - `scenes`: what the daemon does meanwhile
//! - `verdict`: what must hold then
//!
//! `HEARTBEAT_FAULT_POINTS` in the environment is how many points are tried: a number; `each`, which is each call once
//! and from then on, with its errors in turn, and killed; or `all`, which is each call with each of its errors.
//! `HEARTBEAT_FAULT_POINTS_SEED` chooses others; `HEARTBEAT_FAULT_POINTS_ONLY` is what the names of those that are tried
//! begin with, such as `run:openat:EMFILE:12+`.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod calls;
mod scenes;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use calls::{Point, points_at};
use scenes::{Act, SCENES, Scene};
use support::EdgeBox;
use support::daemon::Daemon;
use support::tools::can_inject;
use trace::{Tracing, calls_made, has_failed_a_call, let_go};
use verdict::{Outcome, all_is_there_and_goes_on, judge_end, recovers};

/// How many points a run of all tests tries.
const SAMPLE: usize = 80;
/// Most of a point's time is waiting.
const AT_ONCE: usize = 4;

/// A daemon in its scene, traced; or how it ended before it served.
fn start(scene: &Scene, edge_box: &EdgeBox, tracing: &Tracing) -> Result<Daemon, (ExitStatus, String)> {
    (scene.prepare)(edge_box);
    let daemon = Daemon::try_start(edge_box, |command| {
        command.arg("--dumpable");
        if scene.from_start {
            tracing.start(edge_box, command);
        }
    })?;
    if !scene.from_start {
        (scene.warm_up)(edge_box, &daemon);
        tracing.attach(edge_box, &daemon);
    }
    Ok(daemon)
}

/// Every point of a scene, by a first run in which nothing fails.
fn points_of(scene: &'static Scene) -> Vec<Point> {
    let edge_box = EdgeBox::new();
    let tracing = Tracing::counting().with_threads(scene.threads);
    let mut daemon = start(scene, &edge_box, &tracing).expect("it starts where nothing fails");
    let mut act = Act::new(&edge_box, &mut daemon, false);
    (scene.act)(&mut act);
    assert!(act.wrong.is_empty(), "{:?}", act.wrong);
    if daemon.lives() {
        daemon.stop();
    }
    let made = calls_made(&edge_box);
    made.iter().flat_map(|(kind, calls)| points_at(scene.name, kind, calls)).collect()
}

fn try_point(point: &Point) -> Result<Outcome, String> {
    let scene = SCENES.iter().find(|scene| scene.name == point.scene).expect("a scene of this name");
    let edge_box = EdgeBox::new();
    let tracing = Tracing::failing(point).with_threads(scene.threads);
    let mut named = Vec::new();
    let outcome = match start(scene, &edge_box, &tracing) {
        Err((status, log)) => judge_end(point, status, &log)?,
        Ok(mut daemon) => {
            let mut act = Act::new(&edge_box, &mut daemon, point.from_then_on);
            (scene.act)(&mut act);
            if !point.kills() && !has_failed_a_call(&edge_box) {
                return Ok(Outcome::NotReached);
            }
            named = std::mem::take(&mut act.named);
            if !act.wrong.is_empty() {
                return Err(format!("{}\n{}", act.wrong.join("\n"), daemon.log()));
            }
            let_go(&mut daemon);
            if scene.name != "stop" && recovers(&mut daemon) {
                daemon.signal(rustix::process::Signal::TERM);
            }
            judge_end(point, daemon.ended(), &daemon.log())?
        }
    };
    all_is_there_and_goes_on(&edge_box, point, &named);
    Ok(outcome)
}

/// splitmix64: enough to choose a sample.
fn shuffle(points: &mut [Point], seed: u64) {
    let mut state = seed;
    for end in (1..points.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        points.swap(end, usize::try_from((mixed >> 33) % (end as u64 + 1)).expect("it is below the length"));
    }
}

/// What was asked for, of all points.
fn chosen(mut points: Vec<Point>) -> Vec<Point> {
    let asked = |name: &str| std::env::var(format!("HEARTBEAT_FAULT_POINTS{name}")).ok();
    let only = asked("_ONLY");
    points.retain(|point| only.as_ref().is_none_or(|only| point.to_string().starts_with(only)));
    let seed =
        asked("_SEED").map_or(7, |seed| seed.parse().expect("HEARTBEAT_FAULT_POINTS_SEED is a number"));
    shuffle(&mut points, seed);
    match asked("").as_deref() {
        Some("all") => points,
        Some("each") => one_of_each(points, |point| (point.scene, point.call, point.at, point.how())),
        Some(number) => {
            points.truncate(number.parse().expect("HEARTBEAT_FAULT_POINTS is a number, each or all"));
            points
        }
        None if only.is_some() => points,
        // Of each kind of call one: most points are writes.
        None => {
            let mut points = one_of_each(points, |point| (point.call, point.how()));
            points.truncate(SAMPLE);
            points
        }
    }
}

/// The first of all that have the same key.
fn one_of_each<K: Ord>(points: Vec<Point>, key: impl Fn(&Point) -> K) -> Vec<Point> {
    let mut seen = BTreeSet::new();
    points.into_iter().filter(|point| seen.insert(key(point))).collect()
}

/// Told also of a test that passes.
fn tell(what: &str) {
    let _nobody_reads_it = writeln!(std::io::stderr(), "{what}");
}

#[test]
fn whichever_call_fails_the_daemon_ends_with_a_sentence_or_goes_on_and_loses_nothing() {
    if !can_inject() {
        return;
    }
    let all: Vec<Point> = SCENES.iter().flat_map(points_of).collect();
    let of_all = all.len();
    let points = chosen(all);
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<BTreeMap<Outcome, usize>> = Mutex::default();
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
            let tried = catch_unwind(AssertUnwindSafe(|| try_point(point)));
            match tried.unwrap_or_else(|panic| Err(words_of(&*panic))) {
                Ok(outcome) => {
                    *outcomes.lock().expect("no panic holds it").entry(outcome).or_default() += 1;
                }
                Err(why) => {
                    tell(&format!("FAILED {point}: {why}"));
                    failures.lock().expect("no panic holds it").push(point.to_string());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let outcomes = outcomes.into_inner().expect("no panic holds it");
    let failures = failures.into_inner().expect("no panic holds it");
    tell(&format!("{} fault points of {of_all}: {outcomes:?}", points.len()));
    assert!(failures.is_empty(), "{} points failed:\n{}", failures.len(), failures.join("\n"));
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
