//! Answers as a caller meets them: what is allowed and what is forbidden, whole and in pieces.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::http::Limits;

const SMALL: Limits = Limits { head_bytes: 200, headers: 6, body_bytes: 20 };

/// What came out of these pieces, and of the close behind them. Bytes that come behind an answer take its connection
/// with them, as a caller has to see to.
fn outcome(pieces: &[&[u8]], method: Method) -> Result<Answer, Fault> {
    let mut receiver = Receiver::new(SMALL, method);
    let mut pieces = pieces.iter().filter(|piece| !piece.is_empty());
    while let Some(piece) = pieces.next() {
        if let Some(mut answer) = receiver.push(piece)? {
            answer.may_reuse &= pieces.next().is_none();
            assert_eq!(receiver.push(b"a"), Err(Fault::Over));
            assert_eq!(receiver.end(), Err(Fault::Over));
            return Ok(answer);
        }
    }
    receiver.end()
}

/// The outcome of the whole, which is the same however it is split.
#[track_caller]
fn received(bytes: &[u8], method: Method) -> Result<Answer, Fault> {
    let whole = outcome(&[bytes], method);
    for at in 1..bytes.len() {
        let (left, right) = bytes.split_at(at);
        assert_eq!(outcome(&[left, right], method), whole, "{:?} at {at}", String::from_utf8_lossy(bytes));
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(outcome(&single, method), whole, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

/// A 200 with these fields, and what follows its head.
fn ok(fields: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}")
}

fn chunked(rest: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", rest)
}

#[track_caller]
fn gives(method: Method, bytes: &str, status: u16, body: &str, may_reuse: bool) {
    let answer =
        received(bytes.as_bytes(), method).unwrap_or_else(|fault| unreachable!("{bytes:?}: {fault}"));
    let given = (answer.status, String::from_utf8_lossy(&answer.body), answer.may_reuse);
    assert_eq!(given, (status, body.into(), may_reuse), "{bytes:?}");
}

#[track_caller]
fn is_faulty(bytes: &str, fault: &Fault) {
    assert_eq!(received(bytes.as_bytes(), Method::Get).as_ref(), Err(fault), "{bytes:?}");
}

/// The sentence about what is malformed has these words.
#[track_caller]
fn is_malformed(bytes: &str, words: &str) {
    match received(bytes.as_bytes(), Method::Get) {
        Err(Fault::Malformed(detail)) => assert!(detail.contains(words), "{bytes:?}: {detail}"),
        other => unreachable!("{bytes:?}: {other:?}"),
    }
}

#[test]
fn an_answer_is_given_with_all_that_it_says() {
    let answer = received(
        b"HTTP/1.1 503 Busy: \xfc\r\nA: \tone \r\na:\r\nB: \xfc\r\nContent-Length: 2\r\n\r\nhi",
        Method::Get,
    )
    .unwrap();
    let fields = [("A", "one"), ("a", ""), ("B", "\u{fffd}"), ("Content-Length", "2")];
    assert_eq!(answer.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!((answer.status, answer.body.as_slice(), answer.may_reuse), (503, &b"hi"[..], true));
}

#[test]
fn content_ends_where_its_framing_says() {
    for (bytes, body, may_reuse) in [
        (ok("Content-Length: 5\r\n", "hello"), "hello", true),
        (ok("Content-Length: 0\r\n", ""), "", true),
        (ok("Content-Length: 20\r\n", "12345678901234567890"), "12345678901234567890", true),
        (ok("Content-Length: 5\r\nContent-Length: 5, 05\r\n", "hello"), "hello", true),
        (chunked("5\r\nhello\r\n0\r\n\r\n"), "hello", true),
        (
            chunked("a;x=\"y\"\r\n0123456789\r\nA\r\n0123456789\r\n00\r\nT: v\r\n\r\n"),
            "01234567890123456789",
            true,
        ),
        (chunked("0\r\n\r\n"), "", true),
        (ok("", "until the end"), "until the end", false),
        (ok("Connection: keep-alive\r\n", ""), "", false),
        (ok("Content-Encoding: identity\r\nContent-Length: 1\r\n", "a"), "a", true),
    ] {
        gives(Method::Get, &bytes, 200, body, may_reuse);
    }
    gives(Method::Get, "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na", 200, "a", true);
    gives(Method::Post, "HTTP/1.1 999 ?\r\nContent-Length: 1\r\n\r\na", 999, "a", true);
}

#[test]
fn a_connection_is_used_again_only_if_both_sides_are_done_with_it() {
    for (bytes, may_reuse) in [
        (ok("Content-Length: 1\r\nConnection: x, Close\r\n", "a"), false),
        (ok("Content-Length: 1\r\nConnection: x y\r\n", "a"), false),
        (ok("Content-Length: 1\r\n", "ab"), false),
        (ok("Content-Length: 1\r\n", "aHTTP/1.1 200 OK\r\n\r\n"), false),
        (chunked("1\r\na\r\n0\r\n\r\n\r\n"), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na".to_owned(), false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\na".to_owned(), true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive, close\r\n\r\na".to_owned(), false),
    ] {
        gives(Method::Get, &bytes, 200, "a", may_reuse);
    }
}

#[test]
fn some_answers_have_no_content_whatever_they_say() {
    let large = "Content-Length: 1000\r\nContent-Encoding: gzip\r\n\r\n";
    gives(Method::Head, &format!("HTTP/1.1 200 OK\r\n{large}"), 200, "", true);
    gives(Method::Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true);
    gives(Method::Get, &format!("HTTP/1.1 304 Not Modified\r\n{large}"), 304, "", true);
    gives(Method::Get, "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
    gives(Method::Get, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, "", true);
    // Content that must not be there may come, and would pass for the next answer.
    gives(Method::Get, "HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\n", 204, "", false);
    gives(Method::Get, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", false);
    gives(Method::Head, "HTTP/1.1 200 OK\r\n\r\nbody", 200, "", false);
}

#[test]
fn interim_answers_are_skipped_up_to_a_number() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>; rel=next\r\n\r\n";
    let last = ok("Content-Length: 1\r\n", "a");
    gives(Method::Get, &format!("{interim}{last}"), 200, "a", true);
    gives(Method::Get, &format!("{}{last}", interim.repeat(4)), 200, "a", true);
    is_faulty(&format!("{}HTTP/1.1 102 P\r\n\r\n{last}", interim.repeat(4)), &Fault::TooManyInterim);
    is_faulty("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", &Fault::Switched);
}

#[test]
fn what_two_readers_could_understand_differently_is_malformed() {
    for (bytes, words) in [
        (ok("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), "differ"),
        (ok("Content-Length: 5, 6\r\n", "hello!"), "differ"),
        (ok("Content-Length: 5,\r\n", "hello"), "not a number"),
        (ok("Content-Length: +5\r\n", "hello"), "not a number"),
        (ok("Content-Length: \r\n", "hello"), "not a number"),
        (ok("Content-Length: 99999999999999999999\r\n", ""), "not a number"),
        (ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "a Transfer-Encoding"),
        (ok("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), "transfer coding"),
        (ok("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), "chunked once and last"),
        (
            ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            "chunked once and last",
        ),
        (ok("Transfer-Encoding: identity\r\n", "a"), "transfer coding"),
        (ok("Transfer-Encoding:\r\n", "a"), "chunked once and last"),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "HTTP/1.0"),
        (chunked("5 \r\nhello\r\n"), "hexadecimal"),
        (chunked("5\r\nhelloX\r\n"), "longer than was announced"),
        (chunked("5\nhello\r\n"), "LF"),
        (chunked("ffffffffffffffffff\r\n"), "out of all bounds"),
        (chunked(&format!("1;{}", "b".repeat(300))), "chunk's line"),
        (chunked("0\r\nT : v\r\n\r\n"), "name"),
        (ok("A : 1\r\n", ""), "name"),
        (ok("A: 1\r\n b\r\n", ""), "name"),
        (ok("A: 1\0\r\n", ""), "control byte"),
        (ok("A: 1\rB: 2\r\n", ""), "CR"),
        ("HTTP/1.1 200 OK\nA: b\n\n".to_owned(), "LF"),
        ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), "first line"),
        ("HTTP/1.1 2000 OK\r\n\r\n".to_owned(), "first line"),
        ("HTTP/1.1 099 OK\r\n\r\n".to_owned(), "from 100 on"),
        ("HTTP/1.1\r\n\r\n".to_owned(), "version"),
        ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), "version"),
    ] {
        is_malformed(&bytes, words);
    }
}

#[test]
fn what_is_not_http_is_known_by_its_first_bytes() {
    for bytes in
        ["SSH-2.0-OpenSSH_9.9\r\n", "\x15\x03\x01\0\x02\x02\x16", "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP 200"]
    {
        is_faulty(bytes, &Fault::NotHttp);
    }
    let mut receiver = Receiver::new(SMALL, Method::Get);
    assert_eq!(receiver.push(b"HTTP\n"), Err(Fault::NotHttp), "before a line has ended");
}

#[test]
fn what_is_larger_than_is_accepted_is_a_fault_as_soon_as_it_is_known() {
    let head = Fault::HeadTooLong { head_bytes: 200, headers: 6 };
    let fits = |bytes: usize| ok(&format!("A: {}\r\n", "b".repeat(bytes)), "");
    let room = 200 - fits(0).len();
    gives(Method::Get, &fits(room), 200, "", false);
    is_faulty(&fits(room + 1), &head);
    is_faulty(&format!("HTTP/1.1 200 {}", "a".repeat(300)), &head);
    is_faulty(&format!("HTTP/1.1 103 {}\r\n\r\n", "a".repeat(300)), &head);
    gives(Method::Get, &ok(&"A: b\r\n".repeat(6), ""), 200, "", false);
    is_faulty(&ok(&"A: b\r\n".repeat(7), ""), &head);
    is_faulty(&chunked(&format!("0\r\nT: {}\r\n\r\n", "b".repeat(200))), &head);

    let body = Fault::BodyTooLong { status: 200, body_bytes: 20 };
    is_faulty(&ok("Content-Length: 21\r\n", ""), &body);
    is_faulty(&ok("Content-Length: 18446744073709551615\r\n", ""), &body);
    is_faulty(&chunked("a\r\n0123456789\r\nb\r\n"), &body);
    gives(Method::Get, &ok("", &"a".repeat(20)), 200, &"a".repeat(20), false);
    is_faulty(&ok("", &"a".repeat(21)), &body);
}

#[test]
fn compressed_content_is_a_fault_that_tells_the_status() {
    for coding in ["gzip", "br", "identity, gzip", "gzip, identity"] {
        let bytes =
            format!("HTTP/1.1 203 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 3\r\n\r\n\x1f\x08\0");
        let fault = received(bytes.as_bytes(), Method::Get).unwrap_err();
        let said = fault.to_string();
        assert!(
            said.contains("(203) is compressed") && said.contains("though we asked for identity"),
            "{said}"
        );
    }
}

#[test]
fn a_status_counts_without_its_content_unless_a_success_needs_that() {
    for unreadable in [
        "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x08\0",
        "Content-Encoding: gzip\r\n\r\n",
        "Content-Length: 21\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\nb\r\n",
        "\r\n0123456789012345678901",
    ] {
        let answer = |status: u16, needs_content: bool| {
            let mut receiver = Receiver::new(SMALL, Method::Post);
            if !needs_content {
                receiver = receiver.without_need_of_content();
            }
            let bytes = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\n{unreadable}");
            receiver.push(bytes.as_bytes()).map(Option::unwrap)
        };
        for (status, needs_content) in [(200, false), (422, false), (307, true), (422, true), (503, true)] {
            let answer = answer(status, needs_content).unwrap();
            assert_eq!((answer.status, answer.body.len(), answer.may_reuse), (status, 0, false));
            assert_eq!(answer.field("Retry-After"), Some("7"));
        }
        let fault = answer(203, true).unwrap_err();
        assert!(matches!(fault, Fault::Compressed { .. } | Fault::BodyTooLong { .. }), "{fault}");
    }
}

#[test]
fn a_close_in_the_middle_says_how_much_of_how_much_came() {
    let empty: [&[u8]; 0] = [];
    assert_eq!(outcome(&empty, Method::Get), Err(Fault::Closed));
    is_faulty("HTTP/1.1 200 OK\r\nA", &Fault::CutHead { came: 18 });
    is_faulty("HTTP/1.1 100 Continue\r\n\r\nHTTP", &Fault::CutHead { came: 4 });
    is_faulty("HTTP/1.1 100 Continue\r\n\r\n", &Fault::CutHead { came: 0 });
    is_faulty(&ok("Content-Length: 5\r\n", "hel"), &Fault::CutBody { came: 3, length: 5 });
    is_faulty(&chunked("5\r\nhel"), &Fault::CutChunks { came: 3, missing: 2 });
    is_faulty(&chunked("5\r\nhello\r\n"), &Fault::CutChunks { came: 5, missing: 0 });
    is_faulty(&chunked("5\r\nhello\r\n0\r\n"), &Fault::CutChunks { came: 5, missing: 0 });
    for (fault, says) in [
        (Fault::CutBody { came: 3, length: 5 }, "after 3 of the content's 5 bytes"),
        (
            Fault::CutChunks { came: 3, missing: 2 },
            "after 3 bytes of chunked content, 2 bytes before the end of",
        ),
        (Fault::CutChunks { came: 3, missing: 0 }, "before the last chunk"),
        (Fault::CutHead { came: 18 }, "18 bytes came"),
    ] {
        assert!(fault.to_string().contains(says), "{fault}");
    }
}

/// Answers one connection's requests, the first whole and the second until it closes, and gives back what it read.
fn serve(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut read = Vec::new();
    for (end, answer) in [
        (
            "\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nLink: <?page=2>; rel=\"next\"\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n",
        ),
        ("ping", "HTTP/1.1 202 Accepted\r\n\r\ntwo"),
    ] {
        let mut buffer = [0; 64];
        while !read.ends_with(end.as_bytes()) {
            let count = stream.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
    }
    read
}

fn exchange(stream: &mut TcpStream, request: &Request<'_>) -> Answer {
    let mut out = Vec::new();
    request.append(&mut out);
    stream.write_all(&out).unwrap();
    let mut receiver = Receiver::new(Limits::default(), request.method);
    let mut buffer = [0; 16];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        if count == 0 {
            return receiver.end().unwrap();
        }
        if let Some(answer) = receiver.push(&buffer[..count]).unwrap() {
            return answer;
        }
    }
}

#[test]
fn two_exchanges_over_one_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = Url::parse(&format!("http://{}/a?page=1", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || serve(&listener));
    let mut stream = TcpStream::connect((first.host(), first.port())).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();

    let answer =
        exchange(&mut stream, &Request { method: Method::Get, url: &first, fields: &[], body: None });
    assert_eq!((answer.status, answer.body.as_slice(), answer.may_reuse), (200, &b"one"[..], true));
    let next = first.join(answer.next_link().unwrap()).unwrap();
    assert!(next.same_origin(&first));

    let body = Some(&b"ping"[..]);
    let answer = exchange(&mut stream, &Request { method: Method::Post, url: &next, fields: &[], body });
    assert_eq!((answer.status, answer.body.as_slice(), answer.may_reuse), (202, &b"two"[..], false));
    let read = String::from_utf8(server.join().unwrap()).unwrap();
    assert!(
        read.starts_with("GET /a?page=1 HTTP/1.1\r\n") && read.contains("POST /a?page=2 HTTP/1.1\r\n"),
        "{read}"
    );
}
