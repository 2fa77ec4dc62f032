//! A log that a program writes and logrotate(8) rotates, in each of its ways, while it is read: no line is lost, none comes twice.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use support::tools::can_run;
use support::{EdgeBox, eventually, until};

const ROTATIONS: u32 = 6;
const LINES_A_ROTATION: u32 = 1_000;

/// Has a log rotated, as a cron job of Debian's would.
fn rotate(edge_box: &EdgeBox, how: &str) {
    let log = edge_box.path("app.log");
    edge_box.write("rotate.conf", format!("{} {{\n  rotate 20\n  {how}\n}}\n", log.display()));
    edge_box.set_mode("rotate.conf", 0o644);
    let state = edge_box.path("rotate.state");
    // Named by the time, only one a second finds its name free.
    eventually("it is rotated", || {
        let rotated = Command::new("logrotate")
            .args(["--force", "--state"])
            .args([&state, &edge_box.path("rotate.conf")])
            .output()
            .expect("run logrotate");
        rotated.status.success().then_some(())
    });
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

/// What the writer does about a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It writes on: its file is truncated.
    GoesOn,
    /// It opens the log anew, as programs do that are told; some lines still go to the file that was renamed.
    ReopensLate,
    /// The same before it writes another line, after all lines were read: what is compressed or moved away is gone for us.
    ReopensAtOnce,
}

/// Writes, has it rotated and goes on, while the daemon reads.
fn nothing_is_lost_or_doubled(how: &str, writer: Writer) {
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
        if round % 3 == 0 || writer == Writer::ReopensAtOnce {
            until("the lines are read", || count() >= numbers.end);
        }
        rotate(&edge_box, how);
        if writer == Writer::ReopensLate {
            (0..5).for_each(|n| write_line(&mut log, 1_000_000 + round * 10 + n));
        }
        if writer != Writer::GoesOn {
            log = open(&edge_box.path("app.log"));
        }
        // What is truncated before anybody has read it is lost for everybody: its copy is there.
        edge_box.command(&["flow", "run", "it", "--wait"]);
    }
    write_line(&mut log, ROTATIONS * LINES_A_ROTATION);
    let late = if writer == Writer::ReopensLate { ROTATIONS * 5 } else { 0 };
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
    nothing_is_lost_or_doubled("create 0644", Writer::ReopensLate);
}

#[test]
fn copied_and_truncated_logs_are_read_on_in_their_copy() {
    nothing_is_lost_or_doubled("copytruncate", Writer::GoesOn);
}

#[test]
fn logs_that_are_left_for_the_writer_to_make_anew_and_named_by_the_date_are_followed() {
    nothing_is_lost_or_doubled("nocreate\n  dateext\n  dateformat -%Y%m%d-%s", Writer::ReopensLate);
}

#[test]
fn logs_that_are_compressed_one_rotation_later_are_read_before() {
    nothing_is_lost_or_doubled("create 0644\n  compress\n  delaycompress", Writer::ReopensLate);
}

#[test]
fn logs_that_were_read_and_are_then_compressed_or_moved_to_another_folder_cost_nothing() {
    nothing_is_lost_or_doubled("create 0644\n  compress", Writer::ReopensAtOnce);
    nothing_is_lost_or_doubled("create 0644\n  olddir old\n  createolddir 0755", Writer::ReopensAtOnce);
}

/// Closing another descriptor of a database would give up the locks that keep others from truncating what it has mapped.
#[test]
fn a_search_for_a_log_that_is_gone_leaves_databases_beside_it_locked() {
    let edge_box = EdgeBox::new();
    let sqlite = "type = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\ncreate = true\n";
    edge_box.flow("it", &format!("[source]\ntype = \"file\"\npath = \"DIR/app.log\"\n[sink]\n{sqlite}"));
    let lines =
        |numbers: std::ops::Range<u32>| numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect::<String>();
    edge_box.write("app.log", lines(0..200));
    let daemon = edge_box.start();
    let locks = || {
        let folder = format!("/proc/{}/fdinfo", daemon.pid());
        let infos = fs::read_dir(folder).expect("look at it").flatten();
        let infos = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
        infos.map(|info| info.matches(" POSIX ").count()).sum::<usize>()
    };
    let run = || assert_eq!(edge_box.command(&["flow", "run", "it", "--wait"]).0, Some(0));
    run();
    let before = locks();
    assert!(before >= 2, "those of its own database: {before}");
    fs::remove_file(edge_box.path("app.log")).expect("lose it");
    edge_box.write("app.log", lines(200..300));
    run();
    daemon.until_logged("is gone or compressed");
    assert_eq!(locks(), before);
}
