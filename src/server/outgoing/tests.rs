//! Exchanges over real sockets, with servers that keep to the rules and others that do not.

use super::*;
use crate::http::client::Method;
use crate::server::outside::{NOBODY, Requests};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;

/// A loop that does nothing else.
struct Bench(Requests);

impl Bench {
    fn new() -> Self {
        let mut requests = Requests::new().unwrap();
        requests.buffer.truncate(1000);
        Self(requests)
    }

    fn exchange(&mut self, url: &str, timeout: Duration) -> Result<Answer, Unanswered> {
        self.complete(get(url, timeout))
    }

    fn complete(&mut self, exchange: Exchange) -> Result<Answer, Unanswered> {
        self.0.exchange(exchange).map(|answer| *answer)
    }
}

fn get(url: &str, timeout: Duration) -> Exchange {
    Exchange {
        url: Url::parse(url).unwrap(),
        method: Method::Get,
        fields: Vec::new(),
        field_files: Default::default(),
        body: None,
        signature: None,
        timeout,
        body_bytes_max: 100_000,
        needs_content: true,
    }
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(200);

/// A server that answers each request of each connection with the next of these pieces; an empty piece closes.
fn server(connections: Vec<Vec<&'static str>>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x?token=secret", listener.local_addr().unwrap());
    let serve = move || {
        let mut heads = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                if !head.is_empty() {
                    heads.push(String::from_utf8(head).unwrap());
                }
                for piece in answer.split_inclusive('|') {
                    let _ = stream.write_all(piece.trim_end_matches('|').as_bytes());
                    std::thread::yield_now();
                }
            }
        }
        heads
    };
    (url, std::thread::spawn(serve))
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-|Length: 5\r\n\r\nhe|llo";

#[test]
fn one_connection_serves_a_run_and_is_dropped_with_it() {
    let (url, server) = server(vec![vec![OK, OK], vec![OK]]);
    let mut bench = Bench::new();
    for _ in 0..2 {
        assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
        bench.0.outgoing.retain(|run| run == NOBODY);
        assert_eq!(bench.0.outgoing.kept.len(), 1);
    }
    bench.0.outgoing.retain(|_| false);
    assert!(bench.0.outgoing.kept.is_empty());
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
    let heads = server.join().unwrap();
    assert!(heads.len() == 3 && heads[0].starts_with("GET /x?token=secret HTTP/1.1\r\nHost: 127.0.0.1:"));
}

#[test]
fn a_kept_connection_that_the_server_closed_is_replaced_by_another() {
    let (url, server) = server(vec![vec![OK], vec![OK]]);
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
    assert_eq!(server.join().unwrap().len(), 2);
}

#[test]
fn bytes_behind_an_answer_are_not_taken_for_the_next_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = |stream: &mut std::net::TcpStream, content: &str| {
        let mut head = [0; 1000];
        assert!(stream.read(&mut head).unwrap() > 0);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len()).unwrap();
    };
    let mut bench = Bench::new();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let (said, goes_on) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        answer(&mut first, "one");
        told.recv().unwrap();
        first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge").unwrap();
        said.send(()).unwrap();
        answer(&mut listener.accept().unwrap().0, "two");
    });
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"one");
    assert_eq!(bench.0.outgoing.kept.len(), 1);
    go_on.send(()).unwrap();
    goes_on.recv().unwrap();
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"two");
    server.join().unwrap();
}

#[test]
fn what_is_no_whole_answer_is_told_without_what_the_url_asks() {
    for (answer, why) in [
        ("", "closed"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "after 5 of the content's 50 bytes"),
        ("SSH-2.0-OpenSSH_10\r\n", "HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n", "100000"),
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", "gzip"),
    ] {
        let (url, server) = server(vec![vec![answer]]);
        let Unanswered { message, may_succeed_later } = Bench::new().exchange(&url, LONG).unwrap_err();
        assert!(message.contains(why) && may_succeed_later, "{message}");
        assert!(message.starts_with("http://127.0.0.1:") && !message.contains("secret"), "{message}");
        server.join().unwrap();
    }
}

#[test]
fn whoever_needs_no_content_is_told_the_status_of_an_answer_that_cannot_be_read() {
    for (answer, status) in [
        ("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx", 200),
        ("HTTP/1.1 422 No\r\nContent-Length: 100001\r\n\r\nx", 422),
    ] {
        let (url, server) = server(vec![vec![answer], vec![OK]]);
        let mut bench = Bench::new();
        let told = bench.complete(Exchange { needs_content: false, ..get(&url, LONG) }).unwrap();
        assert_eq!((told.status, told.body.len(), bench.0.outgoing.kept.len()), (status, 0, 0));
        assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_says_nothing_or_never_ends_is_given_up_in_time() {
    for (answer, why) in [
        (None, "no answer within 200ms"),
        (Some("HTTP/1.1 200 OK\r\n\r\nforever"), "26 bytes of it came"),
        (Some("HTTP/1.1 200 OK\r\nX: "), "20 bytes of it came"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(answer.unwrap_or_default().as_bytes()).unwrap();
            let _ = wait.recv();
        });
        let message = Bench::new().exchange(&url, SHORT).unwrap_err().message;
        assert!(message.contains(why), "{message}");
        drop(done);
        server.join().unwrap();
    }
}

#[test]
fn a_request_that_is_not_taken_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let exchange = Exchange { method: Method::Post, body: Some(vec![b'x'; 20_000_000]), ..get(&url, SHORT) };
    let message = Bench::new().complete(exchange).unwrap_err().message;
    assert!(message.contains("bytes of the request within 200ms, and no more"), "{message}");
}

#[test]
fn a_refusal_that_comes_before_the_request_is_read_is_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
        // Nothing of the content is read, so that it is never sent whole; and no reset overtakes the answer.
        let _ = wait.recv();
    });
    let mut bench = Bench::new();
    let exchange = Exchange { method: Method::Post, body: Some(vec![b'x'; 20_000_000]), ..get(&url, LONG) };
    assert_eq!(bench.complete(exchange).unwrap().status, 413);
    assert!(bench.0.outgoing.kept.is_empty(), "what is half sent is of no use any more");
    drop(done);
    server.join().unwrap();
}

#[test]
fn a_name_is_resolved_and_each_of_its_addresses_tried() {
    let (url, server) = server(vec![vec![OK]]);
    let url = url.replace("127.0.0.1", "localhost");
    let mut bench = Bench::new();
    assert_eq!(bench.exchange(&url, LONG).unwrap().body, b"hello");
    server.join().unwrap();
    let message = bench.exchange("http://no-such-host.invalid/", LONG).unwrap_err().message;
    assert!(message.contains("cannot resolve no-such-host.invalid"), "{message}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let message = bench.exchange(&format!("http://{closed}/"), LONG).unwrap_err().message;
    assert!(message.contains(&format!("cannot connect to {closed}")), "{message}");
}

#[test]
fn fields_and_signature_are_read_from_files_that_others_cannot_read() {
    let folder = std::env::temp_dir().join(format!("heartbeat-outgoing-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (secret, token) = (folder.join("secret"), folder.join("token"));
    std::fs::write(&secret, "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n").unwrap();
    std::fs::write(&token, "Bearer abc\n").unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&secret, 0o600);
    mode(&token, 0o644);
    let (url, server) = server(vec![vec![OK]]);
    let exchange = Exchange {
        field_files: [("Authorization".to_owned(), token.clone())].into(),
        signature: Some(crate::runtime::Signature { secret_file: secret.clone(), id: "batch_1".to_owned() }),
        ..get(&url, LONG)
    };
    let mut bench = Bench::new();
    let unanswered = bench.complete(exchange.clone()).unwrap_err();
    assert!(!unanswered.may_succeed_later && unanswered.message.contains("mode 0644"), "{unanswered:?}");
    mode(&token, 0o600);
    bench.complete(exchange).unwrap();
    let heads = server.join().unwrap();
    assert!(heads[0].contains("\r\nAuthorization: Bearer abc\r\n"), "{heads:?}");
    assert!(
        heads[0].contains("\r\nwebhook-id: batch_1\r\n") && heads[0].contains("\r\nwebhook-signature: v1,")
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
