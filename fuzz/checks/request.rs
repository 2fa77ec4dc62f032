//! However the bytes of a connection are split, the same requests and the same refusal come out of it, within
//! the bounds on memory.
//!
//! The first byte of the input chooses how the rest is split. Limits are small, so that the fuzzer reaches them.

use heartbeat_runtime::http::{Field, Limits, Progress, Receiver};

use super::split::pieces;

const LIMITS: Limits = Limits { head_bytes: 256, headers: 6, body_bytes: 64 };

/// The target.
pub fn check(data: &[u8]) {
    let Some((&split, bytes)) = data.split_first() else { return };
    let whole = outcomes(bytes, |left| left);
    let pieces = outcomes(bytes, pieces(split));
    assert_eq!(whole, pieces);
}

/// What comes out when pieces of the sizes that `next` gives arrive one after the other, no more of each
/// being received than is wanted.
fn outcomes(bytes: &[u8], mut next: impl FnMut(usize) -> usize) -> Vec<String> {
    let mut receiver = Receiver::new();
    let mut outcomes = Vec::new();
    let mut rest = bytes;
    loop {
        let mut continues = 0;
        loop {
            match receiver.poll(&LIMITS) {
                Progress::Request(request) => {
                    assert!(request.body.len() <= LIMITS.body_bytes);
                    assert!(request.path.starts_with('/') || request.path == "*");
                    assert!(request.minor_version == 0 || request.host.is_some());
                    assert!(!matches!(request.field("content-length"), Field::Repeated));
                    let values: Vec<_> = ["host", "a", "prefer", "expect"]
                        .map(|name| request.fields(name).collect::<Vec<_>>())
                        .into();
                    outcomes.push(format!(
                        "{} {} {:?} {:?} {:?} {:?} {:?} {:?} {values:?}",
                        request.method_text(),
                        request.path,
                        request.query,
                        request.host,
                        request.connection(),
                        request.body,
                        request.prefer_wait(),
                        request.content_is_encoded(),
                    ));
                }
                Progress::Refused(refusal) => {
                    assert_eq!(receiver.wants_bytes(&LIMITS), 0);
                    outcomes.push(format!("{refusal:?} {}", receiver.refused_head_only()));
                    return outcomes;
                }
                Progress::Body { send_continue } => {
                    continues += usize::from(send_continue);
                    assert!(continues <= 1);
                    break;
                }
                Progress::Idle | Progress::Head => break,
            }
            receiver.consume();
        }
        if rest.is_empty() {
            return outcomes;
        }
        let wanted = receiver.wants_bytes(&LIMITS);
        assert_ne!(wanted, 0, "a receiver that waits has to want something");
        let (piece, left) = rest.split_at(next(rest.len()).min(wanted));
        receiver.receive(piece);
        assert!(receiver.buffered() <= Receiver::buffered_bytes_max(&LIMITS));
        rest = left;
    }
}
