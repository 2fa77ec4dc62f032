//! The end of a process's output, in bounded memory, made printable.

/// Keeps the last bytes of what is pushed.
#[derive(Debug)]
pub(super) struct Tail {
    /// At most twice `bytes_max`: cutting back is then rare.
    kept: Vec<u8>,
    bytes_max: usize,
    pushed: u64,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { kept: Vec::new(), bytes_max, pushed: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pushed = self.pushed.saturating_add(bytes.len() as u64);
        let last = &bytes[bytes.len().saturating_sub(self.bytes_max)..];
        if self.kept.len() + last.len() > 2 * self.bytes_max {
            let surplus = (self.kept.len() + last.len()).saturating_sub(self.bytes_max);
            self.kept.drain(..surplus.min(self.kept.len()));
        }
        self.kept.extend_from_slice(last);
    }

    /// What is kept so far, as it came.
    pub(super) fn kept(&self) -> &[u8] {
        &self.kept[self.kept.len().saturating_sub(self.bytes_max)..]
    }

    /// The kept text, and whether something before it was dropped. What is no UTF-8, and control bytes other than line
    /// breaks and tabs, become U+FFFD: the text is shown on terminals.
    pub(super) fn into_text(self) -> (String, bool) {
        let start = self.kept.len().saturating_sub(self.bytes_max);
        let mut bytes = &self.kept[start..];
        let mut truncated = self.pushed > bytes.len() as u64;
        if truncated {
            // The cut may have gone through a character.
            let rest = bytes.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            bytes = &bytes[rest..];
        }
        let printable = |character: char| match character {
            '\n' | '\t' => character,
            '\r' => '\n',
            _ if character.is_control() => char::REPLACEMENT_CHARACTER,
            _ => character,
        };
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
        let mut text: String = text.chars().map(printable).collect();
        // One byte that was no text has become three.
        if text.len() > self.bytes_max {
            let surplus = text.len() - self.bytes_max;
            text.drain(..text.ceil_char_boundary(surplus));
            truncated = true;
        }
        (text, truncated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(chunks: &[&[u8]], bytes_max: usize) -> (String, bool) {
        let mut tail = Tail::new(bytes_max);
        for chunk in chunks {
            tail.push(chunk);
            assert!(tail.kept.len() <= 2 * bytes_max, "memory is bounded");
        }
        tail.into_text()
    }

    #[test]
    fn the_end_is_kept_however_it_came() {
        assert_eq!(tail_of(&[b"hello"], 8), ("hello".to_owned(), false));
        assert_eq!(tail_of(&[b"hello world"], 5), ("world".to_owned(), true));
        let bytes: Vec<&[u8]> = b"the quick brown fox".chunks(1).collect();
        assert_eq!(tail_of(&bytes, 9), ("brown fox".to_owned(), true));
        assert_eq!(tail_of(&[b"abc", b"defghij", b"k"], 4), ("hijk".to_owned(), true));
        assert_eq!(tail_of(&[], 4), (String::new(), false));
    }

    #[test]
    fn bytes_that_are_no_text_are_made_printable() {
        assert_eq!(tail_of(&[b"a\xffb\0c\x1b[31m\n"], 64).0, "a\u{fffd}b\u{fffd}c\u{fffd}[31m\n");
        assert_eq!(tail_of(&["häß".as_bytes()], 2).0, "ß", "a cut goes between characters");
        assert_eq!(tail_of(&["aß".as_bytes()], 1).0, "");
    }

    #[test]
    fn what_is_kept_is_within_the_bound_however_much_was_made_printable() {
        assert_eq!(tail_of(&[b"\xff\xffend"], 8), ("\u{fffd}end".to_owned(), true));
        assert_eq!(
            tail_of(&[b"\0\0\0\0"], 4),
            ("\u{fffd}".to_owned(), true),
            "a cut goes between characters"
        );
        assert_eq!(tail_of(&[b"\xff"], 3), ("\u{fffd}".to_owned(), false));
    }
}
