//! The `Host` field: once, and a host with an optional port.

use super::case::{Case, closes, get, keeps, refuses};

fn with(value: &str) -> Vec<u8> {
    format!("GET /healthz HTTP/1.1\r\nHost: {value}\r\n\r\n").into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        refuses(400, "9112 3.2", "none in HTTP/1.1", "GET /healthz HTTP/1.1\r\n\r\n"),
        refuses(400, "9112 3.2", "none among other fields", "GET /healthz HTTP/1.1\r\nX: Host: a\r\n\r\n"),
        refuses(400, "9112 3.2", "two that are equal", get("Host: a\r\n")),
        refuses(400, "9112 3.2", "two that differ", get("Host: b\r\n")),
        refuses(400, "9112 3.2", "two, one in another case", get("hOsT: a\r\n")),
        refuses(400, "9112 3.2", "two, far apart", get("X: y\r\nZ: y\r\nHost: a\r\n")),
        refuses(400, "9112 3.2", "two, the second empty", get("Host:\r\n")),
        refuses(400, "9112 3.2", "two in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        refuses(400, "9112 3.2", "one that is none in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"),
        closes("9112 3.2", "none in HTTP/1.0", "GET /healthz HTTP/1.0\r\n\r\n"),
        closes("9112 3.2", "one in HTTP/1.0", "GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n"),
        keeps("9110 7.2", "as the last field", "GET /healthz HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n"),
        keeps("9110 5.1", "its name in upper case", "GET /healthz HTTP/1.1\r\nHOST: a\r\n\r\n"),
        keeps("9112 5", "white space around it", "GET /healthz HTTP/1.1\r\nHost:\t a \t\r\n\r\n"),
        keeps("9112 5", "no white space before it", "GET /healthz HTTP/1.1\r\nHost:a\r\n\r\n"),
        refuses(400, "9112 5.1", "a space before its colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        refuses(400, "9112 5.2", "folded", "GET / HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
        refuses(400, "9112 5.2", "folded in the middle", "GET / HTTP/1.1\r\nHost: a\r\n .b\r\n\r\n"),
        refuses(400, "9110 5.5", "with a NUL", "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
        refuses(400, "3986 3.2.2", "beyond ASCII", &b"GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n"[..]),
    ];
    for good in [
        "a",
        "box",
        "box.example",
        "box.example.",
        "BOX-1.Example",
        "a_b",
        "a~b",
        "-",
        "127.0.0.1",
        "127.0.0.1:8787",
        "1",
        "0x7f.1",
        "a:80",
        "a:",
        "a:0",
        "a:65535",
        "a:00080",
        "[::1]",
        "[::1]:8787",
        "[::1]:",
        "[2001:DB8::1]",
        "[::ffff:127.0.0.1]",
        "[fe80::1]",
    ] {
        cases.push(keeps("9110 7.2", format!("Host {good}"), with(good)));
    }
    for (name, bad) in [
        ("empty", ""),
        ("white space", " \t"),
        ("two names", "a b"),
        ("a list", "a, b"),
        ("a list without white space", "a,b"),
        ("a port alone", ":80"),
        ("a port that is a name", "a:b"),
        ("a port out of range", "a:65536"),
        ("a port beyond 64 bits", "a:99999999999999999999"),
        ("a port with a minus", "a:-1"),
        ("a port with a plus", "a:+80"),
        ("a port with a space", "a: 80"),
        ("a port in hexadecimal", "a:0x50"),
        ("two ports", "a:80:80"),
        ("a user", "u@a"),
        ("a user and a password", "u:p@a"),
        ("a path", "a/b"),
        ("a URL", "http://a"),
        ("a URL without a scheme", "//a"),
        ("a query", "a?b"),
        ("a fragment", "a#b"),
        ("a backslash", "a\\b"),
        ("a semicolon", "a;b"),
        ("quotes", "\"a\""),
        ("angle brackets", "<a>"),
        ("an asterisk", "*"),
        ("a percent sign", "a%"),
        ("what is percent-encoded", "a%2eb"),
        ("a sub-delimiter", "a!b"),
        ("an equals sign", "a=b"),
        ("a bracket that is open", "[::1"),
        ("a bracket that is closed", "::1]"),
        ("empty brackets", "[]"),
        ("a name in brackets", "[a]"),
        ("an IPv4 address in brackets", "[127.0.0.1]"),
        ("text behind brackets", "[::1]x"),
        ("a port behind brackets, no colon", "[::1]80"),
        ("text before brackets", "x[::1]"),
        ("an IPv6 address without brackets", "::1"),
        ("a zone", "[fe80::1%25eth0]"),
        ("a zone as people write it", "[fe80::1%eth0]"),
        ("an address of the future", "[v1.x]"),
        ("an IPv6 address that is too long", "[1:2:3:4:5:6:7:8:9]"),
        ("two double colons", "[1::2::3]"),
        ("a tab", "a\tb"),
    ] {
        cases.push(refuses(400, "9112 3.2", format!("Host: {name}"), with(bad)));
    }
    cases
}
