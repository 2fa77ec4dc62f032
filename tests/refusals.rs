//! Each refusal: its status, its problem document, its log line and its counter; and what is refused starts nothing.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::auth::Secret;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, TcpListener};
use std::time::Duration;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::tools::tell_skipped;
use support::wire::{Answer, Wire};

/// A request with these lines between the request line and the end of the head.
fn request(line: &str, fields: &str) -> String {
    format!("{line}\r\nHost: box\r\n{fields}\r\n")
}

fn post(fields: &str) -> String {
    request("POST /data_flows/heartbeat HTTP/1.1", fields)
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

/// `(status, error)` as [`refusal`] gives it.
fn of(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

/// What the daemon counted, by error.
fn counters(daemon: &mut Daemon) -> BTreeMap<String, u64> {
    assert_eq!(daemon.stop().code(), Some(0));
    let log = daemon.log();
    let counted = log.lines().rev().find_map(|line| line.split_once("refusals=")).unwrap().1;
    let pairs = counted.trim_matches('"').split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(error, count)| (error.to_owned(), count.parse().unwrap())).collect()
}

/// Requests that are refused, with a status and an error each. Those that end the connection are marked.
fn refused_requests() -> Vec<(u16, &'static str, bool, String)> {
    let long = "x".repeat(9000);
    let large = "x".repeat(20_000);
    let fields = "X-Field: x\r\n".repeat(70);
    let bad = |bytes: &str| (400, "bad_request", true, bytes.to_owned());
    let get = |line: &str| request(line, "");
    vec![
        bad("NONSENSE\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\nHost: box\n\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: box\r\nX: a\rb\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: box\r\nX : a\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: box\r\nX: a\r\n folded\r\n\r\n"),
        bad("GET /healthz HTTP/1.1\r\nHost: box\r\nX: a\0b\r\n\r\n"),
        bad(&post("Content-Length: 2\r\nContent-Length: 2\r\n")),
        bad(&post("Content-Length: 2, 2\r\n")),
        bad(&post("Content-Length: +2\r\n")),
        bad(&post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")),
        bad(&post("Transfer-Encoding: chunked, chunked\r\n")),
        bad(&(post("Transfer-Encoding: chunked\r\n") + "zz\r\n")),
        bad(&(post("Transfer-Encoding: chunked\r\n") + "ffffffffffffffffff\r\n")),
        (404, "not_found", false, get("GET / HTTP/1.1")),
        (404, "not_found", false, get("GET /metrics HTTP/1.1")),
        (404, "not_found", false, get("GET /data_flows/heartbeat/ HTTP/1.1")),
        (405, "method_not_allowed", false, get("GET /data_flows/heartbeat HTTP/1.1")),
        (405, "method_not_allowed", false, request("POST /healthz HTTP/1.1", "Content-Length: 0\r\n")),
        (411, "length_required", true, post("")),
        (413, "body_too_large", true, post("Content-Length: 70000\r\n")),
        (413, "body_too_large", true, post("Content-Length: 70000\r\nExpect: 100-continue\r\n")),
        (413, "body_too_large", true, post("Transfer-Encoding: chunked\r\n") + "11170\r\n"),
        (414, "uri_too_long", true, get(&format!("GET /{long} HTTP/1.1"))),
        (415, "unsupported_media_type", false, post("Content-Encoding: gzip\r\nContent-Length: 0\r\n")),
        (417, "expectation_failed", true, post("Expect: tea\r\nContent-Length: 0\r\n")),
        (431, "head_too_large", true, request("GET /healthz HTTP/1.1", &fields)),
        (431, "head_too_large", true, request("GET /healthz HTTP/1.1", &format!("X: {large}\r\n"))),
        (501, "not_implemented", false, get("BREW /data_flows/heartbeat HTTP/1.1")),
        (501, "not_implemented", true, post("Transfer-Encoding: gzip, chunked\r\n")),
        (505, "version_not_supported", true, get("GET /healthz HTTP/2.0")),
    ]
}

#[test]
fn every_refusal_has_its_status_its_document_its_log_line_and_its_counter() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nfailed_signatures_per_minute = 1000\n");
    let mut daemon = edge_box.start();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for (status, error, _, bytes) in refused_requests() {
        let answer = daemon.exchange(&bytes);
        let shown: String = bytes.chars().take(120).collect();
        assert_eq!(refusal(&answer), of(status, error), "{shown:?}");
        assert_eq!(answer.field("Content-Type"), Some("application/problem+json"));
        let document = answer.json();
        assert_eq!(document["type"], "about:blank");
        assert_eq!(document["status"], status);
        assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
        assert_eq!(answer.field("Allow").is_some(), status == 405, "{shown:?}");
        assert!(answer.field("Date").is_some());
        *expected.entry(error.to_owned()).or_default() += 1;
    }
    let counted = counters(&mut daemon);
    assert_eq!(counted, expected);
    let log = daemon.log();
    for (error, count) in expected {
        let line = format!("client=127.0.0.1 error={error}");
        let lines = log.lines().filter(|text| text.contains("WARN") && text.contains(&line)).count();
        assert_eq!(lines as u64, count, "{error}: {log}");
    }
}

#[test]
fn tls_on_the_plain_port_is_named_in_answer_and_log() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    // How a ClientHello begins.
    let answer = daemon.exchange("\x16\x03\x01\x02\x00\x01\x00\x01\x03");
    assert_eq!(refusal(&answer), of(400, "bad_request"));
    let told = "this is TLS, and the port speaks plain HTTP: use http://, or a proxy in front";
    assert_eq!(answer.json()["detail"], told);
    assert_eq!(daemon.exchange("\r\n\x16").json()["detail"], told);
    let other = daemon.exchange("GET /\x16").json();
    assert!(!other["detail"].as_str().unwrap().contains("TLS"), "{other}");
    assert_eq!(counters(&mut daemon), BTreeMap::from([("bad_request".to_owned(), 3)]));
    assert_eq!(daemon.log().matches(told).count(), 2, "{}", daemon.log());
}

#[test]
fn what_follows_an_ambiguous_request_never_gets_an_answer() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nfailed_signatures_per_minute = 1000\n");
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let closing = refused_requests().into_iter().filter(|(_, _, closes, _)| *closes);
    for (status, _, _, bytes) in closing {
        let mut wire = daemon.connect();
        let embedded = Heartbeat::new().to_bytes(&edge_box.secret);
        let both = [bytes.as_bytes(), b"0\r\n\r\n", &embedded, &embedded].concat();
        wire.send(both);
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{bytes:?}");
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!(wire.rest(), "", "{bytes:?}");
    }
    assert_eq!(edge_box.runs().len(), 0);
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
}

#[test]
fn a_405_names_the_methods_that_are_allowed() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let answer = daemon.exchange(request("GET /data_flows/heartbeat HTTP/1.1", ""));
    assert_eq!(answer.field("Allow"), Some("OPTIONS, POST"));
    let answer = daemon.exchange(request("DELETE /healthz HTTP/1.1", ""));
    assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn each_way_in_which_a_signature_fails_has_its_name_and_a_challenge() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    let proof = heartbeat.proof(&edge_box.secret);
    let without = |field: &str| -> String {
        let kept = proof.split_inclusive("\r\n").filter(|line| !line.starts_with(field));
        kept.collect()
    };
    let with = |field: &str, value: &str| format!("{}{field}: {value}\r\n", without(field));
    let (_, other) = Secret::generate(&[1; 32]);
    let expected = [
        ("signature_missing", String::new()),
        ("signature_missing", without("webhook-id")),
        ("signature_missing", without("webhook-timestamp")),
        ("signature_missing", without("webhook-signature")),
        ("signature_malformed", with("webhook-timestamp", "soon")),
        ("signature_malformed", with("webhook-signature", "v1,***")),
        ("signature_malformed", format!("{proof}webhook-id: {}\r\n", heartbeat.id)),
        ("signature_mismatch", with("webhook-id", "msg_other")),
        ("signature_mismatch", heartbeat.proof(&other)),
        ("signature_mismatch", heartbeat.clone().signed_in(-4000).proof(&other)),
    ];
    for (error, proof) in &expected {
        let answer = daemon.exchange(heartbeat.with_proof(proof));
        assert_eq!(refusal(&answer), of(401, error), "{proof}");
        assert!(answer.field("WWW-Authenticate").is_some_and(|challenge| !challenge.is_empty()));
        assert!(daemon.log().contains(&format!("error={error}")));
    }
    let tampered = Heartbeat { body: "{ }".to_owned(), ..heartbeat };
    assert_eq!(refusal(&daemon.exchange(tampered.with_proof(&proof))), of(401, "signature_mismatch"));
    assert_eq!(edge_box.runs().len(), 0, "nothing was started");
    let counted = counters(&mut daemon);
    assert_eq!(counted.get("signature_missing"), Some(&4));
    assert_eq!(counted.get("signature_malformed"), Some(&3));
    assert_eq!(counted.get("signature_mismatch"), Some(&4));
}

#[test]
fn a_holder_of_the_secret_is_told_by_how_much_the_clocks_differ() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    for (seconds, error, words) in
        [(-400, "timestamp_too_old", "behind"), (400, "timestamp_too_new", "ahead of")]
    {
        let answer = daemon.send(&Heartbeat::new().signed_in(seconds));
        assert_eq!(refusal(&answer), of(401, error));
        assert!(answer.field("WWW-Authenticate").is_some());
        let detail = answer.json()["detail"].to_string();
        // 6m40s, give or take the time that the request took.
        let by = ["6m39s", "6m40s", "6m41s", "6m42s"].iter().any(|by| detail.contains(by));
        assert!(by && detail.contains(words) && detail.contains("5m is allowed"), "{detail}");
        assert!(daemon.log().contains(&format!("error={error}")));
    }
    let in_milliseconds = daemon.send(&Heartbeat { signed_at_s: now_s() * 1000, ..Heartbeat::new() });
    assert_eq!(refusal(&in_milliseconds), of(401, "timestamp_too_new"));
    let detail = in_milliseconds.json()["detail"].to_string();
    assert!(detail.contains("in milliseconds") && !detail.contains("clock"), "{detail}");
    assert_eq!(daemon.send(&Heartbeat::new().signed_in(-200)).status, 200);
    assert_eq!(daemon.send(&Heartbeat::new().signed_in(200)).status, 200);
}

#[test]
fn after_too_many_wrong_signatures_the_wrong_get_429_quietly_and_the_right_are_served() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nfailed_signatures_per_minute = 3\n");
    let mut daemon = edge_box.start();
    let (_, other) = Secret::generate(&[1; 32]);
    let wrong = || daemon.exchange(Heartbeat::new().to_bytes(&other));
    for _ in 0..3 {
        assert_eq!(refusal(&wrong()), of(401, "signature_mismatch"));
    }
    for _ in 0..5 {
        let answer = wrong();
        assert_eq!(refusal(&answer), of(429, "too_many_failures"));
        assert!(answer.field("Retry-After").is_some());
        assert_eq!(daemon.beat().status, 200, "an honest agent behind the same address");
    }
    let missing = daemon.exchange(Heartbeat::new().with_proof(""));
    assert_eq!(refusal(&missing), of(401, "signature_missing"), "no guess, so not counted as one");
    assert!(!daemon.log().contains("too_many_failures"), "they have no line of their own");
    assert_eq!(counters(&mut daemon).get("too_many_failures"), Some(&5));
}

#[test]
fn nothing_that_an_address_off_the_list_sends_is_parsed() {
    let edge_box = EdgeBox::new();
    edge_box.configure("whitelisted_ips = [\"127.0.0.1\"]\n");
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    let outside = Ipv4Addr::new(127, 0, 0, 2);
    let mut silent = Wire::connect_from(outside, daemon.port);
    assert_eq!(refusal(&silent.answer()), of(403, "address_not_allowed"), "without a byte from it");
    let heartbeat = Heartbeat::new().to_bytes(&edge_box.secret);
    for bytes in [heartbeat.as_slice(), b"NONSENSE\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n"] {
        let mut wire = Wire::connect_from(outside, daemon.port);
        wire.send(bytes);
        assert_eq!(refusal(&wire.answer()), of(403, "address_not_allowed"));
        assert_eq!(wire.rest(), "");
    }
    assert_eq!(edge_box.runs().len(), 0);
    assert_eq!(daemon.beat().status, 200);
    let log = daemon.log();
    assert!(log.contains("client=127.0.0.2 error=address_not_allowed"), "{log}");
    assert_eq!(counters(&mut daemon), BTreeMap::from([("address_not_allowed".to_owned(), 4)]));
}

#[test]
fn a_forwarded_address_counts_only_from_a_trusted_proxy_and_then_the_right_most_untrusted() {
    let edge_box = EdgeBox::new();
    edge_box
        .configure("whitelisted_ips = [\"127.0.0.1\", \"10.1.2.0/24\"]\ntrusted_proxies = [\"127.0.0.2\"]\n");
    let daemon = edge_box.start();
    let [listed, proxy, stranger] = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    for (peer, forwarded, status) in [
        (proxy, "X-Forwarded-For: 10.1.2.3", 200),
        (proxy, "X-Forwarded-For: ::ffff:10.1.2.3", 200),
        (proxy, "X-Forwarded-For: 10.9.9.9", 403),
        (proxy, "X-Forwarded-For: 10.9.9.9, 10.1.2.3", 200),
        (proxy, "X-Forwarded-For: 10.1.2.3, 10.9.9.9", 403),
        (proxy, "X-Forwarded-For: 10.1.2.3, 127.0.0.2", 200),
        (proxy, "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-For: 10.9.9.9", 403),
        (proxy, "X-Forwarded-For: not an address", 403),
        (proxy, "X-Other: none", 403),
        (listed, "X-Forwarded-For: 10.9.9.9", 200),
        (stranger, "X-Forwarded-For: 10.1.2.3", 403),
    ] {
        let mut wire = Wire::connect_from(peer, daemon.port);
        wire.send(Heartbeat::new().field(forwarded).to_bytes(&edge_box.secret));
        let answer = wire.answer();
        assert_eq!(answer.status, status, "{peer} {forwarded}");
    }
    let log = daemon.log();
    for client in ["10.9.9.9", "127.0.0.2", "127.0.0.3"] {
        assert!(log.contains(&format!("client={client} error=address_not_allowed")), "{client}: {log}");
    }
}

#[test]
fn an_ipv4_caller_of_an_ipv6_socket_is_judged_by_its_ipv4_address() {
    if TcpListener::bind("[::]:0").is_err() {
        return tell_skipped("there is no IPv6 here");
    }
    let edge_box = EdgeBox::new();
    let settings = "listen = [\"[::]:0\"]\nwhitelisted_ips = [\"127.0.0.1\"]\n";
    edge_box.write("heartbeatd.toml", settings);
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().status, 200);
    let mut outside = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.port);
    assert_eq!(refusal(&outside.answer()), of(403, "address_not_allowed"));
    assert!(daemon.log().contains("client=127.0.0.2 "), "{}", daemon.log());
}

#[test]
fn a_head_or_content_that_does_not_come_in_time_is_refused() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nhead_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n");
    let mut daemon = edge_box.start();
    for part in ["P", "GET /healthz HTTP/1.1\r\nHost: box\r\n", &(post("Content-Length: 9\r\n") + "{")] {
        let mut wire = daemon.connect();
        wire.send(part);
        assert_eq!(refusal(&wire.answer()), of(408, "request_timeout"), "{part:?}");
        assert_eq!(wire.rest(), "");
    }
    assert_eq!(daemon.connect().rest(), "", "who says nothing is told nothing");
    assert!(daemon.log().contains("error=request_timeout"));
    assert_eq!(counters(&mut daemon), BTreeMap::from([("request_timeout".to_owned(), 3)]));
}

#[test]
fn a_head_that_drips_in_gets_no_more_time_than_one_that_stands_still() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nhead_timeout = \"500ms\"\n");
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    let mut dripping = wire.stream.try_clone().unwrap();
    wire.send("GET /healthz HTTP/1.1\r\nHost: box\r\nX: ");
    let answer = std::thread::scope(|scope| {
        // Slow on purpose: this is the attack.
        scope.spawn(move || {
            while dripping.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let answer = wire.try_answer();
        wire.stream.shutdown(Shutdown::Both).unwrap();
        answer
    });
    assert_eq!(refusal(&answer.expect("it is answered while it drips")), of(408, "request_timeout"));
}

#[test]
fn one_connection_more_than_an_address_may_have_is_told_so() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections_per_address = 4\n");
    let mut daemon = edge_box.start();
    let first: Vec<Wire> = (0..4).map(|_| daemon.connect()).collect();
    let answer = daemon.connect().answer();
    assert_eq!(refusal(&answer), of(503, "overloaded"));
    assert!(answer.field("Retry-After").is_some());
    let mut elsewhere = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.port);
    elsewhere.send(Heartbeat::new().to_bytes(&edge_box.secret));
    assert_eq!(elsewhere.answer().status, 200);
    drop(first);
    support::until("there is room again", || daemon.try_beat().is_ok_and(|answer| answer.status == 200));
    assert!(daemon.log().contains("error=overloaded"));
    assert!(counters(&mut daemon).get("overloaded").is_some_and(|count| *count >= 1));
}

/// Callers from an address whose requests are on their way, which the daemon knows.
fn at_work(daemon: &Daemon, source: Ipv4Addr, count: usize) -> Vec<Wire> {
    let mut at_work: Vec<Wire> = (0..count).map(|_| Wire::connect_from(source, daemon.port)).collect();
    for wire in &mut at_work {
        wire.send(post("Content-Length: 2\r\nExpect: 100-continue\r\n"));
        assert_eq!(wire.head().status, 100, "its head was read");
    }
    at_work
}

#[test]
fn when_all_connections_are_at_work_who_has_no_fewer_than_others_is_told_so() {
    let [one, other] = [2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections = 4\nconnections_per_address = 4\n");
    let daemon = edge_box.start();
    // On a machine that is busy for a second they are slow: then that is so of the next ones.
    let mut callers = support::eventually("nobody makes room", || {
        let mut callers = at_work(&daemon, one, 2);
        callers.extend(at_work(&daemon, other, 2));
        let answer = Wire::connect_from(one, daemon.port).try_answer().ok()?;
        assert_eq!(refusal(&answer), of(503, "overloaded"));
        answer.json()["detail"].to_string().contains("none is idle").then_some(callers)
    });
    for wire in &mut callers {
        wire.send("{}");
        assert_eq!(refusal(&wire.answer()), of(401, "signature_missing"), "it was not disturbed");
    }
}

#[test]
fn who_has_many_connections_at_work_makes_room_for_who_has_fewer() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections = 4\nconnections_per_address = 3\n");
    let daemon = edge_box.start();
    let mut few = at_work(&daemon, Ipv4Addr::new(127, 0, 0, 2), 1);
    let mut many = at_work(&daemon, Ipv4Addr::new(127, 0, 0, 3), 3);
    assert_eq!(daemon.beat().status, 200);
    assert_eq!(refusal(&many[0].answer()), of(503, "overloaded"), "the one that took longest");
    for wire in few.iter_mut().chain(&mut many[1..]) {
        wire.send("{}");
        assert_eq!(refusal(&wire.answer()), of(401, "signature_missing"), "the others were not disturbed");
    }
}

#[test]
fn callers_that_are_answered_and_do_not_leave_hold_a_bounded_number_of_descriptors() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections_per_address = 256\n");
    let daemon = edge_box.start();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count();
    let before = descriptors();
    let mut callers: Vec<Wire> = (0..240).map(|_| daemon.connect()).collect();
    for caller in &mut callers {
        caller.send(request("GET /healthz HTTP/1.1", "Connection: close\r\n"));
        assert_eq!(caller.answer().status, 200);
    }
    let held = descriptors() - before;
    let at_work = 2; // the last one answered, and one that makes room at the end of its round
    assert!(held <= heartbeat_runtime::limits::DRAINING_MAX + at_work, "{held} are held");
}
