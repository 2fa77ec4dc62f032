//! Text from outside, made harmless for a terminal: whatever is printed goes through here, and nothing by another way.
//!
//! What a terminal would obey, and what a reader would not see or see in another order than it is, is written as in Rust:
//! an escape is `\u{1b}`. So text from outside forges no line, hides nothing and moves no cursor, and can still be read.

use std::ops::RangeInclusive;

/// What has no look of its own, beside control characters: soft hyphens, marks and joiners of no width, separators of
/// lines and paragraphs, overrides and isolates of direction, annotations, tags (Unicode 16, categories Cf, Zl, Zp).
const UNSEEN: [RangeInclusive<char>; 9] = [
    '\u{ad}'..='\u{ad}',
    '\u{61c}'..='\u{61c}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{e0000}'..='\u{e0fff}',
];

fn is_harmless(character: char) -> bool {
    match character {
        ' '..='~' => true,
        _ => !character.is_control() && !UNSEEN.iter().any(|range| range.contains(&character)),
    }
}

/// Text on one line: line ends and tabs become spaces.
pub(super) fn printable(text: &str) -> String {
    made_harmless(text, |character| matches!(character, '\n' | '\r' | '\t').then_some(' '))
}

/// Text of several lines: line ends and tabs stay. A carriage return alone ends a line, too, as in the record of a run.
pub(super) fn printable_lines(text: &str) -> String {
    made_harmless(&text.replace("\r\n", "\n"), |character| match character {
        '\n' | '\r' => Some('\n'),
        '\t' => Some('\t'),
        _ => None,
    })
}

fn made_harmless(text: &str, spared: impl Fn(char) -> Option<char>) -> String {
    let mut harmless = String::with_capacity(text.len());
    for character in text.chars() {
        match spared(character).or(is_harmless(character).then_some(character)) {
            Some(character) => harmless.push(character),
            None => harmless.extend(character.escape_unicode()),
        }
    }
    harmless
}

/// JSON text that says the same, with nothing in its strings that is not harmless (RFC 8259 section 7).
pub(super) fn printable_json(json: &str) -> String {
    let mut harmless = String::with_capacity(json.len());
    for character in json.chars() {
        if is_harmless(character) {
            harmless.push(character);
        } else if character.is_ascii_whitespace() {
            // Between tokens: within a string, these are escaped already.
            harmless.push(' ');
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                harmless.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    harmless
}

/// The same of bytes that come in pieces, as a run's output does.
#[derive(Debug, Default)]
pub(super) struct PrintableStream {
    /// The begin of a character, or of a line end, whose rest has not come.
    begun: Vec<u8>,
}

impl PrintableStream {
    /// What of these bytes, and of those before, can be printed now.
    pub(super) fn next(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        // A character has at most four bytes: the last one to three may be the begin of one.
        let is_begun = |at: &usize| {
            let tail = self.begun.get(*at..).unwrap_or_default();
            let is_cut = std::str::from_utf8(tail)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none());
            is_cut || tail == b"\r"
        };
        let length = self.begun.len();
        let whole = (length.saturating_sub(3)..length).find(is_begun).unwrap_or(length);
        let rest = self.begun.split_off(whole);
        printable_lines(&String::from_utf8_lossy(&std::mem::replace(&mut self.begun, rest)))
    }

    /// What is left when no more comes.
    pub(super) fn rest(&mut self) -> String {
        printable_lines(&String::from_utf8_lossy(&std::mem::take(&mut self.begun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_or_a_reader_would_not_see_is_spelt_out() {
        assert_eq!(printable("a\nb\tc\rd"), "a b c d");
        assert_eq!(printable("\x1b[2J\u{9b}31m\x07\u{7f}\0"), r"\u{1b}[2J\u{9b}31m\u{7}\u{7f}\u{0}");
        for unseen in ['\u{202e}', '\u{2066}', '\u{2069}', '\u{200b}', '\u{200d}', '\u{2028}', '\u{feff}'] {
            assert_eq!(printable(&format!("a{unseen}b")), format!("a{}b", unseen.escape_unicode()));
        }
        assert_eq!(printable("häß → 温度 \u{1f600} {\\}"), "häß → 温度 \u{1f600} {\\}");
        assert_eq!(printable_lines("a\r\nb\tc\rd\u{2028}"), "a\nb\tc\nd\\u{2028}");
    }

    #[test]
    fn json_says_the_same_without_it() {
        let value = serde_json::json!({"a\u{202e}": ["\u{9b}31m\x1b\u{7f}\n", "\u{e0001}", "häß\u{1f600}"]});
        let text = printable_json(&value.to_string());
        assert!(text.chars().all(is_harmless), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        assert_eq!(printable_json("{\n\t\"a\": 1\r\n}"), "{  \"a\": 1  }");
    }

    #[test]
    fn output_is_printed_whole_however_it_is_cut() {
        let bytes = "häß → \u{1f600}\r\n\x1b[31m\r".as_bytes();
        for at in 0..=bytes.len() {
            let mut stream = PrintableStream::default();
            let mut text = stream.next(&bytes[..at]);
            text.push_str(&stream.next(&bytes[at..]));
            text.push_str(&stream.rest());
            assert_eq!(text, "häß → \u{1f600}\n\\u{1b}[31m\n", "{at}");
        }
        let mut stream = PrintableStream::default();
        assert_eq!(stream.next(b"a\xffb\xc3"), "a\u{fffd}b");
        assert_eq!(stream.rest(), "\u{fffd}");
    }
}
