//! Whatever stands where a cursor is kept (an operator may set it, and a database be damaged): it is refused with what
//! would be right, or read from; and what is made of it is accepted as a cursor again.
//!
//! The first byte of the input chooses the source, the first line is the cursor, and the rest is the file.

use std::path::Path;

use heartbeat_runtime::config::{FlowContext, parse_flow};
use heartbeat_runtime::flow::{FileSource as FileSettings, Format, From, Missing, Pipeline, SourceSettings};
use heartbeat_runtime::http::client::{Url, check_field};
use heartbeat_runtime::pipeline::outside::Need;
use heartbeat_runtime::pipeline::source::{self, Source};
use serde_json::Value as Json;

use super::growing::{Growing, PATH, ROOM};
use super::zones;

const START: &str = "http://box.example:8080/readings?page=1";

/// The target.
pub fn check(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let Ok(cursor) = serde_json::from_slice::<Json>(&rest[..end]) else { return };
    let content = rest.get(end + 1..).unwrap_or_default();
    let format = [Format::Jsonl, Format::Csv, Format::Lines];
    match choice % 8 {
        nth @ 0..=2 => of_file(format[usize::from(nth)], &cursor, content),
        3 => of_http("", &cursor),
        4 => of_http("next = \"link\"", &cursor),
        5 => of_http("next = { pointer = \"/next\" }", &cursor),
        6 => of_http("next = { pointer = \"/next\", parameter = \"page\" }", &cursor),
        _ => of_http(
            "next = { pointer = \"/next\", parameter = \"page\" }\njson_rpc = { method = \"a\", params = { page = 1 } }",
            &cursor,
        ),
    }
}

fn of_file(format: Format, cursor: &Json, content: &[u8]) {
    let settings = FileSettings { path: PATH.into(), format, from: From::Start, missing: Missing::Wait };
    let mut source = source::open(&SourceSettings::File(settings));
    let files = Growing::whole(content);
    let is_right = judged(&*source, cursor);
    let _unread = source.unread_bytes(cursor, &files);
    let mut cursor = cursor.clone();
    // Each step passes bytes, is the last, or changes what is known of the files.
    for _ in 0..content.len() + 16 {
        let mut yielded = 0;
        let progress = source.read(&cursor, ROOM, &files, &mut |_, _| {
            yielded += 1;
            Ok(())
        });
        let progress = match progress {
            Ok(progress) => progress,
            Err(failure) => {
                assert!(!failure.message.is_empty());
                return;
            }
        };
        assert!(is_right, "a wrong cursor was read from");
        assert!(yielded <= ROOM.records);
        assert!(judged(&*source, &progress.cursor), "{}", progress.cursor);
        if progress.is_end {
            return;
        }
        cursor = progress.cursor;
    }
    panic!("it comes to no end");
}

/// No cursor leads to another server, or puts more into a request than a field.
fn of_http(settings: &str, cursor: &Json) {
    let text = format!(
        "run_interval = \"1h\"\n[source]\ntype = \"http\"\nurl = \"{START}\"\npointer = \"/data\"\n{settings}\n[sink]\ntype = \"file\"\npath = \"/box/out\"\n"
    );
    let kinds = heartbeat_runtime::pipeline::kinds();
    let zones = zones::zones();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/box") };
    let flow = parse_flow(&text, Path::new("/box/flows/stem.toml"), &context);
    let flow = flow.unwrap_or_else(|faults| panic!("{faults:?}"));
    let pipeline: Pipeline = serde_json::from_value(flow.configuration.settings).expect("a pipeline");
    let mut source = source::open(&pipeline.source);
    let is_right = judged(&*source, cursor);
    let read = source.read(cursor, ROOM, &Growing::whole(b""), &mut |_, _| unreachable!("nothing was asked"));
    assert_eq!(read.is_ok(), is_right, "{cursor}");
    let Ok(progress) = read else { return };
    let Some(Need::Exchange(exchange)) = progress.needs else { panic!("it asks for {:?}", progress.needs) };
    let start = Url::parse(START).expect("a URL");
    assert!(exchange.url.same_origin(&start), "{} leads to {}", cursor, exchange.url);
    for (name, value) in &exchange.fields {
        assert_eq!(check_field(name, value), Ok(()), "{cursor}");
    }
}

fn judged(source: &dyn Source, cursor: &Json) -> bool {
    match source.check_cursor(cursor) {
        Ok(()) => true,
        Err(wrong) => {
            assert!(!wrong.is_empty());
            false
        }
    }
}
