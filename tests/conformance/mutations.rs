//! Ways to spoil a well-formed request so that two readers could understand it differently. Each has to be refused.

use super::generator::{Content, Parts, Random};

/// Every way that applies to a request, by name.
pub(crate) fn of(parts: &Parts, random: &mut Random) -> Vec<(&'static str, Vec<u8>)> {
    let mut spoilt = of_bytes(parts, random);
    let of_parts = of_parts(parts, random).into_iter();
    spoilt.extend(of_parts.map(|(name, parts)| (name, parts.bytes())));
    spoilt
}

/// Where the first occurrence ends.
fn end_of(needle: &[u8], bytes: &[u8]) -> usize {
    let at = bytes.windows(needle.len()).position(|window| window == needle);
    at.expect("a head has it") + needle.len()
}

/// What is done to the bytes of the head.
fn of_bytes(parts: &Parts, random: &mut Random) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = parts.bytes();
    let start = parts.before.len();
    let head = start + end_of(b"\r\n\r\n", &bytes[start..]);
    // The end of any line of the head, the empty one aside.
    let ends: Vec<usize> = (start..head - 3).filter(|at| bytes[*at] == b'\r').collect();
    let line_end = ends[random.below(ends.len())];
    let replaced = |from: usize, to: usize, with: &[u8]| [&bytes[..from], with, &bytes[to..]].concat();
    let space = start + end_of(b" ", &bytes[start..]) - 1;
    vec![
        ("a bare LF ends a line", replaced(line_end, line_end + 2, b"\n")),
        ("a bare CR ends a line", replaced(line_end, line_end + 2, b"\r")),
        ("CR CR LF ends a line", replaced(line_end, line_end + 2, b"\r\r\n")),
        ("LF CR ends a line", replaced(line_end, line_end + 2, b"\n\r")),
        ("a NUL ends a line", replaced(line_end, line_end, b"\0")),
        ("a bare LF ends the head", replaced(head - 2, head, b"\n")),
        ("a space more in the request line", replaced(space, space, b" ")),
        ("a tab in the request line", replaced(space, space + 1, b"\t")),
        ("a space before the request line", replaced(start, start, b" ")),
        ("two empty lines before it", replaced(0, start, b"\r\n\r\n")),
        ("the next line is folded", replaced(line_end + 2, line_end + 2, b" x: y\r\n")),
        ("an empty name", replaced(line_end + 2, line_end + 2, b": y\r\n")),
        ("a space before a colon", replaced(head - 2, head - 2, b"X : y\r\n")),
        ("a field without a colon", replaced(head - 2, head - 2, b"X\r\n")),
        ("a control byte in a value", replaced(head - 2, head - 2, b"X: \x0b\r\n")),
    ]
}

/// What is done to its parts.
fn of_parts(parts: &Parts, random: &mut Random) -> Vec<(&'static str, Parts)> {
    let with_field = |field: &str| {
        let mut spoilt = parts.clone();
        spoilt.fields.push(field.to_owned());
        spoilt
    };
    let mut spoilt = vec![
        ("another version", Parts { version: "1.2", ..parts.clone() }),
        ("a version of HTTP/1.10", Parts { version: "1.10", ..parts.clone() }),
        ("a fragment", Parts { target: format!("{}#a", parts.target), ..parts.clone() }),
        ("a quote in the target", Parts { target: format!("{}\"", parts.target), ..parts.clone() }),
        (
            "a byte beyond ASCII in the target",
            Parts { target: format!("{}\u{e9}", parts.target), ..parts.clone() },
        ),
        ("a delimiter in the method", Parts { method: format!("{}(", parts.method), ..parts.clone() }),
        ("two Hosts", {
            let mut spoilt = with_field("Host: a");
            spoilt.fields.push("host: a".to_owned());
            spoilt
        }),
        ("an unknown coding", with_field("Transfer-Encoding: xchunked")),
        ("a coding and a length", {
            let mut spoilt = with_field("Transfer-Encoding: chunked");
            spoilt.fields.push("Content-Length: 0".to_owned());
            spoilt
        }),
        ("a length that is none", with_field("Content-Length: +0")),
        ("two equal lengths", {
            let mut spoilt = with_field("Content-Length: 0");
            spoilt.fields.push("Content-Length: 0".to_owned());
            spoilt
        }),
    ];
    if parts.version == "1.1" {
        let mut without = parts.clone();
        without.fields.retain(|field| !field.to_ascii_lowercase().starts_with("host:"));
        spoilt.push(("no Host", without));
        spoilt.push(("the same in HTTP/1.0, with a coding", {
            Parts { version: "1.0", ..with_field("Transfer-Encoding: chunked") }
        }));
    }
    spoilt.extend(of_chunks(parts, random));
    spoilt
}

/// What is done to content in chunks.
fn of_chunks(parts: &Parts, random: &mut Random) -> Vec<(&'static str, Parts)> {
    let Content::Chunks { chunks, last, trailers } = &parts.content else { return Vec::new() };
    let with = |chunks: Vec<(String, Vec<u8>)>, last: String, trailers: String| Parts {
        content: Content::Chunks { chunks, last, trailers },
        ..parts.clone()
    };
    let last_is = |last: String| with(chunks.clone(), last, trailers.clone());
    let mut spoilt = vec![
        ("0x before a size", last_is(format!("0x{last}"))),
        ("a plus before a size", last_is(format!("+{last}"))),
        ("a minus before a size", last_is(format!("-{last}"))),
        ("a space before a size", last_is(format!(" {last}"))),
        ("no digit", last_is(format!("g{last}"))),
        ("white space behind a size", last_is(format!("{last} "))),
        ("an empty extension", last_is(format!("{last};"))),
        ("a bare LF in an extension", last_is(format!("{last};a\nb"))),
        ("a bare LF behind a size", last_is(format!("{last}\n"))),
        ("a quote that is open", last_is(format!("{last};a=\""))),
        ("a size of 2^64", last_is(format!("10000000000000000{last}"))),
        ("a size of 2^32", last_is(format!("100000000{}", &last[1..]))),
        ("a trailer with a space before its colon", with(chunks.clone(), last.clone(), "X : y\r\n".into())),
        ("a trailer that is folded", with(chunks.clone(), last.clone(), "X: y\r\n z\r\n".into())),
        ("a bare LF behind a trailer", with(chunks.clone(), last.clone(), "X: y\n".into())),
        ("a second coding", {
            let mut spoilt = parts.clone();
            spoilt.fields.push("Transfer-Encoding: chunked".into());
            spoilt
        }),
        ("a length beside the coding", {
            let mut spoilt = parts.clone();
            spoilt.fields.insert(0, "Content-Length: 3".into());
            spoilt
        }),
    ];
    if !chunks.is_empty() {
        let at = random.below(chunks.len());
        let mut longer = chunks.clone();
        longer[at].1.push(b'x');
        spoilt.push(("a chunk longer than announced", with(longer, last.clone(), trailers.clone())));
        let mut in_front = chunks.clone();
        in_front[at].0.insert_str(0, "\r\n");
        spoilt.push(("an empty line before a chunk", with(in_front, last.clone(), trailers.clone())));
    }
    spoilt
}
