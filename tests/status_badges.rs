//! Badges: where a flow stands, as a picture and as shields.io asks for it, where the operator wants them.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};
use support::daemon::Daemon;
use support::metrics::{look, watched_box};
use support::tools::can_run;
use support::wire::Answer;
use support::{EdgeBox, until};

/// A box with a flow that is well, one that failed three times in a row, one that never ran and one that may not.
fn badged_box() -> (EdgeBox, Daemon) {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\nbadges = true\n");
    edge_box.script("good", "", "true");
    edge_box.script("bad", "", "exit 3");
    edge_box.script("off", "enabled = false", "true");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    for _ in 0..2 {
        edge_box.command(&["flow", "run", "bad", "--wait"]);
    }
    until("every run has ended", || !edge_box.has_open_runs() && edge_box.runs().len() == 4);
    edge_box.script("new", "at = \"03:00\"", "true");
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    (edge_box, daemon)
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).expect("a badge is text")
}

#[test]
fn a_badge_says_in_words_where_its_flow_stands() {
    let (edge_box, _daemon) = badged_box();
    for (flow, words, colour, is_error) in [
        ("good", "fine", "#2c7a52", false),
        ("bad", "failing 3\u{d7}", "#b3261e", true),
        ("off", "disabled", "#5b636b", false),
        ("new", "never ran", "#5b636b", false),
        ("good.json?span=7d", "100\u{a0}% in 7 days", "#2c7a52", false),
        ("bad.json?span=24h", "0\u{a0}% in 24 hours", "#b3261e", true),
        ("off.json?span=90d", "no run in 90 days", "#5b636b", false),
    ] {
        let (name, file) = match flow.split_once('.') {
            Some((name, _)) => (name, flow.to_owned()),
            None => (flow, format!("{flow}.json")),
        };
        let answer = look(&edge_box, &format!("/badge/{file}"));
        assert_eq!((answer.status, answer.field("Content-Type")), (200, Some("application/json")), "{flow}");
        let expected = json!({
            "schemaVersion": 1, "label": name, "message": words, "color": colour, "isError": is_error
        });
        assert_eq!(answer.json(), expected, "{flow}");
        let picture = look(&edge_box, &format!("/badge/{}", file.replace(".json", ".svg")));
        assert_eq!(
            (picture.status, picture.field("Content-Type")),
            (200, Some("image/svg+xml")),
            "{picture:?}"
        );
        assert!(text(&picture).contains(&format!("<title>{name}: {words}</title>")), "{}", text(&picture));
        assert!(text(&picture).contains(&format!("fill=\"{colour}\"")), "{}", text(&picture));
    }
    let unknown = look(&edge_box, "/badge/none.svg");
    assert_eq!(unknown.status, 404);
    assert!(text(&unknown).contains("<title>none: no such flow</title>"), "{}", text(&unknown));
    assert_eq!(look(&edge_box, "/badge/none.json").status, 404);
}

#[test]
fn a_badge_may_stand_on_pages_of_others_and_can_do_nothing_there() {
    let (edge_box, _daemon) = badged_box();
    for file in ["good.svg", "good.json", "none.svg", "bad.svg?span=7d"] {
        let answer = look(&edge_box, &format!("/badge/{file}"));
        for (name, value) in [
            ("Cross-Origin-Resource-Policy", "cross-origin"),
            ("Content-Security-Policy", "default-src 'none'"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{file}: {name}");
        }
        assert!(!answer.head.contains("Access-Control"), "no script of another site reads it");
        let text = text(&answer);
        for word in ["<script", "<style", "style=", "onload", "href", "<foreignObject"] {
            assert!(!text.contains(word), "{file}: {word}");
        }
    }
}

#[test]
fn a_picture_is_xml_for_those_who_read_it_strictly() {
    if !can_run("python3", &["-c", "import xml.etree.ElementTree"]) {
        return;
    }
    let (edge_box, _daemon) = badged_box();
    let odd = "a%3Cb%3E%22'&amp;%5D%5D%3E";
    for file in ["good", "bad", "none", odd] {
        let picture = look(&edge_box, &format!("/badge/{file}.svg"));
        let program =
            "import sys, xml.etree.ElementTree as t; print(t.fromstring(sys.stdin.buffer.read()).tag)";
        let mut python = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("run python3");
        python.stdin.take().expect("it reads").write_all(&picture.body).expect("it reads all");
        let said = python.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{file}: {}", text(&picture));
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "{http://www.w3.org/2000/svg}svg", "{file}");
    }
}

#[test]
fn there_are_none_unless_the_operator_wants_them() {
    let edge_box = watched_box();
    edge_box.script("good", "", "true");
    let _daemon = edge_box.start();
    for file in ["good.svg", "good.json", "none.svg"] {
        let answer = look(&edge_box, &format!("/badge/{file}"));
        assert_eq!((answer.status, answer.error().as_str()), (404, "not_found"), "{file}");
    }
}
