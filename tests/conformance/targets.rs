//! The request target in its four forms.

use super::case::{Case, keeps, line, refuses};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = origin_form();
    cases.extend(absolute_form());
    cases.extend(other_forms());
    cases
}

fn origin_form() -> Vec<Case> {
    let mut cases = vec![
        keeps("9112 3.2.1", "a path", line("GET /healthz HTTP/1.1")),
        keeps("9112 3.2.1", "a path and a query", line("GET /healthz?a=b&c=d HTTP/1.1")),
        keeps("9112 3.2.1", "an empty query", line("GET /healthz? HTTP/1.1")),
        keeps("3986 3.4", "a query with slashes and question marks", line("GET /healthz?/a?b HTTP/1.1")),
        keeps("9112 3.2.1", "the root", line("GET / HTTP/1.1")).after(&[404]),
        keeps("3986 3.3", "empty segments", line("GET //healthz HTTP/1.1")).after(&[404]),
        keeps("3986 5.2.4", "dot segments are not resolved", line("GET /x/../healthz HTTP/1.1"))
            .after(&[404]),
        keeps("3986 2.1", "what is percent-encoded is not decoded", line("GET /%68ealthz HTTP/1.1"))
            .after(&[404]),
        keeps("3986 2.1", "an encoded slash", line("GET /x%2fy HTTP/1.1")).after(&[404]),
        keeps("3986 2.1", "an encoded NUL", line("GET /%00 HTTP/1.1")).after(&[404]),
        keeps("3986 2.1", "encoded line ends", line("GET /%0d%0aHost:%20b HTTP/1.1")).after(&[404]),
        keeps("9110 4.2.3", "paths are case-sensitive", line("GET /Healthz HTTP/1.1")).after(&[404]),
        keeps("3986 3.3", "a URL behind a slash is a path", line("GET /http://b/healthz HTTP/1.1"))
            .after(&[404]),
        refuses(400, "9110 7.1", "a fragment", line("GET /healthz#a HTTP/1.1")),
        refuses(400, "9110 7.1", "a fragment behind a query", line("GET /healthz?a#b HTTP/1.1")),
        refuses(400, "3986 2", "letters beyond ASCII", line("GET /\u{e9} HTTP/1.1")),
    ];
    for byte in "-._~!$&'()*+,;=:@".chars() {
        let bytes = line(&format!("GET /x{byte}y HTTP/1.1"));
        cases.push(keeps("3986 3.3", format!("{byte} in a path"), bytes).after(&[404]));
        let bytes = line(&format!("GET /healthz?x{byte}y HTTP/1.1"));
        cases.push(keeps("3986 3.4", format!("{byte} in a query"), bytes));
    }
    for byte in "\"<>\\^`{|}[]".chars() {
        let bytes = line(&format!("GET /x{byte}y HTTP/1.1"));
        cases.push(refuses(400, "3986 3.3", format!("{byte} in a path"), bytes));
    }
    for byte in "\"<>".chars() {
        let bytes = line(&format!("GET /healthz?x{byte}y HTTP/1.1"));
        cases.push(refuses(400, "3986 3.4", format!("{byte} in a query"), bytes));
    }
    cases
}

fn absolute_form() -> Vec<Case> {
    let mut cases = vec![
        keeps("9112 3.2.2", "a URL", line("GET http://a/healthz HTTP/1.1")),
        keeps("9112 3.2.2", "a URL with a port and a query", line("GET http://a:8787/healthz?b HTTP/1.1")),
        keeps("9110 4.2.3", "its scheme in any case", line("GET HTTP://a/healthz HTTP/1.1")),
        keeps(
            "9110 4.2.2",
            "its scheme https, from a proxy that ends TLS",
            line("GET https://a/healthz HTTP/1.1"),
        ),
        keeps("9112 3.2.2", "another host than Host's: it counts", line("GET http://b/healthz HTTP/1.1")),
        keeps("3986 3.2.2", "an IPv6 address", line("GET http://[::1]:80/healthz HTTP/1.1")),
        keeps("3986 3.2.3", "an empty port", line("GET http://a:/healthz HTTP/1.1")),
        keeps("9110 4.2.3", "no path is the root", line("GET http://a HTTP/1.1")).after(&[404]),
        keeps("9112 3.2.1", "no path and a query", line("GET http://a?b HTTP/1.1")).after(&[404]),
        keeps("9112 3.2.4", "OPTIONS without a path asks for the server", line("OPTIONS http://a HTTP/1.1"))
            .after(&[204]),
        keeps("9112 3.2.4", "OPTIONS with a path asks for that", line("OPTIONS http://a/ HTTP/1.1"))
            .after(&[404]),
        refuses(400, "9112 3.2", "a URL and no Host", "GET http://a/healthz HTTP/1.1\r\n\r\n"),
        refuses(400, "9112 3.2", "a URL and two Hosts", {
            "GET http://a/healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"
        }),
        refuses(
            400,
            "9112 3.2",
            "a URL and a Host that is none",
            "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n",
        ),
    ];
    for (section, name, target) in [
        ("9110 4.2.1", "an empty host", "http:///healthz"),
        ("9110 4.2.1", "an empty host and a port", "http://:80/healthz"),
        ("9110 4.2.1", "nothing behind the slashes", "http://"),
        ("9110 4.2.4", "a user", "http://u@a/healthz"),
        ("9110 4.2.4", "a user and a password", "http://u:p@a/healthz"),
        ("9110 4.2.4", "an empty user", "http://@a/healthz"),
        ("3986 3.2.3", "a port out of range", "http://a:65536/healthz"),
        ("3986 3.2.3", "a port that is no number", "http://a:x/healthz"),
        ("3986 3.2.3", "a port with a sign", "http://a:+80/healthz"),
        ("3986 3.2.3", "two ports", "http://a:80:80/healthz"),
        ("3986 3.2.2", "a bracket that is open", "http://[::1/healthz"),
        ("3986 3.2.2", "brackets without an address", "http://[]/healthz"),
        ("3986 3.2.2", "a name in brackets", "http://[a]/healthz"),
        ("3986 3.2.2", "an IPv6 address without brackets", "http://::1/healthz"),
        ("3986 3.2.2", "text behind the brackets", "http://[::1]x/healthz"),
        ("3986 3.2.2", "a backslash for a slash", "http://a\\healthz"),
        ("3986 3.2.2", "a comma in the host", "http://a,b/healthz"),
        ("3986 3", "one slash", "http:/a/healthz"),
        ("3986 3", "no slashes", "http:a"),
        ("3986 3", "three slashes", "http:////a"),
        ("9110 7.1", "a fragment", "http://a/healthz#b"),
        ("9110 7.1", "a fragment in place of a path", "http://a#b"),
        ("3986 3.3", "a bad byte in its path", "http://a/<"),
    ] {
        cases.push(refuses(400, section, format!("URL: {name}"), line(&format!("GET {target} HTTP/1.1"))));
    }
    for scheme in ["ftp", "ws", "file", "javascript", "x", "httpx", "gopher"] {
        let name = format!("a URL of scheme {scheme}");
        cases.push(refuses(400, "9112 3.2.2", name, line(&format!("GET {scheme}://a/healthz HTTP/1.1"))));
    }
    cases
}

fn other_forms() -> Vec<Case> {
    let mut cases = vec![
        keeps("9112 3.2.4", "the asterisk with OPTIONS", line("OPTIONS * HTTP/1.1")).after(&[204]),
        refuses(400, "9112 3.2.4", "the asterisk and more", line("OPTIONS *a HTTP/1.1")),
        refuses(400, "9112 3.2.4", "the asterisk and a query", line("OPTIONS *?a HTTP/1.1")),
    ];
    for method in ["GET", "HEAD", "POST", "DELETE", "BREW", "options"] {
        let bytes = line(&format!("{method} * HTTP/1.1"));
        cases.push(refuses(400, "9112 3.2.4", format!("the asterisk with {method}"), bytes));
    }
    for (name, target) in [
        ("authority-form", "a:80"),
        ("authority-form without a port", "a"),
        ("authority-form of an address", "127.0.0.1:80"),
        ("a path without its slash", "healthz"),
        ("a relative path", "./healthz"),
        ("a relative path upwards", "../healthz"),
        ("a backslash for a slash", "\\healthz"),
        ("a query alone", "?a"),
        ("a colon", ":"),
        ("an at sign", "@a/healthz"),
        ("an encoded slash", "%2fhealthz"),
        ("a dot", "."),
    ] {
        cases.push(refuses(
            400,
            "9112 3.2",
            format!("{name}, not with CONNECT"),
            line(&format!("GET {target} HTTP/1.1")),
        ));
    }
    cases
}
