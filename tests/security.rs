//! What an attacker tries who has a foot on the box, or a page in the operator's browser.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::{can_run, run_through};

/// What the user nobody runs as.
const AS_NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];

fn mode(edge_box: &EdgeBox, name: &str) -> u32 {
    std::fs::metadata(edge_box.path(name)).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_database_and_what_stands_beside_it_are_for_their_owner_alone_whatever_the_umask() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "echo private");
    let daemon = Daemon::start(&edge_box, |command| {
        run_through(command, "sh", &["-c", "umask 000; exec \"$0\" \"$@\""]);
    });
    daemon.beat_and_wait();
    for end in ["", "-wal", "-shm", ".lock", ".children"] {
        assert_eq!(mode(&edge_box, &format!("heartbeat.db{end}")), 0o600, "heartbeat.db{end}");
    }
}

#[test]
fn a_mode_that_the_operator_gave_the_database_stays() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    daemon.stop();
    edge_box.set_mode("heartbeat.db", 0o640);
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().status, 200);
    assert_eq!(mode(&edge_box, "heartbeat.db"), 0o640);
}

/// flock(2) asks for no right to write: whoever may open the file may hold it.
#[test]
fn no_other_user_can_hold_the_lock_against_the_daemon() {
    let takes = ["flock", "--nonblock", "--exclusive"];
    if !can_run("setpriv", &[&AS_NOBODY[..], &["true"]].concat()) || !can_run("flock", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.start().stop();
    let mut other = Command::new("setpriv");
    other.args(AS_NOBODY).args(takes).arg(edge_box.path("heartbeat.db.lock")).arg("true");
    let said = other.output().unwrap();
    assert!(!said.status.success(), "another user holds the lock: {said:?}");
    assert_eq!(edge_box.start().beat().status, 200);
}

#[test]
fn where_nobody_proves_anything_a_web_page_starts_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.configure("authentication_enabled = false\n");
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    // A browser sends it with each POST of a page, also with one from a sandbox, or under a name that was rebound.
    for origin in ["http://evil.example", "null", "http://localhost:8787", ""] {
        let heartbeat = Heartbeat::new().field(&format!("Origin: {origin}"));
        let answer = daemon.exchange(heartbeat.with_proof("Content-Type: text/plain\r\n"));
        assert_eq!((answer.status, answer.error()), (403, "address_not_allowed".to_owned()), "{origin}");
    }
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof("")).count("flows_triggered"), 1);
}

#[test]
fn a_signed_heartbeat_may_say_where_it_comes_from() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    assert_eq!(daemon.send(&Heartbeat::new().field("Origin: https://monitor.example")).status, 200);
}

#[test]
fn what_lets_the_daemon_listen_at_a_low_port_reaches_no_command() {
    let privileged =
        [&AS_NOBODY[..], &["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]].concat();
    if !can_run("setpriv", &[&privileged[..], &["true"]].concat()) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "grep Cap /proc/self/status");
    let folder = edge_box.path("");
    assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().unwrap().success());
    let daemon = Daemon::start(&edge_box, |command| run_through(command, "setpriv", &privileged));
    daemon.beat_and_wait();
    let run = edge_box.ended_run("it");
    for set in ["CapPrm", "CapEff", "CapAmb"] {
        assert!(run.output.contains(&format!("{set}:\t0000000000000000")), "{}", run.output);
    }
}

#[test]
fn a_command_begins_with_no_signal_blocked_and_none_of_the_daemon_s_ignored() {
    let edge_box = EdgeBox::new();
    edge_box.flow("it", "[command]\nargv = [\"grep\", \"Sig\", \"/proc/self/status\"]\n");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let run = edge_box.ended_run("it");
    let set = |name: &str| {
        let line = run.output.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    assert_eq!(set("SigBlk:"), 0, "{}", run.output);
    // SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGCHLD by their numbers.
    let of_the_daemon = [1, 2, 13, 15, 17].iter().fold(0, |set, signal| set | 1 << (signal - 1));
    let inherited = std::fs::read_to_string("/proc/self/status").unwrap();
    let ours = inherited.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ours = u64::from_str_radix(ours.trim(), 16).unwrap();
    assert_eq!(set("SigIgn:") & of_the_daemon & !ours, 0, "{}", run.output);
}

/// A command that runs as the daemon's user may read the files that are that user's; but not what the daemon alone was told.
#[test]
fn a_command_of_the_daemon_s_own_user_cannot_look_into_the_daemon() {
    if !can_run("setpriv", &[&AS_NOBODY[..], &["true"]].concat()) {
        return;
    }
    let looks = "cat /proc/$PPID/environ /proc/$PPID/mem || ls /proc/$PPID/fd || echo kept out";
    let looked = |options: &[&str]| {
        let edge_box = EdgeBox::new();
        edge_box.script("it", "", looks);
        let folder = edge_box.path("");
        assert!(Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().unwrap().success());
        let daemon = Daemon::start(&edge_box, |command| {
            command.args(options).env("TOLD", "hunter2");
            run_through(command, "setpriv", &AS_NOBODY);
        });
        daemon.beat_and_wait();
        edge_box.ended_run("it").output
    };
    let said = looked(&[]);
    assert!(said.contains("kept out") && !said.contains("hunter2"), "{said}");
    assert!(looked(&["--dumpable"]).contains("hunter2"), "without the defence it would be seen");
}

/// The path is the flow's; what stands there may be another user's doing.
#[test]
fn a_backup_follows_no_link_that_somebody_put_where_it_is_written() {
    let edge_box = EdgeBox::new();
    let _daemon = edge_box.start();
    edge_box.write("precious", "SQLite format 3\0 is what it is not");
    for name in ["copy.db", "copy.db.new"] {
        let _left = std::fs::remove_file(edge_box.path("copy.db"));
        std::os::unix::fs::symlink(edge_box.path("precious"), edge_box.path(name)).unwrap();
        let target = edge_box.path("copy.db");
        let (_, said) = edge_box.command(&["backup", target.to_str().unwrap()]);
        assert!(edge_box.read("precious").ends_with("is what it is not"), "{name}: {said}");
    }
}
