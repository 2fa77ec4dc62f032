//! The tutorial's commands, from its own text, in its order, with a real daemon: what it shows is what they print. Only
//! ports are others, and where a reader waits some seconds, the test waits for what the reader waits for.

mod support;

use support::EdgeBox;
use support::guide::Guide;
use support::nginx::free_port;

/// A block of the tutorial: its language and text.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").collect::<Vec<_>>();
    // After each fence that opens a block comes one that closes it.
    fenced.chunks(2).filter_map(|pair| pair.get(1)?.split_once('\n')).collect()
}

/// One form for all spaces, as the width of columns differs from one reader to the next.
fn alike(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What stands around the tutorial's commands. Each that fails is told.
const AROUND: &str = r#"
exec 2>&1
trap 'echo "FAILED $BASH_COMMAND"' ERR
cargo() { :; }
sleep() {
  until [ "$(heartbeatd --json status | jq -c '[.runs.pending, .runs.in_progress, .alerts.undelivered]')" = '[0,0,0]' ]; do
    kill -0 "$daemon" && command sleep 0.05 || return 1
  done
}
"#;

#[test]
fn a_reader_who_types_what_the_tutorial_says_sees_what_it_shows() {
    if !support::tools::can_run("jq", &["--version"]) || !support::tools::can_run("sqlite3", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    let folder = edge_box.path("");
    let (port, status_port) = (free_port(), free_port());
    let guide = Guide::of("docs/tutorial.md");
    let serve = "heartbeatd serve --port-file port 2> log & daemon=$!
        trap 'kill $daemon; wait $daemon; echo ended with $?' EXIT
        until [ -e port ]; do kill -0 $daemon; done
        cd ..";
    let mut script = format!(
        "set +e\nexport HEARTBEATD_LISTEN=127.0.0.1:{port} HEARTBEATD_STATUS__LISTEN=127.0.0.1:{status_port}\n{AROUND}"
    );
    let mut shown = Vec::new();
    for (language, text) in blocks(guide.text()) {
        match language {
            "sh" if text == "heartbeatd serve" => script.push_str(serve),
            "sh" => script.push_str(&text.replace(":8788", &format!(":{status_port}"))),
            "text" => shown.extend(text.lines()),
            other => panic!("a block of {other}"),
        }
        script.push('\n');
    }
    let said = support::guide::script(&script, &folder);
    assert!(shown.len() > 20, "the tutorial shows what is printed");
    let printed = alike(&said.text);
    for line in shown {
        assert!(printed.contains(&alike(line)), "{line}\nis not in\n{}", said.text);
    }
    let failed: Vec<&str> = said.text.lines().filter_map(|line| line.strip_prefix("FAILED ")).collect();
    let expected = ["heartbeatd flow run measure --wait"; 2];
    assert_eq!(failed, expected, "{}", said.text);
    assert!(said.text.ends_with("ended with 0\n"), "{}", said.text);
}
