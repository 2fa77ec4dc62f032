//! Those who ask for much, take nothing, or send what fills memory.

use std::net::TcpStream;
use std::time::Duration;

use crate::crowd::{callers, keep_on, push};
use crate::siege::Siege;

const LAST: Duration = Duration::from_secs(4);
/// As large as a content may be by default, but for the last byte.
const CONTENT_BYTES: usize = 64 * 1024 - 1;

/// Sends the same on all of these until they take no more, for so long.
fn send_on(open: &mut Vec<TcpStream>, bytes: &[u8]) {
    keep_on(LAST, || open.retain_mut(|stream| push(stream, bytes)));
}

#[test]
fn contents_that_are_never_whole_do_not_fill_memory() {
    let siege = Siege::lay("");
    let head = format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n",
        CONTENT_BYTES + 1
    );
    let bytes = [head.into_bytes(), vec![b'x'; CONTENT_BYTES]].concat();
    let told = siege.under(|siege| {
        let mut open = callers(siege.daemon.port, 250);
        open.retain_mut(|stream| push(stream, &bytes));
        std::thread::sleep(LAST); // For as long as nothing more comes: that is the attack.
        open
    });
    siege.has_held(&told);
}

#[test]
fn chunks_that_are_never_whole_do_not_fill_memory() {
    let siege = Siege::lay("");
    let head = "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat().repeat(65);
    let bytes = [head.as_bytes(), &chunks].concat();
    let told = siege.under(|siege| {
        let mut open = callers(siege.daemon.port, 250);
        open.retain_mut(|stream| push(stream, &bytes));
        std::thread::sleep(LAST); // As above.
        open
    });
    siege.has_held(&told);
}

#[test]
fn thousands_of_requests_in_a_row_whose_answers_nobody_reads_harm_nobody() {
    let siege = Siege::lay("");
    let requests = "GET /healthz HTTP/1.1\r\nHost: box\r\n\r\n".repeat(1000);
    let told = siege.under(|siege| {
        let mut open = callers(siege.daemon.port, 250);
        send_on(&mut open, requests.as_bytes());
        open
    });
    siege.has_held(&told);
}

#[test]
fn large_answers_that_nobody_reads_harm_nobody() {
    let siege = Siege::lay("");
    for number in 0..120 {
        siege.edge_box.script(&format!("flow-{number}"), "", "true");
    }
    siege.reload();
    // Whoever holds a secret and repeats itself gets an answer that names a hundred runs.
    let request = siege.claimed().to_bytes(&siege.edge_box.secret);
    let told = siege.under(|siege| {
        let mut open = callers(siege.daemon.port, 250);
        send_on(&mut open, &request);
        open
    });
    siege.has_held(&told);
}
