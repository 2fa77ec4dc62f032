//! Sources that cannot be read again: a run takes all that they yield, or nothing.

use serde_json::{Value as Json, json};
use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::pipeline::files::SystemFiles;
use crate::pipeline::record::{At, Record, Value, Yielded};
use crate::pipeline::source::{Progress, Take};

/// Yields three numbers, as far as there is room for, each of a byte.
#[derive(Debug)]
struct Numbers {
    is_whole: bool,
    /// For how many there was room, each time.
    rooms: Rc<RefCell<Vec<usize>>>,
}

impl Source for Numbers {
    fn read(&mut self, cursor: &Json, room: Room, _: &dyn Files, take: &mut Take<'_>) -> Result<Progress> {
        let room = room.records.min(room.bytes);
        self.rooms.borrow_mut().push(room);
        let before = cursor.as_u64().unwrap_or(0);
        let end = before.saturating_add(room as u64).min(3);
        for number in before..end {
            let record = format!("{{\"n\":{number}}}");
            let fields = vec![(Cow::Borrowed("record"), Value::Json(Cow::Borrowed(&record)))];
            let place = Place { path: "numbers", at: At::Offset(number) };
            take(Yielded::Record(Record { fields, json: None }), place)?;
        }
        Ok(Progress { cursor: json!(end), is_end: end == 3, ..Progress::default() })
    }

    fn check_cursor(&self, _: &Json) -> Result<(), String> {
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// How the run ended, how much room there was each time, and how many lines it wrote.
fn run(name: &str, is_whole: bool, batch: &str) -> (Result<(), String>, Vec<usize>, usize) {
    let folder = std::env::temp_dir().join(format!("heartbeat-run-{}-{name}", std::process::id()));
    let text = r#"{"source":{"type":"system"},"sink":{"type":"file","path":"DIR/out"},"on_reject":"DIR/dead","batch":BATCH}"#;
    let text = text.replace("DIR", &folder.to_string_lossy()).replace("BATCH", batch);
    let pipeline: Pipeline = serde_json::from_str(&text).unwrap();
    let owner = Owner { database_id: "0123".to_owned(), flow: "it".to_owned() };
    let rooms = Rc::new(RefCell::new(Vec::new()));
    let source = Box::new(Numbers { is_whole, rooms: Rc::clone(&rooms) });
    let mut moving = Moving { source, ..Moving::new(&pipeline, &owner, None) };
    let files = SystemFiles::default();
    let ended = loop {
        match moving.step(&files) {
            Ok(Step::More) => {}
            Ok(Step::Record) => moving.recorded(),
            Ok(Step::Wait(need)) => unreachable!("it needs nothing: {need:?}"),
            Ok(Step::Done) => break Ok(()),
            Err(failure) => break Err(failure.message),
        }
    };
    let lines = std::fs::read_to_string(folder.join("out")).unwrap_or_default().lines().count();
    let _gone = std::fs::remove_dir_all(&folder);
    let rooms = rooms.borrow().clone();
    (ended, rooms, lines)
}

#[test]
fn what_cannot_be_read_again_is_one_batch_however_small_batches_are() {
    let batch = r#"{"records":1,"run_bytes":5}"#;
    assert_eq!(run("again", false, batch), (Ok(()), vec![1, 1, 1], 3));
    assert_eq!(run("whole", true, batch), (Ok(()), vec![5], 3));
}

#[test]
fn more_than_a_run_may_have_of_what_cannot_be_read_again_fails_and_writes_nothing() {
    for (whole, why) in [("true", "whole = true"), ("false", "its source cannot be read again")] {
        let batch = format!(r#"{{"records":1,"run_bytes":2,"whole":{whole}}}"#);
        let (ended, rooms, lines) = run(&format!("more-{whole}"), true, &batch);
        let said = format!("the run is one batch ({why}), and there is more than run_bytes = 2 of it");
        assert_eq!((ended, rooms, lines), (Err(said), vec![2], 0));
    }
}
