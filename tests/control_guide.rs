//! The commands of docs/control.md, from its own text: each works, and there is one for each route.

mod support;

use heartbeat_runtime::control::ROUTES;
use std::process::Command;
use support::tools::can_run;
use support::{EdgeBox, until};

const GUIDE: &str = include_str!("../docs/control.md");

fn commands() -> Vec<&'static str> {
    GUIDE.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Whether a line of the guide asks for this: by its method, and by a path whose part in braces is any.
fn asks_for(line: &str, method: &str, path: &str) -> bool {
    let Some((before, target)) = line.split_once("http://localhost") else { return false };
    let asked = before.split_once("--request ").map_or("GET", |(_, rest)| rest.trim_end_matches([' ', '"']));
    let end = target.find([' ', '\'', '"', '?', ')']).unwrap_or(target.len());
    let (mut parts, mut wanted) = (target[..end].split('/'), path.split('/'));
    let mut fits = asked == method;
    loop {
        match (parts.next(), wanted.next()) {
            (None, None) => return fits,
            (Some(part), Some(wanted)) => fits &= part == wanted || wanted.starts_with('{'),
            _ => return false,
        }
    }
}

#[test]
fn there_is_an_example_for_each_route() {
    let lines: Vec<&str> = commands().into_iter().flat_map(str::lines).collect();
    for route in ROUTES {
        for operation in route.operations {
            let method = operation.method.as_str();
            let is_shown = lines.iter().any(|line| asks_for(line, method, route.path));
            assert!(is_shown, "{method} {}", route.path);
        }
    }
}

#[test]
fn each_example_works() {
    if !can_run("curl", &["--version"]) || !can_run("jq", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("upload-readings", "", "echo uploaded");
    edge_box.script("slow", "", "while :; do sleep 0.02; done");
    edge_box.write("in.jsonl", "{\"n\":1}\n");
    edge_box.flow(
        "readings",
        "[source]\ntype = \"file\"\npath = \"../in.jsonl\"\n[sink]\ntype = \"file\"\npath = \"../out.jsonl\"\n",
    );
    std::fs::create_dir(edge_box.path("stick")).expect("make a place for copies");
    let _daemon = edge_box.start();
    until("the socket is there", || edge_box.path("heartbeatd.sock").exists());
    let stick = edge_box.path("stick");
    let stick = stick.to_str().expect("a path in UTF-8");
    let [ask, examples @ ..] = &commands()[..] else { panic!("the guide has commands") };
    let mut said = String::new();
    for example in examples {
        let script = format!("{ask}\n{}", example.replace("/mnt/stick", stick));
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(edge_box.path(""));
        let output = bash.output().expect("run bash");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && output.stderr.is_empty(), "{example}: {told} {output:?}");
        said.push_str(&told);
    }
    for words in [
        "\"action\":\"create\"",
        "uploaded\n",
        "\"error_kind\":\"cancelled\"",
        "[1,\"upload-readings\",\"success\"]",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(edge_box.path("stick/heartbeat.db").exists(), "the copy is there");
}
