//! Many that say nothing, or next to nothing.

use std::net::TcpStream;
use std::time::Duration;

use crate::crowd::{address, caller, callers, keep_on, may_open, push};
use crate::siege::Siege;

const MANY: usize = 10_000;
const HEAD: &[u8] = b"POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nX: ";
const CONTENT: &[u8] = b"POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 60000\r\n\r\n{";

#[test]
fn ten_thousand_idle_connections_keep_no_honest_agent_out() {
    if !may_open(MANY as u64) {
        return;
    }
    let siege = Siege::lay("");
    let told = siege.under(|siege| callers(siege.daemon.port, MANY));
    siege.has_held(&told);
}

/// Opens many connections, some hundreds at a time, and lets each drip.
fn drip(siege: &Siege, first: &[u8]) {
    let mut open: Vec<TcpStream> = Vec::new();
    for _ in 0..MANY / 500 {
        open.extend(callers(siege.daemon.port, 500));
        open.retain_mut(|stream| push(stream, first));
        keep_on(Duration::from_millis(100), || open.retain_mut(|stream| push(stream, b"x")));
    }
}

#[test]
fn ten_thousand_heads_that_drip_in_keep_no_honest_agent_out() {
    let siege = Siege::lay("");
    if !may_open(MANY as u64) {
        return;
    }
    let told = siege.under(|siege| drip(siege, HEAD));
    siege.has_held(&told);
}

#[test]
fn heads_that_drip_in_from_ten_thousand_addresses_keep_no_honest_agent_out() {
    let siege = Siege::lay("");
    if !may_open(MANY as u64) {
        return;
    }
    let told = siege.under(|siege| {
        let connect = |number| caller(address(number), siege.daemon.port).ok();
        let mut open: Vec<TcpStream> = Vec::new();
        for first in (1..=MANY).step_by(100) {
            open.extend((first..first + 100).filter_map(connect));
            open.retain_mut(|stream| push(stream, HEAD));
        }
    });
    siege.has_held(&told);
}

#[test]
fn ten_thousand_contents_that_drip_in_keep_no_honest_agent_out() {
    let siege = Siege::lay("");
    if !may_open(MANY as u64) {
        return;
    }
    let told = siege.under(|siege| drip(siege, CONTENT));
    siege.has_held(&told);
}
