//! Signed, distinct heartbeats on kept connections, one at a time on each; and the CPU that answering them cost.

use heartbeat_runtime::auth::Secret;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::daemon::{now_s, secret};

/// `USER_HZ`, in which the kernel tells CPU time (proc(5)).
pub(crate) const TICKS_PER_SECOND: f64 = 100.0;

static SENT: AtomicU64 = AtomicU64::new(0);

pub(crate) fn write_request(
    out: &mut Vec<u8>,
    secret: &Secret,
    id: &str,
    timestamp_s: i64,
    wait_s: Option<u32>,
) {
    let body = br#"{"agent":"edge-monitor"}"#;
    let signature = secret.sign(id, timestamp_s, body);
    let prefer = wait_s.map(|seconds| format!("Prefer: wait={seconds}\r\n")).unwrap_or_default();
    let head = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{prefer}webhook-id: {id}\r\nwebhook-timestamp: {timestamp_s}\r\n\
         webhook-signature: {signature}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body);
}

/// Microseconds of CPU that the process spent on each request, over one round.
pub(crate) fn cpu_us_per_request(
    pid: u32,
    address: SocketAddr,
    connections: usize,
    round: Duration,
) -> Outcome<f64> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::new();
    for index in 0..connections {
        let mut stream = TcpStream::from_std(connect(address)?);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        streams.push(stream);
    }
    let secret = secret();
    let mut request = Vec::new();
    for stream in &mut streams {
        send(stream, &mut request, &secret)?;
    }
    let (cpu, end, mut answered) = (cpu_ticks(pid)?, Instant::now() + round, 0_u64);
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 16 * 1024]);
    while Instant::now() < end {
        poll.poll(&mut events, Some(round))?;
        for event in &events {
            let stream = &mut streams[event.token().0];
            let count = match stream.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            if !buffer[..count].starts_with(b"HTTP/1.1 200 ") {
                return Err(String::from_utf8_lossy(&buffer[..count]).into_owned().into());
            }
            answered += 1;
            send(stream, &mut request, &secret)?;
        }
    }
    Ok((cpu_ticks(pid)? - cpu) / TICKS_PER_SECOND * 1e6 / answered as f64)
}

fn connect(address: SocketAddr) -> Outcome<std::net::TcpStream> {
    let stream = std::net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn send(stream: &mut TcpStream, request: &mut Vec<u8>, secret: &Secret) -> Outcome<()> {
    let id = format!("msg_load_{:012}", SENT.fetch_add(1, Ordering::Relaxed));
    request.clear();
    write_request(request, secret, &id, now_s(), None);
    // One request at a time is on a connection: it always fits the socket's buffer.
    stream.write_all(request)?;
    Ok(())
}

/// User and system time (proc(5): fields 14 and 15).
pub(crate) fn cpu_ticks(pid: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let field = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(field(11) + field(12))
}
