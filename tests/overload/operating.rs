//! The same against the control socket: a script of the operator's that has gone wild.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::crowd::keep_on;
use crate::siege::Siege;
use crate::support::eventually;
use crate::support::operator::Operator;

const LAST: Duration = Duration::from_secs(4);
/// See `limits::CONTROL_CONNECTIONS_MAX`.
const ROOM: usize = 16;

fn crowd(siege: &Siege) -> Vec<UnixStream> {
    let connect = |_| {
        let stream = Operator::try_connect(&siege.edge_box).ok()?.stream;
        stream.set_nonblocking(true).ok()?;
        Some(stream)
    };
    (0..ROOM).filter_map(connect).collect()
}

fn is_answered(siege: &Siege) {
    let answered = || Operator::try_connect(&siege.edge_box).ok()?.try_ask("GET /status", "", "").ok();
    eventually("an operator is answered", || answered().filter(|answer| answer.status == 200));
}

#[test]
fn answers_that_no_operator_reads_harm_nobody() {
    let siege = Siege::lay("");
    siege.edge_box.script("wordy", "", "head -c 1048576 /dev/zero | tr '\\0' '\\1'");
    siege.reload();
    siege.claimed();
    let run = siege.edge_box.ended_run("wordy").id;
    let request = format!("GET /runs/{run} HTTP/1.1\r\nHost: box\r\n\r\n");
    let told = siege.under(|siege| {
        let mut open = crowd(siege);
        keep_on(LAST, || {
            for stream in &mut open {
                let _as_much_as_it_takes = stream.write(request.as_bytes());
            }
            std::thread::sleep(Duration::from_millis(20));
        });
        is_answered(siege);
        open
    });
    siege.has_held(&told);
}

#[test]
fn contents_that_are_never_whole_do_not_fill_memory_from_the_control_socket_either() {
    let siege = Siege::lay("");
    let head = "POST /flows HTTP/1.1\r\nHost: box\r\nContent-Length: 1000000\r\n\r\n";
    let told = siege.under(|siege| {
        let mut open = crowd(siege);
        for stream in &mut open {
            let _as_much_as_it_takes = stream.write(head.as_bytes());
        }
        let content = vec![b'x'; 9000];
        let mut sent = 0;
        keep_on(LAST, || {
            if sent < 990_000 {
                for stream in &mut open {
                    let _as_much_as_it_takes = stream.write(&content);
                }
                sent += content.len();
            }
            std::thread::sleep(Duration::from_millis(10));
        });
        is_answered(siege);
        open
    });
    siege.has_held(&told);
}
