//! A record on its way: fields by name, borrowed from what was read as far as possible.

use std::borrow::Cow;

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Null,
    /// True or false; 1 or 0 in SQL.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number, finite.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// An object, an array, or a number that no 64 bits hold: JSON text.
    Json(Cow<'a, str>),
    /// Bytes.
    Blob(Cow<'a, [u8]>),
}

/// A record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record<'a> {
    /// In the order of the source. No name comes twice.
    pub fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The JSON object that it was read from, if it was and nothing has changed it since.
    pub json: Option<Cow<'a, str>>,
}

impl Record<'_> {
    /// About how much memory its values take.
    pub(super) fn bytes(&self) -> usize {
        let length = |value: &Value<'_>| match value {
            Value::Text(text) | Value::Json(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        self.fields.iter().map(|(_, value)| 16 + length(value)).sum()
    }
}

/// What a source yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Yielded<'a> {
    /// A record.
    Record(Record<'a>),
    /// What is none.
    Malformed {
        /// As much of it as is kept, made printable.
        text: Cow<'a, str>,
        /// Why not.
        reason: String,
    },
}

/// Where something that was yielded came from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place<'a> {
    /// The path of the file or database.
    pub path: &'a str,
    /// Where in it.
    pub at: At<'a>,
}

/// Where in a file or database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum At<'a> {
    /// The byte at which it begins.
    Offset(u64),
    /// The value of the cursor column; of what is measured, the time.
    Cursor(&'a Value<'a>),
}

/// A place that outlives what was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    path: String,
    at: OriginAt,
}

#[derive(Clone, Debug, PartialEq)]
enum OriginAt {
    Offset(u64),
    Cursor(Value<'static>),
}

impl Origin {
    pub(super) fn of(place: &Place<'_>) -> Self {
        let at = match place.at {
            At::Offset(offset) => OriginAt::Offset(offset),
            At::Cursor(value) => OriginAt::Cursor(value.clone().into_owned()),
        };
        Self { path: place.path.to_owned(), at }
    }

    pub(super) fn place(&self) -> Place<'_> {
        let at = match &self.at {
            OriginAt::Offset(offset) => At::Offset(*offset),
            OriginAt::Cursor(value) => At::Cursor(value),
        };
        Place { path: &self.path, at }
    }
}

impl Value<'_> {
    /// The same, borrowing nothing.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Boolean(value) => Value::Boolean(value),
            Self::Integer(value) => Value::Integer(value),
            Self::Real(value) => Value::Real(value),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::Json(text) => Value::Json(Cow::Owned(text.into_owned())),
            Self::Blob(bytes) => Value::Blob(Cow::Owned(bytes.into_owned())),
        }
    }
}
