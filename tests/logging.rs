//! The log, as its readers have it: how many lines a series of events makes, in which form, and what becomes of the daemon
//! when nobody reads them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail its test")]

mod support;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::tools::run_through;
use support::{EdgeBox, until};

/// Has standard error be the journal's stream, as far as the daemon can tell.
const AS_THE_JOURNAL: &str = "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$0\" \"$@\"";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Runs the daemon by a shell that prepares its standard error.
fn by_shell(command: &mut Command, script: &str) {
    run_through(command, "sh", &["-c", script]);
}

fn messages(log: &str, prefix: &str) -> Vec<String> {
    let objects = log.lines().map(|line| {
        let object = line.strip_prefix(prefix).unwrap_or(line);
        serde_json::from_str::<Value>(object).unwrap_or_else(|_| panic!("one object a line: {line:?}"))
    });
    objects.map(|object| object["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_event_has_its_line_and_an_idle_heartbeat_has_none() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nfailed_signatures_per_minute = 3\n[log]\nformat = \"json\"\n");
    edge_box.script("good", "", "true");
    edge_box.script("bad", "", "exit 3");
    let mut daemon = edge_box.start();
    let before = messages(&daemon.log(), "").len();
    daemon.beat_and_wait();
    for _ in 0..20 {
        assert_eq!(daemon.beat().count("flows_due"), 0);
    }
    for _ in 0..10 {
        assert_eq!(daemon.get("/nothing").status, 404);
    }
    daemon.stop();
    let log = daemon.log();
    let told = messages(&log, "").split_off(before);
    let count = |message: &str| told.iter().filter(|told| told.starts_with(message)).count();
    let counts = ["heartbeat", "run ended", "refused: nothing is at this path", "told to end", "ended"];
    assert_eq!(counts.map(count), [1, 2, 3, 1, 1], "{told:?}");
    assert_eq!(told.len(), 8, "and no others: {told:?}");

    let line = |message: &str| {
        let mut objects = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        objects.find(|object| object["message"].as_str().unwrap().starts_with(message)).unwrap()
    };
    let heartbeat = line("heartbeat");
    assert_eq!((&heartbeat["agent"], &heartbeat["flows_triggered"]), (&"default".into(), &2.into()));
    assert!(heartbeat["heartbeat_id"].as_str().unwrap().starts_with("msg_"), "{heartbeat}");
    let failed = line("run ended: ");
    assert_eq!((&failed["flow"], &failed["level"]), (&"bad".into(), &"warn".into()));
    assert_eq!((&failed["status"], &failed["error_kind"]), (&"failed".into(), &"exit_status".into()));
    assert!(failed["run"].is_i64() && failed["duration_ms"].is_i64(), "{failed}");
    assert!(failed["time"].as_str().unwrap().ends_with('Z'), "{failed}");
    let refused = line("refused");
    assert_eq!((&refused["client"], &refused["error"]), (&"127.0.0.1".into(), &"not_found".into()));
    assert_eq!(line("ended")["refusals"], "not_found=10", "those without a line of their own are counted");
}

#[test]
fn what_a_message_holds_cannot_make_another_line_of_it() {
    let edge_box = EdgeBox::new();
    edge_box.flow("it", "[command]\nargv = [\"/no/such\\n<0>program\\u001b[2J\"]\n");
    for format in ["text", "json"] {
        edge_box.configure(&format!("[log]\nformat = \"{format}\"\n"));
        let mut daemon = edge_box.start();
        assert_eq!(edge_box.command(&["flow", "run", "it", "--wait"]).0, Some(1));
        daemon.stop();
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("/no/such")).unwrap();
        assert!(line.contains("does not exist") && !log.contains('\x1b'), "{log}");
        assert!(log.lines().all(|line| line.starts_with(['2', '{'])), "{log}");
    }
}

#[test]
fn the_journal_gets_levels_and_no_times_and_only_if_it_reads() {
    let edge_box = EdgeBox::new();
    edge_box.script("bad", "", "exit 3");
    let start = |script: &str| Daemon::start(&edge_box, |command| by_shell(command, script));
    let mut daemon = start(AS_THE_JOURNAL);
    daemon.beat_and_wait();
    daemon.stop();
    let log = daemon.log();
    assert!(log.contains("\n<6>heartbeat agent=default heartbeat_id=msg_"), "{log}");
    assert!(log.contains("\n<4>run ended: ") && log.lines().all(|line| line.starts_with('<')), "{log}");
    let mut elsewhere = start("JOURNAL_STREAM=1:1 exec \"$0\" \"$@\"");
    elsewhere.stop();
    let log = elsewhere.log();
    assert!(log.lines().all(|line| line.starts_with("20")), "it is set, but reads another stream: {log}");
    edge_box.configure("[log]\nformat = \"json\"\n");
    let mut daemon = start(AS_THE_JOURNAL);
    daemon.stop();
    assert!(messages(&daemon.log(), "<6>").contains(&"listening".to_owned()), "{}", daemon.log());
}

#[test]
fn why_it_does_not_start_is_an_error_for_the_journal_and_an_object_for_programs() {
    let edge_box = EdgeBox::new();
    fs::remove_file(edge_box.path("secret")).unwrap();
    let (code, said) = Daemon::refused(&edge_box, |command| by_shell(command, AS_THE_JOURNAL));
    assert_eq!(code, Some(78));
    assert!(said.starts_with("<3>error: ") && said.contains("\n<3>help: "), "{said}");
    edge_box.configure("[log]\nformat = \"json\"\n");
    let (code, said) = Daemon::refused(&edge_box, |_| {});
    let told: Value = serde_json::from_str(said.trim_end()).unwrap();
    assert_eq!((code, &told["exit_code"]), (Some(78), &78.into()), "{said}");
    assert!(told["message"].as_str().unwrap().contains("secret: does not exist"), "{said}");
    assert!(told["help"].as_str().unwrap().contains("heartbeatd init"), "{said}");
}

#[test]
fn a_store_that_fails_and_works_again_makes_two_lines_however_many_ask() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let daemon = edge_box.start();
    let holder = rusqlite::Connection::open(edge_box.path("heartbeat.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    for _ in 0..20 {
        assert_eq!(daemon.beat().status, 503);
    }
    drop(holder);
    daemon.until_logged("what happens can be recorded again");
    assert_eq!(daemon.log().matches("database is locked").count(), 1, "{}", daemon.log());
}

#[test]
fn no_part_of_a_secret_a_token_or_a_signature_is_in_any_object_at_the_finest_level() {
    let edge_box = EdgeBox::new();
    edge_box
        .configure("authentication_token_file = \"token\"\n[log]\nlevel = \"trace\"\nformat = \"json\"\n");
    edge_box.write_secret("token", TOKEN);
    edge_box.flow(
        "it",
        "[command]\nargv = [\"true\"]\nenvironment = { API_KEY = \"hunter2-hunter2-hunter2\" }\n",
    );
    let mut daemon = edge_box.start();
    let heartbeat = Heartbeat::new().wait(10);
    let proof = heartbeat.proof(&edge_box.secret);
    assert_eq!(daemon.exchange(heartbeat.with_proof(&proof)).status, 200);
    let forged = proof.replace("v1,", "v1,AAAA");
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof(&forged)).status, 401);
    assert_eq!(
        daemon.exchange(heartbeat.with_proof(&format!("X-Heartbeat-Token: {TOKEN}x\r\n"))).status,
        401
    );
    assert_eq!(edge_box.command(&["reload"]).0, Some(0));
    daemon.stop();
    let log = daemon.log();
    assert!(messages(&log, "").contains(&"reloaded".to_owned()), "{log}");
    let key = edge_box.read("secret").trim().trim_start_matches("whsec_").to_owned();
    let signature = proof.rsplit_once("v1,").unwrap().1.trim().to_owned();
    for word in [key, TOKEN.to_owned(), signature, "hunter2-hunter2-hunter2".to_owned()] {
        for part in word.as_bytes().windows(12) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!log.contains(part), "{part} of {word}");
        }
    }
}

/// A box whose every refusal has a line, and the reading end of a pipe that its daemon logs to.
fn into_a_pipe() -> (EdgeBox, File) {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nfailed_signatures_per_minute = 1000000\n[log]\nformat = \"json\"\n");
    let path = edge_box.path("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    // For writing as well, so that it opens at once.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let reader = OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&path).unwrap();
    (edge_box, reader)
}

/// Starts the daemon with its standard error redirected, as a shell writes it.
fn start_into(edge_box: &EdgeBox, standard_error: &str) -> Daemon {
    let script = format!("exec \"$0\" \"$@\" 2>{standard_error}");
    Daemon::start(edge_box, |command| by_shell(command, &script))
}

#[test]
fn a_reader_that_stops_reading_holds_nobody_up_and_is_told_what_it_missed() {
    let (edge_box, mut reader) = into_a_pipe();
    let mut daemon = start_into(&edge_box, edge_box.path("pipe").to_str().unwrap());
    // A pipe takes 64 KiB, and a line has more than 100 bytes.
    let refusals = 1500;
    let mut wire = daemon.connect();
    for _ in 0..refusals {
        wire.send("GET /nothing HTTP/1.1\r\nHost: box\r\n\r\n");
        assert_eq!(wire.answer().status, 404);
    }
    assert_eq!(daemon.beat().status, 200);
    let mut log = Vec::new();
    let _nothing_more_just_now = reader.read_to_end(&mut log);
    assert_eq!(daemon.get("/nothing").status, 404);
    assert!(daemon.stop().success());
    let _nothing_more = reader.read_to_end(&mut log);
    let log = String::from_utf8(log).unwrap();
    let told = messages(&log, "");
    let refused = told.iter().filter(|message| message.starts_with("refused")).count();
    let line = log.lines().find(|line| line.contains("\"left_out\"")).unwrap_or_else(|| panic!("{told:?}"));
    let left_out = serde_json::from_str::<Value>(line).unwrap()["left_out"].as_u64().unwrap();
    assert_eq!(refused + usize::try_from(left_out).unwrap(), refusals + 1, "each is told or counted");
    assert_eq!(told.last().unwrap(), "ended");
}

#[test]
fn a_reader_that_goes_away_and_a_standard_error_that_is_closed_or_full_are_no_end() {
    for (standard_error, leaves) in [("PIPE", true), ("&-", false), ("/dev/full", false)] {
        let (edge_box, reader) = into_a_pipe();
        edge_box.script("it", "", "echo out; echo err >&2");
        let mut daemon =
            start_into(&edge_box, &standard_error.replace("PIPE", edge_box.path("pipe").to_str().unwrap()));
        let _reader = (!leaves).then_some(reader);
        for _ in 0..3 {
            assert_eq!(daemon.get("/nothing").status, 404, "{standard_error}");
        }
        assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1, "{standard_error}");
        assert_eq!(edge_box.ended_run("it").output, "out\nerr\n", "its own is a pipe of the daemon's");
        daemon.signal(Signal::HUP);
        until("it lives", || daemon.get("/healthz").status == 200);
        assert!(daemon.stop().success(), "{standard_error}");
    }
}

/// The fixed beginning of the message in a call of one of the macros, from behind its opening parenthesis. It is the
/// first text after the last semicolon that stands in no text: before that are the fields.
fn message_of(call: &str) -> String {
    let (mut depth, mut in_text, mut is_escaped) = (0, false, false);
    let (mut message, mut texts) = (String::new(), 0);
    for character in call.chars() {
        match (in_text, character) {
            (true, _) if is_escaped => is_escaped = false,
            (true, '\\') => is_escaped = true,
            (_, '"') => {
                in_text = !in_text;
                texts += u32::from(in_text);
                continue;
            }
            (false, ';') => (message, texts) = (String::new(), 0),
            (false, '(') => depth += 1,
            (false, ')') if depth == 0 => break,
            (false, ')') => depth -= 1,
            _ => {}
        }
        if in_text && texts == 1 && !is_escaped {
            message.push(character);
        }
    }
    message.split('{').next().unwrap_or_default().trim_end().to_owned()
}

fn logged_messages(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(logged_messages(&entry));
            continue;
        }
        let text = fs::read_to_string(&entry).unwrap();
        for name in ["error", "warn", "info", "debug", "trace", "log"] {
            found.extend(text.split(&format!("log::{name}!(")).skip(1).map(message_of));
        }
    }
    // One that begins with what happened has no beginning of its own.
    found.retain(|message| !message.is_empty());
    found
}

#[test]
fn every_message_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/logging.md")).unwrap();
    let messages = logged_messages(&root.join("src"));
    for known in ["heartbeat", "run ended:", "refused:", "listening"] {
        assert!(messages.iter().any(|message| message == known), "{known} in {messages:#?}");
    }
    let missing: Vec<_> = messages.iter().filter(|message| !document.contains(message.as_str())).collect();
    assert!(missing.is_empty(), "docs/logging.md lacks {missing:#?}");
}
