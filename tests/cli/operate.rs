//! `flow add|enable|disable|remove|run`, `runs cancel`, `status`, `reload`: with a daemon and without one.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use crate::skipped::tell_skipped;
use crate::support::{Box, Daemon, Done};

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";

/// The same commands in two boxes: in one of them a daemon runs.
struct Both {
    alone: Box,
    served: Box,
    _daemon: Daemon,
}

impl Both {
    fn new() -> Self {
        let (alone, served) = (Box::new(), Box::new());
        for it in [&alone, &served] {
            std::fs::remove_file(it.path("flows/example.toml")).unwrap();
            it.write_flow("mine.toml", "echo hello");
            it.write_flow("other.toml", "true");
        }
        let daemon = served.serve();
        Self { alone, served, _daemon: daemon }
    }

    /// What a command does, having done the same either way.
    fn run(&self, arguments: &[&str]) -> Done {
        let (alone, served) = (self.alone.run(arguments), self.served.run(arguments));
        let told = |it: &Box, done: &Done| {
            let text = format!("{}{}", done.out, done.err);
            (done.code, text.replace(it.folder.to_str().unwrap(), "BOX"))
        };
        assert_eq!(told(&self.alone, &alone), told(&self.served, &served), "{arguments:?}");
        served
    }
}

#[test]
fn flows_are_changed_the_same_way_with_a_daemon_and_without() {
    let both = Both::new();
    assert_eq!(
        both.run(&["flow", "add", "mine.toml", "other.toml"]).done(),
        "   create  mine\n   create  other\n"
    );
    assert_eq!(both.run(&["flow", "add", "mine.toml"]).done(), "identical  mine\n");
    for it in [&both.alone, &both.served] {
        it.write_flow("mine.toml", "echo changed");
    }
    assert_eq!(both.run(&["--json", "flow", "add", "mine.toml"]).json()[0]["action"], "update");
    assert_eq!(both.run(&["flow", "disable", "mine"]).done(), "  disable  mine\n");
    assert!(both.run(&["flow", "list"]).done().contains("held"));
    assert_eq!(both.run(&["--json", "flow", "enable", "mine"]).json()[0]["action"], "enable");
    assert_eq!(both.run(&["flow", "remove", "other"]).done(), "   remove  other\n");
    assert!(!both.run(&["flow", "list"]).done().contains("other"));
}

#[test]
fn what_cannot_be_done_is_refused_the_same_way_with_a_daemon_and_without() {
    let both = Both::new();
    for it in [&both.alone, &both.served] {
        it.write("bad.toml", "run_interval = 0\n");
        it.write("Bad name.toml", "run_interval = 60\n[command]\nargv = [\"true\"]\n");
        it.write_flow("flows/of-a-file.toml", "true");
    }
    both.run(&["flow", "add", "mine.toml"]).done();
    let faults = both.run(&["flow", "add", "other.toml", "bad.toml", "Bad name.toml"]);
    let text = faults.refused(78);
    assert!(text.contains("error: bad.toml:1: run_interval") && text.contains("Bad name.toml"), "{text}");
    both.run(&["flow", "show", "other"]).refused(1);
    assert!(both.run(&["flow", "add", "missing.toml"]).refused(78).contains("missing.toml"));
    both.run(&["flow", "add", "flows/of-a-file.toml"]).refused(2);
    for command in ["enable", "disable", "remove", "run"] {
        assert!(both.run(&["flow", command, "mien"]).refused(1).contains("did you mean `mine`?"));
        both.run(&["flow", command, "a/b"]).refused(2);
    }
    both.run(&["runs", "cancel", "7"]).refused(1);
    both.run(&["runs", "cancel", "x"]).refused(2);
}

#[test]
fn a_flow_of_the_folder_is_removed_with_its_file_and_not_before() {
    let both = Both::new();
    for it in [&both.alone, &both.served] {
        it.write_flow("flows/it.toml", "true");
    }
    both.served.run(&["reload"]).done();
    // The other daemon takes it up when it starts, and ends.
    drop(both.alone.serve());
    let refused = both.run(&["flow", "remove", "it"]);
    let (why, help) = refused.refused(1).split_once("help: ").unwrap();
    assert!(why.contains("flows/it.toml"), "{why}");
    assert_eq!(help.trim(), "delete that file, then `heartbeatd flow remove it`");
    for it in [&both.alone, &both.served] {
        std::fs::remove_file(it.path("flows/it.toml")).unwrap();
    }
    assert_eq!(both.run(&["flow", "remove", "it"]).done(), "   remove  it\n");
}

#[test]
fn a_run_that_is_recorded_without_a_daemon_starts_with_the_next() {
    let new = Box::new();
    new.write_flow("mine.toml", "echo hello");
    new.run(&["flow", "add", "mine.toml"]).done();
    assert!(new.run(&["flow", "run", "mine"]).done().contains("mine: run 1, pending"));
    assert!(new.run(&["flow", "run", "mine"]).refused(1).contains("run 1 of it is open"));
    assert!(new.run(&["runs", "cancel", "1"]).done().contains("run 1 of mine: cancelled"));
    assert_eq!(new.run(&["--json", "flow", "run", "mine"]).json()[0]["id"], 2);
    let _daemon = new.serve();
    crate::support::until("it has run", || {
        new.run(&["--json", "runs", "show", "2"]).json()[0]["status"] == "success"
    });
}

#[test]
fn a_run_is_waited_for_however_much_of_its_output_is_kept() {
    let new = Box::new();
    let config = new.read("heartbeatd.toml").replace("# output = \"16 KiB\"", "output = \"1 MiB\"");
    new.write("heartbeatd.toml", &config);
    new.write_flow("loud.toml", "yes | head -c 1100000");
    new.run(&["flow", "add", "loud.toml"]).done();
    let _daemon = new.serve();
    let run = new.run(&["--json", "flow", "run", "loud", "--wait"]);
    let told = &run.json()[0];
    assert_eq!((&told["status"], &told["output_truncated"]), (&"success".into(), &true.into()));
    assert_eq!(
        told["output"].as_str().map(str::len),
        Some(1024 * 1024),
        "each line end is two bytes of JSON"
    );
}

#[test]
fn a_run_is_waited_for_and_its_output_shown_as_it_comes() {
    let new = Box::new();
    new.write_flow("mine.toml", &format!("echo first; {UNTIL_TOLD}; echo last"));
    new.write_flow("fails.toml", "echo so it goes; exit 3");
    new.run(&["flow", "add", "mine.toml", "fails.toml"]).done();
    assert!(new.run(&["flow", "run", "mine", "--wait"]).refused(69).contains("no daemon"));
    assert_eq!(new.run(&["--json", "runs", "list"]).done(), "", "nothing was recorded");
    let _daemon = new.serve();
    let mut command = new.command(&["flow", "run", "mine", "--wait"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "first\n", "before the run's end");
    new.write("go", "");
    out.read_to_string(&mut line).unwrap();
    assert_eq!(line, "first\nlast\n");
    assert!(child.wait().unwrap().success());

    let failed = new.run(&["flow", "run", "fails", "--wait"]);
    assert!(failed.refused(1).contains("exit status 3") && failed.out == "so it goes\n", "{}", failed.out);
    let failed = new.run(&["--json", "flow", "run", "fails", "--wait"]);
    failed.refused(1);
    assert_eq!(
        (&failed.json()[0]["exit_code"], &failed.json()[0]["output"]),
        (&3.into(), &"so it goes\n".into())
    );
}

/// A box with a pipeline of so many records, and one that is no record.
fn with_pipeline(records: u32) -> Box {
    let new = Box::new();
    let lines: String = (0..records).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    new.write("in.jsonl", &(lines + "no json\n"));
    let text = "run_interval = \"1h\"\n[source]\ntype = \"file\"\npath = \"in.jsonl\"\n[sink]\ntype = \"sqlite\"\n\
                database = \"out.db\"\ntable = \"t\"\ncreate = true\n[batch]\nrecords = 20\n";
    new.write("readings.toml", text);
    new.run(&["flow", "add", "readings.toml"]).done();
    new
}

#[test]
fn what_a_pipeline_moved_is_told_in_one_line_and_nothing_else_where_nobody_looks_on() {
    let new = with_pipeline(1234);
    let _daemon = new.serve();
    let done = new.run(&["flow", "run", "readings", "--wait"]);
    assert_eq!(done.done(), "", "standard output is the run's");
    assert!(done.err.starts_with("run 1 succeeded in ") && done.err.lines().count() == 1, "{}", done.err);
    assert!(done.err.contains(": 1,235 read, 1,234 written, 1 rejected, "), "{}", done.err);
    std::fs::rename(new.path("dead-letter/readings.jsonl"), new.path("rejected.jsonl")).unwrap();
    let fed = new.run(&["flow", "run", "readings", "--wait", "--from", "rejected.jsonl"]);
    assert!(fed.done().is_empty() && fed.err.contains("1 read, 0 written, 1 rejected"), "{}", fed.err);
    let shown = new.run(&["runs", "show", "2"]);
    assert!(shown.done().contains("rejected.jsonl") && shown.out.contains("bytes read"), "{}", shown.out);
    let quiet = new.run(&["--quiet", "flow", "run", "readings", "--wait"]);
    assert_eq!((quiet.done(), quiet.err.as_str()), ("", ""));
    let json = new.run(&["--json", "flow", "run", "readings", "--wait"]);
    assert_eq!((&json.json()[0]["records_read"], json.err.as_str()), (&0.into(), ""));
    new.write("readings.toml", &new.read("readings.toml").replace("create = true", ""));
    std::fs::remove_file(new.path("out.db")).unwrap();
    new.run(&["flow", "add", "readings.toml"]).done();
    let failed = new.run(&["flow", "run", "readings", "--wait"]);
    assert!(failed.refused(1).contains("failed after 0 read, 0 written, 0 B: "), "{}", failed.err);
}

#[test]
fn what_a_pipeline_moves_is_drawn_on_a_terminal_and_taken_away() {
    let can_run = std::process::Command::new("script").arg("--version").output();
    if !can_run.is_ok_and(|output| output.status.success()) {
        tell_skipped("`script` does not work here");
        return;
    }
    let new = with_pipeline(20_000);
    let _daemon = new.serve();
    let mut command = std::process::Command::new("script");
    let run = format!("{} flow run readings --wait", env!("CARGO_BIN_EXE_heartbeatd"));
    command.args(["-qec", &run, "/dev/null"]).current_dir(&new.folder).env("TERM", "xterm");
    let text = String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap();
    let drawn: Vec<&str> = text.split("\r\u{1b}[K").collect();
    assert!(
        drawn.len() > 2 && drawn.iter().any(|line| line.starts_with('[') && line.contains("] readings: ")),
        "{text:?}"
    );
    let last = drawn.last().unwrap();
    assert!(last.starts_with("run 1 succeeded") && last.contains("20,000 written"), "{text:?}");
}

#[test]
fn a_run_in_progress_is_cancelled_through_the_daemon_only() {
    let new = Box::new();
    new.write_flow("mine.toml", UNTIL_TOLD);
    new.run(&["flow", "add", "mine.toml"]).done();
    let daemon = new.serve();
    assert!(new.run(&["flow", "run", "mine"]).done().contains("run 1, in_progress"));
    let refused = new.run(&["flow", "remove", "mine"]);
    let refused = refused.refused(1);
    assert!(refused.contains("run 1 of it is open") && !refused.contains("file"), "{refused}");
    assert!(new.run(&["runs", "cancel", "1"]).done().contains("run 1 of mine: cancelled"));
    assert!(new.run(&["runs", "cancel", "1"]).refused(1).contains("has ended already"));
    new.run(&["flow", "run", "mine"]).done();
    drop(daemon);
    // A process that it was about to start holds its lock for a moment longer.
    crate::support::until("there is no daemon", || {
        new.run(&["runs", "cancel", "2"]).refused(69).contains("no daemon")
    });
    new.write("go", "");
}

#[test]
fn the_state_is_told_with_a_daemon_and_without() {
    let new = Box::new();
    new.write("flows/bad.toml", "run_interval = 0\n");
    let alone = new.run(&["status"]);
    assert!(alone.done().contains("none answers at") && alone.out.contains("bad.toml:1"), "{}", alone.out);
    assert_eq!(new.run(&["--json", "status"]).json()[0]["phase"], "stopped");
    assert!(new.run(&["status", "--ready"]).refused(69).contains("no daemon answers at"));
    new.write("flows/off.toml", "enabled = false\nrun_interval = 60\n[command]\nargv = [\"true\"]\n");
    new.write_flow("flows/second.toml", "true");
    let _daemon = new.serve();
    new.run(&["flow", "disable", "second"]).done();
    let served = new.run(&["status"]);
    assert!(served.out.contains("  3: 1 enabled, 1 held, 1 disabled; 1 due\n"), "{}", served.out);
    assert!(served.done().contains("serving for") && served.out.contains("bad.toml:1"), "{}", served.out);
    assert_eq!(
        new.run(&["status", "--ready"]).done(),
        served.out,
        "a flow file that is wrong keeps nobody out"
    );
    assert_eq!(new.run(&["--quiet", "status", "--ready"]).done(), "");
    let json = new.run(&["--json", "status"]).json().remove(0);
    assert_eq!((&json["phase"], &json["flows"]["total"]), (&"serving".into(), &3.into()), "{json}");
    for name in
        ["version", "uptime_s", "clock_is_set", "database", "database_bytes", "runs", "agents", "degraded"]
    {
        assert!(json.get(name).is_some(), "{name}: {json}");
    }
}

#[test]
fn a_reload_tells_what_it_did_or_every_fault() {
    let new = Box::new();
    assert!(new.run(&["reload"]).refused(69).contains("no daemon"));
    let _daemon = new.serve();
    new.write_flow("flows/second.toml", "true");
    assert_eq!(new.run(&["reload"]).done(), "   reload  flows: 1 created, 0 updated, 0 disabled\n");
    let right = new.read("heartbeatd.toml");
    new.write("heartbeatd.toml", &format!("max_concurrent_runs = 0\n{right}\n[limits]\nbdoy = 1\n"));
    // The command reads the same configuration to find the daemon, which is told all the same.
    let text = new.run(&["reload"]).refused(78).to_owned();
    assert!(text.contains("heartbeatd.toml:1: max_concurrent_runs") && text.contains("bdoy"), "{text}");
    new.write("heartbeatd.toml", &right.replace("127.0.0.1:0", "127.0.0.1:1"));
    let done = new.run(&["reload"]);
    done.done();
    assert!(done.err.contains("next start: listen"), "{}", done.err);
    assert_eq!(new.run(&["--json", "status"]).json()[0]["failed_reloads"], 1);
    assert_eq!(new.run(&["--json", "reload"]).json()[0]["unchanged_until_restart"][0], "listen");
}

#[test]
fn a_reload_tells_what_is_wrong_with_flow_files_as_check_does_and_takes_up_the_rest() {
    let new = Box::new();
    let _daemon = new.serve();
    new.write("flows/bad.toml", "run_interval = 0\n");
    new.write_flow("flows/second.toml", "true");
    let reload = new.run(&["reload"]);
    let text = reload.refused(78);
    let check = new.run(&["check"]).refused(78).to_owned();
    assert!(
        text.ends_with(&check) && check.contains("error: flows/bad.toml:1: run_interval"),
        "{check}{text}"
    );
    assert!(text.starts_with("warning: all else is taken up"), "{text}");
    assert_eq!(reload.out, "   reload  flows: 1 created, 0 updated, 0 disabled\n");
    let json = new.run(&["--json", "reload"]);
    assert!(
        json.refused(78).contains("bad.toml:1") && json.json()[0]["faults"][0]["line"] == 1,
        "{}",
        json.out
    );
    std::fs::remove_file(new.path("flows/bad.toml")).unwrap();
    new.run(&["reload"]).done();
}

#[test]
fn a_database_in_use_by_a_daemon_that_cannot_be_reached_is_worth_another_try() {
    let new = Box::new();
    new.write_flow("mine.toml", "true");
    let _daemon = new.serve();
    std::fs::rename(new.path("heartbeatd.sock"), new.path("moved.sock")).unwrap();
    assert!(new.run(&["flow", "add", "mine.toml"]).refused(75).contains("another process owns it"));
}

#[test]
fn a_second_daemon_is_told_how_to_ask_the_first() {
    let new = Box::new();
    let _daemon = new.serve();
    let second = new.run(&["--config", "heartbeatd.toml", "serve"]);
    assert!(second.refused(75).contains("`heartbeatd --config heartbeatd.toml status`"), "{}", second.err);
}
