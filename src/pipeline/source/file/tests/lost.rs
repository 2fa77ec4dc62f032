//! Files that nobody may take for ours, and ours that are out of sight.

use super::*;
use crate::pipeline::files::{OpenFile, Space, Stat};
use std::io;
use std::path::Path;

/// Files whose folder may be listed, but not searched.
#[derive(Debug, Default)]
struct HiddenFiles(SystemFiles);

impl Files for HiddenFiles {
    fn open(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn open_to_append(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        self.open(path)
    }

    fn stat(&self, _: &Path) -> io::Result<Stat> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list(folder)
    }

    fn list_folders(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.0.list_folders(folder)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.sync_folder(folder)
    }

    fn boot_id(&self) -> &str {
        self.0.boot_id()
    }

    fn wall_ms(&self) -> i64 {
        self.0.wall_ms()
    }
}

#[test]
fn files_that_cannot_be_looked_at_fail_the_run() {
    for pattern in ["x.log", "*.log"] {
        let mut bench = Bench::new(pattern, Format::Lines);
        bench.append("x.log", "a\n");
        assert_eq!(bench.read(), ["a"]);
        bench.restart();
        let read = bench.source.read(&bench.cursor, ALL, &HiddenFiles::default(), &mut |_, _| Ok(()));
        assert!(read.is_err_and(|failure| failure.message.contains("permission denied")), "{pattern}");
    }
}

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

#[test]
fn a_file_that_is_away_for_a_while_is_not_read_again() {
    for (pattern, restarts) in [("x.log", false), ("x.log", true), ("*.log", false), ("*.log", true)] {
        let mut bench = Bench::new(pattern, Format::Lines);
        bench.append("x.log.1", "never ours\n");
        bench.age("x.log.1", 30);
        bench.append("x.log", "a\n");
        assert_eq!(bench.read(), ["a"]);
        let away = bench.folder.with_extension("away");
        fs::rename(bench.path("x.log"), &away).unwrap();
        for _ in 0..2 {
            if restarts {
                bench.restart();
            }
            assert_eq!(bench.read(), [""; 0]);
            assert!(bench.warnings.is_empty());
        }
        fs::rename(&away, bench.path("x.log")).unwrap();
        bench.append("x.log", "b\n");
        assert_eq!(bench.read(), ["b"], "{pattern} {restarts}");
        assert!(bench.warnings.is_empty());
    }
}

#[test]
fn a_folder_that_is_away_for_a_while_is_not_read_again() {
    for pattern in ["x.log", "*.log"] {
        let mut bench = Bench::new(pattern, Format::Lines);
        for line in ["a", "b"] {
            let _ = fs::rename(bench.path("x.log"), bench.path("x.log.1"));
            bench.append("x.log", format!("{line}\n"));
            assert_eq!(bench.read(), [line]);
        }
        let away = bench.folder.with_extension("away");
        fs::rename(&bench.folder, &away).unwrap();
        for _ in 0..2 {
            bench.restart();
            assert_eq!(bench.read(), [""; 0]);
        }
        fs::rename(&away, &bench.folder).unwrap();
        assert_eq!(bench.read(), [""; 0], "{pattern}");
        bench.append("x.log.1", "late\n");
        bench.append("x.log", "c\n");
        bench.age("x.log.1", 5);
        assert_eq!(bench.read(), ["late", "c"]);
    }
}

#[test]
fn one_file_of_a_pattern_may_be_away_while_others_are_read() {
    let mut bench = Bench::new("*.log", Format::Lines);
    bench.append("x.log", "x1\n");
    bench.append("y.log", "y1\n");
    bench.age("y.log", 20);
    assert_eq!(bench.read(), ["y1", "x1"]);
    let away = bench.folder.with_extension("away");
    fs::rename(bench.path("y.log"), &away).unwrap();
    bench.append("x.log", "x2\n");
    bench.restart();
    assert_eq!(bench.read(), ["x2"]);
    fs::rename(&away, bench.path("y.log")).unwrap();
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn a_rotated_file_that_is_gone_drops_out_once_a_newer_one_was_read() {
    let mut bench = Bench::lines();
    for line in ["a", "b", "c"] {
        for (from, to) in [("x.log.1", "x.log.2"), ("x.log", "x.log.1")] {
            let _ = fs::rename(bench.path(from), bench.path(to));
        }
        bench.append("x.log", format!("{line}\n"));
        assert_eq!(bench.read(), [line]);
    }
    fs::remove_file(bench.path("x.log.2")).unwrap();
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.warnings.is_empty());
    assert_eq!(bench.cursor["files"].as_array().unwrap().len(), 2);
}

#[test]
fn a_new_file_that_holds_what_the_lost_one_held_is_read() {
    for pattern in ["x.txt", "*.txt"] {
        let mut bench = Bench::new(pattern, Format::Lines);
        bench.append("x.txt", "ok\n");
        bench.age("x.txt", 20);
        assert_eq!(bench.read(), ["ok"]);
        fs::remove_file(bench.path("x.txt")).unwrap();
        bench.restart();
        assert_eq!(bench.read(), [""; 0]);
        bench.append("x.txt", "ok\n");
        assert_eq!(bench.read(), ["ok"], "{pattern}");
        assert_eq!(bench.read(), [""; 0]);
        assert_eq!(bench.cursor["files"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_loss_is_told_once_though_nothing_new_is_whole_yet() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    bench.age("x.log", 20);
    assert_eq!(bench.read(), ["a"]);
    fs::remove_file(bench.path("x.log")).unwrap();
    bench.append("x.log", "half ");
    bench.restart();
    assert_eq!(bench.read(), [""; 0]);
    assert!(bench.warnings[0].contains("is gone or compressed"), "{:?}", bench.warnings);
    bench.rename("x.log", "x.log.1");
    bench.append("x.log.1", "line\n");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["half line", "c"]);
    assert!(bench.warnings.is_empty());
}

#[test]
fn what_came_after_a_deleted_file_is_not_lost_while_its_line_is_not_whole() {
    let mut bench = Bench::lines();
    bench.append("x.log", "a\n");
    assert_eq!(bench.read(), ["a"]);
    bench.append("x.log", "b\n");
    fs::remove_file(bench.path("x.log")).unwrap();
    bench.append("x.log", "half ");
    assert_eq!(bench.read(), ["b"]);
    bench.rename("x.log", "x.log.1");
    bench.append("x.log.1", "line\n");
    bench.append("x.log", "c\n");
    assert_eq!(bench.read(), ["half line", "c"]);
}

#[test]
fn a_folder_is_listed_whole_or_not_at_all() {
    let bench = Bench::lines();
    bench.append("x.log", "a\n");
    fs::create_dir(bench.path("folder")).unwrap();
    for (name, target) in [("missing", "nothing"), ("loop", "loop"), ("inner", "x.log/y"), ("link", "x.log")]
    {
        std::os::unix::fs::symlink(target, bench.path(name)).unwrap();
    }
    let mut paths = bench.files.list(&bench.folder).unwrap();
    paths.sort();
    assert_eq!(paths, ["link", "x.log"].map(|name| bench.path(name)));
    std::os::unix::fs::symlink("x".repeat(300), bench.path("unseen")).unwrap();
    assert!(bench.files.list(&bench.folder).is_err());
}

#[test]
fn a_renamed_file_of_a_pattern_is_waited_for_until_it_is_followed() {
    let mut bench = Bench::new("*.log", Format::Lines);
    bench.append("x.log", "a\nhal");
    bench.append("y.log", "y\n");
    bench.age("x.log", 20);
    assert_eq!(bench.read(), ["a", "y"]);
    for name in ["x.log.1", "x.done"] {
        bench.rename(if name == "x.done" { "x.log.1" } else { "x.log" }, name);
        bench.restart();
        assert_eq!(bench.read(), [""; 0]);
    }
    bench.append("x.done", "f\nlast");
    bench.append("x.log", "");
    assert_eq!(bench.read(), ["half"]);
    bench.append("x.log", "new\n");
    assert_eq!(bench.read(), ["last", "new"]);
}

#[test]
fn a_renamed_file_of_a_pattern_is_whole_once_it_has_not_been_written_for_long() {
    let mut bench = Bench::new("*.log", Format::Lines);
    bench.append("x.log", "a\nlast");
    assert_eq!(bench.read(), ["a"]);
    bench.rename("x.log", "x.done");
    bench.age("x.done", 270);
    assert_eq!(bench.read(), [""; 0]);
    bench.age("x.done", 330);
    assert_eq!(bench.read(), ["last"]);
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn a_deleted_file_of_a_pattern_is_whole_once_it_has_not_been_written_for_long() {
    let mut bench = Bench::new("*.log", Format::Lines);
    bench.append("x.log", "a\nlast");
    assert_eq!(bench.read(), ["a"]);
    bench.age("x.log", 330);
    let away = bench.folder.with_extension("away");
    fs::rename(bench.path("x.log"), &away).unwrap();
    assert_eq!(bench.read(), ["last"]);
    fs::rename(&away, bench.path("x.log")).unwrap();
    assert_eq!(bench.read(), [""; 0]);
}

#[test]
fn too_many_files_that_were_left_unread_fail_the_run() {
    let mut bench = Bench::new("*.txt", Format::Lines);
    let count = limits::SOURCE_FILES_MAX / 2 + 1;
    for round in 0..2 {
        for number in 0..count {
            bench.append(&format!("{round}-{number}.txt"), "a\nhalf");
        }
        assert_eq!(bench.read().len(), count);
        for number in 0..count {
            bench.rename(&format!("{round}-{number}.txt"), &format!("{round}-{number}.done"));
        }
    }
    let failure = bench.try_read(ALL).unwrap_err();
    assert!(failure.message.starts_with("1002 files left /"), "{}", failure.message);
}
