//! Whole runs from a server, whose answers are put in by hand, cut short after any step.

use super::*;
use crate::http::client::Answer;
use crate::pipeline::outside::Exchange;

/// The records `0..count` in pages of two, and one behind the first that is no record.
fn answer(exchange: &Exchange, count: usize) -> Happened {
    let page = exchange.url.target().split("p=").nth(1).map_or(0, |page| page.parse().unwrap());
    let mut rows: Vec<Json> = (page * 2..count.min(page * 2 + 2)).map(|n| json!({ "n": n })).collect();
    if page == 0 {
        rows.insert(1, json!(7));
    }
    let next = if count > page * 2 + 2 { json!(page + 1) } else { Json::Null };
    let body = json!({ "rows": rows, "next": next }).to_string().into_bytes();
    Happened::Answered(Ok(Box::new(Answer { status: 200, body, ..Answer::default() })))
}

/// A run of at most so many steps; whether it came to its end.
fn run(folder: &Folder, settings: &str, recorded: &mut Option<State>, count: usize, steps: usize) -> bool {
    let mut moving = folder.moving(settings, recorded.clone());
    for _ in 0..steps {
        match moving.step(&SystemFiles::default()).unwrap() {
            Step::More => {}
            Step::Record => {
                *recorded = moving.to_record().cloned();
                moving.recorded();
            }
            Step::Wait(Need::Exchange(exchange)) => moving.happened(answer(&exchange, count)),
            Step::Wait(need) => panic!("{need:?}"),
            Step::Done => {
                assert!(moving.counters().balance());
                return true;
            }
        }
    }
    false
}

fn settings(sink: Json, next: Json) -> String {
    let source = json!({ "type": "http", "url": "http://box/a", "pointer": "/rows", "next": next });
    json!({ "source": source, "sink": sink, "on_reject": "DIR/dead.jsonl" }).to_string()
}

fn paged(sink: Json) -> String {
    settings(sink, json!({ "value": { "pointer": "/next", "parameter": "p" } }))
}

/// Runs that get a step further each, and a whole one, while the server gets more; then the numbers of the rejected.
fn cut_short(folder: &Folder, settings: &str) -> usize {
    let mut recorded = None;
    for steps in 1..30 {
        run(folder, settings, &mut recorded, 3 + steps / 3, steps);
    }
    assert!(run(folder, settings, &mut recorded, 15, 1000));
    assert!(run(folder, settings, &mut recorded, 15, 1000), "nothing is new");
    folder.read("dead.jsonl").lines().count()
}

#[test]
fn pages_arrive_once_in_a_file_whatever_cuts_the_runs_short() {
    let folder = Folder::new();
    assert_eq!(cut_short(&folder, &paged(json!({ "type": "file", "path": "DIR/out.jsonl" }))), 1);
    let expected: String = (0..15).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(folder.read("out.jsonl"), expected);
}

#[test]
fn pages_arrive_once_in_a_table_whatever_cuts_the_runs_short() {
    let folder = Folder::new();
    let sink = json!({ "type": "sqlite", "database": "DIR/b.db", "table": "u", "create": true });
    assert_eq!(cut_short(&folder, &paged(sink)), 1);
    let found = rows(&folder.0.join("b.db"), "SELECT CAST(n AS TEXT) FROM u ORDER BY rowid");
    assert_eq!(found, (0..15).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_server_without_pages_is_taken_whole_and_again_when_it_says_so() {
    let folder = Folder::new();
    let settings = settings(json!({ "type": "file", "path": "DIR/out.jsonl" }), Json::Null);
    let mut recorded = None;
    for _ in 0..2 {
        assert!(run(&folder, &settings, &mut recorded, 2, 1000));
    }
    assert_eq!(folder.read("out.jsonl"), "{\"n\":0}\n{\"n\":1}\n".repeat(2));
}
