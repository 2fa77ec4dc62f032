//! The chunked transfer coding (RFC 9112 section 7.1), decoded as it arrives.

use super::Limits;
use super::error::Refusal;
use super::head::{head_too_large, refusal_of, too_large};
use super::method::is_token_byte;
use super::scan::Scan;
use crate::limits::{CHUNK_LINE_BYTES_MAX, HEADERS_MAX};

/// Where in the coding the next byte stands.
#[derive(Clone, Copy, Debug, Default)]
enum Step {
    /// In the line that announces a chunk.
    #[default]
    Size,
    /// In a chunk, so many bytes before its end.
    Data(usize),
    /// At the CR LF behind a chunk.
    DataEnd,
    /// In the trailer section.
    Trailers,
}

/// What one call of [`Chunked::decode`] got through.
pub(super) struct Decoded {
    /// Bytes of the input that are done with; the next call's input starts behind them.
    pub(super) consumed: usize,
    /// Whether the content is whole.
    pub(super) whole: bool,
}

/// The decoder of one message's content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunked {
    step: Step,
    scan: Scan,
}

impl Chunked {
    /// Appends to `body` what `bytes` hold of the content.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Decoded, Refusal> {
        let mut consumed = 0;
        loop {
            let rest = bytes.get(consumed..).unwrap_or_default();
            let advanced = match self.step {
                Step::Size => self.size_line(rest, body.len(), limits)?,
                Step::Data(left) => self.data(rest, left, body),
                Step::DataEnd => self.data_end(rest)?,
                Step::Trailers => match self.trailers(rest, limits)? {
                    0 => 0,
                    end => return Ok(Decoded { consumed: consumed + end, whole: true }),
                },
            };
            if advanced == 0 {
                return Ok(Decoded { consumed, whole: false });
            }
            consumed += advanced;
        }
    }

    /// Bytes that the chunk in hand still wants; 0 between chunks.
    pub(super) fn missing(&self) -> usize {
        if let Step::Data(left) = self.step { left } else { 0 }
    }

    /// The line's length once it is whole, else 0: like the other steps, it says how far it got.
    fn size_line(&mut self, rest: &[u8], decoded_bytes: usize, limits: &Limits) -> Result<usize, Refusal> {
        let window = rest.get(..CHUNK_LINE_BYTES_MAX + 2).unwrap_or(rest);
        let Some(end) = self.scan.line(window)? else {
            return if window.len() == CHUNK_LINE_BYTES_MAX + 2 {
                Err(Refusal::bad("a chunk's line is too long"))
            } else {
                Ok(0)
            };
        };
        let size = chunk_size(window.get(..end - 2).unwrap_or_default())?;
        let total = decoded_bytes.saturating_add(size);
        if total > limits.body_bytes {
            return Err(too_large());
        }
        self.step = if size == 0 { Step::Trailers } else { Step::Data(size) };
        self.scan = Scan::default();
        Ok(end)
    }

    fn data(&mut self, rest: &[u8], left: usize, body: &mut Vec<u8>) -> usize {
        let here = rest.get(..left).unwrap_or(rest);
        body.extend_from_slice(here);
        self.step = if here.len() == left { Step::DataEnd } else { Step::Data(left - here.len()) };
        here.len()
    }

    fn data_end(&mut self, rest: &[u8]) -> Result<usize, Refusal> {
        match rest {
            [b'\r', b'\n', ..] => {
                self.step = Step::Size;
                Ok(2)
            }
            [] | [b'\r'] => Ok(0),
            _ => Err(Refusal::bad("a chunk is longer than was announced")),
        }
    }

    /// Trailers are held to what a head is held to, and thrown away (RFC 9112 section 7.1.2): nothing here
    /// has a use for them, and merged with the fields they could say what a proxy did not see.
    fn trailers(&mut self, rest: &[u8], limits: &Limits) -> Result<usize, Refusal> {
        let window = rest.get(..limits.head_bytes).unwrap_or(rest);
        let Some(end) = self.scan.section(window)? else {
            return if window.len() == limits.head_bytes { Err(head_too_large()) } else { Ok(0) };
        };
        let mut table = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (table, _) = table.split_at_mut(limits.headers.min(HEADERS_MAX));
        let section = window.get(..end).unwrap_or_default();
        match httparse::parse_headers(section, table) {
            Ok(httparse::Status::Complete((length, _))) if length == end => Ok(end),
            Ok(_) => Err(Refusal::bad("the trailer section is not valid")),
            Err(error) => Err(refusal_of(error, b"")),
        }
    }
}

/// The number at the start of a chunk's line. Extensions are ignored (RFC 9112 section 7.1.1), once they are some: white
/// space before the first, which the grammar calls bad, is refused, as readers differ over it.
fn chunk_size(line: &[u8]) -> Result<usize, Refusal> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at(digits);
    if digits.is_empty() || !matches!(extensions, [] | [b';', ..]) {
        return Err(Refusal::bad("a chunk's size is not a hexadecimal number"));
    }
    if behind_extensions(extensions) != Some(b"") {
        return Err(Refusal::bad("a chunk's extension is not `;name` or `;name=value`"));
    }
    digits
        .iter()
        .try_fold(0_usize, |sum, &byte| {
            let digit = char::from(byte).to_digit(16).and_then(|digit| usize::try_from(digit).ok())?;
            sum.checked_mul(16)?.checked_add(digit)
        })
        .ok_or_else(|| Refusal::bad("a chunk's size is out of all bounds"))
}

/// What follows the extensions; none if one is not what the grammar has. The scan has refused control bytes already, so
/// that white space is spaces and tabs.
fn behind_extensions(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some(name) = rest.trim_ascii_start().strip_prefix(b";") {
        rest = behind_token(name.trim_ascii_start())?;
        if let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") {
            rest = match value.trim_ascii_start() {
                [b'"', quoted @ ..] => behind_quoted(quoted)?,
                token => behind_token(token)?,
            };
        }
    }
    Some(rest)
}

fn behind_token(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| is_token_byte(**byte)).count();
    text.get(length..).filter(|_| length > 0)
}

/// What follows a quoted string whose first quote is gone (RFC 9110 section 5.6.4).
fn behind_quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] => rest,
            [b'\\'] | [] => return None,
            [_, rest @ ..] => rest,
        };
    }
}
