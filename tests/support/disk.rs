//! A disk of its own for a box's database: a file system of limited size that only the daemon sees.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::EdgeBox;
use super::daemon::Daemon;
use super::tools::{can_run, run_through};

/// Whether this machine lets a test mount one.
pub(crate) fn can_mount() -> bool {
    can_run("unshare", &["-rm", "true"]) && can_run("nsenter", &["--version"])
}

/// Starts a daemon on such a disk, which a shell command prepares first: it finds the disk at `$0`. The disk as it is seen
/// from here.
pub(crate) fn start_on_a_small_disk(edge_box: &EdgeBox, prepare: &str) -> (Daemon, PathBuf) {
    edge_box.configure("database = \"disk/heartbeat.db\"\n");
    let disk = edge_box.path("disk");
    fs::create_dir_all(&disk).expect("make the mount point");
    let script = format!("mount -t tmpfs -o size=1536k tmpfs \"$0\" && {prepare} && exec \"$@\"");
    let daemon = Daemon::start(edge_box, |command| {
        // Tries to write that fail again are told at this level.
        command.arg("--dumpable").env("HEARTBEATD_LOG__LEVEL", "debug");
        command.env("HEARTBEATD_STATUS__LISTEN", "127.0.0.1:0");
        let mount_point = disk.to_str().expect("a path in UTF-8");
        run_through(command, "unshare", &["-rm", "sh", "-c", &script, mount_point]);
    });
    let inside = format!("/proc/{}/root{}", daemon.pid(), disk.display());
    (daemon, PathBuf::from(inside))
}

/// Makes the daemon's disk read-only (`ro`), or writable again (`rw`).
pub(crate) fn remount(edge_box: &EdgeBox, daemon: &Daemon, how: &str) {
    let pid = daemon.pid().to_string();
    let arguments = ["-t", &pid, "-U", "-m", "--preserve-credentials", "mount", "-o"];
    let remounted = Command::new("nsenter")
        .args(arguments)
        .arg(format!("remount,{how}"))
        .arg(edge_box.path("disk"))
        .status();
    assert!(remounted.expect("run nsenter").success(), "remount the disk {how}");
}
