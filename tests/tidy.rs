//! Holds the picture of ARCHITECTURE.md against the sources: which folder may lean on which, where each crate is used,
//! how long files and functions may be, and what stands in no file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which modules a module may use, besides those that all may: arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("sorted", &[]),
    ("time", &[]),
    ("words", &["time"]),
    ("http", &[]),
    ("flow", &[]),
    ("auth", &["http"]),
    ("config", &["flow", "http"]),
    ("gate", &["auth", "http"]),
    ("setup", &["auth", "config", "flow"]),
    ("store", &["config", "flow"]),
    ("pipeline", &["flow", "http", "store"]),
    ("runtime", &["auth", "config", "flow", "http", "pipeline", "store"]),
    ("control", &["config", "flow", "http", "runtime", "store"]),
    ("rails", &["config", "flow", "pipeline", "store"]),
    // It counts refusals, and shows what the runtime counts and the store holds.
    ("status", &["auth", "flow", "gate", "http", "runtime", "store"]),
    ("server", &["auth", "config", "control", "flow", "gate", "http", "runtime", "setup", "status", "store"]),
    ("daemon", &["auth", "config", "flow", "gate", "runtime", "server", "setup", "status", "store"]),
    (
        "cli",
        &[
            "auth", "config", "control", "daemon", "flow", "gate", "http", "pipeline", "rails", "runtime",
            "server", "setup", "store",
        ],
    ),
];
const LEAVES: &[&str] = &["limits", "sorted", "time", "words"];

/// Where a crate may be used.
const CRATES: &[(&str, &[&str])] = &[
    ("mio", &["server"]),
    ("signal_hook", &["server", "cli"]),
    ("signal_hook_mio", &["server"]),
    ("rusqlite", &["pipeline", "rails", "store"]),
    ("glob", &["pipeline"]),
    ("httparse", &["http"]),
    ("memchr", &["http", "config", "pipeline"]),
    ("hmac", &["auth"]),
    ("sha2", &["auth", "pipeline", "status"]),
    ("base64", &["auth", "status"]),
    ("ipnet", &["auth", "config"]),
    ("toml", &["config"]),
    ("clap", &["cli"]),
    ("env_logger", &["cli"]),
    ("getrandom", &["cli", "daemon"]),
    ("jiff", &["time"]),
    ("rustix", &["pipeline", "server", "store", "setup", "cli"]),
    ("strsim", &["config", "cli"]),
];

/// Modules without sockets, files, processes, clocks and randomness.
const PURE: &[&str] =
    &["limits", "time", "words", "http", "flow", "auth", "config", "control", "gate", "status"];
const IMPURE_WORDS: &[&str] = &[
    "std::fs",
    "std::process",
    "std::thread",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime::now",
    "std::env::",
];

/// Crates of Cargo.toml that any module may use: they bring nothing from outside.
const CRATES_OF_ALL: &[&str] = &["log", "serde", "serde_json", "zeroize"];

/// The only file with unsafe code; it says why.
const UNSAFE_FILE: &str = "server/descriptors.rs";
/// The only test with unsafe code; it says why.
const UNSAFE_TEST: &str = "simulation/vfs.rs";
/// Where somebody may sleep: a command that waits, and the lock that is waited for before the loop begins.
const SLEEPERS: &[&str] = &["cli/", "store/lock.rs"];

const FILE_LINES_MAX: usize = 500;
const TEST_FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    path: PathBuf,
    /// The first part of its path below `src`.
    module: String,
    text: String,
}

impl Source {
    /// What is compiled into the program: not the comments, and not the tests at its end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_test() {
            0
        } else {
            self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len())
        };
        let lines = self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn is_test(&self) -> bool {
        self.path.file_name().is_some_and(|name| name == "tests.rs" || name == "split_tests.rs")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text below a folder of the repository, by its path there.
fn texts_below(folder: &str) -> Vec<(PathBuf, String)> {
    let top = root().join(folder);
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                found.push((path.strip_prefix(&top).unwrap_or(&path).to_owned(), text));
            }
        }
    }
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

fn sources() -> Vec<Source> {
    let texts = texts_below("src").into_iter().filter(|(path, _)| is_rust(path));
    let source = |(path, text): (PathBuf, String)| {
        let first = path.iter().next().unwrap_or_default().to_string_lossy().into_owned();
        Source { module: first.trim_end_matches(".rs").to_owned(), path, text }
    };
    let found: Vec<_> = texts.map(source).collect();
    assert!(found.len() > 50, "the sources were found");
    found
}

/// Fails with every complaint at once.
fn none_of(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The names that follow `prefix` in a line, such as `store` after `crate::`, in `use crate::{store, time}` as well.
fn names_after<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let name = |text: &'a str| {
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
        &text[..end]
    };
    let places = line.match_indices(prefix).map(|(place, _)| &line[place + prefix.len()..]);
    places
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split(',').map(|item| name(item.trim())).collect(),
            None => vec![name(rest)],
        })
        .collect()
}

/// Where a word stands alone in a line, and what is before and behind it.
fn places_of<'a>(line: &'a str, word: &str) -> Vec<(&'a str, &'a str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let places = line.match_indices(word).map(|(at, _)| (&line[..at], &line[at + word.len()..]));
    places.filter(|(before, behind)| !before.ends_with(is_part) && !behind.starts_with(is_part)).collect()
}

/// Whether a line names something of a crate: `name::…`, be it in an expression, a type or a list, or `use name;`. A
/// module of that name behind another path is none.
fn uses_crate(line: &str, name: &str) -> bool {
    let begins_a_path = |(before, behind): (&str, &str)| {
        let is_use = before.trim_start().trim_start_matches("pub ") == "use ";
        (behind.starts_with("::") && !before.ends_with("::") || is_use) && !behind.starts_with('!')
    };
    places_of(line, name).into_iter().any(begins_a_path)
}

/// Whether a line begins a function that has more than this line.
fn begins_function(line: &str) -> bool {
    let mut rest = line.trim();
    let one_line = rest.ends_with(['}', ';']);
    while let Some(behind) =
        ["pub ", "pub(super) ", "pub(crate) ", "const ", "async ", "unsafe ", "extern \"C\" "]
            .iter()
            .find_map(|word| rest.strip_prefix(word))
    {
        rest = behind;
    }
    rest.starts_with("fn ") && !one_line
}

#[test]
fn these_checks_see_what_they_look_for() {
    for line in ["use mio::Poll;", "f(mio::Poll)", "&mio::Poll", "Vec<mio::Poll>", "x: mio::Poll", "use mio;"]
    {
        assert!(uses_crate(line, "mio"), "{line}");
    }
    assert!(uses_crate("let x = crate::limits::Y + mio::Z;", "mio"), "behind another path as well");
    for line in ["use signal_hook_mio::v1_0;", "crate::mio::Poll", "let mio = 1;", "mio_x::y()"] {
        assert!(!uses_crate(line, "mio"), "{line}");
    }
    for line in ["unsafe { x() }", "pub unsafe fn x();", "unsafe impl Send for X {}"] {
        assert!(!places_of(line, "unsafe").is_empty(), "{line}");
    }
    assert!(places_of("#[expect(unsafe_code)]", "unsafe").is_empty());
    for line in ["fn x() {", "    pub(super) const unsafe fn x(", "async fn x() -> Y {"] {
        assert!(begins_function(line), "{line}");
    }
    for line in
        ["fn x() { y() }", "fn x();", "check: fn(&str) -> bool,", "for<'a> fn(&'a str)", "let fn_x = {"]
    {
        assert!(!begins_function(line), "{line}");
    }
}

#[test]
fn arrows_between_folders_point_down() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let known: Vec<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !["lib", "main"].contains(&source.module.as_str())) {
        let Some(allowed) = arrows.get(source.module.as_str()) else {
            complaints.push(format!("{}: no arrow is drawn for this module", source.path.display()));
            continue;
        };
        for (number, line) in source.code() {
            for name in names_after(line, "crate::").into_iter().filter(|name| known.contains(name)) {
                if name != source.module && !allowed.contains(&name) && !LEAVES.contains(&name) {
                    complaints.push(format!(
                        "{}:{number}: {} leans on {name}",
                        source.path.display(),
                        source.module
                    ));
                }
            }
        }
    }
    none_of(complaints);
}

#[test]
fn each_crate_is_used_where_the_architecture_says() {
    let mut complaints = Vec::new();
    for source in &sources() {
        for (number, line) in source.code() {
            for (name, places) in CRATES {
                if uses_crate(line, name) && !places.contains(&source.module.as_str()) {
                    complaints.push(format!(
                        "{}:{number}: {name} is used in {}",
                        source.path.display(),
                        source.module
                    ));
                }
            }
        }
    }
    none_of(complaints);
}

#[test]
fn every_dependency_has_its_place() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap_or_default();
    let dependencies = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
    let lines = dependencies.unwrap_or_default().lines().skip(1);
    let names: Vec<String> =
        lines.filter_map(|line| Some(line.split_once(" = ")?.0.replace('-', "_"))).collect();
    assert!(names.len() > 10, "the dependencies were found");
    let has_place = |name: &&String| {
        CRATES_OF_ALL.contains(&name.as_str()) || CRATES.iter().any(|(placed, _)| *placed == name.as_str())
    };
    none_of(
        names.iter().filter(|name| !has_place(name)).map(|name| format!("{name}: where may it be used?")),
    );
}

#[test]
fn the_oldest_rust_is_the_same_wherever_it_is_named() {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_default();
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let version = version.unwrap_or_default();
    assert!(read("README.md").contains(&format!("Rust toolchain ({version} or later)")), "{version:?}");
}

#[test]
fn no_file_names_a_place_of_the_machine_it_was_written_on() {
    // Put together here, so that this file is none of them.
    let places = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let folders = [
        "src",
        "tests",
        "examples",
        "fuzz/checks",
        "fuzz/fuzz_targets",
        "docs",
        ".ci",
        ".cargo",
        "packaging",
    ];
    let mut texts: Vec<_> = folders.into_iter().flat_map(texts_below).collect();
    for entry in std::fs::read_dir(root()).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_ours =
            path.extension().is_some_and(|end| ["md", "toml", "sql"].iter().any(|ours| end == *ours));
        texts.extend(std::fs::read_to_string(&path).ok().filter(|_| is_ours).map(|text| (path, text)));
    }
    assert!(texts.iter().any(|(path, _)| path.ends_with("README.md")), "the documents were found");
    none_of(texts.iter().flat_map(|(path, text)| {
        let lines = text.lines().enumerate();
        let named = lines.filter(|(_, line)| places.iter().any(|place| line.contains(place)));
        named.map(move |(index, line)| format!("{}:{}: {}", path.display(), index + 1, line.trim()))
    }));
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let all = sources();
    let pure = all.iter().filter(|source| PURE.contains(&source.module.as_str()));
    none_of(pure.flat_map(|source| {
        let touches = |line: &str| IMPURE_WORDS.iter().find(|word| line.contains(**word));
        let found = source.code().filter_map(move |(number, line)| Some((number, touches(line)?)));
        found.map(|(number, word)| format!("{}:{number}: {word}", source.path.display()))
    }));
}

#[test]
fn tests_have_unsafe_code_in_one_reviewed_file_alone() {
    let tests = texts_below("tests").into_iter().filter(|(path, _)| is_rust(path));
    let begins = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
    let is_elsewhere = |(path, text): &(PathBuf, String)| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//") && !line.contains('"'));
        path != Path::new(UNSAFE_TEST)
            && code.into_iter().any(|line| begins.iter().any(|begin| line.contains(begin)))
    };
    none_of(tests.filter(is_elsewhere).map(|(path, _)| format!("{}: unsafe code", path.display())));
}

#[test]
fn a_file_holds_one_idea() {
    let sources = sources();
    let of_sources = sources.iter().map(|source| {
        let lines_max = if source.is_test() { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        (&source.path, &source.text, lines_max)
    });
    let tests = texts_below("tests");
    let of_tests = tests.iter().filter(|(path, _)| is_rust(path));
    let of_tests = of_tests.map(|(path, text)| (path, text, TEST_FILE_LINES_MAX));
    let too_long =
        of_sources.chain(of_tests).filter(|(_, text, lines_max)| text.lines().count() > *lines_max);
    none_of(too_long.map(|(path, _, lines_max)| format!("{}: over {lines_max} lines", path.display())));
}

#[test]
fn a_function_fits_a_screen() {
    let mut complaints = Vec::new();
    for source in &sources() {
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in source.code() {
            let indent = line.len() - line.trim_start().len();
            // The end of a body, or of a declaration over several lines.
            let ends = line.trim() == "}" || line.trim().ends_with(';');
            match start {
                None if begins_function(line) => start = Some((number, indent)),
                Some((first, depth)) if indent == depth && ends => {
                    if number - first > FUNCTION_LINES_MAX {
                        complaints.push(format!(
                            "{}:{first}: {} lines",
                            source.path.display(),
                            number - first
                        ));
                    }
                    start = None;
                }
                _ => {}
            }
        }
    }
    none_of(complaints);
}

/// What is tested is what ships.
#[test]
fn no_code_is_there_for_tests_alone() {
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("[features]"), "a feature could change what is tested");
    for source in &sources() {
        let mut lines = source.code();
        let switch = lines.find(|(_, line)| line.contains("cfg(feature") || line.contains("cfg!("));
        assert_eq!(switch, None, "{}", source.path.display());
    }
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "#[allow(", "#![allow(", "FIXME", "XXX"];
    let mut complaints = Vec::new();
    for source in &sources() {
        if !source.text.starts_with("//!") {
            complaints.push(format!("{}: does not say what it is for", source.path.display()));
        }
        for (number, line) in source.code() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{number}: {word}", source.path.display()));
            }
            let may_sleep = SLEEPERS.iter().any(|place| source.path.starts_with(place));
            if line.contains("thread::sleep") && !may_sleep {
                complaints.push(format!(
                    "{}:{number}: the loop waits on nothing but the disk's sync",
                    source.path.display()
                ));
            }
            if !places_of(line, "unsafe").is_empty() && source.path != Path::new(UNSAFE_FILE) {
                complaints.push(format!(
                    "{}:{number}: unsafe code outside of the one reviewed file",
                    source.path.display()
                ));
            }
        }
    }
    none_of(complaints);
}
