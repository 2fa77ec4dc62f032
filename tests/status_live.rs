//! The page updates itself: whoever watches is told of changes, of nothing else, and costs nobody else anything.

mod support;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::metrics::{Metrics, look, look_as, status_port, watched_box};
use support::operator::Operator;
use support::watcher::{Event, Watcher, number_on_page};
use support::wire::Wire;
use support::{EdgeBox, eventually, until};

/// See `limits::WATCHERS_MAX`.
const WATCHERS_MAX: usize = 24;

fn changes(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Change(_))).count()
}

fn hang_up(daemon: &Daemon) {
    let before = daemon.log().matches("reloaded").count();
    daemon.signal(Signal::HUP);
    until("it has reloaded", || daemon.log().matches("reloaded").count() > before);
}

#[test]
fn a_watcher_is_told_of_a_run_and_of_an_idle_heartbeat_only_that_it_was_heard() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let mut watcher = Watcher::of(&edge_box);
    let before = number_on_page(&edge_box);
    assert_eq!(watcher.next(), Some(Event::Other), "how long to wait before it comes again");
    assert_eq!(watcher.up_to(before).len(), 1, "at first it is told what there is");
    assert_eq!(watcher.next(), Some(Event::Heard(Vec::new())));
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    let after = number_on_page(&edge_box);
    assert!(after > before, "a run has ended");
    watcher.up_to(after);
    let at = now_s() * 1000;
    assert_eq!(daemon.beat().count("flows_due"), 0);
    loop {
        match watcher.next().expect("it goes on") {
            Event::Heard(agents) if agents.iter().any(|(agent, ms)| agent == "default" && *ms >= at) => break,
            Event::Change(change) => panic!("nothing changed, and that was told: {change}"),
            _ => {}
        }
    }
    assert_eq!(number_on_page(&edge_box), after);
}

#[test]
fn many_changes_at_once_are_few_events() {
    const ORDERS: u64 = 200;
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let _daemon = edge_box.start();
    let mut watcher = Watcher::of(&edge_box);
    let before = number_on_page(&edge_box);
    watcher.up_to(before);
    let mut operator = Operator::of(&edge_box);
    for order in 0..ORDERS {
        assert_eq!(operator.patch("it", order % 2 == 0).status, 200);
    }
    let after = number_on_page(&edge_box);
    assert!(after >= before + ORDERS);
    let told = changes(&watcher.up_to(after));
    assert!(told < 100, "once a second at most: {told} events");
}

#[test]
fn what_no_commit_tells_of_is_a_change_as_well() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let mut watcher = Watcher::of(&edge_box);
    let before = number_on_page(&edge_box);
    edge_box.write("flows/it.toml", "nonsense");
    hang_up(&daemon);
    let page = String::from_utf8_lossy(&look(&edge_box, "/").body).into_owned();
    assert!(page.contains("A flow file cannot be used"), "{page}");
    let after = number_on_page(&edge_box);
    assert!(after > before);
    watcher.up_to(after);
    edge_box.write("heartbeatd.toml", "nonsense");
    daemon.signal(Signal::HUP);
    daemon.until_logged("everything stays as it was");
    let last = number_on_page(&edge_box);
    assert!(last > after);
    watcher.up_to(last);
}

#[test]
fn one_who_reads_nothing_is_closed_and_the_others_go_on() {
    let edge_box = EdgeBox::new();
    let names: Vec<String> = (10..42).map(|number| format!("{}-{number}", "agent".repeat(12))).collect();
    let table = |name: &String| {
        format!("[[agents]]\nname = \"{name}\"\nscheme = \"token\"\nsecret_files = [\"{name}\"]\n")
    };
    let agents: String = names.iter().map(table).collect();
    edge_box.configure(&format!("[status]\nlisten = \"127.0.0.1:0\"\n{agents}"));
    for name in &names {
        edge_box.write_secret(name, &format!("token-of-{name}"));
    }
    let daemon = edge_box.start();
    for name in &names {
        let proof = format!("Authorization: Bearer token-of-{name}\r\n");
        let heartbeat = Heartbeat::new().with_proof(&proof);
        assert_eq!(daemon.exchange(heartbeat).status, 200);
    }
    let mut lazy = Wire::connect(status_port(&edge_box));
    set_socket_recv_buffer_size(&lazy.stream, 1).expect("let little come ahead");
    lazy.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut watcher = Watcher::of(&edge_box);
    let watching = || Metrics::of(&edge_box).count("heartbeatd_connections{listener=\"status\"}") - 1;
    until("both watch", || watching() == 2);
    until("the lazy one is closed", || {
        assert_eq!(daemon.beat().status, 200);
        watching() == 1
    });
    let at = now_s() * 1000;
    assert_eq!(daemon.beat().status, 200);
    until("the other one is told", || match watcher.next() {
        Some(Event::Heard(agents)) => agents.iter().any(|(_, ms)| *ms >= at),
        other => {
            assert!(other.is_some(), "it goes on");
            false
        }
    });
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn there_is_room_for_so_many_and_for_pages_and_metrics_always() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let _daemon = edge_box.start();
    let mut watchers: Vec<Watcher> = (0..WATCHERS_MAX).map(|_| Watcher::of(&edge_box)).collect();
    assert_eq!(Watcher::try_of(&edge_box).status, 503);
    let port = status_port(&edge_box);
    let mut kept = Vec::new();
    for path in ["/", "/metrics", "/system", "/healthz"].into_iter().cycle().take(40) {
        let mut wire = Wire::connect(port);
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(wire.answer().status, 200, "{path}");
        kept.push(wire);
    }
    assert_eq!(Watcher::try_of(&edge_box).status, 503);
    watchers.pop();
    watchers.push(eventually("a place is free", || {
        Some(Watcher::try_of(&edge_box)).filter(|new| new.status == 200)
    }));
    for watcher in &mut watchers {
        assert_eq!(watcher.next(), Some(Event::Other), "those that were there go on");
    }
}

#[test]
fn events_are_told_to_those_who_may_look_on() {
    let edge_box = watched_box();
    let _daemon = edge_box.start();
    let ask = |request: &str| {
        let mut wire = Wire::connect(status_port(&edge_box));
        wire.send(request);
        (wire.head(), wire.rest())
    };
    let (head, rest) = ask("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(
        (head.status, head.field("Content-Type"), rest.as_str()),
        (200, Some("text/event-stream"), "")
    );
    let by = |request: &str| look_as(&edge_box, std::net::Ipv4Addr::LOCALHOST, request).status;
    assert_eq!(by("GET /events HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
    assert_eq!(by("POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"), 405);
    assert_eq!(by("OPTIONS /events HTTP/1.1\r\nHost: localhost\r\n\r\n"), 204);
}

#[test]
fn a_reload_that_changes_who_may_look_on_closes_those_who_watch() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    let mut watcher = Watcher::of(&edge_box);
    hang_up(&daemon);
    watcher.up_to(number_on_page(&edge_box));
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\nwhitelisted_ips = [\"127.0.0.2\"]\n");
    hang_up(&daemon);
    assert!(watcher.is_closed());
    assert_eq!(Watcher::try_of(&edge_box).status, 403);
}

#[test]
fn the_end_of_the_daemon_is_told_and_does_not_wait_for_those_who_watch() {
    let edge_box = EdgeBox::new();
    edge_box.configure("shutdown_timeout = \"60s\"\n[status]\nlisten = \"127.0.0.1:0\"\n");
    edge_box.script("it", "", "echo > begun; while [ ! -e go ]; do sleep 0.02; done");
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
    until("it runs", || edge_box.path("begun").exists());
    let mut watchers: Vec<Watcher> = (0..WATCHERS_MAX).map(|_| Watcher::of(&edge_box)).collect();
    let before = number_on_page(&edge_box);
    daemon.signal(Signal::TERM);
    daemon.until_logged("told to end");
    let after = number_on_page(&edge_box);
    assert!(after > before);
    watchers[0].up_to(after);
    edge_box.write("go", "");
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(watchers.iter_mut().all(Watcher::is_closed));
    assert_eq!(edge_box.ended_run("it").status, "success");
}

#[test]
fn ten_pages_that_are_open_take_less_than_two_mebibytes() {
    let edge_box = watched_box();
    for number in 0..40 {
        edge_box.script(&format!("flow-{number}"), "run_interval = \"1s\"", "echo some output");
    }
    let daemon = edge_box.start();
    for _ in 0..5 {
        daemon.beat_and_wait();
    }
    let before = daemon.proc_status("VmRSS");
    let port = status_port(&edge_box);
    let mut open: Vec<(Watcher, Wire)> =
        (0..10).map(|_| (Watcher::of(&edge_box), Wire::connect(port))).collect();
    for _ in 0..3 {
        for (_, wire) in &mut open {
            wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        for (_, wire) in &mut open {
            assert_eq!(wire.answer().status, 200);
        }
        daemon.beat_and_wait();
    }
    let after = daemon.proc_status("VmRSS");
    assert!(after <= before + 2048, "{before} KiB with none, {after} KiB with ten");
}
