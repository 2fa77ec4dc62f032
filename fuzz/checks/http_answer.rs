//! However the bytes of a server are split, the same answer or the same fault comes out of them, within the bounds on
//! memory; and whatever the fields of an answer hold, they can be asked.
//!
//! The first byte of the input chooses how the rest is split: 0 to 2 give pieces of one to three bytes, others a
//! pseudo-random split that they seed. The second one chooses the method, and with its highest bit
//! whether content is needed. Limits are small, so that the fuzzer reaches
//! them.

use heartbeat_runtime::http::Limits;
use heartbeat_runtime::http::client::{Answer, Fault, Method, Receiver, Url};
use heartbeat_runtime::limits::URL_BYTES_MAX;
use heartbeat_runtime::time::Wall;

use super::split::pieces;

const LIMITS: Limits = Limits { head_bytes: 256, headers: 6, body_bytes: 64 };

/// The target.
pub fn check(data: &[u8]) {
    let [split, choice, bytes @ ..] = data else { return };
    let method = [Method::Get, Method::Head, Method::Post][usize::from(*choice) % 3];
    let receiver = || match Receiver::new(LIMITS, method) {
        receiver if *choice < 128 => receiver,
        receiver => receiver.without_need_of_content(),
    };
    let whole = outcome(bytes, receiver(), |left| left);
    let pieces = outcome(bytes, receiver(), pieces(*split));
    assert_eq!(whole, pieces);
    match whole {
        Ok(answer) => judge(&answer, method),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

/// What comes out when pieces of the sizes that `next` gives arrive one after the other, and then the close. Bytes that
/// come behind an answer take its connection with them, as a caller has to see to.
fn outcome(
    bytes: &[u8],
    mut receiver: Receiver,
    mut next: impl FnMut(usize) -> usize,
) -> Result<Answer, Fault> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, left) = rest.split_at(next(rest.len()));
        rest = left;
        let outcome = receiver.push(piece);
        if !matches!(outcome, Ok(None)) {
            assert_eq!(receiver.push(b"a"), Err(Fault::Over));
            assert_eq!(receiver.end(), Err(Fault::Over));
        }
        if let Some(mut answer) = outcome? {
            answer.may_reuse &= rest.is_empty();
            return Ok(answer);
        }
    }
    receiver.end()
}

fn judge(answer: &Answer, method: Method) {
    assert!((200..1000).contains(&answer.status));
    assert!(answer.body.len() <= LIMITS.body_bytes && answer.fields.len() <= LIMITS.headers);
    assert!(answer.body.is_empty() || !(method == Method::Head || matches!(answer.status, 204 | 304)));
    let no_line_end = |text: &str| !text.contains(['\r', '\n', '\0']);
    assert!(answer.fields.iter().all(|(name, value)| no_line_end(name) && no_line_end(value)));
    answer.content_type();
    answer.retry_after(Wall::from_seconds(0));
    let Ok(base) = Url::parse("http://box.example:8080/a/b;c?d=e&f") else { unreachable!("it is one") };
    for reference in [answer.location(), answer.next_link()].into_iter().flatten() {
        let Ok(url) = base.join(reference) else { continue };
        let text = url.to_string();
        assert!(text.len() <= URL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(Url::parse(&text).as_ref(), Ok(&url), "what is written is read again");
        assert!(!url.target().split('?').next().unwrap_or_default().split('/').any(|part| part == ".."));
        let with = url.with_query_parameter("f", reference);
        assert!(with.is_err() || with.is_ok_and(|with| with.same_origin(&url)));
    }
}
