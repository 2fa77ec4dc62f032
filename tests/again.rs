//! Runs that are run again: after a failure, as often as the flow says, and after an interruption, where it says so.

mod support;

use support::edge_box::Run;
use support::{EdgeBox, eventually, until};

const FAILS_TWICE: &str = "echo try >> tries; [ $(wc -l < tries) -ge 3 ]";

fn box_with(keys: &str, script: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.script("it", keys, script);
    edge_box
}

/// So many runs, all ended.
fn ended_runs(edge_box: &EdgeBox, count: usize) -> Vec<Run> {
    eventually(&format!("{count} runs have ended"), || {
        let runs = edge_box.runs();
        (runs.len() == count && runs.iter().all(|run| run.ended_at.is_some())).then_some(runs)
    })
}

fn consecutive_failures(edge_box: &EdgeBox) -> i64 {
    edge_box.number("SELECT consecutive_failures FROM data_flows")
}

#[test]
fn a_run_that_fails_is_tried_again_until_it_succeeds_and_its_flow_never_failed() {
    let edge_box = box_with("retry = { attempts = 5, backoff = \"40ms\" }", FAILS_TWICE);
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
    let runs = ended_runs(&edge_box, 3);
    assert_eq!(runs.iter().map(|run| run.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        runs.iter().map(|run| run.status.as_str()).collect::<Vec<_>>(),
        ["failed", "failed", "success"]
    );
    assert!(runs.iter().all(|run| run.scheduled_at == runs[0].scheduled_at), "{runs:?}");
    for pair in runs.windows(2) {
        let waited = pair[1].started_at.zip(pair[0].ended_at).map(|(start, end)| start - end);
        assert!(waited.is_some_and(|waited| waited >= 20), "at least half the backoff: {pair:?}");
    }
    assert_eq!(consecutive_failures(&edge_box), 0);
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flows WHERE last_run_status = 'success'"), 1);
}

#[test]
fn attempts_end_and_then_the_flow_has_failed_once() {
    let edge_box = box_with("retry = { attempts = 3, backoff = \"1ms\" }", "exit 4");
    let daemon = edge_box.start();
    daemon.beat();
    assert_eq!(ended_runs(&edge_box, 3)[2].exit_code, Some(4));
    assert_eq!(consecutive_failures(&edge_box), 1);
    assert_eq!(daemon.beat().count("flows_due"), 0);
    assert_eq!(edge_box.runs().len(), 3, "there is no fourth");
}

#[test]
fn a_program_that_is_missing_and_a_time_out_are_tried_again_as_well() {
    for (keys, script, kind) in
        [("", "/nowhere/to/be/found", "spawn"), ("timeout = \"50ms\"", "sleep 60", "timeout")]
    {
        let edge_box = EdgeBox::new();
        let argv = script.replace(' ', "\", \"");
        let text = format!(
            "{keys}\nretry = {{ attempts = 2, backoff = \"1ms\" }}\n[command]\nargv = [\"{argv}\"]\n"
        );
        edge_box.flow("it", &text);
        let daemon = edge_box.start();
        daemon.beat();
        let runs = ended_runs(&edge_box, 2);
        assert!(runs.iter().all(|run| run.error_kind.as_deref() == Some(kind)), "{runs:?}");
    }
}

#[test]
fn an_attempt_that_waits_holds_its_flow_and_takes_no_slot() {
    let edge_box = box_with(
        "run_interval = \"1s\"\nretry = { attempts = 2, backoff = \"1h\", backoff_cap = \"1h\" }",
        "false",
    );
    edge_box.script("other", "run_interval = \"1s\"", "true");
    edge_box.configure("max_concurrent_runs = 1\n");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    until("the second attempt waits", || edge_box.runs().iter().any(|run| run.attempt == 2));
    edge_box.ended_run("other");
    let answer = eventually("both are due", || {
        let answer = daemon.beat();
        (answer.count("flows_due") == 2).then_some(answer)
    });
    assert_eq!((answer.count("flows_triggered"), answer.count("flows_skipped")), (1, 1), "{answer:?}");
    assert_eq!(edge_box.ended_run("other").status, "success");
}

#[test]
fn an_attempt_that_waits_is_not_lost_when_the_daemon_is_killed() {
    let edge_box = box_with("retry = { attempts = 2, backoff = \"300ms\" }", "false");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("the second attempt waits", || edge_box.runs().len() == 2);
    daemon.kill();
    let _daemon = edge_box.start();
    let runs = ended_runs(&edge_box, 2);
    assert_eq!((runs[1].attempt, runs[1].error_kind.as_deref()), (2, Some("exit_status")));
}

#[test]
fn a_flow_that_asks_for_it_is_run_again_after_an_interruption_and_no_other_is() {
    let edge_box =
        box_with("rerun_interrupted = true", "echo $HEARTBEAT_ATTEMPT >> asked; [ -e go ] || sleep 60");
    edge_box.script("silent", "", "echo once >> silent; [ -e go ] || sleep 60");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("both run", || !edge_box.read("asked").is_empty() && !edge_box.read("silent").is_empty());
    daemon.kill();
    edge_box.write("go", "");
    let _daemon = edge_box.start();
    let runs = ended_runs(&edge_box, 3);
    let again: Vec<&Run> = runs.iter().filter(|run| run.rerun == 1).collect();
    assert_eq!(again.len(), 1, "{runs:?}");
    assert_eq!((again[0].flow.as_str(), again[0].attempt, again[0].status.as_str()), ("it", 1, "success"));
    assert_eq!(edge_box.read("silent"), "once\n");
}

#[test]
fn what_takes_the_daemon_down_each_time_is_not_run_for_ever() {
    let edge_box = box_with("rerun_interrupted = true", "echo run >> runs; sleep 60");
    for lives in 1..=5 {
        let mut daemon = edge_box.start();
        daemon.beat();
        if lives <= 4 {
            until("it runs", || edge_box.read("runs").lines().count() == lives);
        }
        daemon.kill();
    }
    let _daemon = edge_box.start();
    let runs = ended_runs(&edge_box, 4);
    assert_eq!(runs.iter().map(|run| run.rerun).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn a_run_that_the_shutdown_cuts_short_is_recorded_to_run_again_after_the_restart() {
    let edge_box = box_with("rerun_interrupted = true", "echo run >> runs; [ -e go ] || sleep 60");
    edge_box.configure("shutdown_timeout = \"0s\"\n");
    let mut daemon = edge_box.start();
    daemon.beat();
    until("it runs", || !edge_box.read("runs").is_empty());
    assert_eq!(daemon.stop().code(), Some(0));
    let runs = edge_box.runs();
    assert_eq!(runs.iter().map(|run| run.status.as_str()).collect::<Vec<_>>(), ["failed", "pending"]);
    edge_box.write("go", "");
    let _daemon = edge_box.start();
    assert_eq!(ended_runs(&edge_box, 2)[1].status, "success");
}
