//! What docs/pipelines.md shows, from its own text: its flows are right, and its commands and servers do what it says.
#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use std::fs;
use std::sync::{Arc, Mutex};
use support::EdgeBox;
use support::guide::{Guide, blocks, shell};
use support::http_server::{answer, serve};
use support::tools::can_run;

fn guide() -> Guide {
    Guide::of("docs/pipelines.md")
}

/// The flow that the guide begins with, its folders being the box's.
fn first_flow(guide: &Guide) -> String {
    let head = guide.text().split("\n## ").next().expect("a head");
    let [flow] = blocks(head)[..] else { panic!("one flow") };
    flow.text.replace("/var/", "DIR/var/")
}

fn rows(edge_box: &EdgeBox) -> i64 {
    let database = Connection::open(edge_box.path("var/lib/readings/readings.db")).expect("open it");
    database.query_row("SELECT count(*) FROM reading", [], |row| row.get(0)).expect("ask it")
}

/// A box with the folders that the guide's flows write to and read from.
fn edge_box() -> EdgeBox {
    let edge_box = EdgeBox::new();
    for folder in ["var/log", "var/lib/readings"] {
        fs::create_dir_all(edge_box.path(folder)).expect("make a folder");
    }
    edge_box
}

#[test]
fn each_flow_that_is_shown_is_right() {
    let edge_box = edge_box();
    let guide = guide();
    edge_box.write_secret("flows/token", "Bearer 3f1c0a5d9e");
    let secret = edge_box.read("secret");
    edge_box.write_secret("flows/receiver.secret", secret.trim());
    let shown: Vec<_> = blocks(guide.text()).into_iter().filter(|block| block.language == "toml").collect();
    assert!(shown.len() > 5, "{shown:?}");
    for (number, block) in shown.iter().enumerate() {
        let mut flow = block.text.replace("/var/", "DIR/var/");
        for (table, rest) in [
            ("[source]", "type = \"file\"\npath = \"in.jsonl\"".to_owned()),
            ("[sink]", format!("type = \"file\"\npath = \"out-{number}.jsonl\"")),
        ] {
            if !flow.contains(table) {
                flow += &format!("\n{table}\n{rest}\n");
            }
        }
        if flow.contains("[[test]]") {
            let sql = first_flow(&guide).lines().find(|line| line.starts_with("sql = ")).map(str::to_owned);
            flow += &format!("[[transform]]\n{}\n", sql.expect("the first flow has a transform"));
        }
        edge_box.flow(&format!("flow-{number}"), &flow);
    }
    let (code, said) = edge_box.command(&["check"]);
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
    assert!(said.contains(&format!("{} flows are right", shown.len())), "{said}");
}

#[test]
fn what_the_schema_rejected_is_fed_back_by_the_guide_s_commands() {
    let edge_box = edge_box();
    let guide = guide();
    let heading = "Schema and dead letters";
    let [schema] = guide.blocks(heading, "toml")[..] else { panic!("one schema") };
    let [commands] = guide.blocks(heading, "sh")[..] else { panic!("commands") };
    let flow = format!("{}\n{schema}\n", first_flow(&guide));
    edge_box.flow("readings", &flow);
    edge_box.write("var/log/readings.jsonl", "{\"sensor\":\"door\",\"value\":20}\n{\"sensor\":\"roof\"}\n");
    let _daemon = edge_box.start();
    let (code, said) = edge_box.command(&["flow", "run", "readings", "--wait"]);
    assert!(code == Some(0) && said.contains("2 read, 1 written, 1 rejected"), "{said}");
    edge_box.flow("readings", &flow.replace("required = true", "default = 0.0"));
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    shell(&edge_box, commands).expect("they are fed back");
    assert_eq!(rows(&edge_box), 2);
}

#[test]
fn the_pages_that_the_guide_shows_are_three_records_and_the_last_is_asked_for_again() {
    let edge_box = edge_box();
    let guide = guide();
    let is_paged = |flow: &&&str| flow.contains("next = ");
    let toml = guide.blocks("Sources", "toml");
    let flow = *toml.iter().find(is_paged).expect("a flow that asks page by page");
    let [pages] = guide.blocks("Sources", "text")[..] else { panic!("what is asked and answered") };
    let pages: Vec<(String, String)> = pages
        .lines()
        .filter_map(|line| line.split_once(" {"))
        .map(|(asked, body)| (format!("{} HTTP/1.1", asked.trim()), format!("{{{body}")))
        .collect();
    let asked: Vec<String> = pages.iter().map(|(asked, _)| asked.clone()).collect();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let address = serve(move |request| {
        kept.lock().expect("nobody failed").push(request.line.clone());
        let (_, body) = pages.iter().find(|(asked, _)| *asked == request.line)?;
        Some(answer(200, "", body))
    });
    edge_box.write_secret("flows/token", "Bearer 3f1c0a5d9e");
    edge_box.flow("pages", &flow.replace("192.168.1.20", &address).replace("/var/", "DIR/var/"));
    let _daemon = edge_box.start();
    for _ in 0..2 {
        let (code, said) = edge_box.command(&["flow", "run", "pages", "--wait"]);
        assert_eq!((code, rows(&edge_box)), (Some(0), 3), "{said}");
    }
    let lines = lines.lock().expect("nobody failed");
    assert_eq!(
        lines[..],
        [asked.as_slice(), &asked[1..]].concat(),
        "the second run begins with the last page"
    );
}

#[test]
fn the_program_that_lists_disks_is_a_source() {
    if !can_run("lsblk", &["--json", "--bytes"]) || !can_run("jq", &["--version"]) {
        return;
    }
    let edge_box = edge_box();
    let guide = guide();
    let toml = guide.blocks("Sources", "toml");
    let source = toml.iter().find(|block| block.contains("lsblk")).expect("a source that lists disks");
    edge_box.flow("disks", &format!("{source}\n[sink]\ntype = \"file\"\npath = \"DIR/disks.jsonl\"\n"));
    let _daemon = edge_box.start();
    let (code, said) = edge_box.command(&["flow", "run", "disks", "--wait"]);
    assert_eq!(code, Some(0), "{said}");
    let disks = edge_box.read("disks.jsonl");
    assert!(disks.lines().all(|disk| disk.contains("\"name\"") && disk.contains("\"size\"")), "{disks}");
}
