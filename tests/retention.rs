//! What is kept of the past, by count, age and size, and that nothing forgotten is believed again.

mod support;

use support::edge_box::Run;
use support::heartbeat::{Heartbeat, now_s};
use support::operator::Operator;
use support::{EdgeBox, eventually, until};

const DAY_MS: i64 = 86_400_000;

/// A box whose one flow has run so often already, each run `age_ms` old and with so many bytes of output; every third
/// of them failed.
fn box_with_a_past(settings: &str, flow: &str, runs: i64, age_ms: i64, output_bytes: usize) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure(settings);
    edge_box.flow("it", flow);
    edge_box.start().stop();
    let at = now_s() * 1000 - age_ms;
    let each = |number: i64| {
        let end = match number % 3 {
            0 => "status = 'failed', error_kind = 'exit_status', exit_code = 1",
            _ => "status = 'success', exit_code = 0",
        };
        format!(
            "INSERT INTO data_flow_runs (data_flow_id, scheduled_at, created_at, updated_at) VALUES (1, {at}, {at}, {at});
             UPDATE data_flow_runs SET status = 'in_progress', started_at = {at} WHERE status = 'pending';
             UPDATE data_flow_runs SET {end}, ended_at = {at}, duration_ms = 0,
               output = hex(zeroblob({})) WHERE status = 'in_progress';",
            output_bytes / 2
        )
    };
    let past: String = (1..=runs).map(each).collect();
    edge_box.edit(&format!("PRAGMA journal_mode = MEMORY; BEGIN; {past} COMMIT; PRAGMA journal_mode = WAL;"));
    edge_box
}

fn failures(runs: &[Run]) -> usize {
    runs.iter().filter(|run| run.status == "failed").count()
}

/// Bytes of the database's file and its log.
fn size_on_disk(edge_box: &EdgeBox) -> u64 {
    let length = |name| edge_box.path(name).metadata().map_or(0, |file| file.len());
    length("heartbeat.db") + length("heartbeat.db-wal")
}

#[test]
fn the_newest_runs_of_a_flow_are_kept_and_failures_for_longer() {
    let flow = "retry = { attempts = 12, backoff = \"0s\" }\n[command]\nargv = [\"true\"]\n";
    let edge_box = box_with_a_past("[history]\nruns_per_flow = 8\n", flow, 30, 0, 0);
    edge_box.flow("it", &flow.replace("\"true\"", "\"sh\", \"-c\", \"exit $((HEARTBEAT_ATTEMPT < 12))\""));
    let daemon = edge_box.start();
    daemon.beat();
    let runs = eventually("the last attempt has ended", || {
        let runs = edge_box.runs();
        runs.iter().any(|run| run.attempt == 12 && run.status == "success").then_some(runs)
    });
    assert_eq!(runs.len(), 8, "{runs:?}");
    let (older, newest) = runs.split_at(2);
    assert_eq!(failures(older), 2, "of what is older than the newest six, failures: {older:?}");
    assert_eq!(newest.iter().map(|run| run.id).collect::<Vec<_>>(), (37..=42).collect::<Vec<_>>());
    assert_eq!(
        edge_box.number("SELECT failed * 1000 + success FROM flow_days"),
        11_001,
        "the long view has all of them"
    );
}

#[test]
fn runs_that_never_started_are_kept_no_longer_than_others() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\n[history]\nruns_per_flow = 4\n");
    edge_box.script("busy", "", "exec sleep 1000");
    edge_box.script("it", "", "true");
    let _daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.ask("POST /flows/busy/runs");
    for _ in 0..12 {
        let run = operator.ask("POST /flows/it/runs").json();
        let cancelled = operator.ask(&format!("POST /runs/{}/cancel", run["id"])).json();
        assert_eq!(cancelled["error_kind"], "cancelled", "{cancelled}");
    }
    let of_it = "FROM data_flow_runs WHERE error_kind = 'cancelled'";
    assert_eq!(edge_box.number(&format!("SELECT count(*) {of_it}")), 4);
    assert_eq!(edge_box.number(&format!("SELECT max(id) - min(id) {of_it}")), 3, "the newest");
}

#[test]
fn runs_that_every_start_finds_interrupted_are_kept_no_longer_than_others() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[history]\nruns_per_flow = 4\n");
    edge_box.script("it", "run_interval = \"1s\"", "exec sleep 1000");
    for life in 1..=8 {
        let mut daemon = edge_box.start();
        until("a run has begun", || {
            daemon.beat();
            edge_box.runs().iter().any(|run| run.status == "in_progress")
        });
        daemon.kill();
        assert!(edge_box.runs().len() <= 5, "four and the one that is open, in life {life}");
    }
}

#[test]
fn runs_that_are_too_old_go_and_the_others_stay() {
    let edge_box =
        box_with_a_past("[history]\nage = \"30d\"\n", "[command]\nargv = [\"true\"]\n", 20, 31 * DAY_MS, 10);
    edge_box
        .edit(&format!("UPDATE data_flow_runs SET created_at = created_at + {} WHERE id > 15", 2 * DAY_MS));
    let _daemon = edge_box.start();
    until("the old ones are gone", || edge_box.runs().len() == 5);
    assert!(edge_box.runs().iter().all(|run| run.id > 15));
}

#[test]
fn an_id_is_known_for_80_hours_and_one_that_was_forgotten_is_not_believed_again() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    let kept = Heartbeat::with_id("msg_kept");
    assert_eq!(daemon.send(&kept).count("flows_triggered"), 1);
    daemon.stop();
    // Received 81 hours ago by a clock that was behind: the time that it was signed lies ahead. The other one's sender may
    // still send it again.
    let (floor, received) = (now_s() * 1000 + 100_000, now_s() * 1000 - 81 * 3_600_000);
    edge_box.edit(&format!(
        "UPDATE heartbeats SET received_at = {received} + 3600000 + 300000 WHERE heartbeat_id = 'msg_kept';
         INSERT INTO heartbeats (agent, heartbeat_id, signed_at, received_at, flows_due, flows_triggered, flows_skipped,
           flows_deferred, first_run_id) VALUES ('default', 'msg_old', {floor}, {received}, 1, 1, 0, 0, 1);
         UPDATE heartbeats SET id = id - 10 WHERE heartbeat_id = 'msg_old';
         UPDATE data_flows SET next_run_at = 1;"
    ));
    let mut daemon = edge_box.start();
    until("the old id is forgotten", || edge_box.number("SELECT count(*) FROM heartbeats WHERE id < 1") == 0);
    for lives in 1..=2 {
        let answer = daemon.send(&Heartbeat::with_id("msg_old").signed_in(50));
        assert_eq!((answer.status, answer.error().as_str()), (401, "timestamp_too_old"), "life {lives}");
        assert!(answer.field("WWW-Authenticate").is_some(), "{answer:?}");
        assert!(daemon.send(&kept).is_duplicate(), "what is on record is known whenever it was signed");
        daemon.kill();
        daemon = edge_box.start();
    }
    assert_eq!(edge_box.runs().len(), 1);
    assert_eq!(daemon.send(&Heartbeat::with_id("msg_new").signed_in(200)).count("flows_triggered"), 1);
}

#[test]
fn a_copy_that_was_signed_anew_is_not_believed_again_either() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    let sent = Heartbeat::with_id("msg_old");
    assert_eq!(daemon.send(&sent).count("flows_triggered"), 1);
    assert!(daemon.send(&sent.clone().signed_in(200)).is_duplicate());
    until("its run has ended", || !edge_box.has_open_runs());
    daemon.stop();
    edge_box.edit(&format!(
        "UPDATE heartbeats SET received_at = received_at - {}; UPDATE data_flows SET next_run_at = 1;",
        81 * 3_600_000
    ));
    let daemon = edge_box.start();
    until("its id is forgotten", || edge_box.number("SELECT count(*) FROM heartbeats") == 0);
    let answer = daemon.send(&sent.signed_in(150));
    assert_eq!((answer.status, answer.error().as_str()), (401, "timestamp_too_old"));
    assert_eq!(edge_box.runs().len(), 1);
}

#[test]
fn a_database_past_its_limit_is_cut_back_and_its_file_shrinks_while_callers_are_served() {
    let settings = "[history]\ndatabase = \"8 MiB\"\nruns_per_flow = 10000\n";
    let flow = "[command]\nargv = [\"true\"]\n";
    let edge_box = box_with_a_past(settings, flow, 900, DAY_MS, 16_384);
    assert!(size_on_disk(&edge_box) > 12 << 20, "{}", size_on_disk(&edge_box));
    let daemon = edge_box.start();
    let mut counts = Vec::new();
    until("the file is within its limit", || {
        assert_eq!(daemon.beat().status, 200);
        counts.push(edge_box.number("SELECT count(*) FROM data_flow_runs"));
        size_on_disk(&edge_box) <= 8 << 20
    });
    counts.dedup();
    assert!(counts.len() >= 3, "in steps, between which callers are answered: {counts:?}");
    let runs = edge_box.runs();
    assert!(failures(&runs) >= 300, "successes go first: {} of {}", failures(&runs), runs.len());
    assert!(edge_box.is_sound());
}

#[test]
fn a_database_at_its_limit_with_nothing_to_delete_is_told_as_full_and_goes_on_when_there_is_room() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[history]\ndatabase = \"8 MiB\"\n");
    edge_box.script("it", "", "head -c 16000 /dev/zero | tr '\\0' x");
    edge_box.start().stop();
    edge_box.edit("CREATE TABLE ballast (bytes BLOB)");
    edge_box.edit("INSERT INTO ballast VALUES (zeroblob(9000000))");
    let daemon = edge_box.start();
    daemon.beat();
    let readiness = || daemon.exchange("GET /readyz HTTP/1.1\r\nHost: box\r\n\r\n");
    until("it is full", || readiness().status == 503);
    assert_eq!(readiness().error(), "storage_full");
    assert_eq!(edge_box.runs()[0].ended_at, None);
    let other = rusqlite::Connection::open(edge_box.path("heartbeat.db")).expect("open the database");
    other.busy_timeout(support::PATIENCE).expect("set a time-out");
    other.execute_batch("DROP TABLE ballast").expect("make room");
    until("it goes on by itself", || readiness().status == 200);
    let run = edge_box.ended_run("it");
    assert_eq!((run.status.as_str(), run.output.len()), ("success", 16_000), "its end was kept");
}
