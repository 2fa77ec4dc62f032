//! The table against the real daemon, on a real socket: every status line that comes back is counted.

use std::io::Read as _;
use std::net::Shutdown;

use super::case::{Case, End};
use super::support::EdgeBox;
use super::support::daemon::Daemon;

/// What each case is followed by: answered where the connection goes on, and nowhere else.
const PROBE: &[u8] = b"OPTIONS * HTTP/1.1\r\nHost: probe\r\n\r\n";

/// More than the answers to any case measure: a daemon that went on for ever would be found out.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// A daemon that takes heartbeats from anybody, so that the table needs no secret.
fn open_box() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("authentication_enabled = false\n");
    edge_box
}

/// The status and the head of each answer. A status line counts wherever it stands.
fn answers(bytes: &[u8]) -> Vec<(u16, String)> {
    let text = String::from_utf8_lossy(bytes);
    let starts: Vec<usize> = text.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    let parts = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
    let parsed = parts.filter_map(|part| Some((part.get(9..12)?.parse().ok()?, part.to_owned())));
    // An interim answer is none: whether it is sent depends on what has come by then.
    parsed.filter(|(status, _)| *status != 100).collect()
}

/// All that the daemon says to these pieces, sent one after the other by a peer that then sends no more.
fn exchange(daemon: &Daemon, pieces: &[&[u8]]) -> Vec<(u16, String)> {
    let mut wire = daemon.connect();
    wire.stream.set_nodelay(true).expect("send each piece by itself");
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        // A daemon that has refused what came before may be gone.
        if wire.try_send(piece).is_err() {
            break;
        }
    }
    let _gone_already = wire.stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    let bounded = wire.stream.take(SAID_BYTES_MAX).read_to_end(&mut said);
    bounded.expect("the daemon ends the connection");
    answers(&said)
}

/// Fails unless the answers are those of the case.
#[track_caller]
fn assert_answers(case: &Case, answers: &[(u16, String)], how: &str) {
    let mut expected = case.served.clone();
    match case.end {
        End::Kept => expected.push(204),
        End::Refused(status) => expected.push(status),
        End::Closed | End::Waits => {}
    }
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, expected, "{how}: {}", case.title());
    for (index, (_, answer)) in answers.iter().enumerate() {
        let is_last = index + 1 == answers.len();
        let closes = is_last && matches!(case.end, End::Closed | End::Refused(_));
        assert_eq!(answer.contains("\r\nConnection: close\r\n"), closes, "{how}: {} {answer}", case.title());
    }
}

/// What is sent: the case, and a request that shows whether the connection goes on.
fn probed(case: &Case) -> Vec<u8> {
    let probe = if case.end == End::Waits { &[][..] } else { PROBE };
    [&case.bytes, probe].concat()
}

/// Every case whole, and of those that are short some in two pieces.
pub(crate) fn hold(cases: &[Case]) {
    let edge_box = open_box();
    let mut daemon = edge_box.start();
    for (number, case) in cases.iter().enumerate() {
        let bytes = probed(case);
        assert_answers(case, &exchange(&daemon, &[&bytes]), "whole");
        if number % 4 == 0 && bytes.len() < 1000 {
            let (left, right) = bytes.split_at(bytes.len() * (number % 7 + 1) / 8);
            assert_answers(case, &exchange(&daemon, &[left, right]), "in two pieces");
        }
    }
    assert!(daemon.lives());
}

/// One turn of a conversation: what is sent, and the status that is then waited for, if one is.
type Turn<'a> = (&'a str, Option<u16>);

/// Returns once the daemon has read what was sent to it before: it serves its connections in the order of what came.
fn let_it_read(daemon: &Daemon) {
    let mut later = daemon.connect();
    later.send(PROBE);
    assert_eq!(later.answer().status, 204);
}

/// Fails unless the daemon says what it should, turn by turn, and nothing else before it closes.
fn converse(daemon: &Daemon, turns: &[Turn<'_>]) {
    let mut wire = daemon.connect();
    for (sent, status) in turns {
        wire.send(sent);
        match status {
            // An interim answer has a head alone.
            Some(100) => assert_eq!(wire.head().status, 100, "{turns:?}"),
            Some(status) => assert_eq!(wire.answer().status, *status, "{turns:?}"),
            None => let_it_read(daemon),
        }
    }
    wire.stream.shutdown(Shutdown::Write).expect("send no more");
    assert_eq!(wire.rest(), "", "{turns:?}");
}

/// RFC 9110 section 10.1.1: who waits for leave gets it, once, and nobody else does.
#[test]
fn content_is_asked_for_when_a_peer_waits_for_that_and_at_no_other_time() {
    let edge_box = open_box();
    let daemon = edge_box.start();
    let head = |fields: &str| {
        format!("POST /data_flows/heartbeat HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{fields}\r\n")
    };
    let (length, chunks) = (head("Content-Length: 2\r\n"), head("Transfer-Encoding: chunked\r\n"));
    let together = length.clone() + "{}";
    let (begun, begun_chunk) = (length.clone() + "{", chunks.clone() + "2\r\n");
    let (start, rest) = length.split_at(40);
    let old = "POST /data_flows/heartbeat HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let plain = "POST /data_flows/heartbeat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n";
    for turns in [
        &[(&length[..], Some(100)), ("{}", Some(200))][..],
        &[(&length, Some(100)), ("{", None), ("}", Some(200))],
        &[(start, None), (rest, Some(100)), ("{}", Some(200))],
        &[(&together, Some(200))],
        &[(&begun, None), ("}", Some(200))],
        &[(&begun_chunk, None), ("{}\r\n0\r\n\r\n", Some(200))],
        &[(&chunks, Some(100)), ("2\r\n{}\r\n", None), ("0\r\n\r\n", Some(200))],
        &[(&length, Some(100)), ("{}", Some(200)), (&chunks, Some(100)), ("0\r\n\r\n", Some(200))],
        &[(&together, Some(200)), (&length, Some(100)), ("{}", Some(200))],
        &[(&head("Content-Length: 0\r\n"), Some(200))],
        &[(&head(""), Some(411))],
        &[(&head("Content-Length: 65537\r\n"), Some(413))],
        &[(&head("Content-Length: 2\r\nContent-Length: 2\r\n"), Some(400))],
        &[(&head("Expect: tea\r\nContent-Length: 2\r\n"), Some(417))],
        &[(&length, Some(100)), ("{}GET", Some(200)), (" / HTTP/1.1\nHost: a\n\n", Some(400))],
        &[(&chunks, Some(100)), ("2\n", Some(400))],
        &[(old, None), ("{}", Some(200))],
        &[(plain, None), ("{}", Some(200))],
    ] {
        converse(&daemon, turns);
    }
}
