//! What a file holds after batches, crashes and rotation.

use super::*;
use crate::pipeline::faults::{Effect, FaultyFiles, Folder};
use crate::pipeline::record::Value;
use std::fs;

const RECORDS: i64 = 9;
const BATCH: i64 = 2;

fn settings(folder: &Folder, format: Format, rotate: Option<Rotation>) -> flow::FileSink {
    flow::FileSink { path: folder.path("out"), format, rotate }
}

fn sink(folder: &Folder, format: Format, rotate: Option<Rotation>) -> FileSink {
    FileSink::new(&settings(folder, format, rotate), &BTreeMap::new())
}

fn jsonl(folder: &Folder) -> FileSink {
    sink(folder, Format::Jsonl, None)
}

fn by_size(size_bytes: u64, keep: u64) -> Rotation {
    Rotation { size_bytes: Some(size_bytes), age_s: None, keep }
}

fn record(number: i64) -> Record<'static> {
    Record { fields: vec![("n".into(), Value::Integer(number))], json: None }
}

/// What runs a batch: reads from the cursor on, writes, and keeps the state on record.
struct Runner {
    recorded: Option<State>,
    /// Whether the state after a batch is recorded alone, too.
    is_eager: bool,
}

impl Runner {
    fn new(is_eager: bool) -> Self {
        Self { recorded: None, is_eager }
    }

    /// Moves a batch of numbers up to `end`; false if there are no more.
    fn step(&mut self, sink: &mut FileSink, end: i64, files: &dyn Files) -> Result<bool> {
        let state = sink.begin(self.recorded.as_ref(), files)?;
        let from = state.cursor.as_i64().unwrap_or(0);
        if from >= end {
            self.recorded = Some(state);
            return Ok(false);
        }
        let to = end.min(from + BATCH);
        for number in from..to {
            assert_eq!(sink.write(&record(number))?, Written::New);
        }
        self.commit(sink, State { cursor: to.into(), ..State::default() }, files)?;
        Ok(true)
    }

    fn commit(&mut self, sink: &mut FileSink, state: State, files: &dyn Files) -> Result<()> {
        let Committed::Announced(announcement) = sink.commit(state, files)? else {
            panic!("our own database keeps the state");
        };
        self.recorded = Some(announcement);
        let Carried::Done(state) = sink.carry_out(files)? else { panic!() };
        if self.is_eager {
            self.recorded = Some(state);
        }
        Ok(())
    }

    fn run(&mut self, sink: &mut FileSink, end: i64, files: &dyn Files) -> Result<()> {
        while self.step(sink, end, files)? {}
        Ok(())
    }

    fn begin_fails(&self, sink: &mut FileSink) -> String {
        let failure = sink.begin(self.recorded.as_ref(), &FaultyFiles::sound()).unwrap_err();
        assert_eq!(failure.kind, flow::ErrorKind::Sink);
        failure.message
    }
}

/// Every line of every file, in the order of the files.
fn lines(folder: &Folder) -> Vec<String> {
    let mut names = folder.names();
    // What was put aside is older than what was not.
    names.sort_by_key(|name| (name == "out", name.clone()));
    names.iter().flat_map(|name| folder.read(name).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn numbers(end: i64) -> Vec<String> {
    (0..end).map(|number| format!("{{\"n\":{number}}}")).collect()
}

/// Runs with a fault at every call there is, goes on without, and looks for each record exactly once.
fn holds_at_every_fault(
    format: Format,
    rotate: Option<Rotation>,
    is_fatal: bool,
    effect: Effect,
    is_eager: bool,
) {
    let mut fails_at = 0;
    loop {
        fails_at += 1;
        let folder = Folder::new();
        let files = FaultyFiles::new(fails_at, is_fatal, effect);
        let mut writer = sink(&folder, format, rotate);
        let mut runner = Runner::new(is_eager);
        let first = runner.run(&mut writer, RECORDS, &files);
        if !files.has_failed() {
            assert!(first.is_ok() && fails_at > 15, "{first:?} after {fails_at} calls");
            return;
        }
        if is_fatal {
            drop(writer);
            writer = sink(&folder, format, rotate);
        }
        let sound = FaultyFiles::sound();
        sound.wall_ms.set(files.wall_ms.get());
        let what = format!("{format:?} {rotate:?} {effect:?} {fails_at} fatal {is_fatal} eager {is_eager}");
        runner.run(&mut writer, RECORDS, &sound).unwrap_or_else(|failure| panic!("{what}: {failure:?}"));
        let mut lines = lines(&folder);
        lines.retain(|line| line != "n");
        let want = if format == Format::Csv {
            (0..RECORDS).map(|number| number.to_string()).collect()
        } else {
            numbers(RECORDS)
        };
        assert_eq!(lines, want, "{what}");
    }
}

#[test]
fn each_record_is_there_once_whatever_call_fails_or_is_the_last() {
    for rotate in [None, Some(by_size(40, 100))] {
        for effect in [Effect::None, Effect::Half, Effect::All] {
            holds_at_every_fault(Format::Jsonl, rotate, true, effect, false);
            holds_at_every_fault(Format::Jsonl, rotate, false, effect, true);
        }
        holds_at_every_fault(Format::Jsonl, rotate, true, Effect::Half, true);
        holds_at_every_fault(Format::Jsonl, rotate, false, Effect::Half, false);
    }
    holds_at_every_fault(Format::Csv, None, true, Effect::Half, false);
    holds_at_every_fault(Format::Csv, Some(by_size(8, 100)), true, Effect::Half, false);
    let by_age = Rotation { size_bytes: None, age_s: Some(60), keep: 100 };
    holds_at_every_fault(Format::Jsonl, Some(by_age), true, Effect::Half, false);
}

#[test]
fn a_batch_that_was_announced_and_written_but_not_recorded_comes_again() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(false);
    let mut first = jsonl(&folder);
    runner.step(&mut first, RECORDS, &files).unwrap();
    assert_eq!(lines(&folder), numbers(2));
    drop(first);
    let mut second = jsonl(&folder);
    let state = second.begin(runner.recorded.as_ref(), &files).unwrap();
    assert_eq!(state.cursor, Json::Null);
    assert_eq!(state.sink["length"], 0);
    assert_eq!(state.sink.get("announced"), None);
    assert_eq!(folder.read("out"), "");
}

#[test]
fn a_record_of_what_was_carried_out_is_believed_by_the_next_process() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(true);
    runner.step(&mut jsonl(&folder), RECORDS, &files).unwrap();
    let state = jsonl(&folder).begin(runner.recorded.as_ref(), &files).unwrap();
    assert_eq!(state.cursor, 2);
    assert_eq!(lines(&folder), numbers(2));
}

#[test]
fn a_batch_without_records_moves_the_cursor_alone() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(false);
    let mut sink = jsonl(&folder);
    sink.begin(None, &files).unwrap();
    runner.commit(&mut sink, State { cursor: 7.into(), ..State::default() }, &files).unwrap();
    assert_eq!(runner.recorded.as_ref().unwrap().cursor, 7);
    let state = jsonl_after(sink, &folder).begin(runner.recorded.as_ref(), &files).unwrap();
    assert_eq!(state.cursor, 7);
}

fn jsonl_after(sink: FileSink, folder: &Folder) -> FileSink {
    drop(sink);
    jsonl(folder)
}

#[test]
fn a_record_that_json_cannot_hold_is_rejected_and_the_others_are_written() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut sink = jsonl(&folder);
    sink.begin(None, &files).unwrap();
    let blob = Record { fields: vec![("x".into(), Value::Blob(vec![1].into()))], json: None };
    assert!(
        matches!(sink.write(&blob), Ok(Written::Rejected(reason)) if reason.contains("`x` holds a blob"))
    );
    assert_eq!(sink.write(&record(0)), Ok(Written::New));
    Runner::new(true).commit(&mut sink, State::default(), &files).unwrap();
    assert_eq!(lines(&folder), numbers(1));
}

#[test]
fn a_batch_that_is_dropped_leaves_nothing() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut sink = jsonl(&folder);
    sink.begin(None, &files).unwrap();
    sink.write(&record(99)).unwrap();
    sink.roll_back();
    Runner::new(true).run(&mut sink, 2, &files).unwrap();
    assert_eq!(lines(&folder), numbers(2));
}

#[test]
fn what_others_write_or_cut_stops_the_flow_until_an_operator_accepts_it() {
    for (content, length) in [("{\"n\":0}\n{\"n\":1}\nmore\n", 21), ("{\"n\":0}\n", 8)] {
        let folder = Folder::new();
        let files = FaultyFiles::sound();
        let mut runner = Runner::new(true);
        let mut sink = jsonl(&folder);
        runner.run(&mut sink, 2, &files).unwrap();
        fs::write(folder.path("out"), content).unwrap();
        for _ in 0..2 {
            let message = runner.begin_fails(&mut sink);
            assert!(message.contains(&format!("{length} bytes")) && message.contains(" 16 "), "{message}");
            assert!(message.contains("accept it as it is with `heartbeatd flow cursor"), "{message}");
        }
        let message = runner.begin_fails(&mut jsonl_after(sink, &folder));
        assert!(message.contains(&format!("{length} bytes")), "{message}");
        let mut sink = jsonl(&folder);
        runner.recorded = Some(State { cursor: 2.into(), ..State::default() });
        runner.run(&mut sink, 3, &files).unwrap();
        assert_eq!(folder.read("out"), format!("{content}{{\"n\":2}}\n"));
    }
}

#[test]
fn a_file_belongs_to_one_flow() {
    let folder = Folder::new();
    let mut sink = jsonl(&folder);
    sink.begin(None, &FaultyFiles::sound()).unwrap();
    let message = Runner::new(true).begin_fails(&mut jsonl(&folder));
    assert!(message.contains("another flow or program holds it: a file belongs to one flow"), "{message}");
}

#[test]
fn a_file_that_others_put_aside_is_begun_anew() {
    for (is_same_process, is_eager) in [(true, true), (true, false), (false, true), (false, false)] {
        let folder = Folder::new();
        let files = FaultyFiles::sound();
        let mut runner = Runner::new(is_eager);
        let mut sink = jsonl(&folder);
        runner.step(&mut sink, 6, &files).unwrap();
        fs::rename(folder.path("out"), folder.path("older")).unwrap();
        if !is_same_process {
            sink = jsonl_after(sink, &folder);
        }
        runner.run(&mut sink, 6, &files).unwrap();
        assert_eq!(lines(&folder), numbers(6), "{is_same_process} {is_eager}");
        assert_eq!(folder.names().len(), 2);
    }
}

#[test]
fn a_file_that_is_gone_with_an_announced_batch_stops_the_flow() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(false);
    let mut sink = jsonl(&folder);
    // A file that nothing was ever recorded of may go with the power, and is begun anew.
    for _ in 0..2 {
        runner.step(&mut sink, 6, &files).unwrap();
    }
    drop(sink);
    // Another takes its place first, so that it does not get the same number.
    fs::write(folder.path("other"), "").unwrap();
    fs::remove_file(folder.path("out")).unwrap();
    let message = runner.begin_fails(&mut jsonl(&folder));
    assert!(message.contains("16 more") && message.contains("put the file back"), "{message}");
}

#[test]
fn a_new_folder_that_went_with_the_power_before_it_was_durable_is_made_again() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let path = folder.path("new/out");
    let settings = flow::FileSink { path, format: Format::Jsonl, rotate: None };
    let mut runner = Runner::new(false);
    runner.step(&mut FileSink::new(&settings, &BTreeMap::new()), 2, &files).unwrap();
    fs::remove_dir_all(folder.path("new")).unwrap();
    runner.run(&mut FileSink::new(&settings, &BTreeMap::new()), 2, &files).unwrap();
    assert_eq!(folder.read("new/out"), "{\"n\":0}\n{\"n\":1}\n");
}

#[test]
fn a_file_that_was_there_is_gone_on_with_on_a_line_of_its_own() {
    let folder = Folder::new();
    fs::write(folder.path("out"), "half").unwrap();
    Runner::new(false).run(&mut jsonl(&folder), 1, &FaultyFiles::sound()).unwrap();
    assert_eq!(folder.read("out"), "half\n{\"n\":0}\n");
}

#[test]
fn a_missing_folder_is_made() {
    let folder = Folder::new();
    let path = folder.path("a/b/out");
    let mut sink =
        FileSink::new(&flow::FileSink { path, format: Format::Jsonl, rotate: None }, &BTreeMap::new());
    Runner::new(false).run(&mut sink, 1, &FaultyFiles::sound()).unwrap();
    assert_eq!(folder.read("a/b/out"), "{\"n\":0}\n");
}

#[test]
fn a_file_is_put_aside_before_it_would_be_too_long() {
    let folder = Folder::new();
    let mut sink = sink(&folder, Format::Jsonl, Some(by_size(40, 2)));
    Runner::new(false).run(&mut sink, 10, &FaultyFiles::sound()).unwrap();
    assert_eq!(lines(&folder), numbers(10));
    let names = folder.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().all(|name| folder.read(name).len() <= 40));
    assert!(names[1].starts_with("out.2026") && names[1].ends_with('Z'), "{names:?}");
}

#[test]
fn the_oldest_beyond_those_to_keep_are_deleted_and_no_others() {
    for (keep, aside) in [(2, 2), (1, 1), (0, 1)] {
        let folder = Folder::new();
        for other in ["out.1", "out.2026", "out.20260101T000000Z.gz", "other.20260101T000000Z"] {
            fs::write(folder.path(other), "").unwrap();
        }
        let mut sink = sink(&folder, Format::Jsonl, Some(by_size(1, keep)));
        Runner::new(false).run(&mut sink, 12, &FaultyFiles::sound()).unwrap();
        let names = folder.names();
        assert_eq!(names.len(), 4 + 1 + aside, "{names:?}");
        let want: Vec<String> = numbers(12).split_off(12 - 2 * (aside + 1));
        assert_eq!(lines(&folder), want);
    }
}

#[test]
fn a_name_that_is_taken_is_numbered() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let path = folder.path("out");
    let free = |files: &FaultyFiles| {
        files.wall_ms.set(1_795_645_780_999);
        rotation::free_name(&path, files).unwrap()
    };
    assert_eq!(free(&files), folder.path("out.20261125T223000Z"));
    fs::write(free(&files), "").unwrap();
    assert_eq!(free(&files), folder.path("out.20261125T223000Z-1"));
    fs::write(free(&files), "").unwrap();
    assert_eq!(free(&files), folder.path("out.20261125T223000Z-2"));
}

#[test]
fn a_clock_that_is_set_at_last_makes_no_file_old() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    files.wall_ms.set(0);
    let rotation = Rotation { size_bytes: None, age_s: Some(3600), keep: 3 };
    let mut sink = sink(&folder, Format::Jsonl, Some(rotation));
    let mut runner = Runner::new(true);
    runner.step(&mut sink, 6, &files).unwrap();
    files.wall_ms.set(1_795_645_800_000);
    runner.step(&mut sink, 6, &files).unwrap();
    assert_eq!(folder.names(), ["out"]);
    files.wall_ms.set(1_795_645_800_000 + 3_600_000);
    runner.step(&mut sink, 6, &files).unwrap();
    assert_eq!(folder.names().len(), 2);
    assert_eq!(lines(&folder), numbers(6));
}

#[test]
fn others_who_write_to_the_file_that_follows_stop_the_flow() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(false);
    let rotate = Some(by_size(1, 3));
    let mut first = sink(&folder, Format::Jsonl, rotate);
    runner.step(&mut first, 6, &files).unwrap();
    runner.step(&mut first, 6, &files).unwrap();
    drop(first);
    fs::write(folder.path("out"), "something that is longer than a batch").unwrap();
    let message = runner.begin_fails(&mut sink(&folder, Format::Jsonl, rotate));
    assert!(message.contains("37 bytes") && message.contains("at most 16"), "{message}");
}

fn csv_record(fields: &[(&'static str, i64)]) -> Record<'static> {
    let fields = fields.iter().map(|(name, number)| ((*name).into(), Value::Integer(*number))).collect();
    Record { fields, json: None }
}

#[test]
fn a_csv_file_begins_with_the_names_of_its_first_record() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut runner = Runner::new(true);
    let mut writer = sink(&folder, Format::Csv, None);
    writer.begin(None, &files).unwrap();
    writer.write(&csv_record(&[("a", 1), ("b", 2)])).unwrap();
    writer.write(&csv_record(&[("b", 3)])).unwrap();
    assert!(matches!(writer.write(&csv_record(&[("c", 4)])), Ok(Written::Rejected(_))));
    runner.commit(&mut writer, State::default(), &files).unwrap();
    drop(writer);
    let mut writer = sink(&folder, Format::Csv, None);
    writer.begin(runner.recorded.as_ref(), &files).unwrap();
    writer.write(&csv_record(&[("b", 6), ("a", 5)])).unwrap();
    runner.commit(&mut writer, State::default(), &files).unwrap();
    assert_eq!(folder.read("out"), "a,b\n1,2\n,3\n5,6\n");
}

#[test]
fn a_csv_file_that_follows_one_that_was_too_old_may_have_other_columns() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let rotation = Rotation { size_bytes: None, age_s: Some(3600), keep: 3 };
    let mut runner = Runner::new(true);
    let mut writer = sink(&folder, Format::Csv, Some(rotation));
    for name in ["a", "b"] {
        writer.begin(runner.recorded.as_ref(), &files).unwrap();
        assert_eq!(writer.write(&csv_record(&[(name, 1)])), Ok(Written::New));
        runner.commit(&mut writer, State::default(), &files).unwrap();
        files.wall_ms.set(files.wall_ms.get() + 3_600_000);
    }
    let names = folder.names();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!((folder.read(&names[0]), folder.read(&names[1])), ("b\n1\n".to_owned(), "a\n1\n".to_owned()));
}

#[test]
fn an_announced_name_that_was_never_given_leaves_the_file_its_columns() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let rotation = Rotation { size_bytes: None, age_s: Some(3600), keep: 3 };
    let mut runner = Runner::new(true);
    let mut writer = sink(&folder, Format::Csv, Some(rotation));
    writer.begin(None, &files).unwrap();
    writer.write(&csv_record(&[("a", 1)])).unwrap();
    runner.commit(&mut writer, State::default(), &files).unwrap();
    files.wall_ms.set(files.wall_ms.get() + 3_600_000);
    writer.begin(runner.recorded.as_ref(), &files).unwrap();
    writer.write(&csv_record(&[("b", 1)])).unwrap();
    let Ok(Committed::Announced(announcement)) = writer.commit(State::default(), &files) else { panic!() };
    drop(writer);
    let state = sink(&folder, Format::Csv, Some(rotation)).begin(Some(&announcement), &files).unwrap();
    assert_eq!(state.sink["columns"], serde_json::json!(["a"]));
}

#[test]
fn a_csv_file_that_was_there_keeps_its_columns() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    fs::write(folder.path("out"), "x,n\n7,8\n").unwrap();
    Runner::new(true).run(&mut sink(&folder, Format::Csv, None), 1, &files).unwrap();
    assert_eq!(folder.read("out"), "x,n\n7,8\n,0\n");
    fs::write(folder.path("out"), "no line").unwrap();
    let message = Runner::new(true).begin_fails(&mut sink(&folder, Format::Csv, None));
    assert!(message.contains("does not begin with a line of column names"), "{message}");
}

#[test]
fn the_state_stands_as_json_with_whole_words() {
    let folder = Folder::new();
    let files = FaultyFiles::sound();
    let mut sink = sink(&folder, Format::Jsonl, Some(by_size(1, 3)));
    let mut runner = Runner::new(false);
    runner.step(&mut sink, 6, &files).unwrap();
    runner.step(&mut sink, 6, &files).unwrap();
    let state = serde_json::to_string(runner.recorded.as_ref().unwrap()).unwrap();
    for key in
        ["device", "inode", "\"length\":16", "\"announced\":16", "rotate_to", "begun_at_ms", "\"cursor\":2"]
    {
        assert!(state.contains(key), "{key} in {state}");
    }
    let state: State = serde_json::from_str(&state).unwrap();
    assert_eq!(Some(state), runner.recorded);
}
