//! What is asked again, where, and with what: answers are put in by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;
use crate::pipeline::files::SystemFiles;

fn target(follow_redirects: bool) -> HttpTarget {
    HttpTarget {
        url: "http://box/a?key=1".to_owned(),
        headers: BTreeMap::from([("Accept".to_owned(), "text/csv".to_owned())]),
        header_files: BTreeMap::from([("Authorization".to_owned(), PathBuf::from("/token"))]),
        timeout_ms: 1500,
        follow_redirects,
    }
}

fn conversation(follow_redirects: bool) -> Conversation {
    let target = target(follow_redirects);
    let url = parsed(&target.url, Failure::source).unwrap();
    Conversation::new(&target, url, 1000)
}

fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Happened {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let answer = Answer { status, fields, body: body.as_bytes().to_vec(), may_reuse: true };
    Happened::Answered(Ok(Box::new(answer)))
}

/// What the conversation wants, in short.
fn turn(conversation: &mut Conversation) -> String {
    match conversation.turn(&SystemFiles::default()) {
        Turn::Needs(Need::Exchange(exchange)) => format!("{} {}", exchange.method.as_str(), exchange.url),
        Turn::Needs(Need::Pause(time)) => format!("pause {}", time.as_millis()),
        Turn::Needs(other) => format!("{other:?}"),
        Turn::Answered(answer) => format!("answered {}", answer.status),
        Turn::GivenUp(why) => why,
    }
}

fn next(conversation: &mut Conversation, happened: Happened) -> String {
    conversation.happened(happened);
    turn(conversation)
}

/// What follows a first answer to a GET that may be redirected.
fn after(status: u16, fields: &[(&str, &str)]) -> String {
    let mut conversation = conversation(true);
    assert_eq!(turn(&mut conversation), "GET http://box/a?key=1");
    next(&mut conversation, answer(status, fields, ""))
}

#[test]
fn a_request_is_the_targets_own() {
    let Turn::Needs(Need::Exchange(exchange)) = conversation(false).turn(&SystemFiles::default()) else {
        panic!("nothing is asked")
    };
    assert_eq!(exchange.fields, [("Accept".to_owned(), "text/csv".to_owned())]);
    assert_eq!(exchange.field_files, target(false).header_files);
    assert_eq!((exchange.timeout.as_millis(), exchange.body_bytes_max), (1500, 1000));
    assert!(exchange.body.is_none() && exchange.signature.is_none());
}

#[test]
fn what_is_neither_a_redirect_nor_said_to_pass_is_the_answer() {
    for status in [200, 204, 206, 300, 304, 305, 400, 401, 404, 409, 422, 501, 505, 599] {
        assert_eq!(after(status, &[]), format!("answered {status}"));
    }
}

#[test]
fn what_may_pass_is_asked_again_with_doubled_pauses_and_then_given_up() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let mut conversation = conversation(false);
        for pause in [500, 1000, 2000] {
            assert_eq!(turn(&mut conversation), "GET http://box/a?key=1");
            assert_eq!(next(&mut conversation, answer(status, &[], "")), format!("pause {pause}"));
            conversation.happened(Happened::Resumed);
        }
        turn(&mut conversation);
        let expected = format!("http://box/a answered {status}; tried 4 times");
        assert_eq!(next(&mut conversation, answer(status, &[], "")), expected);
    }
}

#[test]
fn an_answer_after_a_pause_is_the_answer() {
    let mut conversation = conversation(false);
    turn(&mut conversation);
    assert_eq!(next(&mut conversation, answer(503, &[], "")), "pause 500");
    assert_eq!(next(&mut conversation, Happened::Resumed), "GET http://box/a?key=1");
    assert_eq!(next(&mut conversation, answer(200, &[], "")), "answered 200");
}

#[test]
fn a_server_says_how_long_to_wait_unless_it_is_too_long() {
    assert_eq!(after(503, &[("Retry-After", "7")]), "pause 7000");
    assert_eq!(after(429, &[("Retry-After", "60")]), "pause 60000");
    assert_eq!(after(429, &[("Retry-After", "0")]), "pause 0");
    assert_eq!(after(429, &[("Retry-After", "soon")]), "pause 500");
    assert_eq!(after(503, &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")]), "pause 0", "gone by");
    assert_eq!(
        after(429, &[("Retry-After", "61")]),
        "http://box/a answered 429, and asks to wait for 1m1s: a later run tries again"
    );
    assert!(after(429, &[("Retry-After", "99999999999999999999999")]).contains("asks to wait for"));
    let later = Wall::from_millis(SystemFiles::default().wall_ms() + 30_000).http_date();
    let pause = after(503, &[("Retry-After", &later)]);
    let pause: u64 = pause.strip_prefix("pause ").unwrap().parse().unwrap();
    assert!((20_000..=30_000).contains(&pause), "{pause}");
}

#[test]
fn waiting_as_told_is_no_way_around_the_number_of_attempts() {
    let mut conversation = conversation(false);
    for _ in 0..3 {
        turn(&mut conversation);
        assert_eq!(next(&mut conversation, answer(429, &[("Retry-After", "0")], "")), "pause 0");
        conversation.happened(Happened::Resumed);
    }
    turn(&mut conversation);
    let last = next(&mut conversation, answer(429, &[("Retry-After", "0")], ""));
    assert_eq!(last, "http://box/a answered 429; tried 4 times");
}

#[test]
fn who_is_not_reached_is_asked_again_if_that_may_help() {
    let unanswered = |may_succeed_later| {
        Happened::Answered(Err(Unanswered { message: "refused".to_owned(), may_succeed_later }))
    };
    let mut one = conversation(false);
    turn(&mut one);
    assert_eq!(next(&mut one, unanswered(false)), "refused");
    let mut other = conversation(false);
    for pause in [500, 1000, 2000] {
        turn(&mut other);
        assert_eq!(next(&mut other, unanswered(true)), format!("pause {pause}"));
        other.happened(Happened::Resumed);
    }
    turn(&mut other);
    assert_eq!(next(&mut other, unanswered(true)), "refused; tried 4 times");
}

#[test]
fn a_redirect_is_followed_only_where_that_is_allowed_and_leads_somewhere() {
    for status in [301, 302, 303, 307, 308] {
        assert_eq!(after(status, &[("Location", "b?c=d#e")]), "GET http://box/b?c=d");
        let mut conversation = conversation(false);
        turn(&mut conversation);
        let refused = next(&mut conversation, answer(status, &[("Location", "/b?token=x")], ""));
        assert_eq!(
            refused,
            format!(
                "http://box/a answered {status}: it leads to http://box/b, and redirects are not followed; give that \
                 URL, or follow_redirects = true"
            )
        );
    }
    let https = after(301, &[("Location", "https://box/a")]);
    assert!(https.contains("leads to https, which needs a build with TLS"), "{https}");
    assert!(after(301, &[]).contains("does not say where to"));
    assert!(after(301, &[("Location", "ftp://box/")]).contains("no URL here"));
}

#[test]
fn redirects_come_to_an_end() {
    let mut conversation = conversation(true);
    turn(&mut conversation);
    for _ in 0..5 {
        let to = next(&mut conversation, answer(302, &[("Location", "/a?key=1")], ""));
        assert_eq!(to, "GET http://box/a?key=1");
    }
    let last = next(&mut conversation, answer(302, &[("Location", "/a?key=1")], ""));
    assert_eq!(last, "http://box/a answered 302: it is one redirect too many");
}

#[test]
fn what_is_sent_is_not_turned_into_a_question() {
    for (status, is_followed) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        let mut conversation = conversation(true);
        conversation.exchange().method = Method::Post;
        conversation.exchange().body = Some(b"hi".to_vec());
        turn(&mut conversation);
        conversation.happened(answer(status, &[("Location", "/b")], ""));
        match conversation.turn(&SystemFiles::default()) {
            Turn::Needs(Need::Exchange(exchange)) => {
                assert!(is_followed && exchange.method == Method::Post, "{status}");
                assert_eq!(exchange.body.as_deref(), Some(&b"hi"[..]));
            }
            Turn::GivenUp(why) => assert!(!is_followed && why.contains("307 or 308"), "{status}: {why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn another_origin_gets_none_of_our_fields_and_neither_does_whoever_it_sends_us_to() {
    let fields = |locations: &[&str]| {
        let mut conversation = conversation(true);
        conversation.turn(&SystemFiles::default());
        let mut kept = false;
        for location in locations {
            conversation.happened(answer(307, &[("Location", location)], ""));
            let Turn::Needs(Need::Exchange(exchange)) = conversation.turn(&SystemFiles::default()) else {
                panic!("{location}")
            };
            assert_eq!(exchange.fields.is_empty(), exchange.field_files.is_empty());
            kept = !exchange.fields.is_empty();
        }
        kept
    };
    for same in ["/b", "http://BOX:80/b", "//box/b"] {
        assert!(fields(&[same]), "{same}");
    }
    for other in ["http://box:8080/a", "http://box.example/a", "//other/a"] {
        assert!(!fields(&[other]), "{other}");
    }
    assert!(!fields(&["http://other/a", "http://box/a"]), "nor on the way back");
}

#[test]
fn content_goes_to_another_origin_only_where_it_may_leave() {
    let to = |conversation: Conversation, location: &str| {
        let mut conversation = conversation;
        conversation.exchange().method = Method::Post;
        conversation.exchange().body = Some(b"hi".to_vec());
        turn(&mut conversation);
        next(&mut conversation, answer(307, &[("Location", location)], ""))
    };
    assert_eq!(to(conversation(true), "http://BOX:80/b"), "POST http://box/b");
    assert_eq!(
        to(conversation(true), "//other/b?token=x"),
        "http://box/a answered 307: it leads to another server, http://other/b, which is not sent what this one was; \
         give that URL"
    );
    assert_eq!(to(conversation(true).whose_content_may_leave(), "//other/b"), "POST http://other/b");
}

#[test]
fn what_an_answer_says_is_shown_short_and_printable() {
    let url = Url::parse("http://box/a?key=secret").unwrap();
    let told = |content: &str, body: &str| {
        let Happened::Answered(Ok(answer)) = answer(404, &[("Content-Type", content)], body) else {
            unreachable!()
        };
        told(&url, &answer)
    };
    assert_eq!(
        told("application/json", "{\"a\":\n  \"no\\n\"}"),
        "http://box/a answered 404: {\"a\": \"no\\n\"}"
    );
    assert_eq!(told("application/problem+json; charset=utf-8", "{}"), "http://box/a answered 404: {}");
    assert_eq!(told("text/plain", "a\u{1b}[1mb\0"), "http://box/a answered 404: a\\u{1b}[1mb\\0");
    assert_eq!(told("text/plain", &"\u{e9}".repeat(1000)).chars().filter(|it| *it == '\u{e9}').count(), 200);
    for (content, body) in [("text/plain", " \n"), ("image/png", "abc"), ("", "abc")] {
        assert_eq!(told(content, body), "http://box/a answered 404", "{content}");
    }
}
