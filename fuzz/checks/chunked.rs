//! The chunked transfer coding (RFC 9112 section 7.1), however it is split: the server's side and the client's decode
//! the same content out of it, end it at the same byte, and refuse what a naive reading of the whole refuses.
//!
//! The first byte of the input chooses how the rest is split.

use heartbeat_runtime::http::{ErrorCode, Limits, Progress, Receiver, client};
use heartbeat_runtime::limits::CHUNK_LINE_BYTES_MAX;

use super::split::pieces;

const LIMITS: Limits = Limits { head_bytes: 128, headers: 4, body_bytes: 96 };
const REQUEST: &[u8] = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What comes of a content that arrives.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It is whole, and so many bytes are behind it.
    Whole(Vec<u8>, usize),
    NotYet,
    /// One of these says why: where two faults meet in one section, either may be told.
    Refused(Vec<ErrorCode>),
}
use Outcome::{NotYet, Refused, Whole};

/// The target.
pub fn check(data: &[u8]) {
    let Some((&way, content)) = data.split_first() else { return };
    let expected = naive(content);
    for (name, outcome) in [
        ("whole", of_server(content, |left| left)),
        ("in pieces", of_server(content, pieces(way))),
        ("client, whole", of_client(content, |left| left)),
        ("client, in pieces", of_client(content, pieces(way))),
    ] {
        let fits = match (&outcome, &expected) {
            (Refused(told), Refused(right)) => told.iter().all(|code| right.contains(code)),
            // What is behind an answer is a server's mistake: the client does not count it.
            (Whole(body, 0), Whole(expected, _)) if name.starts_with("client") => body == expected,
            (outcome, expected) => outcome == expected,
        };
        assert!(fits, "{name}: {outcome:?} and not {expected:?}");
    }
}

fn of_server(content: &[u8], mut next: impl FnMut(usize) -> usize) -> Outcome {
    let mut receiver = Receiver::new();
    receiver.receive(REQUEST);
    let mut rest = content;
    loop {
        match receiver.poll(&LIMITS) {
            Progress::Request(request) => {
                let body = request.body.to_vec();
                receiver.consume();
                return Whole(body, receiver.buffered() + rest.len());
            }
            Progress::Refused(refusal) => return Refused(vec![refusal.code]),
            Progress::Body { .. } => {}
            progress => unreachable!("the head was whole: {progress:?}"),
        }
        if rest.is_empty() {
            return NotYet;
        }
        let (piece, behind) = rest.split_at(next(rest.len()).min(receiver.wants_bytes(&LIMITS)));
        receiver.receive(piece);
        assert!(receiver.buffered() <= Receiver::buffered_bytes_max(&LIMITS));
        rest = behind;
    }
}

fn of_client(content: &[u8], mut next: impl FnMut(usize) -> usize) -> Outcome {
    let mut receiver = client::Receiver::new(LIMITS, client::Method::Get);
    assert_eq!(receiver.push(ANSWER), Ok(None));
    let mut rest = content;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(next(rest.len()));
        rest = behind;
        match receiver.push(piece) {
            Ok(None) => {}
            Ok(Some(answer)) => return Whole(answer.body, 0),
            Err(_) => return Refused(Vec::new()),
        }
    }
    assert!(receiver.end().is_err(), "an answer in chunks does not end with its connection");
    NotYet
}

/// Reads all of it at once, a section after the other.
fn naive(content: &[u8]) -> Outcome {
    let bad = || Refused(vec![ErrorCode::BadRequest]);
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Line::Whole(line) = line(&content[at..], CHUNK_LINE_BYTES_MAX) else {
            return if line(&content[at..], CHUNK_LINE_BYTES_MAX) == Line::NotYet { NotYet } else { bad() };
        };
        at += line.len() + 2;
        let extensions =
            line.iter().position(|byte| !byte.is_ascii_hexdigit()).map_or(&[][..], |end| &line[end..]);
        if !are_extensions(extensions) {
            return bad();
        }
        let line = String::from_utf8_lossy(line);
        let digits = line.split(';').next().unwrap_or_default().trim_start_matches('0');
        let is_number = !line.is_empty()
            && !line.starts_with(';')
            && digits.chars().all(|digit| "0123456789abcdefABCDEF".contains(digit));
        if !is_number || digits.len() > 16 {
            return bad();
        }
        let size = if digits.is_empty() { 0 } else { u128::from_str_radix(digits, 16).expect("digits") };
        if u128::try_from(body.len()).expect("small") + size > 96 {
            return Refused(vec![ErrorCode::BodyTooLarge]);
        }
        let size = usize::try_from(size).expect("at most 96");
        if size == 0 {
            return trailers(body, &content[at..]);
        }
        let data = &content[at..];
        if data.len() <= size {
            return NotYet;
        }
        body.extend_from_slice(&data[..size]);
        match &data[size..] {
            [b'\r', b'\n', ..] => at += size + 2,
            [b'\r'] => return NotYet,
            _ => return bad(),
        }
    }
}

/// Byte by byte: `;name`, `;name=token` and `;name="text"`, with white space but before the first and behind the last.
fn are_extensions(text: &[u8]) -> bool {
    let mut state = "none";
    for &byte in text {
        let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        state = match (state, byte) {
            ("quoted", b'"') => "closed",
            ("quoted", b'\\') => "escape",
            ("quoted" | "escape", _) => "quoted",
            ("none" | "name" | "named" | "token" | "closed" | "valued", b';') => "name?",
            ("name" | "named", b'=') => "value?",
            ("value?", b'"') => "quoted",
            ("name?" | "name", _) if is_token => "name",
            ("value?" | "token", _) if is_token => "token",
            ("name?" | "value?" | "named" | "valued", b' ' | b'\t') => state,
            ("name", b' ' | b'\t') => "named",
            ("token" | "closed", b' ' | b'\t') => "valued",
            _ => return false,
        };
    }
    matches!(state, "none" | "name" | "token" | "closed")
}

#[derive(PartialEq)]
enum Line<'a> {
    Whole(&'a [u8]),
    NotYet,
    Bad,
}

/// The first line, without its end, if it is no longer than that.
fn line(text: &[u8], bytes_max: usize) -> Line<'_> {
    for (at, byte) in text.iter().enumerate().take(bytes_max + 2) {
        match (byte, text.get(at + 1)) {
            (b'\r', Some(b'\n')) if at <= bytes_max => return Line::Whole(&text[..at]),
            (b'\r', None) if at <= bytes_max => return Line::NotYet,
            (b'\t' | b' '..=b'~' | 0x80.., _) => {}
            _ => return Line::Bad,
        }
    }
    if text.len() < bytes_max + 2 { Line::NotYet } else { Line::Bad }
}

fn trailers(body: Vec<u8>, section: &[u8]) -> Outcome {
    let within = &section[..section.len().min(LIMITS.head_bytes)];
    let (mut at, mut fields, mut codes) = (0, 0, Vec::new());
    loop {
        match line(&within[at..], LIMITS.head_bytes) {
            Line::Bad => return Refused(vec![ErrorCode::BadRequest]),
            Line::NotYet if within.len() == LIMITS.head_bytes => {
                return Refused(vec![ErrorCode::HeadTooLarge]);
            }
            Line::NotYet => return NotYet,
            Line::Whole([]) if codes.is_empty() => return Whole(body, section.len() - at - 2),
            Line::Whole([]) => return Refused(codes),
            Line::Whole(line) => {
                let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
                fields += 1;
                if fields > LIMITS.headers {
                    codes.push(ErrorCode::HeadTooLarge);
                }
                if name.is_empty() || name.len() == line.len() || !name.iter().all(is_token) {
                    codes.push(ErrorCode::BadRequest);
                }
                at += line.len() + 2;
            }
        }
    }
}
