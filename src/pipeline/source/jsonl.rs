//! JSON lines: an object a line, whose fields are borrowed from it as far as they stand there as they are.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use super::lines::{self, Piece, Why, malformed, not_utf8};
use crate::limits;
use crate::pipeline::record::{Record, Value, Yielded};

/// Objects and arrays within each other that serde_json reads, and so whoever reads a value after us.
const NESTED_MAX: usize = 127;

/// Fields among which a name is looked for one by one: that is quicker than any index, and few records have more.
const SCANNED_MAX: usize = 32;

/// The lines of bytes that nothing comes after, each with where it begins; empty ones are passed over.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    bytes: &'a [u8],
    offset: usize,
}

/// A line that should be a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    Broken(&'a [u8], Why),
}

impl<'a> Lines<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, Line<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.offset;
            match lines::cut(self.rest(), true) {
                Piece::Incomplete => return None,
                Piece::Whole { body, bytes } => {
                    self.offset += bytes;
                    if !body.is_empty() {
                        return Some((offset, Line::Whole(body)));
                    }
                }
                Piece::Broken { line, bytes, goes_on, why } => {
                    self.offset += bytes;
                    if goes_on {
                        let rest = self.rest();
                        self.offset += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                    }
                    return Some((offset, Line::Broken(line, why)));
                }
            }
        }
    }
}

impl<'a> Line<'a> {
    pub(super) fn parse(self) -> Yielded<'a> {
        match self {
            Self::Whole(line) => parse(line),
            Self::Broken(line, why) => malformed(line, why.reason()),
        }
    }
}

/// A line as a record.
pub(super) fn parse(line: &[u8]) -> Yielded<'_> {
    let text = match std::str::from_utf8(line) {
        Ok(text) => text.trim_matches([' ', '\t', '\r']),
        Err(error) => return malformed(line, not_utf8(&error)),
    };
    match fields(text) {
        Ok(fields) => Yielded::Record(Record { fields, json: Some(Cow::Borrowed(text)) }),
        Err(reason) => malformed(line, reason),
    }
}

fn fields(text: &str) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, String> {
    if !text.starts_with('{') {
        return Err(format!("it is {}; a JSON object would be right", what_begins(text)));
    }
    if is_nested_deeper_than(NESTED_MAX, text) {
        return Err(format!("it is nested more than {NESTED_MAX} deep; fewer levels would be right"));
    }
    serde_json::from_str::<Fields<'_>>(text)
        .map(|fields| fields.0)
        .map_err(|error| format!("it is no JSON object that can be read: {error}"))
}

fn what_begins(text: &str) -> &'static str {
    match text.as_bytes().first() {
        _ if text == "null" => "null",
        _ if matches!(text, "true" | "false") => "a boolean",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b'0'..=b'9' | b'-') => "a number",
        _ => "no JSON",
    }
}

/// Whether brackets outside of strings stand within each other more often.
fn is_nested_deeper_than(nested_max: usize, text: &str) -> bool {
    // Without so many opening brackets there is nothing to look at, and that is the common case.
    let mut opening = memchr::memchr2_iter(b'{', b'[', text.as_bytes());
    if opening.nth(nested_max).is_none() {
        return false;
    }
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > nested_max {
            return true;
        }
    }
    false
}

struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut distinct = Distinct { fields: Vec::with_capacity(8), index: HashMap::new() };
        let mut pairs = 0;
        while let Some((Text(name), raw)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            pairs += 1;
            if pairs > limits::RECORD_FIELDS_MAX {
                let message =
                    format!("it has more than {} fields, the most there may be", limits::RECORD_FIELDS_MAX);
                return Err(A::Error::custom(message));
            }
            let value = value(raw.get()).map_err(A::Error::custom)?;
            distinct.put(name, value);
        }
        Ok(Fields(distinct.fields))
    }
}

/// Fields in the order in which their names first came, each with the value that came last.
struct Distinct<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// Where each name stands, once there are more than are scanned.
    index: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Distinct<'a> {
    fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        let count = self.fields.len();
        let place = if count <= SCANNED_MAX {
            self.fields.iter().position(|field| field.0 == name)
        } else {
            if self.index.is_empty() {
                let names = self.fields.iter().map(|field| field.0.clone());
                self.index.extend(names.zip(0..));
            }
            match self.index.entry(name.clone()) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(new) => {
                    new.insert(count);
                    None
                }
            }
        };
        match place.and_then(|place| self.fields.get_mut(place)) {
            Some(field) => field.1 = value,
            None => self.fields.push((name, value)),
        }
    }
}

fn value(raw: &str) -> serde_json::Result<Value<'_>> {
    Ok(match raw.as_bytes().first() {
        Some(b'"') => Value::Text(text(raw)?),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') => Value::Null,
        Some(b'{' | b'[') => Value::Json(Cow::Borrowed(raw)),
        _ => number(raw),
    })
}

fn text(raw: &str) -> serde_json::Result<Cow<'_, str>> {
    match raw.get(1..raw.len().saturating_sub(1)) {
        // It was found to be a string: without escapes it stands there as it is.
        Some(inner) if memchr::memchr(b'\\', inner.as_bytes()).is_none() => Ok(Cow::Borrowed(inner)),
        _ => serde_json::from_str::<Text<'_>>(raw).map(|text| text.0),
    }
}

fn number(raw: &str) -> Value<'_> {
    let is_whole = !raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    if is_whole {
        return raw.parse().map_or(Value::Json(Cow::Borrowed(raw)), Value::Integer);
    }
    match raw.parse::<f64>() {
        Ok(real) if real.is_finite() => Value::Real(real),
        _ => Value::Json(Cow::Borrowed(raw)),
    }
}

/// A string that is borrowed where it can be, which `Cow` itself does not do.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}
