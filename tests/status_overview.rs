//! The list of flows as a real daemon shows it: what happened is what it tells, and a thousand flows hold up nobody.

#[path = "support/many_flows.rs"]
mod many_flows;
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;
use support::daemon::Daemon;
use support::heartbeat::now_s;
use support::metrics::{Metrics, look, status_port, watched_box};
use support::wire::{Answer, Wire};
use support::{EdgeBox, eventually, until};

/// What a page may measure: `limits::PAGE_BYTES_MAX`.
const PAGE_BYTES_MAX: usize = 60 * 1024;

fn page(edge_box: &EdgeBox, path: &str) -> String {
    let answer = look(edge_box, path);
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// A flow's row without its markup; nothing if it has none.
fn row(page: &str, flow: &str) -> String {
    let is_its = |row: &&str| row.contains(&format!(" id=\"f-{flow}\""));
    let row = page.split("<li ").find(is_its).and_then(|row| row.split("</li>").next()).unwrap_or_default();
    let texts = row.split('<').skip(1).filter_map(|part| part.split_once('>'));
    texts.map(|(_, text)| text).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_list_tells_what_happened() {
    let edge_box = watched_box();
    edge_box.script("good", "description = \"Größe <3\"", "echo well");
    edge_box.script("bad", "", "echo '<b>this went wrong'; exit 3");
    edge_box.script("off", "enabled = false", "true");
    edge_box.script("kept-back", "", "true");
    edge_box.script("goes-on", "", "sleep 600");
    edge_box.script(
        "tries-again",
        "retry = { attempts = 2, backoff = \"1h\", backoff_cap = \"1h\" }",
        "exit 1",
    );
    let daemon = edge_box.start();
    assert_eq!(edge_box.command(&["flow", "disable", "kept-back"]).0, Some(0));
    daemon.beat();
    until("four runs have begun and three have ended", || {
        edge_box.runs().len() == 5 && {
            let ended = edge_box.runs().iter().filter(|run| run.ended_at.is_some()).count();
            ended == 3
        }
    });
    let shown = page(&edge_box, "/");
    for (flow, words) in [
        ("bad", "failing, once"),
        ("good", "fine"),
        ("goes-on", "running since"),
        ("tries-again", "waiting to be tried again"),
        ("kept-back", "held by an operator"),
        ("off", "disabled by its definition"),
    ] {
        let row = row(&shown, flow);
        assert!(row.contains(words), "{flow}: {row}");
    }
    let bad = row(&shown, "bad");
    assert!(bad.contains("exit status 3") && bad.contains("&lt;b&gt;this went wrong"), "{bad}");
    assert!(row(&shown, "good").contains("1 succeeded"));
    assert!(shown.contains("<title>1 problem "));
    let found = page(&edge_box, "/?q=GR%C3%96SSE+%3C3");
    assert!(!found.contains("id=\"f-"), "a sharp s has no capital: {found}");
    assert!(page(&edge_box, "/?q=GR%C3%96%C3%9FE+%3C3").contains("id=\"f-good\""));
    assert!(!page(&edge_box, "/?state=problems").contains("id=\"f-good\""));
    let gone = look(&edge_box, "/?page=999&state=none&span=ever&q=");
    assert_eq!(gone.status, 200, "what makes no sense counts as not there");
}

/// A box with so many flows, each with 200 runs in a day and a third, and with 90 days: made, not lived through.
fn large_box(flows: usize) -> EdgeBox {
    let edge_box = watched_box();
    edge_box.flow("site-00000", "run_interval = \"300d\"\n[command]\nargv = [\"true\"]\n");
    edge_box.start().stop();
    let past = many_flows::past(flows, 200, now_s() * 1000);
    edge_box.edit(&format!("PRAGMA journal_mode = MEMORY; {past}; PRAGMA journal_mode = WAL"));
    edge_box
}

/// Asks for pages over and over, until it is told to end, and counts them.
fn look_on(port: u16, is_over: &AtomicBool, answered: &AtomicUsize) {
    let mut wire = Wire::connect(port);
    while !is_over.load(Ordering::Relaxed) {
        wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(wire.answer().status, 200);
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// How long the middle one of so many took, in microseconds.
fn middle_us(count: usize, mut happens: impl FnMut()) -> u128 {
    let mut took: Vec<u128> = (0..count)
        .map(|_| {
            let begun = Instant::now();
            happens();
            begun.elapsed().as_micros()
        })
        .collect();
    took.sort_unstable();
    took[count / 2]
}

/// How long heartbeats wait for their answers while two others ask for pages.
fn waits_beside_pages_us(edge_box: &EdgeBox, daemon: &Daemon) -> u128 {
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let port = status_port(edge_box);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| look_on(port, &is_over, &answered));
        }
        until("somebody looks on", || answered.load(Ordering::Relaxed) >= 2);
        let waited = middle_us(100, || assert_eq!(daemon.beat().status, 200));
        is_over.store(true, Ordering::Relaxed);
        waited
    })
}

#[test]
fn a_page_of_a_thousand_flows_is_within_its_bound_and_holds_up_no_heartbeat() {
    let edge_box = large_box(1000);
    let daemon = edge_box.start();
    for path in ["/", "/?span=7d", "/?span=90d", "/?page=50", "/?state=problems&page=1", "/?q=site-00999"] {
        let shown = page(&edge_box, path);
        assert!(shown.len() <= PAGE_BYTES_MAX, "{path}: {} bytes", shown.len());
        assert!(shown.contains("<b>20</b></a>") || path.contains("q="), "{path}: 20 of 1,000 are failing");
    }
    assert!(page(&edge_box, "/?page=50").contains("Page 50 of 50"));
    let page_us = middle_us(15, || drop(page(&edge_box, "/")));
    let waits_us = waits_beside_pages_us(&edge_box, &daemon);
    assert!(2 * waits_us <= page_us, "heartbeats wait {waits_us} us while a page takes {page_us} us");
}

#[test]
fn pages_give_back_the_memory_that_they_took() {
    let edge_box = large_box(200);
    let daemon = edge_box.start();
    // What is there once is there: the caches of the database, and of the allocator.
    page(&edge_box, "/");
    let before_kib = daemon.proc_status("VmRSS");
    let port = status_port(&edge_box);
    for _ in 0..5 {
        let mut viewers: Vec<Wire> = (0..16).map(|_| Wire::connect(port)).collect();
        for viewer in &mut viewers {
            viewer.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }
        let answers: Vec<Answer> = viewers.iter_mut().map(Wire::answer).collect();
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
    eventually("they are gone", || {
        let open = Metrics::of(&edge_box).count("heartbeatd_connections{listener=\"status\"}");
        (open == 1).then_some(())
    });
    let grown_kib = daemon.proc_status("VmRSS").saturating_sub(before_kib);
    assert!(grown_kib < 2048, "{grown_kib} KiB more than before");
}
