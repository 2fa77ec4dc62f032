//! What `[sink]` of the type `http` says, and what it may not say.

use serde_json::json;

use super::{faults, found, into, settings};

/// A sink on the lines 5 to 7, with what follows from line 8 on.
fn http(rest: &str) -> String {
    into(&format!("[sink]\ntype = 'http'\nurl = 'http://box/in'\n{rest}"))
}

#[test]
fn a_short_sink_takes_the_defaults_and_a_long_one_is_read_whole() {
    let expected = json!({
        "type": "http", "url": "http://box/in", "timeout_ms": 30_000, "follow_redirects": false, "format": "json",
        "on_rejection": "dead-letter",
    });
    assert_eq!(settings(&http(""))["sink"], expected);
    let long = "format = 'json-rpc'\nmethod = 'readings.add'\nheaders = { Accept = 'application/json' }\n\
                header_files = { Authorization = 'token' }\nsecret_file = '../receiver.secret'\ntimeout = '90s'\n\
                follow_redirects = true\non_rejection = 'fail'";
    let expected = json!({
        "type": "http", "url": "http://box/in", "timeout_ms": 90_000, "follow_redirects": true, "format": "json-rpc",
        "method": "readings.add", "headers": { "Accept": "application/json" },
        "header_files": { "Authorization": "/box/flows/token" }, "secret_file": "/box/flows/../receiver.secret",
        "on_rejection": "fail",
    });
    assert_eq!(settings(&http(long))["sink"], expected);
    assert_eq!(settings(&http("format = 'jsonl'"))["sink"]["format"], "jsonl");
}

#[test]
fn what_a_sink_may_not_say_stands_where_it_is_said() {
    let method = "name the method that takes records, such as method = \"readings.add\" under [sink]";
    let own = "leave it out: it is set for each batch";
    let only = "remove it, or write format = \"json-rpc\"; batches go by POST";
    for (rest, expected) in [
        (
            "format = 'json-rpc'",
            found(8, "sink.format", "is \"json-rpc\", and there is no method to call", method),
        ),
        ("method = 'm'", found(8, "sink.method", "is of JSON-RPC, which the format is not", only)),
        (
            "headers = { idempotency-key = 'a' }",
            found(8, "sink.headers", "names idempotency-key, which is the batch's own", own),
        ),
        (
            "header_files = { Webhook-Id = 'a' }\nsecret_file = 's'",
            found(8, "sink.header_files", "names Webhook-Id, which is the batch's own", own),
        ),
        (
            "secret_file = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'",
            found(
                8,
                "sink.secret_file",
                "a secret stands where a path belongs",
                "put the secret in a file that only you can read (chmod 600) and give its path",
            ),
        ),
        (
            "on_rejection = 'drop'",
            found(
                8,
                "sink.on_rejection",
                "the text `drop` is not one of the words",
                "give one of \"dead-letter\", \"fail\", such as on_rejection = \"dead-letter\" under [sink]",
            ),
        ),
        (
            "headers = { A = 'b' }\nheader_files = { a = 'b' }",
            found(9, "sink.header_files", "names a, which stands in headers as well", "keep one of the two"),
        ),
    ] {
        assert_eq!(faults(&http(rest)), [expected]);
    }
    let https = faults(&http("").replace("http://", "https://"));
    assert!(
        matches!(&https[..], [(7, key, why, _)] if key == "sink.url" && why.contains("TLS")),
        "{https:?}"
    );
    // Without a secret nothing is signed, and its fields are anybody's.
    assert!(settings(&http("headers = { webhook-id = 'a' }")).is_object());
}
