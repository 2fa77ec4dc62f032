//! A heartbeat that starts nothing allocates nothing, once the lists have the size that they keep: in its way through gate,
//! runtime and answer, and in the daemon's loop, however many call at once.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

#[path = "support/in_process.rs"]
mod in_process;

use allocation_counter::{AllocationInfo, measure};
use heartbeat_runtime::server;
use heartbeat_runtime::time::Wall;
use in_process::{Parts, request, secret};
use rustix::process::{Signal, getpid, kill_process};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

const WARM_UP: usize = 10;
const HEARTBEATS: usize = 500;
const CONNECTIONS: usize = 64;

/// A new folder; it is left where a test fails.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _not_there = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("make a folder");
    folder
}

/// What heartbeats that start nothing allocate.
fn allocated_when_idle() -> AllocationInfo {
    let wall = Wall::from_seconds(1_800_000_000);
    let mut parts = Parts::new(&folder("allocations"), "90d", wall).expect("put the parts together");
    parts.settle().expect("let the flow run");
    let requests: Vec<_> = (0..WARM_UP + HEARTBEATS).map(|number| request(&secret(), number, wall)).collect();
    let mut beat = |requests: &[Vec<u8>]| {
        for request in requests {
            let answer = parts.beat(request).expect("it is served");
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
            parts.let_pass(Duration::from_millis(1));
        }
    };
    beat(&requests[..WARM_UP]);
    measure(|| beat(&requests[WARM_UP..]))
}

#[test]
fn a_heartbeat_that_starts_nothing_allocates_nothing() {
    let mut allocated = allocated_when_idle();
    if allocated.count_total > 0 {
        // An id's hash may by chance be like that of one on record, of which the database is then asked: once in 500 times. With
        // another key of the hash it is not.
        allocated = allocated_when_idle();
    }
    assert_eq!(allocated.count_total, 0, "{HEARTBEATS} heartbeats: {allocated:?}");
}

/// What the loop allocates from its start to its end, with so many heartbeats on each of its connections.
fn allocated_by_loop(heartbeats: usize) -> u64 {
    let folder = folder(&format!("allocations-{heartbeats}"));
    let mut parts = Parts::new(&folder, "90d", server::now()).expect("put the parts together");
    parts.settle().expect("let the flow run");
    let (mut server, address) = parts.into_server(&folder).expect("make a server");
    let caller = std::thread::spawn(move || {
        call(address, heartbeats);
        // The server runs in this process: what ends it is what ends a daemon.
        kill_process(getpid(), Signal::TERM).expect("signal this process");
    });
    let allocated = measure(|| server.run().expect("it serves"));
    caller.join().expect("the callers are answered");
    allocated.count_total
}

/// All at once on every connection, and again when all are answered.
fn call(address: SocketAddr, heartbeats: usize) {
    let connect = |_| TcpStream::connect(address).expect("connect");
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(connect).collect();
    let mut answer = [0; 4096];
    for round in 0..heartbeats {
        for (index, stream) in streams.iter_mut().enumerate() {
            let request = request(&secret(), round * CONNECTIONS + index, server::now());
            stream.write_all(&request).expect("send");
        }
        for stream in &mut streams {
            let count = stream.read(&mut answer).expect("an answer comes");
            let answer = String::from_utf8_lossy(&answer[..count]);
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"flows_due\":0"), "{answer}");
        }
    }
}

#[test]
fn more_heartbeats_at_the_daemon_are_no_more_allocations() {
    let (few, many) = (allocated_by_loop(5), allocated_by_loop(25));
    // A list has grown to the size of the largest batch with the few, or not; and `Date` is a new text each second.
    let more = many.saturating_sub(few);
    assert!(more <= 100, "{more} allocations more for {} heartbeats more", 20 * CONNECTIONS);
}
