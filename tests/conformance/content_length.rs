//! `Content-Length`: one number, and as many bytes.

use super::case::{Case, SECOND, get, keeps, post, post_of, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = allowed();
    cases.extend(forbidden());
    cases
}

fn allowed() -> Vec<Case> {
    let two = |fields: &str| post(fields, "hello");
    vec![
        keeps("9110 8.6", "a number", two("Content-Length: 5\r\n")).with(&["hello"]),
        keeps("9110 8.6", "leading zeros", two("Content-Length: 005\r\n")).with(&["hello"]),
        keeps("9110 8.6", "many leading zeros", two(&format!("Content-Length: {}5\r\n", "0".repeat(40))))
            .with(&["hello"]),
        keeps("9110 8.6", "zero", post("Content-Length: 0\r\n", "")).with(&[""]),
        keeps("9110 8.6", "zeros", post("Content-Length: 000\r\n", "")).with(&[""]),
        keeps("9112 5", "white space around it", two("Content-Length: \t5\t \r\n")).with(&["hello"]),
        keeps("9110 5.1", "its name in any case", two("cONTENT-lENGTH: 5\r\n")).with(&["hello"]),
        keeps("9112 6.3", "content that looks like a request", {
            post(&format!("Content-Length: {}\r\n", SECOND.len()), SECOND)
        })
        .with(&[SECOND]),
        keeps("9112 6.3", "content of line ends", post("Content-Length: 6\r\n", "\r\n\r\n\r\n"))
            .with(&["\r\n\r\n\r\n"]),
        keeps("9112 6.3", "content with a NUL", post("Content-Length: 1\r\n", "\0")).with(&["\0"]),
        keeps(
            "9112 6.3",
            "content, and a request behind it",
            post("Content-Length: 5\r\n", &format!("hello{SECOND}")),
        )
        .after(&[200, 200])
        .with(&["hello", ""]),
        keeps("9112 6.3", "no content, and a request behind it", post("Content-Length: 0\r\n", SECOND))
            .after(&[200, 200])
            .with(&["", ""]),
        keeps("9112 6.3", "GET without a length has no content", {
            [&get("")[..], SECOND.as_bytes()].concat()
        })
        .after(&[200, 200])
        .with(&["", ""]),
        waits("9112 8", "less than was announced", post("Content-Length: 6\r\n", "hello")),
        waits("9112 8", "nothing of what was announced", post("Content-Length: 1\r\n", "")),
        refuses(
            400,
            "9112 6.3",
            "more than was announced is the next request",
            post("Content-Length: 4\r\n", "hello\r\n\r\n"),
        )
        .after(&[200])
        .with(&["hell"]),
    ]
}

fn forbidden() -> Vec<Case> {
    let smuggled = format!("hello{SECOND}");
    let mut cases = Vec::new();
    for (name, value) in [
        ("empty", ""),
        ("white space", " \t"),
        ("a plus", "+5"),
        ("a minus", "-5"),
        ("minus zero", "-0"),
        ("a minus and a huge number", "-18446744073709551611"),
        ("a list of equal ones", "5, 5"),
        ("a list without white space", "5,5"),
        ("a list of different ones", "5, 6"),
        ("a list that ends empty", "5,"),
        ("a list that begins empty", ",5"),
        ("two numbers", "5 5"),
        ("two numbers and a tab", "5\t5"),
        ("hexadecimal", "0x5"),
        ("hexadecimal digits", "a"),
        ("octal as some write it", "0o5"),
        ("a fraction", "5.0"),
        ("an exponent", "5e0"),
        ("a letter behind", "5a"),
        ("a letter before", "a5"),
        ("an underscore", "1_0"),
        ("quotes", "\"5\""),
        ("a parameter", "5;x"),
        ("a unit", "5 bytes"),
        ("a digit of another script", "\u{665}"),
        ("a full-width digit", "\u{ff15}"),
        ("a superscript", "\u{b2}"),
        ("a no-break space behind", "5\u{a0}"),
        ("2^64", "18446744073709551616"),
        ("2^64 and five", "18446744073709551621"),
        ("twenty nines", "99999999999999999999"),
        (
            "200 nines",
            concat!(
                "99999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999",
                "999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999"
            ),
        ),
        ("a word", "five"),
        ("none", "none"),
    ] {
        let bytes = post(&format!("Content-Length: {value}\r\n"), &smuggled);
        cases.push(refuses(400, "9112 6.3", format!("Content-Length: {name}"), bytes));
    }
    for (name, fields) in [
        ("two that are equal", "Content-Length: 5\r\nContent-Length: 5\r\n"),
        ("two that differ", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("two, one with a leading zero", "Content-Length: 5\r\nContent-Length: 05\r\n"),
        ("two in different cases", "Content-Length: 5\r\ncontent-length: 0\r\n"),
        ("two with another between", "Content-Length: 0\r\nX: y\r\nContent-Length: 5\r\n"),
        ("two, one empty", "Content-Length: 5\r\nContent-Length:\r\n"),
        ("two, one no number", "Content-Length: 5\r\nContent-Length: x\r\n"),
        ("a space before its colon", "Content-Length : 5\r\n"),
        ("a tab before its colon", "Content-Length\t: 5\r\n"),
        ("folded", "Content-Length:\r\n 5\r\n"),
        ("folded behind", "Content-Length: 5\r\n 6\r\n"),
        ("a NUL in its name", "Content-Length\0: 5\r\n"),
        ("a vertical tab before its value", "Content-Length:\x0b5\r\n"),
        ("a form feed behind its value", "Content-Length: 5\x0c\r\n"),
        ("a bare LF in place of its line end", "Content-Length: 5\nX: y\r\n"),
        ("indented", "X: y\r\n Content-Length: 5\r\n"),
    ] {
        cases.push(refuses(400, "9112 6.3", format!("Content-Length: {name}"), post(fields, &smuggled)));
    }
    let old = |fields: &str| post_of("1.0", fields, &smuggled);
    cases.push(refuses(
        400,
        "9112 6.3",
        "two lengths in HTTP/1.0",
        old("Content-Length: 5\r\nContent-Length: 5\r\n"),
    ));
    cases.push(refuses(
        400,
        "9112 6.3",
        "a GET with two lengths",
        get("Content-Length: 0\r\nContent-Length: 0\r\n"),
    ));
    cases.push(refuses(400, "9112 6.3", "a GET with a length that is none", get("Content-Length: x\r\n")));
    cases
}
