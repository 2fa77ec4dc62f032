//! A cursor that was written under other settings.

use super::*;

fn with(mut settings: Json, name: &str, value: Json) -> Json {
    settings[name] = value;
    settings
}

/// The fields that are sent with a cursor that other settings left.
fn sent_after(before: &Json, after: &Json) -> usize {
    let named = answer(200, &[("ETag", "\"v1\"")], r#"{"a":[],"id":1,"result":[]}"#);
    let (progress, _) = exchange(&mut source(before.clone()), &Json::Null, named).unwrap();
    let mut next = source(after.clone());
    assert_eq!(next.check_cursor(&progress.cursor), Ok(()));
    asked(&mut next, &progress.cursor).fields.iter().filter(|(name, _)| name == "If-None-Match").count()
}

#[test]
fn what_an_answer_was_called_is_asked_by_under_the_same_settings_alone() {
    let before = json!({ "url": "http://box/a?key=hunter2", "pointer": "/a" });
    assert_eq!(sent_after(&before, &before), 1);
    assert_eq!(
        sent_after(&before, &with(before.clone(), "timeout_ms", json!(7))),
        1,
        "no matter for records"
    );
    for (name, value) in [
        ("url", json!("http://box/a?key=other")),
        ("url", json!("http://box/b?key=hunter2")),
        ("format", json!("jsonl")),
        ("pointer", json!("/b")),
        ("pointer", Json::Null),
        ("headers", json!({ "Accept": "a/b" })),
    ] {
        assert_eq!(sent_after(&before, &with(before.clone(), name, value.clone())), 0, "{name} {value}");
    }
    // Set by hand: nobody knows what it was for.
    assert!(asked(&mut source(before), &json!({ "etag": "\"v1\"" })).fields.is_empty());
}

fn paged(url: &str, pointer: &str, next: Json) -> HttpSource {
    source(json!({ "url": url, "pointer": pointer, "next": { "value": next } }))
}

/// The page `/a?p=2` under a cursor: where that leads, and the warnings.
fn second(source: &mut HttpSource, cursor: &Json, status: u16) -> (Json, Vec<String>) {
    let body = r#"{"rows":[{"n":1}],"others":[{"n":1}],"next":null}"#;
    let (progress, _) = exchange(source, cursor, answer(status, &[], body)).unwrap();
    assert_eq!(source.check_cursor(&progress.cursor), Ok(()));
    (progress.cursor, progress.warnings)
}

#[test]
fn pages_that_were_begun_under_other_settings_are_gone_on_with_and_that_is_told_once() {
    let next = || json!({ "pointer": "/next", "parameter": "p" });
    let begun = || paged("http://box/a?limit=100", "/rows", next());
    let by_hand = json!({ "url": "http://box/a?limit=100&p=2", "taken": 1 });
    let (cursor, warnings) = second(&mut begun(), &by_hand, 200);
    assert_eq!((plain(&cursor), warnings), (by_hand, vec![]), "what was set by hand is right");
    assert_eq!(second(&mut begun(), &cursor, 200), (cursor.clone(), vec![]));
    let elsewhere = paged("http://box/a?limit=100&p=7", "/rows", next());
    assert_eq!(second(&mut { elsewhere }, &cursor, 200).1, [""; 0], "only where reading begins");
    for changed in [
        || paged("http://box/b?limit=100", "/rows", json!({ "pointer": "/next", "parameter": "p" })),
        || paged("http://box/a?limit=50", "/rows", json!({ "pointer": "/next", "parameter": "p" })),
        || paged("http://box/a?limit=100", "/others", json!({ "pointer": "/next", "parameter": "p" })),
        || paged("http://box/a?limit=100", "/rows", json!({ "pointer": "/next", "parameter": "q" })),
        || paged("http://box/a?limit=100", "/rows", json!({ "pointer": "/next" })),
    ] {
        for status in [200, 204] {
            let (moved, warnings) = second(&mut changed(), &cursor, status);
            let [warning] = &warnings[..] else { panic!("{warnings:?}") };
            assert!(
                warning.contains("changed since: it goes on with the page that was reached"),
                "{warning}"
            );
            assert_eq!(plain(&moved), plain(&cursor));
            assert_eq!(second(&mut changed(), &moved, status), (moved.clone(), vec![]), "once");
        }
    }
    let less = json!({ "url": "http://box/a?p=2", "taken": 3, "settings": "another" });
    let (moved, warnings) = second(&mut begun(), &less, 200);
    assert_eq!((plain(&moved), warnings.len()), (plain(&less), 2));
    assert_eq!(second(&mut begun(), &moved, 200).1.len(), 1);
}
