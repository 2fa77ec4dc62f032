//! Those who call the heartbeat port: honest agents, and all the others.

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt::set_socket_linger};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, now_s, secret};
use crate::load::write_request;
use crate::setting::Setting;
use crate::wire::Wire;
use crate::{Kind, PATIENCE, Shared};
use heartbeat_runtime::auth::Secret;

pub(crate) type Load = fn(&Daemon, &Setting, &Shared);

pub(crate) fn loads() -> Vec<Load> {
    vec![honest, honest_on_one_connection, waiting, forged, slow, slow, idle, leaving]
}

const BEAT_EVERY: Duration = Duration::from_millis(100);
const FORGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const SLOTH: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 10);
const LEAVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn heartbeat(secret: &Secret, wait_s: Option<u32>) -> Vec<u8> {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut bytes = Vec::new();
    write_request(&mut bytes, secret, &format!("msg_soak_{number}"), now_s(), wait_s);
    bytes
}

fn connect_from(source: Ipv4Addr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    connect(&socket, &address)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One honest heartbeat over a connection; whatever is no 200 is a fault.
fn beat(wire: &mut Wire, wait_s: Option<u32>, shared: &Shared) -> bool {
    let begin = Instant::now();
    let answer = wire.try_send(heartbeat(&secret(), wait_s)).and_then(|()| wire.try_answer());
    if wait_s.is_none() {
        shared.took(begin.elapsed());
    }
    shared.did(Kind::Honest);
    match answer {
        Ok(answer) if answer.status == 200 => true,
        other => {
            shared.fault(format!("an honest heartbeat got {other:?}"));
            false
        }
    }
}

fn honest(daemon: &Daemon, _: &Setting, shared: &Shared) {
    while shared.goes_on() {
        match Wire::try_connect(daemon.address().port()) {
            Ok(mut wire) => {
                beat(&mut wire, None, shared);
            }
            Err(error) => shared.fault(format!("an honest agent cannot connect: {error}")),
        }
        shared.pause(BEAT_EVERY);
    }
}

/// The daemon may close a connection that is idle: this one never is for long.
fn honest_on_one_connection(daemon: &Daemon, _: &Setting, shared: &Shared) {
    while shared.goes_on() {
        let Ok(mut wire) = Wire::try_connect(daemon.address().port()) else { continue };
        while shared.goes_on() && beat(&mut wire, None, shared) {
            shared.pause(BEAT_EVERY);
        }
    }
}

fn waiting(daemon: &Daemon, _: &Setting, shared: &Shared) {
    while shared.goes_on() {
        if let Ok(mut wire) = Wire::try_connect(daemon.address().port()) {
            beat(&mut wire, Some(2), shared);
            shared.did(Kind::Waiting);
        }
        shared.pause(BEAT_EVERY);
    }
}

fn forged(daemon: &Daemon, _: &Setting, shared: &Shared) {
    let (_, other) = Secret::generate(&[7; 32]);
    while shared.goes_on() {
        let Ok(mut stream) = connect_from(FORGER, daemon.address()) else { continue };
        let mut answer = [0; 4096];
        for _ in 0..20 {
            let sent = stream.write_all(&heartbeat(&other, None));
            match sent.and_then(|()| stream.read(&mut answer)) {
                Ok(count)
                    if answer.get(..count).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200")) =>
                {
                    shared.fault("a forged heartbeat was accepted".to_owned());
                }
                Ok(count) if count > 0 => shared.did(Kind::Forged),
                _ => break,
            }
        }
        shared.pause(BEAT_EVERY);
    }
}

/// Heads and contents that come a byte at a time, on some twenty connections at once.
fn slow(daemon: &Daemon, _: &Setting, shared: &Shared) {
    let parts: [&[u8]; 2] = [
        b"GET /healthz HTTP/1.1\r\nX: ",
        b"POST /data_flows/heartbeat HTTP/1.1\r\nHost: b\r\nContent-Length: 60000\r\n\r\n",
    ];
    while shared.goes_on() {
        let open = (0..20).filter_map(|number| {
            let mut stream = connect_from(SLOTH, daemon.address()).ok()?;
            stream.write_all(parts.get(number % 2)?).ok()?;
            Some(stream)
        });
        let mut open: Vec<TcpStream> = open.collect();
        while shared.goes_on() && !open.is_empty() {
            open.retain_mut(|stream| stream.write_all(&[b'x'; 700]).is_ok());
            shared.pause(Duration::from_millis(100));
        }
        (0..20).for_each(|_| shared.did(Kind::Slow));
    }
}

fn idle(daemon: &Daemon, _: &Setting, shared: &Shared) {
    while shared.goes_on() {
        let open: Vec<_> = (0..10).map(|_| connect_from(SLOTH, daemon.address())).collect();
        (0..10).for_each(|_| shared.did(Kind::Slow));
        shared.pause(Duration::from_secs(1));
        drop(open);
    }
}

/// Leaves in the middle of a request, of an answer, or before either, with a reset.
fn leaving(daemon: &Daemon, _: &Setting, shared: &Shared) {
    let mut number: usize = 0;
    while shared.goes_on() {
        if let Ok(mut stream) = connect_from(LEAVER, daemon.address()) {
            let _reset = set_socket_linger(&stream, Some(Duration::ZERO));
            let bytes = heartbeat(&secret(), (number.is_multiple_of(3)).then_some(5));
            let sent = if number.is_multiple_of(2) { bytes.len() } else { number % bytes.len() };
            let _it_leaves = stream.write_all(bytes.get(..sent).unwrap_or_default());
            shared.did(Kind::Left);
        }
        number += 1;
        shared.pause(Duration::from_millis(20));
    }
}
