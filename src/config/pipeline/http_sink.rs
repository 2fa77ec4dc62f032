//! `[sink]` of the type `http`.

use super::http_keys::{self, target_keys};
use super::{Connector, described, paths_of, values};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::{Kind, milliseconds};
use crate::flow::{HttpFormat, HttpSink, OnRejection, SinkSettings};
use crate::limits;

pub(super) const CONNECTOR: Connector<SinkSettings> =
    Connector { name: "http", read, paths: || paths_of(KEYS), described: || described(KEYS) };

/// Fields that the sink sets itself, whatever its settings.
const OWN_FIELDS: [&str; 1] = ["Idempotency-Key"];
/// Fields that it sets where it signs (Standard Webhooks).
const SIGNATURE_FIELDS: [&str; 3] = ["webhook-id", "webhook-timestamp", "webhook-signature"];

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SinkSettings> {
    let mut http = HttpSink {
        target: http_keys::blank_target(),
        format: HttpFormat::default(),
        method: None,
        secret_file: None,
        on_rejection: OnRejection::default(),
    };
    let is_right = judge.read_table(KEYS, "sink", node, &mut http);
    let fields_are_right = http_keys::check_target(&http.target, "sink", judge) && check_fields(&http, judge);
    let method_is_right = check_method(&http, judge);
    (is_right && fields_are_right && method_is_right).then_some(SinkSettings::Http(http))
}

/// Tells of a method that is missing or that nothing calls. Whether it is neither.
fn check_method(http: &HttpSink, judge: &mut Judge<'_>) -> bool {
    let (path, message, help) = match (http.format, judge.place("sink.method")) {
        (HttpFormat::JsonRpc, None) if !judge.is_broken() => (
            "sink.format",
            "is \"json-rpc\", and there is no method to call",
            "name the method that takes records, such as method = \"readings.add\" under [sink]",
        ),
        (HttpFormat::Json | HttpFormat::Jsonl, Some(_)) => (
            "sink.method",
            "is of JSON-RPC, which the format is not",
            "remove it, or write format = \"json-rpc\"; batches go by POST",
        ),
        _ => return true,
    };
    judge.fault_of(path, message, help);
    false
}

/// Tells of a field that the sink sets itself. Whether there is none.
fn check_fields(http: &HttpSink, judge: &mut Judge<'_>) -> bool {
    let signature: &[&str] = if http.secret_file.is_some() { &SIGNATURE_FIELDS } else { &[] };
    let is_own =
        |name: &&String| OWN_FIELDS.iter().chain(signature).any(|own| name.eq_ignore_ascii_case(own));
    let in_headers = http.target.headers.keys().find(is_own);
    let in_files = http.target.header_files.keys().find(is_own);
    let found = in_headers.map(|name| ("sink.headers", name));
    let Some((path, name)) = found.or(in_files.map(|name| ("sink.header_files", name))) else { return true };
    judge.fault_of(
        path,
        format!("names {name}, which is the batch's own"),
        "leave it out: it is set for each batch",
    );
    false
}

static KEYS: &[Key<HttpSink>] = target_keys!(
    "sink",
    [Key {
        path: "sink.type",
        kind: Kind::Word { set: |_, _| {}, words: &["http"] },
        presence: Presence::Required(r#""http""#),
        doc: "Where records go. \"http\": a server that takes each batch by POST, and knows it by its Idempotency-Key.",
    },],
    [
        Key {
            path: "sink.format",
            kind: Kind::Word {
                set: |sink, word| {
                    sink.format = match word {
                        "jsonl" => HttpFormat::Jsonl,
                        "json-rpc" => HttpFormat::JsonRpc,
                        _ => HttpFormat::Json,
                    };
                },
                words: &["json", "jsonl", "json-rpc"],
            },
            presence: Presence::Default(r#""json""#),
            doc: "What a batch is: \"json\", an array of records; \"jsonl\", a record a line; \"json-rpc\", a call of method \
                  with the parameter records.",
        },
        Key {
            path: "sink.method",
            kind: Kind::Own {
                read: |value, _, sink: &mut HttpSink| {
                    values::name_into(value, |name| sink.method = Some(name))
                },
                right: "the name of a method",
            },
            presence: Presence::Optional(r#""readings.add""#),
            doc: "The method of JSON-RPC 2.0 that takes records; \"json-rpc\" needs it.",
        },
        Key {
            path: "sink.secret_file",
            kind: Kind::Own {
                read: |value, base, sink: &mut HttpSink| {
                    values::file(value, base)
                        .map(|path| sink.secret_file = Some(path))
                        .map_err(|wrong| vec![wrong])
                },
                right: "the path of a file",
            },
            presence: Presence::Optional(r#""receiver.secret""#),
            doc: "A file that only you can read, with the secret (whsec_…) that each request is signed with as Standard \
                  Webhooks says.",
        },
        Key {
            path: "sink.on_rejection",
            kind: Kind::Word {
                set: |sink, word| {
                    sink.on_rejection =
                        if word == "fail" { OnRejection::Fail } else { OnRejection::DeadLetter };
                },
                words: &["dead-letter", "fail"],
            },
            presence: Presence::Default(r#""dead-letter""#),
            doc: "What becomes of a batch that the server refuses (400, 413, 422, …): \"dead-letter\" puts its records there and \
                  goes on; \"fail\" keeps it, fails the run and sends it again with the next.",
        },
    ]
);
