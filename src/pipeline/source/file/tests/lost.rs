//! Files that nobody may take for ours, and ours that are out of sight.

use super::*;

#[test]
fn files_that_merely_begin_with_the_name_are_not_read() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.rename("x.log", "x.log.1");
    for name in ["x.log.jsonl", "x.log.db", "x.log.tmp", "x.logs", "x.log-notes"] {
        bench.append(name, "not ours\n");
    }
    assert_eq!(bench.read(), [""; 0]);
    bench.rename("x.log.1", "x.log.2");
    bench.append("x.log-20261125", "b\n");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["b", "c"]);
}

#[test]
fn a_short_file_that_merely_begins_with_the_name_is_no_copy() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log.jsonl", "a\nnot ours\n");
    bench.cut("x.log", 0);
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn files_past_the_most_that_are_known_are_forgotten_and_not_read_again() {
    let mut bench = Bench::new("*.txt", Format::Lines);
    let count = limits::SOURCE_FILES_MAX / 2 + 10;
    for round in ["a", "b"] {
        for number in 0..count {
            bench.append(&format!("{round}{number}.txt"), format!("{round}{number}\n"));
        }
        assert_eq!(bench.read().len(), count);
        if round == "a" {
            for number in 0..count {
                bench.rename(&format!("a{number}.txt"), &format!("a{number}.done"));
            }
        }
    }
    for _ in 0..2 {
        assert_eq!(bench.read(), [""; 0]);
        assert_eq!(bench.cursor["files"].as_array().unwrap().len(), limits::SOURCE_FILES_MAX);
    }
}
