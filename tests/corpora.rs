//! Every committed input of every fuzz target passes its check: what was found once is not forgotten, and what the
//! corpora reach is reached by plain `cargo test` (`.ci/coverage.sh` measures how much that is).
#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

#[path = "../fuzz/checks/mod.rs"]
#[expect(unreachable_pub, reason = "for the fuzzer it is a crate")]
mod checks;

/// A test for each target; and all their names.
macro_rules! targets {
    ($($name:ident)+) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                replay(stringify!($name), checks::$name::check);
            }
        )+
    };
}

targets! {
    agents
    allowlist
    chunked
    config
    control_api
    csv
    cursor
    flow_file
    http_answer
    http_written
    json_lines
    quantities
    remembered
    request
    runtime_ops
    schedule
    signature
    url
}

/// Their bytes are choices, one after the other: a word would be taken apart.
const WITHOUT_WORDS: &[&str] = &["agents", "http_written", "remembered", "runtime_ops", "schedule"];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort_unstable();
    names
}

/// Hands every input of a target to its check, and names those that fail.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = fuzz().join("corpus").join(target);
    let names = names_in(&folder);
    assert!(names.len() >= 2, "{target} has a corpus");
    let fails = |name: &String| {
        let input = std::fs::read(folder.join(name)).expect("an input");
        catch_unwind(AssertUnwindSafe(|| check(&input))).is_err()
    };
    let failed: Vec<&String> = names.iter().filter(|name| fails(name)).collect();
    assert!(failed.is_empty(), "{target}: {failed:?}");
}

#[test]
fn each_target_has_a_line_for_the_fuzzer_a_corpus_a_dictionary_and_a_replay() {
    let fuzz = fuzz();
    let files = names_in(&fuzz.join("fuzz_targets"));
    let stems: Vec<&str> = files.iter().filter_map(|file| file.strip_suffix(".rs")).collect();
    assert_eq!(stems, TARGETS);
    assert_eq!(names_in(&fuzz.join("corpus")), TARGETS);
    let with_words: Vec<String> = TARGETS
        .iter()
        .filter(|name| !WITHOUT_WORDS.contains(name))
        .map(|name| format!("{name}.dict"))
        .collect();
    assert_eq!(names_in(&fuzz.join("dictionaries")), with_words);
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        let line = std::fs::read_to_string(fuzz.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(line.contains(&format!("checks::{target}::check(data)")), "{target}");
    }
}
