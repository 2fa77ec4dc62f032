//! Rows as RFC 4180 has them, below a row of names.

use std::borrow::Cow;

use super::lines::{self, Piece, Why, malformed, not_utf8};
use crate::limits;
use crate::pipeline::record::{Record, Value, Yielded};

/// The row at the beginning of bytes; `is_whole` if nothing comes after them.
///
/// A row that is too long, or whose quote stays open, is given up: reading goes on after its first line, so that one
/// stray quote does not swallow the rest of the file.
pub(super) fn cut(bytes: &[u8], is_whole: bool) -> Piece<'_> {
    let looked_at = bytes.get(..limits::RECORD_BYTES_MAX + 2).unwrap_or(bytes);
    let (end, state) = scan(looked_at);
    let why = match end {
        Some(end) => {
            let row = looked_at.get(..end).unwrap_or_default();
            let body = row.strip_suffix(b"\r").unwrap_or(row);
            if body.len() <= limits::RECORD_BYTES_MAX {
                return Piece::Whole { body, bytes: end + 1 };
            }
            Why::TooLong
        }
        None if bytes.len() > limits::RECORD_BYTES_MAX + 1 => Why::TooLong,
        None if !is_whole || bytes.is_empty() => return Piece::Incomplete,
        None if state == At::Quoted => Why::QuoteOpen,
        None => return lines::cut(bytes, true),
    };
    match memchr::memchr(b'\n', bytes) {
        Some(end) => {
            let line = bytes.get(..end).unwrap_or_default();
            Piece::Broken { line, bytes: end + 1, goes_on: false, why }
        }
        None => Piece::Broken { line: bytes, bytes: bytes.len(), goes_on: !is_whole, why },
    }
}

/// Where in a row we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a value.
    Start,
    /// In a value without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// After a quote within quotes: it closes them, or the next one makes it a quote of the value.
    QuoteMet,
}

impl At {
    const fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Start | Self::QuoteMet, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::QuoteMet,
            (Self::Quoted, _) => Self::Quoted,
            (_, b',') => Self::Start,
            _ => Self::Plain,
        }
    }
}

/// Where the line break is that ends the first row, or where in it the bytes end.
fn scan(bytes: &[u8]) -> (Option<usize>, At) {
    let line_break = memchr::memchr(b'\n', bytes);
    let first_line = bytes.get(..line_break.unwrap_or(bytes.len())).unwrap_or_default();
    if memchr::memchr(b'"', first_line).is_none() {
        return (line_break, At::Plain);
    }
    let mut at = At::Start;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte == b'\n' && at != At::Quoted {
            return (Some(index), at);
        }
        at = at.after(byte);
    }
    (None, at)
}

/// The names in a file's first row.
pub(super) fn names(row: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(row).map_err(|error| not_utf8(&error))?;
    let names: Vec<String> = values(text)?.into_iter().map(Cow::into_owned).collect();
    if names.len() > limits::RECORD_FIELDS_MAX {
        return Err(format!(
            "it has {} names; at most {} would be right",
            names.len(),
            limits::RECORD_FIELDS_MAX
        ));
    }
    for (index, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("its name {} is empty; each column needs one", index + 1));
        }
        if names.iter().take(index).any(|other| other == name) {
            return Err(format!("it has the name {name:?} twice; each column needs one of its own"));
        }
    }
    Ok(names)
}

/// A row as a record.
pub(super) fn parse<'a>(row: &'a [u8], names: &'a [String]) -> Yielded<'a> {
    let values = match std::str::from_utf8(row).map_err(|error| not_utf8(&error)).and_then(values) {
        Ok(values) => values,
        Err(reason) => return malformed(row, reason),
    };
    if values.len() != names.len() {
        let reason =
            format!("it has {} values; {}, one for each name, would be right", values.len(), names.len());
        return malformed(row, reason);
    }
    let named = names.iter().zip(values);
    let fields = named.map(|(name, value)| (Cow::Borrowed(name.as_str()), Value::Text(value))).collect();
    Yielded::Record(Record { fields, json: None })
}

fn values(row: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let mut values = Vec::with_capacity(8);
    let mut rest = row;
    loop {
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted)?,
            None => {
                let end = memchr::memchr(b',', rest.as_bytes()).unwrap_or(rest.len());
                let (value, after) = rest.split_at(end);
                (Cow::Borrowed(value), after)
            }
        };
        values.push(value);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => return Ok(values),
            None => return Err("a value goes on after its closing quote; a comma would be right".to_owned()),
        };
    }
}

/// The value after its opening quote, and what follows its closing one.
fn quoted_value(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut value = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let Some((part, after)) = rest.split_once('"') else {
            return Err(Why::QuoteOpen.reason());
        };
        // Borrowed as long as it is one part.
        value += part;
        match after.strip_prefix('"') {
            Some(next) => {
                value.to_mut().push('"');
                rest = next;
            }
            None => return Ok((value, after)),
        }
    }
}
