//! `[source]` of the type `http`.

use super::http_keys::{self, blank_target, check_target, target_keys};
use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::{Node, Raw};
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::{Kind, Wrong, collected, milliseconds, text};
use crate::flow::{HttpFormat, HttpSource, JsonRpcCall, NextPage, SourceSettings};
use crate::limits;

pub(super) const CONNECTOR: Connector<SourceSettings> =
    Connector { name: "http", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SourceSettings> {
    let mut http = HttpSource {
        target: blank_target(),
        format: HttpFormat::default(),
        pointer: None,
        next: None,
        json_rpc: None,
    };
    let is_right = judge.read_table(KEYS, "source", node, &mut http);
    let has_own_fields = check_target(&http.target, "source", judge);
    let fits = check_parts(&http, judge);
    (is_right && has_own_fields && fits).then_some(SourceSettings::Http(http))
}

/// Tells of keys that get in each other's way. Whether none does.
fn check_parts(http: &HttpSource, judge: &mut Judge<'_>) -> bool {
    let faults = judge.faults.len();
    if http.format == HttpFormat::Jsonl {
        let help = "remove one of the two: lines are no document";
        for (key, is_set) in [("pointer", http.pointer.is_some()), ("json_rpc", http.json_rpc.is_some())] {
            if is_set {
                judge.fault_of(&format!("source.{key}"), "stands beside format = \"jsonl\"", help);
            }
        }
        if matches!(http.next, Some(NextPage::Value { .. })) {
            let help = "lines are no document: write next = \"link\", or format = \"json\"";
            judge.fault_of("source.next", "points into a document, and format = \"jsonl\"", help);
        }
    }
    let is_document = http.format == HttpFormat::Json && http.json_rpc.is_none();
    if is_document && http.pointer.is_none() && matches!(http.next, Some(NextPage::Value { .. })) {
        let help = "give the place of the records too, such as pointer = \"/data\"; pointer = \"\" if each page is one record";
        judge.fault_of("source.next", "points into a document that without pointer is one record", help);
    }
    if let Some(call) = &http.json_rpc {
        match &http.next {
            None => {}
            Some(NextPage::Value { parameter: Some(_), .. }) if !call.params.is_array() => {}
            Some(NextPage::Value { parameter: Some(_), .. }) => {
                let help = "give params as a table, into which the parameter goes by its name";
                judge.fault_of("source.json_rpc", "has a list of params, and next names a parameter", help);
            }
            Some(_) => {
                let help = "name the parameter of the next call, such as next = { pointer = \"/next\", parameter = \"cursor\" }";
                judge.fault_of("source.next", "names a URL, and all calls go to one", help);
            }
        }
    }
    faults == judge.faults.len()
}

static KEYS: &[Key<HttpSource>] = target_keys!(
    "source",
    [Key {
        path: "source.type",
        kind: Kind::Word { set: |_, _| {}, words: &["http"] },
        presence: Presence::Required(r#""http""#),
        doc: "Where records come from. \"http\": the answer of a server.",
    },],
    [
        Key {
            path: "source.format",
            kind: Kind::Word {
                set: |source, word| {
                    source.format = if word == "jsonl" { HttpFormat::Jsonl } else { HttpFormat::Json };
                },
                words: &["json", "jsonl"],
            },
            presence: Presence::Default(r#""json""#),
            doc: "What an answer is: a JSON document with an array of records or one record, or a JSON object a line.",
        },
        Key {
            path: "source.pointer",
            kind: Kind::Own {
                read: |value, _, source| {
                    pointer(value).map(|found| source.pointer = Some(found)).map_err(|wrong| vec![wrong])
                },
                right: "a JSON pointer",
            },
            presence: Presence::Optional(r#""/data/readings""#),
            doc: "Where in the document the records stand (RFC 6901).",
        },
        Key {
            path: "source.next",
            kind: Kind::Own {
                read: |value, _, source| next(value).map(|found| source.next = Some(found)),
                right: "how an answer names the page after it",
            },
            presence: Presence::Optional(r#"{ pointer = "/meta/next", parameter = "cursor" }"#),
            doc: "How an answer names the page after it: \"link\" (RFC 8288), or a value of the document, which becomes a \
                  parameter; without parameter it is a URL.",
        },
        Key {
            path: "source.json_rpc",
            kind: Kind::Own {
                read: |value, _, source| json_rpc(value).map(|found| source.json_rpc = Some(found)),
                right: "a table of method and params",
            },
            presence: Presence::Optional(r#"{ method = "readings.list", params = { sensor = "door" } }"#),
            doc: "Asks by calling a method (JSON-RPC 2.0); the records are in its result.",
        },
    ]
);

/// A JSON pointer (RFC 6901): empty, or parts that each begin with a slash, in which `~` is written `~0` and `/` is `~1`.
fn pointer(value: &Raw) -> Result<String, Wrong> {
    let pointer = text(value, limits::URL_BYTES_MAX)?;
    let wrong = |message: String| {
        let help = "give the names on the way, each behind a slash, such as \"/data/readings\"; in a name ~ is ~0 and / is ~1";
        Wrong::with_help(message, help.to_owned())
    };
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(wrong("does not begin with a slash".to_owned()));
    }
    match pointer.split('~').skip(1).all(|behind| behind.starts_with(['0', '1'])) {
        true => Ok(pointer),
        false => Err(wrong("has a ~ that is followed by neither 0 nor 1".to_owned())),
    }
}

fn next(value: &Raw) -> Result<NextPage, Vec<Wrong>> {
    let right = "give next = \"link\", or next = { pointer = \"/meta/next\", parameter = \"cursor\" }";
    let table = match value {
        Raw::Text(word) if word == "link" => return Ok(NextPage::Link),
        Raw::Table(table) => table,
        other => {
            let message = format!("{} is neither \"link\" nor a table", other.described());
            return Err(vec![Wrong::with_help(message, right.to_owned())]);
        }
    };
    let (mut found, mut parameter) = (None, None);
    let read: Result<Vec<()>, _> = collected(table.iter().map(|(key, node)| {
        let read = match key.as_str() {
            "pointer" => pointer(&node.value).map(|pointer| found = Some(pointer)),
            "parameter" => values::name(&node.value).map(|name| parameter = Some(name)),
            _ => Err(values::unknown(key, &["pointer", "parameter"])),
        };
        read.map_err(|wrong| wrong.below(key, node.line))
    }));
    read?;
    match found {
        Some(pointer) => Ok(NextPage::Value { pointer, parameter }),
        None => Err(vec![Wrong::with_help("is missing".to_owned(), right.to_owned()).below("pointer", None)]),
    }
}

fn json_rpc(value: &Raw) -> Result<JsonRpcCall, Vec<Wrong>> {
    let (mut method, mut params) = (None, serde_json::Value::Null);
    let read: Result<Vec<()>, _> = collected(values::table(value)?.iter().map(|(key, node)| {
        let read = match key.as_str() {
            "method" => values::name(&node.value).map(|name| method = Some(name)),
            "params" => parameters(&node.value).map(|found| params = found),
            _ => Err(values::unknown(key, &["method", "params"])),
        };
        read.map_err(|wrong| wrong.below(key, node.line))
    }));
    read?;
    let help = "name the method, such as json_rpc = { method = \"readings.list\" }";
    let missing = || vec![Wrong::with_help("is missing".to_owned(), help.to_owned()).below("method", None)];
    Ok(JsonRpcCall { method: method.ok_or_else(missing)?, params })
}

fn parameters(value: &Raw) -> Result<serde_json::Value, Wrong> {
    match value {
        Raw::Table(_) | Raw::List(_) => value.to_json().map_err(|message| {
            Wrong::with_help(message, "give numbers that are finite and have 64 bits".to_owned())
        }),
        other => {
            let help = "give a table of names and values, or a list of values".to_owned();
            Err(Wrong::with_help(format!("{} is neither a table nor a list", other.described()), help))
        }
    }
}
