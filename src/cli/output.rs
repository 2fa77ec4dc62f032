//! What a command prints: text for people or one JSON value a line, coloured only on a terminal.
//!
//! Invariant: nothing from outside reaches a terminal but through `printable`; the only control sequences are colours.

use serde::Serialize;
use std::io::{self, IsTerminal, Write};

use super::failure::Failure;
use super::printable::{printable, printable_json, printable_lines};

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
    fn paint(&self, paint: Paint, text: &str) -> String {
        match paint.code().filter(|_| self.colour) {
            Some(code) => format!("\x1b[{code}m{text}\x1b[0m"),
            None => text.to_owned(),
        }
    }

    /// Prints a line; what is in the text is one line.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        print_line(&printable(text.as_ref()))
    }

    /// Prints lines. What came from outside may make lines only where it is meant to.
    pub(super) fn lines(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        print_line(&printable_lines(text.as_ref()))
    }

    /// Prints a line of several colours.
    pub(super) fn painted(&self, parts: &[(Paint, &str)]) -> Result<(), Failure> {
        let parts = parts.iter().map(|(paint, text)| self.paint(*paint, &printable(text)));
        print_line(&parts.collect::<String>())
    }

    /// Prints a value as JSON, in one line.
    pub(super) fn value(&self, value: &impl Serialize) -> Result<(), Failure> {
        self.json(&serde_json::to_string(value).map_err(|error| Failure::output(&error.into()))?)
    }

    /// Prints text that is one JSON value already, in one line.
    pub(super) fn json(&self, text: &str) -> Result<(), Failure> {
        print_line(&printable_json(text))
    }

    /// Prints rows in columns as wide as their widest cell.
    pub(super) fn table(&self, table: &Table) -> Result<(), Failure> {
        table.lines(|paint, text| self.paint(paint, text)).into_iter().try_for_each(|line| print_line(&line))
    }

    /// The same, four columns in.
    pub(super) fn indented_table(&self, table: &Table) -> Result<(), Failure> {
        let lines = table.lines(|paint, text| self.paint(paint, text));
        lines.into_iter().try_for_each(|line| print_line(&format!("    {line}")))
    }
}

fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(|error| Failure::output(&error))
}

/// Tells something beside the output, as a line on standard error.
pub(super) fn note(text: &str) {
    // A closed standard error changes nothing about what was done.
    let _told = writeln!(io::stderr().lock(), "{}", printable(text));
}

/// Rows of cells.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<Vec<(Paint, String)>>,
}

impl Table {
    /// A table with a heading, which may be from outside as well: columns are named by records.
    pub(super) fn with_heading(names: &[&str]) -> Self {
        Self { rows: vec![names.iter().map(|name| (Paint::Dim, printable(name))).collect()] }
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
        assert_eq!(table.lines(|_, text| text.to_owned()), [r"a\u{1b}[2Jb c"]);
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        let output = |colour| Output { json: false, quiet: false, colour };
        assert_eq!(output(false).paint(Paint::Red, "x"), "x");
        assert_eq!(output(true).paint(Paint::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
