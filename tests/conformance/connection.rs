//! When a connection goes on, and several requests on one.

use super::case::{Case, SECOND, closes, get, keeps, post, post_of, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = persistence();
    cases.extend(pipelining());
    cases
}

fn persistence() -> Vec<Case> {
    let old = |fields: &str| format!("GET /healthz HTTP/1.0\r\n{fields}\r\n");
    let mut cases = Vec::new();
    for (name, fields) in [
        ("nothing said", ""),
        ("keep-alive", "Connection: keep-alive\r\n"),
        ("an empty list", "Connection:\r\n"),
        ("another option", "Connection: x\r\n"),
        ("an option that begins like close", "Connection: closed\r\n"),
        ("an option that ends like close", "Connection: x-close\r\n"),
        ("Keep-Alive, the field", "Keep-Alive: timeout=5, max=1\r\n"),
        ("a field that names close", "X: Connection: close\r\n"),
        ("an option that names Host", "Connection: host\r\n"),
        ("an option that names Content-Length", "Connection: content-length\r\nContent-Length: 0\r\n"),
    ] {
        cases.push(keeps("9112 9.3", format!("HTTP/1.1, {name}"), get(fields)));
    }
    for (name, fields) in [
        ("close", "Connection: close\r\n"),
        ("close in any case", "cONNECTION: CLOSE\r\n"),
        ("close in a list", "Connection: x, close, y\r\n"),
        ("close in a list without white space", "Connection: x,close\r\n"),
        ("close and keep-alive", "Connection: close, keep-alive\r\n"),
        ("keep-alive and close", "Connection: keep-alive, close\r\n"),
        ("close in a second field", "Connection: keep-alive\r\nConnection: close\r\n"),
        ("close among empty elements", "Connection: ,, close,\r\n"),
        ("close with tabs", "Connection: \tclose\t\r\n"),
        ("close with a tab behind a comma", "Connection: x,\tclose\r\n"),
        ("two words for one option", "Connection: keep-alive x\r\n"),
        ("a quoted option", "Connection: \"close\"\r\n"),
        ("an option with a byte above 0x7f", "Connection: x\u{e9}\r\n"),
    ] {
        let bytes = [&get(fields)[..], SECOND.as_bytes()].concat();
        cases.push(closes("9112 9.6", format!("HTTP/1.1, {name}: what follows is not answered"), bytes));
    }
    let bytes = post("Content-Length: 2\r\nConnection: close\r\n", &format!("{{}}{SECOND}"));
    cases.push(closes("9112 9.6", "close with content: what follows is not answered", bytes).with(&["{}"]));
    let bytes = post("Transfer-Encoding: chunked\r\nConnection: close\r\n", &format!("0\r\n\r\n{SECOND}"));
    cases.push(closes("9112 9.6", "close with chunks: what follows is not answered", bytes).with(&[""]));
    for (name, fields) in [
        ("nothing said", ""),
        ("close", "Connection: close\r\n"),
        ("another option", "Connection: x\r\n"),
        ("keep-alive and close", "Connection: keep-alive, close\r\n"),
        ("Keep-Alive, the field", "Keep-Alive: 300\r\n"),
        ("a proxy's field", "Proxy-Connection: keep-alive\r\n"),
        ("an option with a byte above 0x7f before keep-alive", "Connection: \u{e9}, keep-alive\r\n"),
        ("an option with a parameter before keep-alive", "Connection: x;y, keep-alive\r\n"),
    ] {
        let bytes = old(fields) + SECOND;
        cases.push(closes("9112 9.3", format!("HTTP/1.0, {name}: what follows is not answered"), bytes));
    }
    for (name, fields) in [
        ("keep-alive", "Connection: keep-alive\r\n"),
        ("keep-alive in any case", "Connection: Keep-Alive\r\n"),
        ("keep-alive in a list", "Connection: x, keep-alive\r\n"),
    ] {
        cases.push(keeps("9112 9.3", format!("HTTP/1.0, {name}"), old(fields)));
    }
    let bytes = post_of("1.0", "Content-Length: 2\r\n", &format!("{{}}{SECOND}"));
    cases.push(closes("9112 9.3", "HTTP/1.0 with content", bytes).with(&["{}"]));
    let bytes = post_of("1.0", "Content-Length: 2\r\nConnection: keep-alive\r\n", &format!("{{}}{SECOND}"));
    cases.push(keeps("9112 9.3", "HTTP/1.0 with content, kept", bytes).after(&[200, 200]).with(&["{}", ""]));
    cases
}

fn pipelining() -> Vec<Case> {
    let one = get("");
    let join = |parts: &[&[u8]]| parts.concat();
    let heartbeat = post("Content-Length: 2\r\n", "{}");
    vec![
        keeps("9112 9.3.2", "two requests at once", join(&[&one, &one])).after(&[200, 200]),
        keeps("9112 9.3.2", "ten requests at once", one.repeat(10)).after(&[200; 10]),
        keeps("9112 9.3.2", "answers come in order", {
            join(&[
                &one,
                &super::case::line("GET /none HTTP/1.1"),
                &heartbeat,
                b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            ])
        })
        .after(&[200, 404, 200, 204]),
        keeps("9112 9.3.2", "content between", join(&[&heartbeat, &heartbeat, &one]))
            .after(&[200, 200, 200])
            .with(&["{}", "{}", ""]),
        waits("9112 9.3.2", "a request and a part of another", join(&[&one, b"GET /heal"])).after(&[200]),
        waits("9112 9.3.2", "a request and a part of another's content", {
            join(&[&one, &post("Content-Length: 3\r\n", "{}")])
        })
        .after(&[200]),
        keeps("9112 2.2", "an empty line between", join(&[&one, b"\r\n", &one])).after(&[200, 200]),
        refuses(400, "9112 2.2", "two empty lines between", join(&[&one, b"\r\n\r\n", &one])).after(&[200]),
        refuses(400, "9112 9.3.2", "garbage behind a request", join(&[&one, b"garbage\r\n\r\n"]))
            .after(&[200]),
        refuses(400, "9112 9.3.2", "binary garbage behind a request", join(&[&one, b"\0\x01\x02", &one]))
            .after(&[200]),
        refuses(400, "9112 9.3.2", "garbage behind a heartbeat", join(&[&heartbeat, b"garbage\r\n\r\n"]))
            .after(&[200]),
        refuses(400, "9112 9.3.2", "garbage behind a heartbeat, and another", {
            join(&[&heartbeat, b"{}\r\n\r\n", &heartbeat])
        })
        .after(&[200]),
        refuses(400, "9112 9.3.2", "a bare LF behind a request", join(&[&one, b"\n", &one])).after(&[200]),
        refuses(505, "9112 9.3.2", "another version behind a request", {
            join(&[&one, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", &one])
        })
        .after(&[200]),
        refuses(400, "9112 9.3.2", "no Host in the second", join(&[&one, b"GET / HTTP/1.1\r\n\r\n", &one]))
            .after(&[200]),
        refuses(400, "9112 6.3", "an ambiguous one behind two", {
            let two = post("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
            join(&[&one, &heartbeat, &two, &one])
        })
        .after(&[200, 200]),
        refuses(
            411,
            "9110 15.5.12",
            "one without a length behind a request",
            join(&[&one, &post("", "{}"), &one]),
        )
        .after(&[200]),
        closes(
            "9112 9.6",
            "close in the second of three",
            join(&[&one, &get("Connection: close\r\n"), &one]),
        )
        .after(&[200, 200]),
        closes("9112 9.3", "HTTP/1.0 behind HTTP/1.1", join(&[&one, b"GET /healthz HTTP/1.0\r\n\r\n", &one]))
            .after(&[200, 200]),
        refuses(
            501,
            "9110 9.3.6",
            "CONNECT behind a request",
            join(&[&one, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", &one]),
        )
        .after(&[200]),
    ]
}
