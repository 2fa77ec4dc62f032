//! `docs/openapi.json` and the control socket hold each other: every route and parameter is described and there, and what
//! a real daemon answers to requests good and bad is what is described.
#![expect(clippy::expect_used, clippy::panic, reason = "test code: what goes wrong here fails the test")]

mod schema;
#[path = "../support/mod.rs"]
mod support;

use heartbeat_runtime::control::ROUTES;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use support::operator::Operator;
use support::wire::{Answer, read_answer};
use support::{EdgeBox, until};

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";
const METHODS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

fn document() -> Value {
    serde_json::from_str(include_str!("../../docs/openapi.json")).expect("the description is JSON")
}

/// Method, path and description of each operation.
fn operations(document: &Value) -> Vec<(String, &str, &Value)> {
    let paths = document["paths"].as_object().expect("there are paths").iter();
    paths
        .flat_map(|(path, item)| {
            let item = item.as_object().expect("a path has operations").iter();
            item.map(move |(method, operation)| {
                assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
                (method.to_ascii_uppercase(), path.as_str(), operation)
            })
        })
        .collect()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let document = document();
    let described: BTreeMap<(String, &str), BTreeSet<&str>> = operations(&document)
        .into_iter()
        .map(|(method, path, operation)| {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let parameters = parameters.map(|parameter| schema::resolve(&document, parameter));
            let in_query = parameters.filter(|parameter| parameter["in"] == "query");
            let names = in_query.filter_map(|parameter| parameter["name"].as_str()).collect();
            ((method, path), names)
        })
        .collect();
    let known: BTreeMap<(String, &str), BTreeSet<&str>> = ROUTES
        .iter()
        .flat_map(|route| {
            route.operations.iter().map(|operation| {
                let names = operation.parameters.iter().copied().collect();
                ((operation.method.as_str().to_owned(), route.path), names)
            })
        })
        .collect();
    assert_eq!(described, known);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let ids: BTreeSet<_> =
        operations(&document).iter().map(|(_, _, it)| it["operationId"].to_string()).collect();
    assert_eq!(ids.len(), known.len(), "each has an id of its own");
}

/// Every object with members anywhere in the document, by its place.
fn for_each(place: &str, value: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(place, value);
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, it)| for_each(&format!("{place}/{name}"), it, look));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, it)| for_each(&format!("{place}/{index}"), it, look));
        }
        _ => {}
    }
}

#[test]
fn its_schemas_are_closed_and_its_examples_are_right() {
    let document = document();
    let mut wrong = Vec::new();
    let mut examples = 0;
    for_each("", &document, &mut |place, found| {
        if found["properties"].is_object() && found["additionalProperties"] != false {
            wrong.push(format!("{place} is open"));
        }
        let Some(schema) = found.get("schema") else { return };
        let named = found["examples"].as_object().into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in named.chain(found.get("example")) {
            examples += 1;
            let complaints = schema::complaints(&document, schema, example);
            wrong.extend(complaints.iter().map(|complaint| format!("{place}: {complaint}")));
        }
        if place.contains("/application~json") {
            assert!(found.get("example").or(found.get("examples")).is_some(), "{place} has no example");
        }
    });
    assert!(examples > 30, "the examples were found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn these_checks_see_what_they_look_for() {
    let document = document();
    let schema = &document["components"]["schemas"]["Cursor"];
    let complaints = |value: Value| schema::complaints(&document, schema, &value).len();
    assert_eq!(complaints(json!({"flow": "x", "cursor": [1]})), 0);
    assert_eq!(complaints(json!({"flow": "X", "cursor": 1})), 1, "a pattern");
    assert_eq!(complaints(json!({"flow": "x"})), 1, "a member is missing");
    assert_eq!(complaints(json!({"flow": "x", "cursor": 1, "more": 1})), 1, "a member is not described");
    assert_eq!(complaints(json!([])), 1, "a type");
}

/// A daemon that is asked, and what was answered so far.
struct Asked<'a> {
    document: &'a Value,
    edge_box: &'a EdgeBox,
    seen: BTreeSet<(String, u16)>,
    wrong: Vec<String>,
}

impl Asked<'_> {
    /// One request in its whole text on a connection of its own.
    fn raw(&mut self, method: &str, path: &str, request: &str) -> Answer {
        let mut operator = Operator::of(self.edge_box);
        // What is refused at its head may be answered before all of it is sent.
        let _sent = operator.stream.write_all(request.as_bytes());
        let answer = read_answer(&mut operator.stream).expect("an answer comes");
        self.judge(method, path, &answer);
        answer
    }

    /// One request; `path` is the route's, and `target` what is asked for.
    fn ask(&mut self, method: &str, path: &str, target: &str, body: &str) -> Answer {
        let fields = format!("Prefer: wait=20\r\nContent-Length: {}", body.len());
        let request = format!("{method} {target} HTTP/1.1\r\nHost: box\r\n{fields}\r\n\r\n{body}");
        let answer = self.raw(method, path, &request);
        self.hold_content_against_its_schema(method, path, body, &answer);
        answer
    }

    fn judge(&mut self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.document["paths"][path][method.to_ascii_lowercase()];
        let responses = &operation["responses"];
        let Some(described) = responses.get(answer.status.to_string()) else {
            return self.wrong.push(format!("{method} {path}: {} is not described", answer.status));
        };
        let described = schema::resolve(self.document, described);
        self.seen.insert((operation["operationId"].as_str().unwrap_or("").to_owned(), answer.status));
        for field in ["Preference-Applied", "Retry-After", "Allow"] {
            if answer.field(field).is_some() && described["headers"].get(field).is_none() {
                self.wrong.push(format!("{method} {path}: {} with {field} is not described", answer.status));
            }
        }
        let Some(content_type) = answer.field("Content-Type") else {
            if described.get("content").is_some() {
                self.wrong.push(format!("{method} {path}: {} has no content", answer.status));
            }
            return;
        };
        let Some(media) = described["content"].get(content_type) else {
            return self.wrong.push(format!("{method} {path}: {content_type} is not described"));
        };
        let value = match content_type {
            "text/plain; charset=utf-8" => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
            _ => answer.json(),
        };
        for complaint in schema::complaints(self.document, &media["schema"], &value) {
            self.wrong.push(format!("{method} {path}: {}: {complaint}", answer.status));
        }
    }

    /// What the description refuses is refused, and what it allows is not refused as malformed.
    fn hold_content_against_its_schema(&mut self, method: &str, path: &str, body: &str, answer: &Answer) {
        let described = &self.document["paths"][path][method.to_ascii_lowercase()]["requestBody"];
        let Some(schema) = described.pointer("/content/application~1json/schema") else { return };
        let is_right = match serde_json::from_str(body) {
            Ok(value) => schema::complaints(self.document, schema, &value).is_empty(),
            Err(_) => body.is_empty() && described["required"] == false,
        };
        // Only the source knows what its cursors look like.
        let may_be_wrong = path.ends_with("/cursor");
        if is_right == (answer.status == 400) && !(is_right && may_be_wrong) {
            self.wrong.push(format!("{method} {path}: {body} is right: {is_right}, but {}", answer.status));
        }
    }
}

fn filled(path: &str) -> String {
    path.replace("{name}", "quick").replace("{id}", "1")
}

fn posted(name: &str, text: &str) -> String {
    json!({ "files": [{ "path": format!("/media/{name}.toml"), "text": text }] }).to_string()
}

const FLOW: &str = "run_interval = \"1h\"\n[command]\nargv = [\"true\"]\n";

/// A box with flows that are quick and slow, and pipelines that are whole and broken.
fn prepared() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nwait = \"20s\"\nhead_timeout = \"1m\"\n");
    let calendar = "at = \"02:30\"\ntime_zone = \"Europe/Berlin\"\nonly_between = [\"01:00\", \"05:00:30\"]\nspread = \"10m\"\n\
        leftovers = \"leave\"\nkill_grace = \"1s\"\nrerun_interrupted = true\nretry = { attempts = 2 }";
    edge_box.script("all-keys", calendar, "exit 3");
    edge_box.script("quick", "description = \"does little\"", "echo hello");
    edge_box.script("slow", "", UNTIL_TOLD);
    edge_box.write("in.jsonl", "{\"n\":1}\n");
    let pipeline = |sink: &str| {
        let source = edge_box.path("in.jsonl");
        format!("[source]\ntype = \"file\"\npath = \"{}\"\n[sink]\n{sink}\n", source.display())
    };
    let out = edge_box.path("out.jsonl");
    edge_box.flow("moves", &pipeline(&format!("type = \"file\"\npath = \"{}\"", out.display())));
    let nowhere = edge_box.path("nowhere/x.db");
    let broken = format!("type = \"sqlite\"\ndatabase = \"{}\"\ntable = \"x\"", nowhere.display());
    edge_box.flow("broken", &pipeline(&broken));
    edge_box.write("flows/bad.toml", "run_interval = 0\n");
    edge_box
}

const BODIES: [&str; 14] = [
    "",
    "{}",
    "[]",
    "null",
    "1",
    "{",
    "{\"more\":1}",
    "{\"held\":1}",
    "[true]",
    "{\"from\":\"x\"}",
    "{\"file\":\"x\"}",
    "{\"file\":\"/x/\"}",
    "{\"files\":[]}",
    "{\"files\":[{\"path\":\"x\",\"text\":\"\"}]}",
];

/// What can be wrong with any request, and 503.
fn go_wrong(asked: &mut Asked<'_>) {
    for (method, path, _) in operations(asked.document) {
        let target = filled(path);
        let long = "x".repeat(20_000);
        for head in [
            format!("{method} {target}?bogus=1 HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n\r\n"),
            format!("{method} {target} HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
            format!("{method} {target} HTTP/1.1\r\nHost: box\r\nContent-Length: 2000000\r\n\r\n"),
            format!("{method} {target}?{long} HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n\r\n"),
            format!(
                "{method} {target} HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n"
            ),
            format!("{method} {target} HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\nExpect: cake\r\n\r\n"),
            format!("{method} {target} HTTP/1.1\r\nHost: box\r\nX: {long}\r\n\r\n"),
            format!("{method} {target} HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: gzip\r\n\r\n"),
            format!("{method} {target} HTTP/2.0\r\nHost: box\r\n\r\n"),
        ] {
            let answer = asked.raw(&method, path, &head);
            assert!(answer.status >= 400, "{head}: {answer:?}");
        }
        if ["POST", "PUT", "PATCH"].contains(&method.as_str()) {
            let answer =
                asked.raw(&method, path, &format!("{method} {target} HTTP/1.1\r\nHost: box\r\n\r\n"));
            assert_eq!(answer.status, 411, "{method} {path}");
        }
    }
    let mut busy = Vec::new();
    for (method, path, _) in operations(asked.document) {
        // One whose part of a request has not been read yet makes room for another.
        until("there is no room", || {
            let answer = Operator::of(asked.edge_box).try_ask("GET /status", "", "");
            let is_full = answer.is_ok_and(|answer| answer.status == 503 && answer.error() == "overloaded");
            if !is_full {
                let mut operator = Operator::of(asked.edge_box);
                operator.stream.write_all(b"GET /status HT").expect("send a part");
                busy.push(operator);
            }
            is_full
        });
        let request = format!("{method} {} HTTP/1.1\r\nHost: box\r\n\r\n", filled(path));
        let answer = asked.raw(&method, path, &request);
        assert_eq!(answer.status, 503);
        assert!(answer.field("Retry-After").is_some(), "{answer:?}");
    }
    drop(busy);
    // The daemon sees that they are gone in a round of its own: until then it refuses what comes next.
    until("there is room again", || {
        let answer = Operator::of(asked.edge_box).try_ask("GET /status", "", "");
        answer.is_ok_and(|answer| answer.status == 200)
    });
}

/// What there is, and what there is not.
fn read(asked: &mut Asked<'_>) {
    for (path, targets) in [
        ("/flows", &["/flows", "/flows?limit=1", "/flows?before=slow", "/flows?before=none"][..]),
        ("/flows/{name}", &["/flows/all-keys", "/flows/moves", "/flows/none", "/flows/%zz"]),
        ("/flows/{name}/cursor", &["/flows/moves/cursor", "/flows/quick/cursor", "/flows/none/cursor"]),
        (
            "/flows/{name}/runs",
            &["/flows/all-keys/runs?limit=1", "/flows/none/runs", "/flows/slow/runs?limit=0"],
        ),
        (
            "/heartbeats",
            &["/heartbeats", "/heartbeats?limit=1", "/heartbeats?agent=x", "/heartbeats?before=0"],
        ),
        ("/runs", &["/runs", "/runs?limit=1", "/runs?status=failed&before=7", "/runs?status=x"]),
        ("/runs/{id}", &["/runs/1", "/runs/2", "/runs/3", "/runs/4", "/runs/999", "/runs/x"]),
        ("/runs/{id}/output", &["/runs/1/output", "/runs/999/output"]),
        ("/status", &["/status", "/status?x=y"]),
    ] {
        for target in targets {
            asked.ask("GET", path, target, "");
        }
    }
}

fn change(asked: &mut Asked<'_>) {
    for (path, body) in [
        ("/flows", posted("new", FLOW)),
        ("/flows", posted("new", FLOW)),
        ("/flows", posted("quick", FLOW)),
        ("/flows", posted("bad", "run_interval = 0\n")),
        ("/backup", json!({"file": asked.edge_box.path("copy.db")}).to_string()),
        ("/backup", json!({"file": asked.edge_box.path("nowhere/copy.db")}).to_string()),
        ("/reload", String::new()),
    ] {
        asked.ask("POST", path, path, &body);
    }
    for (method, path, targets, bodies) in [
        (
            "PATCH",
            "/flows/{name}",
            &["/flows/new", "/flows/none"][..],
            &["{\"held\":true}", "{\"held\":false}"][..],
        ),
        (
            "PUT",
            "/flows/{name}/cursor",
            &["/flows/moves/cursor", "/flows/quick/cursor", "/flows/broken/cursor", "/flows/none/cursor"],
            &["{\"cursor\":null}", "{\"cursor\":7}"],
        ),
        ("POST", "/flows/{name}/runs", &["/flows/quick/runs", "/flows/none/runs"], &["", "{\"from\":null}"]),
        ("POST", "/flows/{name}/runs", &["/flows/moves/runs"], &["{\"from\":\"/none\"}", "{}"]),
        ("POST", "/runs/{id}/cancel", &["/runs/1/cancel", "/runs/999/cancel", "/runs/x/cancel"], &["", "{}"]),
        ("DELETE", "/flows/{name}", &["/flows/quick", "/flows/new", "/flows/new"], &[""]),
    ] {
        for target in targets {
            for body in bodies {
                asked.ask(method, path, target, body);
            }
        }
    }
    let run = Operator::of(asked.edge_box).ask("POST /flows/slow/runs").json()["id"].clone();
    asked.ask("GET", "/runs/{id}", &format!("/runs/{run}"), "");
    asked.ask("POST", "/runs/{id}/cancel", &format!("/runs/{run}/cancel"), "");
    asked.edge_box.configure("listen = 7\n");
    asked.ask("POST", "/reload", "/reload", "{}");
}

#[test]
fn what_a_daemon_answers_is_what_is_described() {
    let (document, edge_box) = (document(), prepared());
    let daemon = edge_box.start();
    edge_box.write("go", "");
    assert!(daemon.beat_and_wait().count("flows_triggered") >= 4);
    std::fs::remove_file(edge_box.path("go")).expect("let the slow one be slow");
    let mut asked =
        Asked { document: &document, edge_box: &edge_box, seen: BTreeSet::new(), wrong: Vec::new() };
    read(&mut asked);
    for (method, path, operation) in operations(&document) {
        for body in BODIES.iter().filter(|_| operation["requestBody"].is_object()) {
            asked.ask(&method, path, &filled(path), body);
        }
    }
    go_wrong(&mut asked);
    change(&mut asked);
    // A request that does not arrive in time, and a fault of this program, cannot be had from each of them here.
    let elsewhere = [408, 500];
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an operation has an id");
        for status in operation["responses"].as_object().expect("there are responses").keys() {
            let status: u16 = status.parse().expect("a status is a number");
            if !elsewhere.contains(&status) && !asked.seen.contains(&(id.to_owned(), status)) {
                asked.wrong.push(format!("{method} {path}: {status} is described and was never seen"));
            }
        }
    }
    assert!(asked.wrong.is_empty(), "\n{}", asked.wrong.join("\n"));
}
