//! Signed, distinct requests that were made before, and callers who send them one at a time on each connection.

use heartbeat_runtime::auth::Secret;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::net::{AddressFamily, SocketType};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;

/// Without an answer for so long, something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

static SENT: AtomicU64 = AtomicU64::new(0);

pub(crate) const BODY: &[u8] = br#"{"agent":"edge-monitor"}"#;

/// An id that was never sent before.
pub(crate) fn fresh_id() -> String {
    format!("msg_load_{:012}", SENT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn write_request(
    out: &mut Vec<u8>,
    secret: &Secret,
    id: &str,
    timestamp_s: i64,
    wait_s: Option<u32>,
) {
    let prefer = wait_s.map(|seconds| format!("Prefer: wait={seconds}\r\n")).unwrap_or_default();
    let signature = secret.sign(id, timestamp_s, BODY);
    let head = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n{prefer}webhook-id: {id}\r\nwebhook-timestamp: {timestamp_s}\r\n\
         webhook-signature: {signature}\r\n\r\n",
        BODY.len()
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(BODY);
}

/// Requests that are ready to be sent, each once.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    pub(crate) fn made_by(count: usize, mut write: impl FnMut(&mut Vec<u8>)) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for _ in 0..count {
            write(&mut bytes);
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    /// Heartbeats that are to be accepted; with a wait, or without.
    pub(crate) fn heartbeats(count: usize, secret: &Secret, now_s: i64, wait_s: Option<u32>) -> Self {
        Self::made_by(count, |out| write_request(out, secret, &fresh_id(), now_s, wait_s))
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// How callers come.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Connections, with one request at a time on each.
    pub(crate) connections: usize,
    /// A new connection for each request.
    pub(crate) reconnects: bool,
    /// The address that they come from.
    pub(crate) from: Ipv4Addr,
    /// How each answer must begin.
    pub(crate) answer: &'static str,
    /// Whether to be cut off counts as an answer: a crowd of strangers is not told that they are.
    pub(crate) may_be_cut_off: bool,
}

impl Manner {
    pub(crate) const fn kept(connections: usize) -> Self {
        Self {
            connections,
            reconnects: false,
            from: Ipv4Addr::LOCALHOST,
            answer: "HTTP/1.1 200 ",
            may_be_cut_off: false,
        }
    }
}

/// One connection, and what came of its answer so far.
pub(crate) struct Caller {
    pub(crate) stream: TcpStream,
    answer: Vec<u8>,
}

impl Caller {
    pub(crate) fn connect(from: Ipv4Addr, to: SocketAddr) -> Outcome<Self> {
        let stream = if from == Ipv4Addr::LOCALHOST {
            std::net::TcpStream::connect(to)?
        } else {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
            rustix::net::bind(&socket, &SocketAddr::from((from, 0)))?;
            rustix::net::connect(&socket, &to)?;
            std::net::TcpStream::from(socket)
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), answer: Vec::new() })
    }

    /// One request at a time is on a connection: it always fits the socket's buffer. Who was refused at once may
    /// find nobody there any more.
    pub(crate) fn send(&mut self, request: &[u8]) -> Outcome<()> {
        self.answer.clear();
        match self.stream.write_all(request) {
            Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Err(error.into())
            }
            _ => Ok(()),
        }
    }

    /// Takes in what is there: whether the answer is whole.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], manner: &Manner) -> Outcome<bool> {
        let count = match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::ConnectionReset && manner.may_be_cut_off => {
                return Ok(true);
            }
            Err(error) => return Err(error.into()),
        };
        if count == 0 && manner.may_be_cut_off {
            return Ok(true);
        }
        if count == 0 {
            return Err("a connection was closed before its answer was whole".into());
        }
        let got = if self.answer.is_empty() && is_whole(&buffer[..count]) {
            &buffer[..count]
        } else {
            self.answer.extend_from_slice(&buffer[..count]);
            &self.answer
        };
        if !is_whole(got) {
            return Ok(false);
        }
        if !got.starts_with(manner.answer.as_bytes()) {
            return Err(String::from_utf8_lossy(got).into_owned().into());
        }
        Ok(true)
    }
}

/// Whether an answer has its head and as much content as that says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return false };
    let head = &answer[..end];
    let Some(at) = memchr::memmem::find(head, b"ontent-Length: ") else { return true };
    let digits = head[at + 15..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    answer.len() >= end + 4 + length
}

/// Sends all requests, the next one on a connection when the last one there is answered: how long that took.
pub(crate) fn closed_loop(to: SocketAddr, manner: Manner, requests: &Requests) -> Outcome<Duration> {
    let mut poll = Poll::new()?;
    let mut callers = Vec::new();
    let join = |poll: &Poll, index: usize| -> Outcome<Caller> {
        let mut caller = Caller::connect(manner.from, to)?;
        poll.registry().register(&mut caller.stream, Token(index), Interest::READABLE)?;
        Ok(caller)
    };
    for index in 0..manner.connections.min(requests.len()) {
        callers.push(join(&poll, index)?);
    }
    let (start, mut sent, mut answered) = (Instant::now(), 0, 0);
    for caller in &mut callers {
        caller.send(requests.get(sent))?;
        sent += 1;
    }
    let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; 64 * 1024]);
    while answered < requests.len() {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(format!("{answered} of {} requests were answered", requests.len()).into());
        }
        for event in &events {
            let index = event.token().0;
            if !callers[index].receive(&mut buffer, &manner)? {
                continue;
            }
            answered += 1;
            if sent < requests.len() {
                if manner.reconnects {
                    callers[index] = join(&poll, index)?;
                }
                callers[index].send(requests.get(sent))?;
                sent += 1;
            }
        }
    }
    Ok(start.elapsed())
}
