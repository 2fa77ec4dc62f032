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

#[test]
fn a_file_that_came_between_is_read_though_the_next_one_has_the_old_number() {
    for restarts in [false, true] {
        let mut bench = Bench::lines();
        bench.append("x.log", "a\n");
        bench.age("x.log", 20);
        bench.append("x.log.2", "never ours\n");
        bench.age("x.log.2", 30);
        assert_eq!(bench.read(), ["a"]);
        bench.append("x.log.1", "b\n");
        bench.age("x.log.1", 10);
        bench.cut("x.log", 0);
        bench.append("x.log", "c\n");
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.read(), ["b", "c"]);
        assert_eq!(bench.warnings.len(), 1);
        assert_eq!(bench.read(), [""; 0]);
        assert!(bench.warnings.is_empty());
    }
}

#[test]
fn a_file_that_came_between_is_waited_for_though_the_next_one_has_the_old_number() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    bench.age("x.log", 20);
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log.1", "half ");
    bench.age("x.log.1", 10);
    bench.cut("x.log", 0);
    assert_eq!(bench.read(), [""; 0]);
    bench.append("x.log.1", "line\nb");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["half line", "b", "c"]);
    assert!(bench.warnings.is_empty());
}

#[test]
fn files_from_before_the_last_that_was_read_are_not_ours_when_it_is_gone() {
    let mut bench = Bench::lines();
    bench.append("x.log.2", "never ours\n");
    bench.age("x.log.2", 30);
    bench.append("x.log", "a\n");
    bench.age("x.log", 20);
    assert_eq!(bench.read(), ["a"]);
    fs::remove_file(bench.path("x.log")).unwrap();
    bench.append("x.log.1", "b\n");
    bench.append("x.log", "c\n");
    bench.restart();
    assert_eq!(bench.read(), ["b", "c"]);
}

#[test]
fn a_cursor_without_times_still_counts() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    bench.read();
    bench.cursor["files"][0].as_object_mut().unwrap().remove("modified_ns");
    bench.append("x.log", "b\n");
    bench.restart();
    assert_eq!(bench.read(), ["b"]);
}
