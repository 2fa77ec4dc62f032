//! Power cuts at every sync of a recorded workload and between any two operations: what was answered is there, and every
//! record arrives once.
#![expect(clippy::expect_used, reason = "whatever is unexpected here fails the test")]

#[path = "harness.rs"]
mod harness;

use heartbeat_runtime::store::Durability;

use harness::folder;
use harness::random::Random;
use harness::supply::Lies;
use harness::verdict::{Broken, Judge, Plan, Tally};
use harness::workload::{Honesty, Workload};

const PLAN: Plan = Plan { at_syncs: 3, elsewhere_per_mille: 100, goes_on_one_in: 16, again_one_in: 8 };

/// Where something is known to be wrong, it is found sooner.
const FEW: Plan = Plan { at_syncs: 1, elsewhere_per_mille: 30, goes_on_one_in: 4, again_one_in: 50 };

/// Cuts of so many workloads, and what did not hold.
fn cuts(purpose: &str, honesty: Honesty, plan: Plan, seeds: u64) -> (Tally, Vec<Broken>) {
    let folder = folder(purpose);
    let (mut tally, mut found) = (Tally::default(), Vec::new());
    for seed in 0..seeds {
        let workload = Workload::record(&folder, seed, honesty);
        let mut judge = Judge::new(&workload, plan, Random::new(!seed));
        for (place, broken) in judge.judge() {
            eprintln!("seed {seed}, after {place} of {} operations: {broken:?}", workload.orders.len());
            found.push(broken);
        }
        tally.add(judge.tally);
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
    (tally, found)
}

#[test]
fn after_any_power_cut_what_was_answered_is_there_and_every_record_arrives_once() {
    let (tally, broken) = cuts("honest", Honesty::default(), PLAN, 2);
    assert_eq!(broken, [], "{tally:?}");
    let losses = tally.losses;
    assert!(tally.alike < tally.cuts / 2, "{tally:?}");
    assert!(tally.cuts > 2_000 && tally.promises > 10_000 && tally.records > 1_000, "{tally:?}");
    assert!(losses.lost > 1_000 && losses.torn > 100 && losses.reordered > 100, "{tally:?}");
    assert!(losses.names > 10 && tally.again > 100, "{tally:?}");
}

#[test]
fn with_normal_durability_answers_may_be_lost_and_the_database_never_is() {
    let honesty = Honesty { durability: Durability::Normal, ..Honesty::default() };
    let (tally, broken) = cuts("normal", honesty, FEW, 1);
    let count = |is: fn(&Broken) -> bool| broken.iter().filter(|broken| is(broken)).count();
    let lost = count(|broken| matches!(broken, Broken::PromiseLost(_) | Broken::Behind(_)));
    assert!(lost > 0, "{tally:?}");
    assert_eq!(broken.len(), lost, "{tally:?}");
}

#[test]
fn after_a_sync_that_failed_the_next_daemon_loses_nothing_that_it_answers() {
    let honesty = Honesty { a_sync_fails: true, ..Honesty::default() };
    let (tally, broken) = cuts("failing", honesty, FEW, 1);
    assert_eq!(broken, [], "{tally:?}");
}

#[test]
fn a_log_that_is_torn_zeroed_or_scratched_anywhere_leaves_the_commits_before() {
    let folder = folder("torn");
    let workload = Workload::record(&folder, 3, Honesty::default());
    let (count, broken) = workload.judge_torn_logs(1_031);
    assert_eq!(broken, []);
    assert!(count > 100, "{count}");
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn damage_of_any_page_is_named_wherever_it_is_met_and_nothing_is_reset() {
    let folder = folder("pages");
    let workload = Workload::record(&folder, 4, Honesty::default());
    for seed in 0..4 {
        let (found, broken) = workload.judge_damaged_pages(&mut Random::new(seed));
        assert_eq!(broken, [], "{found:?}");
        assert!(found.reported > 50 && found.at_start > 10 && found.in_rounds > 10, "{found:?}");
    }
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_found_to_lose_what_was_answered() {
    let lies = Lies { syncs: true, folder_syncs: false };
    let (tally, broken) = cuts("lying", Honesty { lies, ..Honesty::default() }, FEW, 1);
    assert!(broken.iter().any(|broken| matches!(broken, Broken::PromiseLost(_))), "{tally:?}");
}

#[test]
fn without_syncs_of_folders_new_files_are_found_to_be_lost() {
    let lies = Lies { syncs: false, folder_syncs: true };
    let (tally, broken) = cuts("folders", Honesty { lies, ..Honesty::default() }, FEW, 1);
    assert!(broken.iter().any(|broken| matches!(broken, Broken::PromiseLost(_))), "{tally:?}");
}

#[test]
fn without_syncs_of_a_sink_s_file_before_its_cursor_records_are_found_to_be_lost() {
    let honesty = Honesty { files_are_synced: false, ..Honesty::default() };
    let (tally, broken) = cuts("files", honesty, FEW, 1);
    let is_of_records = |broken: &Broken| matches!(broken, Broken::Record(_) | Broken::Stuck(_));
    assert!(!broken.is_empty() && broken.iter().all(is_of_records), "{broken:?}, {tally:?}");
}
