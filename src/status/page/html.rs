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
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(character),
                // What HTML has no place for, and what would turn a line's direction around.
                _ if character.is_control() || is_invisible(character) => {
                    self.0.push(char::REPLACEMENT_CHARACTER)
                }
                _ => self.0.push(character),
            }
        }
        Ok(())
    }
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
