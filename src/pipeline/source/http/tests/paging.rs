//! Pages, each record of them once, also where a page changes in between.

use super::*;

/// A page of a document that names the next one, or null.
fn page(records: &[u32], next: Json) -> Answer {
    let rows: Vec<Json> = records.iter().map(|number| json!({ "n": number })).collect();
    answer(200, &[], json!({ "rows": rows, "meta": { "next": next } }).to_string())
}

/// One that names it in a field.
fn linked(records: &[u32], next: Option<&str>) -> Answer {
    let lines: String = records.iter().map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let link = next.map(|next| format!("<{next}>; rel=\"next\""));
    let fields: Vec<(&str, &str)> = link.as_deref().map(|link| ("Link", link)).into_iter().collect();
    answer(200, &fields, lines)
}

fn by_link() -> HttpSource {
    source(json!({ "next": "link", "format": "jsonl" }))
}

fn by_url() -> HttpSource {
    source(json!({ "pointer": "/rows", "next": { "value": { "pointer": "/meta/next" } } }))
}

fn by_parameter() -> HttpSource {
    source(json!({ "pointer": "/rows", "next": { "value": { "pointer": "/meta/next", "parameter": "p" } } }))
}

fn at(target: &str, taken: usize) -> Json {
    json!({ "url": format!("http://box{target}"), "taken": taken })
}

fn numbers(records: &[(String, u64)]) -> Vec<u32> {
    let number = |(record, _): &(String, u64)| -> u32 {
        serde_json::from_str::<Json>(record).unwrap()["n"].as_u64().unwrap().try_into().unwrap()
    };
    records.iter().map(number).collect()
}

/// What one answer leads to: cursor, whether that is the end, and the numbers.
fn step(mut source: HttpSource, cursor: &Json, answer: Answer) -> (Json, bool, Vec<u32>) {
    let (progress, records) = exchange(&mut source, cursor, answer).unwrap();
    assert_eq!(source.check_cursor(&progress.cursor), Ok(()));
    assert_eq!(progress.warnings, [""; 0]);
    (plain(&progress.cursor), progress.is_end, numbers(&records))
}

fn failure(mut source: HttpSource, cursor: &Json, answer: Answer) -> String {
    exchange(&mut source, cursor, answer).unwrap_err()
}

#[test]
fn a_page_is_taken_whole_and_the_cursor_moves_to_the_one_it_names() {
    let start = Json::Null;
    let all = vec![1, 2, 3];
    assert!(!by_link().is_whole() && all.len() > ROOM.records);
    assert_eq!(step(by_link(), &start, linked(&all, Some("?p=2"))), (at("/a?p=2", 0), false, all.clone()));
    assert_eq!(step(by_url(), &start, page(&all, json!("/b?p=2"))), (at("/b?p=2", 0), false, all.clone()));
    let absolute = page(&all, json!("http://box:80/c"));
    assert_eq!(step(by_url(), &start, absolute), (at("/c", 0), false, all.clone()));
    for (value, parameter) in [(json!("x y"), "x%20y"), (json!(2), "2"), (json!(-1.5), "-1.5")] {
        let (cursor, ..) = step(by_parameter(), &start, page(&all, value));
        assert_eq!(cursor, at(&format!("/a?key=hunter2&p={parameter}"), 0));
    }
    let second = at("/a?key=hunter2&p=2", 0);
    let (cursor, ..) = step(by_parameter(), &second, page(&all, json!(3)));
    assert_eq!(cursor, at("/a?key=hunter2&p=3", 0), "in the place of the one before");
}

#[test]
fn each_page_is_asked_for_at_its_url() {
    let mut source = by_link();
    let (progress, _) = exchange(&mut source, &Json::Null, linked(&[1], Some("/b"))).unwrap();
    assert_eq!(asked(&mut source, &progress.cursor).url.to_string(), "http://box/b");
}

#[test]
fn a_page_that_names_none_is_the_last_and_stays_with_what_was_taken() {
    let last = at("/a?key=hunter2", 2);
    assert_eq!(step(by_link(), &Json::Null, linked(&[1, 2], None)), (last.clone(), true, vec![1, 2]));
    for none in [json!(null), json!(""), json!(false)] {
        assert_eq!(
            step(by_url(), &Json::Null, page(&[1, 2], none.clone())),
            (last.clone(), true, vec![1, 2])
        );
        assert_eq!(step(by_parameter(), &Json::Null, page(&[1, 2], none)), (last.clone(), true, vec![1, 2]));
    }
    let bare = answer(200, &[], r#"{"rows":[{"n":1},{"n":2}]}"#);
    assert_eq!(step(by_url(), &Json::Null, bare), (last, true, vec![1, 2]));
    assert_eq!(step(by_url(), &Json::Null, page(&[], json!(null))), (at("/a?key=hunter2", 0), true, vec![]));
}

#[test]
fn of_the_last_page_the_next_run_takes_what_was_added() {
    let last = at("/b", 2);
    assert_eq!(step(by_link(), &last, linked(&[1, 2], None)), (last.clone(), true, vec![]));
    assert_eq!(step(by_link(), &last, linked(&[1, 2, 3], None)), (at("/b", 3), true, vec![3]));
    assert_eq!(step(by_link(), &last, linked(&[1, 2, 3], Some("/c"))), (at("/c", 0), false, vec![3]));
    assert_eq!(step(by_link(), &last, linked(&[1, 2], Some("/c"))), (at("/c", 0), false, vec![]));
    assert_eq!(step(by_url(), &last, page(&[1, 2, 3], json!("/c"))), (at("/c", 0), false, vec![3]));
    let (_, records) = exchange(&mut by_url(), &at("/a", 2), page(&[1, 2, 3], json!(null))).unwrap();
    assert_eq!(records[0].1, 2, "its place in the page");
}

#[test]
fn an_empty_page_that_names_another_is_passed() {
    assert_eq!(step(by_url(), &at("/b", 0), page(&[], json!("/c"))), (at("/c", 0), false, vec![]));
}

#[test]
fn a_page_with_less_than_was_taken_is_told_of_and_left() {
    for (mut source, answer) in [
        (by_link(), linked(&[7], None)),
        (by_link(), linked(&[], Some("/c"))),
        (by_url(), page(&[7], json!("/c"))),
        (by_url(), page(&[], json!(null))),
    ] {
        let cursor = json!({ "url": "http://box/b", "taken": 2 });
        let (progress, records) = exchange(&mut source, &cursor, answer).unwrap();
        assert_eq!((&progress.cursor, progress.is_end, records.len()), (&cursor, true, 0));
        let [warning] = &progress.warnings[..] else { panic!("{progress:?}") };
        assert!(warning.contains("of which 2 were taken already: nothing of it is taken"), "{warning}");
    }
}

#[test]
fn a_page_that_grew_before_its_records_were_stored_is_taken_as_it_is_then() {
    let mut source = by_link();
    let cursor = at("/b", 1);
    let (first, records) = exchange(&mut source, &cursor, linked(&[1, 2], None)).unwrap();
    assert_eq!((numbers(&records), plain(&first.cursor)), (vec![2], at("/b", 2)));
    // The sink was busy: the same answer. The run was killed: another.
    let (again, records) = read(&mut source, &cursor).unwrap();
    assert_eq!((numbers(&records), &again), (vec![2], &first));
    assert_eq!(step(by_link(), &cursor, linked(&[1, 2, 3], Some("/c"))), (at("/c", 0), false, vec![2, 3]));
}

#[test]
fn pages_are_read_from_one_origin() {
    for other in ["http://other/b", "http://box:8080/b", "//other/b"] {
        let told = failure(by_link(), &Json::Null, linked(&[1], Some(other)));
        assert!(
            told.contains("pages are read from http://box alone, as whatever a request's fields hold"),
            "{told}"
        );
        assert!(failure(by_url(), &Json::Null, page(&[1], json!(other))).contains("alone"));
    }
    assert!(
        failure(by_link(), &Json::Null, linked(&[1], Some("https://box/b")))
            .contains("needs a build with TLS")
    );
    // A redirect may have led elsewhere, and a relative reference leads on there.
    let mut source = source(json!({ "next": "link", "format": "jsonl", "follow_redirects": true }));
    let (progress, _) =
        exchange(&mut source, &Json::Null, answer(307, &[("Location", "//other/a")], "")).unwrap();
    assert!(matches!(progress.needs, Some(Need::Exchange(_))));
    source.happened(Happened::Answered(Ok(Box::new(linked(&[1], Some("/b"))))));
    let failure = source.read(&Json::Null, ROOM, &SystemFiles::default(), &mut |_, _| Ok(())).unwrap_err();
    assert!(
        failure.message.starts_with("http://other/a: a page is at http://other, and"),
        "{}",
        failure.message
    );
}

#[test]
fn what_names_no_page_fails() {
    for (next, why) in [
        (json!(7), "what \"/meta/next\" leads to is a number; a URL would be right"),
        (json!({}), "is an object; a URL"),
        (json!(true), "is a boolean; a URL"),
        (json!("/a b"), "the next page has no URL that can be asked: "),
        (json!("x".repeat(5000)), "is longer than 4096 bytes"),
    ] {
        let told = failure(by_url(), &Json::Null, page(&[1], next.clone()));
        assert!(told.contains(why), "{next}: {told}");
    }
    let told = failure(by_parameter(), &Json::Null, page(&[1], json!([])));
    assert!(told.contains("is an array; a text or number would be right"), "{told}");
}

#[test]
fn a_broken_page_moves_no_cursor() {
    assert!(
        failure(by_url(), &at("/b", 1), answer(200, &[], "{\"rows\":[{\"n\":1},{\"n\":2}"))
            .contains("no JSON")
    );
    assert!(
        failure(by_url(), &at("/b", 1), answer(200, &[], "{}")).contains("pointer \"/rows\" leads nowhere")
    );
    assert_eq!(failure(by_url(), &at("/b", 1), answer(410, &[], "")), "http://box/b answered 410");
}

#[test]
fn a_last_page_that_comes_to_name_another_is_seen_whatever_the_server_calls_it() {
    let called = |answer: Answer| {
        let name = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut names =
            [("ETag", "W/\"k\""), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")].map(name).to_vec();
        names.extend(answer.fields);
        Answer { fields: names, ..answer }
    };
    for (source, last, more) in [
        (by_url as fn() -> HttpSource, page(&[1, 2], json!(null)), page(&[1, 2], json!("/b7"))),
        (by_link, linked(&[1, 2], None), linked(&[1, 2], Some("/b7"))),
    ] {
        let (cursor, ..) = step(source(), &Json::Null, called(last));
        assert_eq!(cursor, at("/a?key=hunter2", 2));
        assert_eq!(
            asked(&mut source(), &cursor).fields,
            [],
            "no condition: the server's name tells of the records"
        );
        assert_eq!(step(source(), &cursor, called(more)), (at("/b7", 0), false, vec![]));
    }
}

#[test]
fn a_run_reads_so_many_pages_and_leaves_the_rest_to_the_next() {
    let mut source = by_link();
    let mut cursor = Json::Null;
    for number in 1..=limits::PAGES_PER_RUN {
        let answer = linked(&[], Some(&format!("/{number}")));
        let (progress, _) = exchange(&mut source, &cursor, answer).unwrap();
        assert_eq!(progress.is_end, number == limits::PAGES_PER_RUN);
        assert_eq!(progress.warnings.len(), usize::from(progress.is_end));
        cursor = progress.cursor;
    }
    assert_eq!(plain(&cursor), at("/10000", 0));
}
