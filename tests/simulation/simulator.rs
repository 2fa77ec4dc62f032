//! A simulation of the daemon, by seed: the real runtime, HTTP core, gate, signatures and database, with virtual time,
//! callers, children and files, killed between any two steps of the tick and started again.
#![expect(clippy::expect_used, clippy::panic, reason = "whatever is unexpected here fails the simulation")]

mod agents;
mod alerts;
mod answers;
mod caller;
mod children;
mod counters;
#[expect(dead_code, reason = "the tests of power loss use the rest")]
mod disk;
mod flows;
mod folder;
mod grid;
mod happening;
mod invariants;
#[expect(dead_code, reason = "the tests of power loss use the rest")]
mod medium;
mod operator;
mod pipelines;
mod power;
mod process;
mod random;
mod reasons;
mod records;
mod round;
mod server;
#[expect(dead_code, reason = "the tests of power loss use the rest")]
mod supply;
pub(crate) mod telling;
mod told;
mod trouble;
mod vfs;
mod waking;
mod world;
mod writer;

use std::path::PathBuf;

use random::Random;
pub(crate) use telling::tell_of_failures;
pub(crate) use world::World;

/// Rounds of the loop with trouble, ...
const ROUNDS: u64 = 300;
/// ... and if somebody else chooses it, who will try many.
const ROUNDS_CHOSEN: u64 = 120;
/// Rounds after which it is looked whether everything is current again.
const ROUNDS_TO_A_LOOK: u64 = 16;
/// Rounds that the calm after it may take: far more than any needs.
const CALM_ROUNDS_MAX: u32 = 20_000;

/// Trouble, then calm, after which everything must be as if there had been none.
pub(crate) fn simulate(seed: u64, purpose: &str) -> World {
    run(World::new(seed, Random::new(seed), place(seed, purpose)), |world| world.trace.round < ROUNDS)
}

/// The same with trouble that somebody else chooses, as long as there are bytes to choose it by.
pub(crate) fn simulate_choices(bytes: &[u8], purpose: &str) -> World {
    let world = World::new(0, Random::of_bytes(bytes), place(0, purpose));
    run(world, |world| world.trace.round < ROUNDS_CHOSEN && world.random.is_chosen())
}

fn run(mut world: World, goes_on: impl Fn(&World) -> bool) -> World {
    while goes_on(&world) {
        world.round();
    }
    calm_down(&mut world);
    let (newest, calm_since_round) = (world.book().newest, world.trace.round);
    let recovery = world.time_to_recover();
    let opening = world.time_to_open(recovery);
    let until = world.elapsed + opening + recovery;
    // Nobody stays awake until the windows open.
    world.work_takes = opening;
    // Mostly no longer than it takes: the rest is spent on other seeds.
    let takes_all = world.random.one_in(8);
    rounds_until(&mut world, |world| {
        let rounds = world.trace.round - calm_since_round;
        let looks = !takes_all && rounds % ROUNDS_TO_A_LOOK == ROUNDS_TO_A_LOOK - 1;
        world.elapsed >= until || looks && what_is_not_current(world, newest).is_empty()
    });
    assert_eq!(what_is_not_current(&world, newest), [""; 0], "every flow is current again");
    // No more heartbeats: what is open ends, and then nothing happens any more.
    world.next_arrival = None;
    world.folder.settings.internal_heartbeat = None;
    if world.settings.internal_heartbeat.is_some() {
        world.die("KILLED, to start again without a heartbeat of its own");
    }
    let mut rounds = 0;
    while world.round() {
        rounds += 1;
        assert!(rounds < CALM_ROUNDS_MAX, "the loop comes to rest");
    }
    let now = world.now();
    world.book().look_at_everything(now);
    assert_eq!(world.book().open_runs(), 0, "every run reaches an end");
    world.judge_what_arrived();
    world.judge_what_was_told();
    world
}

fn calm_down(world: &mut World) {
    world.note("CALM".to_owned());
    world.calm = true;
    world.disk.calm_down();
    if world.clock_offset_ms != 0 {
        world.move_clock(0);
    }
    world.steps_to_live = None;
    world.next_arrival = Some(world.elapsed);
    world.free_database();
    world.supply.fail(None);
    // A daemon that is ending ends first, and is started again.
    rounds_until(world, |world| world.runtime.is_some() && !world.stopping);
    world.folder.put_in_order();
    world.reload();
    rounds_until(world, |world| world.operators.reloading.is_none());
    world.lift_holds();
}

fn rounds_until(world: &mut World, is_done: impl Fn(&World) -> bool) {
    for _ in 0..CALM_ROUNDS_MAX {
        if is_done(world) {
            return;
        }
        world.round();
    }
    panic!("that takes too long");
}

/// The flows that are overdue, or of which no run after this one has ended.
fn what_is_not_current(world: &World, newest: i64) -> Vec<String> {
    let Some(book) = &world.book else { return vec!["the daemon".to_owned()] };
    let mut found = book.overdue(world.true_ms(), world.lateness_ms_max());
    let ran = |name: &String| {
        let mut later = book.runs.range(newest + 1..).map(|(_, run)| run);
        later.any(|run| run.flow == *name && run.ended_at.is_some())
    };
    found.extend(book.runnable().into_iter().filter(|name| !ran(name)));
    found
}

fn place(seed: u64, purpose: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    parent.join(format!("heartbeat-simulation-{}-{purpose}-{seed}", std::process::id()))
}
