//! The least that one thread can do for a signed heartbeat with nothing due: read, httparse, HMAC, two look-ups, write.

use hmac::{Hmac, KeyInit, Mac};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rusqlite::{Connection, Statement};
use sha2::Sha256;
use std::io::{Read, Write};
use std::net::SocketAddr;

use base64::Engine as _;

use crate::Outcome;
use crate::daemon::secret_text;

const LISTENER: Token = Token(usize::MAX - 1);
const SCHEMA: &str = "CREATE TABLE flow (id INTEGER PRIMARY KEY, next INT, enabled INT);
  CREATE INDEX due ON flow (next) WHERE enabled;
  CREATE TABLE heartbeat (id TEXT PRIMARY KEY) WITHOUT ROWID;
  WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
  INSERT INTO flow SELECT i, 99999999999, 1 FROM n;";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 10:30:00 GMT\r\n\
  Content-Length: 106\r\n\r\n{\"flows_due\":0,\"flows_triggered\":0,\"flows_skipped\":0,\"duplicate\":false,\"timestamp\":\"2026-11-23T10:30:00Z\"}";

struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

struct Judge<'a> {
    key: Hmac<Sha256>,
    seen: Statement<'a>,
    due: Statement<'a>,
}

pub(super) fn serve(address: SocketAddr) -> Outcome<()> {
    let material = secret_text().trim_start_matches("whsec_");
    let key = Hmac::new_from_slice(&base64::prelude::BASE64_STANDARD.decode(material)?)?;
    let database = Connection::open_in_memory()?;
    database.execute_batch(SCHEMA)?;
    let mut judge = Judge {
        key,
        seen: database.prepare("SELECT 1 FROM heartbeat WHERE id = ?1")?,
        due: database.prepare("SELECT id FROM flow WHERE enabled AND next <= ?1 ORDER BY next LIMIT 100")?,
    };
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut peers, mut buffer) = (Vec::<Option<Peer>>::new(), vec![0; 64 * 1024]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(peers.len()), Interest::READABLE)?;
                    peers.push(Some(Peer { stream, unread: Vec::new(), unsent: Vec::new() }));
                }
                continue;
            }
            let slot = &mut peers[event.token().0];
            let Some(peer) = slot else { continue };
            match peer.stream.read(&mut buffer) {
                Ok(0) => *slot = None,
                Ok(count) => {
                    peer.unread.extend_from_slice(&buffer[..count]);
                    answer(peer, &mut judge)?;
                }
                Err(_) => {}
            }
        }
    }
}

fn answer(peer: &mut Peer, judge: &mut Judge<'_>) -> Outcome<()> {
    let mut used = 0;
    while let Some(length) = take_one(&peer.unread[used..], judge)? {
        used += length;
        peer.unsent.extend_from_slice(ANSWER);
    }
    peer.unread.drain(..used);
    if !peer.unsent.is_empty() {
        let _gone = peer.stream.write(&peer.unsent);
        peer.unsent.clear();
    }
    Ok(())
}

/// The length of the request that was there, if one was whole.
fn take_one(bytes: &[u8], judge: &mut Judge<'_>) -> Outcome<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { return Ok(None) };
    let field = |name: &str| {
        let found = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.map_or(&b""[..], |field| field.value)
    };
    let length: usize = std::str::from_utf8(field("content-length"))?.parse()?;
    let Some(body) = bytes.get(head..head + length) else { return Ok(None) };
    let (id, signature) = (field("webhook-id"), field("webhook-signature"));
    let mut mac = judge.key.clone();
    for part in [id, b".", field("webhook-timestamp"), b".", body] {
        mac.update(part);
    }
    let mut given = [0; 48];
    let given_length =
        base64::prelude::BASE64_STANDARD.decode_slice(signature.get(3..).unwrap_or_default(), &mut given)?;
    mac.verify_slice(&given[..given_length])?;
    judge.seen.exists([std::str::from_utf8(id)?])?;
    judge.due.exists([1])?;
    Ok(Some(head + length))
}
