//! The request line and its version.

use super::case::{Case, closes, keeps, line, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = well_formed();
    cases.extend(malformed());
    cases.extend(versions());
    cases.extend(every_byte());
    cases
}

fn well_formed() -> Vec<Case> {
    vec![
        keeps("9112 3", "method, target and version with one space between", line("GET /healthz HTTP/1.1")),
        keeps("9112 2.2", "one empty line before it", "\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"),
        keeps("9112 2.2", "an empty line and nothing yet", "\r\n").after(&[]),
        keeps("9112 2.2", "an empty line behind a request", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n\r\n"),
        keeps(
            "9112 2.2",
            "content that an old sender ends with an empty line, and another request",
            "POST /data_flows/heartbeat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}\r\n\
             GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .after(&[200, 200])
        .with(&["{}", ""]),
        waits("9112 2.1", "nothing but a request line", "GET /healthz HTTP/1.1\r\n"),
        waits("9112 2.1", "a head without its empty line", "GET /healthz HTTP/1.1\r\nHost: a\r\n"),
        waits("9112 2.1", "a head without its last byte", "GET /healthz HTTP/1.1\r\nHost: a\r\n\r"),
    ]
}

fn malformed() -> Vec<Case> {
    let mut cases = vec![
        refuses(400, "9112 2.2", "two empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "a bare LF before it", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "a bare CR before it", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "CR LF LF before it", "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "a bare LF behind it", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "a bare CR behind it", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "CR CR LF behind it", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 2.2", "LF CR behind it", "GET / HTTP/1.1\n\rHost: a\r\n\r\n"),
        refuses(
            400,
            "9112 2.2",
            "white space between it and the first field",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        ),
        refuses(
            400,
            "9112 2.2",
            "a line of white space before the fields",
            "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
        ),
        refuses(
            400,
            "9112 2.2",
            "TLS on a port without",
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        ),
        refuses(400, "9112 2.2", "binary nonsense", &b"\x80\xff\xfe\r\n\r\n"[..]),
        refuses(400, "9112 2.2", "a proxy's preamble", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n\r\n"),
        refuses(400, "9112 3", "a request line and an empty line alone", "\r\n\r\n"),
    ];
    for (name, bad) in [
        ("a space before the method", " GET / HTTP/1.1"),
        ("a tab before the method", "\tGET / HTTP/1.1"),
        ("no method", "/ HTTP/1.1"),
        ("an empty method", " / HTTP/1.1"),
        ("two spaces before the target", "GET  / HTTP/1.1"),
        ("two spaces before the version", "GET /  HTTP/1.1"),
        ("a tab before the target", "GET\t/ HTTP/1.1"),
        ("a tab before the version", "GET /\tHTTP/1.1"),
        ("space and tab before the target", "GET \t/ HTTP/1.1"),
        ("a space behind the version", "GET / HTTP/1.1 "),
        ("a tab behind the version", "GET / HTTP/1.1\t"),
        ("a fourth word", "GET / HTTP/1.1 x"),
        ("a space in the target", "GET /a b HTTP/1.1"),
        ("no target", "GET HTTP/1.1"),
        ("an empty target", "GET  HTTP/1.1"),
        ("a method alone", "GET"),
        ("a method and a space", "GET "),
        ("a field in its place", "Host: b"),
        ("a colon behind the method", "GET: / HTTP/1.1"),
        ("an answer", "HTTP/1.1 200 OK"),
        ("a method in quotes", "\"GET\" / HTTP/1.1"),
    ] {
        cases.push(refuses(400, "9112 3", name, line(bad)));
    }
    cases
}

fn versions() -> Vec<Case> {
    let mut cases = vec![
        closes("9112 9.3", "HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n"),
        refuses(400, "9112 3", "HTTP/0.9: no version, and an empty line", "GET /healthz\r\n\r\n"),
        refuses(400, "9112 3", "HTTP/0.9 with a bare LF", "GET /healthz\n"),
        refuses(400, "9112 3", "HTTP/0.9 with a space", "GET /healthz \r\n\r\n"),
        refuses(400, "9112 3", "HTTP/0.9 with fields", "GET /healthz\r\nHost: a\r\n\r\n"),
        waits("9112 3", "HTTP/0.9: no version, and no empty line: never its answer", "GET /healthz\r\n"),
        refuses(505, "9113 3.4", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ];
    for version in ["2.0", "3.0", "0.9", "1.2", "1.9", "9.9", "0.0", "2.1"] {
        let name = format!("version {version}");
        cases.push(refuses(505, "9110 15.6.6", name, line(&format!("GET / HTTP/{version}"))));
    }
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/.1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTP/01.1",
        "HTTP/1.01",
        "HTTP/12.1",
        "HTTP/1.1.1",
        "HTTP/1,1",
        "HTTP/1.x",
        "HTTP/a.1",
        "HTTP/+1.1",
        "HTTP/-1.1",
        "HTTP/ 1.1",
        "HTTP /1.1",
        "http/1.1",
        "Http/1.1",
        "HTTPS/1.1",
        "HTP/1.1",
        "HTTP1.1",
        "HTTP\\1.1",
        "HTTP//1.1",
        "ICY/1.1",
        "XHTTP/1.1",
        "HTTP/1.1x",
        "1.1",
        "HTTP/",
        "HTTP",
    ] {
        cases.push(refuses(400, "9112 2.3", format!("version {version}"), line(&format!("GET / {version}"))));
    }
    cases
}

/// Of each control byte and of what is beyond ASCII, where it stands in a request line.
fn every_byte() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in (0..32_u8).chain([127, 128, 255]).filter(|byte| !b"\r\n\t".contains(byte)) {
        let place = |before: &str, behind: &str| {
            [before.as_bytes(), &[byte], behind.as_bytes(), b"\r\nHost: a\r\n\r\n"].concat()
        };
        let name = |place: &str| format!("byte {byte:#04x} in the {place}");
        cases.push(refuses(400, "9112 3.2", name("target"), place("GET /", " HTTP/1.1")));
        if [0, 11, 12, 31, 127, 128].contains(&byte) {
            cases.push(refuses(400, "9112 3.1", name("method"), place("G", "ET / HTTP/1.1")));
            cases.push(refuses(400, "9112 3", name("place of a space"), place("GET", "/ HTTP/1.1")));
            cases.push(refuses(400, "9112 2.3", name("version"), place("GET / HTTP/1.1", "")));
        }
    }
    cases
}
