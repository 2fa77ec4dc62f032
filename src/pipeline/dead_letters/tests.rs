//! What the file of rejected records holds, whatever happens to it meanwhile.

use super::*;
use crate::pipeline::faults::{Effect, FaultyFiles, Folder};
use crate::pipeline::record::Value;
use std::fs;

const BATCHES: u64 = 4;

fn letters(folder: &Folder) -> DeadLetters {
    DeadLetters::new(folder.path("dead.jsonl"))
}

fn add(letters: &mut DeadLetters, number: u64) {
    let place = Place { path: "/in", at: At::Offset(number) };
    letters.add(&format!("{{\"n\":{number}}}"), "no", &place).unwrap();
}

fn offsets(folder: &Folder) -> Vec<u64> {
    let text = folder.read("dead.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    lines.map(|line| line["from"]["offset"].as_u64().unwrap()).collect()
}

/// Where the batches got to, and the words of the dead letters.
#[derive(Clone, Debug, Default)]
struct OnRecord {
    cursor: u64,
    words: Json,
}

/// Batches of two dead letters each.
fn run(letters: &mut DeadLetters, recorded: &mut OnRecord, end: u64, files: &dyn Files) -> Result<()> {
    loop {
        letters.begin(&recorded.words, files)?;
        if recorded.cursor >= end {
            return Ok(());
        }
        add(letters, 2 * recorded.cursor);
        add(letters, 2 * recorded.cursor + 1);
        *recorded = OnRecord { cursor: recorded.cursor + 1, words: letters.announce(files)? };
        letters.carry_out(files)?;
    }
}

#[test]
fn a_file_that_cannot_be_looked_at_is_not_taken_for_one_that_was_put_aside() {
    let folder = Folder::new();
    let mut recorded = OnRecord::default();
    run(&mut letters(&folder), &mut recorded, 1, &FaultyFiles::sound()).unwrap();
    let failed = letters(&folder).begin(&recorded.words, &FaultyFiles::new(1, false, Effect::None));
    assert!(failed.is_err_and(|failure| failure.message.starts_with("cannot look at")));
}

#[test]
fn each_dead_letter_is_there_once_whatever_call_fails_or_is_the_last() {
    for (is_fatal, effect) in [Effect::None, Effect::Half, Effect::All]
        .into_iter()
        .flat_map(|effect| [(true, effect), (false, effect)])
    {
        for fails_at in 1.. {
            let folder = Folder::new();
            let files = FaultyFiles::new(fails_at, is_fatal, effect);
            let mut dead = letters(&folder);
            let mut recorded = OnRecord::default();
            let first = run(&mut dead, &mut recorded, BATCHES, &files);
            if !files.has_failed() {
                assert!(first.is_ok() && fails_at > 20, "{first:?} after {fails_at} calls");
                break;
            }
            if is_fatal {
                dead = letters(&folder);
            }
            run(&mut dead, &mut recorded, BATCHES, &FaultyFiles::sound()).unwrap();
            let want: Vec<u64> = (0..2 * BATCHES).collect();
            assert_eq!(offsets(&folder), want, "{effect:?} {fails_at} fatal {is_fatal}");
        }
    }
}

/// As after a power cut: the length of an append has come to the disk, and not all of its data.
#[test]
fn each_dead_letter_is_there_once_whatever_part_of_an_append_a_power_cut_made_zeros_of() {
    let people_s = "{\"from\":{\"offset\":100}}";
    // In a file that is shorter than it was, what is pending is looked for at its end.
    for (before, is_emptied) in [("", false), (people_s, false), ("", true), ("{}\n", true)] {
        let folder = Folder::new();
        let path = folder.path("dead.jsonl");
        fs::write(&path, before).unwrap();
        let stat = FaultyFiles::sound().stat(&path).unwrap();
        let pending: String =
            [2, 3].map(|offset| line("{}", "no", &Place { path: "/in", at: At::Offset(offset) })).concat();
        let length = if is_emptied { 1_000 } else { before.len() as u64 };
        let words = serde_json::to_value(Words { length, pending, ..Words::of(stat) }).unwrap();
        letters(&folder).begin(&words, &FaultyFiles::sound()).unwrap();
        let whole = fs::read(&path).unwrap();
        for (from, to) in
            (before.len()..whole.len()).flat_map(|from| [1, 7, 60, 1_000].map(|n| (from, from + n)))
        {
            let to = to.min(whole.len());
            for end in [to, whole.len()] {
                let mut torn = whole[..end].to_vec();
                torn[from..to].fill(0);
                fs::write(&path, &torn).unwrap();
                letters(&folder).begin(&words, &FaultyFiles::sound()).unwrap();
                let found = fs::read(&path).unwrap();
                assert!(found == whole, "{before:?} {is_emptied} {from}..{to} of {end}: {found:?}");
            }
        }
    }
}

#[test]
fn without_dead_letters_there_is_no_file_and_nothing_to_commit() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut dead = letters(&folder);
    dead.begin(&Json::Null, &files).unwrap();
    assert_eq!(dead.words(), Json::Null);
    dead.carry_out(&files).unwrap();
    assert!(folder.names().is_empty());
}

#[test]
fn a_batch_that_is_dropped_takes_its_dead_letters_along() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut dead = letters(&folder);
    dead.begin(&Json::Null, &files).unwrap();
    add(&mut dead, 99);
    dead.roll_back();
    assert_eq!(dead.words(), Json::Null);
    run(&mut dead, &mut OnRecord::default(), 1, &files).unwrap();
    assert_eq!(offsets(&folder), [0, 1]);
}

#[test]
fn what_is_pending_stays_so_until_its_words_are_on_record() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut dead = letters(&folder);
    dead.begin(&Json::Null, &files).unwrap();
    add(&mut dead, 1);
    let words = dead.announce(&files).unwrap();
    assert_eq!(folder.read("dead.jsonl"), "");
    letters(&folder).begin(&words, &files).unwrap();
    letters(&folder).begin(&words, &files).unwrap();
    assert_eq!(offsets(&folder), [1]);
}

#[test]
fn a_file_that_people_empty_or_move_away_is_gone_on_with() {
    for is_moved in [false, true] {
        for is_same_process in [false, true] {
            let folder = Folder::new();
            let files = FaultyFiles::sound();
            let mut dead = letters(&folder);
            let mut recorded = OnRecord::default();
            run(&mut dead, &mut recorded, 2, &files).unwrap();
            if is_moved {
                fs::rename(folder.path("dead.jsonl"), folder.path("old")).unwrap();
            } else {
                fs::write(folder.path("dead.jsonl"), "").unwrap();
            }
            if !is_same_process {
                // As it is when the words of what was carried out are on record: nothing is pending.
                recorded.words = dead.words();
                dead = letters(&folder);
            }
            run(&mut dead, &mut recorded, 3, &files).unwrap();
            assert_eq!(offsets(&folder), [4, 5], "moved {is_moved}, same process {is_same_process}");
            run(&mut letters(&folder), &mut recorded, 4, &files).unwrap();
            assert_eq!(offsets(&folder), [4, 5, 6, 7]);
        }
    }
}

#[test]
fn lines_that_people_add_stay_and_each_dead_letter_is_there_once() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut recorded = OnRecord::default();
    run(&mut letters(&folder), &mut recorded, 1, &files).unwrap();
    let text = folder.read("dead.jsonl");
    fs::write(folder.path("dead.jsonl"), format!("{text}{{\"from\":{{\"offset\":77}}}}")).unwrap();
    run(&mut letters(&folder), &mut recorded, 2, &files).unwrap();
    assert_eq!(offsets(&folder), [0, 1, 77, 2, 3]);
}

#[test]
fn the_same_dead_letter_again_is_another() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut words = Json::Null;
    for _ in 0..3 {
        let mut dead = letters(&folder);
        dead.begin(&words, &files).unwrap();
        add(&mut dead, 5);
        words = dead.words();
        dead.carry_out(&files).unwrap();
    }
    assert_eq!(offsets(&folder), [5, 5, 5]);
}

#[test]
fn too_many_dead_letters_end_the_run_until_they_are_moved_away() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut dead = letters(&folder);
    let file = fs::File::create(folder.path("dead.jsonl")).unwrap();
    file.set_len(limits::DEAD_LETTERS_BYTES_MAX).unwrap();
    dead.begin(&Json::Null, &files).unwrap();
    let place = Place { path: "/in", at: At::Offset(0) };
    let failure = dead.add("x", "no", &place).unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Schema);
    assert!(
        failure.message.contains("64 MiB of rejected records: move the file away"),
        "{}",
        failure.message
    );
    file.set_len(0).unwrap();
    run(&mut dead, &mut OnRecord::default(), 1, &files).unwrap();
    assert_eq!(offsets(&folder), [0, 1]);
}

#[test]
fn a_line_says_what_was_rejected_why_and_where_from() {
    let offset = Place { path: "/in", at: At::Offset(5) };
    let value = Value::Text("k\"".into());
    let cursor = Place { path: "/db", at: At::Cursor(&value) };
    assert_eq!(
        line(" {\"a\":\r1}\n", "bad \"a\"", &offset),
        "{\"record\":{\"a\": 1},\"reason\":\"bad \\\"a\\\"\",\"from\":{\"path\":\"/in\",\"offset\":5}}\n"
    );
    assert_eq!(
        line("[1]", "no object", &cursor),
        "{\"record\":\"[1]\",\"reason\":\"no object\",\"from\":{\"path\":\"/db\",\"cursor\":\"k\\\"\"}}\n"
    );
}

#[test]
fn a_long_record_is_cut_between_characters() {
    let place = Place { path: "/in", at: At::Offset(0) };
    let text = format!("{{\"a\":\"{}\"}}", "é".repeat(limits::DEAD_LETTER_RECORD_BYTES_MAX));
    let line: Json = serde_json::from_str(&line(&text, "long", &place)).unwrap();
    let kept = line["record"].as_str().unwrap();
    assert!(text.starts_with(kept));
    assert!(
        (limits::DEAD_LETTER_RECORD_BYTES_MAX - 1..=limits::DEAD_LETTER_RECORD_BYTES_MAX)
            .contains(&kept.len())
    );
}

#[test]
fn what_is_in_a_file_that_was_put_aside_does_not_come_again() {
    for earlier in [0, 2] {
        let folder = Folder::new();
        let files = FaultyFiles::sound();
        let mut recorded = OnRecord::default();
        run(&mut letters(&folder), &mut recorded, earlier, &files).unwrap();
        // The last words tell of two as pending that are in the file.
        let mut last = letters(&folder);
        run(&mut last, &mut recorded, earlier + 1, &files).unwrap();
        fs::rename(folder.path("dead.jsonl"), folder.path("dead.jsonl.fed")).unwrap();
        run(&mut letters(&folder), &mut recorded, earlier + 2, &files).unwrap();
        assert_eq!(offsets(&folder), [2 * earlier + 2, 2 * earlier + 3], "after {earlier} batches");
    }
}

#[test]
fn what_is_not_in_the_file_that_was_put_aside_comes() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut recorded = OnRecord::default();
    run(&mut letters(&folder), &mut recorded, 1, &files).unwrap();
    let mut last = letters(&folder);
    last.begin(&recorded.words, &files).unwrap();
    add(&mut last, 2);
    recorded.words = last.words();
    fs::rename(folder.path("dead.jsonl"), folder.path("dead.jsonl.fed")).unwrap();
    let mut next = letters(&folder);
    next.begin(&recorded.words, &files).unwrap();
    assert_eq!(offsets(&folder), [2]);
}
