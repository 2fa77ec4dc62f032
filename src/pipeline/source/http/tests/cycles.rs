//! Pages that lead to themselves, or back to pages before them.

use std::collections::BTreeMap;

use super::*;

/// Pages by their paths: their numbers, and the page that each names.
type Pages = BTreeMap<&'static str, (Vec<u32>, &'static str)>;

fn pages(pages: &[(&'static str, u32, &'static str)]) -> Pages {
    pages.iter().map(|(path, number, next)| (*path, (vec![*number], *next))).collect()
}

/// One run from this cursor: what came, where it ended, and why if it failed.
fn run(pages: &Pages, cursor: &mut Json) -> (Vec<u32>, Option<String>) {
    let mut source = source(json!({ "url": "http://box/a", "next": "link", "format": "jsonl" }));
    let mut came = Vec::new();
    for _ in 0..50 {
        let path = asked(&mut source, cursor).url.target().to_owned();
        let (numbers, next) = &pages[path.as_str()];
        let lines: String = numbers.iter().map(|number| format!("{{\"n\":{number}}}\n")).collect();
        let link = format!("<{next}>; rel=next");
        let answer = answer(200, &[("Link", link.as_str())][usize::from(next.is_empty())..], lines);
        source.happened(Happened::Answered(Ok(Box::new(answer))));
        match read(&mut source, cursor) {
            Err(why) => return (came, Some(why)),
            Ok((progress, records)) => {
                assert_eq!(source.check_cursor(&progress.cursor), Ok(()));
                came.extend(records.iter().map(|(record, _)| {
                    let number = serde_json::from_str::<Json>(record).unwrap()["n"].as_u64().unwrap();
                    u32::try_from(number).unwrap()
                }));
                *cursor = progress.cursor;
                if progress.is_end {
                    return (came, None);
                }
            }
        }
    }
    panic!("it comes to no end: {came:?}")
}

#[test]
fn a_page_that_names_itself_is_the_last_until_it_names_another() {
    let mut cursor = Json::Null;
    let mut server = pages(&[("/a", 1, "/b"), ("/b", 2, "/b")]);
    assert_eq!(run(&server, &mut cursor), (vec![1, 2], None));
    assert_eq!(plain(&cursor), json!({ "url": "http://box/b", "taken": 1 }));
    assert_eq!(run(&server, &mut cursor), (vec![], None));
    server.insert("/b", (vec![2, 3], "http://BOX:80/b"));
    assert_eq!(run(&server, &mut cursor), (vec![3], None));
    server.extend(pages(&[("/c", 4, "")]));
    server.insert("/b", (vec![2, 3], "/c"));
    assert_eq!(run(&server, &mut cursor), (vec![4], None));
    let mut cursor = Json::Null;
    assert_eq!(run(&pages(&[("/a", 1, "/a")]), &mut cursor), (vec![1], None), "also the first");
}

#[test]
fn a_cycle_of_pages_fails_each_run_and_brings_no_record_twice() {
    for back in ["/a", "/b"] {
        let mut cursor = Json::Null;
        let mut server = pages(&[("/a", 1, "/b"), ("/b", 2, "/c"), ("/c", 3, back)]);
        let (came, why) = run(&server, &mut cursor);
        assert_eq!(came, [1, 2, 3], "each page was new");
        let why = why.unwrap();
        assert!(
            why.ends_with("names one that was read already; none, or a new one, would be right"),
            "{why}"
        );
        for _ in 0..3 {
            let before = cursor.clone();
            assert_eq!(run(&server, &mut cursor), (vec![], Some(why.clone())));
            assert_eq!(cursor, before);
        }
        // The server is in order again.
        server.insert("/c", (vec![3, 4], "/d"));
        server.extend(pages(&[("/d", 5, "")]));
        assert_eq!(run(&server, &mut cursor), (vec![4, 5], None));
        assert_eq!(plain(&cursor), json!({ "url": "http://box/d", "taken": 1 }));
    }
}

#[test]
fn a_page_that_leads_back_by_turns_keeps_no_run_busy() {
    let mut source = source(json!({ "url": "http://box/a", "next": "link", "format": "jsonl" }));
    let mut cursor = Json::Null;
    for next in ["/b", "/c", "/d", "/b"] {
        let link = format!("<{next}>; rel=next");
        let (progress, _) = exchange(&mut source, &cursor, answer(200, &[("Link", &link)], "")).unwrap();
        assert!(!progress.is_end);
        cursor = progress.cursor;
    }
    let why = exchange(&mut source, &cursor, answer(200, &[("Link", "</c>; rel=next")], "")).unwrap_err();
    assert!(why.contains("read already"), "{why}");
}

#[test]
fn a_later_run_is_led_to_the_first_page_no_more_than_the_one_that_read_it() {
    let mut cursor = Json::Null;
    let mut server = pages(&[("/a", 1, "/b"), ("/b", 2, "")]);
    assert_eq!(run(&server, &mut cursor), (vec![1, 2], None));
    server.insert("/b", (vec![2, 3], "/a"));
    let (came, why) = run(&server, &mut cursor);
    assert!(came == [3] && why.unwrap().contains("read already"));
    assert_eq!(run(&server, &mut cursor).0, [0; 0]);
    server.insert("/b", (vec![2, 3], ""));
    assert_eq!(run(&server, &mut cursor), (vec![], None));
    assert_eq!(plain(&cursor), json!({ "url": "http://box/b", "taken": 2 }), "the way back is forgotten");
}

#[test]
fn the_first_call_is_known_by_the_value_that_the_author_gave() {
    let settings = json!({
        "json_rpc": { "method": "list", "params": { "after": 0 } },
        "pointer": "/rows", "next": { "value": { "pointer": "/next", "parameter": "after" } },
    });
    let answered = || answer(200, &[], r#"{"id":1,"result":{"rows":[{"n":1}],"next":0}}"#);
    let (progress, _) = exchange(&mut source(settings.clone()), &Json::Null, answered()).unwrap();
    assert!(progress.is_end, "it names itself");
    assert_eq!(plain(&progress.cursor), json!({ "parameter": null, "taken": 1 }));
    let (progress, _) =
        exchange(&mut source(settings.clone()), &json!({ "parameter": 7, "taken": 1 }), answered()).unwrap();
    assert_eq!((plain(&progress.cursor)["parameter"].clone(), progress.is_end), (json!(7), false));
    let why = exchange(&mut source(settings), &progress.cursor, answered()).unwrap_err();
    assert!(why.contains("read already"), "{why}");
}
