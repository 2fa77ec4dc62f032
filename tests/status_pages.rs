//! The pages of a flow and of a run: they tell all that is on record, and nothing that is to stay hidden.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use support::daemon::Daemon;
use support::heartbeat::now_s;
use support::metrics::{look, watched_box};
use support::operator::Operator;
use support::{EdgeBox, eventually, until};

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";
const HOSTILE: &str = "<script>alert(1)</script>";
/// limits::PAGE_BYTES_MAX
const PAGE_BYTES_MAX: usize = 60 * 1024;

fn page(edge_box: &EdgeBox, path: &str) -> String {
    let answer = look(edge_box, path);
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"));
    String::from_utf8(answer.body).expect("a page is text")
}

/// What stands between the tags.
fn text(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, main)| main);
    let body = body.split_once("</main>").map_or(body, |(main, _)| main);
    let parts = body.split('<').map(|part| part.split_once('>').map_or("", |(_, text)| text));
    parts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn holds(html: &str, what: &[&str]) {
    let text = text(html);
    for words in what {
        let words = words.replace('\u{a0}', " ");
        assert!(text.contains(&words), "{words:?} is not in\n{text}");
    }
}

/// What the list of facts says under each name, with the title.
fn facts(html: &str) -> BTreeMap<String, String> {
    let list = html.split_once("<dl class=\"facts\">").and_then(|(_, rest)| rest.split_once("</dl>"));
    let parts = list.expect("there are facts").0.split("<div><dt>").skip(1);
    let fact = |part: &str| {
        let (name, value) = part.split_once("<dd").expect("a fact has a value");
        let title = value
            .strip_prefix(" title=\"")
            .and_then(|rest| rest.split_once('"'))
            .map_or("", |(title, _)| title);
        (name.to_owned(), format!("{title} {}", text(&format!("<dd{value}"))))
    };
    parts.map(fact).collect()
}

/// The ids in the table of runs, in its order.
fn listed(html: &str) -> Vec<i64> {
    let table = html.split("<table class=\"runs\">").nth(1).unwrap_or_default();
    let table = table.split("</table>").next().unwrap_or_default();
    let id = |row: &str| row.split('"').next().and_then(|id| id.parse().ok());
    table.split("href=\"/runs/").skip(1).filter_map(id).collect()
}

/// A box to which everything happens that may happen to a run.
fn eventful_box(status: &str) -> (EdgeBox, Daemon) {
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!("max_concurrent_runs = 10\n[status]\nlisten = \"127.0.0.1:0\"\n{status}"));
    edge_box.script("good", "description = \"Keeps the meters honest\"", "echo all went well");
    edge_box.script(
        "bad",
        &format!("description = \"{HOSTILE}\""),
        &format!("echo '{HOSTILE} said-by-bad'; exit 3"),
    );
    edge_box.script("slow", "timeout = \"100ms\"", "sleep 60");
    edge_box.script("killed", "", "kill -9 $$");
    edge_box.script("unwanted", "", "sleep 60");
    edge_box.script("busy", "", UNTIL_TOLD);
    edge_box.script("again", "retry = { attempts = 2, backoff = \"1h\" }", "exit 1");
    edge_box.write("in.jsonl", "{\"v\":1}\n{\"v\":\"x\"}\n{\"v\":2}\n");
    let pipeline = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[schema]\nfields = { v = \"integer\" }\n\
                    [sink]\ntype = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\ncreate = true\n";
    edge_box.flow("pipe", pipeline);
    let secret = "[command]\nargv = [\"/bin/true\"]\nstdin = \"typed-in\"\n\
                  environment = { API_TOKEN = \"hunter2\", PLAIN = \"plain-value\" }\n";
    edge_box.flow("secret", secret);
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 9);
    let unwanted =
        edge_box.runs().into_iter().find(|run| run.flow == "unwanted").expect("it was recorded").id;
    assert_eq!(edge_box.command(&["runs", "cancel", &unwanted.to_string()]).0, Some(0));
    let open = "SELECT count(*) FROM data_flow_runs WHERE status IN ('pending', 'in_progress')";
    until("all but two runs have ended", || edge_box.number(open) == 2);
    (edge_box, daemon)
}

fn last_run_of(edge_box: &EdgeBox, flow: &str) -> i64 {
    edge_box.runs().into_iter().rfind(|run| run.flow == flow).expect("it ran").id
}

#[test]
fn a_flows_page_tells_where_it_stands_and_what_became_of_its_runs() {
    let (edge_box, _daemon) = eventful_box("");
    let told: [(&str, &[&str]); 8] = [
        (
            "good",
            &[
                "Keeps the meters honest",
                "every 1h",
                "success",
                "100\u{a0}% of 1 run succeeded",
                "0 took longer",
            ],
        ),
        ("bad", &["failing, once", "exit status 3", "said-by-bad", "0\u{a0}% of 1 run succeeded"]),
        ("slow", &["failing", "timeout", "took longer than its timeout of 100ms"]),
        ("killed", &["failing", "signal 9"]),
        ("unwanted", &["cut short", "cancelled", "nothing to count"]),
        ("busy", &["running since", "Open run", "in progress", "so far", "No run has been measured yet"]),
        ("again", &["waiting to be tried again", "pending", "failed", "Attempt", "exit status 1"]),
        ("pipe", &["3 read, 2 written, 1 rejected", "Cursor moved", "success"]),
    ];
    for (flow, words) in told {
        let html = page(&edge_box, &format!("/flows/{flow}"));
        holds(&html, words);
        holds(&html, &["24 hours", "7 days", "90 days", "Durations and waits", "Definition", "Due"]);
        assert_eq!(listed(&html).first(), Some(&last_run_of(&edge_box, flow)), "{flow}");
    }
    for (flow, dots, crosses, dashes) in [("good", 1, 0, 0), ("bad", 0, 1, 0), ("unwanted", 0, 0, 1)] {
        let html = page(&edge_box, &format!("/flows/{flow}"));
        let plot = html.split("<svg class=\"xy\"").nth(1).and_then(|rest| rest.split("<figcaption>").next());
        let plot = plot.unwrap_or_default();
        assert!(
            plot.contains("aria-describedby=\"plot-d runs\"") && plot.contains("<title"),
            "{flow}: {plot}"
        );
        let marks = |class: &str| {
            let path = plot.split(&format!("class=\"{class}\" d=\"")).nth(1).unwrap_or_default();
            path.split('"').next().unwrap_or_default().matches('M').count()
        };
        let drawn = (marks("k"), plot.matches("<use ").count(), marks("i"));
        assert_eq!(drawn, (dots, crosses, dashes), "{flow}: {plot}");
    }
}

#[test]
fn a_runs_page_has_everything_that_runs_show_has() {
    let (edge_box, _daemon) = eventful_box("");
    let names = BTreeMap::from([
        ("status", "Status"),
        ("attempt", "Attempt"),
        ("scheduled_at", "Due"),
        ("started_at", "Started"),
        ("ended_at", "Ended"),
        ("duration_ms", "Took"),
        ("error_kind", "Error"),
        ("exit_code", "Exit status"),
        ("signal", "Signal"),
        ("records_read", "Records read"),
        ("records_written", "Written"),
        ("records_updated", "of which updated"),
        ("records_skipped", "Skipped"),
        ("records_rejected", "Rejected"),
        ("records_transformed_in", "Added by transforms"),
        ("records_transformed_out", "Left out by transforms"),
        ("bytes_read", "Bytes read"),
        ("records_per_second", "Records a second"),
        ("source_file", "Fed from"),
        ("misfires", "Further run times that it stands for"),
        ("rerun", "Rerun after an interruption"),
        ("heartbeat_id", "Heartbeat"),
        ("agent", "Agent"),
    ]);
    for flow in ["good", "bad", "slow", "killed", "unwanted", "again", "pipe"] {
        let id = last_run_of(&edge_box, flow);
        let (_, shown) = edge_box.command(&["--json", "runs", "show", &id.to_string()]);
        let shown: Value = serde_json::from_str(&shown).expect("it is JSON");
        let html = page(&edge_box, &format!("/runs/{id}"));
        let (facts, text) = (facts(&html), text(&html));
        for (member, value) in shown.as_object().expect("a run is an object") {
            let plain = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            // Told outside of the list.
            if ["id", "flow", "error_message", "error_backtrace", "output"].contains(&member.as_str()) {
                let words: Vec<_> = plain.split_whitespace().collect();
                let escaped = words.join(" ").replace('<', "&lt;").replace('>', "&gt;");
                assert!(
                    value.is_null() || text.contains(&escaped),
                    "{flow}: {member} {plain} is not in {text}"
                );
                continue;
            }
            if member == "output_truncated" {
                assert_eq!(html.contains("Output, its end"), value == true, "{flow}");
                continue;
            }
            let name = names.get(member.as_str()).unwrap_or_else(|| panic!("nothing tells {member}"));
            match facts.get(*name) {
                Some(told) => assert!(
                    told.contains(&plain.replace('_', " ")) || told.contains(&plain),
                    "{flow}: {member} is {plain}, not {told}"
                ),
                None => assert!(value.is_null() || value == 0, "{flow}: nothing tells {member}, {plain}"),
            }
        }
    }
    let id = last_run_of(&edge_box, "again");
    let html = page(&edge_box, &format!("/runs/{id}"));
    assert!(html.contains("rel=\"prev\" href=\"/runs/") && html.contains("href=\"/flows/again\""), "{html}");
    holds(&html, &["pending: to be tried again", "which started runs 1 to 9"]);
    let busy = page(&edge_box, &format!("/runs/{}", last_run_of(&edge_box, "busy")));
    holds(&busy, &["so far", "It is shown when the run has ended"]);
}

#[test]
fn a_heartbeat_with_an_id_that_was_used_before_did_not_start_the_run_of_the_first_one() {
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    let heartbeat = || {
        let html = page(&edge_box, &format!("/runs/{}", last_run_of(&edge_box, "it")));
        facts(&html).remove("Heartbeat").expect("one started it")
    };
    assert!(heartbeat().contains("which started run 1"), "{}", heartbeat());
    daemon.stop();
    edge_box.edit("UPDATE heartbeats SET first_run_id = 1000");
    let _daemon = edge_box.start();
    assert!(!heartbeat().contains("which started"), "{}", heartbeat());
}

#[test]
fn what_is_hostile_stays_text() {
    let (edge_box, _daemon) = eventful_box("");
    let run = format!("/runs/{}", last_run_of(&edge_box, "bad"));
    for path in ["/", "/flows/bad", run.as_str()] {
        let html = page(&edge_box, path);
        assert!(!html.contains(HOSTILE) && html.contains("&lt;script&gt;alert(1)"), "{path}");
        assert_eq!(html.matches("<script").count(), 1, "{path}: its own");
        assert!(!html.contains(" style="), "{path}: its policy forbids it");
    }
}

#[test]
fn what_is_secret_by_its_name_is_on_no_page() {
    let (edge_box, _daemon) = eventful_box("");
    let html = page(&edge_box, "/flows/secret");
    assert!(!html.contains("hunter2"), "{html}");
    holds(&html, &["API_TOKEN", "plain-value", "typed-in", "/bin/true", "As it is stored"]);
}

#[test]
fn outputs_are_hidden_with_all_that_may_quote_them() {
    let (edge_box, _daemon) = eventful_box("output = false\n");
    let flow = page(&edge_box, "/flows/bad");
    assert!(!flow.contains("said-by-bad</pre>") && !flow.contains("Its last output"), "{flow}");
    holds(&flow, &["exit status 3"]);
    let run = page(&edge_box, &format!("/runs/{}", last_run_of(&edge_box, "bad")));
    assert!(!run.contains("said-by-bad"), "{run}");
    holds(&run, &["It is hidden: output = false under [status].", "exit status 3"]);
    let secret = page(&edge_box, "/flows/secret");
    assert!(!secret.contains("typed-in") && !secret.contains("plain-value") && !secret.contains("hunter2"));
    holds(&secret, &["PLAIN", "and so are input and environment"]);
}

#[test]
fn what_a_pipeline_says_of_an_error_is_hidden_with_outputs() {
    for (status, is_shown) in [("", true), ("output = false\n", false)] {
        let edge_box = EdgeBox::new();
        edge_box.configure(&format!("[status]\nlisten = \"127.0.0.1:0\"\n{status}"));
        let pipeline = "[source]\ntype = \"file\"\npath = \"DIR/quoted-name.jsonl\"\nmissing = \"fail\"\n\
                        [sink]\ntype = \"file\"\npath = \"DIR/out.jsonl\"\n";
        edge_box.flow("pipe", pipeline);
        let daemon = edge_box.start();
        daemon.beat_and_wait();
        assert_eq!(edge_box.ended_run("pipe").error_kind.as_deref(), Some("source"));
        for path in ["/", "/flows/pipe", "/runs/1"] {
            let html = page(&edge_box, path);
            let before_definition = html.split("id=\"definition\"").next().unwrap_or_default();
            assert_eq!(before_definition.contains("quoted-name"), is_shown, "{path}");
            assert!(is_shown || before_definition.contains("source"), "{path}: its kind is told");
        }
    }
}

#[test]
fn a_pipeline_in_progress_tells_what_it_has_moved_so_far() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\n");
    edge_box.write("in.jsonl", "{\"v\":1}\n".repeat(50_000));
    let pipeline = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[batch]\nrecords = 5\n\
                    [sink]\ntype = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\ncreate = true\n";
    edge_box.flow("pipe", pipeline);
    let daemon = edge_box.start();
    daemon.beat();
    let read = || {
        let html = page(&edge_box, "/runs/1");
        let told = facts(&html).get("Records read").and_then(|count| count.trim().parse::<u64>().ok());
        (told.unwrap_or(0), html)
    };
    let (first, html) = eventually("it has begun", || Some(read()).filter(|(count, _)| *count > 0));
    holds(&html, &["in progress", "so far", "Records a second"]);
    until("it goes on", || read().0 > first);
    assert_eq!(edge_box.number("SELECT records_read FROM data_flow_runs"), 0, "only memory knows it");
    holds(&page(&edge_box, "/flows/pipe"), &["in progress", "so far", " read, "]);
    assert_eq!(edge_box.command(&["runs", "cancel", "1"]).0, Some(0));
    Operator::of(&edge_box).json("GET /runs/1");
}

/// A box whose flow `it` ran so often that its list of runs has several pages; every third run failed.
fn box_with_a_past(runs: i64) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\n");
    let description = "<".repeat(1000);
    edge_box.script("it", &format!("description = \"{description}\""), "true");
    edge_box.start().stop();
    let first_ms = (now_s() - runs * 3600) * 1000;
    let each = |number: i64| {
        let at = first_ms + number * 3_600_000;
        let end = match number % 3 {
            0 => {
                "status = 'failed', error_kind = 'exit_status', exit_code = 1, error_message = hex(zeroblob(500))"
            }
            _ => "status = 'success', exit_code = 0",
        };
        format!(
            "INSERT INTO data_flow_runs (data_flow_id, misfires, scheduled_at, created_at, updated_at) VALUES (1, 2, {at}, {at}, {at});
             UPDATE data_flow_runs SET status = 'in_progress', started_at = {at} + 2000 WHERE status = 'pending';
             UPDATE data_flow_runs SET {end}, ended_at = started_at, duration_ms = {number} * 7919 % 9000,
               output = hex(zeroblob(8000)) WHERE status = 'in_progress';"
        )
    };
    let past: String = (1..=runs).map(each).collect();
    edge_box.edit(&format!(
        "PRAGMA journal_mode = MEMORY; BEGIN; {past} UPDATE data_flows SET next_run_at = 9e15; COMMIT; PRAGMA journal_mode = WAL;"
    ));
    edge_box
}

#[test]
fn runs_are_listed_a_page_at_a_time_and_by_status() {
    let edge_box = box_with_a_past(130);
    let _daemon = edge_box.start();
    let (mut path, mut all) = ("/flows/it".to_owned(), Vec::new());
    loop {
        let html = page(&edge_box, &path);
        let ids = listed(&html);
        assert!((1..=50).contains(&ids.len()), "{path}: {ids:?}");
        all.extend(ids);
        let Some(next) = html.split("rel=\"next\" href=\"").nth(1) else { break };
        path = next.split(['"', '#']).next().expect("a target ends").replace("&amp;", "&");
    }
    assert_eq!(all, (1..=130).rev().collect::<Vec<_>>(), "each once, newest first");
    let failed = page(&edge_box, "/flows/it?status=failed&before=100");
    assert_eq!(listed(&failed), (1..=33).rev().map(|third| third * 3).collect::<Vec<_>>());
    assert!(failed.contains("Newest"), "there is a way back");
    let none = page(&edge_box, "/flows/it?status=in_progress");
    holds(&none, &["No run is like that."]);
    assert_eq!(
        listed(&page(&edge_box, "/flows/it?status=odd&before=-1")).len(),
        50,
        "what makes no sense counts not"
    );
    holds(
        &page(&edge_box, "/flows/it"),
        &["130 started a second or more", "median 2.0s", "260 further run times"],
    );
}

#[test]
fn a_page_of_a_flow_with_many_runs_stays_small() {
    let edge_box = box_with_a_past(200);
    let _daemon = edge_box.start();
    let html = page(&edge_box, "/flows/it?status=success");
    let definition = html.split("id=\"definition\"").nth(1).map_or(0, str::len);
    let description =
        html.split("class=\"about\"").nth(1).and_then(|rest| rest.split("</p>").next()).map_or(0, str::len);
    assert!(html.len() - definition < PAGE_BYTES_MAX, "{} bytes", html.len() - definition);
    assert!(description >= 4000, "every byte of it takes four");
}

#[test]
fn what_is_not_there_is_told_with_404() {
    let (edge_box, _daemon) = eventful_box("");
    for (path, words) in [
        ("/flows/odd", "There is no flow"),
        ("/runs/4711", "There is no run 4711"),
        ("/flows/%3Cb%3E", "There is no flow"),
    ] {
        let answer = look(&edge_box, path);
        assert_eq!(
            (answer.status, answer.field("Content-Type")),
            (404, Some("text/html; charset=utf-8")),
            "{path}"
        );
        holds(&String::from_utf8_lossy(&answer.body), &[words]);
    }
    for path in ["/runs/odd", "/runs/0"] {
        assert_eq!(look(&edge_box, path).status, 404, "{path}");
    }
}
