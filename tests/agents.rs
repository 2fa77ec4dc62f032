//! Other agents than the one of the top level: each is known by its own scheme and secrets, and does no more than it may.

mod support;

use heartbeat_runtime::auth::Secret;
use heartbeat_runtime::time::Wall;
use std::net::Ipv4Addr;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::operator::Operator;
use support::signing::{bearer, github, grafana, hmac_hex, with};
use support::tools::can_run;
use support::wire::{Answer, Wire};
use support::{EdgeBox, until};

const HUB: &str = "It's a Secret to Everybody";
const GRAFANA: &str = "grafana-shared-secret";
const TOKEN: &str = "gatus-0123456789abcdef";

fn own_secret() -> (String, Secret) {
    let (text, secret) = Secret::generate(&[7; 32]);
    (text.to_string(), secret)
}

/// The table of an agent; its secret stands in a file of its name.
fn agent(name: &str, scheme: &str, keys: &str) -> String {
    format!("[[agents]]\nname = \"{name}\"\nscheme = \"{scheme}\"\nsecret_files = [\"{name}\"]\n{keys}\n")
}

/// A box with an agent of each scheme and a flow that is due each second.
fn box_of_all() -> EdgeBox {
    let edge_box = EdgeBox::new();
    let schemes =
        [("other", "standard-webhooks"), ("hub", "github"), ("grafana", "grafana"), ("gatus", "token")];
    edge_box.configure(&schemes.map(|(name, scheme)| agent(name, scheme, "")).concat());
    for (name, text) in
        [("other", own_secret().0.as_str()), ("hub", HUB), ("grafana", GRAFANA), ("gatus", TOKEN)]
    {
        edge_box.write_secret(name, text);
    }
    edge_box.script("it", "run_interval = \"1s\"", "true");
    edge_box
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

fn unauthorized(error: &str) -> (u16, String) {
    (401, error.to_owned())
}

/// Sends until the flow is due again and a run was started.
fn until_triggered(daemon: &Daemon, request: impl Fn(u32) -> Vec<u8>) -> Answer {
    let mut tries = 0;
    support::eventually("a run is started", || {
        tries += 1;
        Some(daemon.exchange(request(tries))).filter(|answer| answer.count("flows_triggered") == 1)
    })
}

fn from(daemon: &Daemon, source: [u8; 4], request: impl AsRef<[u8]>) -> Answer {
    let mut wire = Wire::connect_from(Ipv4Addr::from(source), daemon.port);
    wire.send(request);
    wire.answer()
}

#[test]
fn each_scheme_starts_runs_and_its_agent_stands_in_heartbeat_run_log_and_status() {
    let edge_box = box_of_all();
    let daemon = edge_box.start();
    let secret = own_secret().1;
    type Request<'a> = &'a dyn Fn(u32) -> Vec<u8>;
    let senders: [(&str, Request<'_>); 5] = [
        ("default", &|_| Heartbeat::new().wait(20).to_bytes(&edge_box.secret)),
        ("other", &|_| Heartbeat::new().wait(20).to_bytes(&secret)),
        ("hub", &|n| github(HUB, &format!("delivery-{n}"), "payload={}")),
        ("grafana", &|n| grafana(GRAFANA, 0, &format!("{{\"n\":{n}}}"))),
        ("gatus", &|_| bearer(TOKEN)),
    ];
    for (name, request) in senders {
        let answer = until_triggered(&daemon, request);
        let run = answer.run_ids()[0];
        assert_eq!(answer.json()["runs"][0]["status"], "success", "{answer:?}");
        let of_run = format!("SELECT count(*) FROM data_flow_runs WHERE id = {run} AND agent = '{name}'");
        assert_eq!(edge_box.number(&of_run), 1, "{name}");
        let of_heartbeat =
            format!("SELECT count(*) FROM heartbeats WHERE first_run_id = {run} AND agent = '{name}'");
        assert_eq!(edge_box.number(&of_heartbeat), 1, "{name}");
        daemon.until_logged(&format!("agent={name}"));
    }
    let status = Operator::of(&edge_box).json("GET /status");
    let heard: Vec<_> = status["agents"].as_array().expect("a list").iter().map(|it| &it["agent"]).collect();
    assert_eq!(heard, ["default", "gatus", "grafana", "hub", "other"]);
}

#[test]
fn a_gatus_that_sends_its_token_in_the_original_s_header_is_heard() {
    let edge_box = box_of_all();
    let daemon = edge_box.start();
    assert_eq!(daemon.exchange(with(&format!("X-Heartbeat-Token: {TOKEN}\r\n"), "")).status, 200);
    let top_level = with(&format!("Authorization: bearer {TOKEN}\r\nX-Heartbeat-Token: {TOKEN}\r\n"), "");
    assert_eq!(refusal(&daemon.exchange(top_level)), unauthorized("signature_malformed"));
}

#[test]
fn what_proves_nothing_is_refused_with_the_check_that_failed() {
    let edge_box = box_of_all();
    let daemon = edge_box.start();
    let mismatch = "signature_mismatch";
    let unsigned_time = format!("X-Grafana-Alerting-Signature: {}\r\n", hmac_hex(GRAFANA, &["{}"]));
    let twice = format!("X-Hub-Signature-256: sha256={}\r\n", hmac_hex(HUB, &["{}"])).repeat(2);
    let tampered = |request: Vec<u8>, from: &str, to: &str| {
        String::from_utf8(request).expect("text").replace(from, to).into_bytes()
    };
    for (what, request, error) in [
        ("another's secret", github(GRAFANA, "d", "{}"), mismatch),
        ("another body", tampered(github(HUB, "d", "{\"a\":1}"), "{\"a\":1}", "{\"a\":2}"), mismatch),
        ("SHA-1", tampered(github(HUB, "d", "{}"), "sha256=", "sha1="), "signature_malformed"),
        ("no secret at the webhook", with("X-GitHub-Delivery: d\r\n", "{}"), "signature_missing"),
        ("repeated", with(&twice, "{}"), "signature_malformed"),
        ("too late", grafana(GRAFANA, -600, "{}"), "timestamp_too_old"),
        ("too early", grafana(GRAFANA, 600, "{}"), "timestamp_too_new"),
        ("forged and late", grafana(HUB, -600, "{}"), mismatch),
        ("no time", with(&unsigned_time, "{}"), "signature_missing"),
        ("a part of the token", bearer("gatus-0123456789abcde"), "token_mismatch"),
        ("the secret as a token", bearer("grafana-shared-secret"), "token_mismatch"),
        ("another authorization", with("Authorization: Basic Z2F0dXM6eA==\r\n", "{}"), "signature_missing"),
    ] {
        assert_eq!(refusal(&daemon.exchange(request)), unauthorized(error), "{what}");
    }
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs"), 0);
    let log = daemon.log();
    for word in [HUB, GRAFANA, TOKEN, &hmac_hex(HUB, &["{}"]), "gatus-0123456789abcde"] {
        assert!(!log.contains(word), "the log tells {word}");
    }
}

#[test]
fn an_expired_secret_is_refused_and_the_one_beside_it_goes_on() {
    let edge_box = box_of_all();
    let until = |seconds: i64| Wall::from_seconds(now_s() + seconds).rfc3339();
    let (ended, lasts) = (until(-1), until(3600));
    for (name, old, new) in [("hub", HUB, "a new one with spaces"), ("gatus", TOKEN, "a-new-one-of-its-own")]
    {
        edge_box.write_secret(name, &format!("# in rotation\n{old} until={ended}\n{new} until={lasts}"));
    }
    let daemon = edge_box.start();
    assert_eq!(refusal(&daemon.exchange(github(HUB, "d", "{}"))), unauthorized("signature_mismatch"));
    assert_eq!(daemon.exchange(github("a new one with spaces", "d", "{}")).status, 200);
    assert_eq!(refusal(&daemon.exchange(bearer(TOKEN))), unauthorized("token_mismatch"));
    assert_eq!(daemon.exchange(bearer("a-new-one-of-its-own")).status, 200);
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("warning: agent hub: a secret ended at {ended}")), "{said}");
    assert!(said.contains(&format!("agent hub: github, 2 secrets, one ends at {lasts}")), "{said}");
}

#[test]
fn an_agent_is_heard_from_its_own_addresses_and_from_no_other_s() {
    let edge_box = box_of_all();
    edge_box.configure(&format!(
        "{}{}",
        agent("hub", "github", "whitelisted_ips = [\"127.0.0.2\"]"),
        agent("gatus", "token", "whitelisted_ips = [\"127.0.0.3\"]"),
    ));
    let settings = edge_box.read("heartbeatd.toml");
    edge_box.write("heartbeatd.toml", format!("whitelisted_ips = [\"127.0.0.1\"]\n{settings}"));
    let daemon = edge_box.start();
    let (by_hub, by_gatus) = (github(HUB, "d", "{}"), bearer(TOKEN));
    let by_default = || Heartbeat::new().to_bytes(&edge_box.secret);
    let not_allowed = (403, "address_not_allowed".to_owned());

    assert_eq!(from(&daemon, [127, 0, 0, 2], &by_hub).status, 200);
    assert_eq!(from(&daemon, [127, 0, 0, 3], &by_gatus).status, 200);
    assert_eq!(from(&daemon, [127, 0, 0, 1], by_default()).status, 200);
    for (source, request, agent) in [
        ([127, 0, 0, 3], by_hub.clone(), "hub"),
        ([127, 0, 0, 1], by_hub.clone(), "hub"),
        ([127, 0, 0, 2], by_gatus.clone(), "gatus"),
        ([127, 0, 0, 1], by_gatus.clone(), "gatus"),
        ([127, 0, 0, 2], by_default(), "default"),
    ] {
        assert_eq!(refusal(&from(&daemon, source, request)), not_allowed, "{agent} from {source:?}");
        let [a, b, c, d] = source;
        let line = format!("client={a}.{b}.{c}.{d} error=address_not_allowed agent={agent}");
        let is_told = || daemon.log().lines().any(|it| line.split(' ').all(|word| it.contains(word)));
        until(&line, is_told);
    }
    // From nobody's address not a byte is read: the answer comes before the request.
    let mut stranger = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 4), daemon.port);
    assert_eq!(refusal(&stranger.answer()), not_allowed);
    let wrong = github(GRAFANA, "d", "{}");
    assert_eq!(refusal(&from(&daemon, [127, 0, 0, 2], wrong)), unauthorized("signature_mismatch"));
}

#[test]
fn behind_a_trusted_proxy_the_agent_s_own_address_counts() {
    let edge_box = box_of_all();
    let settings = "whitelisted_ips = [\"10.0.0.1\"]\ntrusted_proxies = [\"127.0.0.1\"]\n";
    edge_box
        .configure(&format!("{settings}{}", agent("hub", "github", "whitelisted_ips = [\"192.0.2.0/24\"]")));
    let daemon = edge_box.start();
    let delivery = |client: &str| {
        let signature = hmac_hex(HUB, &["{}"]);
        with(&format!("X-Forwarded-For: {client}\r\nX-Hub-Signature-256: sha256={signature}\r\n"), "{}")
    };
    assert_eq!(daemon.exchange(delivery("192.0.2.9")).status, 200);
    assert_eq!(daemon.exchange(delivery("10.0.0.1")).error(), "address_not_allowed");
    assert_eq!(daemon.exchange(delivery("10.0.0.2")).error(), "address_not_allowed");
}

#[test]
fn an_agent_starts_and_counts_only_its_own_flows_and_writes_nothing_for_another_s() {
    let edge_box = box_of_all();
    edge_box.configure(&format!(
        "{}{}",
        agent("hub", "github", "flows = [\"mine\", \"shared\", \"to-come\"]"),
        agent("gatus", "token", "flows = [\"shared\"]"),
    ));
    std::fs::remove_file(edge_box.path("flows/it.toml")).expect("remove a flow");
    for flow in ["mine", "shared", "yours"] {
        edge_box.script(flow, "", "true");
    }
    let daemon = edge_box.start();
    let counts =
        |answer: &Answer| ["flows_due", "flows_triggered", "flows_skipped"].map(|name| answer.count(name));
    assert_eq!(counts(&daemon.exchange(bearer(TOKEN))), [1, 1, 0]);
    let first = daemon.exchange(github(HUB, "d1", "{}"));
    assert_eq!(counts(&first), [1, 1, 0]);
    assert_eq!(first.json()["runs"][0]["flow"], "mine");

    // `yours` is due all the time: that is nothing to either of them.
    let database = edge_box.database();
    let version =
        || database.query_row("PRAGMA data_version", [], |row| row.get::<_, i64>(0)).expect("read it");
    until("what was started has ended", || !edge_box.has_open_runs());
    let before = version();
    for n in 0..20 {
        assert_eq!(counts(&daemon.exchange(github(HUB, &format!("idle-{n}"), "{}"))), [0, 0, 0]);
        assert_eq!(counts(&daemon.exchange(bearer(TOKEN))), [0, 0, 0]);
    }
    assert_eq!(version(), before, "an idle heartbeat writes nothing");
    let again = daemon.exchange(github(HUB, "d1", "{}"));
    assert!(again.is_duplicate());
    assert_eq!(again.run_ids(), first.run_ids(), "a retry is told what its own heartbeat started");
    assert_eq!(counts(&daemon.beat()), [1, 1, 0], "the default agent may start all");
    assert_eq!(edge_box.ended_run("yours").status, "success");
}

#[test]
fn a_locked_flow_of_another_is_not_counted_as_skipped() {
    let edge_box = box_of_all();
    edge_box.configure(&agent("hub", "github", "flows = [\"mine\"]"));
    edge_box.script("it", "run_interval = \"1s\"", "while [ ! -e go ]; do sleep 0.02; done");
    edge_box.script("mine", "", "true");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    until("the flow is due again, and locked", || daemon.beat().count("flows_skipped") == 1);
    let answer = daemon.exchange(github(HUB, "d", "{}"));
    assert_eq!((answer.count("flows_due"), answer.count("flows_skipped")), (0, 0));
    edge_box.write("go", "");
}

#[test]
fn a_delivery_that_github_sends_again_starts_nothing_twice_also_after_a_restart() {
    let edge_box = box_of_all();
    let settings = format!("{}{}", agent("hub", "github", ""), agent("forge", "github", ""));
    edge_box.configure(&settings);
    edge_box.write_secret("forge", "another secret of sixteen");
    let mut daemon = edge_box.start();
    let first = daemon.exchange(github(HUB, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "{}"));
    assert_eq!(first.count("flows_triggered"), 1);
    let retry = |daemon: &Daemon| {
        let answer = daemon.exchange(github(HUB, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "{}"));
        assert!(answer.is_duplicate());
        assert_eq!(answer.run_ids(), first.run_ids());
    };
    retry(&daemon);
    daemon.stop();
    let daemon = edge_box.start();
    retry(&daemon);
    let mine = || github("another secret of sixteen", "72d3162e-cc78-11e3-81ab-4c9367dc0958", "{}");
    assert!(!daemon.exchange(mine()).is_duplicate(), "ids are each agent's own");
    assert!(daemon.exchange(mine()).is_duplicate());
}

#[test]
fn a_captured_notification_of_grafana_s_starts_nothing_again() {
    let edge_box = box_of_all();
    let daemon = edge_box.start();
    let captured = grafana(GRAFANA, 0, "{\"status\":\"firing\"}");
    assert_eq!(daemon.exchange(&captured).count("flows_triggered"), 1);
    until("the flow is due again", || {
        edge_box.number("SELECT next_run_at FROM data_flows") <= now_s() * 1000
    });
    assert!(daemon.exchange(&captured).is_duplicate());
    assert_eq!(edge_box.runs().len(), 1);
    let answer = daemon.exchange(grafana(GRAFANA, 1, "{\"status\":\"firing\"}"));
    assert_eq!(answer.count("flows_triggered"), 1, "the next one is signed anew");
}

#[test]
fn a_secret_of_two_agents_is_refused_and_both_places_are_named() {
    let own = own_secret().0;
    for (first, second) in [("other", "whsec"), ("hub", "grafana"), ("hub", "gatus")] {
        let edge_box = box_of_all();
        let text = if first == "other" { own.as_str() } else { "a-secret-of-two-agents" };
        edge_box.write_secret(first, text);
        match second {
            "whsec" => edge_box.write_secret("secret", text),
            other => edge_box.write_secret(other, text),
        }
        let (code, said) = Daemon::refused(&edge_box, |_| {});
        assert_eq!(code, Some(78), "{said}");
        for file in [first, if second == "whsec" { "secret" } else { second }] {
            assert!(said.contains(edge_box.path(file).to_str().expect("a path")), "{file}: {said}");
        }
        assert!(!said.contains(text.trim_start_matches("whsec_")), "{said}");
    }
}

#[test]
fn an_agent_alone_needs_no_secret_of_the_top_level() {
    let edge_box = box_of_all();
    std::fs::remove_file(edge_box.path("secret")).expect("remove the secret");
    let daemon = edge_box.start();
    assert_eq!(daemon.exchange(bearer(TOKEN)).count("flows_triggered"), 1);
    assert_eq!(refusal(&daemon.beat()), unauthorized("signature_mismatch"));
}

#[test]
fn a_reload_takes_agents_up_and_forgets_those_that_are_gone() {
    let edge_box = box_of_all();
    let settings = edge_box.read("heartbeatd.toml");
    edge_box.configure("");
    let daemon = edge_box.start();
    assert_eq!(daemon.exchange(bearer(TOKEN)).error(), "signature_missing");
    edge_box.write("heartbeatd.toml", &settings);
    assert_eq!(Operator::of(&edge_box).ask("POST /reload").status, 200);
    assert_eq!(daemon.exchange(bearer(TOKEN)).status, 200);
    assert_eq!(daemon.exchange(github(HUB, "d", "{}")).status, 200);
    let broken = settings.replace("\"github\"", "\"gihub\"");
    edge_box.write("heartbeatd.toml", broken);
    let answer = Operator::of(&edge_box).ask("POST /reload");
    assert!(String::from_utf8_lossy(&answer.body).contains("agents[2].scheme"), "{answer:?}");
    assert_eq!(daemon.exchange(github(HUB, "e", "{}")).status, 200, "a bad file changes nothing");
    edge_box.configure(&agent("gatus", "token", ""));
    assert_eq!(Operator::of(&edge_box).ask("POST /reload").status, 200);
    assert_eq!(daemon.exchange(github(HUB, "f", "{}")).error(), "signature_missing");
    assert_eq!(daemon.exchange(bearer(TOKEN)).status, 200);
}

#[test]
fn check_says_of_each_agent_what_it_is_and_whether_it_can_be_replayed() {
    let edge_box = box_of_all();
    let untimed = agent("untimed", "grafana", "timestamp_header = \"\"\nflows = [\"it\", \"nothing\"]");
    let settings = edge_box.read("heartbeatd.toml");
    edge_box.write("heartbeatd.toml", format!("{settings}{untimed}"));
    edge_box.write_secret("untimed", "another secret of grafana's");
    let (code, said) = edge_box.command(&["check"]);
    assert_eq!(code, Some(0), "{said}");
    let replay = "; a captured request can be replayed\n";
    for line in [
        "agent other: standard-webhooks, 1 secret\n",
        "agent grafana: grafana, 1 secret\n",
        &format!("agent hub: github, 1 secret{replay}"),
        &format!("agent untimed: grafana, 1 secret{replay}"),
        &format!("agent gatus: token, 1 token{replay}"),
        "warning: agent untimed: there is no flow `nothing`\n",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!said.contains("no flow `it`"), "{said}");
    let (_, said) = edge_box.command(&["check", "--json"]);
    let verdict: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let agents = verdict["agents"].as_array().expect("a list");
    let of = |agent: &serde_json::Value| (agent["name"].to_string(), agent["replayable"] == true);
    let expected = [("default", false), ("other", false), ("hub", true), ("grafana", false), ("gatus", true)];
    let expected = expected.map(|(name, replayable)| (format!("\"{name}\""), replayable));
    assert_eq!(agents.iter().take(5).map(of).collect::<Vec<_>>(), expected, "{said}");
}

#[test]
fn a_captured_request_of_any_agent_is_judged_offline() {
    let edge_box = box_of_all();
    edge_box.configure(&agent("hub", "github", "whitelisted_ips = [\"192.0.2.1\"]"));
    edge_box.write("captured", github(HUB, "d", "{}"));
    let file = edge_box.path("captured");
    let arguments = ["verify", file.to_str().expect("a path")];
    let (code, said) = edge_box.command(&arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("credentials, agent hub"), "{said}");
    edge_box.write("captured", github(GRAFANA, "d", "{}"));
    let (code, said) = edge_box.command(&arguments);
    assert_eq!(code, Some(77), "{said}");
    assert!(said.contains("signature_mismatch"), "{said}");
}

#[test]
fn the_agents_that_the_guide_shows_are_valid() {
    let guide = support::guide::Guide::of("docs/agents.md");
    let (shown, others): (Vec<_>, Vec<_>) =
        support::guide::blocks(guide.text()).into_iter().partition(|it| it.language == "toml");
    assert_eq!(shown.len(), 4);
    let makes = others.iter().find(|it| it.text.contains("github-secret")).expect("a command makes a secret");
    for agent in shown {
        let edge_box = EdgeBox::new();
        edge_box.configure(agent.text);
        let file = agent.text.split_once("secret_files = [\"").and_then(|(_, rest)| rest.split('"').next());
        let makes = makes.text.replace("github-secret", file.expect("it has a secret"));
        support::guide::done(&makes, &edge_box.path(""));
        let (code, said) = edge_box.command(&["check"]);
        assert_eq!(code, Some(0), "{}: {said}", agent.text);
    }
}

#[test]
fn the_guide_s_command_is_heard() {
    if !can_run("curl", &["--version"]) {
        return;
    }
    let edge_box = box_of_all();
    let daemon = edge_box.start();
    let guide = include_str!("../docs/agents.md");
    let command = guide.lines().find(|line| line.starts_with("curl ")).expect("the guide has a command");
    let command = command.replace("box:8787", &format!("127.0.0.1:{}", daemon.port));
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &command.replace("cat token", "cat gatus")]).current_dir(edge_box.path(""));
    let output = shell.output().expect("run a shell");
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains("\"flows_due\""), "{command}: {answer}");
}

#[test]
fn a_secret_file_that_is_missing_is_told_with_how_it_is_made() {
    let edge_box = EdgeBox::new();
    edge_box.configure(&agent("hub", "github", ""));
    let (code, said) = edge_box.command(&["check"]);
    assert!(
        code == Some(78) && said.contains("hub: does not exist") && said.contains("openssl rand -hex 32"),
        "{said}"
    );
}

#[test]
fn without_authentication_agents_are_not_looked_at_and_check_says_so() {
    let edge_box = box_of_all();
    let settings = edge_box.read("heartbeatd.toml");
    edge_box.write("heartbeatd.toml", format!("authentication_enabled = false\n{settings}"));
    let daemon = edge_box.start();
    assert_eq!(daemon.exchange(with("", "{}")).count("flows_triggered"), 1);
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs WHERE agent = 'default'"), 1);
    let (_, said) = edge_box.command(&["check"]);
    assert!(said.contains("what [[agents]] says is not looked at"), "{said}");
}
