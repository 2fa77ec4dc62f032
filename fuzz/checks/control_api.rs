//! Requests of operators and of those who look on: whatever they hold, they are an order, a question or an answer;
//! nothing that only asks changes anything; how a target is spelt does not change what it means.
//!
//! The input: a byte for the method, the line of the target, and the content.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use heartbeat_runtime::auth::{Allowlist, parse_rule};
use heartbeat_runtime::config::FlowContext;
use heartbeat_runtime::control::{Rendered, Routed, problem, route};
use heartbeat_runtime::flow::FlowName;
use heartbeat_runtime::http::{ErrorCode, Limits, Progress, Receiver};
use heartbeat_runtime::limits;
use heartbeat_runtime::runtime::{Order, Question};
use heartbeat_runtime::status::{Page, Sight, Viewers};
use serde_json::Value as Json;

use super::zones;

const METHODS: [&str; 9] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"];
const LIMITS: Limits = Limits { head_bytes: 16 * 1024, headers: 16, body_bytes: 64 * 1024 };

/// The target.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let method = METHODS[usize::from(*choice) % METHODS.len()];
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (target, body) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    let target = String::from_utf8_lossy(target);
    let fields = ["", "Prefer: wait=3\r\n", "Accept: text/html\r\n", "Content-Encoding: gzip\r\n"];
    let fields = fields[usize::from(*choice) / METHODS.len() % fields.len()];

    let routed = routed(method, &target, fields, body);
    if let Some(routed) = &routed {
        let again = self::routed(method, &respelt(&target), fields, body);
        assert_eq!(again.as_ref(), Some(routed), "{method} {target}");
    }
    sight(method, &target, fields);
}

/// Every letter of the path that stands for itself, percent-encoded.
fn respelt(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    if !path.starts_with('/') {
        return target.to_owned();
    }
    let mut respelt = String::new();
    let mut before = [' '; 2];
    for letter in path.chars() {
        // Not what is a part of an encoding already.
        if letter.is_ascii_alphanumeric() && !before.contains(&'%') {
            respelt.push_str(&format!("%{:02x}", letter as u32));
        } else {
            respelt.push(letter);
        }
        before = [before[1], letter];
    }
    respelt + query
}

fn with_request<V>(
    method: &str,
    target: &str,
    fields: &str,
    body: &[u8],
    take: impl FnOnce(&heartbeat_runtime::http::Request<'_>) -> V,
) -> Option<V> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut receiver = Receiver::new();
    receiver.receive(head.as_bytes());
    receiver.receive(body);
    match receiver.poll(&LIMITS) {
        Progress::Request(request) => Some(take(&request)),
        _ => None,
    }
}

/// What is made of it, as text; nothing if it is no request.
fn routed(method: &str, target: &str, fields: &str, body: &[u8]) -> Option<String> {
    let kinds = heartbeat_runtime::pipeline::kinds();
    let zones = zones::zones();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
    with_request(method, target, fields, body, |request| {
        let routed = route(request, &context);
        let only_asks = ["GET", "HEAD", "OPTIONS", "TRACE", "BREW"].contains(&method);
        match &routed {
            Routed::Answer(answer) => judge_answer(answer, method),
            Routed::Ask(question) => {
                assert!(matches!(method, "GET" | "HEAD"));
                judge_question(question);
            }
            Routed::Order(order, wait) => {
                assert!(!only_asks, "{method} changes something");
                assert_eq!(wait.is_some(), fields.starts_with("Prefer"));
                judge_order(order);
            }
            Routed::Reload => assert_eq!(method, "POST"),
            Routed::Backup(path) => {
                assert_eq!(method, "POST");
                assert!(path.is_absolute() && path.file_name().is_some());
            }
        }
        format!("{routed:?}")
    })
}

fn judge_answer(answer: &Rendered, method: &str) {
    let status = answer.status.code();
    if status == 204 {
        assert!(method == "OPTIONS" && answer.body.is_empty() && answer.allow.is_some());
        return;
    }
    assert!((400..500).contains(&status), "nothing is answered here but what is wrong: {status}");
    assert_eq!(answer.allow.is_some(), status == 405);
    let body: Json = serde_json::from_slice(&answer.body).expect("a problem is JSON");
    assert_eq!(body["status"], status);
    // What of the request it quotes is escaped by whoever shows it.
    let is_told = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(is_told("detail") && is_told("error"), "{body}");
    let known = ErrorCode::ALL.iter().any(|code| Some(code.as_str()) == body["error"].as_str());
    assert!(known && problem(ErrorCode::Conflict, "x").status.code() == 409);
}

fn judge_question(question: &Question) {
    match question {
        Question::Flows { limit, .. } => assert!((1..=limits::LIST_MAX).contains(limit)),
        Question::Runs(filter) => {
            assert!((1..=limits::LIST_MAX).contains(&filter.limit));
            assert!(filter.before.is_none_or(|id| id.0 > 0));
        }
        Question::Heartbeats(filter) => {
            assert!((1..=limits::LIST_MAX).contains(&filter.limit) && filter.before.is_none_or(|id| id > 0));
        }
        Question::Run(run) | Question::Output(run) => assert!(run.0 > 0),
        _ => {}
    }
}

fn judge_order(order: &Order) {
    match order {
        Order::Add(definitions) => {
            let mut names: Vec<&FlowName> = definitions.iter().map(|definition| &definition.name).collect();
            assert!((1..=limits::CONTROL_FLOW_FILES_MAX).contains(&names.len()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), definitions.len(), "a flow is defined once");
        }
        Order::Run { from: Some(from), .. } => assert!(from.starts_with('/') && !from.contains('\0')),
        Order::Cancel(run) => assert!(run.0 > 0),
        _ => {}
    }
}

/// The same target where people look on.
fn sight(method: &str, target: &str, fields: &str) {
    let everywhere = Allowlist::new(vec![parse_rule("127.0.0.0/8").expect("a rule")]);
    let viewers = Viewers::new(everywhere, Vec::new()).seeing_badges(true);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let see = |target: &str| {
        with_request(method, target, fields, b"", |request| match viewers.route(request, peer) {
            Ok(sight) => {
                assert!(matches!(method, "GET" | "HEAD" | "OPTIONS"), "{method}");
                assert_eq!(matches!(sight, Sight::Options(_)), method == "OPTIONS");
                Some(sight)
            }
            Err(denial) => {
                assert!((400..=501).contains(&denial.code.status().code()) && !denial.detail.is_empty());
                None
            }
        })
        .flatten()
    };
    let Some(Sight::Page(page)) = see(target) else { return };
    match &page {
        // A page links to itself: what it was asked is what it asks again.
        Page::Flows(query) => {
            let link = query.to_string();
            assert_eq!(see(&link), Some(Sight::Page(page.clone())), "{link}");
        }
        Page::Run(run) => assert!(run.0 > 0),
        _ => {}
    }
}
