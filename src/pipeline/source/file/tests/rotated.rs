//! Files that change their names, or what they hold.

use super::*;

#[test]
fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    for restarts in [false, true] {
        let mut bench = Bench::lines();
        bench.append("x.log", "a\nb\n");
        assert_eq!(bench.read(), ["a", "b"]);
        bench.append("x.log", "c\nd");
        bench.rename("x.log", "x.log.1");
        bench.append("x.log", "e\n");
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.read(), ["c", "d", "e"]);
        assert!(bench.warnings.is_empty());
        assert_eq!(bench.read(), [""; 0]);
    }
}

#[test]
fn files_that_came_between_are_read_in_their_order() {
    let mut bench = Bench::lines();
    bench.append("x.log.9", "never ours\n");
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log", "b\n");
    for line in ["c\n", "d\n", "e\n"] {
        for number in [3, 2, 1] {
            let _ = fs::rename(
                bench.path(&format!("x.log.{number}")),
                bench.path(&format!("x.log.{}", number + 1)),
            );
        }
        bench.rename("x.log", "x.log.1");
        bench.append("x.log", line);
    }
    bench.restart();
    assert_eq!(bench.read(), ["b", "c", "d", "e"]);
    assert!(bench.warnings.is_empty());
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn a_writer_that_has_not_moved_on_yet_is_waited_for() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nhal");
    assert_eq!(bench.read(), ["a"]);
    bench.rename("x.log", "x.log.1");
    bench.append("x.log", "");
    assert_eq!(bench.read(), [""; 0]);
    bench.append("x.log.1", "f\nlast");
    assert_eq!(bench.read(), ["half"]);
    bench.append("x.log", "new\n");
    assert_eq!(bench.read(), ["last", "new"]);
    bench.append("x.log.1", "late\n");
    assert_eq!(bench.read(), ["late"]);
}

#[test]
fn a_copied_and_truncated_file_is_finished_in_its_copy() {
    for restarts in [false, true] {
        let mut bench = Bench::lines();
        bench.append("x.log", "a\nb\n");
        assert_eq!(bench.read(), ["a", "b"]);
        bench.append("x.log", "c\n");
        bench.copy_and_truncate("x.log", "x.log.1");
        bench.append("x.log", "longer than what was there\n");
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.read(), ["c", "longer than what was there"]);
        assert!(bench.warnings.is_empty());
        bench.append("x.log", "e\n");
        assert_eq!(bench.read(), ["e"]);
    }
}

#[test]
fn a_new_file_with_the_old_number_is_read_from_its_start() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nb\n");
    assert_eq!(bench.read(), ["a", "b"]);
    bench.cut("x.log", 0);
    bench.append("x.log", "c\nd\ne\n");
    assert_eq!(bench.read(), ["c", "d", "e"]);
    assert!(bench.warnings[0].contains("if anything, is unread"), "{:?}", bench.warnings);
}

#[test]
fn a_new_file_is_told_from_the_old_one_by_its_head_or_by_its_tail() {
    let same = "same\n".repeat(300);
    for (old, new) in
        [(format!("1\n{same}"), format!("2\n{same}")), (format!("{same}1\n"), format!("{same}2\n"))]
    {
        let mut bench = Bench::lines();
        bench.append("x.log", old);
        assert_eq!(bench.read().len(), 301);
        bench.cut("x.log", 0);
        bench.append("x.log", new);
        assert_eq!(bench.read().len(), 301);
    }
}

#[test]
fn a_file_that_lost_its_end_with_the_power_is_not_read_again() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nb\nc\n");
    assert_eq!(bench.read(), ["a", "b", "c"]);
    bench.cut("x.log", 4);
    bench.reboot();
    assert_eq!(bench.read(), [""; 0]);
    assert!(
        bench.warnings[0].contains("6 bytes of it were read, it goes on at byte 4"),
        "{:?}",
        bench.warnings
    );
    bench.append("x.log", "d\n");
    assert_eq!(bench.read(), ["d"]);
    assert!(bench.warnings.is_empty());
}

#[test]
fn a_file_of_which_the_power_cut_left_zeros_is_not_read_again_and_what_follows_them_is() {
    // Its length outlived its data, up to our place and no further.
    for hole in [0..15, 3..9, 12..15] {
        let mut bench = Bench::lines();
        bench.append("x.log", "one\ntwo\nthree.\n");
        assert_eq!(bench.read(), ["one", "two", "three."]);
        bench.append("x.log", "four\n");
        let mut bytes = fs::read(bench.path("x.log")).unwrap();
        bytes[hole.clone()].fill(0);
        fs::write(bench.path("x.log"), bytes).unwrap();
        bench.reboot();
        assert_eq!(bench.read(), ["four"], "zeros at {hole:?}");
        assert!(bench.warnings[0].contains("it goes on at byte 15"), "{:?}", bench.warnings);
        bench.append("x.log", "five\n");
        assert_eq!(bench.read(), ["five"]);
        assert!(bench.warnings.is_empty());
    }
}

#[test]
fn a_short_file_that_was_begun_anew_after_a_start_of_the_system_is_read_from_its_start() {
    let mut bench = Bench::lines();
    bench.append("x.log", format!("{}\n", "old ".repeat(50)));
    bench.read();
    bench.cut("x.log", 0);
    bench.append("x.log", format!("{}\n", "new ".repeat(20)));
    bench.reboot();
    assert_eq!(bench.read().len(), 1);
}

#[test]
fn a_file_that_was_begun_anew_before_a_power_cut_left_zeros_in_it_is_read_from_its_start() {
    let mut bench = Bench::lines();
    bench.append("x.log", format!("{}\n", "old ".repeat(50)));
    bench.read();
    bench.cut("x.log", 0);
    bench.append("x.log", format!("{}\n{}\n{}", "new ".repeat(20), "\0".repeat(60), "more\n".repeat(30)));
    bench.reboot();
    assert_eq!(bench.read().len(), 32);
}

#[test]
fn a_file_that_was_written_on_after_it_lost_its_end_goes_on_with_the_next_line() {
    let mut bench = Bench::lines();
    bench.append("x.log", "first\nsecond\nlost\n");
    bench.read();
    bench.cut("x.log", 13);
    bench.append("x.log", "written after that\nnext\n");
    // What is known of the head is what did not change.
    bench.cursor["files"][0]["head_bytes"] = 0.into();
    bench.cursor["files"][0]["head"] = "e3b0c44298fc1c149afbf4c8996fb924".into();
    bench.reboot();
    assert_eq!(bench.read(), ["next"]);
    assert_eq!(bench.warnings.len(), 1);
}

#[test]
fn a_table_of_another_name_is_not_taken_for_a_copy() {
    let mut bench = Bench::new("x.csv", Format::Csv);
    bench.append("y.csv", "a,b\n1,2\n");
    bench.append("x.csv", "a,b\n");
    assert_eq!(bench.read(), [""; 0]);
    bench.cut("x.csv", 0);
    assert_eq!(bench.read(), [""; 0]);
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn a_file_that_is_cut_without_a_start_of_the_system_is_a_new_one() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nb\nc\n");
    bench.read();
    bench.cut("x.log", 2);
    assert_eq!(bench.read(), ["a"]);
}

#[test]
fn a_start_of_the_system_that_lost_nothing_is_noted_once() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    bench.read();
    bench.reboot();
    assert_eq!(bench.read(), [""; 0]);
    assert!(!bench.cursor.to_string().contains("an earlier one"));
    let cursor = bench.cursor.clone();
    bench.read();
    assert_eq!(bench.cursor, cursor);
}

#[test]
fn a_compressed_file_is_warned_of_and_the_new_one_read() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log", "b\n");
    bench.rename("x.log", "x.log.1");
    fs::write(bench.path("x.log.1.gz"), "compressed").unwrap();
    fs::remove_file(bench.path("x.log.1")).unwrap();
    bench.append("x.log", "c\n");
    bench.restart();
    assert_eq!(bench.read(), ["c"]);
    assert!(bench.warnings[0].contains("is gone or compressed"), "{:?}", bench.warnings);
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.warnings.is_empty());
}

#[test]
fn the_unread_bytes_of_a_lost_file_are_told_where_they_are_known() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nb\nc\n");
    assert_eq!(bench.try_read(Room { records: 1, ..ALL }).unwrap(), ["a"]);
    bench.cut("x.log", 0);
    bench.append("x.log", "d\n");
    assert_eq!(bench.read(), ["d"]);
    assert!(bench.warnings[0].contains("4 bytes or more are unread"), "{:?}", bench.warnings);
}

#[test]
fn a_deleted_file_that_is_still_open_is_read_to_its_end() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log", "b\nc");
    fs::remove_file(bench.path("x.log")).unwrap();
    bench.append("x.log", "d\n");
    assert_eq!(bench.read(), ["b", "c", "d"]);
    assert!(bench.warnings.is_empty());
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.warnings.is_empty());
    assert_eq!(bench.cursor["files"].as_array().unwrap().len(), 1);
}

#[test]
fn files_that_are_gone_and_read_to_their_end_drop_out() {
    let mut bench = Bench::lines();
    for line in ["a\n", "b\n", "c\n"] {
        let _ = fs::remove_file(bench.path("x.log.1"));
        let _ = fs::rename(bench.path("x.log"), bench.path("x.log.1"));
        bench.append("x.log", line);
        assert_eq!(bench.read(), [line.trim()]);
        assert!(bench.warnings.is_empty());
    }
    assert_eq!(bench.cursor["files"].as_array().unwrap().len(), 2);
}

#[test]
fn files_of_a_pattern_are_read_in_the_order_of_their_time() {
    let mut bench = Bench::new("*.log", Format::Lines);
    for (name, line) in [("b.log", "1\n"), ("a.log", "2\n"), ("c.log.gz", "no\n"), (".d.log", "no\n")] {
        bench.append(name, line);
    }
    let file = fs::File::open(bench.path("a.log")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    assert_eq!(bench.read(), ["1", "2"]);
    bench.append("b.log", "3\n");
    bench.append("e.log", "4\n");
    bench.restart();
    assert_eq!(bench.read().len(), 2);
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn a_compressed_name_is_no_match() {
    let mut bench = Bench::new("x*", Format::Lines);
    for name in ["x.gz", "x.xz", "x.zst", "x.bz2", "x"] {
        bench.append(name, format!("{name}\n"));
    }
    assert_eq!(bench.read(), ["x"]);
}

#[test]
fn files_of_a_spool_may_be_deleted_once_they_are_read() {
    let mut bench = Bench::new("*.txt", Format::Lines);
    for round in 0..2 {
        for name in ["a.txt", "b.txt", "c.txt"] {
            bench.append(name, "line\n");
            bench.age(name, 60 - 30 * round);
        }
        assert_eq!(bench.read().len(), 3, "{round}");
        for name in ["a.txt", "b.txt", "c.txt"] {
            fs::remove_file(bench.path(name)).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(bench.read(), [""; 0]);
            assert!(bench.warnings.is_empty());
            // How many of the first three are known still depends on whose numbers the system gave the others.
            assert!(bench.cursor["files"].as_array().unwrap().len() <= 6);
        }
    }
}

#[test]
fn reading_from_the_end_begins_where_a_file_ends_when_it_is_first_seen() {
    let mut bench = Bench::new("*.log", Format::Lines);
    bench.settings.from = From::End;
    bench.restart();
    bench.append("a.log", "old\nhalf of ");
    assert_eq!(bench.read(), [""; 0]);
    bench.append("a.log", "an old one\nnew\n");
    bench.append("b.log", "later\n");
    let mut lines = bench.read();
    lines.sort();
    assert_eq!(lines, ["later", "new"]);
}

#[test]
fn a_file_that_appears_after_the_first_look_is_read_from_its_start() {
    let mut bench = Bench::lines();
    bench.settings.from = From::End;
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
}

#[test]
fn a_missing_file_is_waited_for_or_fails_the_run() {
    for name in ["x.log", "*.log", "folder/x.log"] {
        let mut bench = Bench::new(name, Format::Lines);
        assert_eq!(bench.read(), [""; 0]);
        assert!(bench.is_end && bench.cursor.is_null());
        bench.settings.missing = Missing::Fail;
        bench.restart();
        let failure = bench.try_read(ALL).unwrap_err();
        assert!(failure.message.contains("missing = \"wait\""), "{}", failure.message);
    }
}

#[test]
fn what_is_no_file_fails_the_run() {
    let mut bench = Bench::lines();
    fs::create_dir(bench.path("x.log")).unwrap();
    fs::write(bench.path("x.log/y"), "").unwrap();
    let failure = bench.try_read(ALL);
    assert!(failure.is_err_and(|failure| failure.message.starts_with("cannot read /")));
}

#[test]
fn a_cursor_is_judged() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    bench.read();
    assert_eq!(bench.source.check_cursor(&Json::Null), Ok(()));
    assert_eq!(bench.source.check_cursor(&bench.cursor), Ok(()));
    for (name, value) in [
        ("offset", Json::from(1.5)),
        ("offset", Json::from(-1)),
        ("other", Json::from(1)),
        ("head_bytes", Json::from(9999)),
    ] {
        let mut cursor = bench.cursor.clone();
        cursor["files"][0][name] = value;
        assert!(bench.source.check_cursor(&cursor).unwrap_err().contains("would be right"));
    }
    assert!(bench.source.check_cursor(&Json::from(1)).is_err());
}

/// Shifts the files that were rotated away, and rotates.
fn rotate(bench: &Bench, rotations: &mut u32, copies: bool) {
    for number in (1..=*rotations).rev() {
        bench.rename(&format!("x.log.{number}"), &format!("x.log.{}", number + 1));
    }
    *rotations += 1;
    if copies {
        bench.copy_and_truncate("x.log", "x.log.1");
    } else {
        bench.rename("x.log", "x.log.1");
        bench.append("x.log", "");
    }
}

#[test]
fn no_line_is_lost_and_none_comes_twice_however_files_are_rotated() {
    for seed in 0..100 {
        let mut state = seed;
        let mut bench = Bench::lines();
        bench.append("x.log", "0\n");
        let mut lines = bench.read();
        let (mut written, mut rotations, mut half) = (1, 0, false);
        for _ in 0..60 {
            match next_random(&mut state) % 8 {
                0..=2 => {
                    bench.append(
                        "x.log",
                        format!("{}{}\n", if half { "" } else { "line " }, "x".repeat(written)),
                    );
                    written += 1;
                    half = false;
                }
                3 if !half => {
                    bench.append("x.log", "line ");
                    half = true;
                }
                4 if !half => rotate(&bench, &mut rotations, seed % 2 == 0),
                5 => bench.restart(),
                _ => {
                    let records = usize::try_from(next_random(&mut state) % 4).unwrap();
                    lines.extend(bench.try_read(Room { records, ..ALL }).unwrap());
                    assert!(bench.warnings.is_empty(), "seed {seed}: {:?}", bench.warnings);
                }
            }
        }
        lines.extend(bench.read());
        let expected = (1..written).map(|length| format!("line {}", "x".repeat(length)));
        let expected: Vec<String> = std::iter::once("0".to_owned()).chain(expected).collect();
        assert_eq!(lines, expected, "seed {seed}");
    }
}

#[test]
fn a_copy_is_known_though_it_has_the_number_of_an_older_one() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.copy_and_truncate("x.log", "x.log.1");
    bench.append("x.log", "long\n");
    assert_eq!(bench.read(), ["long"]);
    assert_eq!(bench.cursor["files"].as_array().unwrap().len(), 2);
    bench.append("x.log", "b\n");
    for (restarts, line) in [(false, "c"), (true, "d")] {
        // The copy is written over the last one, as `cp` does it, or gets the number that became free.
        bench.copy_and_truncate("x.log", "x.log.1");
        if restarts {
            bench.restart();
        }
        assert_eq!(bench.read(), if restarts { vec![] } else { vec!["b"] });
        bench.append("x.log", format!("{line}\n"));
        assert_eq!(bench.read(), [line]);
        assert!(bench.warnings.is_empty(), "{:?}", bench.warnings);
    }
}

#[test]
fn a_copy_is_known_though_it_is_as_long_as_the_one_whose_number_it_has() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\nb\n");
    assert_eq!(bench.read(), ["a", "b"]);
    bench.copy_and_truncate("x.log", "x.log.1");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["c"]);
    bench.append("x.log", "d\n");
    bench.copy_and_truncate("x.log", "x.log.1");
    bench.append("x.log", "e\n");
    assert_eq!(bench.read(), ["d", "e"]);
    assert!(bench.warnings.is_empty(), "{:?}", bench.warnings);
}

#[test]
fn a_copy_is_known_though_the_file_had_lost_its_end_in_a_power_cut_before() {
    let mut bench = Bench::lines();
    let long = "x".repeat(1100);
    bench.append("x.log", format!("{long}\na\nb\n"));
    assert_eq!(bench.read(), [long.as_str(), "a", "b"]);
    bench.reboot();
    bench.cut("x.log", 1103);
    bench.copy_and_truncate("x.log", "x.log.1");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["c"]);
    assert!(bench.warnings[0].contains("x.log.1 lost what was written last"), "{:?}", bench.warnings);
    assert_eq!(bench.read(), [""; 0]);
}
