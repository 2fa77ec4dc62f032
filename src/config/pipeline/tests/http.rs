//! The source `http` as authors write it, and the keys of whoever speaks HTTP.

use super::*;

fn http(rest: &str) -> String {
    from(&format!("[source]\ntype = 'http'\nurl = 'http://box/a'\n{rest}"))
}

#[test]
fn a_source_is_a_url_and_what_differs_from_the_defaults() {
    let short = settings(&http(""));
    let expected = json!({
        "type": "http", "url": "http://box/a", "timeout_ms": 30000, "follow_redirects": false, "format": "json",
    });
    assert_eq!(short["source"], expected);
    let long = settings(&http(
        "headers = { Accept = 'application/json' }\nheader_files = { Authorization = '../token' }\n\
         pointer = '/data/a~1b'\nnext = { pointer = '/meta/next', parameter = 'cursor' }\ntimeout = '1500ms'\n\
         follow_redirects = true\njson_rpc = { method = 'list', params = { limit = 10, deep = [1.5, 'x'] } }",
    ));
    let expected = json!({
        "type": "http", "url": "http://box/a", "headers": { "Accept": "application/json" },
        "header_files": { "Authorization": "/box/flows/../token" }, "timeout_ms": 1500, "follow_redirects": true,
        "format": "json", "pointer": "/data/a~1b",
        "next": { "value": { "pointer": "/meta/next", "parameter": "cursor" } },
        "json_rpc": { "method": "list", "params": { "limit": 10, "deep": [1.5, "x"] } },
    });
    assert_eq!(long["source"], expected);
    let lines = settings(&http("format = 'jsonl'\nnext = 'link'"));
    assert_eq!((&lines["source"]["format"], &lines["source"]["next"]), (&json!("jsonl"), &json!("link")));
    let url = settings(&http("pointer = ''\nnext = { pointer = '/next' }"));
    assert_eq!(url["source"]["pointer"], json!(""), "each page is a record");
    assert_eq!(url["source"]["next"], json!({ "value": { "pointer": "/next" } }));
}

/// Message and help of the only fault, which is of this key.
#[track_caller]
fn fault(text: &str, key: &str) -> (String, String) {
    let mut faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    let (line, found, message, help) = faults.remove(0);
    assert!(found == key && line > 0, "{found} on line {line}: {message}");
    (message, help)
}

#[test]
fn a_url_that_cannot_be_asked_is_refused_and_not_repeated() {
    let url = |url: &str| fault(&from(&format!("[source]\ntype = 'http'\nurl = '{url}'")), "source.url");
    let (message, help) = url("https://box/a?token=hunter2");
    assert_eq!(message, "https needs a build with TLS, which there is not yet");
    assert_eq!(help, "http would be right");
    for (text, why) in [
        ("box/a?hunter2", "begins with http://"),
        ("http://hunter2@box/", "give credentials in header_files"),
        ("http://box/#hunter2", "no fragment"),
        ("http://box/hunter2 a", "visible ASCII"),
        ("", "begins with"),
    ] {
        let (message, help) = url(text);
        assert!(
            message.contains(why) && help.starts_with("give an absolute http URL, such as"),
            "{text}: {message}"
        );
        assert!(!format!("{message}{help}").contains("hunter2"), "{message} {help}");
    }
    let (message, help) = fault(&from("[source]\ntype = 'http'"), "source.url");
    assert!(
        message == "is missing" && help.contains("url = \"http://192.168.1.20/readings\" under [source]")
    );
}

#[test]
fn fields_are_those_that_a_request_can_have() {
    for (rest, key, why) in [
        ("headers = { 'a b' = 'c' }", "source.headers.a b", "is not a field's name"),
        ("headers = { Host = 'c' }", "source.headers.Host", "set by the client itself"),
        ("headers = { A = ' hunter2' }", "source.headers.A", "begins or ends with white space"),
        (
            "headers = { A = \"hunter2\\nB: c\" }",
            "source.headers.A",
            "a line end or another control character",
        ),
        ("headers = { A = 7 }", "source.headers.A", "is not text"),
        ("headers = { A = ['hunter2'] }", "source.headers.A", "is not text"),
        (
            "headers = { A = 'b', a = 'c' }",
            "source.headers.a",
            "is there twice: fields take no note of capitals",
        ),
        ("headers = 'A: hunter2'", "source.headers", "is not a table"),
        ("header_files = { Host = 'c' }", "source.header_files.Host", "set by the client itself"),
        ("header_files = { A = '' }", "source.header_files.A", "the path is empty"),
        (
            "header_files = { A = 'whsec_hunter2' }",
            "source.header_files.A",
            "a secret stands where a path belongs",
        ),
        ("header_files = { A = 'tokens/' }", "source.header_files.A", "is a folder, not a file"),
        (
            "headers = { A = 'b' }\nheader_files = { a = 'c' }",
            "source.header_files",
            "names a, which stands in headers",
        ),
    ] {
        let (message, help) = fault(&http(rest), key);
        assert!(message.contains(why), "{rest}: {message}");
        assert!(!format!("{message}{help}").contains("hunter2"), "{message} {help}");
    }
    let many: Vec<String> = (0..65).map(|number| format!("h{number} = 'x'")).collect();
    let (message, _) = fault(&http(&format!("headers = {{ {} }}", many.join(", "))), "source.headers");
    assert_eq!(message, "has 65 fields, more than 64");
}

#[test]
fn each_value_is_judged_where_it_stands() {
    for (rest, key, why) in [
        ("timeout = '50ms'", "source.timeout", "too little"),
        ("timeout = '1h'", "source.timeout", "too much"),
        ("format = 'csv'", "source.format", "is not one of the words"),
        ("format = 'json-rpc'", "source.format", "is not one of the words"),
        ("pointer = 'data'", "source.pointer", "does not begin with a slash"),
        ("pointer = '/a~2'", "source.pointer", "has a ~ that is followed by neither 0 nor 1"),
        ("pointer = '/a~'", "source.pointer", "has a ~ that is followed by neither 0 nor 1"),
        ("next = 'page'", "source.next", "is neither \"link\" nor a table"),
        ("next = { parameter = 'p' }", "source.next.pointer", "is missing"),
        ("next = { pointer = '/p', parameter = '' }", "source.next.parameter", "the name is empty"),
        (
            "next = { pointer = '/p', paramter = 'p' }",
            "source.next.paramter",
            "is not a key that is known here",
        ),
        ("json_rpc = 'list'", "source.json_rpc", "is not a table"),
        ("json_rpc = { params = {} }", "source.json_rpc.method", "is missing"),
        (
            "json_rpc = { method = 'a', params = 1 }",
            "source.json_rpc.params",
            "is neither a table nor a list",
        ),
        ("json_rpc = { method = 'a', params = [inf] }", "source.json_rpc.params", ""),
        ("method = 'POST'", "source.method", "is not a key that is known here"),
    ] {
        let (message, _) = fault(&http(rest), key);
        assert!(message.contains(why), "{rest}: {message}");
    }
}

#[test]
fn keys_that_get_in_each_others_way_are_told_of() {
    let call = "json_rpc = { method = 'a' }\n";
    for (rest, key, why) in [
        ("format = 'jsonl'\npointer = '/a'".to_owned(), "source.pointer", "stands beside format = \"jsonl\""),
        (format!("format = 'jsonl'\n{call}"), "source.json_rpc", "stands beside format = \"jsonl\""),
        ("format = 'jsonl'\nnext = { pointer = '/a' }".to_owned(), "source.next", "points into a document"),
        (
            "next = { pointer = '/next', parameter = 'p' }".to_owned(),
            "source.next",
            "points into a document that without pointer is one record",
        ),
        (format!("{call}next = 'link'"), "source.next", "names a URL, and all calls go to one"),
        (format!("{call}next = {{ pointer = '/a' }}"), "source.next", "names a URL, and all calls go to one"),
        (
            "json_rpc = { method = 'a', params = [1] }\nnext = { pointer = '/a', parameter = 'p' }"
                .to_owned(),
            "source.json_rpc",
            "has a list of params",
        ),
    ] {
        let (message, _) = fault(&http(&rest), key);
        assert!(message.contains(why), "{rest}: {message}");
    }
    let (_, help) = fault(&http("next = { pointer = '/next' }"), "source.next");
    assert!(help.contains("pointer = \"/data\"") && help.contains("pointer = \"\" if each page"), "{help}");
    settings(&http(&format!("{call}next = {{ pointer = '/a', parameter = 'p' }}")));
    let (message, help) = fault(&format!("{}[batch]\nwhole = true\n", http("next = 'link'")), "source.next");
    assert!(message.contains("whole = true") && help.contains("each page is a batch"), "{message} {help}");
    settings(&format!("{}[batch]\nwhole = true\n", http("")));
}
