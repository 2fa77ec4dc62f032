//! What an answer to a batch says of it: taken, refused, or neither.

use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::http::client::{Answer, Url};
use crate::limits;
use crate::pipeline::conversation;
use crate::pipeline::sink::{Form, Outbox};

/// A call of JSON-RPC names a method that the server does not have.
const METHOD_NOT_FOUND: i64 = -32601;

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is theirs.
    Taken,
    /// They will never take it: why.
    Refused(String),
    /// They do not take anything from us as we are set up.
    Misdirected(String),
    /// They may take it a little later.
    NotNow(String),
    /// They said neither.
    Unclear(String),
}

/// Judges an answer. One that a conversation repeats by itself may be given here as well, and is never a refusal.
pub(super) fn of(outbox: &Outbox, url: &Url, answer: &Answer) -> Verdict {
    let said = || described(url, answer);
    match answer.status {
        200..300 if outbox.form == Form::JsonRpc => called(&outbox.key, url, answer),
        200..300 => Verdict::Taken,
        // 409: a request with this key is under way (draft-ietf-httpapi-idempotency-key-header).
        408 | 409 | 423 | 425 | 429 => Verdict::NotNow(said()),
        // They speak of where we ask, of who we are and of the fields that we send, whatever the records are.
        401..=407 | 410 | 414 | 421 | 426 | 428 | 431 | 451 => Verdict::Misdirected(said()),
        400..500 => Verdict::Refused(said()),
        300..400 => Verdict::Unclear(said()),
        // What is above 599 means what a 500 means.
        _ => Verdict::NotNow(said()),
    }
}

/// What a call of JSON-RPC 2.0 came to.
fn called(key: &str, url: &Url, answer: &Answer) -> Verdict {
    let unclear = |why: &str| Verdict::Unclear(format!("{}: {why}", described(url, answer)));
    let Ok(response) = serde_json::from_slice::<BTreeMap<String, &RawValue>>(&answer.body) else {
        return unclear("that is no response of JSON-RPC 2.0");
    };
    let member = |name: &str| response.get(name).and_then(|value| serde_json::from_str(value.get()).ok());
    let id = member("id").unwrap_or(Json::Null);
    let is_ours = id.as_str() == Some(key);
    match response.get("error").filter(|error| error.get() != "null") {
        // A server that could not read our id says null.
        Some(error) if is_ours || id.is_null() => failed(url, member("error").as_ref(), error.get()),
        None if is_ours && response.contains_key("result") => Verdict::Taken,
        None if is_ours => unclear("a response of JSON-RPC 2.0 has a result or an error"),
        _ => unclear("a response of JSON-RPC 2.0 has the id of its call, which is the batch's key"),
    }
}

/// An error, which may be too deep to be read.
fn failed(url: &Url, error: Option<&Json>, text: &str) -> Verdict {
    let member = |name: &str| error.and_then(|error| error.get(name));
    let code = member("code").and_then(Json::as_i64);
    let message = excerpt(member("message").and_then(Json::as_str).unwrap_or(text));
    let shown_code = code.map_or_else(String::new, |code| format!(" {code}"));
    let said = format!("{} answered with the error{shown_code}: {message}", url.without_query());
    if code == Some(METHOD_NOT_FOUND) { Verdict::Misdirected(said) } else { Verdict::Refused(said) }
}

/// Who answered what, and how the content begins.
fn described(url: &Url, answer: &Answer) -> String {
    let text = excerpt(&String::from_utf8_lossy(&answer.body));
    let colon = if text.is_empty() { "" } else { ": " };
    format!("{}{colon}{text}", conversation::described(url, answer))
}

/// The begin of a text on one line, without what cannot be seen.
fn excerpt(text: &str) -> String {
    let is_shown = |letter: &char| {
        *letter != char::REPLACEMENT_CHARACTER
            && (matches!(letter, '"' | '\'' | '\\') || letter.escape_debug().len() == 1)
    };
    let words = text.split_whitespace().map(|word| word.chars().filter(is_shown).collect::<String>());
    let mut out = String::new();
    let mut count = 0;
    for word in words.filter(|word| !word.is_empty()) {
        let space = if out.is_empty() { "" } else { " " };
        for letter in space.chars().chain(word.chars()) {
            if count == limits::EXCERPT_CHARACTERS_MAX {
                return out + "…";
            }
            out.push(letter);
            count += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Counters;
    use crate::pipeline::sink::Carrier;

    fn judged(form: Form, status: u16, body: &str) -> Verdict {
        let outbox = Outbox {
            carrier: Carrier::Http,
            key: "batch_1".to_owned(),
            body: String::new(),
            form,
            tally: Counters::default(),
        };
        let url = Url::parse("http://box/in?token=hunter2").unwrap();
        of(&outbox, &url, &Answer { status, body: body.into(), ..Answer::default() })
    }

    #[test]
    fn each_status_says_whether_a_batch_is_taken() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(Form::Json, status, "whatever"), Verdict::Taken);
        }
        type Makes = fn(String) -> Verdict;
        let classes: [(&[u16], Makes); 4] = [
            (&[400, 411, 412, 413, 415, 416, 417, 418, 422, 424, 499], Verdict::Refused),
            (&[401, 402, 403, 404, 405, 406, 407, 410, 414, 421, 426, 428, 431, 451], Verdict::Misdirected),
            (&[408, 409, 423, 425, 429, 500, 501, 503, 505, 507, 511, 599, 600, 999], Verdict::NotNow),
            (&[300, 304, 305, 399], Verdict::Unclear),
        ];
        for (statuses, verdict) in classes {
            for status in statuses {
                let said = verdict(format!("http://box/in answered {status}: no \"way\""));
                assert_eq!(judged(Form::Jsonl, *status, " no\r\n\"way\"\n"), said);
            }
        }
    }

    #[test]
    fn a_call_is_taken_if_its_answer_has_a_result_and_its_id() {
        for body in [
            r#"{"jsonrpc":"2.0","id":"batch_1","result":null}"#,
            r#"{"result":{"n":1e400},"error":null,"id":"batch_1"}"#,
        ] {
            assert_eq!(judged(Form::JsonRpc, 200, body), Verdict::Taken, "{body}");
        }
        for body in [
            "",
            "OK",
            "[]",
            r#"{"id":"batch_1"}"#,
            r#"{"id":"batch_1","error":null}"#,
            r#"{"result":1}"#,
            r#"{"id":"batch_2","result":1}"#,
            r#"{"id":1,"result":1}"#,
            r#"{"id":"batch_2","error":{"code":1,"message":"no"}}"#,
            r#"[{"id":"batch_1","result":1}]"#,
        ] {
            let verdict = judged(Form::JsonRpc, 200, body);
            assert!(matches!(verdict, Verdict::Unclear(_)), "{body}: {verdict:?}");
        }
        assert!(matches!(judged(Form::JsonRpc, 422, "{}"), Verdict::Refused(_)));
    }

    #[test]
    fn an_error_of_a_call_is_told_with_code_and_message() {
        for (error, said) in [
            (r#"{"code":-32000,"message":"too\nold"}"#, " answered with the error -32000: too old"),
            (r#"{"code":7}"#, " answered with the error 7: {\"code\":7}"),
            (r#""no""#, " answered with the error: \"no\""),
        ] {
            for id in ["null", "\"batch_1\""] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
                let refused = Verdict::Refused(format!("http://box/in{said}"));
                assert_eq!(judged(Form::JsonRpc, 200, &body), refused);
            }
        }
        let unknown = r#"{"id":"batch_1","error":{"code":-32601,"message":"Method not found"}}"#;
        assert!(matches!(judged(Form::JsonRpc, 200, unknown), Verdict::Misdirected(_)));
    }

    #[test]
    fn what_is_told_of_an_answer_is_one_short_line_that_can_be_seen() {
        assert_eq!(excerpt(" a\t\u{1b}[31mb\u{202e} \u{0} caf\u{e9}\u{fffd}\n"), "a [31mb caf\u{e9}");
        let long = "ab ".repeat(100);
        let told = excerpt(&long);
        assert_eq!((told.chars().count(), told.ends_with("ab…")), (limits::EXCERPT_CHARACTERS_MAX + 1, true));
        assert_eq!(excerpt(&long[..199]), long[..199].trim());
    }
}
