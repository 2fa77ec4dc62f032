//! However the bytes of a connection are split, what comes out of it is the same.

use super::tests::{chunked, get, post};
use super::{Limits, Progress, Receiver, Request};

/// Limits that are small enough for requests at their edge to be split everywhere.
pub(super) const SMALL: Limits = Limits { head_bytes: 120, headers: 4, body_bytes: 20 };

/// What came out of a connection, in words that compare.
fn outcome(pieces: &[&[u8]], limits: &Limits) -> Vec<String> {
    let mut receiver = Receiver::new();
    let mut outcomes = Vec::new();
    for piece in pieces {
        receiver.receive(piece);
        loop {
            match receiver.poll(limits) {
                Progress::Request(request) => outcomes.push(described(&request)),
                Progress::Refused(refusal) => {
                    if outcomes.last().is_none_or(|last| !last.starts_with("refused")) {
                        let head_only = receiver.refused_head_only();
                        outcomes.push(format!("refused {} {} {head_only}", refusal.code, refusal.detail));
                    }
                    break;
                }
                _ => break,
            }
            receiver.consume();
        }
    }
    outcomes
}

fn described(request: &Request<'_>) -> String {
    let fields: Vec<_> = ["a", "host", "expect"].map(|name| request.fields(name).collect::<Vec<_>>()).into();
    format!(
        "{:?} {} {} {:?} {} 1.{} {:?} {} {:?} {fields:?}",
        request.method,
        request.method_text(),
        request.path,
        request.query,
        request.target_is_asterisk(),
        request.minor_version,
        request.host,
        request.keep_alive,
        String::from_utf8_lossy(request.body),
    )
}

/// Requests and what is none, allowed and forbidden of each rule.
fn corpus() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /x?y=z HTTP/1.1\r\nHost: a:80\r\nA: 1\r\nA:  2 \r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b:1/c?d HTTP/1.1\r\nHost: a\r\n\r\nGET http://b HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\0",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    corpus.extend([
        post("Content-Length: 5\r\n", "hello"),
        post("Content-Length: 0\r\n", "GET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
        post("Content-Length: 3\r\nExpect: 100-continue\r\n", "\r\n\r\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n"),
        post("Content-Length: 20\r\n", "12345678901234567890"),
        post("Content-Length: 21\r\n", "123456789012345678901"),
        post("Content-Length: 5, 5\r\n", "hello"),
        post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        post("Expect: 200-ok\r\nContent-Length: 1\r\n", "a"),
        post("", ""),
        chunked("5\r\nhello\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
        chunked("a;x=\"y\"\r\n0123456789\r\nA\r\n0123456789\r\n00\r\nT: v\r\nU: w\r\n\r\n"),
        chunked("a\r\n0123456789\r\nb\r\n"),
        chunked("5\r\nhelloX\r\n"),
        chunked("5\r\nhello\rX"),
        chunked("5\nhello\r\n"),
        chunked("5 \r\nhello\r\n"),
        chunked("ffffffffffffffffff\r\n"),
        chunked("0\r\nT : v\r\n\r\n"),
        chunked("0\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n\r\n"),
        chunked(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(113))),
        chunked(&format!("0\r\nA: {}\r\n\r\n", "b".repeat(114))),
        chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "b".repeat(254))),
        chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "b".repeat(255))),
        chunked(&format!("1;{}\0", "b".repeat(255))),
        get("A: 1\r\nA: 2\r\nA: 3\r\n"),
        get("A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n"),
        get(&format!("A: {}\r\n", "b".repeat(88))),
        get(&format!("A: {}\r\n", "b".repeat(89))),
        get(&format!("A: {}\0\r\n", "b".repeat(89))),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(120)).into_bytes(),
        format!("GET /{}\0 HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(120)).into_bytes(),
    ]);
    corpus
}

#[test]
fn the_outcome_is_the_same_however_the_bytes_are_split() {
    for bytes in corpus() {
        let whole = outcome(&[&bytes], &SMALL);
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(
                outcome(&[left, right], &SMALL),
                whole,
                "{:?} at {at}",
                String::from_utf8_lossy(&bytes)
            );
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(outcome(&single, &SMALL), whole, "{:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn every_request_of_the_corpus_comes_to_an_outcome() {
    for bytes in corpus() {
        assert!(!outcome(&[&bytes], &SMALL).is_empty(), "{}", String::from_utf8_lossy(&bytes));
    }
}
