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
        let Some(offset) = memchr::memchr2(b'\r', b'\n', unseen) else {
            check_text(unseen)?;
            self.scanned = window.len().max(self.scanned);
            return Ok(None);
        };
        let (text, ending) = unseen.split_at(offset);
        check_text(text)?;
        self.scanned += offset;
        match ending {
            [b'\r', b'\n', ..] => {
                self.scanned += 2;
                self.line_start = self.scanned;
                Ok(Some(self.scanned))
            }
            [b'\r'] => Ok(None),
            [b'\r', ..] => Err(Refusal::bad("a CR stands alone; a line ends with CR LF")),
            _ => Err(Refusal::bad("an LF stands alone; a line ends with CR LF")),
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

/// Refuses control bytes other than a horizontal tab (RFC 9110 section 5.5: CR, LF and NUL are dangerous, the
/// others invalid). No early exit: so the compiler makes vector code of it.
fn check_text(text: &[u8]) -> Result<(), Refusal> {
    let control =
        text.iter().fold(false, |any, &byte| any | ((byte < b' ') & (byte != b'\t')) | (byte == 127));
    if control { Err(Refusal::bad("a control byte stands in the message's head or framing")) } else { Ok(()) }
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
}
