//! Readiness of a connection that is gone reaches nobody else. A descriptor that the daemon closes may live on for a moment: in
//! a child between its fork and the end of its exec. Until then epoll(7) goes on telling of it, by the token that meanwhile may be
//! another connection's.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use rustix::net::Shutdown;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{OwnedFd, RawFd};
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::tell_skipped;
use support::{EdgeBox, eventually, until};

fn sockets(daemon: &Daemon) -> BTreeSet<RawFd> {
    let folder = format!("/proc/{}/fd", daemon.pid());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_socket = |entry: &fs::DirEntry| {
        fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    entries.filter(is_socket).filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A copy of a descriptor of the daemon's, as a child has it.
fn copy(daemon: &Daemon, descriptor: RawFd) -> rustix::io::Result<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap();
    pidfd_getfd(pidfd_open(pid, PidfdFlags::empty())?, descriptor, PidfdGetfdFlags::empty())
}

#[test]
fn an_event_of_a_connection_that_is_gone_does_not_end_the_one_in_its_place() {
    let edge_box = EdgeBox::new();
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    let before = sockets(&daemon);
    let gone = daemon.connect();
    let descriptor = eventually("it is accepted", || sockets(&daemon).difference(&before).next().copied());
    let copy = match copy(&daemon, descriptor) {
        Ok(copy) => copy,
        Err(error) => return tell_skipped(&format!("descriptors of others cannot be copied here: {error}")),
    };
    drop(gone);
    until("the daemon has closed it", || sockets(&daemon) == before);
    let mut other = daemon.connect();
    let heartbeat = Heartbeat::new().field("Expect: 100-continue").to_bytes(&edge_box.secret);
    let (head, content) = heartbeat.split_at(heartbeat.len() - 2);
    other.send(head);
    assert_eq!(other.head().status, 100, "it has the place of the one before");
    rustix::net::shutdown(&copy, Shutdown::Both).unwrap();
    // Whatever became ready before this is dealt with when it is answered.
    assert_eq!(daemon.get("/healthz").status, 200);
    other.send(content);
    assert_eq!(other.answer().status, 200);
}
