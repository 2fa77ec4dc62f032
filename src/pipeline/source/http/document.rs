//! What an answer holds: the document, what a pointer leads to in it, and the records there. Values are passed on as they
//! are written, so that numbers and texts go through unchanged.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

use super::super::jsonl::{self, Text};
use super::super::lines::{BYTE_ORDER_MARK, Why, malformed};
use crate::limits;
use crate::pipeline::record::Yielded;
use crate::pipeline::{Failure, Result};

/// Names of members that a message lists.
const MEMBERS_SHOWN: usize = 8;

/// What a pointer leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way<'a> {
    /// A value, as it is written.
    Value(&'a str),
    /// Nothing: what is there instead.
    Nowhere(String),
}

/// A document that is JSON to its end.
pub(super) fn parsed(body: &[u8]) -> Result<&str, String> {
    let right = "a JSON document would be right";
    let text = std::str::from_utf8(body)
        .map_err(|error| format!("it is not UTF-8 at byte {}; {right}", error.valid_up_to() + 1))?;
    if text.trim_ascii().is_empty() {
        return Err(format!("it is empty; {right}"));
    }
    let document: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}; {right}"))?;
    Ok(document.get())
}

/// What an answer holds, without a byte order mark before it (RFC 8259 section 8.1).
pub(super) fn content(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// Whether lines end where one of them ends: what is cut short is no record, and the rest of it would be lost.
pub(super) fn check_end(lines: &[u8]) -> Result<(), String> {
    let begin = memchr::memrchr(b'\n', lines).map_or(0, |end| end + 1);
    let last = lines.get(begin..).unwrap_or_default();
    if matches!(last, b"" | b"\r") || serde_json::from_slice::<IgnoredAny>(last).is_ok() {
        return Ok(());
    }
    Err(format!(
        "the answer ends within a line: what begins at byte {} has no line break and is no JSON; whole lines would be right",
        begin + 1
    ))
}

/// What a pointer (RFC 6901) leads to in a document that was parsed.
pub(super) fn point<'a>(document: &'a str, pointer: &str) -> Result<Way<'a>, String> {
    let mut value = document;
    let mut way = String::new();
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        let found = match value.as_bytes().first() {
            Some(b'{') => member(value, &name)?,
            Some(b'[') => element(value, &name)?,
            _ => Way::Nowhere(kind(value).to_owned()),
        };
        match found {
            Way::Value(found) => value = found,
            Way::Nowhere(there) => {
                let place = if way.is_empty() { "the document".to_owned() } else { format!("\"{way}\"") };
                return Ok(Way::Nowhere(format!("{place} is {there}")));
            }
        }
        way = format!("{way}/{part}");
    }
    Ok(Way::Value(value))
}

/// What kind of value this is.
pub(super) fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Text that is written as a JSON string.
pub(super) fn string(value: &str) -> Result<Cow<'_, str>, String> {
    let text: Text<'_> = serde_json::from_str(value).map_err(|error| error.to_string())?;
    Ok(text.0)
}

fn member<'a>(object: &'a str, name: &str) -> Result<Way<'a>, String> {
    let found =
        read(object, |reader| reader.deserialize_map(Member { name })).map_err(|error| error.to_string())?;
    Ok(match found {
        (Some(value), _) => Way::Value(value),
        (None, names) if names.is_empty() => Way::Nowhere("an empty object".to_owned()),
        (None, names) => Way::Nowhere(format!("an object with the members {}", names.join(", "))),
    })
}

fn element<'a>(array: &'a str, part: &str) -> Result<Way<'a>, String> {
    let is_index = part == "0" || !part.starts_with(['0', '+']);
    let wanted = part.parse::<usize>().ok().filter(|_| is_index);
    let (mut found, mut count) = (None, 0_usize);
    let mut look = |value: &'a str| {
        found = found.or_else(|| Some(value).filter(|_| Some(count) == wanted));
        count += 1;
        Ok(())
    };
    each_element(array, &mut look).map_err(|failure| failure.message)?;
    Ok(found.map_or_else(|| Way::Nowhere(format!("an array of {count}")), Way::Value))
}

/// Passes on each element of an array.
fn each_element<'a>(array: &'a str, pass: &mut dyn FnMut(&'a str) -> Result<()>) -> Result<()> {
    let mut failure = None;
    let elements = Elements { pass, failure: &mut failure };
    let read = read(array, |reader| reader.deserialize_seq(elements));
    match (failure, read) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::source(error.to_string())),
        (None, Ok(())) => Ok(()),
    }
}

fn read<'a, V>(
    text: &'a str,
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'a>>) -> serde_json::Result<V>,
) -> serde_json::Result<V> {
    read(&mut serde_json::Deserializer::from_str(text))
}

/// The records that a value is, each with its index, from the one at `skipped` on; how many there are in all.
pub(super) fn each_record<'a>(
    value: &'a str,
    skipped: usize,
    pass: &mut dyn FnMut(usize, Yielded<'a>) -> Result<()>,
) -> Result<usize> {
    let mut count = 0;
    let mut pass = |record: &'a str| {
        if count >= skipped {
            pass(count, parse(record))?;
        }
        count += 1;
        Ok(())
    };
    match value.as_bytes().first() {
        Some(b'[') => each_element(value, &mut pass)?,
        Some(b'n') => {}
        _ => pass(value)?,
    }
    Ok(count)
}

fn parse(record: &str) -> Yielded<'_> {
    match record.len() <= limits::RECORD_BYTES_MAX {
        true => jsonl::parse(record.as_bytes()),
        false => malformed(record.as_bytes(), Why::TooLong.reason()),
    }
}

struct Member<'n> {
    name: &'n str,
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = (Option<&'de str>, Vec<String>);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut names) = (None, Vec::new());
        while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            // The last one counts, as everywhere.
            if name == self.name {
                found = Some(value.get());
            }
            if names.len() < MEMBERS_SHOWN {
                let short: String = name.chars().take(60).collect();
                names.push(format!("\"{}\"", short.escape_debug()));
            } else if names.len() == MEMBERS_SHOWN {
                names.push("…".to_owned());
            }
        }
        Ok((found, names))
    }
}

struct Elements<'p, 'de> {
    pass: &'p mut dyn FnMut(&'de str) -> Result<()>,
    failure: &'p mut Option<Failure>,
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(value) = elements.next_element_seed(Raw)? {
            if let Err(failure) = (self.pass)(value) {
                *self.failure = Some(failure);
                return Err(A::Error::custom("it is not taken"));
            }
        }
        Ok(())
    }
}

/// A value as it is written.
struct Raw;

impl<'de> DeserializeSeed<'de> for Raw {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        <&RawValue as serde::Deserialize>::deserialize(deserializer).map(RawValue::get)
    }
}
