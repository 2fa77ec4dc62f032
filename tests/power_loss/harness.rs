//! Power cuts by the thousand: what a real runtime with a real store does is recorded once, as what its disk was told, and
//! then the power is cut at any place of that, as often and as variously as wanted.
#![expect(clippy::expect_used, reason = "whatever is unexpected here fails the test")]

#[expect(dead_code, reason = "the simulator uses the rest")]
#[path = "../simulation/disk.rs"]
mod disk;
#[cfg_attr(not(test), expect(dead_code, reason = "damage is done by tests alone"))]
#[path = "../simulation/medium.rs"]
mod medium;
#[expect(dead_code, reason = "the simulator uses the rest")]
#[path = "../simulation/random.rs"]
pub(crate) mod random;
#[expect(dead_code, reason = "the simulator uses the rest")]
#[path = "../simulation/supply.rs"]
pub(crate) mod supply;
#[path = "../simulation/vfs.rs"]
mod vfs;

#[cfg(test)]
mod damage;
mod flows;
mod living;
pub(crate) mod verdict;
pub(crate) mod workload;

use std::path::PathBuf;

/// A folder in memory, for one thread at a time.
pub(crate) fn folder(purpose: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = parent.join(format!("heartbeat-power-{}-{purpose}", std::process::id()));
    let _left_by_a_test_that_failed = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder in memory");
    folder
}
