//! What must hold after a call has failed, whichever it was.

use rusqlite::Connection;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::calls::Point;
use crate::scenes::{LINES, line};
use crate::support::daemon::Daemon;
use crate::support::{EdgeBox, until};

/// What the daemon may end with: the disk or the system failed, try again, and a configuration that cannot be read.
const EXIT_CODES: &[i32] = &[74, 75, 78];
/// The dynamic loader's, before there is a program.
const LOADER: i32 = 127;

/// How the daemon took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It went on, or ended when it was told to.
    WentOn,
    /// It ended, with this exit code.
    Ended(i32),
    /// There was no memory: what no program of ours outlives (it aborts, and the next start goes on).
    Aborted,
    /// It was killed at the call.
    Killed,
    /// The call did not come.
    NotReached,
}

/// Judges an end: its code is one that is documented, and one sentence says why.
pub(crate) fn judge_end(point: &Point, status: ExitStatus, log: &str) -> Result<Outcome, String> {
    let complain = |what: &str| Err(format!("{what}: {status}; it said:\n{log}"));
    if point.kills() && status.signal() == Some(Signal::KILL.as_raw()) {
        return Ok(Outcome::Killed);
    }
    if point.failure == "ENOMEM" && status.signal().is_some() && is_for_want_of_memory(log) {
        return Ok(Outcome::Aborted);
    }
    if log.contains("panicked") {
        return complain("it panicked");
    }
    let Some(code) = status.code() else { return complain("it was ended by a signal") };
    if code == LOADER && log.contains("error while loading shared libraries") {
        return Ok(Outcome::Ended(code));
    }
    if code == 0 {
        return Ok(if point.kills() { Outcome::NotReached } else { Outcome::WentOn });
    }
    if !EXIT_CODES.contains(&code) {
        return complain("it ended with a code that is not documented for this");
    }
    let sentences = log.lines().filter(|line| line.starts_with("error: ")).count();
    let help = log.lines().filter(|line| line.starts_with("help: ")).count();
    // Standard error is written to by the call that fails.
    if point.call != "write" && (sentences == 0 || sentences != help) {
        return complain("it does not say why, or what to do");
    }
    Ok(Outcome::Ended(code))
}

/// Whether it ended where neither this program nor a library of its own is asked: by the allocator, by the standard library
/// that makes a thread's stack for signals, or by the loader before the program's start.
fn is_for_want_of_memory(log: &str) -> bool {
    let words = ["memory allocation of", "failed to allocate an alternative stack"];
    log.is_empty() || words.iter().any(|words| log.contains(words))
}

/// Whether a daemon that lives becomes well by itself, now that nothing fails any more; else it has ended.
pub(crate) fn recovers(daemon: &mut Daemon) -> bool {
    let is_ready = |daemon: &Daemon| daemon.try_get("/readyz").is_ok_and(|answer| answer.status == 200);
    until("it is ready again, or ends", || !daemon.lives() || is_ready(daemon));
    daemon.lives() && daemon.try_beat().is_ok_and(|answer| answer.status == 200)
}

/// Starts again without any fault, and holds what is there against what was promised.
pub(crate) fn all_is_there_and_goes_on(edge_box: &EdgeBox, point: &Point, named: &[i64]) {
    if let Ok(database) = Connection::open(edge_box.path("heartbeat.db")) {
        let _no_table_yet = database.execute("UPDATE data_flows SET next_run_at = 1, held = 0", []);
    }
    edge_box.write("go", "");
    let mut daemon = edge_box.start();
    assert!(edge_box.is_sound(), "the database is damaged");
    until("what was open is over", || !edge_box.has_open_runs());
    let answer = daemon.beat_and_wait();
    assert_eq!(answer.status, 200, "{answer:?}");
    until("all runs are over", || !edge_box.has_open_runs());
    let runs = edge_box.runs();
    let lost: Vec<&i64> = named.iter().filter(|id| !runs.iter().any(|run| run.id == **id)).collect();
    assert!(lost.is_empty(), "runs {lost:?} were named and are lost");
    for file in fs::read_dir(edge_box.path("flows")).expect("list the flows").flatten() {
        let name = file.file_name().to_string_lossy().replace(".toml", "");
        let last = runs.iter().rfind(|run| run.flow == name);
        assert!(last.is_some_and(|run| run.status == "success"), "{name} is not current: {runs:?}");
    }
    commands_had_their_effect_once(edge_box);
    records_are_there_once(edge_box);
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    assert!(edge_box.is_sound(), "the database is damaged");
    let half = edge_box.path("copy.db.new").exists();
    assert!(!half || point.from_then_on || point.kills() || point.call == "unlink", "half a copy is left");
}

fn commands_had_their_effect_once(edge_box: &EdgeBox) {
    let effects = edge_box.read("effects");
    let mut counts: BTreeMap<i64, u32> = BTreeMap::new();
    for run in effects.lines() {
        *counts.entry(run.parse().expect("a run's id")).or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "these had their effect more than once: {twice:?}");
    for run in edge_box.runs().iter().filter(|run| ["command", "another"].contains(&run.flow.as_str())) {
        let has = counts.contains_key(&run.id);
        assert!(has || run.status != "success", "it is said to have run, and has not: {run:?}");
    }
}

fn records_are_there_once(edge_box: &EdgeBox) {
    let mut good: Vec<String> = (0..LINES).map(line).filter(|line| line.1).map(|line| line.0).collect();
    good.sort_unstable();
    let bad = LINES - good.len();
    for (flow, arrived) in [
        ("to-sqlite", in_table(edge_box)),
        ("to-file", lines_of(&edge_box.read("out/out.jsonl"))),
        ("to-http", batches(edge_box, "posted")),
        ("to-exec", batches(edge_box, "given")),
    ] {
        if !edge_box.path(&format!("flows/{flow}.toml")).exists() {
            continue;
        }
        assert_eq!(arrived, good, "of {flow}");
        let dead = edge_box.read(&format!("dead-letter/{flow}.jsonl"));
        assert_eq!(dead.lines().count(), bad, "dead letters of {flow}:\n{dead}");
    }
}

fn in_table(edge_box: &EdgeBox) -> Vec<String> {
    let path = edge_box.path("out.db");
    if !path.exists() {
        return Vec::new();
    }
    let database = Connection::open(path).expect("open it");
    let mut statement = database.prepare("SELECT '{\"n\":' || n || '}' FROM t").expect("ask it");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("ask it");
    let mut rows: Vec<String> = rows.map(|row| row.expect("a row")).collect();
    rows.sort_unstable();
    rows
}

fn lines_of(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// What a receiver has that takes each key once. What a killed one wrote has a dot in its name.
fn batches(edge_box: &EdgeBox, folder: &str) -> Vec<String> {
    let files = fs::read_dir(edge_box.path(folder)).into_iter().flatten().flatten();
    let whole = files.filter(|file| !file.file_name().to_string_lossy().contains('.'));
    let text: String = whole.map(|file| fs::read_to_string(file.path()).expect("read a batch")).collect();
    lines_of(&text)
}
