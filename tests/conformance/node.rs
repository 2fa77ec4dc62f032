//! The table against Node's own server, whose parser is llhttp: an ancestry that ours, over httparse, does not share.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::case::{Case, End};
use super::reference::Message;
use super::support::tools::can_run;
use super::{none_of, ours, settled, tell};

/// What Node makes of a case.
#[derive(Debug)]
struct Reading {
    messages: Vec<Message>,
    error: Option<String>,
}

impl Reading {
    /// Whether it found something wrong. The end of the bytes in the middle of a request is none of their faults.
    fn is_refused(&self) -> bool {
        self.error.as_ref().is_some_and(|code| code != "HPE_INVALID_EOF_STATE")
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text takes it");
        text
    })
}

fn bytes_of(hexadecimal: &str) -> Vec<u8> {
    let pairs = (0..hexadecimal.len()).step_by(2).map(|at| &hexadecimal[at..at + 2]);
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("two digits")).collect()
}

/// What Node makes of every case.
fn readings(cases: &[Case]) -> Vec<Reading> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/llhttp.cjs");
    let mut node = Command::new("node");
    let mut node = node.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start node");
    let mut input = node.stdin.take().expect("its input");
    let lines: String = cases.iter().map(|case| hexadecimal(&case.bytes) + "\n").collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = node.wait_with_output().expect("node ends");
    writer.join().expect("the writer ends").expect("node reads its input");
    assert!(output.status.success(), "node ended with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    text.lines().map(|line| reading(&serde_json::from_str(line).expect("a line is JSON"))).collect()
}

fn reading(seen: &serde_json::Value) -> Reading {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let message = |seen: &serde_json::Value| Message {
        method: text(&seen["method"]),
        authority: None,
        path: text(&seen["target"]),
        query: None,
        body: bytes_of(&text(&seen["body"])),
    };
    let messages = seen["messages"].as_array().into_iter().flatten().map(message).collect();
    Reading { messages, error: seen["error"].as_str().map(str::to_owned) }
}

/// Path and query of a target, which Node gives as it was sent.
fn path_and_query(target: &str) -> String {
    match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            let end = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
            if end.starts_with('/') { end.to_owned() } else { format!("/{end}") }
        }
        _ => target.to_owned(),
    }
}

/// Whether Node understood the same request.
fn is_same(ours: &Message, theirs: &Message) -> bool {
    let query = ours.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let target = path_and_query(&theirs.path);
    // What a proxy makes an asterisk of.
    let is_asterisk = ours.path == "*" && ["*", "/"].contains(&&target[..]);
    ours.method == theirs.method
        && ours.body == theirs.body
        && (is_asterisk || target == format!("{}{query}", ours.path))
}

#[test]
fn what_ours_accepts_node_accepts_and_frames_the_same() {
    if !can_run("node", &["--version"]) {
        return;
    }
    let table = super::table();
    let readings = readings(&table);
    assert_eq!(readings.len(), table.len(), "Node told of every case");
    // Versions of Node differ: one that agrees where another did not is no fault.
    let (mut otherwise, mut complaints) = (0, Vec::new());
    for (case, theirs) in table.iter().zip(&readings) {
        let ours = ours::read(&case.bytes);
        let refused = matches!(ours.end, End::Refused(_));
        otherwise +=
            usize::from(ours.messages.len() != theirs.messages.len() || refused != theirs.is_refused());
        let same = |(at, message)| theirs.messages.get(at).is_some_and(|other| is_same(message, other));
        if !ours.messages.iter().enumerate().all(same) {
            let is_settled = settled::reason(settled::NODE, &case.name).is_some();
            complaints.extend((!is_settled).then(|| format!("{}\n    Node: {theirs:?}", case.title())));
        }
    }
    tell(&format!("conformance: Node gets {otherwise} of {} cases otherwise", table.len()));
    none_of(&complaints);
}
