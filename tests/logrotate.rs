//! A log that a program writes and logrotate(8) rotates, both ways, while it is read: no line is lost, none comes twice.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use support::tools::can_run;
use support::{EdgeBox, until};

const ROTATIONS: u32 = 12;
const LINES_A_ROTATION: u32 = 1_000;

/// Has a log rotated, as a cron job of Debian's would.
fn rotate(edge_box: &EdgeBox, how: &str) {
    let log = edge_box.path("app.log");
    edge_box.write("rotate.conf", format!("{} {{\n  rotate 20\n  {how}\n  nocompress\n}}\n", log.display()));
    edge_box.set_mode("rotate.conf", 0o644);
    let state = edge_box.path("rotate.state");
    let rotated = Command::new("logrotate")
        .args(["--force", "--state"])
        .args([&state, &edge_box.path("rotate.conf")])
        .output()
        .expect("run logrotate");
    assert!(rotated.status.success(), "{rotated:?}");
}

fn open(path: &Path) -> File {
    OpenOptions::new().append(true).create(true).open(path).expect("open the log")
}

/// Writes a line in two parts, as a buffered writer may.
fn write_line(log: &mut File, n: u32) {
    let line = format!("{{\"n\":{n}}}\n");
    let (first, second) = line.as_bytes().split_at(n as usize % line.len());
    log.write_all(first).expect("write");
    log.write_all(second).expect("write");
}

/// Writes, has it rotated and goes on, while the daemon reads; `reopens` after each rotation, as programs do that are told.
fn nothing_is_lost_or_doubled(how: &str, reopens: bool) {
    if !can_run("logrotate", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.configure("internal_heartbeat = \"1s\"\n");
    let text = "run_interval = \"1s\"\n[source]\ntype = \"file\"\npath = \"DIR/app.log\"\n[sink]\ntype = \"sqlite\"\n\
                database = \"DIR/out.db\"\ntable = \"t\"\ncreate = true\n[batch]\nrecords = 100\n";
    edge_box.flow("it", text);
    let count = || {
        let path = edge_box.path("out.db");
        let count = |database: Connection| {
            database.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0)).ok()
        };
        path.exists().then(|| Connection::open(path).ok().and_then(count)).flatten().unwrap_or(0)
    };
    let mut log = open(&edge_box.path("app.log"));
    let _daemon = edge_box.start();
    for round in 0..ROTATIONS {
        let numbers = round * LINES_A_ROTATION..(round + 1) * LINES_A_ROTATION;
        numbers.clone().for_each(|n| write_line(&mut log, n));
        if round % 3 == 0 {
            until("the lines are read", || count() >= numbers.end);
        }
        rotate(&edge_box, how);
        if reopens {
            // Some lines still go to the file that was renamed.
            (0..5).for_each(|n| write_line(&mut log, 1_000_000 + round * 10 + n));
            log = open(&edge_box.path("app.log"));
        }
        // What is truncated before anybody has read it is lost for everybody: its copy is there.
        edge_box.command(&["flow", "run", "it", "--wait"]);
    }
    write_line(&mut log, ROTATIONS * LINES_A_ROTATION);
    let late = if reopens { ROTATIONS * 5 } else { 0 };
    let total = ROTATIONS * LINES_A_ROTATION + 1 + late;
    until("every line is there", || count() >= total);
    let database = Connection::open(edge_box.path("out.db")).expect("open it");
    let found: (u32, u32) = database
        .query_row("SELECT count(*), count(DISTINCT n) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("ask it");
    assert_eq!(found, (total, total));
}

#[test]
fn renamed_logs_are_read_to_their_end_and_then_the_new_one() {
    nothing_is_lost_or_doubled("create 0644", true);
}

#[test]
fn copied_and_truncated_logs_are_read_on_in_their_copy() {
    nothing_is_lost_or_doubled("copytruncate", false);
}
