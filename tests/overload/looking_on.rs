//! The same against the status port, which has room of its own.

use std::net::TcpStream;
use std::time::Duration;

use crate::crowd::{address, caller, keep_on, push};
use crate::siege::Siege;
use crate::support::metrics::{Metrics, status_port, watched_box};
use crate::support::{eventually, until};

const LAST: Duration = Duration::from_secs(4);
/// See `limits::STATUS_CONNECTIONS_MAX`.
const ROOM: usize = 32;

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// A box with as many flows as have metrics of their own.
fn with_many_flows() -> Siege {
    let edge_box = watched_box();
    for number in 0..550 {
        edge_box.script(&format!("readings-of-site-{number}"), "enabled = false", "true");
    }
    Siege::around(edge_box)
}

fn crowd(siege: &Siege, count: usize) -> Vec<TcpStream> {
    let port = status_port(&siege.edge_box);
    (0..count).filter_map(|number| caller(address(1 + number % 8), port).ok()).collect()
}

/// Asks for these in turn and reads nothing; Prometheus, meanwhile, gets its metrics.
fn not_read(siege: &mut Siege, paths: &[&str]) {
    Metrics::of(&siege.edge_box);
    siege.is_warm();
    let told = siege.under(|siege| {
        let mut open = crowd(siege, ROOM);
        let requests: Vec<String> = paths.iter().map(|path| request(path).repeat(20)).collect();
        keep_on(LAST, || {
            let mut next = requests.iter().cycle();
            open.retain_mut(|stream| next.next().is_some_and(|request| push(stream, request.as_bytes())));
            std::thread::sleep(Duration::from_millis(20));
        });
        // There may be no room just now: pages are in the making for all of them.
        eventually("Prometheus is answered", || Metrics::asked_of(&siege.edge_box));
        open
    });
    siege.has_held(&told);
}

#[test]
fn metrics_that_nobody_reads_do_not_fill_memory() {
    not_read(&mut with_many_flows(), &["/metrics"]);
}

#[test]
fn pages_and_events_that_nobody_reads_harm_nobody() {
    not_read(&mut Siege::around(watched_box()), &["/", "/system", "/events", "/flows/due"]);
}

#[test]
fn heads_that_drip_in_keep_nobody_out_who_looks_on() {
    let siege = Siege::around(watched_box());
    let told = siege.under(|siege| {
        let mut open = Vec::new();
        keep_on(LAST, || {
            open.extend(crowd(siege, ROOM));
            open.retain_mut(|stream| push(stream, b"GET / HTTP/1.1\r\nX: x"));
            open.retain_mut(|stream| push(stream, b"x"));
            // All of a crowd may have come within the very round in which it asks: none of them is slow yet.
            let metrics = eventually("it tells", || Metrics::asked_of(&siege.edge_box));
            assert!(metrics.text.contains("heartbeatd_connections"));
        });
        open
    });
    siege.has_held(&told);
    until("its room is free again", || {
        eventually("it tells", || Metrics::asked_of(&siege.edge_box))
            .count("heartbeatd_connections{listener=\"status\"}")
            == 1
    });
}
