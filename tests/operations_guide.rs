//! What docs/operations.md says: its tables name every error and nothing else, its figures are the bench's, and its commands
//! do what it says. tests/backup.rs runs those for copies.
#![expect(clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::flow::ErrorKind;
use heartbeat_runtime::http::ErrorCode;
use serde_json::Value;
use std::collections::BTreeSet;
use support::guide::{self, Guide, done, script};
use support::metrics::document;
use support::{EdgeBox, until};

fn guide() -> Guide {
    Guide::of("docs/operations.md")
}

/// The cells of a table's rows below a heading.
fn rows<'a>(guide: &'a Guide, heading: &str) -> Vec<Vec<&'a str>> {
    let lines =
        guide.section(heading).lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let cells = |line: &'a str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.skip(1).map(cells).collect()
}

fn quoted(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// Each row is about something that there is, and there is one for each; what to do stands in the last column.
fn is_complete(heading: &str, expected: &BTreeSet<String>) {
    let guide = guide();
    let rows = rows(&guide, heading);
    let told: Vec<String> = rows.iter().map(|row| quoted(row[0]).to_owned()).collect();
    assert_eq!(told.iter().cloned().collect::<BTreeSet<_>>(), *expected, "{heading}");
    assert_eq!(told.len(), expected.len(), "{heading}: each stands once");
    for row in &rows {
        let has_words = |cell: &str| !cell.is_empty() || row[0] == "0";
        assert!(row.iter().all(|cell| has_words(cell)), "{row:?} says what to do");
    }
}

#[test]
fn every_error_of_an_answer_has_its_status_and_what_to_do() {
    let heading = "What an answer says";
    is_complete(heading, &ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect());
    let guide = guide();
    for row in rows(&guide, heading) {
        let code = ErrorCode::ALL.iter().find(|code| code.as_str() == quoted(row[0])).expect("it is known");
        assert_eq!(row[1], code.status().code().to_string(), "{code}");
    }
}

#[test]
fn every_way_in_which_a_run_fails_has_what_to_do() {
    let heading = "How a run failed";
    is_complete(heading, &ErrorKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect());
    let guide = guide();
    for row in rows(&guide, heading) {
        let kind =
            ErrorKind::ALL.into_iter().find(|kind| kind.as_str() == quoted(row[0])).expect("it is known");
        assert_eq!(row[2] == "yes", kind.is_retried(), "{row:?}");
    }
    let (counted, last_two) = ErrorKind::ALL.split_at(ErrorKind::ALL.len() - 2);
    assert!(counted.iter().all(|kind| kind.counts_as_failure()));
    assert!(!last_two.iter().any(|kind| kind.counts_as_failure()), "as it says below the table");
}

/// They are decided in one place, which the library does not tell.
#[test]
fn every_exit_code_has_what_to_do() {
    let source = document("src/cli/failure.rs");
    let (_, list) = source.split_once("enum Exit {").expect("the exit codes");
    let list = list.split('}').next().unwrap_or_default();
    let codes = list.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
    let codes: BTreeSet<String> = codes.map(|(_, code)| code.to_owned()).collect();
    assert!(codes.len() > 7, "{codes:?}");
    is_complete("What a command ends with", &codes);
}

/// A number and its unit, in the smallest one of its kind.
fn amount(number: f64, unit: &str) -> (f64, &'static str) {
    match unit {
        "MiB" => (number * 1024.0 * 1024.0, "bytes"),
        "KiB" => (number * 1024.0, "bytes"),
        "bytes" => (number, "bytes"),
        "ms" => (number * 1000.0, "us"),
        "us" => (number, "us"),
        "/s" => (number, "/s"),
        _ => panic!("the unit {unit}"),
    }
}

/// Rounded figures, which hold for a while; but not for ever.
#[test]
fn the_figures_are_about_those_of_the_bench() {
    let results: Value = serde_json::from_str(&document("docs/benchmarks/results.json")).expect("results");
    let guide = guide();
    let told = [rows(&guide, "Wear of SD cards"), rows(&guide, "Sizing")].concat();
    assert!(told.len() >= 15);
    for row in told {
        let [bench, what, about] = row[..] else { panic!("{row:?}") };
        let rows = results["benches"][quoted(bench)]["rows"].as_array().expect("a bench");
        let row = rows.iter().find(|row| row["what"].as_str().is_some_and(|it| it.starts_with(what)));
        let row = row.unwrap_or_else(|| panic!("{bench} has no row {what}"));
        let measured = row["figure"]["median"].as_f64().expect("a figure");
        let measured = amount(measured, row["unit"].as_str().expect("a unit"));
        let (number, unit) = about.split_once(' ').expect("a figure and its unit");
        let told = amount(number.parse().expect("a number"), unit);
        let is_near = told.0 <= measured.0 * 1.5 && told.0 * 1.5 >= measured.0;
        assert!(is_near && told.1 == measured.1, "{what}: {about}, and measured were {measured:?}");
    }
}

/// `systemctl`, `sudo` and the places of the guide, as they are in a box's folder: `restart` and the like move a real daemon.
const AROUND: &str = r#"
sudo() { "$@"; }
cargo() { [ "$*" = "build --release" ]; }
heartbeatd() { usr/bin/heartbeatd "$@"; }
start() { usr/bin/heartbeatd serve --port-file port 2>>log & pid=$!
  until [ -e port ]; do kill -0 $pid; done; }
stop() { kill $pid; wait $pid; rm -f port; }
systemctl() { case $1 in start) start;; stop) stop;; restart) stop; start;; esac; }
trap 'kill $pid && wait $pid' EXIT
"#;

/// The same after what the guide says once for each terminal.
fn around(guide: &Guide) -> String {
    let [once, ..] = guide::blocks(guide.text())[..] else { panic!("it begins with a block") };
    format!("{}\n{AROUND}", once.text)
}

/// The commands of a section with the places of the box.
fn commands(guide: &Guide, heading: &str) -> String {
    let [commands, ..] = guide.blocks(heading, "sh")[..] else { panic!("{heading} has a block of commands") };
    commands.replace("/mnt/stick", "stick").replace("/usr/bin/heartbeatd", "usr/bin/heartbeatd")
}

#[test]
fn an_upgrade_and_the_way_back_are_done_by_the_guide_s_commands() {
    let (edge_box, guide) = (EdgeBox::new(), guide());
    let folder = edge_box.path("");
    let program = env!("CARGO_BIN_EXE_heartbeatd");
    let before = format!(
        "mkdir -p box usr/bin stick target/release; mv heartbeatd.toml secret flows box
         ln -s {program} target/release/heartbeatd; cp {program} usr/bin/heartbeatd"
    );
    done(&before, &folder);
    edge_box.write("box/flows/it.toml", "run_interval = \"1h\"\n[command]\nargv = [\"true\"]\n");
    let run = "heartbeatd flow run it --wait";
    let migrated = "PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE)";
    let around = around(&guide);
    let (upgrade, back) = (commands(&guide, "Upgrade"), commands(&guide, "Going back"));
    let script = format!(
        "{around}\nstart\n{run}\n{upgrade}\n{run}\necho upgraded\n\
         sqlite3 box/heartbeat.db '{migrated}'\n{back}\necho back\nheartbeatd runs list"
    );
    let said = done(&script, &folder);
    let (upgraded, back) = said.split_once("upgraded\n").expect("it was upgraded");
    assert!(upgraded.contains("is whole") && upgraded.contains("serving"), "{said}");
    let (_, runs) = back.split_once("\nback\n").expect("it went back");
    assert_eq!(runs.matches("success").count(), 1, "what came after the copy is lost: {said}");
}

#[test]
fn what_is_asked_of_the_database_and_of_metrics_is_there() {
    let (edge_box, guide) = (EdgeBox::new(), guide());
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\n");
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let folder = edge_box.path("");
    let port = support::metrics::status_port(&edge_box);
    let [metrics] = guide.blocks("Wear of SD cards", "sh")[..] else { panic!("one block of commands") };
    let said = done(&metrics.replace("8788", &port.to_string()), &folder);
    assert!(said.starts_with("heartbeatd_disk_written_bytes_total "), "{said}");
    let asked = |heading| commands(&guide, heading).replace("box/", "");
    assert_eq!(done(&asked("Clocks"), &folder), "", "the clock was set");
    edge_box.number("SELECT count(*) FROM data_flow_runs WHERE NOT clock_unset");
    assert!(done(&asked("How much is kept"), &folder).starts_with("it|"), "a day's counts");
}

#[test]
fn a_box_is_installed_by_the_guide_s_commands() {
    let (edge_box, guide) = (EdgeBox::new(), guide());
    let program = env!("CARGO_BIN_EXE_heartbeatd");
    let before = format!("mkdir -p usr/bin target/release; ln -s {program} target/release/heartbeatd");
    let (around, install) = (around(&guide), commands(&guide, "Install"));
    let script = format!("{before}\n{around}\ntrap - EXIT\n{install}\nheartbeatd check");
    let said = done(&script, &edge_box.path(""));
    assert_eq!(said.matches("sudo ").count(), 2, "the two commands that install the unit: {said}");
    assert!(said.contains("box/heartbeatd.toml"), "the box is the one that check judges: {said}");
}

/// What a probe asks ends with another code as long as heartbeats are not taken; `status` does not, and no failed run counts.
#[test]
fn a_probe_tells_by_its_exit_code_whether_heartbeats_are_taken() {
    let (edge_box, guide) = (EdgeBox::new(), guide());
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\n");
    edge_box.script("it", "", "false");
    let [_, probe] = guide.blocks("Install", "sh")[..] else { panic!("what a probe asks comes second") };
    let folder = edge_box.path("");
    let asked = || {
        let port = support::metrics::status_port(&edge_box).to_string();
        let said = script(&format!("{}\necho ready", probe.replace("8788", &port)), &folder);
        (said.went_well, said.text)
    };
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    assert_eq!(edge_box.ended_run("it").status, "failed");
    assert_eq!(asked(), (true, "ready\n".to_owned()));
    let _stopped = daemon.stop();
    let (went_well, said) = asked();
    assert!(!went_well && said.contains("(7)"), "nobody listens: {said}");
    assert_eq!(edge_box.command(&["status"]).0, Some(0));

    let holder = rusqlite::Connection::open(edge_box.path("heartbeat.db")).expect("open the database");
    holder.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("hold the database");
    let _daemon = edge_box.start();
    let (went_well, said) = asked();
    assert!(!went_well && said.contains("(22)"), "503: {said}");
    drop(holder);
    until("it is ready", || asked().0);
}
