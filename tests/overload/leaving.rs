//! Those who leave: before a request, within one, before its answer, and those who only say that they are done.

use std::net::Shutdown;
use std::time::Duration;

use crate::crowd::{address, caller, keep_on, push, reset};
use crate::siege::Siege;
use crate::support::heartbeat::Heartbeat;
use crate::support::wire::Wire;

const LAST: Duration = Duration::from_secs(4);

#[test]
fn callers_that_connect_and_leave_with_a_reset_harm_nobody() {
    let siege = Siege::lay("");
    let told = siege.under(|siege| {
        let bytes = Heartbeat::new().wait(5).to_bytes(&siege.edge_box.secret);
        let mut number = 0;
        keep_on(LAST, || {
            number = number % 1000 + 1;
            let Ok(mut stream) = caller(address(number), siege.daemon.port) else { return };
            push(&mut stream, &bytes[..number * bytes.len() / 1000]);
            reset(stream);
        });
    });
    siege.has_held(&told);
}

#[test]
fn callers_that_close_their_half_are_answered_and_let_go() {
    let siege = Siege::lay("");
    let told = siege.under(|siege| {
        keep_on(LAST, || {
            let mut wire = Wire::connect_from(address(7), siege.daemon.port);
            wire.send(Heartbeat::new().to_bytes(&siege.edge_box.secret));
            wire.stream.shutdown(Shutdown::Write).expect("close a half");
            assert_eq!(wire.answer().status, 200);
            assert_eq!(wire.rest(), "");
            let mut silent = Wire::connect_from(address(8), siege.daemon.port);
            silent.stream.shutdown(Shutdown::Write).expect("close a half");
            assert_eq!(silent.rest(), "");
        });
    });
    siege.has_held(&told);
}
