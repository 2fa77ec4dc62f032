//! Dead letters against real files.

use super::*;
use crate::pipeline::files::SystemFiles;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

const ALL: Room = Room { records: usize::MAX, bytes: usize::MAX };

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder with a file of dead letters.
struct Bench {
    folder: PathBuf,
    pipeline: Pipeline,
    cursor: Json,
}

impl Bench {
    fn new(source: &str) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("heartbeat-feed-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let settings = format!(
            r#"{{"source":{source},"on_reject":"DIR/dead","sink":{{"type":"file","path":"DIR/out"}}}}"#
        );
        let pipeline = serde_json::from_str(&settings.replace("DIR", &folder.to_string_lossy())).unwrap();
        Self { folder, pipeline, cursor: Json::Null }
    }

    fn lines(format: &str) -> Self {
        Self::new(&format!(r#"{{"type":"file","path":"DIR/in","format":"{format}"}}"#))
    }

    /// What one run yields, so many at a time.
    fn feed(&mut self, name: &str, room: Room) -> Result<Vec<String>> {
        let mut source = FeedSource::new(&self.folder.join(name), &self.pipeline);
        let mut yielded = Vec::new();
        loop {
            let mut take = |it: Yielded<'_>, _: Place<'_>| {
                yielded.push(match it {
                    Yielded::Record(record) => {
                        format!(
                            "{:?}",
                            record.json.map_or_else(
                                || record.fields[0].1.clone(),
                                crate::pipeline::record::Value::Json
                            )
                        )
                    }
                    Yielded::Malformed { text, reason } => format!("{text}: {reason}"),
                });
                Ok(())
            };
            let progress = source.read(&self.cursor, room, &SystemFiles::default(), &mut take)?;
            assert_eq!(progress.cursor == self.cursor, progress.bytes == 0);
            self.cursor = progress.cursor;
            yielded.extend(progress.warnings);
            if progress.is_end {
                return Ok(yielded);
            }
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn letter(record: &str) -> String {
    format!("{{\"record\":{record},\"reason\":\"it was so\",\"from\":{{\"path\":\"/x\",\"offset\":0}}}}\n")
}

#[test]
fn an_object_is_a_record_and_text_is_what_the_format_makes_of_it() {
    let text = [r#"{"n":1}"#, r#""{\"n\":2}""#, r#""no json""#, "7", r#""""#].map(letter).concat();
    let expected = |format: &str| {
        let mut bench = Bench::lines(format);
        bench.write("f", &text);
        bench.feed("f", ALL).unwrap()
    };
    let jsonl = expected("jsonl");
    assert_eq!(jsonl[..2], [r#"Json("{\"n\":1}")"#, r#"Json("{\"n\":2}")"#]);
    assert_eq!(jsonl[2], "no json: it is no JSON; a JSON object would be right");
    assert!(jsonl[3].contains("neither an object nor text"), "{jsonl:?}");
    assert!(jsonl[4].contains("nothing of it was kept"), "{jsonl:?}");
    assert_eq!(expected("lines")[1..3], [r#"Text("{\"n\":2}")"#, r#"Text("no json")"#]);
    let csv = expected("csv");
    assert!(csv[0] == "Integer(1)" && csv[1].contains("a row without its names"), "{csv:?}");
}

#[test]
fn text_that_was_cut_is_not_taken_for_the_whole() {
    let mut bench = Bench::lines("lines");
    let text = |bytes| letter(&format!("\"{}\"", "x".repeat(bytes)));
    let bytes_max = limits::DEAD_LETTER_RECORD_BYTES_MAX;
    bench.write("f", &[text(bytes_max - 4), text(bytes_max - 3), text(bytes_max)].concat());
    let cut: Vec<bool> =
        bench.feed("f", ALL).unwrap().iter().map(|it| it.contains("only its first 65536 bytes")).collect();
    assert_eq!(cut, [false, true, true]);
}

#[test]
fn what_is_no_dead_letter_is_told_and_passed() {
    let mut bench = Bench::lines("jsonl");
    let long = "y".repeat(2 * limits::RECORD_BYTES_MAX + 7);
    bench.write("f", &format!("{{\"n\":1}}\n\n{long}\n{}", letter("{}").trim_end()));
    let yielded = bench.feed("f", Room { records: 1, bytes: 1 }).unwrap();
    assert_eq!(yielded.len(), 3);
    assert!(
        yielded[0].contains("missing field `record`") && yielded[1].contains("longer than"),
        "{}",
        yielded[0]
    );
    assert_eq!(yielded[2], "Json(\"{}\")", "the last line needs no line break");
}

#[test]
fn a_file_is_fed_once_whatever_its_name_and_goes_on_where_it_was() {
    let mut bench = Bench::lines("jsonl");
    let letters: String = (0..10).map(|n| letter(&format!("{{\"n\":{n}}}"))).collect();
    bench.write("f", &letters);
    assert_eq!(bench.feed("f", Room { records: 3, bytes: usize::MAX }).unwrap().len(), 10);
    fs::rename(bench.folder.join("f"), bench.folder.join("g")).unwrap();
    let again = bench.feed("g", ALL).unwrap();
    assert!(again.len() == 1 && again[0].contains("was fed before"), "{again:?}");
    bench.write("other", &letter("{\"n\":10}"));
    assert_eq!(bench.feed("other", ALL).unwrap(), [r#"Json("{\"n\":10}")"#]);
    let mut file = fs::OpenOptions::new().append(true).open(bench.folder.join("g")).unwrap();
    std::io::Write::write_all(&mut file, letter("{\"n\":11}").as_bytes()).unwrap();
    assert_eq!(bench.feed("g", ALL).unwrap(), [r#"Json("{\"n\":11}")"#]);
}

#[test]
fn a_file_that_was_changed_where_it_was_fed_is_refused() {
    let mut bench = Bench::lines("jsonl");
    let letters: String = (0..30).map(|n| letter(&format!("{{\"n\":{n}}}"))).collect();
    bench.write("f", &letters);
    bench.feed("f", ALL).unwrap();
    bench.write("f", &letters.replace("\"n\":29", "\"n\":99"));
    let failure = bench.feed("f", ALL).unwrap_err();
    assert!(failure.message.contains("not as it was when"), "{failure:?}");
    // Another one, that got the number of one that is gone.
    bench.write("f", &letter("{\"another\":1}"));
    assert_eq!(bench.feed("f", ALL).unwrap(), [r#"Json("{\"another\":1}")"#]);
}

#[test]
fn a_flow_is_not_fed_from_what_it_writes() {
    let mut bench = Bench::lines("jsonl");
    bench.write("dead", &letter("{}"));
    bench.write("out", &letter("{}"));
    std::os::unix::fs::symlink(bench.folder.join("dead"), bench.folder.join("f")).unwrap();
    for name in ["dead", "f", "out"] {
        let failure = bench.feed(name, ALL).unwrap_err();
        assert!(failure.message.contains("would never end"), "{failure:?}");
    }
    assert!(bench.feed("missing", ALL).unwrap_err().message.contains("cannot read"));
}

#[test]
fn files_that_are_gone_are_forgotten_and_others_are_not() {
    let mut bench = Bench::lines("jsonl");
    for n in 0..limits::FEEDS_MAX {
        bench.write(&n.to_string(), &letter(&format!("{{\"n\":{n}}}")));
        bench.feed(&n.to_string(), ALL).unwrap();
    }
    bench.write("more", &letter("{}"));
    let failure = bench.feed("more", ALL).unwrap_err();
    assert!(failure.message.contains("delete those that are done"), "{failure:?}");
    fs::remove_file(bench.folder.join("7")).unwrap();
    assert_eq!(bench.feed("more", ALL).unwrap().len(), 1);
    assert!(bench.feed("8", ALL).unwrap()[0].contains("fed before"));
}
