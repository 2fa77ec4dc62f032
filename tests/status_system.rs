//! `/system`, the page of the agents and the box, and what stands on top of every page while something is wrong.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::auth::Secret;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use support::clock::FakeClock;
use support::daemon::Daemon;
use support::disk::{can_mount, start_on_a_small_disk};
use support::heartbeat::Heartbeat;
use support::metrics::{look, watched_box};
use support::operator::Operator;
use support::signing::bearer;
use support::tools::{can_inject, inject};
use support::wire::Wire;
use support::{EdgeBox, eventually, until};

const WATCHED: &str = "[status]\nlisten = \"127.0.0.1:0\"\n";
const ALERTS_TO_NOBODY: &str = "[alerts]\ncommand = [\"/bin/sh\", \"-c\", \"echo no way; exit 7\"]\n";

/// A page that must come with this status.
fn page(edge_box: &EdgeBox, path: &str, status: u16) -> String {
    let answer = look(edge_box, path);
    assert_eq!(answer.status, status, "{path}: {}", String::from_utf8_lossy(&answer.body));
    let html = String::from_utf8(answer.body).unwrap();
    assert!(html.ends_with("</html>"), "{path} is whole");
    let (_, content) = html.split_once("<main").unwrap();
    content.to_owned()
}

fn system(edge_box: &EdgeBox) -> String {
    page(edge_box, "/system", 200)
}

/// What a person reads, with a bar between the parts.
fn words(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push('|');
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
    }
    while text.contains("||") {
        text = text.replace("||", "|");
    }
    text.replace("&#39;", "'").replace("&quot;", "\"")
}

/// The row of a table that begins with this.
fn row<'p>(page: &'p str, name: &str) -> &'p str {
    let begin = format!("<tr><th scope=\"row\">{name}");
    let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no row of {name} in {}", words(page)));
    let end = ["<tr>", "</tbody>"].into_iter().filter_map(|end| rest.find(end)).min().unwrap();
    &rest[..end]
}

fn has(page: &str, text: &str) {
    assert!(words(page).contains(text), "no {text:?} in {}", words(page));
}

#[test]
fn an_agent_is_told_with_its_last_heartbeat_and_what_came_of_all_of_them() {
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!(
        "internal_heartbeat = \"1h\"\n{WATCHED}[[agents]]\nname = \"pager\"\nscheme = \"token\"\nsecret_files = [\"token\"]\n\
         flows = [\"it\"]\n"
    ));
    edge_box.write_secret("token", "0123456789abcdef0123456789abcdef");
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    until("the daemon's own beat started it", || edge_box.runs().len() == 1 && !edge_box.has_open_runs());
    let beat = Heartbeat::new();
    assert_eq!(daemon.send(&beat).count("flows_triggered"), 0);
    assert!(daemon.send(&beat).is_duplicate());
    let shown = system(&edge_box);
    let heard = row(&shown, "default");
    assert!(heard.contains("<span data-agent=\"default\"><time datetime=\"20"), "{heard}");
    has(heard, "|standard-webhooks|heard|");
    assert!(words(heard).ends_with("|0|1|1|0"), "started, nothing due, known already, not recorded: {heard}");
    let never = row(&shown, "pager");
    has(never, "|token; may start one flow|never heard|\u{2013}|0|0|0|0");
    has(row(&shown, "internal"), "|the daemon itself, every 1h|heard|");
    assert!(words(row(&shown, "internal")).ends_with("|1|0|0|0"));

    assert_eq!(daemon.exchange(bearer("0123456789abcdef0123456789abcdef")).status, 200);
    has(row(&system(&edge_box), "pager"), "|heard|");
    daemon.stop();
    edge_box.configure(WATCHED);
    let _daemon = edge_box.start();
    let shown = system(&edge_box);
    has(row(&shown, "pager"), "|no longer configured|");
    has(row(&shown, "internal"), "|no longer configured|");
    has(row(&shown, "default"), "|heard|");
}

#[test]
fn what_was_refused_is_told_by_error_with_the_last_sender_and_what_to_do() {
    let edge_box = watched_box();
    let daemon = edge_box.start();
    let shown = system(&edge_box);
    has(&shown, "|Nothing was refused on the heartbeat port.|Nobody who looks on was refused.|");
    let (_, other) = Secret::generate(&[1; 32]);
    let ours = Heartbeat::new().to_bytes(&edge_box.secret);
    for source in [Ipv4Addr::new(127, 0, 0, 8), Ipv4Addr::new(127, 0, 0, 9)] {
        let mut wire = Wire::connect_from(source, daemon.port);
        wire.send(Heartbeat::new().to_bytes(&other));
        assert_eq!(wire.answer().error(), "signature_mismatch");
    }
    assert_eq!(daemon.exchange(ours).status, 200);
    let late = Heartbeat::new().signed_in(-4000);
    assert_eq!(daemon.send(&late).error(), "timestamp_too_old");
    assert_eq!(look(&edge_box, "/%3Cb%3E").status, 404);
    assert_eq!(look(&edge_box, "/x").status, 404);

    let shown = system(&edge_box);
    let mismatch = row(&shown, "<code>signature_mismatch");
    has(mismatch, "|2|");
    has(mismatch, "|127.0.0.9|The sender's secret is not ours");
    has(mismatch, "heartbeatd verify");
    assert!(!mismatch.contains("127.0.0.8"), "the last one: {mismatch}");
    let old = row(&shown, "<code>timestamp_too_old");
    has(old, "|1|");
    has(old, "behind this box's clock");
    has(&shown, "|The status port refused |not_found| 2\u{d7}.|");
    assert!(shown.find("timestamp_too_old") < shown.find("signature_mismatch"), "the last one first");
    let secret = edge_box.read("secret");
    assert!(!shown.contains(secret.trim()), "no secret is told");
}

#[test]
fn heartbeats_that_started_runs_are_listed_and_older_ones_follow() {
    let edge_box = watched_box();
    edge_box.script("one", "", "true");
    edge_box.script("two", "", "true");
    let mut daemon = edge_box.start();
    has(&system(&edge_box), "|None is on record.|");
    daemon.stop();
    edge_box.edit(
        "INSERT INTO agents (name, last_heartbeat_at) VALUES ('early', 1790000000000);
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
         INSERT INTO heartbeats (agent, heartbeat_id, received_at, flows_due, flows_triggered, flows_skipped, flows_deferred,
           first_run_id)
         SELECT 'early', '<' || i || '>', unixepoch() * 1000, 6, 1, 2, 3, 100 + i FROM n",
    );
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    let shown = system(&edge_box);
    assert!(shown.contains("<a href=\"/runs/1\">1</a> to <a href=\"/runs/2\">2</a>"), "{shown}");
    has(&shown, "|default|2|2|0|0|1| to |2|");
    has(&shown, "|early|6|1|2|3|125|&lt;25&gt;|");
    has(&shown, "&lt;7&gt;");
    assert!(!shown.contains("&lt;6&gt;") && !shown.contains("Newest"), "20 of them");
    let (_, older) = shown.split_once("<a rel=\"next\" href=\"").unwrap();
    let (older, _) = older.split_once("#heartbeats\"").unwrap();
    let shown = page(&edge_box, older, 200);
    has(&shown, "&lt;6&gt;");
    has(&shown, "&lt;1&gt;");
    assert!(!shown.contains("&lt;7&gt;") && !shown.contains("rel=\"next\"") && shown.contains("Newest"));
    for odd in ["/system?before=x", "/system?before=-1", "/system?before=99999999999999999999"] {
        has(&page(&edge_box, odd, 200), "&lt;25&gt;");
    }
}

/// Every leaf of a JSON value, by its path; those of lists are gathered under one.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Vec<Value>>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                leaves(member, &format!("{path}/{name}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().for_each(|item| leaves(item, &format!("{path}[]"), found));
        }
        leaf => found.entry(path.to_owned()).or_default().push(leaf.clone()),
    }
}

#[test]
fn all_that_status_tells_stands_on_the_page() {
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!("max_concurrent_runs = 1\n{WATCHED}{ALERTS_TO_NOBODY}after_failures = 1\n"));
    edge_box.script("bad", "", "exit 3");
    edge_box.script("held", "", "true");
    edge_box.script("long-1", "", "sleep 60");
    edge_box.script("long-2", "", "sleep 60");
    edge_box.script("off", "enabled = false", "true");
    edge_box.write("flows/broken.toml", "run_interval = \"x\"\n");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.patch("held", true).status, 200);
    daemon.beat();
    until("an alert is tried", || operator.status()["alerts"]["last_error"].is_string());
    edge_box.write("heartbeatd.toml", "listen = 3\n");
    assert_eq!(operator.ask("POST /reload").status, 409);
    edge_box.configure(&format!("max_concurrent_runs = 1\n{WATCHED}{ALERTS_TO_NOBODY}after_failures = 1\n"));

    let mut told = BTreeMap::new();
    let status = operator.status();
    leaves(&status, "", &mut told);
    let shown = system(&edge_box);
    let read = words(&shown);
    // Numbers stand beside their words.
    let beside = |path: &str, number: &str| match path {
        "/alert_counts/delivered" => format!("{number} delivered"),
        "/alert_counts/dropped" => format!("{number} dropped"),
        "/alert_counts/failed_attempts" => format!("{number} tries failed"),
        "/alert_counts/given_up" => format!("{number} given up"),
        "/alerts/open_total" => format!("|open|{number}|"),
        "/alerts/undelivered" => format!("|undelivered|{number}, the oldest of |"),
        "/failed_reloads" => format!("|reloads|{number} failed"),
        "/flows/due" => format!("{number} due"),
        "/flows/disabled" => format!("{number} disabled"),
        // By their definition, held or not.
        "/flows/enabled" => {
            let held = edge_box.number("SELECT count(*) FROM data_flows WHERE enabled AND held");
            format!("{} enabled", number.parse::<i64>().unwrap() - held)
        }
        "/flows/held" => format!("{number} held"),
        "/flows/total" => format!("|flows|{number}|"),
        "/runs/in_progress" => format!("{number} in progress"),
        "/runs/pending" => format!("{number} pending"),
        other => panic!("{other} is new: the page is to tell it as well"),
    };
    for (path, values) in &told {
        for value in values {
            match (path.as_str(), value) {
                // They move on, or are in other words.
                ("/uptime_s" | "/time", _) => has(&shown, "|state|serving for "),
                ("/clock_is_set", _) => has(&shown, "|clock|set: 20"),
                ("/database_bytes", _) => has(&shown, " of at most 256 MiB|"),
                ("/degraded", Value::Null) => has(&shown, "|state|can be written|"),
                (path, Value::Number(number)) => {
                    assert!(read.contains(&beside(path, &number.to_string())), "{path}: {number} in {read}");
                }
                (path, Value::String(text)) if path.ends_with("_at") || path.ends_with("since") => {
                    let time = format!("<time datetime=\"{}Z\">", &text[..19]);
                    assert!(shown.contains(&time), "{path}: {time} in {shown}");
                }
                (path, Value::String(text)) => assert!(read.contains(text), "{path}: {text:?} in {read}"),
                (path, other) => panic!("{path}: {other} is to be told as well"),
            }
        }
    }
    assert!(told.len() > 25, "there was something to compare: {told:?}");
    daemon.signal(rustix::process::Signal::INT);
}

#[test]
fn what_is_degraded_stands_on_every_page_with_what_to_do_until_it_is_mended() {
    let edge_box = EdgeBox::new();
    let settings = format!("{WATCHED}{ALERTS_TO_NOBODY}no_heartbeat_for = \"1s\"\n");
    edge_box.configure(&settings);
    for number in 1..=5 {
        edge_box
            .write(&format!("flows/broken-{number}.toml"), "[command]\nargv = []\nrun_interval = \"1h\"\n");
    }
    let daemon = edge_box.start();
    edge_box.write("heartbeatd.toml", "listen = <3\n");
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.ask("POST /reload").status, 409);
    until("an alert is not delivered", || words(&system(&edge_box)).contains("Alerts cannot be delivered:"));
    for path in ["/", "/system", "/flows/no-such-flow", "/runs/77"] {
        let shown = page(
            &edge_box,
            path,
            if path.starts_with("/flows") || path.starts_with("/runs") { 404 } else { 200 },
        );
        has(&shown, "|An agent is silent:| nothing for 1s and longer from default.|see that it runs");
        has(&shown, "|Alerts cannot be delivered:| 1 wait, and the last try failed.|see that their receiver");
        has(&shown, "|The last reload failed, and everything stayed as it was.|");
        has(&shown, "|A flow file cannot be used:|");
        has(&shown, "|Further flow files cannot be used:|");
        assert!(shown.contains("role=\"alert\""));
    }
    let shown = system(&edge_box);
    has(&shown, "things need attention|heartbeatd ");
    has(row(&shown, "default"), "|silent|\u{2013}|");
    has(&shown, "it wrote: no way");
    for number in 1..=5 {
        has(&shown, &format!("broken-{number}.toml"));
        edge_box.write(
            &format!("flows/broken-{number}.toml"),
            "run_interval = \"1h\"\n[command]\nargv = [\"true\"]\n",
        );
    }
    edge_box.configure(&settings.replace("exit 7", "exit 0").replace("1s", "1h"));
    assert_eq!(operator.ask("POST /reload").status, 200);
    daemon.beat();
    until("all is well", || {
        let shown = words(&page(&edge_box, "/", 200));
        !shown.contains("Alerts cannot") && !shown.contains("silent") && !shown.contains("reload failed")
    });
    let shown = system(&edge_box);
    let disk_is_low = shown.contains("The disk is nearly full");
    assert_eq!(shown.contains("role=\"alert\""), disk_is_low, "{}", words(&shown));
    has(&shown, if disk_is_low { "1 thing needs attention" } else { "|All is well with the box|" });
    has(&shown, "|reloads|1 failed since the start, but not the last one|");
}

#[test]
fn what_an_alert_command_wrote_is_hidden_where_output_is() {
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!("{WATCHED}output = false\n{ALERTS_TO_NOBODY}after_failures = 1\n"));
    edge_box.script("bad", "", "exit 3");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    until("a try failed", || words(&system(&edge_box)).contains("|the command ended with exit status 7|"));
    assert!(!system(&edge_box).contains("no way"));
}

#[test]
fn a_clock_that_is_not_set_stands_on_every_page() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = watched_box();
    let daemon = Daemon::start(&edge_box, |command| clock.set(command, "@1990-01-01 00:00:00"));
    assert_eq!(daemon.beat().error(), "clock_not_set");
    has(&page(&edge_box, "/", 200), "|The clock is not set:| signed heartbeats get 503 until it is.|");
    let shown = system(&edge_box);
    has(&shown, "|The clock is not set:|");
    has(&shown, "|clock|not set since the box was built: 1990-01-01T00:0");
    has(row(&shown, "<code>clock_not_set"), "|127.0.0.1|This box's clock was not set");
}

#[test]
fn how_long_something_is_gone_is_not_told_across_the_clocks_setting() {
    let Some(clock) = FakeClock::find() else { return };
    let edge_box = watched_box();
    edge_box.script("it", "", "true");
    edge_box.start().stop();
    edge_box.edit("UPDATE data_flows SET last_run_at = 1800000000000, next_run_at = 1800003600000");
    let daemon = Daemon::start(&edge_box, |command| clock.set(command, "@1990-01-01 00:00:00"));
    let told = page(&edge_box, "/flows/it", 200);
    has(&told, "|Last run|2027-01-15 08:00:00|");
    has(&told, "|Next run|2027-01-15 09:00:00|");
    assert!(!told.contains("datetime=\"2027"), "a script would make it relative: {told}");
    drop(daemon);
    let _daemon = Daemon::start(&edge_box, |command| clock.set(command, "@2027-01-15 08:10:00"));
    has(&page(&edge_box, "/flows/it", 200), "|Last run|10 min ago| |08:00:00|");
}

#[test]
fn while_the_database_cannot_be_opened_the_pages_tell_why_and_what_memory_knows() {
    let edge_box = watched_box();
    edge_box.start().stop();
    let other = Connection::open(edge_box.path("heartbeat.db")).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().status, 503);
    for path in ["/", "/system", "/flows/it"] {
        let shown = page(&edge_box, path, 503);
        has(&shown, "|The database cannot be opened yet, and heartbeats get 503.| cannot ");
        has(&shown, "let the program that holds the database");
        let agent = row(&shown, "default");
        has(agent, "|not known|");
        assert!(words(agent).ends_with("|0|0|0|1"), "it was not recorded: {agent}");
        has(row(&shown, "<code>storage_unavailable"), "|1|");
        has(&shown, "|size|not known while the database cannot be read|");
        has(&shown, "heartbeat.db");
        assert!(!shown.contains("None is on record"), "what is not known is not told");
    }
    drop(other);
    until("the database is open", || look(&edge_box, "/system").status == 200);
    let shown = system(&edge_box);
    assert!(!shown.contains("cannot be opened"));
    has(row(&shown, "default"), "|never heard|");
    has(&page(&edge_box, "/", 200), "No flow");
}

#[test]
fn on_a_full_disk_the_pages_answer_and_say_so() {
    if !can_mount() {
        return;
    }
    let edge_box = EdgeBox::new();
    edge_box.script("it", "run_interval = \"1s\"", "true");
    let (daemon, disk) = start_on_a_small_disk(&edge_box, "true");
    daemon.beat_and_wait();
    assert!(!page(&edge_box, "/", 200).contains("Nothing can be recorded"));
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    eventually("a heartbeat with something due", || (daemon.beat().status == 503).then_some(()));
    for path in ["/", "/system", "/flows/it"] {
        let shown = page(&edge_box, path, 200);
        has(&shown, "|Nothing can be recorded, and heartbeats get 503.| cannot ");
        has(&shown, "free some space; a running daemon then goes on by itself|");
        has(&shown, "|The disk is nearly full:| 0 B of 1.5 MiB are free where the database lies.|");
    }
    let shown = system(&edge_box);
    has(row(&shown, "default"), "|heard|");
    has(row(&shown, "<code>storage_full"), "|There was no room to record it.");
    has(&shown, "|disk|0 B free of 1.5 MiB|");
    has(&shown, "|state|cannot ");
    fs::remove_file(filler).unwrap();
    until("it is ready again", || daemon.get("/readyz").status == 200);
    assert!(!page(&edge_box, "/", 200).contains("Nothing can be recorded"));
}

#[test]
fn on_a_disk_that_turned_read_only_the_pages_answer_and_say_so() {
    if !can_inject() {
        return;
    }
    let edge_box = watched_box();
    edge_box.script("it", "", "while [ ! -e go ]; do sleep 0.02; done");
    let daemon = Daemon::start(&edge_box, |command| {
        command.arg("--dumpable");
    });
    daemon.beat();
    let mut tracer = inject(&edge_box, &daemon, "pwrite64", "error=EROFS");
    edge_box.write("go", "");
    until("it is told", || daemon.get("/readyz").status == 503);
    for path in ["/", "/system", "/runs/1"] {
        let shown = page(&edge_box, path, 200);
        has(&shown, "|Nothing can be recorded, and heartbeats get 503.| cannot ");
    }
    has(&system(&edge_box), "|default|1|1|0|0|1|");
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    until("it goes on by itself", || !page(&edge_box, "/", 200).contains("Nothing can be recorded"));
}

#[test]
fn a_database_near_its_limit_with_nothing_left_to_delete_is_told_though_nobody_gets_alerts() {
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!("[history]\ndatabase = \"8 MiB\"\n{WATCHED}"));
    edge_box.start().stop();
    edge_box.edit(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3300)
         INSERT INTO heartbeats (agent, received_at, flows_due, flows_triggered, flows_skipped, flows_deferred, first_run_id)
         SELECT hex(zeroblob(500)), unixepoch() * 1000, 1, 1, 0, 0, i FROM n",
    );
    let _daemon = edge_box.start();
    until("history was looked at", || page(&edge_box, "/", 200).contains("is near its limit"));
    let shown = system(&edge_box);
    has(
        &shown,
        "|The database is near its limit, with no history left to delete:| it may have 8.0 MiB.|raise database",
    );
    has(&shown, "cut back past 6.0 MiB; |nothing is left to delete|");
}
