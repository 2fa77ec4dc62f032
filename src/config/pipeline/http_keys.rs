//! The keys of sources and sinks that speak HTTP: whom they ask, and with which fields.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::values;
use crate::config::document::{Node, Raw};
use crate::config::key::Judge;
use crate::config::kind::{Wrong, collected, text};
use crate::flow::HttpTarget;
use crate::http::client::{Scheme, Url, check_field};
use crate::limits;

/// The keys of whom a request goes to, in this table, between others. What they are read into has a `target`.
macro_rules! target_keys {
    ($table:literal, [$($first:expr,)*], [$($last:expr,)*]) => {
        &[
            $($first,)*
            Key {
                path: concat!($table, ".url"),
                kind: Kind::Own {
                    read: |value, _, to| http_keys::url(value).map(|url| to.target.url = url).map_err(|wrong| vec![wrong]),
                    right: "an absolute http URL",
                },
                presence: Presence::Required(r#""http://192.168.1.20/readings""#),
                doc: "Whom to ask. No user and no fragment: credentials belong in header_files.",
            },
            Key {
                path: concat!($table, ".headers"),
                kind: Kind::Own {
                    read: |value, _, to| http_keys::headers(value).map(|found| to.target.headers = found),
                    right: "a table of fields and texts",
                },
                presence: Presence::Optional(r#"{ Accept = "application/json" }"#),
                doc: "Fields of each request.",
            },
            Key {
                path: concat!($table, ".header_files"),
                kind: Kind::Own {
                    read: |value, base, to| {
                        http_keys::header_files(value, base).map(|found| to.target.header_files = found)
                    },
                    right: "a table of fields and paths",
                },
                presence: Presence::Optional(r#"{ Authorization = "token" }"#),
                doc: "Fields whose values stand in files that only you can read: read at each request, never stored or shown.",
            },
            Key {
                path: concat!($table, ".timeout"),
                kind: Kind::Duration {
                    set: |to, timeout| to.target.timeout_ms = milliseconds(timeout),
                    min: limits::EXCHANGE_TIMEOUT_MIN,
                    max: limits::EXCHANGE_TIMEOUT_MAX,
                },
                presence: Presence::Default(r#""30s""#),
                doc: "From the begin of a request to its whole answer.",
            },
            Key {
                path: concat!($table, ".follow_redirects"),
                kind: Kind::Boolean(|to, follow| to.target.follow_redirects = follow),
                presence: Presence::Default("false"),
                doc: "Whether an answer may send us elsewhere; to another server without any of the fields.",
            },
            $($last,)*
        ]
    };
}
pub(super) use target_keys;

/// What the keys are read into.
pub(super) fn blank_target() -> HttpTarget {
    HttpTarget {
        url: String::new(),
        headers: BTreeMap::new(),
        header_files: BTreeMap::new(),
        timeout_ms: crate::config::kind::milliseconds(limits::EXCHANGE_TIMEOUT_DEFAULT),
        follow_redirects: false,
    }
}

/// Tells of a field that is given both ways. Whether none is.
pub(super) fn check_target(target: &HttpTarget, table: &str, judge: &mut Judge<'_>) -> bool {
    let is_header = |file: &&String| target.headers.keys().any(|name| name.eq_ignore_ascii_case(file));
    let Some(name) = target.header_files.keys().find(is_header) else { return true };
    let message = format!("names {}, which stands in headers as well", name.escape_debug());
    judge.fault_of(&format!("{table}.header_files"), message, "keep one of the two");
    false
}

/// Whom to ask. No message repeats it, as its query may hold a secret.
pub(in crate::config) fn url(value: &Raw) -> Result<String, Wrong> {
    let text = text(value, usize::MAX)?;
    match Url::parse(&text).map(|url| url.scheme()) {
        Ok(Scheme::Http) => Ok(text),
        Ok(Scheme::Https) => {
            let message = "https needs a build with TLS, which there is not yet";
            Err(Wrong::with_help(message.to_owned(), "http would be right".to_owned()))
        }
        Err(why) => Err(why.into()),
    }
}

/// Fields and their values, which may be secrets: no message repeats one.
pub(super) fn headers(value: &Raw) -> Result<BTreeMap<String, String>, Vec<Wrong>> {
    fields(value, |name, node| {
        let Raw::Text(value) = &node.value else {
            let help = format!("write it as text: {} = \"…\"", name.escape_debug());
            return Err(Wrong::with_help("is not text".to_owned(), help));
        };
        check_field(name, value)?;
        Ok(value.clone())
    })
}

/// Fields and the files that hold their values.
pub(super) fn header_files(value: &Raw, base: &Path) -> Result<BTreeMap<String, PathBuf>, Vec<Wrong>> {
    fields(value, |name, node| {
        check_field(name, "")?;
        values::file(&node.value, base)
    })
}

fn fields<V>(
    value: &Raw,
    read: impl Fn(&str, &Node) -> Result<V, Wrong>,
) -> Result<BTreeMap<String, V>, Vec<Wrong>> {
    let table = values::table(value)?;
    if table.len() > limits::EXCHANGE_FIELDS_MAX {
        let (count, most) = (table.len(), limits::EXCHANGE_FIELDS_MAX);
        let help = format!("give {most} at most");
        return Err(vec![Wrong::with_help(format!("has {count} fields, more than {most}"), help)]);
    }
    if let Some(name) = values::repeated(table.iter().map(|(name, _)| name.as_str())) {
        let message = "is there twice: fields take no note of capitals".to_owned();
        return Err(vec![Wrong::with_help(message, "remove one of the two".to_owned()).below(name, None)]);
    }
    collected(table.iter().map(|(name, node)| {
        let value = read(name, node).map_err(|wrong| wrong.below(name, node.line))?;
        Ok((name.clone(), value))
    }))
}
