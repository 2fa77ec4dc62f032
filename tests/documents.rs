//! What documents name, and must not name in vain: the tests that show a defence or a fault, and each crate's reason; and the
//! places that patches name.

use std::collections::BTreeSet;
use std::path::Path;

fn read(name: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).ok()
}

/// What stands in backquotes as `FILE.rs::test` or `FOLDER/…/FILE.rs::test`.
fn tests_named_in(document: &str) -> Vec<(String, String)> {
    let quoted = document.split('`').skip(1).step_by(2);
    let named = quoted.filter_map(|text| text.split_once(".rs::"));
    named.map(|(file, test)| (format!("{file}.rs"), test.to_owned())).collect()
}

/// The text of a test's file: of the sources by its path, of the tests by its path below their folder.
fn source_of(file: &str) -> Option<String> {
    let below_tests = file.strip_prefix("tests/").unwrap_or(file);
    if file.starts_with("src/") { read(file) } else { read(&format!("tests/{below_tests}")) }
}

fn is_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}()");
    let Some(at) = source.find(&head) else { return false };
    let before: Vec<&str> = source[..at].trim_end().lines().rev().take(4).map(str::trim).collect();
    before.contains(&"#[test]")
}

/// `cargo run --example reference > docs/configuration.md` makes it anew.
#[test]
fn the_configuration_reference_is_as_the_program_reads() {
    let page = read("docs/configuration.md").unwrap_or_default();
    assert!(page == heartbeat_runtime::config::reference(), "docs/configuration.md is stale");
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut complaints = Vec::new();
    for document in ["SECURITY.md", "docs/reliability.md"] {
        let Some(text) = read(document) else { continue };
        let named = tests_named_in(&text);
        assert!(named.len() > 10, "{document} names the tests that show what it says");
        for (file, test) in named {
            if !source_of(&file).is_some_and(|source| is_test(&source, &test)) {
                complaints.push(format!("{document}: there is no test {file}::{test}"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The numbers at the beginnings of a table's rows, with whether the row names a test.
fn numbered_rows(document: &str) -> Vec<(u32, bool)> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.filter_map(|(number, row)| Some((number.parse().ok()?, !tests_named_in(row).is_empty()))).collect()
}

/// As many as there are faults to be survived; none is left out, and none is without a test.
#[test]
fn every_fault_has_its_row_and_its_test() {
    let rows = numbered_rows(&read("docs/reliability.md").unwrap());
    assert_eq!(rows, (1..=26).map(|number| (number, true)).collect::<Vec<_>>());
}

#[test]
fn these_checks_see_what_they_look_for() {
    let text = "shown by `security.rs::a_b`, `src/http/host.rs::c`, and not by `x.rs` or `a::b`";
    let named = [("security.rs", "a_b"), ("src/http/host.rs", "c")];
    assert_eq!(tests_named_in(text), named.map(|(file, test)| (file.to_owned(), test.to_owned())));
    assert!(is_test("#[test]\nfn a_b() {", "a_b") && !is_test("fn a_b() {", "a_b"));
    assert!(!is_test("#[test]\nfn a_b_c() {", "a_b"));
    assert_eq!(numbered_rows("| # | x |\n| 1 | `a.rs::b` |\n| 2 | none |\n"), [(1, true), (2, false)]);
}

/// The names in the sections of a manifest that hold dependencies, of every kind. A reason may stand behind one.
fn crates_of(manifest: &str) -> Vec<(String, bool)> {
    let mut is_list = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            is_list = section.trim_end().trim_end_matches(']').ends_with("dependencies");
        } else if is_list && let Some((name, rest)) = line.split_once(" = ") {
            found.push((name.trim().to_owned(), rest.contains(" # ")));
        }
    }
    found
}

#[test]
fn every_crate_that_is_used_has_its_reason() {
    let architecture = read("ARCHITECTURE.md").unwrap();
    let (_, dependencies) = architecture.split_once("## Dependencies").unwrap();
    let rows = dependencies.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    let explained: BTreeSet<&str> = rows
        .flat_map(|(crates, _)| crates.split(", "))
        .map(|name| name.split(' ').next().unwrap_or_default())
        .collect();
    assert!(explained.contains("rusqlite") && explained.contains("hmac"), "the table was found");
    for (manifest, least) in [("Cargo.toml", 20), ("fuzz/Cargo.toml", 4)] {
        let crates = crates_of(&read(manifest).unwrap());
        assert!(crates.len() >= least, "the crates of {manifest} were found: {crates:?}");
        for (name, has_reason) in crates {
            assert!(has_reason || explained.contains(name.as_str()), "{manifest}: what is {name} for?");
        }
    }
}

/// The simulator has to find them; `tests/mistakes/run.sh` takes a while to show it.
#[test]
fn known_mistakes_can_still_be_put_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::fs::read_dir(root.join("tests/mistakes")).expect("list the mistakes");
    let paths = folder.map(|entry| entry.expect("list the mistakes").path());
    let patches: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "patch")).collect();
    assert_eq!(patches.len(), 5);
    for path in patches {
        let mut patch = std::process::Command::new("patch");
        patch.args(["--dry-run", "--batch", "--strip=1", "--input"]).arg(&path).current_dir(root);
        let output = patch.output().expect("patch(1) is there");
        assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stdout));
    }
}
