//! The receive half as its caller meets it: what is allowed and what is forbidden, in pairs.

use super::split_tests::SMALL;
use super::*;

/// The code that these bytes are refused with; none if they are requests.
fn refused(bytes: &[u8]) -> Option<ErrorCode> {
    let mut receiver = Receiver::new();
    receiver.receive(bytes);
    loop {
        match receiver.poll(&Limits::default()) {
            Progress::Request(_) => {}
            Progress::Refused(refusal) => return Some(refusal.code),
            Progress::Idle => return None,
            other => unreachable!("{other:?} after {}", String::from_utf8_lossy(bytes)),
        }
        receiver.consume();
    }
}

/// A GET with these fields beside `Host`.
pub(super) fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

/// A POST with these fields beside `Host`, and what follows the head.
pub(super) fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}").into_bytes()
}

pub(super) fn chunked(rest: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", rest)
}

#[track_caller]
fn accepts(bytes: &[u8]) {
    assert_eq!(refused(bytes), None, "{}", String::from_utf8_lossy(bytes));
}

#[track_caller]
fn refuses(bytes: &[u8], code: ErrorCode) {
    assert_eq!(refused(bytes), Some(code), "{}", String::from_utf8_lossy(bytes));
}

#[test]
fn a_request_is_given_with_all_that_it_says() {
    let mut receiver = Receiver::new();
    receiver.receive(b"POST /a%20b?c=d HTTP/1.1\r\nhOST: box:8787\r\nX: \tone\t \r\nx:two\r\nY:\r\ncontent-length: 2\r\n\r\nhi");
    let limits = Limits::default();
    let Progress::Request(request) = receiver.poll(&limits) else { unreachable!() };
    assert_eq!((request.method, request.path, request.query), (Method::Post, "/a%20b", Some("c=d")));
    assert_eq!((request.minor_version, request.host, request.keep_alive), (1, Some("box:8787"), true));
    assert_eq!(request.body, b"hi");
    assert_eq!(request.fields("X").collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(request.field("x"), Field::Repeated);
    assert_eq!(request.field("Y"), Field::One(b""));
    assert_eq!(request.field("Host"), Field::One(b"box:8787"));
    assert_eq!(request.field("z"), Field::Absent);
    assert_eq!(request.connection(), Connection::Persistent);
}

#[test]
fn polling_again_gives_the_same_until_the_request_is_consumed() {
    let mut receiver = Receiver::new();
    receiver.receive(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let limits = Limits::default();
    for path in ["/1", "/2"] {
        for _ in 0..3 {
            assert!(matches!(receiver.poll(&limits), Progress::Request(request) if request.path == path));
            assert_eq!(receiver.wants_bytes(&limits), 0);
        }
        receiver.consume();
    }
    assert!(matches!(receiver.poll(&limits), Progress::Idle));
    receiver.consume();
    assert!(matches!(receiver.poll(&limits), Progress::Idle));
}

#[test]
fn progress_tells_idle_from_head_from_body() {
    let mut receiver = Receiver::new();
    let limits = Limits::default();
    assert!(matches!(receiver.poll(&limits), Progress::Idle));
    receiver.receive(b"\r");
    assert!(matches!(receiver.poll(&limits), Progress::Idle));
    receiver.receive(b"\nP");
    assert!(matches!(receiver.poll(&limits), Progress::Head));
    receiver.receive(b"OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: false }));
    receiver.receive(b"a");
    assert!(matches!(receiver.poll(&limits), Progress::Request(_)));
}

#[test]
fn a_continue_is_sent_once_and_only_while_no_content_has_come() {
    let limits = Limits::default();
    let head = post("Content-Length: 2\r\nExpect: 100-Continue\r\n", "");
    let mut receiver = Receiver::new();
    receiver.receive(&head);
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: true }));
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: false }));
    let mut receiver = Receiver::new();
    receiver.receive(&head);
    receiver.receive(b"a");
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: false }));
    let mut receiver = Receiver::new();
    receiver.receive(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: false }));
    let mut receiver = Receiver::new();
    receiver.receive(&post("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", ""));
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: true }));
    let mut receiver = Receiver::new();
    receiver.receive(&post("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "1\r\n"));
    assert!(matches!(receiver.poll(&limits), Progress::Body { send_continue: false }));
}

#[test]
fn nothing_after_a_refusal_is_looked_at() {
    let mut receiver = Receiver::new();
    let limits = Limits::default();
    receiver.receive(b"GET / HTTP/1.1\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..3 {
        assert!(matches!(receiver.poll(&limits), Progress::Refused(_)));
        receiver.consume();
        receiver.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((receiver.buffered(), receiver.wants_bytes(&limits)), (0, 0));
    }
}

#[test]
fn a_bad_byte_is_refused_before_the_head_is_whole() {
    for bytes in [&b"GET / HTTP/1.1\nH"[..], b"GET /\0", b"GET /\r ", b"\x16\x03", b"\n"] {
        let mut receiver = Receiver::new();
        receiver.receive(bytes);
        assert!(matches!(receiver.poll(&Limits::default()), Progress::Refused(_)), "{bytes:?}");
    }
}

#[test]
fn lines_and_fields_follow_the_grammar() {
    accepts(&get("A: b\r\nC:\td \u{e9}\r\n"));
    accepts(&get("A:\r\n"));
    for fields in [
        "A : b\r\n",
        "A\t: b\r\n",
        " A: b\r\n",
        "A: b\r\n c\r\n",
        "A: b\r\n\tc\r\n",
        "A\r\n",
        ": b\r\n",
        "A(: b\r\n",
    ] {
        refuses(&get(fields), ErrorCode::BadRequest);
    }
    for fields in
        ["A: b\nC: d\r\n", "A: b\rC: d\r\n", "A: \0\r\n", "A: \x0b\r\n", "A: \x7f\r\n", "A: b\r\r\n"]
    {
        refuses(&get(fields), ErrorCode::BadRequest);
    }
}

#[test]
fn a_request_line_has_three_words_and_a_version_that_is_spoken() {
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n").into_bytes();
    accepts(&line("GET / HTTP/1.1"));
    accepts(&line("GET / HTTP/1.0"));
    accepts(&line("get / HTTP/1.1"));
    for wrong in [
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / ",
        "GET /",
        "GET",
        "GET / HTTP/11",
        "GET / HTTP/1.",
        "GET / http/1.1",
        "GET / HTTP/1.1.1",
        "GET /a b HTTP/1.1",
        "G@T / HTTP/1.1",
        "GET / HTTP/12.1",
        "GET / HTTP/1.10",
        "GET /#a HTTP/1.1",
        "GET /\\a HTTP/1.1",
        "GET /{a} HTTP/1.1",
        "GET /?<a> HTTP/1.1",
        "GET a HTTP/1.1",
        "GET * HTTP/1.1",
        "GET a:80 HTTP/1.1",
    ] {
        refuses(&line(wrong), ErrorCode::BadRequest);
    }
    for other in ["GET / HTTP/2.0", "GET / HTTP/0.9", "GET / HTTP/1.2", "PRI * HTTP/2.0", "GET / HTTP/9.9"] {
        refuses(&line(other), ErrorCode::VersionNotSupported);
    }
    refuses(&line("CONNECT a:80 HTTP/1.1"), ErrorCode::NotImplemented);
}

#[test]
fn a_host_is_given_once_and_valid() {
    let request = |version: &str, fields: &str| format!("GET / HTTP/{version}\r\n{fields}\r\n").into_bytes();
    accepts(&request("1.1", "Host: [::1]:8787\r\n"));
    accepts(&request("1.0", ""));
    for fields in [
        "",
        "Host:\r\n",
        "Host: a b\r\n",
        "Host: a,b\r\n",
        "Host: a\r\nHost: a\r\n",
        "Host: u@a\r\n",
        "Host: a:b\r\n",
    ] {
        refuses(&request("1.1", fields), ErrorCode::BadRequest);
    }
    refuses(&request("1.0", "Host: a/b\r\n"), ErrorCode::BadRequest);
    refuses(b"GET http://a/ HTTP/1.1\r\n\r\n", ErrorCode::BadRequest);
    refuses(b"GET http://a/ HTTP/1.1\r\nHost: ,\r\n\r\n", ErrorCode::BadRequest);
}

#[test]
fn a_length_is_one_number_within_the_limit() {
    accepts(&post("Content-Length: 005\r\n", "hello"));
    accepts(&get("Content-Length: 0\r\n"));
    for value in ["", "+5", "-5", "5,5", "5, 5", "5 5", "0x5", "5.0", "5a", "99999999999999999999", "\u{665}"]
    {
        refuses(&post(&format!("Content-Length: {value}\r\n"), "hello"), ErrorCode::BadRequest);
    }
    for fields in ["Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5\r\ncontent-length: 6\r\n"]
    {
        refuses(&post(fields, "hello"), ErrorCode::BadRequest);
    }
    refuses(&post("Content-Length: 65537\r\n", ""), ErrorCode::BodyTooLarge);
    refuses(&post("Content-Length: 18446744073709551615\r\n", ""), ErrorCode::BodyTooLarge);
    refuses(&post("", ""), ErrorCode::LengthRequired);
    refuses(b"PUT / HTTP/1.0\r\n\r\n", ErrorCode::LengthRequired);
}

#[test]
fn the_classics_of_request_smuggling_are_refused() {
    let smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, code) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", ErrorCode::BadRequest),
        ("Content-Length: 5\r\nTransfer-Encoding:\tchunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding\t: chunked\r\n", ErrorCode::BadRequest),
        (" Transfer-Encoding: chunked\r\n", ErrorCode::BadRequest),
        ("X: y\nTransfer-Encoding: chunked\r\n", ErrorCode::BadRequest),
        ("X: y\rTransfer-Encoding: chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding:\x0bchunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: \0chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding:\r\n chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked, chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked, gzip\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked,\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: ,chunked\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding:\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: \"chunked\"\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: chunked x\r\n", ErrorCode::BadRequest),
        ("Transfer-Encoding: xchunked\r\n", ErrorCode::NotImplemented),
        ("Transfer-Encoding: gzip, chunked\r\n", ErrorCode::NotImplemented),
        ("Transfer-Encoding: identity\r\n", ErrorCode::NotImplemented),
        ("Transfer-Encoding: chunked;q=1\r\n", ErrorCode::BadRequest),
    ] {
        refuses(&post(fields, smuggled), code);
    }
    refuses(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ErrorCode::BadRequest);
    accepts(&post("Transfer-Encoding:\tChunked \r\n", "0\r\n\r\n"));
}

#[test]
fn chunks_are_joined_and_their_framing_is_exact() {
    let mut receiver = Receiver::new();
    receiver.receive(&chunked("2;a\r\nhe\r\n3\r\nllo\r\n0\r\nT: v\r\n\r\n"));
    assert!(
        matches!(receiver.poll(&Limits::default()), Progress::Request(request) if request.body == b"hello")
    );
    for rest in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1 ;a\r\n",
        "1\t\r\n",
        "1\nx\r\n",
        "1\r\nx\n",
        "1\r\nxy\r\n",
        "1\r\nx\rY",
        "1;a\nb\r\n",
        "1;\0\r\n",
        "1;\r\n",
        "1;a;\r\n",
        "1;=b\r\n",
        "1;a=\r\n",
        "1;a b\r\n",
        "1;a \r\n",
        "1;a=\"b\r\n",
        "1;a=\"b\\\"\r\n",
        "1;a=\"b\"c\r\n",
        "10000000000000000\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\n:\r\n\r\n",
    ] {
        refuses(&chunked(rest), ErrorCode::BadRequest);
    }
    accepts(&chunked("1;a;b = c; d=\"\";e=\"\\\";\u{e9}\"\r\nx\r\n0;f\r\n\r\n"));
    refuses(&chunked("10001\r\n"), ErrorCode::BodyTooLarge);
    refuses(&chunked(&format!("1\r\nx\r\n{:x}\r\n", limits::BODY_BYTES_DEFAULT)), ErrorCode::BodyTooLarge);
    refuses(&chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(65))), ErrorCode::HeadTooLarge);
}

#[test]
fn a_head_is_held_to_its_limits() {
    let filler = "b".repeat(limits::HEAD_BYTES_DEFAULT - get("A: \r\n").len());
    accepts(&get(&format!("A: {filler}\r\n")));
    refuses(&get(&format!("A: {filler}b\r\n")), ErrorCode::HeadTooLarge);
    accepts(&get(&"A: b\r\n".repeat(limits::HEADERS_DEFAULT - 1)));
    refuses(&get(&"A: b\r\n".repeat(limits::HEADERS_DEFAULT)), ErrorCode::HeadTooLarge);
    let target =
        |bytes: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(bytes - 1)).into_bytes();
    accepts(&target(limits::TARGET_BYTES_MAX));
    refuses(&target(limits::TARGET_BYTES_MAX + 1), ErrorCode::UriTooLong);
    refuses(&target(limits::HEAD_BYTES_DEFAULT), ErrorCode::UriTooLong);
}

#[test]
fn an_expectation_other_than_continue_is_refused() {
    accepts(&post("Expect: 100-CONTINUE\r\nContent-Length: 0\r\n", ""));
    accepts(&get("Expect: 100-continue\r\n"));
    for value in ["", "200-ok", "100-continue, x", "100"] {
        refuses(&get(&format!("Expect: {value}\r\n")), ErrorCode::ExpectationFailed);
    }
}

#[test]
fn a_connection_goes_on_as_its_version_and_its_options_say() {
    let limits = Limits::default();
    for (version, fields, connection) in [
        ("1.1", "", Connection::Persistent),
        ("1.1", "Connection: keep-alive\r\n", Connection::Persistent),
        ("1.1", "Connection: Close\r\n", Connection::Close),
        ("1.1", "Connection: keep-alive,\tclose\r\n", Connection::Close),
        ("1.1", "Connection: x\r\nConnection: close\r\n", Connection::Close),
        ("1.1", "Connection: closed\r\n", Connection::Persistent),
        ("1.1", "Connection: ,keep-alive,\r\n", Connection::Persistent),
        ("1.1", "Connection: a b\r\n", Connection::Close),
        ("1.1", "Connection: \"close\"\r\n", Connection::Close),
        ("1.0", "", Connection::Close),
        ("1.0", "Connection: \u{e9}b, keep-alive\r\n", Connection::Close),
        ("1.0", "Connection: Keep-Alive\r\n", Connection::KeepAlive),
        ("1.0", "Connection: keep-alive, close\r\n", Connection::Close),
    ] {
        let mut receiver = Receiver::new();
        receiver.receive(format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n").as_bytes());
        let Progress::Request(request) = receiver.poll(&limits) else { unreachable!() };
        assert_eq!(request.connection(), connection, "{version} {fields}");
    }
}

#[test]
fn encoded_content_is_told_and_not_refused() {
    let limits = Limits::default();
    for (fields, encoded) in [
        ("", false),
        ("Content-Encoding: Identity\r\n", false),
        ("Content-Encoding: gzip\r\n", true),
        ("Content-Encoding: identity, br\r\n", true),
    ] {
        let mut receiver = Receiver::new();
        receiver.receive(&get(fields));
        let Progress::Request(request) = receiver.poll(&limits) else { unreachable!() };
        assert_eq!(request.content_is_encoded(), encoded, "{fields}");
    }
}

#[test]
fn a_peer_that_sends_one_byte_a_chunk_does_not_fill_memory() {
    let mut receiver = Receiver::new();
    receiver.receive(&chunked(""));
    let limits = Limits::default();
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(250));
    for _ in 0..1000 {
        receiver.receive(chunk.as_bytes());
        assert!(matches!(receiver.poll(&limits), Progress::Body { .. }));
        assert!(receiver.buffered() < 512);
    }
    receiver.receive(b"0\r\n\r\n");
    assert!(matches!(receiver.poll(&limits), Progress::Request(request) if request.body.len() == 1000));
}

#[test]
fn a_caller_that_reads_what_is_wanted_always_gets_on_and_stays_in_bounds() {
    for limits in [Limits::default(), SMALL] {
        let one = post(&format!("Content-Length: {}\r\n", limits.body_bytes), &"b".repeat(limits.body_bytes));
        let many = one.repeat(5);
        let (mut receiver, mut sent, mut answered) = (Receiver::new(), 0, 0);
        while answered < 5 {
            if matches!(receiver.poll(&limits), Progress::Request(_)) {
                receiver.consume();
                answered += 1;
                continue;
            }
            let wanted = receiver.wants_bytes(&limits).min(many.len() - sent);
            assert_ne!(wanted, 0);
            receiver.receive(&many[sent..sent + wanted]);
            sent += wanted;
            assert!(receiver.buffered() <= Receiver::buffered_bytes_max(&limits));
        }
        assert_eq!((sent, receiver.buffered()), (many.len(), 0));
    }
}
