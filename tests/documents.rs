//! What documents name, and must not name in vain: the tests that show a defence or a fault, each crate's reason, and other
//! documents; and the places that patches name.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::collections::BTreeSet;
use std::io::Write as _;
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

/// Every document: those of the root folder, and all below `docs`.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join("docs")];
    let mut paths = entries(root);
    while let Some(folder) = folders.pop() {
        let within = entries(&folder);
        folders.extend(within.iter().filter(|path| path.is_dir()).cloned());
        paths.extend(within);
    }
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "md")) {
        found.push(path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned());
    }
    found.sort();
    found
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("list a folder");
    entries.map(|entry| entry.expect("list a folder").path()).collect()
}

/// A document's lines, without what stands in blocks of code.
fn prose(document: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    document.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a document lead, but for those to other places of the net.
fn links(document: &str) -> Vec<&str> {
    let targets = prose(document).flat_map(|line| line.split("](").skip(1));
    let targets = targets.filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).collect()
}

/// The name by which a heading can be linked to, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn has_anchor(document: &str, name: &str) -> bool {
    let headings = prose(document).filter(|line| line.starts_with('#'));
    headings.into_iter().any(|line| anchor(line.trim_start_matches('#').trim()) == name)
}

#[test]
fn every_link_leads_to_what_is_there() {
    let documents = documents();
    assert!(documents.len() > 15 && documents.iter().any(|it| it == "docs/benchmarks/README.md"));
    let mut complaints = Vec::new();
    for document in documents {
        let text = read(&document).unwrap();
        for link in links(&text) {
            let (file, name) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&document).parent().unwrap();
            let file =
                if file.is_empty() { document.clone() } else { folder.join(file).display().to_string() };
            let is_there = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists();
            let is_found =
                is_there && (name.is_empty() || has_anchor(&read(&file).unwrap_or_default(), name));
            if !is_found {
                complaints.push(format!("{document}: {link} leads nowhere"));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The book's index is where a reader looks first: what it does not list is not found.
#[test]
fn the_book_lists_every_document_once() {
    let index = read("docs/README.md").unwrap();
    let listed = links(&index);
    for document in documents() {
        let name = match document.strip_prefix("docs/") {
            Some("README.md") => continue,
            Some(name) => name.to_owned(),
            None => format!("../{document}"),
        };
        let times = listed.iter().filter(|link| **link == name).count();
        assert_eq!(times, 1, "docs/README.md lists {name} once");
    }
}

#[test]
fn links_and_headings_are_seen_as_they_are_shown() {
    let text = "# A b: `c_d`, e\n[x](y.md#z) and [u](https://v)\n```sh\n# no](w.md)\n```\n[q](#r)\n";
    assert_eq!(links(text), ["y.md#z", "#r"]);
    assert!(has_anchor(text, "a-b-c_d-e") && !has_anchor(text, "no"));
}

/// As a reader takes them: each by itself, into the sources as they are. `.ci/extending.sh` takes longer, and builds them.
#[test]
fn the_worked_examples_of_extending_apply_to_the_sources() {
    let text = read("CONTRIBUTING.md").unwrap();
    let examples: Vec<&str> =
        text.split("```diff\n").skip(1).filter_map(|rest| rest.split("```\n").next()).collect();
    assert_eq!(examples.len(), 8, "one for each extension point");
    for example in examples {
        let mut patch = std::process::Command::new("patch");
        patch.args(["--dry-run", "--batch", "--strip=1"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        patch.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut patch = patch.spawn().expect("patch(1) is there");
        patch.stdin.take().expect("it reads").write_all(example.as_bytes()).expect("it reads all");
        let output = patch.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{example}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The files that a command of a document names: scripts, examples and tests.
fn files_named_by(command: &str) -> Vec<[String; 2]> {
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_end_matches(';')).collect();
    let scripts = words.iter().filter(|word| word.ends_with(".sh") || word.starts_with(".ci/"));
    let mut named: Vec<[String; 2]> = scripts.map(|path| [(*path).to_owned(), (*path).to_owned()]).collect();
    for pair in words.windows(2).filter(|_| command.contains("cargo")) {
        let folder = match pair[0] {
            "--example" => "examples",
            "--test" => "tests",
            _ => continue,
        };
        named.push([format!("{folder}/{}.rs", pair[1]), format!("{folder}/{}/main.rs", pair[1])]);
    }
    named
}

#[test]
fn what_the_commands_for_developers_run_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in ["CONTRIBUTING.md", "docs/reliability.md", "README.md"] {
        let text = read(document).unwrap();
        let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let named: Vec<_> = blocks.flat_map(str::lines).flat_map(files_named_by).collect();
        assert!(!named.is_empty(), "{document} has commands");
        for places in named {
            assert!(places.iter().any(|place| root.join(place).exists()), "{document}: {places:?}");
        }
    }
}

/// Rounded, and as counted last: `.ci/instructions.sh --update` moves them.
#[test]
fn the_instructions_that_the_architecture_tells_are_those_counted() {
    let counted = read(".ci/instructions.txt").unwrap();
    let of = |what: &str| -> u64 {
        let line = counted.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{what} is counted")).parse().expect("a number")
    };
    let rounded = |number: u64, to: u64| {
        let number = number.saturating_add(to / 2) / to * to;
        format!("{},{:03}", number / 1000, number % 1000)
    };
    let told = [
        rounded(of("serve"), 100) + " instructions of ours",
        rounded(of("parse"), 100) + " to read it",
        rounded(of("verify") - of("parse"), 100) + " to verify it",
        rounded(of("heartbeat") - of("verify"), 100) + " to find nothing due",
        rounded(of("serve") - of("heartbeat"), 100) + " for the loop",
        rounded(of("refuse"), 100) + " instructions from the bytes of a forged signature",
        format!("where a heartbeat takes {}.", rounded(of("heartbeat"), 100)),
        rounded(of("run"), 1000) + " instructions, four fifths",
        format!("is {} statements**", of("run-statements")),
    ];
    let architecture = read("ARCHITECTURE.md").unwrap();
    for words in told {
        assert!(architecture.contains(&words), "ARCHITECTURE.md does not say: {words}");
    }
}

/// Else the fuzzers of a release would change what was committed.
#[test]
fn both_lock_files_have_the_version_of_the_program() {
    let wanted = format!("name = \"heartbeat-runtime\"\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        assert!(read(lock).unwrap().contains(&wanted), "{lock} is not of this version");
    }
}
