//! Records that are asked for by calling a method.

use super::*;

fn calling(rest: Json) -> HttpSource {
    let mut settings = json!({ "json_rpc": { "method": "list" } });
    for (name, value) in rest.as_object().unwrap() {
        settings[name] = value.clone();
    }
    source(settings)
}

fn body(source: &mut HttpSource, cursor: &Json) -> Json {
    let exchange = asked(source, cursor);
    assert_eq!(exchange.method, Method::Post);
    serde_json::from_slice(&exchange.body.unwrap()).unwrap()
}

#[test]
fn a_call_is_sent_and_its_result_holds_the_records() {
    let mut source = calling(
        json!({ "json_rpc": { "method": "list", "params": { "b": 1, "a": [2] } }, "pointer": "/rows" }),
    );
    let exchange = asked(&mut source, &Json::Null);
    assert_eq!(
        (exchange.method, exchange.url.to_string().as_str()),
        (Method::Post, "http://box/a?key=hunter2")
    );
    assert_eq!(exchange.fields, [("Content-Type".to_owned(), "application/json".to_owned())]);
    let sent: Json = serde_json::from_slice(&exchange.body.unwrap()).unwrap();
    assert_eq!(sent, json!({ "jsonrpc": "2.0", "id": 1, "method": "list", "params": { "b": 1, "a": [2] } }));
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"rows":[{"a":1.0}]}}"#;
    source.happened(Happened::Answered(Ok(Box::new(answer(200, &[("ETag", "\"v\"")], result)))));
    let (progress, records) = read(&mut source, &Json::Null).unwrap();
    assert_eq!(records, [("{\"a\":1.0}".to_owned(), 0)]);
    assert!(progress.is_end && progress.cursor.is_null(), "a POST is never asked by what it was called");
    assert_eq!(
        body(&mut calling(json!({})), &Json::Null),
        json!({ "jsonrpc": "2.0", "id": 1, "method": "list" })
    );
    let typed =
        asked(&mut calling(json!({ "headers": { "content-type": "application/json-rpc" } })), &Json::Null);
    assert_eq!(typed.fields.len(), 1);
}

#[test]
fn a_cursor_from_elsewhere_puts_no_condition_on_a_call() {
    let mut source = calling(json!({}));
    let cursor = json!({ "etag": "\"v\"", "settings": source.digest });
    assert_eq!(asked(&mut source, &cursor).fields.len(), 1);
}

#[test]
fn an_answer_that_is_none_to_the_call_fails() {
    for (answered, why) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method\nnot found"}}"#,
            "list failed: -32601 Method not found",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}"#,
            "list failed: -32700 Parse error",
        ),
        (r#"{"id":1,"error":"nope"}"#, "list failed: \\\"nope\\\""),
        (
            r#"{"id":2,"result":[]}"#,
            "has the id 2, and the call had 1; an answer of JSON-RPC 2.0 would be right",
        ),
        (r#"{"id":"1","result":[]}"#, "has the id \\\"1\\\", and the call had 1"),
        (r#"{"result":[]}"#, "has no id"),
        (r#"{"id":1}"#, "has neither result nor error"),
        (r#"[{"id":1,"result":[]}]"#, "what was answered is an array"),
        ("7", "what was answered is a number"),
        (r#"{"id":1,"result":7}"#, "it is a number; an array of objects, or one object"),
        ("nope", "it is no JSON"),
    ] {
        let failure = exchange(&mut calling(json!({})), &Json::Null, answer(200, &[], answered)).unwrap_err();
        assert!(failure.starts_with("http://box/a: ") && failure.contains(why), "{answered}: {failure}");
    }
    for nothing in [r#"{"id":1,"result":null}"#, r#"{"id":1,"result":[],"error":null}"#] {
        let (_, records) = exchange(&mut calling(json!({})), &Json::Null, answer(200, &[], nothing)).unwrap();
        assert!(records.is_empty());
    }
}

#[test]
fn the_next_page_is_a_parameter_of_the_next_call() {
    let settings = json!({
        "json_rpc": { "method": "list", "params": { "limit": 2 } },
        "pointer": "/rows", "next": { "value": { "pointer": "/next", "parameter": "after" } },
    });
    let page = |rows: &str, next: &str| {
        answer(200, &[], format!(r#"{{"id":1,"result":{{"rows":{rows},"next":{next}}}}}"#))
    };
    let mut one = source(settings.clone());
    let (progress, records) = exchange(&mut one, &Json::Null, page(r#"[{"n":1},{"n":2}]"#, "12")).unwrap();
    assert_eq!((progress.is_end, records.len()), (false, 2));
    assert_eq!(plain(&progress.cursor), json!({ "parameter": 12, "taken": 0 }));
    assert_eq!(body(&mut one, &progress.cursor)["params"], json!({ "limit": 2, "after": 12 }));
    one.happened(Happened::Answered(Ok(Box::new(page(r#"[{"n":3}]"#, "null")))));
    let (progress, _) = read(&mut one, &progress.cursor).unwrap();
    assert_eq!((plain(&progress.cursor), progress.is_end), (json!({ "parameter": 12, "taken": 1 }), true));
    let (progress, records) =
        exchange(&mut source(settings.clone()), &progress.cursor, page(r#"[{"n":3},{"n":4}]"#, "\"x\""))
            .unwrap();
    assert_eq!(records, [("{\"n\":4}".to_owned(), 1)]);
    assert_eq!(plain(&progress.cursor), json!({ "parameter": "x", "taken": 0 }));
    for (next, why) in [
        ("[]", "is an array; a text or number would be right"),
        ("{}", "is an object; a text or number"),
        ("true", "is a boolean; a text or number"),
        ("1.50", "a whole number of 64 bits, or a text, would be right"),
        ("12345678901234567890123", "a whole number of 64 bits"),
    ] {
        let cursor = json!({ "parameter": 12, "taken": 0 });
        let failure = exchange(&mut source(settings.clone()), &cursor, page("[{}]", next)).unwrap_err();
        assert!(failure.contains(why), "{next}: {failure}");
    }
    let judging = source(settings);
    assert_eq!(judging.check_cursor(&json!({ "parameter": null, "taken": 3 })), Ok(()));
    for wrong in
        [json!({ "parameter": [], "taken": 3 }), json!({ "taken": 3 }), json!({ "parameter": 1 }), json!("x")]
    {
        let why = judging.check_cursor(&wrong).unwrap_err();
        assert!(why.contains("null or {\"parameter\": VALUE, \"taken\": N}"), "{wrong}: {why}");
    }
}

#[test]
fn a_first_page_without_params_gets_them_with_the_second() {
    let settings = json!({
        "json_rpc": { "method": "list" }, "next": { "value": { "pointer": "/next", "parameter": "after" } },
        "pointer": "/rows",
    });
    let mut source = source(settings);
    assert!(body(&mut source, &json!(null)).get("params").is_none());
    assert_eq!(
        body(&mut source, &json!({ "parameter": "a", "taken": 0 }))["params"],
        json!({ "after": "a" })
    );
}
