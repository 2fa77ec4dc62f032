//! What comes from outside is shown so that it acts on no terminal: output, names, records, answers, paths.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::{Box, Done};

/// An escape, C1, a bell, DEL, an override and an isolate of direction, no width, a separator of lines.
const EVIL: &str = "\u{1b}[2J\u{9b}31m\u{7}\u{7f}\u{202e}\u{2066}\u{200b}\u{2028}";

/// Nothing of it reached standard output or error, and it is there to be read.
fn harmless(done: &Done) {
    for text in [&done.out, &done.err] {
        let acts = text.chars().find(|it| EVIL.contains(*it) && *it != '[' && !it.is_ascii_alphanumeric());
        assert_eq!(acts, None, "{text:?}");
    }
    let said = format!("{}{}", done.out, done.err);
    assert!(said.contains("\\u{202e}") || said.contains("\\u202e"), "{said:?}");
}

fn script(new: &Box) {
    let octal: String = EVIL.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    new.write_flow("mine.toml", &format!("printf \"{octal}a\\r\\nb\\rof the run\\n\"; exit 3"));
    new.run(&["flow", "add", "mine.toml"]).done();
}

#[test]
fn output_of_runs_keeps_its_lines_and_forges_none() {
    let new = Box::new();
    script(&new);
    let _daemon = new.serve();
    let waited = new.run(&["flow", "run", "mine", "--wait"]);
    waited.refused(1);
    harmless(&waited);
    assert!(waited.out.ends_with("a\nb\nof the run\n"), "{:?}", waited.out);
    let shown = new.run(&["runs", "show", "1"]);
    shown.done();
    harmless(&shown);
    assert!(shown.out.ends_with("a\nb\nof the run\n"), "{:?}", shown.out);
    let json = new.run(&["--json", "runs", "show", "1"]);
    harmless(&json);
    let output = json.json()[0]["output"].as_str().unwrap().to_owned();
    assert!(
        output.contains("\u{202e}\u{2066}\u{200b}\u{2028}a\nb\n"),
        "a program reads what is on record: {output:?}"
    );
}

#[test]
fn names_paths_and_records_are_shown_on_one_line() {
    let new = Box::new();
    let path = format!("a{EVIL}\nerror: forged.toml");
    new.write(&path, "run_interval = 0\n");
    for arguments in [
        &["check", &path][..],
        &["flow", "add", &path],
        &["verify", &path],
        &["backup", &format!("{path}/x")],
    ] {
        let done = new.run(arguments);
        assert_ne!(done.code, Some(0));
        done.refused(done.code.unwrap());
        harmless(&done);
    }
    harmless(&new.run(&["init", &path]));
    harmless(&new.run(&["init", &format!("b{EVIL}")]));
    for arguments in [&["flow", "show", EVIL][..], &["flow", "run", EVIL], &[EVIL], &["beat", "--url", EVIL]]
    {
        harmless(&new.run(arguments));
    }
    let escaped: String = EVIL.chars().map(|it| format!("\\u{:04x}", u32::from(it))).collect();
    new.write("in.jsonl", &format!("{{\"n\":\"{escaped}\"}}\n{{\"{escaped}\":1}}\nno json {EVIL}\n"));
    let text = "run_interval = \"1h\"\n[source]\ntype = \"file\"\npath = \"in.jsonl\"\n[sink]\ntype = \"file\"\npath = \"out.jsonl\"\n";
    new.write("readings.toml", &format!("description = \"{escaped}\"\n{text}"));
    new.run(&["flow", "add", "readings.toml"]).done();
    for arguments in [
        &["flow", "test", "readings"][..],
        &["--json", "flow", "test", "readings"],
        &["flow", "show", "readings"],
    ] {
        let done = new.run(arguments);
        done.done();
        harmless(&done);
    }
}

#[test]
fn answers_of_servers_and_captured_requests_are_harmless() {
    let new = Box::new();
    let answers =
        ["{\"error\":\"x\",\"detail\":\"D\"}", "<html>D", "{\n\"a\":\"D\"}"].map(|it| it.replace('D', EVIL));
    for (status, json) in [("401 X", false), ("200 OK", false), ("401 X", true), ("200 OK", true)] {
        for answer in &answers {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/x", listener.local_addr().unwrap());
            let bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
                stream.write_all(bytes.as_bytes()).unwrap();
            });
            let flags = if json { &["--json"][..] } else { &[] };
            let beat = new.run(&[flags, &["beat", "--url", &url]].concat());
            server.join().unwrap();
            harmless(&beat);
            assert!(!json || beat.json().len() == 1, "one value, whatever answers: {}", beat.out);
        }
    }
    let request = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\nwebhook-id: {}\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n\r\n",
        "\u{202e}x"
    );
    let verify = new.run_with(&["--json", "verify", "-"], request.as_bytes());
    verify.refused(77);
    harmless(&verify);
}
