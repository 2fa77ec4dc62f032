//! `Expect`: what may be expected, and when it is granted.

use super::case::{Case, closes, get, keeps, line, post, post_of, refuses, waits};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        keeps("9110 10.1.1", "100-continue, and the content at once", {
            post("Expect: 100-continue\r\nContent-Length: 2\r\n", "{}")
        })
        .with(&["{}"]),
        keeps("9110 10.1.1", "100-continue in any case", {
            post("eXPECT: 100-CONTINUE\r\nContent-Length: 2\r\n", "{}")
        }),
        keeps("9110 10.1.1", "100-continue twice", {
            post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", "{}")
        }),
        keeps("9110 10.1.1", "100-continue, and chunks at once", {
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")
        })
        .with(&["{}"]),
        keeps("9110 10.1.1", "100-continue and no content", get("Expect: 100-continue\r\n")),
        keeps("9110 10.1.1", "100-continue and content of no bytes", {
            post("Expect: 100-continue\r\nContent-Length: 0\r\n", "")
        }),
        waits("9110 10.1.1", "100-continue, and no content yet", {
            post("Expect: 100-continue\r\nContent-Length: 2\r\n", "")
        }),
        closes("9110 10.1.1", "100-continue in HTTP/1.0 is passed over", {
            post_of("1.0", "Expect: 100-continue\r\nContent-Length: 2\r\n", "{}")
        }),
        refuses(413, "9110 10.1.1", "100-continue, and content over the limit", {
            post("Expect: 100-continue\r\nContent-Length: 65537\r\n", "")
        }),
        refuses(411, "9110 10.1.1", "100-continue and no length", post("Expect: 100-continue\r\n", "")),
        refuses(400, "9110 10.1.1", "100-continue and two lengths", {
            post("Expect: 100-continue\r\nContent-Length: 2\r\nContent-Length: 2\r\n", "{}")
        }),
        keeps("9110 10.1.1", "100-continue to a path that is not there", {
            line("POST /none HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0")
        })
        .after(&[404]),
    ];
    for value in [
        "tea",
        "100",
        "200-ok",
        "100-continued",
        "x100-continue",
        "100-continue=1",
        "100-continue, tea",
        "\"100-continue\"",
    ] {
        let bytes = post(&format!("Expect: {value}\r\nContent-Length: 2\r\n"), "{}");
        cases.push(refuses(417, "9110 10.1.1", format!("Expect: {value}"), bytes));
    }
    let both = "Expect: 100-continue\r\nExpect: tea\r\nContent-Length: 2\r\n";
    cases.push(refuses(417, "9110 10.1.1", "100-continue and another", post(both, "{}")));
    cases
}
