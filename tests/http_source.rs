//! Records asked of a server page by page: each arrives once, whatever the server does between two pages and whoever is
//! killed.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::http_server::{Request, answer, serve};
use support::{EdgeBox, until};

const PAGE: usize = 50;
const ROUNDS: usize = 12;
const RECORDS_A_ROUND: usize = 1_000;

/// The page after the number that the query names; it tells the next as long as there is one.
fn page(request: &Request, count: usize) -> String {
    let after = request.line.split(['=', ' ']).nth(2).and_then(|after| after.parse().ok()).unwrap_or(0);
    let end = count.min(after + PAGE);
    let items: Vec<String> = (after..end).map(|n| format!("{{\"n\":{n}}}")).collect();
    let next = if end < count { format!("{end}") } else { "null".to_owned() };
    format!("{{\"items\":[{}],\"next\":{next}}}", items.join(","))
}

/// To this sink from that address.
fn flow(edge_box: &EdgeBox, name: &str, address: &str, sink: &str) {
    let source = format!(
        "type = \"http\"\nurl = \"http://{address}/items\"\npointer = \"/items\"\nnext = {{ pointer = \"/next\", parameter = \"after\" }}"
    );
    edge_box.flow(name, &format!("[source]\n{source}\n[sink]\n{sink}\n"));
}

fn in_database(edge_box: &EdgeBox) -> Vec<i64> {
    let database = Connection::open(edge_box.path("a.db")).expect("open it");
    let mut statement = database.prepare("SELECT n FROM t ORDER BY rowid").expect("ask it");
    let rows = statement.query_map([], |row| row.get(0)).expect("ask it");
    rows.map(|row| row.expect("a number")).collect()
}

fn in_file(edge_box: &EdgeBox) -> Vec<i64> {
    let lines = edge_box.read("out.jsonl");
    let number = |line: &str| line.trim_start_matches("{\"n\":").trim_end_matches('}').parse();
    lines.lines().map(|line| number(line).expect("a number")).collect()
}

#[test]
fn pages_of_a_list_that_grows_arrive_once_over_kill_9_and_a_server_that_fails() {
    let (count, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (records, requests) = (Arc::clone(&count), Arc::clone(&asked));
    let address = serve(move |request| match requests.fetch_add(1, Ordering::Relaxed) {
        number if number % 11 == 10 => None,
        number if number % 7 == 6 => Some(answer(503, "Retry-After: 0\r\n", "")),
        _ => Some(answer(200, "ETag: \"same\"\r\n", &page(request, records.load(Ordering::Relaxed)))),
    });
    let edge_box = EdgeBox::new();
    let flows = [
        ("to-sqlite", "type = \"sqlite\"\ndatabase = \"DIR/a.db\"\ntable = \"t\"\ncreate = true"),
        ("to-file", "type = \"file\"\npath = \"DIR/out.jsonl\""),
    ];
    for (name, sink) in flows {
        flow(&edge_box, name, &address, sink);
    }
    for round in 0..ROUNDS {
        // In the middle of a page, so that the last one grows.
        count.fetch_add(RECORDS_A_ROUND - 7, Ordering::Relaxed);
        let mut daemon = edge_box.start();
        for (name, _) in flows {
            let _accepted = edge_box.command(&["flow", "run", name]);
        }
        let seen = asked.load(Ordering::Relaxed);
        until("some pages were asked for", || asked.load(Ordering::Relaxed) > seen + 4 * (round % 5));
        if round % 3 == 2 {
            // The last page is reached, and grows in the next round.
            until("nothing is open", || !edge_box.has_open_runs());
            for (name, _) in flows {
                until("all is taken", || edge_box.command(&["flow", "run", name, "--wait"]).0 == Some(0));
            }
        }
        daemon.kill();
    }
    let daemon = edge_box.start();
    until("what was interrupted is over", || !edge_box.has_open_runs());
    for (name, _) in flows {
        until("all is taken", || edge_box.command(&["flow", "run", name, "--wait"]).0 == Some(0));
    }
    drop(daemon);
    let expected: Vec<i64> = (0..).take(count.load(Ordering::Relaxed)).collect();
    assert_eq!(in_database(&edge_box), expected);
    assert_eq!(in_file(&edge_box), expected);
}
