//! What a request may measure (RFC 9112 sections 2.2 and 3, RFC 6585 section 5), at each limit and one past it.

use heartbeat_runtime::limits::{
    BODY_BYTES_DEFAULT, CHUNK_LINE_BYTES_MAX, HEAD_BYTES_DEFAULT, HEADERS_DEFAULT, TARGET_BYTES_MAX,
};

use super::case::{Case, SECOND, chunked, get, keeps, line, post, refuses};

pub(crate) fn cases() -> Vec<Case> {
    let fill = |bytes: usize| "x".repeat(bytes);
    let head_rest = HEAD_BYTES_DEFAULT - get("X: \r\n").len();
    let longest = fill(TARGET_BYTES_MAX - 1);
    let trailer = HEAD_BYTES_DEFAULT - "X: \r\n\r\n".len();
    let mut cases = vec![
        keeps("9112 3", "the longest target", line(&format!("GET /{longest} HTTP/1.1"))).after(&[404]),
        refuses(414, "9110 15.5.15", "a target one byte longer", line(&format!("GET /{longest}x HTTP/1.1"))),
        refuses(
            414,
            "9110 15.5.15",
            "a target that fills the head",
            line(&format!("GET /{} HTTP/1.1", fill(HEAD_BYTES_DEFAULT))),
        ),
        refuses(414, "9112 3", "a method that fills the head", fill(HEAD_BYTES_DEFAULT)),
        keeps("6585 5", "the largest head", get(&format!("X: {}\r\n", fill(head_rest)))),
        refuses(431, "6585 5", "a head one byte larger", get(&format!("X: {}\r\n", fill(head_rest + 1)))),
        refuses(
            431,
            "6585 5",
            "a name that fills the head",
            get(&format!("{}: x\r\n", fill(HEAD_BYTES_DEFAULT))),
        ),
        keeps("6585 5", "as many fields as are taken", get(&"X: y\r\n".repeat(HEADERS_DEFAULT - 1))),
        refuses(431, "6585 5", "a field more", get(&"X: y\r\n".repeat(HEADERS_DEFAULT))),
        keeps("9110 15.5.14", "the largest content", {
            post(&format!("Content-Length: {BODY_BYTES_DEFAULT}\r\n"), &fill(BODY_BYTES_DEFAULT))
        }),
        refuses(413, "9110 15.5.14", "content one byte larger", {
            post(&format!("Content-Length: {}\r\n", BODY_BYTES_DEFAULT + 1), &fill(BODY_BYTES_DEFAULT + 1))
        }),
        refuses(
            413,
            "9110 15.5.14",
            "content of 2^63 bytes",
            post("Content-Length: 9223372036854775808\r\n", SECOND),
        ),
        refuses(
            413,
            "9110 15.5.14",
            "content of 2^64 - 1 bytes",
            post("Content-Length: 18446744073709551615\r\n", SECOND),
        ),
        keeps("9110 15.5.14", "the largest content, in a chunk", {
            chunked(&format!("{BODY_BYTES_DEFAULT:x}\r\n{}\r\n0\r\n\r\n", fill(BODY_BYTES_DEFAULT)))
        }),
        refuses(413, "9110 15.5.14", "content one byte larger, in a chunk", {
            chunked(&format!("{:x}\r\n{SECOND}", BODY_BYTES_DEFAULT + 1))
        }),
        refuses(413, "9110 15.5.14", "content one byte larger, in two chunks", {
            chunked(&format!("1\r\nx\r\n{BODY_BYTES_DEFAULT:x}\r\n{SECOND}"))
        }),
        keeps("9112 7.1.1", "the longest line of a chunk", {
            chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", fill(CHUNK_LINE_BYTES_MAX - 2)))
        }),
        refuses(400, "9112 7.1.1", "a chunk's line one byte longer", {
            chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", fill(CHUNK_LINE_BYTES_MAX - 1)))
        }),
        refuses(
            400,
            "9112 7.1",
            "a size of zeros without an end",
            chunked(&"0".repeat(CHUNK_LINE_BYTES_MAX + 2)),
        ),
        keeps(
            "9112 7.1.2",
            "the largest trailer section",
            chunked(&format!("0\r\nX: {}\r\n\r\n", fill(trailer))),
        ),
        refuses(431, "9112 7.1.2", "a trailer section one byte larger", {
            chunked(&format!("0\r\nX: {}\r\n\r\n", fill(trailer + 1)))
        }),
        keeps("9112 7.1.2", "as many trailers as are taken", {
            chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_DEFAULT)))
        }),
        refuses(
            431,
            "9112 7.1.2",
            "a trailer more",
            chunked(&format!("0\r\n{}\r\n", "X: y\r\n".repeat(HEADERS_DEFAULT + 1))),
        ),
    ];
    let many: String = (0..2000).map(|_| "1\r\nx\r\n").collect();
    cases.push(keeps("9112 7.1", "two thousand chunks of a byte", chunked(&format!("{many}0\r\n\r\n"))));
    cases
}
