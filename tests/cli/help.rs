//! The examples of `--help`, run as they stand, in a box that is as they expect it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::shells::is_here;
use crate::support::{Box, until};

/// Examples that cannot be run here, and why.
const NOT_RUN: [(&str, &str); 11] = [
    ("heartbeatd demo --dir /tmp/box --keep", "goes on until it is interrupted"),
    ("heartbeatd serve", "the daemon itself: the others are run beside it"),
    ("heartbeatd serve --port-file /run/heartbeatd/port", "the same, in a folder of the system"),
    ("heartbeatd --config box/heartbeatd.toml serve", "the same"),
    ("heartbeatd --config box/heartbeatd.toml beat", "needs that daemon"),
    ("heartbeatd beat --every 1m", "goes on until it is interrupted"),
    ("heartbeatd beat --url http://box:8787/data_flows/heartbeat --secret-file secret", "names another box"),
    ("heartbeatd backup /mnt/stick/heartbeat.db", "names a stick"),
    ("heartbeatd flow add /media/usb/*.toml", "names a stick"),
    ("kill -HUP PID", "names no process"),
    ("heartbeatd man > /usr/local/share/man/man1/heartbeatd.1", "writes to a folder of the system"),
];
/// Those that need a program which may be missing.
const NEEDS: [(&str, &str); 3] = [("| jq", "jq"), ("man -l", "man"), ("${fpath[1]}", "zsh")];

/// A box with what the examples name: flows, records, a captured request, run 17 in progress. It listens on a port that was
/// free a moment ago, so that `beat` finds it by the configuration.
fn prepared(command: &str) -> Box {
    let new = Box::empty();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    new.run(&["init", "--listen", &port.to_string()]).done();
    if command != "flow new" {
        new.write_flow("flows/upload-readings.toml", "echo uploaded");
        let readings = "run_interval = \"1h\"\n[source]\ntype = \"sqlite\"\ndatabase = \"../in.db\"\ntable = \"measured\"\n\
                        cursor = \"value\"\n[schema]\nfields = { value = { type = \"integer\", required = true } }\n\
                        [sink]\ntype = \"sqlite\"\ndatabase = \"../out.db\"\ntable = \"reading\"\ncreate = true\n\
                        [[transform]]\nsql = \"SELECT value, value / (value - 18) AS whole FROM batch\"\n";
        new.write("flows/readings.toml", readings);
        new.write_flow("flows/long.toml", "while [ ! -e go ]; do sleep 0.02; done");
    }
    new.write("body.json", "{}");
    let headers = new.run(&["sign"]).done().replace('\n', "\r\n");
    let request =
        format!("POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n{headers}\r\n");
    new.write("request.txt", &request);
    for folder in [".local/share/bash-completion/completions", ".config/fish/completions"] {
        std::fs::create_dir_all(new.path(folder)).unwrap();
    }
    let sql = "CREATE TABLE measured (value); INSERT INTO measured VALUES (1), (2), ('x');";
    rusqlite::Connection::open(new.path("in.db")).unwrap().execute_batch(sql).unwrap();
    let sql = "CREATE TABLE data_flows (id INTEGER PRIMARY KEY, name, description, enabled, configuration, run_interval,
                 last_run_at, last_run_status, created_at, updated_at);
               CREATE TABLE data_flow_runs (id INTEGER PRIMARY KEY, data_flow_id, status, started_at, ended_at, error_message,
                 error_backtrace, created_at, updated_at);
               INSERT INTO data_flows VALUES (1, 'sync', NULL, 1, '\"Sync\"', 60, NULL, NULL, '2026-11-17 10:30:00',
                 '2026-11-17 10:30:00')";
    rusqlite::Connection::open(new.path("app.sqlite3")).unwrap().execute_batch(sql).unwrap();
    let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('data_flow_runs', 16)";
    rusqlite::Connection::open(new.path("heartbeat.db")).unwrap().execute_batch(sql).unwrap();
    new
}

/// Every command with its examples, each without what is said about it.
fn examples() -> Vec<(String, Vec<String>)> {
    let new = Box::empty();
    let mut found = Vec::new();
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = new.run(&words);
        let section = |name: &str| {
            let part = help.done().split("\n\n").find_map(|part| part.strip_prefix(name));
            part.unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for line in section("Commands:\n") {
            let name = line.split_whitespace().next().unwrap_or_default();
            commands.push(format!("{command} {name}").trim().to_owned());
        }
        let lines = section("Examples:\n");
        let lines = lines.iter().map(|line| line.trim().split("   ").next().unwrap_or_default().to_owned());
        found.push((command, lines.collect::<Vec<_>>()));
    }
    assert!(
        found.len() > 20 && found.iter().map(|(_, lines)| lines.len()).sum::<usize>() > 40,
        "they are found"
    );
    found
}

/// Runs a line in the box's folder by the shell that it is for. What it says, if it fails.
fn shell(new: &Box, line: &str) -> Result<(), String> {
    let programs = Path::new(env!("CARGO_BIN_EXE_heartbeatd")).parent().unwrap();
    let path = std::env::join_paths([programs, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let (shell, line) = if line.contains("fpath") {
        ("zsh", format!("fpath=($PWD); {line}"))
    } else {
        ("bash", format!("set -eo pipefail; {line}"))
    };
    let mut command = Command::new(shell);
    command.args(["-c", &line]).current_dir(&new.folder).stdin(Stdio::null());
    command.env_clear().env("PATH", path).env("HOME", &new.folder);
    let output = command.output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(said) }
}

/// Runs one command's examples, one after the other.
fn try_out(command: &str, lines: &[String]) -> Vec<String> {
    let new = prepared(command);
    // It asks for the database of a daemon that was stopped.
    let is_import = command == "import rails";
    let _daemon = (!is_import).then(|| new.serve());
    if command != "flow new" && !is_import {
        new.run(&["flow", "run", "long"]).done();
        new.run(&["flow", "run", "readings", "--wait"]).done();
    }
    if command == "flow remove" {
        std::fs::remove_file(new.path("flows/upload-readings.toml")).unwrap();
    }
    let mut failed = Vec::new();
    for line in lines {
        if let Err(said) = shell(&new, line) {
            failed.push(format!("{command}: {line}\n{said}"));
        }
        until("what it started has ended", || {
            let open = new.run(&["--json", "runs", "list", "--limit", "100"]);
            open.json().iter().all(|run| run["ended_at"].is_string() || run["flow"] == "long")
        });
    }
    new.write("go", "");
    failed
}

#[test]
fn every_example_of_the_help_does_what_it_says() {
    let all = examples();
    let mut failed = Vec::new();
    for (command, lines) in &all {
        let can_run = |line: &&String| {
            let needs = NEEDS.iter().find(|(part, _)| line.contains(part));
            !NOT_RUN.iter().any(|(left_out, _)| left_out == line)
                && needs.is_none_or(|(_, program)| is_here(program))
        };
        let lines: Vec<String> = lines.iter().filter(can_run).cloned().collect();
        if !lines.is_empty() {
            failed.extend(try_out(command, &lines));
        }
    }
    for (line, why) in NOT_RUN {
        assert!(
            all.iter().any(|(_, lines)| lines.iter().any(|it| it == line)),
            "{line} ({why}) is no example any more"
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
