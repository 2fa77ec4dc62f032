//! One definition per key, and the walk that holds a document against a table of them.

use std::path::Path;

use super::document::{Node, Raw, Table};
use super::fault::{ENVIRONMENT, Fault, shown};
use super::kind::{Kind, OWN_PREFIX};

/// A key: all that is known of it, for reading, for the messages, for the examples and for the reference.
pub(super) struct Key<T: 'static> {
    /// `limits.body`: table and key.
    pub(super) path: &'static str,
    pub(super) kind: Kind<T>,
    pub(super) presence: Presence,
    /// One line for people, with the unit where the kind does not tell it.
    pub(super) doc: &'static str,
}

/// Whether a key must be given, with a value as TOML writes it.
pub(super) enum Presence {
    /// Left out, it has this value.
    Default(&'static str),
    /// It may be left out; this is an example.
    Optional(&'static str),
    /// It must be given; this is an example.
    Required(&'static str),
}

impl<T> Key<T> {
    /// A right value as TOML writes it.
    pub(super) fn example(&self) -> &'static str {
        let (Presence::Default(text) | Presence::Optional(text) | Presence::Required(text)) = self.presence;
        text
    }

    /// Table and name; the table is empty for a key of the top level.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }

    /// The environment variable that overrides it.
    pub(super) fn environment_name(&self) -> String {
        format!("{OWN_PREFIX}{}", self.path.replace('.', "__").to_uppercase())
    }

    /// `give …, such as …`, as it is written where the fault stands.
    pub(super) fn help(&self, place: Place) -> String {
        let right = self.kind.right();
        let example = self.example();
        match (place, self.parts()) {
            (Place::Environment, _) => {
                let plain = example.replace(['"', '[', ']'], "").replace(", ", ",");
                format!("give {right}, such as {}={plain}", self.environment_name())
            }
            (Place::Line(_), ("", name)) => format!("give {right}, such as {name} = {example}"),
            (Place::Line(_), (table, name)) => {
                format!("give {right}, such as {name} = {example} under [{table}]")
            }
        }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file.
    Line(Option<usize>),
    Environment,
}

/// What is known while a file is judged.
pub(super) struct Judge<'a> {
    pub(super) file: &'a Path,
    /// Relative paths are taken from here.
    pub(super) base: &'a Path,
    pub(super) faults: Vec<Fault>,
    /// Where each key was set last.
    set: Vec<(&'static str, Place)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(file: &'a Path, faults: Vec<Fault>) -> Self {
        Self { file, base: file.parent().unwrap_or(Path::new("")), faults, set: Vec::new() }
    }

    /// Where this key was set, if it was.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        self.set.iter().rev().find(|(known, _)| *known == path).map(|(_, place)| *place)
    }

    /// Adds a fault of the key at `path`, where it was set.
    pub(super) fn fault_of(&mut self, path: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = self.place(path).unwrap_or(Place::Line(None));
        self.fault(place, path, message, help);
    }

    /// Adds a fault of the key at `path`.
    pub(super) fn fault(
        &mut self,
        place: Place,
        path: &str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let (file, line, key) = match place {
            Place::Line(line) => (self.file, line, path.to_owned()),
            Place::Environment => (
                Path::new(ENVIRONMENT),
                None,
                format!("{OWN_PREFIX}{}", path.replace('.', "__").to_uppercase()),
            ),
        };
        self.faults.push(Fault { line, key: Some(key), ..Fault::of_file(file, message, help) });
    }

    /// Reads one value of `key`.
    pub(super) fn read<T>(&mut self, key: &Key<T>, node: &Node, place: Place, target: &mut T) {
        self.set.push((key.path, place));
        for wrong in key.kind.read(node, self.base, target) {
            let place = match place {
                Place::Line(line) => Place::Line(wrong.line.or(line)),
                Place::Environment => place,
            };
            let help = wrong.help.unwrap_or_else(|| key.help(place));
            self.fault(place, key.path, wrong.message, help);
        }
    }

    /// Reads a whole document. `other` is asked first about what the top level holds; it says whether it took it.
    pub(super) fn read_all<T>(
        &mut self,
        keys: &'static [Key<T>],
        document: &Table,
        target: &mut T,
        mut other: impl FnMut(&str) -> bool,
    ) {
        for (name, node) in document {
            match node {
                _ if other(name) => {}
                Node { value: Raw::Table(table), .. } if is_table(keys, name) => {
                    for (key, node) in table {
                        self.read_one(keys, name, key, node, target);
                    }
                }
                Node { line, value } if is_table(keys, name) => {
                    let message = format!("{} is not a table", value.described());
                    let help = format!("write [{name}] on a line of its own, and its keys below");
                    self.fault(Place::Line(*line), name, message, help);
                }
                _ => self.read_one(keys, "", name, node, target),
            }
        }
    }

    fn read_one<T>(&mut self, keys: &'static [Key<T>], table: &str, name: &str, node: &Node, target: &mut T) {
        let place = Place::Line(node.line);
        if let Some(key) = keys.iter().find(|key| key.parts() == (table, name)) {
            self.read(key, node, place, target);
        } else {
            let dot = if table.is_empty() { "" } else { "." };
            // Not `shown`: a key is a word of the author's own, cut only in length.
            let short: String = name.chars().take(60).collect();
            let path = format!("{table}{dot}{}", short.escape_debug());
            let help = suggestion(keys, table, name, matches!(node.value, Raw::Table(_)));
            self.fault(place, &path, "is not a key that is known here", help);
        }
    }
}

fn is_table<T>(keys: &[Key<T>], name: &str) -> bool {
    keys.iter().any(|key| key.parts().0 == name) && !name.is_empty()
}

/// How alike two words must be, from 0 to 1, to be taken for a slip of the other.
const LIKENESS_MIN: f64 = 0.84;

/// The most alike of `known`, if one is alike enough.
pub(super) fn most_alike<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // A slip is about as long as what was meant; the comparison's cost grows with the square of the length.
    let word = Some(word).filter(|word| word.len() <= 64)?.to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&word, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// Settings of the original whose secrets have moved to files, and what takes their place.
const MOVED: [(&str, &str); 2] = [
    (
        "authentication_token",
        "put the token in a file that only you can read and write authentication_token_file = \"token\"",
    ),
    (
        "signing_secret",
        "put the secret in a file that only you can read and write signing_secret_files = [\"secret\"]",
    ),
];

fn suggestion<T>(keys: &'static [Key<T>], table: &str, name: &str, is_table: bool) -> String {
    if let Some((_, help)) = MOVED.iter().find(|(moved, _)| *moved == name && table.is_empty()) {
        return (*help).to_owned();
    }
    let here = keys.iter().map(Key::parts).filter(|(other, _)| *other == table).map(|(_, name)| name);
    let tables = keys.iter().map(|key| key.parts().0).filter(|table| !table.is_empty());
    if is_table && let Some(found) = most_alike(name, tables.clone()) {
        return format!("did you mean [{found}]?");
    }
    if let Some(found) = most_alike(name, here.clone()) {
        return format!("did you mean `{found}`?");
    }
    // `"limits.body" = 1` in quotes, and a key that stands in the wrong table.
    let leaf = name.rsplit('.').next().unwrap_or(name);
    match keys.iter().map(Key::parts).find(|(_, known)| *known == leaf) {
        Some(("", known)) => format!("`{known}` belongs above the first [table]"),
        Some((table, known)) => format!("`{known}` belongs under [{table}]"),
        None => {
            let mut known: Vec<&str> = here.collect();
            if table.is_empty() {
                known.extend(tables);
                known.dedup();
            }
            format!("remove it; known here: {}", known.join(", "))
        }
    }
}

/// What to say of an environment variable with our prefix that is none of ours. Its value may be a secret.
pub(super) fn unknown_variable<T>(keys: &'static [Key<T>], others: &[&str], name: &str) -> Fault {
    let known: Vec<String> = keys.iter().map(Key::environment_name).collect();
    let all = known.iter().map(String::as_str).chain(others.iter().copied());
    // The common prefix would make all of them alike.
    let bare = |name: &str| name.trim_start_matches(OWN_PREFIX).to_lowercase();
    let found = all.map(bare).collect::<Vec<_>>();
    let help = match most_alike(&bare(name), found.iter().map(String::as_str)) {
        Some(found) => format!("did you mean {OWN_PREFIX}{}?", found.to_uppercase()),
        None => format!("unset it: {OWN_PREFIX} is kept for settings, as in {OWN_PREFIX}LIMITS__BODY"),
    };
    let key = shown(name).trim_matches('`').to_owned();
    let message = "is not a setting that is known";
    Fault { key: Some(key), ..Fault::of_environment(message, help) }
}
