//! What `[schema]` says of the source's records: each field made what it must be if nothing is lost by that.

use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::record::{Record, Value};
use super::render;
use crate::flow::{Field, FieldType};
use crate::time::Wall;

/// Whole numbers up to this are exact in a floating-point number of 64 bits.
const EXACT_MAX: u64 = 1 << 53;
/// As much of a value as a reason shows, in characters.
const SHOWN_CHARACTERS_MAX: usize = 40;

/// What the source's records must be like.
#[derive(Clone, Debug, Default)]
pub(super) struct Schema {
    fields: Vec<(String, Field)>,
}

/// What becomes of a value.
enum Fit<'a> {
    /// It stays.
    Same,
    /// It becomes another, and so does the record.
    Changed(Value<'a>),
    /// It is held differently; the record's JSON is the same.
    Held(Value<'a>),
    /// It does not fit.
    Unfit,
}

impl Schema {
    /// Over the fields of a flow.
    pub(super) fn new(fields: &BTreeMap<String, Field>) -> Self {
        Self { fields: fields.iter().map(|(name, field)| (name.clone(), field.clone())).collect() }
    }

    /// Whether everything fits.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Makes the fields of a record what they must be.
    ///
    /// # Errors
    /// The field that does not fit, what it holds and what would be right. The record's JSON stays as it was.
    pub(super) fn apply(&self, record: &mut Record<'_>) -> Result<(), String> {
        let is_from_json = record.json.is_some();
        let mut is_changed = false;
        for (name, field) in &self.fields {
            let position = record.fields.iter().position(|(other, _)| other == name);
            let value = position.and_then(|position| record.fields.get(position)).map(|(_, value)| value);
            let new = match value {
                Some(value) if !is_missing(value, field.kind, is_from_json) => {
                    match fit(field.kind, value, is_from_json) {
                        Fit::Same => continue,
                        Fit::Held(value) => (value, false),
                        Fit::Changed(value) => (value, true),
                        Fit::Unfit => return Err(refusal(name, value, field.kind)),
                    }
                }
                _ => match instead(name, field, value)? {
                    Some(value) => (value, true),
                    None => continue,
                },
            };
            is_changed |= new.1;
            match position.and_then(|position| record.fields.get_mut(position)) {
                Some((_, value)) => *value = new.0,
                None => record.fields.push((Cow::Owned(name.clone()), new.0)),
            }
        }
        if is_changed {
            record.json = None;
        }
        Ok(())
    }
}

/// CSV has no other way to say that there is nothing. In JSON an empty text is a JSON value as well.
fn is_missing(value: &Value<'_>, kind: FieldType, is_from_json: bool) -> bool {
    match value {
        Value::Null => true,
        Value::Text(_) if kind == FieldType::Json && is_from_json => false,
        Value::Text(text) => text.is_empty() && kind != FieldType::Text,
        _ => false,
    }
}

/// What takes the place of a missing value; none if it stays as it is.
fn instead<'a>(name: &str, field: &Field, value: Option<&Value<'_>>) -> Result<Option<Value<'a>>, String> {
    match &field.default {
        Some(default) if !default.is_null() => {
            let default = from_json(default);
            match fit(field.kind, &default, true) {
                Fit::Same => Ok(Some(default)),
                Fit::Changed(value) | Fit::Held(value) => Ok(Some(value)),
                Fit::Unfit => Err(refusal(name, &default, field.kind)),
            }
        }
        _ if field.required => Err(format!("{name}: missing, where {} is required", what(field.kind))),
        _ => Ok(matches!(value, Some(Value::Text(_))).then_some(Value::Null)),
    }
}

fn from_json(json: &Json) -> Value<'static> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(is_true) => Value::Boolean(*is_true),
        Json::String(text) => Value::Text(Cow::Owned(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Integer(whole),
            (None, Some(real)) if number.is_f64() => Value::Real(real),
            _ => Value::Json(Cow::Owned(number.to_string())),
        },
        Json::Array(_) | Json::Object(_) => Value::Json(Cow::Owned(json.to_string())),
    }
}

fn fit<'a>(kind: FieldType, value: &Value<'a>, is_from_json: bool) -> Fit<'a> {
    match kind {
        FieldType::Text => fit_text(value),
        FieldType::Integer => fit_integer(value),
        FieldType::Real => fit_real(value),
        FieldType::Boolean => fit_boolean(value),
        FieldType::Timestamp => match value {
            Value::Text(text) if Wall::parse_rfc3339(text).is_ok() => Fit::Same,
            _ => Fit::Unfit,
        },
        FieldType::Json => fit_json(value, is_from_json),
    }
}

fn fit_text<'a>(value: &Value<'a>) -> Fit<'a> {
    match value {
        Value::Text(_) => Fit::Same,
        Value::Integer(number) => Fit::Changed(Value::Text(Cow::Owned(number.to_string()))),
        Value::Json(text) if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            Fit::Changed(Value::Text(text.clone()))
        }
        _ => Fit::Unfit,
    }
}

fn fit_integer<'a>(value: &Value<'a>) -> Fit<'a> {
    let number = match value {
        Value::Integer(_) => return Fit::Same,
        Value::Text(text) => text.parse().ok().filter(|number: &i64| number.to_string() == *text),
        Value::Real(real) if real.fract() == 0.0 => {
            // By way of its digits: it may be far outside of what an integer holds.
            // At 2^53 itself it may have been rounded.
            format!("{real:.0}").parse().ok().filter(|number: &i64| number.unsigned_abs() < EXACT_MAX)
        }
        _ => None,
    };
    number.map_or(Fit::Unfit, |number| Fit::Changed(Value::Integer(number)))
}

fn fit_real<'a>(value: &Value<'a>) -> Fit<'a> {
    let real = match value {
        Value::Real(_) => return Fit::Same,
        Value::Integer(number) if number.unsigned_abs() <= EXACT_MAX => Some(*number as f64),
        Value::Text(text)
            if !text.contains(|letter: char| letter.is_alphabetic() && !matches!(letter, 'e' | 'E')) =>
        {
            text.parse().ok().filter(|real| is_kept(text, *real))
        }
        _ => None,
    };
    real.map_or(Fit::Unfit, |real| Fit::Changed(Value::Real(real)))
}

/// Whether a number that was read from text is that number: neither too large, nor so small that nothing is left of it, nor
/// a whole one that was rounded.
fn is_kept(text: &str, real: f64) -> bool {
    let whole = text.parse::<i128>().map_or(0, i128::unsigned_abs);
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
    real.is_finite() && whole <= u128::from(EXACT_MAX) && (real != 0.0 || is_zero)
}

fn fit_boolean<'a>(value: &Value<'a>) -> Fit<'a> {
    let is_true = match value {
        Value::Boolean(_) => return Fit::Same,
        Value::Integer(number) => match number {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::Text(text) => match text.as_ref() {
            "false" | "0" => Some(false),
            "true" | "1" => Some(true),
            _ => None,
        },
        _ => None,
    };
    is_true.map_or(Fit::Unfit, |is_true| Fit::Changed(Value::Boolean(is_true)))
}

/// In JSON a text is a text, whatever it holds; elsewhere a text is the only way to write an object.
fn fit_json<'a>(value: &Value<'a>, is_from_json: bool) -> Fit<'a> {
    match value {
        Value::Json(_) => Fit::Same,
        Value::Text(text) if !is_from_json && render::is_json(text) => Fit::Held(Value::Json(text.clone())),
        _ => {
            let mut text = Vec::new();
            match render::json_value(value, None, &mut text).map(|()| String::from_utf8(text)) {
                Ok(Ok(text)) => Fit::Held(Value::Json(Cow::Owned(text))),
                _ => Fit::Unfit,
            }
        }
    }
}

fn refusal(name: &str, value: &Value<'_>, kind: FieldType) -> String {
    format!("{name}: {} is not {}", shown(value), what(kind))
}

const fn what(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text => "text",
        FieldType::Integer => "a whole number of 64 bits",
        FieldType::Real => "a real number",
        FieldType::Boolean => "true or false",
        FieldType::Timestamp => "an RFC 3339 time such as 2026-11-23T10:30:00Z",
        FieldType::Json => "a JSON value",
    }
}

fn shown(value: &Value<'_>) -> String {
    let text = match value {
        Value::Null => Cow::Borrowed("null"),
        Value::Boolean(is_true) => Cow::Owned(is_true.to_string()),
        Value::Integer(number) => Cow::Owned(number.to_string()),
        Value::Real(number) => Cow::Owned(Json::from(*number).to_string()),
        Value::Text(text) | Value::Json(text) => Cow::Borrowed(text.as_ref()),
        Value::Blob(bytes) => return format!("a blob of {} bytes", bytes.len()),
    };
    let mut short: String = text
        .chars()
        .take(SHOWN_CHARACTERS_MAX)
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if text.chars().nth(SHOWN_CHARACTERS_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema_of(kind: FieldType, required: bool, default: Option<Json>) -> Schema {
        Schema::new(&BTreeMap::from([("value".to_owned(), Field { kind, required, default })]))
    }

    fn applied(schema: &Schema, value: Value<'static>) -> Result<Value<'static>, String> {
        let mut record = Record { fields: vec![("value".into(), value)], json: None };
        schema.apply(&mut record)?;
        Ok(record.fields.remove(0).1)
    }

    fn text(text: &'static str) -> Value<'static> {
        Value::Text(text.into())
    }

    fn json_text(text: &'static str) -> Value<'static> {
        Value::Json(text.into())
    }

    #[test]
    fn what_fits_without_loss_is_made_to_fit() {
        let exact = 1_i64 << 53;
        for (kind, from, to) in [
            (FieldType::Text, text(""), text("")),
            (FieldType::Text, Value::Integer(-7), text("-7")),
            (FieldType::Text, json_text("18446744073709551616"), text("18446744073709551616")),
            (FieldType::Integer, text("42"), Value::Integer(42)),
            (FieldType::Integer, text("-7"), Value::Integer(-7)),
            (FieldType::Integer, Value::Real(4.0), Value::Integer(4)),
            (FieldType::Integer, Value::Real((exact - 1) as f64), Value::Integer(exact - 1)),
            (FieldType::Real, Value::Integer(exact), Value::Real(exact as f64)),
            (FieldType::Real, text("-1.5e3"), Value::Real(-1500.0)),
            (FieldType::Boolean, Value::Integer(1), Value::Boolean(true)),
            (FieldType::Boolean, text("false"), Value::Boolean(false)),
            (FieldType::Boolean, text("0"), Value::Boolean(false)),
            (FieldType::Timestamp, text("2026-11-23T10:30:00+01:00"), text("2026-11-23T10:30:00+01:00")),
            (FieldType::Json, Value::Integer(4), json_text("4")),
            (FieldType::Json, text("[1]"), json_text("[1]")),
            (FieldType::Json, text("no json"), json_text("\"no json\"")),
        ] {
            assert_eq!(applied(&schema_of(kind, true, None), from.clone()), Ok(to), "{kind:?} {from:?}");
        }
    }

    #[test]
    fn what_would_lose_something_is_refused() {
        for wrong in [text("9007199254740993"), text("1e-400"), text("1e400")] {
            assert!(applied(&schema_of(FieldType::Real, true, None), wrong.clone()).is_err(), "{wrong:?}");
        }
        let beyond = (1_i64 << 53) + 1;
        for (kind, value) in [
            (FieldType::Text, Value::Boolean(true)),
            (FieldType::Text, Value::Real(1.5)),
            (FieldType::Text, json_text("{}")),
            (FieldType::Integer, text("042")),
            (FieldType::Integer, text(" 42")),
            (FieldType::Integer, text("+42")),
            (FieldType::Integer, text("-0")),
            (FieldType::Integer, text("4.0")),
            (FieldType::Integer, text("9223372036854775808")),
            (FieldType::Integer, Value::Real(4.5)),
            (FieldType::Integer, Value::Real(1e300)),
            (FieldType::Integer, Value::Boolean(true)),
            (FieldType::Real, Value::Integer(beyond)),
            (FieldType::Real, text("abc")),
            (FieldType::Real, text("inf")),
            (FieldType::Real, text("NaN")),
            (FieldType::Real, text("1e999")),
            (FieldType::Real, text("1.5 ")),
            (FieldType::Boolean, Value::Integer(2)),
            (FieldType::Boolean, text("TRUE")),
            (FieldType::Timestamp, text("yesterday")),
            (FieldType::Timestamp, Value::Integer(0)),
            (FieldType::Json, Value::Blob(vec![1].into())),
        ] {
            assert!(applied(&schema_of(kind, false, None), value.clone()).is_err(), "{kind:?} {value:?}");
        }
    }

    #[test]
    fn a_refusal_names_the_field_what_it_holds_and_what_would_be_right() {
        let real = schema_of(FieldType::Real, true, None);
        assert_eq!(applied(&real, text("abc")).unwrap_err(), "value: `abc` is not a real number");
        assert_eq!(
            applied(&real, Value::Null).unwrap_err(),
            "value: missing, where a real number is required"
        );
        let long = applied(&real, Value::Text("é".repeat(1000).into())).unwrap_err();
        assert_eq!(long, format!("value: `{}…` is not a real number", "é".repeat(40)));
    }

    #[test]
    fn a_missing_value_is_its_default_or_refused_or_stays_missing() {
        let with_default = schema_of(FieldType::Integer, true, Some(json!(5)));
        for missing in [Value::Null, text("")] {
            assert_eq!(applied(&with_default, missing), Ok(Value::Integer(5)));
        }
        let mut without = Record::default();
        with_default.apply(&mut without).unwrap();
        assert_eq!(without.fields, [("value".into(), Value::Integer(5))]);

        let required = schema_of(FieldType::Integer, true, None);
        assert!(required.apply(&mut Record::default()).is_err());
        let optional = schema_of(FieldType::Integer, false, None);
        assert_eq!(applied(&optional, text("")), Ok(Value::Null));
        let mut without = Record::default();
        optional.apply(&mut without).unwrap();
        assert_eq!(without.fields, []);
    }

    #[test]
    fn only_a_changed_record_loses_the_text_it_came_as() {
        let mut record =
            Record { fields: vec![("value".into(), text("7"))], json: Some("{\"value\":\"7\"}".into()) };
        schema_of(FieldType::Text, true, None).apply(&mut record).unwrap();
        assert!(record.json.is_some());
        schema_of(FieldType::Boolean, true, None).apply(&mut record).unwrap_err();
        assert!(record.json.is_some(), "the dead letter shows it");
        schema_of(FieldType::Integer, true, None).apply(&mut record).unwrap();
        assert_eq!(record.json, None);
    }

    #[test]
    fn a_text_from_json_stays_a_text_in_a_json_field() {
        let mut record =
            Record { fields: vec![("value".into(), text("[1]"))], json: Some("{\"value\":\"[1]\"}".into()) };
        schema_of(FieldType::Json, true, None).apply(&mut record).unwrap();
        assert_eq!(record.fields, [("value".into(), json_text("\"[1]\""))]);
        assert!(record.json.is_some(), "the record is what it was");
    }
}
