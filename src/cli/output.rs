//! What a command prints: text for people or one JSON value a line, coloured only on a terminal.

use serde::Serialize;
use std::io::{self, IsTerminal, Write};

use super::failure::Failure;

/// Standard output as the command line asks for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    /// Whether programs read it: JSON in place of text.
    pub(super) json: bool,
    /// Whether hints and progress are left out.
    pub(super) quiet: bool,
    colour: bool,
}

/// How a word stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paint {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Paint {
    /// The SGR code of ECMA-48.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Bold => Some("1"),
            Self::Dim => Some("2"),
            Self::Red => Some("31"),
            Self::Green => Some("32"),
            Self::Yellow => Some("33"),
            Self::Cyan => Some("36"),
        }
    }
}

impl Output {
    /// For the process's own standard output. `NO_COLOR` counts if it is set to anything (no-color.org).
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|value| value != "dumb");
        Self { json, quiet, colour: wanted && !json && io::stdout().is_terminal() }
    }

    /// Text in a colour, where there are colours.
    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        match paint.code().filter(|_| self.colour) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    /// Prints a line.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{}", text.as_ref()).map_err(|error| Failure::output(&error))
    }

    /// Prints a value as JSON, in one line.
    pub(super) fn value(&self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = Vec::new();
        serde_json::to_writer(&mut line, value).map_err(|error| Failure::output(&error.into()))?;
        line.push(b'\n');
        io::stdout().lock().write_all(&line).map_err(|error| Failure::output(&error))
    }

    /// Prints rows in columns as wide as their widest cell.
    pub(super) fn table(&self, table: &Table) -> Result<(), Failure> {
        table.lines(|paint, text| self.paint(paint, text)).into_iter().try_for_each(|line| self.line(line))
    }

    /// The same, four columns in.
    pub(super) fn indented_table(&self, table: &Table) -> Result<(), Failure> {
        let lines = table.lines(|paint, text| self.paint(paint, text));
        lines.into_iter().try_for_each(|line| self.line(format!("    {line}")))
    }
}

/// Rows of cells.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<(Paint, String)>>,
}

impl Table {
    /// A table with a heading.
    pub(super) fn with_heading(names: &[&str]) -> Self {
        Self { rows: vec![names.iter().map(|name| (Paint::Dim, (*name).to_owned())).collect()] }
    }

    /// Adds a row. What came from outside cannot move the cursor of a terminal.
    pub(super) fn row(&mut self, cells: Vec<(Paint, String)>) {
        self.rows.push(cells.into_iter().map(|(paint, text)| (paint, printable(&text))).collect());
    }

    fn lines(&self, paint: impl Fn(Paint, &str) -> String) -> Vec<String> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, (_, text)) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        let line = |row: &Vec<(Paint, String)>| {
            let mut line = String::new();
            for (width, (colour, text)) in widths.iter().zip(row) {
                line.push_str(&paint(*colour, text));
                line.extend(std::iter::repeat_n(' ', width + 2 - text.chars().count()));
            }
            line.truncate(line.trim_end().len());
            line
        };
        self.rows.iter().map(line).collect()
    }
}

/// Text on one line, without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::with_heading(&["NAME", "EVERY"]);
        table.row(vec![(Paint::Plain, "upload-readings".to_owned()), (Paint::Plain, "15m".to_owned())]);
        table.row(vec![(Paint::Plain, "ü".to_owned()), (Paint::Red, String::new())]);
        let lines = table.lines(|_, text| text.to_owned());
        assert_eq!(lines, ["NAME             EVERY", "upload-readings  15m", "ü"]);
    }

    #[test]
    fn a_cell_cannot_move_the_cursor() {
        let mut table = Table::default();
        table.row(vec![(Paint::Plain, "a\x1b[2Jb\nc".to_owned())]);
        assert_eq!(table.lines(|_, text| text.to_owned()), ["a [2Jb c"]);
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let output = |colour| Output { json: false, quiet: false, colour };
        assert_eq!(output(false).paint(Paint::Red, "x"), "x");
        assert_eq!(output(true).paint(Paint::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
