//! What a server answers and what becomes of it: requests come out and answers are put in by hand.

mod calls;
mod cycles;
mod growing;
mod paging;
mod settings;

use serde_json::{Value as Json, json};

use super::*;
use crate::pipeline::files::SystemFiles;
use crate::pipeline::outside::{Exchange, Unanswered};
use crate::pipeline::record::Yielded;

const ROOM: Room = Room { records: 2, bytes: 5000 };

/// A source at `http://box/a`, with what is given beside that.
fn source(mut settings: Json) -> HttpSource {
    settings["url"].as_str().is_none().then(|| settings["url"] = json!("http://box/a?key=hunter2"));
    HttpSource::new(&serde_json::from_value(settings).unwrap())
}

fn answer(status: u16, fields: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Answer { status, fields, body: body.as_ref().to_vec(), may_reuse: true }
}

fn shown_of(yielded: Yielded<'_>) -> String {
    match yielded {
        Yielded::Record(record) => record.json.unwrap().into_owned(),
        Yielded::Malformed { text, reason } => {
            format!("! {}: {reason}", text.chars().take(40).collect::<String>())
        }
    }
}

/// One read: how far it came, and each record with its place.
fn read(source: &mut HttpSource, cursor: &Json) -> Result<(Progress, Vec<(String, u64)>), String> {
    let mut records = Vec::new();
    let mut take = |yielded: Yielded<'_>, place: Place<'_>| {
        assert!(!place.path.contains('?'), "a query may hold a secret: {}", place.path);
        let At::Offset(index) = place.at else { panic!("{place:?}") };
        records.push((shown_of(yielded), index));
        Ok(())
    };
    let progress = source.read(cursor, ROOM, &SystemFiles::default(), &mut take);
    progress.map(|progress| (progress, records)).map_err(|failure| {
        assert_eq!(failure.kind, flow::ErrorKind::Source);
        assert!(!failure.is_busy && !failure.message.contains("hunter2"), "{}", failure.message);
        failure.message
    })
}

/// What a read needs, which yields nothing and leaves the cursor.
fn asked(source: &mut HttpSource, cursor: &Json) -> Exchange {
    let (progress, records) = read(source, cursor).unwrap();
    assert_eq!((&progress.cursor, records.len(), progress.is_end), (cursor, 0, false));
    match progress.needs {
        Some(Need::Exchange(exchange)) => *exchange,
        other => panic!("{other:?}"),
    }
}

/// Asks once, is answered so, and reads.
fn exchange(
    source: &mut HttpSource,
    cursor: &Json,
    answer: Answer,
) -> Result<(Progress, Vec<(String, u64)>), String> {
    asked(source, cursor);
    source.happened(Happened::Answered(Ok(Box::new(answer))));
    read(source, cursor)
}

/// A cursor without the hash of the settings.
fn plain(cursor: &Json) -> Json {
    let mut cursor = cursor.clone();
    cursor.as_object_mut().map(|members| members.remove("settings"));
    cursor
}

/// The records of one answer with this content, or why there are none.
fn records(settings: Json, body: impl AsRef<[u8]>) -> Result<Vec<String>, String> {
    let (progress, records) = exchange(&mut source(settings), &Json::Null, answer(200, &[], body.as_ref()))?;
    assert!(progress.is_end && progress.needs.is_none() && progress.cursor.is_null());
    assert_eq!(progress.bytes, body.as_ref().len() as u64);
    assert!(records.iter().enumerate().all(|(index, (_, at))| index as u64 == *at), "{records:?}");
    Ok(records.into_iter().map(|(record, _)| record).collect())
}

#[test]
fn a_document_is_records_or_one_record_and_each_goes_through_as_it_is_written() {
    let list = " [ {\"a\":1.50,\"b\":\"\\u00e9\"},{}\n, {\"a\":12345678901234567890123} ] ";
    let all = ["{\"a\":1.50,\"b\":\"\\u00e9\"}", "{}", "{\"a\":12345678901234567890123}"];
    assert_eq!(records(json!({}), list).unwrap(), all);
    assert_eq!(records(json!({}), "\n{ \"a\": [1] }\n").unwrap(), ["{ \"a\": [1] }"]);
    for nothing in ["[]", "null", " [ ] "] {
        assert_eq!(records(json!({}), nothing).unwrap().len(), 0, "{nothing}");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_content() {
    assert_eq!(records(json!({}), "\u{feff}[{\"a\":1}]").unwrap(), ["{\"a\":1}"]);
    assert_eq!(records(json!({ "format": "jsonl" }), "\u{feff}{\"a\":1}\n{}").unwrap(), ["{\"a\":1}", "{}"]);
    assert!(records(json!({}), "\u{feff}").unwrap_err().contains("it is empty"));
    assert!(records(json!({}), "\u{feff}\u{feff}[]").unwrap_err().contains("no JSON"), "one, at the begin");
}

#[test]
fn a_pointer_says_where_the_records_stand() {
    let document = r#"{"data":{"it/em~s":[{"a":1}],"n":null,"":[{"e":0}]},"list":[7,{"b":2}],"data2":1,"data2":{"c":3}}"#;
    for (pointer, expected) in [
        ("/data/it~1em~0s", vec!["{\"a\":1}"]),
        ("/data/n", vec![]),
        ("/data/", vec!["{\"e\":0}"]),
        ("/list/1", vec!["{\"b\":2}"]),
        ("/data2", vec!["{\"c\":3}"]),
    ] {
        assert_eq!(records(json!({ "pointer": pointer }), document).unwrap(), expected, "{pointer}");
    }
    for (pointer, why) in [
        (
            "/x",
            "leads nowhere: the document is an object with the members \"data\", \"list\", \"data2\", \"data2\"",
        ),
        ("/data/n/x", "leads nowhere: \"/data/n\" is null"),
        ("/list/2", "leads nowhere: \"/list\" is an array of 2"),
        ("/list/01", "leads nowhere: \"/list\" is an array of 2"),
        ("/list/+1", "leads nowhere: \"/list\" is an array of 2"),
        ("/list/-", "leads nowhere: \"/list\" is an array of 2"),
        ("/list/1/c/d", "leads nowhere: \"/list/1\" is an object with the members \"b\""),
        ("/data2/c", "leads to is a number; an array of objects, or one object, would be right"),
    ] {
        let failure = records(json!({ "pointer": pointer }), document).unwrap_err();
        assert!(failure.starts_with("http://box/a: ") && failure.ends_with(why), "{pointer}: {failure}");
        assert!(failure.contains(&format!("\"{pointer}\"")), "{failure}");
    }
    let many: Json =
        (0..100).map(|number| (format!("m{number}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    let failure = records(json!({ "pointer": "/x" }), many.to_string()).unwrap_err();
    assert!(failure.ends_with(", …") && failure.len() < 200, "{failure}");
}

#[test]
fn elements_that_are_no_objects_are_rejected_one_by_one() {
    let right = "a JSON object would be right";
    let found = records(json!({}), r#"[1,{"a":1},"x",[],null,true,{"b":2}]"#).unwrap();
    let expected = [
        format!("! 1: it is a number; {right}"),
        "{\"a\":1}".to_owned(),
        format!("! \"x\": it is a string; {right}"),
        format!("! []: it is an array; {right}"),
        format!("! null: it is null; {right}"),
        format!("! true: it is a boolean; {right}"),
        "{\"b\":2}".to_owned(),
    ];
    assert_eq!(found, expected);
    let deep = format!("[{{\"a\":{}{}}},{{}}]", "[".repeat(100_000), "]".repeat(100_000));
    let found = records(json!({}), deep).unwrap();
    assert!(found[0].contains("nested more than") && found[1] == "{}", "{}", found[0]);
    let long = format!("[{{\"a\":\"{}\"}},{{}}]", "x".repeat(limits::RECORD_BYTES_MAX));
    let found = records(json!({}), long).unwrap();
    assert!(found[0].contains("the most that a record may be") && found[1] == "{}", "{}", found[0]);
}

#[test]
fn what_is_no_such_document_fails_with_what_would_be_right() {
    for (body, why) in [
        ("", "it is empty; a JSON document would be right"),
        (" \n", "it is empty"),
        ("<html>", "it is no JSON: "),
        ("[{\"a\":1}", "it is no JSON: "),
        ("[{\"a\":1}] x", "it is no JSON: "),
        ("[{\"a\":1},]", "it is no JSON: "),
        ("7", "it is a number; an array of objects, or one object, would be right"),
        ("\"x\"", "it is a string; an array"),
        ("true", "it is a boolean; an array"),
    ] {
        let failure = records(json!({}), body).unwrap_err();
        assert!(failure.starts_with("http://box/a: ") && failure.contains(why), "{body}: {failure}");
    }
    let failure = records(json!({}), b"[\xff]").unwrap_err();
    assert!(failure.contains("it is not UTF-8 at byte 2"), "{failure}");
}

#[test]
fn lines_are_records_as_everywhere() {
    let lines = "{\"a\":1}\r\n\n7\n {\"b\":2}";
    let found = records(json!({ "format": "jsonl" }), lines).unwrap();
    assert_eq!(found, ["{\"a\":1}", "! 7: it is a number; a JSON object would be right", "{\"b\":2}"]);
    assert_eq!(records(json!({ "format": "jsonl" }), "").unwrap().len(), 0);
    let long = format!("{}\n{{}}", "x".repeat(limits::RECORD_BYTES_MAX + 10));
    let found = records(json!({ "format": "jsonl" }), long).unwrap();
    assert!(found[0].starts_with("! xxx") && found[1] == "{}");
}

#[test]
fn lines_that_end_within_one_fail_and_none_is_taken() {
    for (lines, byte) in [
        (&b"{\"n\":1}\n{\"n\":"[..], 9),
        (b"{\"n\":1}\r\n{\"n\":\"\xc3", 10),
        (b"{\"n\":1}\n{\"n\":1} x", 9),
        (b"{\"n\":1}\n ", 9),
        (b"{", 1),
    ] {
        let mut source = source(json!({ "format": "jsonl" }));
        asked(&mut source, &Json::Null);
        source.happened(Happened::Answered(Ok(Box::new(answer(200, &[], lines)))));
        let take = &mut |_: Yielded<'_>, _: Place<'_>| panic!("nothing is taken");
        let failure = source.read(&Json::Null, ROOM, &SystemFiles::default(), take).unwrap_err();
        let expected = format!("the answer ends within a line: what begins at byte {byte} has no line break");
        assert!(failure.message.contains(&expected), "{}", failure.message);
    }
    for (whole, count) in
        [("{\"n\":1}\nx\n", 2), ("{\"n\":1}", 1), ("{\"n\":1}\r\n\r", 1), ("{\"n\":1}\n7", 2)]
    {
        assert_eq!(records(json!({ "format": "jsonl" }), whole).unwrap().len(), count, "{whole:?}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let found = records(json!({ "format": "jsonl" }), deep).unwrap();
    assert!(found[0].contains("nested more than"), "it is whole, and no record: {}", found[0]);
}

#[test]
fn a_request_has_the_fields_and_bounds_that_were_given() {
    let settings = json!({ "headers": { "Accept": "a/b" }, "header_files": { "X": "/x" }, "timeout_ms": 7 });
    let exchange = asked(&mut source(settings), &Json::Null);
    assert_eq!(exchange.url.to_string(), "http://box/a?key=hunter2");
    assert_eq!((exchange.method, &exchange.body), (Method::Get, &None));
    assert_eq!(exchange.fields, [("Accept".to_owned(), "a/b".to_owned())]);
    assert_eq!((exchange.field_files.len(), exchange.timeout.as_millis()), (1, 7));
    assert_eq!(exchange.body_bytes_max, ROOM.bytes, "a run that is one batch");
    let paged = asked(&mut source(json!({ "next": "link" })), &Json::Null);
    assert_eq!(paged.body_bytes_max, limits::RUN_BYTES_DEFAULT);
}

#[test]
fn an_answer_that_is_none_fails_with_its_status_and_what_it_says() {
    let refused = |status, fields: &[(&str, &str)], body: &str| {
        exchange(&mut source(json!({})), &Json::Null, answer(status, fields, body)).unwrap_err()
    };
    let text = &[("Content-Type", "text/plain")][..];
    assert_eq!(refused(404, text, "no such\nlist"), "http://box/a answered 404: no such list");
    assert_eq!(refused(401, &[], "x"), "http://box/a answered 401");
    assert!(refused(302, &[("Location", "/b")], "").contains("redirects are not followed"));
    let mut source = source(json!({}));
    asked(&mut source, &Json::Null);
    let message = "http://box/a: refused".to_owned();
    source
        .happened(Happened::Answered(Err(Unanswered { message: message.clone(), may_succeed_later: false })));
    assert_eq!(read(&mut source, &Json::Null).unwrap_err(), message);
}

#[test]
fn what_may_pass_is_asked_again_within_the_run() {
    let mut source = source(json!({}));
    let (progress, _) = exchange(&mut source, &Json::Null, answer(503, &[("Retry-After", "2")], "")).unwrap();
    assert_eq!(progress.needs, Some(Need::Pause(std::time::Duration::from_secs(2))));
    source.happened(Happened::Resumed);
    let (progress, records) = exchange(&mut source, &Json::Null, answer(200, &[], "[{}]")).unwrap();
    assert!(progress.is_end && records.len() == 1);
}

#[test]
fn nothing_new_is_no_record_and_leaves_the_cursor() {
    for settings in [json!({}), json!({ "next": "link" }), json!({ "format": "jsonl" })] {
        for status in [204, 304] {
            let (progress, records) =
                exchange(&mut source(settings.clone()), &Json::Null, answer(status, &[], "")).unwrap();
            let expected = Progress { is_end: true, ..Progress::default() };
            assert!(progress == expected && records.is_empty(), "{progress:?}");
        }
    }
}

#[test]
fn what_the_last_answer_was_called_is_asked_for_no_more() {
    let (etag, time) = (("etag", "\"v1\""), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"));
    let later = ("Date", "Sun, 06 Nov 1994 08:49:39 GMT");
    for (fields, cursor, field) in [
        (&[time, etag][..], json!({ "etag": "\"v1\"" }), Some(("If-None-Match", etag.1))),
        (&[("ETag", "W/\"\"")], json!({ "etag": "W/\"\"" }), Some(("If-None-Match", "W/\"\""))),
        (&[time, later], json!({ "last_modified": time.1 }), Some(("If-Modified-Since", time.1))),
        (
            &[time, later, ("ETag", "*")],
            json!({ "last_modified": time.1 }),
            Some(("If-Modified-Since", time.1)),
        ),
        (&[], Json::Null, None),
        (&[("ETag", "")], Json::Null, None),
        (&[("ETag", &format!("\"{}\"", "x".repeat(2000)))], Json::Null, None),
    ] {
        let mut first = source(json!({}));
        let (progress, _) = exchange(&mut first, &Json::Null, answer(200, fields, "[{}]")).unwrap();
        assert_eq!(plain(&progress.cursor), cursor);
        let cursor = progress.cursor;
        assert_eq!(first.check_cursor(&cursor), Ok(()));
        let mut second = source(json!({}));
        let field = field.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(asked(&mut second, &cursor).fields, field.into_iter().collect::<Vec<_>>());
        second.happened(Happened::Answered(Ok(Box::new(answer(304, &[], "")))));
        let (progress, records) = read(&mut second, &cursor).unwrap();
        assert_eq!((progress.cursor, records.len(), progress.is_end), (cursor, 0, true));
    }
}

#[test]
fn what_is_no_entity_tag_is_never_sent_back() {
    for etag in
        ["*", "\"a\", \"b\"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/a", "W/", "W/\"a\", W/\"b\"", "\"a\"b\""]
    {
        let named = answer(200, &[("ETag", etag)], "[{}]");
        let (progress, _) = exchange(&mut source(json!({})), &Json::Null, named).unwrap();
        assert_eq!(progress.cursor, Json::Null, "{etag}");
    }
}

#[test]
fn a_time_within_which_the_content_may_change_again_is_not_asked_by() {
    let time = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    for fields in [
        &[time][..],
        &[time, ("Date", time.1)],
        &[time, ("Date", "Sun, 06 Nov 1994 08:49:38 GMT")],
        &[time, ("Date", "Sun, 06 Nov 1994 08:00:00 GMT")],
        &[time, ("Date", "soon")],
        &[("Last-Modified", "long ago"), ("Date", "Sun, 06 Nov 1994 08:49:39 GMT")],
    ] {
        let (progress, _) =
            exchange(&mut source(json!({})), &Json::Null, answer(200, fields, "[{}]")).unwrap();
        assert_eq!(progress.cursor, Json::Null, "{fields:?}");
    }
}

#[test]
fn the_same_content_a_second_time_is_the_servers_word() {
    let cursor = json!({ "etag": "\"v1\"", "settings": source(json!({})).digest });
    for fields in [&[("ETag", "\"v1\"")][..], &[]] {
        let (progress, records) =
            exchange(&mut source(json!({})), &cursor, answer(200, fields, "[{}]")).unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(progress.cursor.is_null(), fields.is_empty(), "that of the last answer counts");
    }
}

#[test]
fn what_the_author_asks_for_is_left_as_it_is() {
    let settings = json!({ "headers": { "if-none-match": "\"mine\"" } });
    let mut source = source(settings);
    let cursor = json!({ "etag": "\"v1\"", "settings": source.digest });
    let fields = asked(&mut source, &cursor).fields;
    assert_eq!(fields, [("if-none-match".to_owned(), "\"mine\"".to_owned())]);
}

#[test]
fn a_busy_sink_gets_the_same_answer_again() {
    let mut source = source(json!({}));
    asked(&mut source, &Json::Null);
    source.happened(Happened::Answered(Ok(Box::new(answer(200, &[], "[{\"a\":1},{\"a\":2}]")))));
    let mut taken = 0;
    let mut busy = |_: Yielded<'_>, _: Place<'_>| {
        taken += 1;
        let failure = Failure { is_busy: true, ..Failure::sink("busy") };
        if taken == 2 { Err(failure) } else { Ok(()) }
    };
    let failure = source.read(&Json::Null, ROOM, &SystemFiles::default(), &mut busy).unwrap_err();
    assert!(failure.is_busy && failure.message == "busy");
    let (progress, records) = read(&mut source, &Json::Null).unwrap();
    assert!(progress.is_end && records.len() == 2, "nothing is asked a second time");
}

#[test]
fn a_cursor_is_judged_by_its_form() {
    let whole = source(json!({}));
    for right in [json!(null), json!({ "etag": "x" }), json!({ "last_modified": "x" })] {
        assert_eq!(whole.check_cursor(&right), Ok(()), "{right}");
    }
    for wrong in [
        json!(1),
        json!({}),
        json!({ "etag": 1 }),
        json!({ "etag": "x", "last_modified": "y" }),
        json!({ "etag": "x", "back": "y" }),
        json!({ "url": "http://box/a", "taken": 0 }),
    ] {
        let why = whole.check_cursor(&wrong).unwrap_err();
        assert!(why.contains("a cursor of this http source is null, {\"etag\": TEXT}"), "{wrong}: {why}");
        assert_eq!(read(&mut source(json!({})), &wrong).unwrap_err(), why);
    }
    for wrong in [json!({ "etag": "\"x\"\r\n" }), json!({ "last_modified": "a\0b" })] {
        let why = whole.check_cursor(&wrong).unwrap_err();
        assert!(why.contains("has a line end or another control character"), "{wrong}: {why}");
    }
    let paged = source(json!({ "next": "link" }));
    let url = "http://BOX:80/a?p=2";
    for right in
        [json!(null), json!({ "url": url, "taken": 0 }), json!({ "url": url, "taken": 0, "back": "x" })]
    {
        assert_eq!(paged.check_cursor(&right), Ok(()), "{right}");
    }
    for (wrong, why) in [
        (json!({ "etag": "x" }), "is null or {\"url\": URL"),
        (json!({ "url": url }), "is null or {\"url\": URL"),
        (json!({ "url": url, "taken": -1 }), "is null or {\"url\": URL"),
        (json!({ "url": url, "taken": 1, "etag": "x" }), "is null or {\"url\": URL"),
        (json!({ "url": url, "taken": 1, "back": 1 }), "is null or {\"url\": URL"),
        (json!({ "url": url, "taken": 1, "page": 1 }), "is null or {\"url\": URL"),
        (json!({ "url": "a", "taken": 1 }), "begins with http"),
        (json!({ "url": "http://other/", "taken": 1 }), "a page is at http://other, and"),
        (json!({ "url": "https://box/", "taken": 1 }), "needs a build with TLS"),
    ] {
        let found = paged.check_cursor(&wrong).unwrap_err();
        assert!(found.contains(why), "{wrong}: {found}");
    }
}
