//! HTML as it grows: literals are markup, everything else is text and is escaped. There is no other way in.

use std::fmt::{self, Display, Write};

/// A document, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// Writes into an [`Html`]: string literals are markup; what stands in parentheses is text.
macro_rules! put {
    ($page:expr, $($part:tt)*) => {{
        $( put!(@part $page, $part); )*
    }};
    (@part $page:expr, $markup:literal) => { $page.markup($markup) };
    (@part $page:expr, ($text:expr)) => { $page.text(&$text) };
}
pub(super) use put;

impl Html {
    /// Markup of ours: being static, it holds nothing from outside.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, as content or within a quoted attribute.
    pub(super) fn text(&mut self, text: &dyn Display) {
        let _text_takes_all = write!(Escaping(&mut self.0), "{text}");
    }

    /// A part that was made apart.
    pub(super) fn append(&mut self, part: &Self) {
        self.0.push_str(&part.0);
    }

    /// A document of JSON in place of one of markup.
    pub(super) fn of_json(document: &serde_json::Value) -> Self {
        Self(document.to_string())
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    #[cfg(test)]
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut written = 0;
        for (index, character) in text.char_indices() {
            if let Some(escaped) = escape(character) {
                self.0.push_str(&text[written..index]);
                self.0.push_str(escaped);
                written = index + character.len_utf8();
            }
        }
        self.0.push_str(&text[written..]);
        Ok(())
    }
}

/// What stands for a character that does not stand for itself.
fn escape(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "&amp;",
        '<' => "&lt;",
        '>' => "&gt;",
        '"' => "&quot;",
        '\'' => "&#39;",
        ' '..='~' | '\n' | '\t' => return None,
        // What HTML has no place for, and what would turn a line's direction around.
        _ if character.is_control() || is_invisible(character) => "\u{fffd}",
        _ => return None,
    })
}

/// How many bytes a character takes as text of a page.
pub(super) fn escaped_bytes(character: char) -> usize {
    escape(character).map_or(character.len_utf8(), str::len)
}

/// Marks that change how what stands near them reads (Unicode 16, table 23-3; UAX 9).
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut page = Html::default();
        let hostile = "<script>\"'&\u{202e}\0\n";
        put!(page, "<p title=\"" (hostile) "\">" (1) "</p>");
        assert_eq!(page.as_str(), "<p title=\"&lt;script&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}\n\">1</p>");
    }
}
