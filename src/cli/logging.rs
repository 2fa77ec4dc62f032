//! Log lines on standard error: text for people and journald, or one JSON object a line.

use env_logger::fmt::Formatter;
use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Record};
use std::io::{self, Write};

use super::output::printable;
use crate::config::LogFormat;

/// Starts logging. Called once, before anything is logged.
pub(super) fn start(level: LevelFilter, format: LogFormat) {
    let mut builder = env_logger::Builder::new();
    // The level is `log`'s own, so that a reload can change it.
    builder.filter_level(LevelFilter::Trace).format(match format {
        LogFormat::Text => text,
        LogFormat::Json => json,
    });
    // Only a second start fails, and then lines go where the first one sends them.
    let _started_before = builder.try_init();
    log::set_max_level(level);
}

fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut line = format!("{} {:<5} {}", now(), record.level(), printable(&record.args().to_string()));
    let visited = record.key_values().visit(&mut Text(&mut line));
    debug_assert!(visited.is_ok(), "writing to a string does not fail");
    writeln!(out, "{line}")
}

fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), now().into());
    object.insert("level".to_owned(), record.level().as_str().to_lowercase().into());
    object.insert("message".to_owned(), record.args().to_string().into());
    let visited = record.key_values().visit(&mut Json(&mut object));
    debug_assert!(visited.is_ok(), "writing to a map does not fail");
    writeln!(out, "{}", serde_json::Value::Object(object))
}

fn now() -> String {
    crate::server::now().rfc3339()
}

struct Text<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Text<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = value.to_string();
        let plain = !value.is_empty()
            && value.chars().all(|character| character.is_ascii_graphic() && character != '"');
        let value = if plain { value } else { format!("{value:?}") };
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}

struct Json<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Json<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let number = value.to_i64().map(serde_json::Value::from);
        let flag = value.to_bool().map(serde_json::Value::from);
        let value = number.or(flag).unwrap_or_else(|| value.to_string().into());
        self.0.insert(key.as_str().to_owned(), value);
        Ok(())
    }
}
