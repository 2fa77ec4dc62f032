//! What the tests through the real binary share: a box in a folder of its own, the daemon as a child process, and a
//! signed client over TCP. Nothing here sleeps and hopes: it waits for a condition, and fails when a deadline passes.
#![expect(dead_code, reason = "each file of tests uses its own part of this")]
#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail it")]

pub(crate) mod clock;
pub(crate) mod daemon;
pub(crate) mod disk;
pub(crate) mod edge_box;
pub(crate) mod guide;
pub(crate) mod heartbeat;
pub(crate) mod http_server;
pub(crate) mod kitchen;
pub(crate) mod metrics;
pub(crate) mod nginx;
pub(crate) mod operator;
pub(crate) mod page;
pub(crate) mod signing;
pub(crate) mod skipped;
pub(crate) mod tools;
pub(crate) mod watcher;
pub(crate) mod wire;

use std::time::{Duration, Instant};

pub(crate) use edge_box::EdgeBox;

/// How long anything may take that happens at once on an idle machine: tests share theirs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `holds` says so.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}

/// Whether a process lives. One that nobody reaped does not.
pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
