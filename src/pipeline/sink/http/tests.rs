//! Whole runs to a server that the test plays: what it is sent, what its answers do, and what a crash at any point leaves.

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::flow::{Counters, Pipeline};
use crate::http::client::Answer;
use crate::pipeline::Owner;
use crate::pipeline::faults::{Effect, FaultyFiles, Folder};
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Exchange, Happened, Need, Signature, Unanswered};
use crate::pipeline::run::{Moving, Step};
use crate::pipeline::sink::State;

const CRASH: &str = "a crash";

/// A flow, its database, and all that was asked of the world.
struct World {
    folder: Folder,
    recorded: Option<State>,
    sent: Vec<Exchange>,
    pauses: Vec<Duration>,
    /// By all runs that ended, well or not.
    counted: Counters,
    /// Moments until the process is gone: before and after each commit, request and answer.
    crash_in: usize,
}

type Server<'s> = &'s mut dyn FnMut(&Exchange) -> Happened;

impl World {
    fn new(lines: &str) -> Self {
        let folder = Folder::new();
        std::fs::write(folder.path("in.jsonl"), lines).unwrap();
        let (recorded, counted) = (None, Counters::default());
        Self { folder, recorded, sent: Vec::new(), pauses: Vec::new(), counted, crash_in: usize::MAX }
    }

    fn survives(&mut self) -> Result<(), String> {
        self.crash_in = self.crash_in.checked_sub(1).ok_or(CRASH)?;
        Ok(())
    }

    /// A run, over what is on record.
    fn run(&mut self, flow: &Json, server: Server<'_>) -> Result<Counters, String> {
        self.run_on(&FaultyFiles::sound(), flow, server)
    }

    fn run_on(&mut self, files: &dyn Files, flow: &Json, server: Server<'_>) -> Result<Counters, String> {
        let text = flow.to_string().replace("DIR", &self.folder.path("").to_string_lossy());
        let pipeline: Pipeline = serde_json::from_str(&text).unwrap();
        let owner = Owner { database_id: "0123".to_owned(), flow: "it".to_owned() };
        let mut moving = Moving::new(&pipeline, &owner, self.recorded.clone());
        loop {
            let stepped = moving.step(files);
            if matches!(stepped, Ok(Step::Done) | Err(_)) {
                self.counted = self.counted.plus(moving.counters());
            }
            match stepped.map_err(|failure| failure.message)? {
                Step::More => {}
                Step::Record => {
                    self.survives()?;
                    // As our own database keeps it.
                    let text = serde_json::to_string(moving.to_record().unwrap()).unwrap();
                    self.recorded = Some(serde_json::from_str(&text).unwrap());
                    self.survives()?;
                    moving.recorded();
                }
                Step::Wait(Need::Exchange(exchange)) => {
                    self.survives()?;
                    self.sent.push(*exchange.clone());
                    let happened = server(&exchange);
                    self.survives()?;
                    moving.happened(happened);
                }
                Step::Wait(Need::Pause(pause)) => {
                    self.pauses.push(pause);
                    self.survives()?;
                    moving.happened(Happened::Resumed);
                }
                Step::Wait(Need::Program(launch)) => unreachable!("{launch:?}"),
                Step::Done => return Ok(moving.counters()),
            }
        }
    }

    fn has_outbox(&self) -> bool {
        self.recorded.as_ref().is_some_and(|state| state.outbox.is_some())
    }

    /// The records of the dead letters, as they stand there, each with its reason.
    fn dead(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.folder.path("dead.jsonl")).unwrap_or_default();
        let parts = text.lines().map(|line| {
            let record = line.strip_prefix("{\"record\":").unwrap().split(",\"reason\":").next().unwrap();
            let line: Json = serde_json::from_str(line).unwrap();
            (record.to_owned(), line["reason"].as_str().unwrap().to_owned())
        });
        parts.collect()
    }

    /// What each key stood for. No key stands for two bodies.
    fn bodies(&self) -> BTreeMap<String, String> {
        let mut bodies = BTreeMap::new();
        for exchange in &self.sent {
            let body = body(exchange);
            assert_eq!(bodies.entry(key(exchange)).or_insert_with(|| body.clone()), &body);
        }
        bodies
    }
}

fn flow(sink: Json) -> Json {
    let mut all = json!({ "type": "http", "url": "http://box/in?token=x" });
    all.as_object_mut().unwrap().extend(sink.as_object().unwrap().clone());
    json!({
        "source": { "type": "file", "path": "DIR/in.jsonl" },
        "fields": { "n": { "type": "integer" } },
        "sink": all,
        "on_reject": "DIR/dead.jsonl",
        "batch": { "records": 3 },
    })
}

fn field<'e>(exchange: &'e Exchange, name: &str) -> Vec<&'e str> {
    let of_name = |(other, value): &'e (String, String)| (other == name).then_some(value.as_str());
    exchange.fields.iter().filter_map(of_name).collect()
}

fn key(exchange: &Exchange) -> String {
    let keys = field(exchange, "Idempotency-Key");
    assert_eq!(keys.len(), 1, "{exchange:?}");
    keys[0].to_owned()
}

fn body(exchange: &Exchange) -> String {
    String::from_utf8(exchange.body.clone().unwrap()).unwrap()
}

fn answer(status: u16, body: &str) -> Happened {
    Happened::Answered(Ok(Box::new(Answer { status, body: body.into(), ..Answer::default() })))
}

fn moved(status: u16, to: &str) -> Happened {
    let fields = vec![("Location".to_owned(), to.to_owned())];
    Happened::Answered(Ok(Box::new(Answer { status, fields, ..Answer::default() })))
}

const LINES: &str =
    "{\"n\":1,\"x\":0.10000000000000000000000001}\nno\n{\"n\": 2 ,\"s\":\"\\u0041, \\n\"}\n{\"n\":3}\n";
const FIRST: [&str; 2] = [r#"{"n":1,"x":0.10000000000000000000000001}"#, r#"{"n": 2 ,"s":"\u0041, \n"}"#];

#[test]
fn a_batch_is_posted_with_its_key_in_the_form_that_was_chosen() {
    let [one, two] = FIRST;
    let call =
        format!(r#"{{"jsonrpc":"2.0","id":"KEY","method":"a \"b\"","params":{{"records":[{one},{two}]}}}}"#);
    for (sink, content_type, expected) in [
        (json!({}), "application/json", format!("[{one},{two}]")),
        (json!({ "format": "jsonl" }), "application/jsonl", format!("{one}\n{two}\n")),
        (json!({ "format": "json-rpc", "method": "a \"b\"" }), "application/json", call),
        (
            json!({ "format": "jsonl", "headers": { "content-type": "application/x-ndjson" } }),
            "application/x-ndjson",
            format!("{one}\n{two}\n"),
        ),
    ] {
        let mut world = World::new(LINES);
        let counters = world
            .run(&flow(sink), &mut |exchange| {
                answer(200, &json!({ "id": key(exchange), "result": 2 }).to_string())
            })
            .unwrap();
        assert_eq!((counters.read, counters.written, counters.rejected), (4, 3, 1));
        let first = &world.sent[0];
        assert_eq!(body(first), expected.replace("KEY", &key(first)));
        assert_eq!((first.method.as_str(), first.url.target()), ("POST", "/in?token=x"));
        assert_eq!(field(first, "Content-Type"), [content_type]);
        assert!(first.body_bytes_max > 2 * expected.len() && first.signature.is_none());
        // Of a call the content says what became of it, of all else the status.
        assert_eq!(first.needs_content, expected.contains("jsonrpc"));
        assert_eq!((world.sent.len(), world.bodies().len()), (2, 2));
        assert!(!world.has_outbox());
    }
}

#[test]
fn what_is_secret_is_named_to_whoever_sends_and_the_signature_has_the_key_for_its_id() {
    let mut world = World::new("{\"n\":1}\n");
    let files = json!({ "Authorization": "/box/token" });
    let sink = json!({ "secret_file": "/box/secret", "header_files": files, "timeout_ms": 7000 });
    world.run(&flow(sink), &mut |_| answer(204, "")).unwrap();
    let sent = &world.sent[0];
    let signature = Signature { secret_file: "/box/secret".into(), id: key(sent) };
    assert_eq!(sent.signature, Some(signature));
    assert_eq!((sent.field_files.len(), sent.timeout), (1, Duration::from_secs(7)));
}

#[test]
fn what_may_be_taken_later_is_sent_again_within_the_run_and_by_the_next_as_it_was() {
    let timed_out = || {
        let message = "http://box/in: no answer".to_owned();
        Happened::Answered(Err(Unanswered { message, may_succeed_later: true }))
    };
    for status in [408, 409, 423, 425, 429, 500, 501, 503, 507, 600, 0] {
        let mut world = World::new(LINES);
        let later = &mut |_: &Exchange| if status == 0 { timed_out() } else { answer(status, "busy") };
        let failed = world.run(&flow(json!({})), later).unwrap_err();
        assert!(failed.contains("is kept, and the next run sends the same again"), "{failed}");
        assert!(failed.contains("tried 4 times"), "{failed}");
        assert_eq!((world.sent.len(), world.pauses.len(), world.bodies().len()), (4, 3, 1), "{status}");
        assert!(world.has_outbox());
        // By now the source has more, and the flow is another: neither changes what stands for the key.
        std::fs::write(world.folder.path("in.jsonl"), format!("{LINES}{{\"n\":4}}\n")).unwrap();
        let mut other = flow(json!({ "format": "json-rpc", "method": "m", "url": "http://other/" }));
        other["transforms"] = json!([{ "sql": "SELECT n * 10 AS n FROM batch" }]);
        let mut answers = 0;
        let counters = world.run(&other, &mut |exchange| {
            answers += 1;
            // The first is no call, so that its answer need not be that of one.
            let result = json!({ "id": key(exchange), "result": null }).to_string();
            answer(200, if answers == 1 { "" } else { &result })
        });
        let counters = counters.unwrap();
        assert_eq!((counters.read, counters.written, counters.rejected), (5, 4, 1));
        assert_eq!((world.sent.len(), world.bodies().len()), (6, 2));
        assert_eq!(field(&world.sent[4], "Content-Type"), ["application/json"]);
        assert!(body(&world.sent[5]).contains(r#"[{"n":30},{"n":40}]"#), "{:?}", world.sent[5]);
    }
}

#[test]
fn a_server_says_how_long_to_wait_whatever_its_status() {
    let waits = |status: u16, seconds: &'static str| {
        move |_: &Exchange| {
            let fields = vec![("Retry-After".to_owned(), seconds.to_owned())];
            Happened::Answered(Ok(Box::new(Answer { status, fields, ..Answer::default() })))
        }
    };
    for status in [409, 423, 429, 501, 503, 507, 600] {
        let mut world = World::new(LINES);
        let failed = world.run(&flow(json!({})), &mut waits(status, "7")).unwrap_err();
        assert!(failed.contains("tried 4 times"), "{failed}");
        assert_eq!(world.pauses, [Duration::from_secs(7); 3], "{status}");
        let mut world = World::new(LINES);
        let failed = world.run(&flow(json!({})), &mut waits(status, "61")).unwrap_err();
        assert!(failed.contains("asks to wait for 1m1s") && failed.contains("is kept"), "{failed}");
        assert_eq!((world.sent.len(), world.pauses.len()), (1, 0), "{status}");
    }
}

#[test]
fn what_speaks_of_settings_fails_the_run_and_condemns_no_record() {
    let unreadable = json!({ "format": "json-rpc", "method": "m" });
    let unknown = r#"{"id":null,"error":{"code":-32601,"message":"Method not found"}}"#;
    for (sink, status, said, why) in [
        (json!({}), 401, "who?", "http://box/in answered 401: who?; that is about [sink]"),
        (json!({}), 403, "", "answered 403; that is about [sink]"),
        (json!({}), 404, "", "answered 404"),
        (json!({}), 405, "", "answered 405"),
        (json!({}), 407, "", "answered 407"),
        (json!({}), 410, "", "answered 410"),
        (json!({}), 301, "", "redirects are not followed"),
        (json!({}), 304, "", "answered 304"),
        (unreadable.clone(), 200, "OK", "answered 200: OK: that is no response of JSON-RPC 2.0"),
        (unreadable, 200, unknown, "-32601: Method not found; that is about [sink]"),
    ] {
        let mut world = World::new(LINES);
        let wrong =
            &mut |_: &Exchange| if status == 301 { moved(301, "/there") } else { answer(status, said) };
        let failed = world.run(&flow(sink.clone()), wrong).unwrap_err();
        assert!(failed.contains(why) && failed.contains("is kept") && !failed.contains("token"), "{failed}");
        assert!(world.has_outbox() && world.sent.len() == 1 && world.pauses.is_empty(), "{status}");
        let right =
            &mut |exchange: &Exchange| answer(200, &json!({ "id": key(exchange), "result": 2 }).to_string());
        let counters = world.run(&flow(sink), right).unwrap();
        assert_eq!((counters.read, counters.written, counters.rejected), (4, 3, 1));
        assert_eq!((world.sent.len(), world.bodies().len(), world.dead().len()), (3, 2, 1));
    }
}

#[test]
fn a_batch_that_is_refused_goes_to_the_dead_letters_and_the_run_goes_on() {
    let call = json!({ "format": "json-rpc", "method": "m" });
    let error = r#"{"id":null,"error":{"code":7,"message":"too old"}}"#;
    for (sink, status, said, reason) in [
        (json!({}), 400, "", "http://box/in answered 400"),
        (json!({}), 413, "", "http://box/in answered 413"),
        (json!({ "format": "jsonl" }), 415, "", "http://box/in answered 415"),
        (json!({}), 422, "too\nold", "http://box/in answered 422: too old"),
        (call, 200, error, "http://box/in answered with the error 7: too old"),
    ] {
        let mut world = World::new(LINES);
        let mut answers = 0;
        let counters = world.run(&flow(sink), &mut |exchange| {
            answers += 1;
            let result = json!({ "id": key(exchange), "result": null }).to_string();
            if answers == 1 { answer(status, said) } else { answer(200, &result) }
        });
        let counters = counters.unwrap();
        // One line is no record, two are those of the batch that was refused.
        assert_eq!((counters.read, counters.written, counters.rejected), (4, 1, 3), "{status}");
        assert!(counters.balance() && !world.has_outbox());
        let dead = world.dead();
        let refused = FIRST.map(|record| (record.to_owned(), reason.to_owned()));
        assert_eq!((dead.len(), &dead[1..]), (3, &refused[..]));
    }
}

#[test]
fn a_batch_that_is_refused_stays_where_its_flow_says_fail_until_that_says_otherwise() {
    let mut world = World::new(LINES);
    let refuse = &mut |_: &Exchange| answer(422, "");
    for _ in 0..2 {
        let failed = world.run(&flow(json!({ "on_rejection": "fail" })), refuse).unwrap_err();
        assert!(failed.contains("answered 422; the batch batch_"), "{failed}");
        assert!(world.has_outbox());
    }
    assert_eq!((world.sent.len(), world.bodies().len(), world.dead().len()), (2, 1, 1));
    let counters = world.run(&flow(json!({})), refuse).unwrap();
    assert_eq!((counters.read, counters.written, counters.rejected), (4, 0, 4));
    assert_eq!((world.bodies().len(), world.dead().len()), (2, 4));
}

#[test]
fn a_batch_that_the_dead_letters_have_no_room_for_is_kept() {
    let mut world = World::new("{\"n\":1}\n");
    let full = std::fs::File::create(world.folder.path("dead.jsonl")).unwrap();
    full.set_len(crate::limits::DEAD_LETTERS_BYTES_MAX).unwrap();
    let refuse = &mut |_: &Exchange| answer(400, "");
    let failed = world.run(&flow(json!({})), refuse).unwrap_err();
    assert!(failed.contains("move the file away") && world.has_outbox(), "{failed}");
    std::fs::remove_file(world.folder.path("dead.jsonl")).unwrap();
    assert_eq!(world.run(&flow(json!({})), refuse).unwrap().rejected, 1);
    assert_eq!((world.bodies().len(), world.dead().len()), (1, 1));
}

#[test]
fn a_redirect_leads_elsewhere_with_the_key_and_without_the_secrets() {
    let mut world = World::new("{\"n\":1}\n");
    let sink = json!({
        "follow_redirects": true, "headers": { "X-Token": "x" }, "header_files": { "Authorization": "/a" },
        "secret_file": "/box/secret",
    });
    let elsewhere = &mut |exchange: &Exchange| match exchange.url.host() {
        "box" => moved(307, "http://other/there"),
        _ => answer(200, ""),
    };
    world.run(&flow(sink), elsewhere).unwrap();
    let [first, second] = &world.sent[..] else { panic!("{:?}", world.sent) };
    assert_eq!((field(first, "X-Token").len(), first.field_files.len()), (1, 1));
    assert_eq!((field(second, "X-Token").len(), second.field_files.len()), (0, 0));
    assert_eq!((key(first), body(first)), (key(second), body(second)));
    assert_eq!(field(second, "Content-Type"), ["application/json"]);
    assert_eq!((second.url.target(), &second.signature), ("/there", &first.signature));
}

#[test]
fn what_was_sent_by_http_is_not_sent_on_by_a_program() {
    let mut world = World::new("{\"n\":1}\n");
    world.run(&flow(json!({ "format": "jsonl" })), &mut |_| answer(404, "")).unwrap_err();
    let mut other = flow(json!({}));
    other["sink"] = json!({ "type": "exec", "argv": ["/bin/true"], "working_directory": "/" });
    let counters = world.run(&other, &mut |_| unreachable!("it asks nobody")).unwrap();
    assert_eq!((counters.rejected, world.has_outbox()), (1, false));
    assert!(world.dead()[0].1.contains("when the flow got another sink"));
}

/// Refuses what has a 3 in it, for good; takes the rest, but may be busy, or its answer be lost, as the dice say.
struct Moody {
    dice: u32,
    taken: BTreeMap<String, String>,
}

impl Moody {
    fn answer(&mut self, exchange: &Exchange) -> Happened {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mood = self.dice >> 29;
        if mood == 0 {
            return answer(503, "");
        }
        if body(exchange).contains(":3") {
            return answer(422, "no 3");
        }
        self.taken.insert(key(exchange), body(exchange));
        match mood {
            1 => answer(409, ""),
            2 => {
                let message = "lost".to_owned();
                Happened::Answered(Err(Unanswered { message, may_succeed_later: true }))
            }
            _ => answer(200, ""),
        }
    }

    /// Every record is with the server or among the dead letters, each once.
    fn check(&self, world: &World, context: &str) {
        world.bodies();
        let mut taken: Vec<String> = self.taken.values().cloned().collect();
        taken.sort();
        let batches = ["[{\"n\":1},{\"n\":2}]", "[{\"n\":5},{\"n\":6},{\"n\":7}]", "[{\"n\":8}]"];
        assert_eq!(taken, batches, "{context}");
        let dead: Vec<String> = world.dead().into_iter().map(|(record, _)| record).collect();
        assert_eq!(dead, ["\"no\"", "{\"n\":\"x\"}", "{\"n\":3}", "{\"n\":33}", "\"never\""], "{context}");
        assert!(!world.has_outbox(), "{context}");
    }
}

/// Batches of three lines: one without, one with what is no record and is refused, one that is taken, one with the rest.
const MANY: &str = "{\"n\":1}\nno\n{\"n\":2}\n{\"n\":3}\n{\"n\":33}\n{\"n\":\"x\"}\n{\"n\":5}\n{\"n\":6}\n{\"n\":7}\nnever\n{\"n\":8}\n";

#[test]
fn a_crash_at_any_moment_loses_and_doubles_nothing() {
    for seed in 0..16 {
        for crash_in in 0.. {
            let mut world = World::new(MANY);
            let mut moody = Moody { dice: seed, taken: BTreeMap::new() };
            world.crash_in = crash_in;
            let mut crashes = 0;
            loop {
                match world.run(&flow(json!({})), &mut |exchange| moody.answer(exchange)) {
                    Ok(counters) => {
                        assert!(counters.balance(), "{counters:?}");
                        break;
                    }
                    Err(why) if why == CRASH => {
                        crashes += 1;
                        // And now and then once more, a little later.
                        world.crash_in = if crashes < 3 { crash_in % 7 } else { usize::MAX };
                    }
                    Err(_) => {}
                }
            }
            moody.check(&world, &format!("{seed} {crash_in}"));
            if crashes == 0 {
                break;
            }
        }
    }
}

#[test]
fn a_process_that_is_gone_within_any_call_on_a_file_loses_and_doubles_nothing() {
    for effect in [Effect::None, Effect::Half, Effect::All] {
        for fails_at in 1.. {
            let mut world = World::new(MANY);
            let mut moody = Moody { dice: 1, taken: BTreeMap::new() };
            let files = FaultyFiles::new(fails_at, true, effect);
            let mut ended = world.run_on(&files, &flow(json!({})), &mut |exchange| moody.answer(exchange));
            while ended.is_err() {
                ended = world.run(&flow(json!({})), &mut |exchange| moody.answer(exchange));
            }
            moody.check(&world, &format!("{effect:?} {fails_at}"));
            if !files.has_failed() {
                break;
            }
        }
    }
}

#[test]
fn each_record_is_counted_once_however_many_runs_it_takes() {
    let mut world = World::new(MANY);
    let mut runs = 0;
    while runs == 0 || world.has_outbox() {
        runs += 1;
        let mut batches = 0;
        // Each run but the last one is stopped a little later than the one before.
        let _failed = world.run(&flow(json!({})), &mut |exchange| {
            batches += 1;
            match body(exchange) {
                _ if batches == runs && runs < 4 => answer(404, ""),
                body if body.contains(":3") => answer(422, ""),
                _ => answer(200, ""),
            }
        });
        assert!(world.counted.balance());
    }
    let Counters { read, written, rejected, .. } = world.counted;
    assert_eq!((runs, read, written, rejected), (4, 11, 6, 5));
}
