//! TOML as a tree with line numbers: the only place that knows the `toml` crate.
//!
//! Reading goes on after an error, so that every fault is found in one go. The tree's depth is bounded, so that
//! whoever walks it may recurse.

use serde_json::{Number, Value as Json};
use std::collections::HashSet;
use std::path::Path;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, shown};
use super::size::format_size;
use crate::sorted::sort_by;

/// Parts of a dotted key. The parser itself bounds a key and the nesting of brackets, each at 80, but not their
/// product, and dropping a tree that is thousands deep overflows a stack.
const KEY_PARTS_MAX: usize = 8;
/// Levels of the tree.
const DEPTH_MAX: usize = 32;

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1; `None` where it comes from the environment.
    pub(super) line: Option<usize>,
    pub(super) value: Raw,
}

/// A value as it was written.
#[derive(Debug)]
pub(super) enum Raw {
    Text(String),
    Boolean(bool),
    Integer(i128),
    /// As written: what it means matters only in the table of a registered flow kind.
    Float(String),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys with their values; a node's line is its key's.
pub(super) type Table = Vec<(String, Node)>;

impl Raw {
    /// What this is, for a message: the value itself where it is short.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {}", shown(text)),
            Self::Boolean(value) => format!("`{value}`"),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Date(date) => format!("the date {date}"),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }

    /// What this is, where it may be a secret: nothing of the value itself.
    pub(super) const fn sort(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }

    /// The same as JSON.
    ///
    /// # Errors
    /// What JSON cannot hold: numbers that are not finite or beyond 64 bits.
    pub(super) fn to_json(&self) -> Result<Json, String> {
        Ok(match self {
            Self::Text(text) | Self::Date(text) => Json::String(text.clone()),
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(number), _) => Json::from(number),
                (_, Ok(number)) => Json::from(number),
                _ => return Err(format!("the number {number} is beyond 64 bits")),
            },
            Self::Float(text) => match text.parse().ok().and_then(Number::from_f64) {
                Some(number) => Json::Number(number),
                None => return Err(format!("the number {text} is not a finite one")),
            },
            Self::List(nodes) => {
                Json::Array(nodes.iter().map(|node| node.value.to_json()).collect::<Result<_, _>>()?)
            }
            Self::Table(table) => {
                let mut object = serde_json::Map::new();
                for (key, node) in table {
                    object.insert(key.clone(), node.value.to_json()?);
                }
                Json::Object(object)
            }
        })
    }
}

/// Reads `text`: what could be made out of it, and every fault of the syntax, at most one a line.
pub(super) fn read(text: &str, file: &Path, bytes_max: usize) -> (Table, Vec<Fault>) {
    let lines = Lines::of(text);
    let refused = |line, message: String, help: &str| {
        (Table::new(), vec![Fault { line, ..Fault::of_file(file, message, help) }])
    };
    if text.len() > bytes_max {
        let limit = format_size(bytes_max);
        return refused(None, format!("the file is larger than {limit}"), "is it the right file?");
    }
    if let Some(offset) = overlong_key(text) {
        let message = format!("a key has more than {KEY_PARTS_MAX} parts");
        return refused(
            lines.line(offset),
            message,
            "no key here has more than two parts, as in `limits.body`",
        );
    }
    let (table, mut faults) = parse(text, file);
    let (table, too_deep) = match repaired(text, file, &faults) {
        Some((text, all)) => {
            faults = all;
            convert(parse(&text, file).0, &Lines::of(&text))
        }
        None => convert(table, &lines),
    };
    if let Some(line) = too_deep {
        let message = format!("values are nested more than {DEPTH_MAX} deep");
        let help = "nothing here needs more than four levels";
        faults.push(Fault { line, ..Fault::of_file(file, message, help) });
    }
    (table, faults)
}

/// What the parser makes of `text`, and what it finds wrong, one fault a line.
fn parse<'t>(text: &'t str, file: &Path) -> (DeTable<'t>, Vec<Fault>) {
    let lines = Lines::of(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults: Vec<Fault> = errors.iter().map(|error| syntax_fault(error, file, &lines)).collect();
    sort_by(&mut faults, |one, other| one.line.cmp(&other.line));
    faults.dedup_by_key(|fault| fault.line);
    // Text that is not closed swallows its list's bracket, and the list then runs on to the end of the file.
    let mut runs_on = false;
    faults.retain(|fault| {
        let follows = runs_on && fault.message.starts_with("missing comma between array");
        runs_on = follows || fault.help == CLOSE_TEXT;
        !follows
    });
    (table.into_inner(), faults)
}

/// How often broken lines are taken out before what is left is given up.
const REPAIRS_MAX: usize = 4;

/// The text without its broken lines, and the faults of all of them. The parser gives up at the first line that is
/// neither a key with a value nor a table, and what stands below is to be judged all the same. `None` if nothing is
/// wrong, or if what is left is no better.
fn repaired(text: &str, file: &Path, faults: &[Fault]) -> Option<(String, Vec<Fault>)> {
    let mut all = faults.to_vec();
    let mut broken = lines_of(faults);
    // The end of a list whose first lines were taken out.
    let is_bracket = |line: usize| text.lines().nth(line - 1).is_some_and(|line| line.trim() == "]");
    for _ in 0..REPAIRS_MAX {
        let text = without_lines(text, &broken)?;
        let (_, more) = parse(&text, file);
        if more.is_empty() {
            sort_by(&mut all, |one, other| one.line.cmp(&other.line));
            return Some((text, all));
        }
        broken.extend(lines_of(&more));
        all.extend(more.into_iter().filter(|fault| !fault.line.is_some_and(is_bracket)));
    }
    None
}

fn lines_of(faults: &[Fault]) -> HashSet<usize> {
    faults.iter().filter_map(|fault| fault.line).collect()
}

/// The text with the lines `broken` empty. `None` if there is none, or if one is a table's, without
/// which the keys below it would belong elsewhere.
fn without_lines(text: &str, broken: &HashSet<usize>) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        match broken.contains(&(index + 1)) {
            true if line.trim_start().starts_with('[') => return None,
            true => kept.push('\n'),
            false => kept.push_str(line),
        }
    }
    Some(kept).filter(|_| !broken.is_empty())
}

const CLOSE_TEXT: &str = "close the text with the quote that opens it";

fn syntax_fault(error: &toml::de::Error, file: &Path, lines: &Lines) -> Fault {
    let message = error.message();
    let help = if message.starts_with("duplicate key") {
        "remove one of the two, or move it to the table that it belongs to"
    } else if message.starts_with("string values must be quoted") {
        "write text in quotes, as in key = \"value\""
    } else if message.contains(" string, expected `\"`") || message.contains(" string, expected `'`") {
        CLOSE_TEXT
    } else {
        "write `key = value` on a line of its own, text in \"quotes\", lists in [brackets], tables as [name]"
    };
    let line = error.span().and_then(|span| lines.line(span.start));
    Fault { line, ..Fault::of_file(file, message.escape_debug().to_string(), help) }
}

/// Our own tree, and the line where it was too deep to be one.
fn convert(table: DeTable<'_>, lines: &Lines) -> (Table, Option<Option<usize>>) {
    let mut convert = Convert { lines, too_deep: None };
    (convert.table(table, 0), convert.too_deep)
}

struct Convert<'a> {
    lines: &'a Lines,
    too_deep: Option<Option<usize>>,
}

impl Convert<'_> {
    fn table(&mut self, table: DeTable<'_>, depth: usize) -> Table {
        let entries = table.into_iter();
        entries
            .map(|(key, value)| {
                let line = self.lines.line(key.span().start);
                let value = self.value(value.into_inner(), line, depth);
                (key.into_inner().into_owned(), Node { line, value })
            })
            .collect()
    }

    fn value(&mut self, value: DeValue<'_>, line: Option<usize>, depth: usize) -> Raw {
        match value {
            DeValue::String(text) => Raw::Text(text.into_owned()),
            DeValue::Boolean(value) => Raw::Boolean(value),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(value) => Raw::Integer(value),
                // More than 128 bits, which no bound here comes near.
                Err(_) => Raw::Float(shown(number.as_str())),
            },
            DeValue::Float(number) => Raw::Float(number.as_str().to_owned()),
            DeValue::Datetime(date) => Raw::Date(date.to_string()),
            DeValue::Array(_) | DeValue::Table(_) if depth >= DEPTH_MAX => {
                self.too_deep.get_or_insert(line);
                Raw::List(Vec::new())
            }
            DeValue::Table(table) => Raw::Table(self.table(table, depth + 1)),
            DeValue::Array(array) => Raw::List(
                array
                    .into_iter()
                    .map(|item| {
                        let line = self.lines.line(item.span().start);
                        Node { line, value: self.value(item.into_inner(), line, depth + 1) }
                    })
                    .collect(),
            ),
        }
    }
}

/// Where each line ends, so that a thousand faults do not read the text a thousand times.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(memchr::memchr_iter(b'\n', text.as_bytes()).collect())
    }

    fn line(&self, offset: usize) -> Option<usize> {
        Some(self.0.partition_point(|end| *end < offset) + 1)
    }
}

/// The offset at which a key outgrows [`KEY_PARTS_MAX`]. Strings and comments are skipped as TOML reads them;
/// a number has one dot at most, so what stands to the right of `=` does no harm.
fn overlong_key(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut dots = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = end_of_string(bytes, at, byte);
                continue;
            }
            b'#' => {
                at = memchr::memchr(b'\n', bytes.get(at..)?).map_or(bytes.len(), |length| at + length);
                continue;
            }
            b'.' => dots += 1,
            b'=' | b',' | b'\n' | b'{' | b'}' | b'[' | b']' => dots = 0,
            _ => {}
        }
        if dots >= KEY_PARTS_MAX {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The offset after the string that opens at `start`; one on a single line ends with it at the latest.
fn end_of_string(bytes: &[u8], start: usize, quote: u8) -> usize {
    let triple = [quote; 3];
    let opens = |at: usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(&triple));
    let several_lines = opens(start);
    let mut at = if several_lines { start + 3 } else { start + 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quote == b'"' && bytes.get(at + 1) != Some(&b'\n') => at += 1,
            b'\n' if !several_lines => return at,
            _ if byte == quote && !several_lines => return at + 1,
            // Up to two quotes may stand before the three that close.
            _ if opens(at) => {
                return at + 3 + bytes.iter().skip(at + 3).take(2).take_while(|b| **b == quote).count();
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(Option<usize>, String)> {
        let (_, faults) = read(text, Path::new("x.toml"), 1 << 20);
        assert!(faults.iter().all(|fault| !fault.help.is_empty()));
        faults.into_iter().map(|fault| (fault.line, fault.message)).collect()
    }

    fn lines(text: &str) -> Vec<usize> {
        faults(text).into_iter().filter_map(|(line, _)| line).collect()
    }

    #[test]
    fn every_line_that_is_not_toml_is_told_of_once() {
        assert_eq!(lines("a = 1\nb = \nc = 2\nd = what\ne = \"x\n"), [2, 4, 5]);
        assert_eq!(lines("a = 1\n\na = 2\n"), [3]);
        assert_eq!(lines("ok = 1\r\n[t]\r\nb = 'x'\r\n"), [0; 0]);
    }

    #[test]
    fn what_stands_below_a_broken_line_is_read() {
        let (table, faults) = read("a = 1\nwhat is this\nb = 2\n[t]\nc = \n", Path::new("x"), 1000);
        let names = table.iter().map(|(name, node)| (name.as_str(), node.line));
        assert_eq!(names.collect::<Vec<_>>(), [("a", Some(1)), ("b", Some(3)), ("t", Some(4))]);
        assert_eq!(faults.len(), 2);
        assert_eq!(without_lines("a = 1\n[t\nb = 2\n", &HashSet::from([2])), None);
    }

    #[test]
    fn text_that_is_not_closed_is_one_fault_however_much_follows_it() {
        for first in ["a = [\"x]", "a = ['x]", "a = [\"x\", \"y\n]", "a = \"x", "a = '''x"] {
            let text = format!("{first}\nb = 2\n[t]\nc = 3\nd = \"4\"\n");
            let (table, faults) = read(&text, Path::new("x"), 1000);
            let told: Vec<_> = faults.iter().map(|fault| fault.help.as_str()).collect();
            assert_eq!(told, [CLOSE_TEXT], "{first}");
            let is_read = table.iter().any(|(name, _)| name == "t");
            assert_eq!(is_read, !first.contains("'''"), "{first}: {table:?}");
        }
        // And others beside it are told.
        assert_eq!(lines("a = [\"x]\nb = 2\nwhat\n[t]\nc = \n"), [1, 3, 5]);
        assert_eq!(lines("a = [\n'x',\n'y'\n'z'\n]\nb = \"x\n]\n"), [4, 6, 7]);
    }

    #[test]
    fn lines_are_those_of_keys_and_of_list_items() {
        let (table, _) = read("# one\nlist = [\n 1,\n 2\n]\n[t]\nk = 5\n", Path::new("x"), 1000);
        let line_of = |key| table.iter().find(|(name, _)| name == key).map(|(_, node)| node);
        let list = line_of("list").unwrap();
        assert_eq!(list.line, Some(2));
        let Raw::List(items) = &list.value else { panic!() };
        assert_eq!(items.iter().map(|item| item.line).collect::<Vec<_>>(), [Some(3), Some(4)]);
        assert_eq!(line_of("t").unwrap().line, Some(6));
    }

    #[test]
    fn deep_nesting_is_a_fault_and_not_an_overflow() {
        let path = vec!["a"; 79].join(".");
        let mut product = format!("[{path}]\n{path} = ");
        product.push_str(&format!("{{ {path} = ").repeat(79));
        product.push('1');
        product.push_str(&"}".repeat(79));
        assert_eq!(faults(&product).len(), 1);
        let short = "a.a.a.a.a.a.a.a";
        let allowed =
            format!("[{short}]\n{short} = {}1{}", format!("{{ {short} = ").repeat(79), "}".repeat(79));
        assert_eq!(faults(&allowed).len(), 1);
        for open in ["[", "{a=", "a.", "[[", "\"\".", "[a.", "''.'a'."] {
            assert!(!faults(&format!("a = {}", open.repeat(100_000))).is_empty(), "{open}");
            assert!(!faults(&open.repeat(100_000)).is_empty(), "{open}");
        }
    }

    #[test]
    fn dots_in_text_and_comments_are_no_key() {
        for text in [
            "a = \"1.2.3.4.5.6.7.8.9.10\"",
            "a = '1.2.3.4.5.6.7.8.9.10'",
            "a = \"\"\"\n\\\"\"\" .......... \"\"\"\"\"",
            "a = '''\n'' .......... ''''",
            "# ..........\na = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]",
            "a = \"\\\"..........\"",
        ] {
            assert_eq!(faults(text), [], "{text}");
        }
    }

    #[test]
    fn json_holds_all_but_numbers_that_are_none() {
        let json = |text: &str| {
            let (table, faults) = read(text, Path::new("x"), 1000);
            assert!(faults.is_empty());
            Raw::Table(table).to_json()
        };
        let right = json("a = 1\nb = 1.5\nc = true\nd = [\"x\", {e = 2026-11-23}]\nf = 18446744073709551615");
        let expected = r#"{"a":1,"b":1.5,"c":true,"d":["x",{"e":"2026-11-23"}],"f":18446744073709551615}"#;
        assert_eq!(right.map(|value| value.to_string()), Ok(expected.to_owned()));
        for wrong in ["a = inf", "a = nan", "a = 99999999999999999999", "a = 1e999"] {
            assert!(json(wrong).is_err(), "{wrong}");
        }
    }
}
