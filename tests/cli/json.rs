//! `--json`, held against the tables of docs/command-line.md: each member of each command, and its type.

use serde_json::Value;

use crate::support::{Box, Done};

const DOCUMENT: &str = include_str!("../../docs/command-line.md");

/// The members of a kind of value: name and type.
fn members(kind: &str) -> Vec<(&'static str, &'static str)> {
    let heading = format!("### {kind}\n");
    let at = DOCUMENT.find(&heading).unwrap_or_else(|| panic!("{kind} is in the document"));
    let rest = &DOCUMENT[at + heading.len()..];
    let section = rest.split("\n##").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let members: Vec<_> = rows
        .filter_map(|row| {
            let (name, rest) = row.split_once("` | ")?;
            Some((name, rest.split(" | ").next()?))
        })
        .collect();
    assert!(!members.is_empty(), "{kind} has members");
    members
}

/// Whether a value is of a type as the document words it.
fn is_of(value: &Value, kind: &str) -> bool {
    let kind = kind.trim_end_matches(", optional");
    match kind.strip_suffix(" or null") {
        Some(_) if value.is_null() => return true,
        Some(kind) => return is_of(value, kind),
        None => {}
    }
    if let Some(each) = kind.strip_prefix("array of ") {
        return value.as_array().is_some_and(|all| all.iter().all(|one| is_of(one, each)));
    }
    let is_time =
        |text: &str| [20, 24].contains(&text.len()) && text.as_bytes()[10] == b'T' && text.ends_with('Z');
    match kind {
        "any" => true,
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "time" => value.as_str().is_some_and(is_time),
        _ => panic!("the document knows no type `{kind}`"),
    }
}

/// Holds a value against the document.
fn hold(kind: &str, value: &Value) {
    let members = members(kind);
    for (name, wanted) in &members {
        match value.get(name) {
            Some(member) => assert!(is_of(member, wanted), "{kind}: {name} is {member}, not {wanted}"),
            None => assert!(wanted.ends_with(", optional"), "{kind}: {name} is missing in {value}"),
        }
    }
    for name in value.as_object().into_iter().flat_map(serde_json::Map::keys) {
        assert!(members.iter().any(|(known, _)| known == name), "{kind}: {name} is not in the document");
    }
}

/// Runs a command with `--json`: at least one value, and each of this kind.
fn run(new: &Box, kind: &str, arguments: &str) -> Vec<Value> {
    let words: Vec<&str> = std::iter::once("--json").chain(arguments.split(' ')).collect();
    let done = new.run(&words);
    done.done();
    held(kind, &done)
}

fn held(kind: &str, done: &Done) -> Vec<Value> {
    let values = done.json();
    assert!(!values.is_empty(), "{kind}: {}", done.err);
    values.iter().for_each(|value| hold(kind, value));
    values
}

/// A box with a flow that succeeds, one that fails and a pipeline that rejects a record.
fn prepared() -> Box {
    let new = Box::new();
    new.write_flow("flows/fails.toml", "echo so it goes; exit 3");
    new.write("in.jsonl", "{\"n\":1,\"s\":\"\u{202e}\\u001b\"}\nno json\n");
    let text = "run_interval = \"1h\"\n[source]\ntype = \"file\"\npath = \"../in.jsonl\"\n[sink]\ntype = \"sqlite\"\n\
                database = \"../out.db\"\ntable = \"t\"\ncreate = true\n";
    new.write("flows/readings.toml", text);
    new.write_flow("mine.toml", "true");
    new
}

#[test]
fn every_command_with_a_daemon_prints_what_the_document_says() {
    let new = prepared();
    let daemon = new.serve();
    let url = daemon.url();
    let trial = new.run(&["--json", "flow", "test", "readings"]);
    assert_eq!(trial.done(), "{\"n\":1,\"s\":\"\\u202e\\u001b\"}\n", "the record itself, escaped");
    assert!(trial.err.starts_with("warning: rejected: ") && trial.err.lines().count() == 1, "{}", trial.err);
    let answer = run(&new, "Answer", &format!("beat --url {url} --wait 20s")).remove(0);
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    runs.iter().for_each(|run| hold("Started run", run));
    assert!(runs.iter().all(|run| run.get("duration_ms").is_some()), "{answer}");
    run(&new, "Answer", &format!("beat --url {url} --every 1ms --count 2"));
    let elsewhere = new.run(&["--json", "beat", "--url", &format!("{url}x")]);
    elsewhere.refused(1);
    held("Problem", &elsewhere);
    assert_eq!(run(&new, "Run", "runs list").len(), 3);
    assert_eq!(run(&new, "Run", "runs list --status failed")[0]["error_kind"], "exit_status");
    for id in 1..=3 {
        assert!(run(&new, "Run", &format!("runs show {id}"))[0]["output"].is_string());
    }
    run(&new, "Run", "flow run example");
    assert!(run(&new, "Run", "flow run readings --wait")[0]["output"].is_string());
    assert_eq!(run(&new, "Flow", "flow list").len(), 3);
    run(&new, "Flow", "flow show readings");
    assert!(run(&new, "Cursor", "flow cursor readings")[0]["cursor"].is_object());
    run(&new, "Cursor", "flow cursor readings --reset");
    let status = run(&new, "Status", "status").remove(0);
    assert!(status["flows"]["total"].is_u64() && status["runs"]["pending"].is_u64(), "{status}");
    assert!(status["agents"][0]["last_heartbeat_at"].is_string(), "{status}");
    let reload = run(&new, "Reload", "reload").remove(0);
    for (name, is_right) in [
        ("created", Value::is_u64 as fn(&Value) -> bool),
        ("updated", Value::is_u64),
        ("disabled", Value::is_array),
        ("conflicts", Value::is_array),
    ] {
        assert!(is_right(&reload["flows"][name]), "{name}: {reload}");
    }
    new.write("flows/bad.toml", "run_interval = 0\n");
    let bad = new.run(&["--json", "reload"]);
    bad.refused(78);
    hold("Fault", &held("Reload", &bad).remove(0)["faults"][0]);
    run(&new, "Backup", "backup copy.db");
}

#[test]
fn every_command_without_a_daemon_prints_what_the_document_says() {
    let new = prepared();
    run(&new, "File", "init");
    run(&new, "File", "flow new x --into drafts");
    for verdict in run(&new, "Verdict", "check --database") {
        verdict["agents"].as_array().unwrap().iter().for_each(|agent| hold("Agent", agent));
    }
    run(&new, "Change", "flow add mine.toml");
    for command in ["disable", "enable"] {
        run(&new, "Change", &format!("flow {command} mine"));
    }
    run(&new, "Run", "flow run mine");
    assert!(run(&new, "Run", "runs cancel 1")[0]["output"].is_string());
    run(&new, "Flow", "flow list");
    assert_eq!(run(&new, "Status", "status")[0]["phase"], "stopped");
    run(&new, "Change", "flow remove mine");
    let headers = run(&new, "Headers", "sign").remove(0);
    let fields = headers.as_object().unwrap().iter();
    let fields: String =
        fields.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
    let request =
        format!("POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n{fields}\r\n");
    new.write("request", &request);
    new.write("forged", &request.replace("webhook-id: msg", "webhook-id: msh"));
    run(&new, "Judgement", "verify request");
    let forged = new.run(&["--json", "verify", "forged"]);
    forged.refused(77);
    held("Judgement", &forged);
    new.write("flows/bad.toml", "run_interval = 0\n");
    let bad = new.run(&["--json", "check"]);
    bad.refused(78);
    let faults = held("Verdict", &bad).remove(0)["faults"].as_array().unwrap().clone();
    assert!(!faults.is_empty());
    faults.iter().for_each(|fault| hold("Fault", fault));
    run(&new, "Fact", "demo");
}

#[test]
fn a_failure_leaves_standard_output_to_values() {
    let new = prepared();
    for arguments in [
        &["flow", "show", "gone"][..],
        &["runs", "show", "9"],
        &["reload"],
        &["flow", "run", "gone", "--wait"],
        &["verify", "in.jsonl"],
        &["flow", "cursor", "example", "--set", "{"],
        &["beat"],
        &["backup", "/nowhere/x.db"],
    ] {
        let done = new.run(&[&["--json"][..], arguments].concat());
        assert!(done.code != Some(0) && done.out.is_empty(), "{arguments:?}: {}", done.out);
        done.refused(done.code.unwrap());
    }
}

#[test]
fn the_document_names_every_command_and_every_exit_code() {
    let new = Box::empty();
    let help = new.run(&["--help"]);
    let commands = help.done().split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for line in commands.lines() {
        let command = line.split_whitespace().next().unwrap();
        assert!(DOCUMENT.contains(&format!("`{command}")), "{command}");
    }
    let page = new.run(&["man"]);
    let codes = page.done().split(".SH EXIT STATUS").nth(1).unwrap().split(".SH").next().unwrap();
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.strip_prefix(".B "))
        .filter(|code| code.parse::<u8>().is_ok())
        .collect();
    assert!(
        codes.len() == 9 && codes.iter().all(|code| DOCUMENT.contains(&format!("| {code} | "))),
        "{codes:?}"
    );
}
