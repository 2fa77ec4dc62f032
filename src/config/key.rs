//! One definition per key, and the walk that holds a document against a table of them.

use std::path::Path;

use super::calendar::instead_of_cron;
use super::document::{Node, Raw, Table};
use super::fault::{ENVIRONMENT, Fault, shown};
use super::kind::{Kind, OWN_PREFIX, Wrong};

/// A key: all that is known of it, for reading, for the messages, for the examples and for the reference.
pub(super) struct Key<T: 'static> {
    /// `limits.body`: table and key; `transform[].sql` where the tables of that name are a list.
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
        parts(self.path)
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
                format!("give {right}, such as {name} = {example} under {}", heading(table))
            }
        }
    }
}

/// Keys and the target that they write to, whatever its type: so the walk below is compiled once, not for each.
trait Keys {
    fn paths(&self) -> Vec<&'static str>;
    fn is_required(&self, index: usize) -> bool;
    fn help(&self, index: usize, place: Place) -> String;
    fn read(&mut self, index: usize, node: &Node, base: &Path) -> Vec<Wrong>;
}

struct Bound<'k, T: 'static> {
    keys: &'k [Key<T>],
    target: &'k mut T,
}

impl<T> Keys for Bound<'_, T> {
    fn paths(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.path).collect()
    }

    fn is_required(&self, index: usize) -> bool {
        matches!(self.keys[index].presence, Presence::Required(_))
    }

    fn help(&self, index: usize, place: Place) -> String {
        self.keys[index].help(place)
    }

    fn read(&mut self, index: usize, node: &Node, base: &Path) -> Vec<Wrong> {
        self.keys[index].kind.read(node, base, self.target)
    }
}

pub(super) fn parts(path: &'static str) -> (&'static str, &'static str) {
    path.split_once('.').unwrap_or(("", path))
}

/// The line above the keys of a table.
pub(super) fn heading(table: &str) -> String {
    match table.strip_suffix("[]") {
        Some(name) => format!("[[{name}]]"),
        None => format!("[{table}]"),
    }
}

/// The path of a table's keys, given that of one of a list: `transform[]` for `transform[2]`.
fn unnumbered(table: &str) -> String {
    table.split_once('[').map_or_else(|| table.to_owned(), |(name, _)| format!("{name}[]"))
}

/// A key as it is told.
pub(super) struct Described {
    pub(super) path: &'static str,
    /// What would be right.
    pub(super) right: String,
    /// In Markdown, with an example where there is none.
    pub(super) default: String,
    pub(super) doc: &'static str,
}

/// What there is to say of keys.
pub(super) fn described<T>(keys: &[Key<T>]) -> Vec<Described> {
    let describe = |key: &Key<T>| Described {
        path: key.path,
        right: key.kind.right(),
        default: match key.presence {
            Presence::Default(text) => format!("`{text}`"),
            Presence::Optional(text) => format!("none; such as `{text}`"),
            Presence::Required(text) => format!("required; such as `{text}`"),
        },
        doc: key.doc,
    };
    keys.iter().map(describe).collect()
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
    /// Where a program starts unless it says otherwise.
    pub(super) working_directory: &'a Path,
    is_broken: bool,
    /// Where each key was set last.
    set: Vec<(String, Place)>,
    /// Paths of keys that other tables of keys define, for those who put one in the wrong place.
    known_elsewhere: Vec<&'static str>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(file: &'a Path, faults: Vec<Fault>) -> Self {
        let base = file.parent().unwrap_or(Path::new(""));
        let is_broken = !faults.is_empty();
        Self {
            file,
            base,
            working_directory: base,
            faults,
            is_broken,
            set: Vec::new(),
            known_elsewhere: Vec::new(),
        }
    }

    /// The same, which suggests these keys as well.
    pub(super) fn with_known(self, known_elsewhere: Vec<&'static str>) -> Self {
        Self { known_elsewhere, ..self }
    }

    /// The same, whose programs start in this folder.
    pub(super) fn starting_in(self, working_directory: &'a Path) -> Self {
        Self { working_directory, ..self }
    }

    /// Where this key was set, if it was.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        self.set.iter().rev().find(|(known, _)| *known == path).map(|(_, place)| *place)
    }

    /// Whether lines could not be read, so that what is missing may stand there.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether the key at `path` was found to be wrong.
    pub(super) fn has_fault_of(&self, path: &str) -> bool {
        self.faults.iter().any(|fault| fault.key.as_deref() == Some(path))
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

    /// Notes where a key or table stands.
    pub(super) fn note(&mut self, path: &str, line: Option<usize>) {
        self.set.push((path.to_owned(), Place::Line(line)));
    }

    /// Reads one value of `key`.
    pub(super) fn read<T>(&mut self, key: &Key<T>, node: &Node, place: Place, target: &mut T) {
        let keys = std::slice::from_ref(key);
        self.read_as(&mut Bound { keys, target }, 0, key.path, node, place);
    }

    /// Reads one value of the key at `index`, which stands at `path`.
    fn read_as(&mut self, keys: &mut dyn Keys, index: usize, path: &str, node: &Node, place: Place) {
        self.set.push((path.to_owned(), place));
        for wrong in keys.read(index, node, self.base) {
            let place = match place {
                Place::Line(line) => Place::Line(wrong.line.or(line)),
                Place::Environment => place,
            };
            let is_time = matches!(path, "run_interval" | "schedule" | "at");
            let cron = if is_time { instead_of_cron(node) } else { None };
            let help = wrong.help.or(cron).unwrap_or_else(|| keys.help(index, place));
            let path = match &wrong.below {
                Some(below) => format!("{path}.{}", short(below)),
                None => path.to_owned(),
            };
            self.fault(place, &path, wrong.message, help);
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
        self.walk(&mut Bound { keys, target }, document, &mut other);
    }

    fn walk(&mut self, keys: &mut dyn Keys, document: &Table, other: &mut dyn FnMut(&str) -> bool) {
        let paths = keys.paths();
        for (name, node) in document {
            match node {
                _ if other(name) => {}
                Node { value: Raw::Table(table), .. } if is_table(&paths, name) => {
                    for (key, node) in table {
                        self.read_one(keys, name, key, node);
                    }
                }
                node if is_table(&paths, name) => self.no_table(name, name, node),
                _ => self.read_one(keys, "", name, node),
            }
        }
    }

    /// Reads the table called `table`, `source` or `transform[2]`, and tells of required keys that are missing. Whether
    /// it is as it should be.
    pub(super) fn read_table<T>(
        &mut self,
        keys: &'static [Key<T>],
        table: &str,
        node: &Node,
        target: &mut T,
    ) -> bool {
        self.read_entries(&mut Bound { keys, target }, table, node)
    }

    fn read_entries(&mut self, keys: &mut dyn Keys, table: &str, node: &Node) -> bool {
        let faults = self.faults.len();
        self.note(table, node.line);
        match &node.value {
            Raw::Table(entries) => {
                for (name, node) in entries {
                    self.read_one(keys, table, name, node);
                }
                let paths = keys.paths().into_iter().enumerate();
                for (index, path) in paths.filter(|(index, _)| keys.is_required(*index)) {
                    let path = format!("{table}.{}", parts(path).1);
                    if self.place(&path).is_none() && !self.is_broken {
                        let place = Place::Line(node.line);
                        self.fault(place, &path, "is missing", keys.help(index, place));
                    }
                }
            }
            _ => self.no_table(table, &unnumbered(table), node),
        }
        faults == self.faults.len()
    }

    /// Reads the tables `[[name]]`, each from a blank one.
    pub(super) fn read_list<T>(
        &mut self,
        keys: &'static [Key<T>],
        name: &'static str,
        node: &Node,
        blank: impl Fn() -> T,
    ) -> Vec<T> {
        let Some(nodes) = self.tables(name, node) else { return Vec::new() };
        let read = |(index, node): (usize, &Node)| {
            let mut item = blank();
            self.read_table(keys, &format!("{name}[{}]", index + 1), node, &mut item);
            item
        };
        nodes.iter().enumerate().map(read).collect()
    }

    /// The tables that form a list.
    fn tables<'n>(&mut self, name: &'static str, node: &'n Node) -> Option<&'n [Node]> {
        self.note(name, node.line);
        if let Raw::List(nodes) = &node.value {
            return Some(nodes);
        }
        let message = format!("{} is not a list of tables", node.value.described());
        let heading = heading(&format!("{name}[]"));
        let help = format!("write {heading} on a line of its own, with two brackets, and its keys below");
        self.fault(Place::Line(node.line), name, message, help);
        None
    }

    /// Tells that what stands at `path` is no table.
    pub(super) fn no_table(&mut self, path: &str, table: &str, node: &Node) {
        let message = format!("{} is not a table", node.value.described());
        let help = format!("write {} on a line of its own, and its keys below", heading(table));
        self.fault(Place::Line(node.line), path, message, help);
    }

    fn read_one(&mut self, keys: &mut dyn Keys, table: &str, name: &str, node: &Node) {
        let place = Place::Line(node.line);
        let dot = if table.is_empty() { "" } else { "." };
        let defined = unnumbered(table);
        let own = keys.paths();
        if let Some(index) = own.iter().position(|path| parts(path) == (defined.as_str(), name)) {
            self.read_as(keys, index, &format!("{table}{dot}{name}"), node, place);
        } else {
            let path = format!("{table}{dot}{}", short(name));
            // A table's keys may depend on its type: those of another type do not belong there.
            let elsewhere = self.known_elsewhere.iter().copied();
            let elsewhere = elsewhere.filter(|path| parts(path).0 != defined);
            let known: Vec<&'static str> = own.into_iter().chain(elsewhere).collect();
            let cron = if table.is_empty() { instead_of_cron(node) } else { None };
            let help = cron.unwrap_or_else(|| suggestion(&known, &defined, name, holds_tables(node)));
            self.fault(place, &path, "is not a key that is known here", help);
        }
    }
}

/// A word of the author's own, cut only in length, unlike what [`shown`] makes of it.
fn short(name: &str) -> String {
    let short: String = name.chars().take(60).collect();
    short.escape_debug().to_string()
}

fn is_table(paths: &[&'static str], name: &str) -> bool {
    paths.iter().any(|path| parts(path).0 == name) && !name.is_empty()
}

fn holds_tables(node: &Node) -> bool {
    match &node.value {
        Raw::Table(_) => true,
        Raw::List(items) => items.iter().any(|item| matches!(item.value, Raw::Table(_))),
        _ => false,
    }
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

fn suggestion(known: &[&'static str], table: &str, name: &str, is_table: bool) -> String {
    if let Some((_, help)) = MOVED.iter().find(|(moved, _)| *moved == name && table.is_empty()) {
        return (*help).to_owned();
    }
    let known = known.iter().map(|path| parts(path));
    let here = known.clone().filter(|(other, _)| *other == table).map(|(_, name)| name);
    let tables = known.clone().map(|(table, _)| table).filter(|table| !table.is_empty());
    if is_table && let Some(found) = most_alike(name, tables.clone()) {
        return format!("did you mean {}?", heading(found));
    }
    if let Some(found) = most_alike(name, here.clone()) {
        return format!("did you mean `{found}`?");
    }
    // `"limits.body" = 1` in quotes, and a key that stands in the wrong table.
    let leaf = name.rsplit('.').next().unwrap_or(name);
    match known.clone().find(|(_, known)| *known == leaf) {
        Some(("", known)) => format!("`{known}` belongs above the first [table]"),
        Some((table, known)) => format!("`{known}` belongs under {}", heading(table)),
        None => {
            let mut known: Vec<&str> = here.collect();
            if table.is_empty() {
                known.extend(tables.map(|table| table.trim_end_matches("[]")));
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
