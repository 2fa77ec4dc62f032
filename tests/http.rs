//! HTTP/1.1 as agents, proxies and attackers speak it: what is served, and that nobody is held up by others.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod support;

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;
use support::EdgeBox;
use support::heartbeat::Heartbeat;
use support::wire::{Answer, Wire};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n";

fn heartbeat_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["heartbeat_id"].as_str().unwrap().to_owned()
}

#[test]
fn head_gets_what_get_would_get_without_the_content() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    for path in ["/healthz", "/readyz"] {
        wire.send(format!("HEAD {path} HTTP/1.1\r\nHost: box\r\n\r\n"));
        let head = wire.head();
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: box\r\n\r\n"));
        let get = wire.answer();
        assert_eq!((head.status, get.status), (200, 200));
        assert_eq!(head.field("Content-Length"), get.field("Content-Length"));
        assert!(get.json()["status"].is_string());
    }
}

#[test]
fn a_head_whose_content_does_not_come_is_told_so_without_content() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nhead_timeout = \"200ms\"\nbody_timeout = \"200ms\"\n");
    let daemon = edge_box.start();
    for part in
        ["HEAD /healthz HTTP/1.1\r\nHost: box\r\nContent-Length: 5\r\n\r\n", "HEAD /healthz HTTP/1.1\r\n"]
    {
        let mut wire = daemon.connect();
        wire.send(part);
        assert_eq!(wire.head().status, 408, "{part:?}");
        assert_eq!(wire.rest(), "", "{part:?}");
    }
}

#[test]
fn options_tells_the_methods() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    for (target, allow) in [("*", "GET, HEAD, OPTIONS, POST"), ("/data_flows/heartbeat", "OPTIONS, POST")] {
        wire.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: box\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!((answer.status, answer.field("Allow")), (204, Some(allow)));
    }
}

#[test]
fn an_absolute_target_is_served() {
    let edge_box = EdgeBox::new();
    let heartbeat = Heartbeat::new().to_bytes(&edge_box.secret);
    let text = String::from_utf8(heartbeat).unwrap().replacen("POST /", "POST http://box:8787/", 1);
    assert_eq!(edge_box.start().exchange(text).status, 200);
}

#[test]
fn a_sender_that_expects_100_gets_it_before_its_content_and_not_before_a_refusal() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let bytes = Heartbeat::new().field("Expect: 100-continue").to_bytes(&edge_box.secret);
    let (head, body) = bytes.split_at(bytes.len() - 2);
    let mut wire = daemon.connect();
    wire.send(head);
    assert_eq!(wire.head().status, 100);
    wire.send(body);
    assert_eq!(wire.answer().status, 200);
    let too_large = "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nExpect: 100-continue\r\nContent-Length: 999999\r\n\r\n";
    assert_eq!(daemon.exchange(too_large).status, 413);
}

#[test]
fn content_in_chunks_with_extensions_and_trailers_is_signed_as_a_whole() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    let head = heartbeat.proof(&edge_box.secret);
    let bytes = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\n{head}Transfer-Encoding: chunked\r\n\r\n\
         1;name=value;flag\r\n{{\r\n001\r\n}}\r\n0;last\r\nX-Trailer: ignored\r\n\r\n"
    );
    let mut wire = daemon.connect();
    wire.send(bytes);
    assert_eq!(heartbeat_id(&wire.answer()), heartbeat.id);
    wire.send(HEALTH);
    assert_eq!(wire.answer().status, 200, "the connection goes on");
}

#[test]
fn two_heartbeats_in_one_write_are_answered_in_order() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "sleep 0.2");
    let daemon = edge_box.start();
    let [first, second] = [Heartbeat::new().wait(10), Heartbeat::new()];
    let mut wire = daemon.connect();
    wire.send([first.to_bytes(&edge_box.secret), second.to_bytes(&edge_box.secret)].concat());
    let answers = [wire.answer(), wire.answer()];
    assert_eq!(answers.each_ref().map(heartbeat_id), [first.id, second.id]);
    assert_eq!(answers.map(|answer| answer.count("flows_triggered")), [1, 0]);
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    let mut wire = daemon.connect();
    wire.stream.set_nodelay(true).unwrap();
    for byte in heartbeat.to_bytes(&edge_box.secret) {
        wire.send([byte]);
    }
    assert_eq!(heartbeat_id(&wire.answer()), heartbeat.id);
}

#[test]
fn http_1_0_closes_unless_it_asks_to_go_on_and_http_1_1_goes_on_unless_it_asks_to_close() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    for (request, goes_on, field) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", false, Some("close")),
        ("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, Some("keep-alive")),
        ("GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n", true, None),
        ("GET /healthz HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n", false, Some("close")),
    ] {
        let mut wire = daemon.connect();
        wire.send(request);
        let answer = wire.answer();
        assert_eq!((answer.status, answer.field("Connection")), (200, field), "{request:?}");
        if goes_on {
            wire.send(request);
            assert_eq!(wire.answer().status, 200);
        } else {
            assert_eq!(wire.rest(), "", "{request:?}");
        }
    }
}

#[test]
fn a_caller_that_sends_its_last_request_and_shuts_down_its_side_is_answered() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "sleep 0.2");
    let daemon = edge_box.start();
    let mut wire = daemon.connect();
    wire.send(Heartbeat::new().wait(10).to_bytes(&edge_box.secret));
    wire.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(wire.answer().json()["runs"][0]["status"], "success");
}

#[test]
fn three_hundred_idle_connections_do_not_lock_out_a_new_caller() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let addresses = (2..=6).map(|last| Ipv4Addr::new(127, 0, 0, last));
    let idle: Vec<Wire> = addresses
        .flat_map(|address| (0..60).map(move |_| address))
        .map(|address| Wire::connect_from(address, daemon.port))
        .collect();
    assert_eq!(idle.len(), 300);
    for _ in 0..20 {
        assert_eq!(daemon.beat().status, 200);
    }
}

#[test]
fn a_caller_in_the_middle_of_its_first_head_does_not_make_room_for_another() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections = 2\nconnections_per_address = 2\nhead_timeout = \"60s\"\n");
    let daemon = edge_box.start();
    let (part, rest) = HEALTH.split_at(HEALTH.len() - 2);
    let mut at_work = daemon.connect();
    at_work.send(part);
    // What came before is read when this is answered; it is idle then, though for less long.
    let mut idle = daemon.connect();
    idle.send(HEALTH);
    assert_eq!(idle.answer().status, 200);
    let mut newcomer = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.port);
    newcomer.send(HEALTH);
    assert_eq!(newcomer.answer().status, 200);
    at_work.send(rest);
    assert_eq!(at_work.answer().status, 200);
    assert_eq!(idle.rest(), "", "the idle one made room");
}

#[test]
fn a_caller_that_does_not_read_its_answers_holds_up_nobody_and_is_dropped() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nidle_timeout = \"1s\"\n");
    let daemon = edge_box.start();
    let mut slow = daemon.connect();
    slow.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let many = HEALTH.repeat(1000);
    let full = (0..10_000).find_map(|_| slow.stream.write_all(many.as_bytes()).err());
    assert!(full.is_some(), "the daemon stops reading from who does not read");
    assert_eq!(daemon.beat().status, 200);
    let resident_kib = daemon.proc_status("VmRSS");
    assert!(resident_kib < 48 * 1024, "{resident_kib} KiB");
    support::until("it is dropped", || {
        let error = slow.stream.write_all(b"G").err();
        error.is_some_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
    });
}

#[test]
fn callers_that_connect_and_leave_are_forgotten() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    for index in 0..2000 {
        let mut wire = daemon.connect();
        if index % 2 == 0 {
            wire.send("POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 2\r\n");
        }
    }
    support::until("an honest caller is served", || {
        daemon.try_beat().is_ok_and(|answer| answer.status == 200)
    });
}
