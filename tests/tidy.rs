//! Holds the picture of ARCHITECTURE.md against the sources: which folder may lean on which, where each crate is used,
//! and how long files and functions may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which modules a module may use, besides those that all may: arrows point down only.
const ARROWS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("time", &[]),
    ("http", &[]),
    ("flow", &[]),
    ("auth", &["http"]),
    ("config", &["flow"]),
    ("gate", &["auth", "http"]),
    ("setup", &["auth", "config", "flow"]),
    ("store", &["config", "flow"]),
    ("runtime", &["auth", "flow", "store"]),
    ("server", &["auth", "config", "flow", "gate", "http", "runtime", "store"]),
    ("daemon", &["auth", "config", "flow", "gate", "runtime", "server", "setup", "store"]),
    ("cli", &["auth", "config", "daemon", "flow", "gate", "http", "server", "setup", "store"]),
];
const LEAVES: &[&str] = &["limits", "time"];

/// Where a crate may be used.
const CRATES: &[(&str, &[&str])] = &[
    ("mio", &["server"]),
    ("signal_hook", &["server", "cli"]),
    ("signal_hook_mio", &["server"]),
    ("rusqlite", &["store"]),
    ("httparse", &["http", "cli"]),
    ("memchr", &["http", "config"]),
    ("hmac", &["auth"]),
    ("sha2", &["auth"]),
    ("base64", &["auth"]),
    ("ipnet", &["auth", "config"]),
    ("toml", &["config"]),
    ("clap", &["cli"]),
    ("env_logger", &["cli"]),
    ("getrandom", &["cli", "daemon"]),
    ("jiff", &["time"]),
    ("rustix", &["server", "store", "setup", "cli"]),
    ("strsim", &["config", "cli"]),
];

/// Modules without sockets, files, processes, clocks and randomness.
const PURE: &[&str] = &["limits", "time", "http", "flow", "auth", "config", "gate"];
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

const FILE_LINES_MAX: usize = 500;
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

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&root).unwrap_or(&path).to_owned();
                let first = relative.iter().next().unwrap_or_default().to_string_lossy().into_owned();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                found.push(Source { path: relative, module, text });
            }
        }
    }
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
                let used = line.contains(&format!("use {name}::")) || line.contains(&format!(" {name}::"));
                if used && !line.contains("crate::") && !places.contains(&source.module.as_str()) {
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
fn a_file_holds_one_idea() {
    let long = |source: &Source| source.text.lines().count() > FILE_LINES_MAX && !source.is_test();
    none_of(
        sources()
            .iter()
            .filter(|source| long(source))
            .map(|source| format!("{}: over {FILE_LINES_MAX} lines", source.path.display())),
    );
}

#[test]
fn a_function_fits_a_screen() {
    let mut complaints = Vec::new();
    for source in &sources() {
        let mut start: Option<(usize, usize)> = None;
        for (number, line) in source.code() {
            let indent = line.len() - line.trim_start().len();
            let opens = line.contains("fn ")
                && !line.trim_end().ends_with(';')
                && line.trim_start().starts_with(['f', 'p', 'c', 'a', 'u']);
            match start {
                None if opens => start = Some((number, indent)),
                Some((first, depth)) if indent == depth && line.trim() == "}" => {
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
            let sleeps =
                line.contains("thread::sleep") && !["cli", "store"].contains(&source.module.as_str());
            if sleeps {
                complaints.push(format!(
                    "{}:{number}: the loop waits on nothing but the disk's sync",
                    source.path.display()
                ));
            }
            let is_unsafe = line.contains("unsafe {") && source.path != Path::new("server/descriptors.rs");
            if is_unsafe {
                complaints.push(format!(
                    "{}:{number}: unsafe code outside of the one reviewed file",
                    source.path.display()
                ));
            }
        }
    }
    none_of(complaints);
}
