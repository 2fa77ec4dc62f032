//! The chunked transfer coding: sizes, extensions, data, the last chunk and the trailer section.

use super::case::{Case, SECOND, chunked, keeps, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = whole();
    cases.extend(parts());
    cases.extend(sizes());
    cases.extend(extensions());
    cases.extend(data());
    cases.extend(trailers());
    cases
}

fn whole() -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, name, rest, content) in [
        ("9112 7.1", "no chunk but the last", "0\r\n\r\n", ""),
        ("9112 7.1", "one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("9112 7.1", "two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("9112 7.1", "chunks of a byte", "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", "hi"),
        ("9112 7.1", "a size in lower case", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("9112 7.1", "a size in upper case", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("9112 7.1", "a size with leading zeros", "0005\r\nhello\r\n0\r\n\r\n", "hello"),
        (
            "9112 7.1",
            "a size with more digits than 64 bits have",
            { "00000000000000000005\r\nhello\r\n0\r\n\r\n" },
            "hello",
        ),
        ("9112 7.1", "a last chunk of several zeros", "5\r\nhello\r\n000\r\n\r\n", "hello"),
        ("9112 7.1", "data of line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
        ("9112 7.1", "data that looks like a last chunk", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ("9112 7.1", "data with a NUL and bare line ends", "3\r\n\0\n\r\r\n0\r\n\r\n", "\0\n\r"),
    ] {
        cases.push(keeps(section, name, chunked(rest)).with(&[content]));
    }
    let followed = chunked(&format!("5\r\nhello\r\n0\r\n\r\n{SECOND}"));
    cases.push(
        keeps("9112 7.1", "a request behind the last chunk", followed)
            .after(&[200, 200])
            .with(&["hello", ""]),
    );
    cases
}

fn parts() -> Vec<Case> {
    [
        ("nothing yet", ""),
        ("a size without its line end", "5"),
        ("a size without its LF", "5\r"),
        ("a chunk without its data", "5\r\n"),
        ("half of a chunk", "5\r\nhe"),
        ("a chunk without its line end", "5\r\nhello"),
        ("a chunk without its LF", "5\r\nhello\r"),
        ("no last chunk", "5\r\nhello\r\n"),
        ("a last chunk without the empty line", "0\r\n"),
        ("a last chunk without the last byte", "0\r\n\r"),
        ("half of a trailer", "0\r\nX: y"),
        ("a trailer without the empty line", "0\r\nX: y\r\n"),
    ]
    .map(|(name, rest)| waits("9112 8", name, chunked(rest)))
    .into()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, size) in [
        ("empty", ""),
        ("no hexadecimal digit", "g"),
        ("a digit and none", "5g"),
        ("0x", "0x5"),
        ("0X", "0X5"),
        ("x", "x5"),
        ("h behind", "5h"),
        ("a plus", "+5"),
        ("a minus", "-5"),
        ("minus zero", "-0"),
        ("a space before", " 5"),
        ("a tab before", "\t5"),
        ("a space behind", "5 "),
        ("a tab behind", "5\t"),
        ("a space between digits", "1 0"),
        ("an underscore", "1_0"),
        ("a fraction", "5.0"),
        ("a comma", "5,5"),
        ("quotes", "\"5\""),
        ("a NUL behind", "5\0"),
        ("a NUL before", "\x005"),
        ("a vertical tab behind", "5\x0b"),
        ("a form feed behind", "5\x0c"),
        ("a bare CR behind", "5\r"),
        ("a bare CR before", "\r5"),
        ("a no-break space behind", "5\u{a0}"),
        ("a digit of another script", "\u{665}"),
        ("a full-width digit", "\u{ff15}"),
        ("a colon", "5:"),
        ("an equals sign", "5=x"),
        ("2^64", "10000000000000000"),
        ("2^64 and five", "10000000000000005"),
        ("2^64 times 16 and five", "100000000000000005"),
        ("40 digits", "ffffffffffffffffffffffffffffffffffffffff"),
        ("a word", "five"),
    ] {
        let bytes = chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n{SECOND}"));
        cases.push(refuses(400, "9112 7.1", format!("a chunk's size: {name}"), bytes));
    }
    for (name, size) in [
        ("2^64 - 1", "ffffffffffffffff"),
        ("2^63", "8000000000000000"),
        ("2^63 - 1", "7fffffffffffffff"),
        ("2^32 and five", "100000005"),
        ("2^32", "100000000"),
        ("2^32 - 1", "ffffffff"),
        ("2^31", "80000000"),
    ] {
        let bytes = chunked(&format!("{size}\r\nhello\r\n0\r\n\r\n{SECOND}"));
        cases.push(refuses(413, "9112 7.1", format!("a chunk's size: {name}"), bytes));
    }
    cases
}

fn extensions() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, extension) in [
        ("a name", ";a"),
        ("a name and a value", ";a=b"),
        ("a name and a quoted value", ";a=\"b c\""),
        ("a quoted value with what would divide", ";a=\"b;c=d,e\""),
        ("a quoted value with an escaped quote", ";a=\"b\\\"c\""),
        ("an empty quoted value", ";a=\"\""),
        ("a quoted value beyond ASCII", ";a=\"\u{e9}\""),
        ("two", ";a=b;c"),
        ("two of one name", ";a=b;a=c"),
        ("a name of every kind of byte", ";!#$%&'*+-.^_`|~09azAZ"),
        ("white space behind the semicolon, which is bad and allowed", "; a"),
        ("white space round the equals sign, which is bad and allowed", ";a = b"),
    ] {
        let bytes = chunked(&format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n"));
        cases.push(keeps("9112 7.1.1", format!("a chunk extension: {name}"), bytes).with(&["hello"]));
    }
    for (name, extension) in [
        ("white space before the semicolon", " ;a"),
        ("a tab before the semicolon", "\t;a"),
        ("a bare LF", ";a\nb"),
        ("a bare LF at its start", ";\na"),
        ("a bare CR", ";a\rb"),
        ("a bare LF in quotes", ";a=\"\n\""),
        ("a bare CR in quotes", ";a=\"\r\""),
        ("a NUL", ";a\0"),
        ("a control byte", ";a=\x01"),
        ("a DEL", ";a=\x7f"),
        ("no semicolon", "a=b"),
        ("a comma for the semicolon", ",a"),
        ("nothing behind the semicolon", ";"),
        ("white space behind the semicolon alone", "; "),
        ("an empty one before another", ";;a"),
        ("an empty one behind another", ";a;"),
        ("no name", ";=b"),
        ("no value", ";a="),
        ("two words", ";a b"),
        ("two values", ";a=b c"),
        ("two equals signs", ";a=b=c"),
        ("a quote that is never closed", ";a=\"b"),
        ("text behind a quote", ";a=\"b\"c"),
        ("text before a quote", ";a=b\"c\""),
        ("an escape that escapes the end", ";a=\"b\\"),
        ("a name in quotes", ";\"a\""),
        ("a delimiter in a name", ";a(b"),
        ("a name beyond ASCII", ";\u{e9}"),
        ("a value beyond ASCII without quotes", ";a=\u{e9}"),
    ] {
        let bytes = chunked(&format!("5{extension}\r\nhello\r\n0\r\n\r\n{SECOND}"));
        cases.push(refuses(400, "9112 7.1.1", format!("a chunk extension: {name}"), bytes));
        let last = chunked(&format!("5\r\nhello\r\n0{extension}\r\n\r\n{SECOND}"));
        cases.push(refuses(400, "9112 7.1.1", format!("an extension of the last chunk: {name}"), last));
    }
    cases
}

fn data() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, rest) in [
        ("a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        ("a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
        ("a bare CR behind the data", "5\r\nhello\r0\r\n\r\n"),
        ("LF CR behind the data", "5\r\nhello\n\r0\r\n\r\n"),
        ("a bare LF behind the last chunk", "5\r\nhello\r\n0\n\r\n"),
        ("a bare LF for the empty line", "5\r\nhello\r\n0\r\n\n"),
        ("a bare LF for both", "5\r\nhello\r\n0\n\n"),
        ("bare LF throughout", "5\nhello\n0\n\n"),
        ("a bare CR for the empty line", "5\r\nhello\r\n0\r\n\rX"),
        ("more data than announced", "4\r\nhello\r\n0\r\n\r\n"),
        ("less data than announced", "6\r\nhello\r\n0\r\n\r\n"),
        ("no line end behind the data", "5\r\nhello0\r\n\r\n"),
        ("an empty line behind a chunk", "5\r\nhello\r\n\r\n0\r\n\r\n"),
        ("an empty line before the first chunk", "\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("two line ends behind the data", "5\r\nhello\r\n\n0\r\n\r\n"),
        ("spaces behind the data", "5\r\nhello \r\n0\r\n\r\n"),
        ("content that is not in chunks", "hello"),
        ("content that is JSON", "{}\r\n"),
    ] {
        cases.push(refuses(400, "9112 7.1", format!("a chunk: {name}"), chunked(&format!("{rest}{SECOND}"))));
    }
    cases
}

fn trailers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, trailers) in [
        ("one", "X: y\r\n"),
        ("two", "X: y\r\nZ:\r\n"),
        ("of one name", "X: y\r\nX: z\r\n"),
        ("beyond ASCII", "X: \u{e9}\r\n"),
        ("a length, which is passed over", "Content-Length: 5\r\n"),
        ("a transfer coding, which is passed over", "Transfer-Encoding: gzip\r\n"),
        ("a Host, which is passed over", "Host: b\r\n"),
        ("two Hosts that are none", "Host: ,\r\nHost:\r\n"),
        ("an expectation, which is passed over", "Expect: tea\r\n"),
        ("close, which is passed over", "Connection: close\r\n"),
        ("a signature, which is passed over", "webhook-id: x\r\n"),
    ] {
        let bytes = chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n{SECOND}"));
        let case = keeps("9110 6.5.1", format!("trailers: {name}"), bytes);
        cases.push(case.after(&[200, 200]).with(&["hello", ""]));
    }
    for (name, trailers) in [
        ("a space before the colon", "X : y\r\n"),
        ("a folded line", "X: y\r\n z\r\n"),
        ("indented", " X: y\r\n"),
        ("an empty name", ": y\r\n"),
        ("no colon", "X\r\n"),
        ("a bare LF", "X: y\nZ: y\r\n"),
        ("a bare CR", "X: y\rZ: y\r\n"),
        ("a NUL", "X: \0\r\n"),
        ("a delimiter in a name", "X(: y\r\n"),
        ("a request in their place", SECOND),
    ] {
        let bytes = chunked(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n{SECOND}"));
        cases.push(refuses(400, "9112 7.1.2", format!("trailers: {name}"), bytes));
    }
    cases
}
