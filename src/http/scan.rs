//! Finds the ends of lines in bytes that arrive piecemeal, and judges each byte once.
//!
//! Invariant: what is found depends on the bytes alone, never on how many had arrived when they were looked
//! at. Bytes are judged in their order, and a window that a limit has cut off is never looked past.

use super::error::Refusal;

/// How far a line has been looked at. Positions count from the start of the window, which the caller keeps
/// at the same byte and may only make longer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    line_start: usize,
    scanned: usize,
}

impl Scan {
    /// The end of the current line, CRLF included, once it is there; the next call goes on behind it.
    ///
    /// RFC 9112 section 2.2 lets a recipient take a bare LF for the end of a line, and asks it to refuse or
    /// replace a bare CR. Both are refused: another reader on the way may have seen other lines.
    pub(super) fn line(&mut self, window: &[u8]) -> Result<Option<usize>, Refusal> {
        let unseen = window.get(self.scanned..).unwrap_or_default();
        let Some(offset) = first_control(unseen) else {
            self.scanned = window.len().max(self.scanned);
            return Ok(None);
        };
        self.scanned += offset;
        match unseen.get(offset..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {
                self.scanned += 2;
                self.line_start = self.scanned;
                Ok(Some(self.scanned))
            }
            [b'\r'] => Ok(None),
            [b'\r', ..] => Err(Refusal::bad("a CR stands alone; a line ends with CR LF")),
            [b'\n', ..] => Err(Refusal::bad("an LF stands alone; a line ends with CR LF")),
            // RFC 9110 section 5.5: CR, LF and NUL are dangerous, the others invalid.
            _ => Err(Refusal::bad("a control byte stands in the message's head or framing")),
        }
    }

    /// The end of the first empty line, CRLF included: the end of a head or of a trailer section.
    pub(super) fn section(&mut self, window: &[u8]) -> Result<Option<usize>, Refusal> {
        loop {
            let line_start = self.line_start;
            match self.line(window)? {
                Some(line_end) if line_end == line_start + 2 => return Ok(Some(line_end)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// 1 in each byte of a word, and its highest bit.
const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGHEST_BITS: u64 = ONES << 7;

/// Where the first control byte is that is no horizontal tab. Eight bytes at a time, because every byte of a head passes
/// through here.
pub(super) fn first_control(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let marks = marks_of_controls(u64::from_le_bytes(*eight));
        if marks == 0 {
            at += eight.len();
            continue;
        }
        at += (marks.trailing_zeros() / 8) as usize;
        if text.get(at) != Some(&b'\t') {
            return Some(at);
        }
        at += 1;
    }
    let is_refused = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    Some(at + text.get(at..)?.iter().position(is_refused)?)
}

/// The highest bit of the lowest byte that is a control byte; of those above it, the marks mean nothing. Subtracting sets
/// that bit of a byte that is less, and what it borrows from the next byte cannot reach a lower one.
const fn marks_of_controls(eight: u64) -> u64 {
    let from_delete = eight ^ (ONES * 0x7f);
    let below_space = eight.wrapping_sub(ONES * 0x20) & !eight;
    let is_delete = from_delete.wrapping_sub(ONES) & !from_delete;
    (below_space | is_delete) & HIGHEST_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_its_first_empty_line() {
        let mut scan = Scan::default();
        assert_eq!(scan.section(b"a\r\nb\r\n\r\nc").unwrap(), Some(8));
        assert_eq!(Scan::default().section(b"\r\nc").unwrap(), Some(2));
        assert_eq!(Scan::default().section(b"a\r\n\r").unwrap(), None);
    }

    #[test]
    fn a_section_that_comes_byte_by_byte_ends_at_the_same_byte() {
        let bytes = b"ab\r\nc\td\r\n\r\n";
        let mut scan = Scan::default();
        for end in 0..bytes.len() {
            assert_eq!(scan.section(&bytes[..end]).unwrap(), None, "{end}");
        }
        assert_eq!(scan.section(bytes).unwrap(), Some(bytes.len()));
    }

    #[test]
    fn a_bad_byte_is_refused_as_soon_as_it_is_seen() {
        for bad in [&b"a\n"[..], b"a\rb", b"\n", b"a\0", b"\x7f", b"a\x0b", b"a\r\r\n"] {
            assert!(Scan::default().line(bad).is_err(), "{bad:?}");
        }
        assert!(Scan::default().line("tab\tand \u{e9}\r\n".as_bytes()).is_ok());
    }

    #[test]
    fn each_byte_is_judged_the_same_wherever_it_stands() {
        for (byte, at, length) in (0..=255_u8).flat_map(|byte| (0..20).map(move |at| (byte, at, 20 + at % 3)))
        {
            for filler in [b'a', b'\t', 0xff, b' ', b'~', 0x80] {
                let mut text = vec![filler; length];
                text[at] = byte;
                let refused = byte.is_ascii_control() && byte != b'\t';
                assert_eq!(first_control(&text), refused.then_some(at), "{byte} at {at} among {filler}");
                text.insert(at + 1, 0);
                assert_eq!(first_control(&text), Some(if refused { at } else { at + 1 }));
            }
        }
    }
}
