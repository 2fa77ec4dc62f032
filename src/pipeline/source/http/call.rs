//! Asking for records by calling a method (JSON-RPC 2.0).

use serde_json::{Map, Value as Json, json};

use super::document::{self, Way};
use crate::flow::{JsonRpcCall, NextPage};
use crate::limits;

/// The id of each call: an exchange has one.
const ID: u64 = 1;

/// The call that asks for a page; null for the first.
pub(super) fn message(call: &JsonRpcCall, next: Option<&NextPage>, page: &Json) -> Vec<u8> {
    let mut message = Map::new();
    message.insert("jsonrpc".to_owned(), "2.0".into());
    message.insert("id".to_owned(), ID.into());
    message.insert("method".to_owned(), call.method.as_str().into());
    let mut params = call.params.clone();
    if let Some(NextPage::Value { parameter: Some(name), .. }) = next
        && !page.is_null()
    {
        if params.is_null() {
            params = json!({});
        }
        if let Some(params) = params.as_object_mut() {
            params.insert(name.clone(), page.clone());
        }
    }
    if !params.is_null() {
        message.insert("params".to_owned(), params);
    }
    Json::Object(message).to_string().into_bytes()
}

/// The result of a call of this method (section 5 of its specification), as it is written.
pub(super) fn result<'a>(document: &'a str, method: &str) -> Result<&'a str, String> {
    let right = "an answer of JSON-RPC 2.0 would be right";
    if !document.starts_with('{') {
        return Err(format!("what was answered is {}; {right}", document::kind(document)));
    }
    // Beside a result, JSON-RPC 1.0 has an error that is null.
    if let Some(error) = member(document, "/error")?.filter(|error| *error != "null") {
        return Err(format!("{method} failed: {}", described(error)));
    }
    match member(document, "/id")? {
        Some(id) if id == ID.to_string() => {}
        Some(id) => {
            let id: String = id.chars().take(60).collect();
            let id = id.escape_debug();
            return Err(format!("what was answered has the id {id}, and the call had {ID}; {right}"));
        }
        None => return Err(format!("what was answered has no id; {right}")),
    }
    member(document, "/result")?
        .ok_or_else(|| format!("what was answered has neither result nor error; {right}"))
}

fn member<'a>(document: &'a str, pointer: &str) -> Result<Option<&'a str>, String> {
    match document::point(document, pointer)? {
        Way::Value(value) => Ok(Some(value)),
        Way::Nowhere(_) => Ok(None),
    }
}

/// Code and message of an error; what has neither, as it is written.
fn described(error: &str) -> String {
    let part = |pointer| member(error, pointer).ok().flatten();
    let message = part("/message").and_then(|message| document::string(message).ok());
    let text = match (part("/code"), message) {
        (Some(code), Some(message)) => format!("{code} {message}"),
        _ => error.to_owned(),
    };
    let short: String = text.chars().take(limits::EXCERPT_CHARACTERS_MAX).collect();
    short.split_whitespace().collect::<Vec<_>>().join(" ").escape_debug().to_string()
}
