//! As much of JSON Schema 2020-12 as `docs/openapi.json` uses. What it does not know is a complaint, so that nothing passes
//! unjudged.

use heartbeat_runtime::time::Wall;
use serde_json::Value;

/// What a value has that its schema does not allow, each with its place.
pub(crate) fn complaints(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut judge = Judge { document, found: Vec::new() };
    judge.look("", schema, value);
    judge.found
}

/// What a reference within the document leads to.
pub(crate) fn resolve<'a>(document: &'a Value, found: &'a Value) -> &'a Value {
    match found["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => document.pointer(pointer).expect("a reference leads somewhere"),
        None => found,
    }
}

struct Judge<'a> {
    document: &'a Value,
    found: Vec<String>,
}

impl Judge<'_> {
    fn complain(&mut self, place: &str, what: &str, value: &Value) {
        let shown: String = value.to_string().chars().take(100).collect();
        self.found.push(format!("{place}: {what}: {shown}"));
    }

    fn look(&mut self, place: &str, schema: &Value, value: &Value) {
        let schema = resolve(self.document, schema).as_object().expect("a schema is an object");
        for (keyword, rule) in schema {
            if !self.holds(place, keyword, rule, value) {
                self.complain(place, &format!("{keyword} is {rule}"), value);
            }
        }
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        for (name, member) in value.as_object().into_iter().flatten() {
            match schema.get("properties").and_then(|known| known.get(name)) {
                Some(schema) => self.look(&format!("{place}/{name}"), schema, member),
                None if is_closed => self.complain(place, &format!("{name} is not described"), value),
                None => {}
            }
        }
    }

    /// Whether one rule holds. Those of objects and lists judge what is in them by themselves.
    fn holds(&mut self, place: &str, keyword: &str, rule: &Value, value: &Value) -> bool {
        let length = |list: &Vec<Value>| list.len() as u64;
        let number = |value: &Value| value.as_f64();
        match keyword {
            "type" => match rule {
                Value::Array(types) => types.iter().any(|rule| is_of_type(rule, value)),
                rule => is_of_type(rule, value),
            },
            "const" => value == rule,
            "enum" => rule.as_array().is_some_and(|words| words.contains(value)),
            "required" => value.as_object().is_none_or(|members| {
                rule.as_array()
                    .into_iter()
                    .flatten()
                    .all(|name| members.contains_key(name.as_str().unwrap_or("")))
            }),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.look(&format!("{place}/{index}"), rule, item);
                }
                true
            }
            "minItems" => value.as_array().is_none_or(|list| Some(length(list)) >= rule.as_u64()),
            "maxItems" => value.as_array().is_none_or(|list| Some(length(list)) <= rule.as_u64()),
            "minimum" => number(value).is_none_or(|found| Some(found) >= number(rule)),
            "maximum" => number(value).is_none_or(|found| Some(found) <= number(rule)),
            "minLength" => {
                value.as_str().is_none_or(|text| Some(text.chars().count() as u64) >= rule.as_u64())
            }
            "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap_or(""), text)),
            "format" if rule == "date-time" => {
                value.as_str().is_none_or(|text| Wall::parse_rfc3339(text).is_ok())
            }
            // The first two are judged with the members.
            "properties" | "additionalProperties" | "description" | "default" => true,
            "format" => rule == "int64",
            _ => false,
        }
    }
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    match rule.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    }
}

/// The patterns that there are, by hand.
fn matches(pattern: &str, text: &str) -> bool {
    let whole_path = text.starts_with('/') && !text.contains('\0');
    match pattern {
        "^[a-z0-9_-]{1,128}$" => heartbeat_runtime::flow::FlowName::new(text).is_ok(),
        "^[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?$" => heartbeat_runtime::flow::TimeOfDay::parse(text).is_ok(),
        "^wait=[0-9]+$" => text.strip_prefix("wait=").is_some_and(|it| it.parse::<u64>().is_ok()),
        "Z$" => text.ends_with('Z'),
        "^/" => text.starts_with('/'),
        "^/[^\\u0000]*$" => whole_path,
        "^/([^\\u0000]*[^/\\u0000])$" => whole_path && !text.ends_with('/'),
        _ => panic!("the pattern {pattern} is not known here"),
    }
}
