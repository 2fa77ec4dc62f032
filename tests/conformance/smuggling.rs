//! Attacks that were found in the wild: a second request, hidden where two readers differ over the end of the first. None
//! of them may ever be answered.

use super::case::{Case, SECOND, chunked, keeps, post, post_of, refuses};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        refuses(400, "9112 11.2", "CL.TE", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG")),
        refuses(400, "9112 11.2", "TE.CL", {
            let rest = format!("{:x}\r\n{SECOND}\r\n0\r\n\r\n", SECOND.len());
            post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", &rest)
        }),
        refuses(501, "9112 11.2", "TE.TE with a coding that only one of them knows", {
            post("Transfer-Encoding: xchunked\r\nTransfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{SECOND}"))
        }),
        refuses(400, "9112 11.2", "TE.TE, the second not last", {
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", &format!("0\r\n\r\n{SECOND}"))
        }),
        refuses(411, "9112 11.2", "CL.0: content where none was announced", post("", SECOND)),
        keeps("9112 11.2", "CL.0 of a GET: its content is read as content", {
            let fields = format!("Content-Length: {}\r\n", SECOND.len());
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n{SECOND}")
        })
        .with(&[SECOND]),
        keeps("9112 11.2", "0.CL of a HEAD: its content is read as content", {
            let fields = format!("Content-Length: {}\r\n", SECOND.len());
            format!("HEAD /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n{SECOND}")
        })
        .with(&[SECOND]),
        refuses(400, "9112 11.2", "TE.0: a last chunk, and content all the same", {
            chunked(&format!("0\r\nX: y\r\n{SECOND}"))
        }),
        refuses(400, "9112 7.1.1", "TERM.EXT: an extension that a bare LF ends", {
            chunked(&format!("2;\nxx\r\n{:x}\r\n0\r\n\r\n{SECOND}", SECOND.len()))
        }),
        refuses(400, "9112 7.1.1", "EXT.TERM: a size that a bare LF ends", {
            chunked(&format!("1;x\n{SECOND}\r\n0\r\n\r\n"))
        }),
        refuses(400, "9112 7.1", "TERM.SPILL: data that two bytes of anything end", {
            chunked(&format!("5\r\nhelloXX1f\r\n0\r\n\r\n{SECOND}"))
        }),
        refuses(400, "9112 7.1", "SPILL.TERM: data that nothing ends", chunked(&format!("5\r\nhello2\r\n0\r\n\r\n{SECOND}"))),
        refuses(413, "9112 7.1", "a size that wraps at 32 bits", chunked(&format!("100000000\r\n\r\n{SECOND}"))),
        refuses(400, "9112 7.1", "a size that wraps at 64 bits", chunked(&format!("10000000000000000\r\n\r\n{SECOND}"))),
        refuses(400, "9112 6.1", "chunks in HTTP/1.0", {
            post_of("1.0", "Transfer-Encoding: chunked\r\n", &format!("0\r\n\r\n{SECOND}"))
        }),
        refuses(400, "9110 5.5", "a field hidden behind a NUL", {
            post("X: \0\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n", SECOND)
        }),
        refuses(400, "9112 5.1", "a length whose name ends with a space", post("Content-Length : 0\r\n", SECOND)),
        refuses(400, "9112 5.2", "a length in a folded line", post("X: y\r\n\tContent-Length: 0\r\n", SECOND)),
        refuses(400, "9112 2.2", "a head that a bare LF ends, and a request", {
            format!("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n{SECOND}")
        }),
        refuses(400, "9112 2.2", "a head that CR alone ends", format!("GET / HTTP/1.1\rHost: a\r\r{SECOND}")),
        refuses(400, "9112 3", "a request line that hides a second", {
            "GET / HTTP/1.1 GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        }),
        refuses(400, "9112 3", "a request line that a bare CR cuts", format!("GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n{SECOND}")),
        refuses(400, "9112 3.2", "a target that hides a line", format!("GET /\nHost: b HTTP/1.1\r\nHost: a\r\n\r\n{SECOND}")),
        refuses(400, "9112 3.2", "two Hosts for two readers", format!("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{SECOND}")),
        refuses(400, "9112 3.2", "a Host under a Host", format!("GET / HTTP/1.1\r\nHost: a\r\n Host: b\r\n\r\n{SECOND}")),
        refuses(501, "9110 9.3.6", "a tunnel", format!("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n{SECOND}")),
        keeps("9110 7.8", "an upgrade that is not taken up: what follows is HTTP/1.1", {
            format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{SECOND}")
        })
        .after(&[200, 200]),
        keeps("9112 9.2", "an answer to HEAD has no content for the next to stand in", {
            format!("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n{SECOND}")
        })
        .after(&[200, 200]),
        refuses(417, "9110 10.1.1", "an expectation, and content that is not waited for", {
            post("Expect: x 100-continue\r\nContent-Length: 2\r\n", &format!("{{}}{SECOND}"))
        }),
        keeps("9110 10.1.1", "0.CL by Expect: content that is not waited for is content", {
            post(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n", SECOND.len()), SECOND)
        })
        .with(&[SECOND]),
    ];
    // The name of the field that only one of two readers takes for Transfer-Encoding.
    for name in [
        " Transfer-Encoding",
        "\tTransfer-Encoding",
        "Transfer-Encoding ",
        "Transfer-Encoding\t",
        "Transfer-Encoding\x0b",
        "Transfer-Encoding\0",
        "Transfer-Encoding\u{a0}",
        "Transfer\u{ad}-Encoding",
        "\x08Transfer-Encoding",
        "Transfer-Encoding:\r",
        "Transfer-Encoding\r\n",
        "X:X\rTransfer-Encoding",
        "X:X\nTransfer-Encoding",
        "\u{ff34}ransfer-Encoding",
        "Transfer-Encoding/",
        "(Transfer-Encoding)",
    ] {
        let fields = format!("Content-Length: 5\r\n{name}: chunked\r\n");
        let title = format!("a coding under the name {name:?}");
        cases.push(refuses(400, "9112 6.1", title, post(&fields, &format!("0\r\n\r\n{SECOND}"))));
    }
    cases
}
