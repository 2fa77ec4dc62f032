//! Lines as records of one field, and what lines and rows have in common: how a record is cut out of bytes, and what is
//! said of one that is none.

use std::borrow::Cow;

use crate::limits;
use crate::pipeline::record::{Record, Value, Yielded};

/// The field that holds a line.
const FIELD: &str = "line";

/// What may stand before all else in text (RFC 8259 section 8.1).
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What stands at the beginning of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A record, without its line break, and the bytes that it takes with it.
    Whole { body: &'a [u8], bytes: usize },
    /// The beginning of one: more is needed.
    Incomplete,
    /// One that cannot be, its first line, and the bytes to pass; the line may go on beyond them.
    Broken { line: &'a [u8], bytes: usize, goes_on: bool, why: Why },
}

/// Why a record cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It is longer than a record may be.
    TooLong,
    /// Its file ends within quotes.
    QuoteOpen,
}

impl Why {
    /// A sentence for the dead letter.
    pub(super) fn reason(self) -> String {
        match self {
            Self::TooLong => {
                format!("it is longer than {} bytes, the most that a record may be", limits::RECORD_BYTES_MAX)
            }
            Self::QuoteOpen => "its quote is not closed; each opening quote needs a closing one".to_owned(),
        }
    }
}

/// The line at the beginning of bytes; `is_whole` if nothing comes after them.
pub(super) fn cut(bytes: &[u8], is_whole: bool) -> Piece<'_> {
    let (line, taken, goes_on) = match memchr::memchr(b'\n', bytes) {
        Some(end) => (bytes.get(..end).unwrap_or_default(), end + 1, false),
        None if is_whole && !bytes.is_empty() => (bytes, bytes.len(), false),
        // One more may be the carriage return of a line break.
        None if bytes.len() > limits::RECORD_BYTES_MAX + 1 => (bytes, bytes.len(), true),
        None => return Piece::Incomplete,
    };
    let body = line.strip_suffix(b"\r").unwrap_or(line);
    if goes_on || body.len() > limits::RECORD_BYTES_MAX {
        Piece::Broken { line: body, bytes: taken, goes_on, why: Why::TooLong }
    } else {
        Piece::Whole { body, bytes: taken }
    }
}

/// A line as a record.
pub(super) fn parse(line: &[u8]) -> Yielded<'_> {
    match std::str::from_utf8(line) {
        Ok(text) => Yielded::Record(Record {
            fields: vec![(Cow::Borrowed(FIELD), Value::Text(Cow::Borrowed(text)))],
            json: None,
        }),
        Err(error) => malformed(line, not_utf8(&error)),
    }
}

/// What is said of bytes that are no text.
pub(super) fn not_utf8(error: &std::str::Utf8Error) -> String {
    format!("it is not UTF-8 at byte {}; text in UTF-8 would be right", error.valid_up_to() + 1)
}

/// What is none, as much of it as is kept.
pub(super) fn malformed(bytes: &[u8], reason: String) -> Yielded<'_> {
    let bytes_max = limits::DEAD_LETTER_RECORD_BYTES_MAX;
    let mut text = String::from_utf8_lossy(bytes.get(..bytes_max).unwrap_or(bytes));
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max);
        text.to_mut().truncate(end);
    }
    Yielded::Malformed { text, reason }
}
