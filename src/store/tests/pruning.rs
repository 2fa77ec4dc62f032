//! How a flow's history is kept within its bound, though it is gone through only now and then.

use super::*;

/// Lets a flow's run end, and the history be cut back as after a round with so many ends of it; how long that is then.
fn end_in_rounds_of(store: &mut Store, flow: FlowId, kept: Kept, then: Then, ends: &[End]) -> i64 {
    let mut next = None;
    for end in ends {
        let run = match next {
            Some((run, _)) => run,
            None => record(store, flow).unwrap(),
        };
        store.start_run(run, NOW).unwrap();
        next = store.end_run_then(run, Status::InProgress, end, then, NOW).unwrap();
    }
    if let Some((run, _)) = next {
        store.end_run(run, Status::Pending, &failed(ErrorKind::Cancelled), NOW).unwrap();
    }
    let ended = ends.len() + usize::from(next.is_some());
    if store.is_to_be_pruned(flow, ended, kept).unwrap() {
        store.prune_flow(flow, kept).unwrap();
    }
    let count = "SELECT count(*) FROM data_flow_runs WHERE data_flow_id = ?1";
    store.query_one("count", count, [flow.0], |row| row.get(0)).unwrap()
}

fn failed(kind: ErrorKind) -> End {
    End::without_process(kind, "it failed")
}

#[test]
fn a_history_never_exceeds_its_bound_by_whatever_ends_it_grows() {
    let folder = Folder::new("pruning");
    let mut store = folder.open();
    store.begin().unwrap();
    let retry = Then::Retry { not_before: NOW };
    for (name, runs_per_flow, then, ends) in [
        ("successes", 200, Then::Nothing, vec![succeeded(1)]),
        ("failures", 200, Then::Nothing, vec![failed(ErrorKind::ExitStatus)]),
        ("in-pairs", 200, Then::Nothing, vec![succeeded(1), failed(ErrorKind::Timeout)]),
        ("attempts", 200, retry, vec![failed(ErrorKind::Signal), failed(ErrorKind::Signal)]),
        ("short", 4, Then::Nothing, vec![failed(ErrorKind::Spawn)]),
        ("odd", 35, Then::Nothing, vec![succeeded(1)]),
    ] {
        let flow = add(&mut store, name);
        let kept = Kept::of(runs_per_flow);
        let bound = i64::try_from(runs_per_flow).unwrap();
        let lengths: Vec<i64> =
            (0..2 * runs_per_flow).map(|_| end_in_rounds_of(&mut store, flow, kept, then, &ends)).collect();
        let longest = *lengths.iter().max().unwrap();
        assert!(longest <= bound, "{name}: {longest} of {bound}");
        // A round with several ends may be cut back before there is need.
        let wanted = if ends[0].error.is_some() { bound } else { bound - bound / 4 };
        let spared = i64::try_from(kept.every).unwrap() + 2;
        assert!(
            *lengths.last().unwrap() > wanted - spared,
            "{name}: {} of {wanted}",
            lengths.last().unwrap()
        );
    }
    store.commit().unwrap();
}

#[test]
fn most_ends_of_runs_do_not_go_through_the_history() {
    let folder = Folder::new("pruning-seldom");
    let mut store = folder.open();
    store.begin().unwrap();
    let (flow, kept) = (add(&mut store, "it"), Kept::of(200));
    let times = (0..80)
        .filter(|_| {
            let run = record(&mut store, flow).unwrap();
            store.start_run(run, NOW).unwrap();
            store.end_run(run, Status::InProgress, &succeeded(1), NOW).unwrap();
            store.is_to_be_pruned(flow, 1, kept).unwrap()
        })
        .count();
    assert_eq!(times, 10);
}
