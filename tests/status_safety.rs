//! The status port shows and does nothing else: to those who may look, under a name that is the box's, nothing of anybody's
//! that runs in a browser, no secret, and at nobody's cost.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rustix::process::Signal;
use std::fs;
use std::net::Ipv4Addr;
use support::daemon::Daemon;
use support::metrics::{Metrics, look, look_as, status_port, watched_box};
use support::page::{Markup, stands_alone};
use support::tools::tell_skipped;
use support::wire::{Answer, Wire};
use support::{EdgeBox, until};

const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What is there, and what is not.
const TARGETS: &[&str] = &[
    "/",
    "/?q=a&span=7d&page=2",
    "/flows/good",
    "/flows/none",
    "/runs/1",
    "/runs/999999",
    "/system",
    "/badge/good.svg",
    "/badge/good.json?span=7d",
    "/events",
    "/metrics",
    "/healthz",
    "/readyz",
    "/flowz",
];
const PAGES: &[&str] = &[
    "/",
    "/?q=good",
    "/?state=problems&span=90d",
    "/flows/good",
    "/flows/good?status=failed&before=9",
    "/flows/none",
    "/runs/1",
    "/runs/2",
    "/runs/999999",
    "/system",
    "/flowz",
    "/runs/x",
];
const HOSTILE: &str =
    "</pre></p><script>alert(1)</script><img src=x onerror=alert(1)>\"'`&amp;\u{202e}&#x3c;";

/// A box with a flow that went well and one that failed, and badges.
fn box_with_runs() -> (EdgeBox, Daemon) {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\nbadges = true\n");
    edge_box.script("good", "", "echo written by it");
    edge_box.script("bad", "", "echo why it failed; exit 3");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 2);
    until("every run has ended", || !edge_box.has_open_runs());
    (edge_box, daemon)
}

/// As a browser asks.
fn browse(edge_box: &EdgeBox, target: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    look_as(edge_box, Ipv4Addr::LOCALHOST, &request)
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// Every page of a box as a browser gets it, with what it is.
fn every_page(edge_box: &EdgeBox) -> Vec<(String, Answer)> {
    let mut targets: Vec<String> = PAGES.iter().map(|&target| target.to_owned()).collect();
    let database = edge_box.database();
    let mut names = database.prepare("SELECT name FROM data_flows").expect("read the flows");
    let names = names.query_map([], |row| row.get::<_, String>(0)).expect("read the flows");
    targets.extend(names.map(|name| format!("/flows/{}", name.expect("a name"))));
    targets.extend(edge_box.runs().iter().map(|run| format!("/runs/{}", run.id)));
    targets.into_iter().map(|target| (target.clone(), browse(edge_box, &target))).collect()
}

#[test]
fn only_those_on_the_list_see_anything_and_only_under_a_name_of_the_boxs() {
    let edge_box = EdgeBox::new();
    let settings = "[status]\nlisten = \"127.0.0.1:0\"\nwhitelisted_ips = [\"127.0.0.2\"]\nbadges = true\n";
    edge_box.configure(&format!("{settings}hosts = [\"box.example\"]\n"));
    edge_box.script("good", "", "true");
    let _daemon = edge_box.start();
    let ask = |source, method: &str, target: &str, host: &str| {
        look_as(&edge_box, source, &format!("{method} {target} HTTP/1.1\r\n{host}Accept: text/html\r\n\r\n"))
    };
    let wrong =
        ["evil.example", "localhost.evil.example", "box.example.", "127.0.0.1.nip.io", "2130706433", "[::1"];
    for target in TARGETS {
        let refused = ask(Ipv4Addr::LOCALHOST, "GET", target, "Host: localhost\r\n");
        assert_eq!((refused.status, refused.error().as_str()), (403, "address_not_allowed"), "{target}");
        for host in wrong {
            let refused = ask(OTHER, "GET", target, &format!("Host: {host}\r\n"));
            // What is no host at all is no request.
            let expected = if host == "[::1" { 400 } else { 421 };
            assert_eq!(refused.status, expected, "{target} as {host}");
            assert_eq!(refused.field("Content-Type"), Some("application/problem+json"), "{target} as {host}");
            assert!(!text(&refused).contains("good"), "{refused:?}");
        }
        let nameless = look_as(&edge_box, OTHER, &format!("GET {target} HTTP/1.0\r\n\r\n"));
        assert_eq!((nameless.status, nameless.error().as_str()), (421, "misdirected_request"), "{target}");
        assert!(text(&nameless).contains("the request names no host"), "{nameless:?}");
        let elsewhere = format!("http://evil.example{target}");
        assert_eq!(ask(OTHER, "GET", &elsewhere, "Host: localhost\r\n").status, 421, "{target}");
    }
    for host in ["localhost", "127.0.0.1:8788", "[::1]", "BOX.example:80"] {
        assert_eq!(ask(OTHER, "GET", "/", &format!("Host: {host}\r\n")).status, 200, "{host}");
    }
}

#[test]
fn one_who_is_taken_off_the_list_sees_no_more_on_a_connection_that_is_open() {
    let settings = |address: &str| {
        format!("[status]\nlisten = \"127.0.0.1:0\"\nwhitelisted_ips = [\"{address}\", \"127.0.0.3\"]\n")
    };
    let edge_box = EdgeBox::new();
    edge_box.configure(&settings("127.0.0.1"));
    edge_box.script("good", "", "true");
    let daemon = edge_box.start();
    let mut wire = Wire::connect(status_port(&edge_box));
    wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(wire.answer().status, 200);
    edge_box.configure(&settings("127.0.0.2"));
    daemon.signal(Signal::HUP);
    daemon.until_logged("reloaded");
    wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let refused = wire.answer();
    assert_eq!((refused.status, refused.error().as_str()), (403, "address_not_allowed"));
    assert!(!text(&refused).contains("good"), "{refused:?}");
}

#[test]
fn nothing_can_be_sent_to_any_page() {
    let (edge_box, _daemon) = box_with_runs();
    let before = edge_box.runs();
    for target in TARGETS {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let body = "held=true&name=good";
            let request = format!(
                "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = look_as(&edge_box, Ipv4Addr::LOCALHOST, &request);
            let is_there = look_as(
                &edge_box,
                Ipv4Addr::LOCALHOST,
                &format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            );
            match is_there.status {
                404 => assert_eq!(answer.status, 404, "{method} {target}"),
                _ => {
                    assert_eq!((is_there.status, answer.status), (204, 405), "{method} {target}");
                    for answer in [&answer, &is_there] {
                        assert_eq!(answer.field("Allow"), Some("GET, HEAD, OPTIONS"), "{method} {target}");
                    }
                }
            }
        }
    }
    assert_eq!(edge_box.runs(), before);
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flows WHERE held"), 0);
}

#[test]
fn looking_writes_nothing() {
    let (edge_box, _daemon) = box_with_runs();
    let files =
        || ["heartbeat.db", "heartbeat.db-wal"].map(|name| fs::read(edge_box.path(name)).expect("read it"));
    let written = || {
        let metrics = Metrics::of(&edge_box);
        metrics.find("heartbeatd_disk_written_bytes_total").and_then(|bytes| bytes.parse::<u64>().ok())
    };
    if written().is_none() {
        tell_skipped("by the kernel's account, of which it keeps none");
    }
    // Some time after its start the daemon looks for what is too old.
    until("hundreds of looks go by and nothing is written", || {
        let before = (files(), written());
        for _ in 0..30 {
            for target in TARGETS.iter().filter(|target| **target != "/events") {
                let status = browse(&edge_box, target).status;
                assert!([200, 404].contains(&status), "{target}: {status}");
            }
        }
        (files(), written()) == before
    });
}

#[test]
fn every_page_stands_alone_and_says_so_to_the_browser() {
    let (edge_box, _daemon) = box_with_runs();
    for (target, answer) in every_page(&edge_box) {
        let expected = match target.as_str() {
            "/flows/none" | "/runs/999999" | "/flowz" | "/runs/x" => 404,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{target}");
        stands_alone(&answer, &target);
    }
    let of_a_program = look(&edge_box, "/flowz");
    assert_eq!((of_a_program.status, of_a_program.error().as_str()), (404, "not_found"));
}

#[test]
fn a_page_that_cannot_be_made_stands_alone_as_well() {
    let edge_box = watched_box();
    edge_box.start().stop();
    let other = rusqlite::Connection::open(edge_box.path("heartbeat.db")).expect("open the database");
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("hold it");
    let _daemon = edge_box.start();
    for target in ["/", "/flows/good", "/runs/1", "/system", "/flowz"] {
        let answer = browse(&edge_box, target);
        assert_eq!(answer.status, 503, "{target}");
        stands_alone(&answer, target);
        let told = text(&answer);
        assert!(told.contains("role=\"alert\"") && told.contains("database is locked"), "{target}: {told}");
    }
    drop(other);
    until("it is open", || browse(&edge_box, "/").status == 200);
}

/// A box in which everything that somebody may have written is hostile.
fn hostile_box() -> (EdgeBox, Daemon) {
    let edge_box = watched_box();
    let description = format!("description = '''{}'''", HOSTILE.replace('\'', ""));
    edge_box.write("out", [HOSTILE.as_bytes(), b"\0\x1b[31m\xff\xfe\xc3(\xf0\x9f</script>\n"].concat());
    edge_box.script("good", &description, "cat DIR/out");
    edge_box.script("bad", &description, "cat DIR/out; exit 3");
    let source =
        "[source]\ntype = \"file\"\npath = 'DIR/<img src=x onerror=alert(1)>\"&.jsonl'\nmissing = \"fail\"\n";
    edge_box.flow("lost", &format!("{source}[sink]\ntype = \"file\"\npath = \"DIR/o.jsonl\"\n"));
    edge_box.start().stop();
    // No configuration has such an agent, but a database that came from elsewhere may.
    let quoted = HOSTILE.replace('\'', "''");
    edge_box
        .edit(&format!("INSERT INTO agents (name, last_heartbeat_at) VALUES ('{quoted}', 1795000000000)"));
    edge_box.write("flows/<script>alert(2)<b>.toml", "\"<script>alert(3)</script>\" = '<img src=x>'\n");
    let mut daemon = edge_box.start();
    daemon.beat_and_wait();
    until("every run has ended", || !edge_box.has_open_runs());
    daemon.stop();
    edge_box.edit(&format!("UPDATE data_flow_runs SET error_message = '{quoted}' WHERE exit_code = 3"));
    let daemon = edge_box.start();
    (edge_box, daemon)
}

#[test]
fn nothing_that_somebody_wrote_becomes_markup() {
    let (edge_box, _daemon) = hostile_box();
    let mut seen = String::new();
    for (target, answer) in every_page(&edge_box) {
        stands_alone(&answer, &target);
        seen.push_str(&text(&answer));
    }
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for target in [
        format!("/?q={encoded}"),
        format!("/?q={encoded}&state={encoded}&span={encoded}&page={encoded}"),
        "/?q=%00%ff%c3(%e2%80%ae%22%3E%3Cscript%3E".to_owned(),
        "/flows/%3Cscript%3Ealert(1)%3C/script%3E%22'onload=x".to_owned(),
        format!("/flows/{encoded}"),
        format!("/flows/good?status={encoded}&before={encoded}"),
        format!("/{encoded}"),
    ] {
        let answer = browse(&edge_box, &target);
        stands_alone(&answer, &target);
        let tags = Markup::of(&text(&answer)).tags;
        assert!(tags.iter().filter(|tag| tag.name == "script").count() == 1, "{target}");
        seen.push_str(&text(&answer));
    }
    // It is all there, as text: what was asked for, an output, an error, a fault of a flow file.
    for shown in [
        "value=\"&lt;/pre&gt;&lt;/p&gt;&lt;script&gt;",
        "&lt;/pre&gt;&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img",
        "&lt;img src=x onerror=alert(1)&gt;&quot;&amp;.jsonl",
        "&lt;script&gt;alert(2)&lt;b&gt;.toml",
    ] {
        assert!(seen.contains(shown), "{shown}");
    }
}

#[test]
fn outputs_are_hidden_where_the_operator_says_so() {
    let edge_box = watched_box();
    // Not in the definition, which is shown all the same.
    edge_box.write("out", "MARK-of-output\n");
    edge_box.script("good", "", "cat DIR/out");
    edge_box.script("bad", "", "cat DIR/out; exit 3");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    until("every run has ended", || !edge_box.has_open_runs());
    let marked = || {
        let pages = every_page(&edge_box).into_iter();
        pages
            .filter(|(_, answer)| text(answer).contains("MARK-of-output"))
            .map(|(target, _)| target)
            .collect()
    };
    let shown: Vec<String> = marked();
    assert!(shown.contains(&"/".to_owned()), "the list shows why a flow fails: {shown:?}");
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\noutput = false\n");
    daemon.signal(Signal::HUP);
    daemon.until_logged("reloaded");
    assert_eq!(marked(), Vec::<String>::new());
    assert!(text(&browse(&edge_box, "/")).contains("status 3"), "why it failed is told all the same");
}

#[test]
fn no_secret_is_in_any_page() {
    let edge_box = EdgeBox::new();
    let [token, field, key, alert] =
        ["tok", "fld", "key", "alt"].map(|name| format!("{name}-5ec2e7-0123456789abcdef0123456789"));
    edge_box.configure(
        "[status]\nlisten = \"127.0.0.1:0\"\nbadges = true\n[alerts]\nurl = \"http://127.0.0.1:9/\"\n\
         secret_file = \"alert\"\n[[agents]]\nname = \"other\"\nscheme = \"token\"\nsecret_files = [\"token\"]\n",
    );
    edge_box.write_secret("token", &token);
    edge_box.write_secret("field", &format!("Bearer {field}"));
    edge_box.write_secret("alert", "whsec_YWx0LTVlYzJlNy0wMTIzNDU2Nzg5YWJjZGVm");
    edge_box.write_secret("variables", &format!("API_KEY={key}\n"));
    let secrets = [token.as_str(), &field, &key, &alert, "YWx0LTVlYzJlNy0wMTIz", "hunter2-in-a-header"];
    edge_box.flow(
        "good",
        "[command]\nargv = [\"/bin/true\"]\nenvironment = { API_TOKEN = \"hunter2-in-a-header\" }\n\
         environment_file = \"DIR/variables\"\n",
    );
    edge_box.flow(
        "bad",
        "[source]\ntype = \"http\"\nurl = \"http://127.0.0.1:9/x\"\nheaders = { X-Api-Key = \"hunter2-in-a-header\" }\n\
         header_files = { Authorization = \"DIR/field\" }\n[sink]\ntype = \"file\"\npath = \"DIR/o.jsonl\"\n",
    );
    edge_box
        .flow("typo", "[command]\nargv = [\"/bin/true\"]\nenvironment = \"API_TOKEN=hunter2-in-a-header\"\n");
    edge_box.flow(
        "slip",
        "[command]\nargv = [\"/bin/true\"]\nenvironment = { \"API_TOKEN=hunter2-in-a-header\" = \"\" }\n",
    );
    let daemon = edge_box.start();
    daemon.beat();
    until("every run has ended", || !edge_box.has_open_runs());
    assert!(text(&look(&edge_box, "/")).contains("is not a table"), "what is wrong is told");
    let of_the_box = edge_box.read("secret");
    let key_material = of_the_box.trim().trim_start_matches("whsec_").to_owned();
    let wrong = format!("Authorization: Bearer {token}x\r\n");
    assert_eq!(daemon.exchange(support::heartbeat::Heartbeat::new().with_proof(&wrong)).status, 401);
    let mut pages = every_page(&edge_box);
    for target in ["/metrics", "/badge/good.svg", "/badge/bad.json", "/badge/none.json"] {
        pages.push((target.to_owned(), look(&edge_box, target)));
    }
    for (target, answer) in pages {
        let page = text(&answer);
        for secret in secrets.iter().copied().chain([key_material.as_str()]) {
            assert!(!page.contains(secret) && !answer.head.contains(secret), "{target} has {secret}");
        }
    }
}

#[test]
fn a_head_is_the_same_without_the_content() {
    let (edge_box, _daemon) = box_with_runs();
    for target in TARGETS.iter().filter(|target| **target != "/events") {
        let names = |answer: &Answer| {
            let is_of_the_moment =
                |line: &&str| line.starts_with("Date") || line.starts_with("Content-Length");
            answer.head.lines().filter(|line| !is_of_the_moment(line)).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut wire = Wire::connect(status_port(&edge_box));
        let request = format!("{target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wire.send(format!("HEAD {request}GET {request}GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let head = wire.head();
        let whole = wire.answer();
        assert_eq!(names(&head), names(&whole), "{target}");
        let length =
            |answer: &Answer| answer.field("Content-Length").and_then(|text| text.parse::<usize>().ok());
        assert_eq!(length(&whole), Some(whole.body.len()), "{target}");
        assert!(length(&head) > Some(0), "{target}");
        assert_eq!(wire.answer().json()["status"], "ok", "{target}");
    }
}

#[test]
fn odd_and_long_queries_are_answered_calmly() {
    let (edge_box, _daemon) = box_with_runs();
    let long = |bytes: usize| format!("/?q={}", "a".repeat(bytes - 4));
    for target in [
        long(8 * 1024),
        format!("/?{}", "&=".repeat(4000)),
        format!("/?{}", "q=%e2%80%ae&".repeat(600)),
        format!("/flows/{}", "a".repeat(8000)),
        "/?q=%zz%&%=%2&page=999999&span=%00&state=;--".to_owned(),
        "/?page=18446744073709551616".to_owned(),
        "/?page=65535&q=%".to_owned(),
        "/?%00".to_owned(),
        "/flows/good?before=-1&before=99999999999999999999&status=%F0%9F".to_owned(),
        "/runs/9223372036854775807".to_owned(),
        "/runs/9223372036854775808".to_owned(),
        "/badge/.svg".to_owned(),
        format!("/badge/{}.svg?span=%", "a".repeat(8000)),
    ] {
        let answer = browse(&edge_box, &target);
        assert!([200, 404].contains(&answer.status), "{target:.60}: {}", answer.status);
        assert!(answer.body.len() < 60 * 1024, "{target:.60} has {} bytes", answer.body.len());
    }
    assert_eq!(browse(&edge_box, &long(8 * 1024 + 1)).status, 414);
    assert_eq!(browse(&edge_box, &long(16 * 1024)).status, 414);
    assert_eq!(browse(&edge_box, "/").status, 200);
}

#[test]
fn pages_that_are_asked_for_at_once_on_one_connection_come_in_order() {
    let (edge_box, _daemon) = box_with_runs();
    let mut wire = Wire::connect(status_port(&edge_box));
    let targets =
        ["/", "/healthz", "/runs/1", "/nothing", "/metrics", "/flows/none", "/badge/good.svg", "/runs/2"];
    let marks = [
        "<title>1 problem",
        "\"ok\"",
        "<title>Run 1 ",
        "\"not_found\"",
        "# HELP",
        "no flow <code>none",
        "<title>good: fine",
        "<title>Run 2 ",
    ];
    for _ in 0..5 {
        let requests =
            targets.iter().map(|target| format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        wire.send(requests.collect::<String>());
        for (target, mark) in targets.iter().zip(marks) {
            let answer = wire.answer();
            assert!(text(&answer).contains(mark), "{target}: {}", text(&answer));
        }
    }
}

#[test]
fn a_viewer_who_leaves_before_the_page_is_made_costs_nothing() {
    let (edge_box, daemon) = box_with_runs();
    let port = status_port(&edge_box);
    for round in 0..40 {
        let mut wires: Vec<Wire> = (0..8).map(|_| Wire::connect(port)).collect();
        for wire in &mut wires {
            let _hung_up_already =
                wire.try_send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1 + round % 3));
        }
    }
    // As long as those who left are not all taken in, who asks may be turned away.
    until("only who asks is there", || {
        Metrics::asked_of(&edge_box)
            .is_some_and(|metrics| metrics.count("heartbeatd_connections{listener=\"status\"}") == 1)
    });
    assert_eq!(browse(&edge_box, "/").status, 200);
    assert_eq!(daemon.beat().status, 200);
}

#[test]
fn many_who_look_at_once_are_bounded_and_hold_up_no_heartbeat() {
    let (edge_box, daemon) = box_with_runs();
    let port = status_port(&edge_box);
    let mut wires: Vec<Wire> = (0..40).map(|_| Wire::connect(port)).collect();
    let page = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for wire in &mut wires {
        // Who is turned away may be so before it has asked.
        let _turned_away = wire.try_send(page.repeat(20));
    }
    for _ in 0..20 {
        assert_eq!(daemon.beat().status, 200);
    }
    let mut served = 0;
    for wire in &mut wires {
        let Ok(first) = wire.try_answer() else { continue };
        assert!([200, 503].contains(&first.status), "{first:?}");
        if first.status == 200 {
            served += 1;
            for _ in 1..20 {
                assert_eq!(wire.answer().status, 200);
            }
        }
    }
    assert!(served > 0, "those who have room are served");
    drop(wires);
    assert_eq!(browse(&edge_box, "/").status, 200);
}
