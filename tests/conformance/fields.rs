//! Field lines: names, colons, values and the ends of lines.

use super::case::{Case, get, get_field, keeps, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = allowed();
    cases.extend(forbidden());
    cases.extend(every_byte());
    cases
}

fn allowed() -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, name, fields) in [
        ("9112 5", "no white space behind the colon", "X:y\r\n"),
        ("9112 5", "spaces and tabs around the value", "X: \t y \t \r\n"),
        ("9112 5", "an empty value", "X:\r\n"),
        ("9112 5", "a value of white space", "X: \t \r\n"),
        ("9110 5.5", "white space within a value", "X: a  b\tc\r\n"),
        ("9110 5.5", "colons in a value", "X: a:b: c\r\n"),
        ("9110 5.5", "text beyond ASCII", "X: \u{e9}\u{20ac}\r\n"),
        ("9110 5.5", "every delimiter", "X: \"(),/:;<=>?@[\\]{}\"\r\n"),
        ("9110 5.6.4", "a quote that is never closed", "X: \"a\r\n"),
        ("9110 5.3", "one name three times", "X: a\r\nx: b\r\nX: c\r\n"),
        ("9110 5.1", "a name in any case", "aCCept: */*\r\n"),
        ("9110 5.1", "a name of one letter", "A: b\r\n"),
        ("9110 5.1", "a name of digits", "123: b\r\n"),
        ("9110 5.1", "a name that nobody knows", "Sec-Brew-Strength: strong\r\n"),
        ("9110 5.1", "an underscore is no hyphen", "Content_Length: 5\r\n"),
        ("9110 5.1", "an underscore is no hyphen there either", "Transfer_Encoding: chunked\r\n"),
        ("9110 5.1", "a name that ends like another", "X-Content-Length: 5\r\n"),
        ("9110 5.1", "a name that begins like another", "Content-Length-X: 5\r\n"),
        ("9110 5.1", "a name that begins like Host's", "Hosts: b\r\n"),
        ("9110 5.5", "what would be a field, in a value", "X: Content-Length: 5\r\n"),
        ("9110 7.6.1", "a proxy's own field", "Proxy-Connection: close\r\n"),
        ("9110 10.1.4", "TE", "TE: trailers, deflate;q=0.5\r\nConnection: TE\r\n"),
        ("9110 6.6.2", "Trailer", "Trailer: X\r\n"),
        ("9110 7.8", "Upgrade to WebSocket is passed over", "Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        ("9113 3.1", "Upgrade to HTTP/2 is passed over", {
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
        }),
        ("9110 14.2", "Range is passed over", "Range: bytes=0-0\r\n"),
        ("9110 13.1.1", "If-Match is passed over", "If-Match: \"x\"\r\n"),
        ("9110 12.5.1", "Accept is passed over", "Accept: image/png;q=1\r\n"),
    ] {
        cases.push(keeps(section, name, get(fields)));
    }
    cases
}

fn forbidden() -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, name, fields) in [
        ("9112 5.1", "a space before the colon", "X : y\r\n"),
        ("9112 5.1", "a tab before the colon", "X\t: y\r\n"),
        ("9112 5.1", "a space in the name", "X Y: z\r\n"),
        ("9112 5", "an empty name", ": y\r\n"),
        ("9112 5", "a colon alone", ":\r\n"),
        ("9112 5", "no colon", "X\r\n"),
        ("9112 5", "no colon, but a value", "X y\r\n"),
        ("9112 5", "an equals sign for the colon", "X= y\r\n"),
        ("9112 5.2", "a folded line with a space", "X: a\r\n b\r\n"),
        ("9112 5.2", "a folded line with a tab", "X: a\r\n\tb\r\n"),
        ("9112 5.2", "a folded line of white space", "X: a\r\n \r\n"),
        ("9112 5.2", "a value that begins on the next line", "X:\r\n a\r\n"),
        ("9112 5.2", "a folded line that looks like a field", "X: a\r\n Content-Length: 5\r\n"),
        ("9112 5.2", "the first field indented", " X: a\r\n"),
        ("9112 2.2", "a bare LF behind a field", "X: a\nY: b\r\n"),
        ("9112 2.2", "a bare CR within a value", "X: a\rY: b\r\n"),
        ("9112 2.2", "a bare CR before the CR LF", "X: a\r\r\n"),
        ("9112 2.2", "a bare CR at the start of a value", "X:\ra\r\n"),
        ("9112 2.2", "a bare LF at the start of a value", "X:\na\r\n"),
        ("9112 2.2", "a bare CR at the start of a line", "\rX: a\r\n"),
        ("9112 2.2", "a bare LF at the start of a line", "\nX: a\r\n"),
        ("9112 2.2", "a bare LF in a name", "X\nY: a\r\n"),
        ("9112 2.2", "a bare CR in a name", "X\rY: a\r\n"),
        ("9110 5.5", "a line end and a field, bare", "X: a\nContent-Length: 5\r\n"),
        ("9112 2.2", "LF CR behind a field", "X: a\n\rY: b\r\n"),
        ("9112 5", "a request line among the fields", "GET / HTTP/1.1\r\n"),
    ] {
        cases.push(refuses(400, section, name, get(fields)));
    }
    cases.push(refuses(400, "9112 2.2", "a head that ends with LF LF", "GET / HTTP/1.1\r\nHost: a\n\n"));
    cases.push(refuses(400, "9112 2.2", "a head that ends with CR LF LF", "GET / HTTP/1.1\r\nHost: a\r\n\n"));
    cases.push(refuses(400, "9112 2.2", "a head that ends with LF CR LF", "GET / HTTP/1.1\r\nHost: a\n\r\n"));
    cases.push(refuses(400, "9112 2.2", "a head that ends with CR CR", "GET / HTTP/1.1\r\nHost: a\r\r"));
    cases.push(refuses(
        400,
        "9112 2.2",
        "a head that ends with CR LF CR X",
        "GET / HTTP/1.1\r\nHost: a\r\n\rX",
    ));
    cases.push(waits("9112 2.1", "half a field", "GET / HTTP/1.1\r\nHost: a\r\nX: y"));
    cases
}

/// Of each byte, what it may do in a name and in a value.
fn every_byte() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in "!#$%&'*+-.^_`|~".bytes() {
        let field = [b"X", &[byte][..], b"Y: z"].concat();
        cases.push(keeps("9110 5.6.2", format!("{} in a name", char::from(byte)), get_field(&field)));
    }
    for byte in "\"(),/;<=>?@[\\]{}".bytes().chain([0, 1, 11, 12, 31, 127, 128, 0xc3, 255]) {
        let field = [b"X", &[byte][..], b"Y: z"].concat();
        let name = format!("byte {byte:#04x} in a name");
        cases.push(refuses(400, "9110 5.6.2", name, get_field(&field)));
    }
    for byte in (0..32_u8).chain([127]).filter(|byte| !b"\t\r\n".contains(byte)) {
        let name = |place: &str| format!("byte {byte:#04x} {place} a value");
        let field = [b"X: y", &[byte][..], b"z"].concat();
        cases.push(refuses(400, "9110 5.5", name("in"), get_field(&field)));
        if [0, 8, 11, 12, 127].contains(&byte) {
            cases.push(refuses(
                400,
                "9110 5.5",
                name("before"),
                get_field(&[b"X:", &[byte][..], b"z"].concat()),
            ));
            cases.push(refuses(400, "9110 5.5", name("behind"), get_field(&[b"X: y", &[byte][..]].concat())));
        }
    }
    for byte in [128, 160, 0xc0, 255] {
        let field = [b"X: y", &[byte][..], b"z"].concat();
        cases.push(keeps("9110 5.5", format!("byte {byte:#04x} in a value, no text"), get_field(&field)));
    }
    cases
}
