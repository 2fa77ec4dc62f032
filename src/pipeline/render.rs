//! Records as text: a JSON object or a row of RFC 4180 on one line.

use serde::de::IgnoredAny;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::record::{Record, Value};
use crate::flow::{Field, FieldType};

/// Appends a record as a JSON object and a line break. Nothing is appended if it fails.
///
/// # Errors
/// A column holds what JSON cannot.
pub(super) fn json_line(
    record: &Record<'_>,
    fields: &BTreeMap<String, Field>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let start = out.len();
    let rendered = match &record.json {
        Some(text) => {
            push_on_one_line(text, out);
            Ok(())
        }
        None => json_object(record, fields, out),
    };
    match rendered {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
    rendered
}

fn json_object(
    record: &Record<'_>,
    fields: &BTreeMap<String, Field>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.push(b'{');
    for (index, (name, value)) in record.fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_string(name, out);
        out.push(b':');
        let kind = fields.get(name.as_ref()).map(|field| field.kind);
        json_value(value, kind, out).map_err(|reason| format!("column `{name}` {reason}"))?;
    }
    out.push(b'}');
    Ok(())
}

/// Appends a value as JSON, as what a schema calls its field.
///
/// # Errors
/// It is a blob; the sentence goes on from the name of its column.
pub(super) fn json_value(
    value: &Value<'_>,
    kind: Option<FieldType>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(_) | Value::Integer(0 | 1) if kind == Some(FieldType::Boolean) => {
            push_boolean(value, out)
        }
        Value::Boolean(_) => push_boolean(value, out),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Real(number) => out.extend_from_slice(Json::from(*number).to_string().as_bytes()),
        Value::Text(text) if kind == Some(FieldType::Json) && is_json(text) => push_on_one_line(text, out),
        Value::Text(text) => push_string(text, out),
        Value::Json(text) => push_on_one_line(text, out),
        Value::Blob(_) => return Err("holds a blob, which JSON cannot".to_owned()),
    }
    Ok(())
}

fn push_boolean(value: &Value<'_>, out: &mut Vec<u8>) {
    let is_true = matches!(value, Value::Boolean(true) | Value::Integer(1));
    out.extend_from_slice(if is_true { b"true" } else { b"false" });
}

/// The first bytes of a hash, in hexadecimal digits.
pub(super) fn short_hash(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is one JSON value.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Appends a text as a JSON string.
pub(super) fn push_string(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(Json::from(text).to_string().as_bytes());
}

/// Appends JSON text. A line break is never part of a JSON string, so it may as well be a space.
pub(super) fn push_on_one_line(text: &str, out: &mut Vec<u8>) {
    if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_none() {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    }
}

/// Appends a row of names.
pub(super) fn csv_header(columns: &[String], out: &mut Vec<u8>) {
    csv_row(columns.iter().map(|name| Cow::Borrowed(name.as_str())), columns.len(), out);
}

/// Appends a record as a row below these names; what it lacks is empty. Nothing is appended if it fails.
///
/// # Errors
/// It has a name that is none of these, or a blob.
pub(super) fn csv_line(
    record: &Record<'_>,
    columns: &[String],
    fields: &BTreeMap<String, Field>,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    if let Some((name, _)) =
        record.fields.iter().find(|(name, _)| !columns.iter().any(|column| column == name))
    {
        return Err(format!("column `{name}` is not in the file's header: it begins with a new file"));
    }
    let mut cells = Vec::with_capacity(columns.len());
    for column in columns {
        let value = record.fields.iter().find(|(name, _)| name == column).map(|(_, value)| value);
        let kind = fields.get(column).map(|field| field.kind);
        cells.push(csv_cell(value, kind).map_err(|reason| format!("column `{column}` {reason}"))?);
    }
    csv_row(cells.into_iter(), columns.len(), out);
    Ok(())
}

fn csv_cell<'a>(value: Option<&'a Value<'_>>, kind: Option<FieldType>) -> Result<Cow<'a, str>, String> {
    match value {
        None | Some(Value::Null) => Ok(Cow::Borrowed("")),
        Some(Value::Text(text) | Value::Json(text)) => Ok(Cow::Borrowed(text.as_ref())),
        Some(Value::Blob(_)) => Err("holds a blob, which CSV cannot".to_owned()),
        Some(value) => {
            let mut text = Vec::new();
            json_value(value, kind, &mut text)?;
            String::from_utf8(text).map(Cow::Owned).map_err(|error| error.to_string())
        }
    }
}

fn csv_row<'a>(cells: impl Iterator<Item = Cow<'a, str>>, count: usize, out: &mut Vec<u8>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        // A row of one empty cell would be an empty line, which readers skip.
        if cell.contains([',', '"', '\n', '\r']) || (count == 1 && cell.is_empty()) {
            out.push(b'"');
            out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            out.push(b'"');
        } else {
            out.extend_from_slice(cell.as_bytes());
        }
    }
    out.push(b'\n');
}

/// The cells of the first row of a text; none if the row does not end in it.
pub(super) fn csv_first_row(text: &str) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut()?;
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            '\r' if !is_quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !is_quoted => return Some(cells),
            other => cell.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(fields: &[(&'a str, Value<'a>)]) -> Record<'a> {
        let fields = fields.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        Record { fields, json: None }
    }

    fn schema(fields: &[(&str, FieldType)]) -> BTreeMap<String, Field> {
        let field = |kind| Field { kind, required: false, default: None };
        fields.iter().map(|(name, kind)| ((*name).to_owned(), field(*kind))).collect()
    }

    fn json_of(record: &Record<'_>, fields: &[(&str, FieldType)]) -> Result<String, String> {
        let mut out = Vec::new();
        json_line(record, &schema(fields), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn csv_of(record: &Record<'_>, columns: &[&str]) -> Result<String, String> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let mut out = Vec::new();
        csv_line(record, &columns, &schema(&[("b", FieldType::Boolean)]), &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_type_is_written_as_json_has_it() {
        let record = record(&[
            ("n", Value::Null),
            ("b", Value::Boolean(true)),
            ("i", Value::Integer(-7)),
            ("r", Value::Real(0.1)),
            ("whole", Value::Real(2.0)),
            ("t", Value::Text("a \"b\"\n".into())),
            ("j", Value::Json("{\"x\":\n1}".into())),
        ]);
        let want = r#"{"n":null,"b":true,"i":-7,"r":0.1,"whole":2.0,"t":"a \"b\"\n","j":{"x": 1}}"#;
        assert_eq!(json_of(&record, &[]), Ok(format!("{want}\n")));
    }

    #[test]
    fn what_the_schema_calls_boolean_or_json_is_written_as_such() {
        let kinds = [
            ("yes", FieldType::Boolean),
            ("two", FieldType::Boolean),
            ("list", FieldType::Json),
            ("word", FieldType::Json),
        ];
        let record = record(&[
            ("yes", Value::Integer(1)),
            ("two", Value::Integer(2)),
            ("list", Value::Text("[1, 2]".into())),
            ("word", Value::Text("no json".into())),
            ("plain", Value::Text("[1]".into())),
        ]);
        let want = r#"{"yes":true,"two":2,"list":[1, 2],"word":"no json","plain":"[1]"}"#;
        assert_eq!(json_of(&record, &kinds), Ok(format!("{want}\n")));
    }

    #[test]
    fn a_record_that_nothing_has_changed_goes_out_as_it_came() {
        let mut record = record(&[("a", Value::Integer(1))]);
        record.json = Some("{ \"a\" : 1.0e0 }".into());
        assert_eq!(json_of(&record, &[]).unwrap(), "{ \"a\" : 1.0e0 }\n");
    }

    #[test]
    fn a_blob_is_refused_and_nothing_is_left_of_its_record() {
        let record = record(&[("a", Value::Integer(1)), ("x", Value::Blob(vec![1].into()))]);
        let mut out = b"before\n".to_vec();
        let reason = json_line(&record, &BTreeMap::new(), &mut out).unwrap_err();
        assert_eq!(reason, "column `x` holds a blob, which JSON cannot");
        assert_eq!(out, b"before\n");
        assert!(csv_of(&record, &["a", "x"]).unwrap_err().contains("`x` holds a blob"));
    }

    #[test]
    fn csv_is_quoted_where_it_must_be_and_only_there() {
        let record = record(&[
            ("a", Value::Text("x,y".into())),
            ("b", Value::Integer(1)),
            ("c", Value::Text("say \"hi\"\n".into())),
            ("d", Value::Null),
        ]);
        let line = csv_of(&record, &["d", "c", "b", "a", "z"]).unwrap();
        assert_eq!(line, ",\"say \"\"hi\"\"\n\",true,\"x,y\",\n");
    }

    #[test]
    fn csv_refuses_a_name_that_the_header_lacks() {
        let reason = csv_of(&record(&[("new", Value::Null)]), &["a"]).unwrap_err();
        assert!(reason.contains("`new` is not in the file's header"), "{reason}");
    }

    #[test]
    fn a_row_of_one_empty_cell_is_no_empty_line() {
        assert_eq!(csv_of(&record(&[]), &["a"]).unwrap(), "\"\"\n");
    }

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        let names: Vec<String> = ["plain", "a,b", "say \"hi\"", "two\nlines", ""].map(str::to_owned).into();
        let mut out = Vec::new();
        csv_header(&names, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(csv_first_row(&format!("{text}1,2,3,4,5\n")), Some(names));
        assert_eq!(csv_first_row("a,b"), None);
        assert_eq!(csv_first_row("\u{feff}a,b\r\n"), Some(vec!["a".to_owned(), "b".to_owned()]));
    }
}
