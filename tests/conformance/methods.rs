//! Methods, which are tokens, and what each means here.

use super::case::{Case, SECOND, keeps, line, post, refuses};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        keeps("9110 9.3.1", "GET", line("GET /healthz HTTP/1.1")),
        keeps("9110 9.3.2", "HEAD, and no content in its answer", line("HEAD /healthz HTTP/1.1")),
        keeps("9110 9.3.2", "HEAD where nothing is", line("HEAD /none HTTP/1.1")).after(&[404]),
        keeps("9110 9.3.3", "POST with content", post("Content-Length: 2\r\n", "{}")).with(&["{}"]),
        keeps("9110 9.3.3", "POST where only GET is", line_with("POST /healthz", "Content-Length: 0"))
            .after(&[405]),
        keeps("9110 9.3.4", "PUT", line_with("PUT /healthz", "Content-Length: 0")).after(&[405]),
        keeps("5789 2", "PATCH", line_with("PATCH /healthz", "Content-Length: 0")).after(&[405]),
        keeps("9110 9.3.5", "DELETE", line("DELETE /healthz HTTP/1.1")).after(&[405]),
        keeps("9110 9.3.7", "OPTIONS of a resource", line("OPTIONS /healthz HTTP/1.1")).after(&[204]),
        keeps("9110 9.3.7", "OPTIONS of the server", line("OPTIONS * HTTP/1.1")).after(&[204]),
        keeps("9110 9.3.8", "TRACE is known and reflects nothing", line("TRACE /healthz HTTP/1.1"))
            .after(&[405]),
        refuses(501, "9110 9.3.6", "CONNECT: this is no proxy", line("CONNECT a:80 HTTP/1.1")),
        refuses(501, "9110 9.3.6", "CONNECT, and what a tunnel would carry", {
            [&line("CONNECT a:80 HTTP/1.1")[..], SECOND.as_bytes()].concat()
        }),
        refuses(501, "9110 9.3.6", "CONNECT with a path", line("CONNECT / HTTP/1.1")),
        keeps("9110 9.1", "a method that nobody knows", line("BREW /healthz HTTP/1.1")).after(&[501]),
        keeps("9110 9.1", "a known name in lower case is another one", line("get /healthz HTTP/1.1"))
            .after(&[501]),
        keeps("9110 9.1", "a known name in mixed case is another one", line("Get /healthz HTTP/1.1"))
            .after(&[501]),
        keeps("9110 9.1", "a name that starts like a known one", line("GETX /healthz HTTP/1.1"))
            .after(&[501]),
        keeps("9110 9.1", "a method of one letter", line("G /healthz HTTP/1.1")).after(&[501]),
        keeps("9110 9.1", "a long method", line(&format!("{} / HTTP/1.1", "M".repeat(300)))).after(&[501]),
        keeps("9110 9.1", "an unknown method with content", line_with("BREW /", "Content-Length: 2\r\nX: y"))
            .after(&[501])
            .with(&["{}"]),
        keeps("9110 9.3.1", "GET with content, which is read and means nothing", {
            line_with("GET /healthz", "Content-Length: 2")
        })
        .with(&["{}"]),
        keeps("9110 9.3.2", "HEAD with content", line_with("HEAD /healthz", "Content-Length: 2"))
            .with(&["{}"]),
        keeps("9110 9.3.5", "DELETE with content", line_with("DELETE /healthz", "Content-Length: 2"))
            .after(&[405])
            .with(&["{}"]),
        keeps("9110 9.3.8", "TRACE with content", line_with("TRACE /healthz", "Content-Length: 2"))
            .after(&[405])
            .with(&["{}"]),
        refuses(411, "9110 15.5.12", "POST and no word of its length", post("", "")),
        refuses(411, "9110 15.5.12", "PUT and no word of its length", line("PUT / HTTP/1.1")),
        refuses(411, "9110 15.5.12", "PATCH and no word of its length", line("PATCH / HTTP/1.1")),
        refuses(411, "9110 15.5.12", "POST without a length, and content", post("", "{}")),
        refuses(411, "9110 15.5.12", "POST in HTTP/1.0 without a length", "POST / HTTP/1.0\r\n\r\n"),
    ];
    for byte in "!#$%&'*+-.^_`|~09azAZ".chars() {
        let bytes = line(&format!("X{byte}X / HTTP/1.1"));
        cases.push(keeps("9110 5.6.2", format!("{byte} in a method"), bytes).after(&[501]));
    }
    for byte in "\"(),/:;<=>?@[\\]{}".chars() {
        let bytes = line(&format!("X{byte}X / HTTP/1.1"));
        cases.push(refuses(400, "9110 5.6.2", format!("{byte} in a method"), bytes));
    }
    cases
}

/// A request of this method and target with these fields; two bytes of content where these tell of two.
fn line_with(start: &str, fields: &str) -> Vec<u8> {
    let content = if fields.starts_with("Content-Length: 2") { "{}" } else { "" };
    format!("{start} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{content}").into_bytes()
}
