//! `Transfer-Encoding`: chunked, once, last, in HTTP/1.1, and without a length beside it.

use super::case::{Case, SECOND, get, keeps, post, post_of, refuses};

pub(crate) fn cases() -> Vec<Case> {
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let mut cases = Vec::new();
    for (name, fields) in [
        ("chunked", "Transfer-Encoding: chunked\r\n"),
        ("in any case", "tRANSFER-eNCODING: CHUNKED\r\n"),
        ("white space around it", "Transfer-Encoding: \t chunked \t\r\n"),
        ("a tab before it", "Transfer-Encoding:\tchunked\r\n"),
        ("no white space before it", "Transfer-Encoding:chunked\r\n"),
        ("with Trailer and TE", "TE: trailers\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        cases.push(keeps("9112 6.1", name, post(fields, body)).with(&["hello"]));
    }
    cases.push(keeps("9112 6.1", "GET in chunks", {
        [&get("Transfer-Encoding: chunked\r\n")[..], body.as_bytes()].concat()
    }));
    let smuggled = format!("0\r\n\r\n{SECOND}");
    for (name, value) in [
        ("empty", ""),
        ("white space", " \t"),
        ("twice in a list", "chunked, chunked"),
        ("twice without white space", "chunked,chunked"),
        ("not last", "chunked, gzip"),
        ("not last, before identity", "chunked, identity"),
        ("an empty element behind", "chunked,"),
        ("an empty element before", ", chunked"),
        ("empty elements only", ","),
        ("quoted", "\"chunked\""),
        ("in single quotes and more", "'chunked' x"),
        ("two words", "chunked x"),
        ("two words, the last chunked", "x chunked"),
        ("a parameter", "chunked;q=1"),
        ("an empty parameter", "chunked;"),
        ("a colon", "chunked:"),
        ("a colon before", ": chunked"),
        ("an equals sign", "=chunked"),
        ("brackets", "[chunked]"),
        ("a comment", "(x) chunked"),
        ("a slash", "chunked/1.0"),
        ("beyond ASCII", "chunked\u{e9}"),
        ("a no-break space before", "\u{a0}chunked"),
        ("a Kelvin sign for its k", "chun\u{212a}ed"),
        ("chunked, then what is unknown", "chunked, x"),
    ] {
        let bytes = post(&format!("Transfer-Encoding: {value}\r\n"), &smuggled);
        cases.push(refuses(400, "9112 6.3", format!("Transfer-Encoding: {name}"), bytes));
    }
    for value in [
        "identity",
        "gzip",
        "gzip, chunked",
        "deflate, chunked",
        "compress, chunked",
        "x-gzip",
        "xchunked",
        "chunkedx",
        "chunke",
        "chunk",
        "cow",
        "identity, chunked",
        "br",
        "*",
        "chunked-x",
        "nothing",
        "x, y, chunked",
        "'chunked'",
    ] {
        let bytes = post(&format!("Transfer-Encoding: {value}\r\n"), &smuggled);
        cases.push(refuses(501, "9112 6.1", format!("Transfer-Encoding: {value}"), bytes));
    }
    cases.extend(beside_others(&smuggled));
    cases
}

/// Fields that make it ambiguous.
fn beside_others(smuggled: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fields) in [
        ("a length before it", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
        ("a length behind it", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("a length of zero", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
        ("a length that is none", "Transfer-Encoding: chunked\r\nContent-Length: x\r\n"),
        ("a length with a sign", "Transfer-Encoding: chunked\r\nContent-Length: +5\r\n"),
        ("two fields of it", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("and then identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ("and then nothing", "Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"),
        ("after nothing", "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n"),
        ("a space before its colon", "Transfer-Encoding : chunked\r\n"),
        ("a tab before its colon", "Transfer-Encoding\t: chunked\r\n"),
        ("a space before its colon, and a length", "Transfer-Encoding : chunked\r\nContent-Length: 5\r\n"),
        ("indented", " Transfer-Encoding: chunked\r\n"),
        ("indented under another field", "X: y\r\n Transfer-Encoding: chunked\r\n"),
        ("folded", "Transfer-Encoding:\r\n chunked\r\n"),
        ("folded in the middle", "Transfer-Encoding: chun\r\n ked\r\n"),
        ("folded behind", "Transfer-Encoding: chunked\r\n , identity\r\n"),
        ("a vertical tab before its value", "Transfer-Encoding:\x0bchunked\r\n"),
        ("a form feed behind its value", "Transfer-Encoding: chunked\x0c\r\n"),
        ("a NUL before its value", "Transfer-Encoding: \0chunked\r\n"),
        ("a NUL behind its value", "Transfer-Encoding: chunked\0\r\n"),
        ("a NUL in its name", "Transfer\0-Encoding: chunked\r\n"),
        ("a bare LF before its line", "X: y\nTransfer-Encoding: chunked\r\n"),
        ("a bare CR before its line", "X: y\rTransfer-Encoding: chunked\r\n"),
        ("a bare LF before its value", "Transfer-Encoding:\nchunked\r\n"),
        ("a bare CR behind its value", "Transfer-Encoding: chunked\rX\r\n"),
        ("a quote round its name", "\"Transfer-Encoding\": chunked\r\n"),
        ("no colon", "Transfer-Encoding chunked\r\n"),
        ("a space for its hyphen", "Transfer Encoding: chunked\r\n"),
    ] {
        cases.push(refuses(400, "9112 6.3", format!("Transfer-Encoding, {name}"), post(fields, smuggled)));
    }
    for (name, fields) in [
        ("gzip and then chunked", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
        ("identity and then chunked", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
        ("an unknown one and a length", "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n"),
        ("identity and a length", "Transfer-Encoding: identity\r\nContent-Length: 5\r\n"),
    ] {
        cases.push(refuses(501, "9112 6.1", format!("Transfer-Encoding, {name}"), post(fields, smuggled)));
    }
    for (name, fields) in [
        ("HTTP/1.0", "Transfer-Encoding: chunked\r\n"),
        ("HTTP/1.0 with a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
        ("HTTP/1.0 kept alive", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        cases.push(refuses(
            400,
            "9112 6.1",
            format!("Transfer-Encoding in {name}"),
            post_of("1.0", fields, smuggled),
        ));
    }
    cases
}
