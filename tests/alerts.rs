//! Alerts through the real binary: to a receiver that verifies, to a command, over crashes and restarts; and the beat to
//! whoever watches the daemon.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::auth::Secret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use support::guide::{Guide, blocks, shell};
use support::http_server::{Request, answer, serve};
use support::operator::Operator;
use support::{EdgeBox, is_alive, until};

/// A server that verifies what it gets, and answers as it is told to.
#[derive(Clone)]
struct Receiver {
    address: String,
    status: Arc<AtomicU16>,
    /// Each alert that came with a right signature: its id and content.
    got: Arc<Mutex<Vec<(String, Value)>>>,
    /// Those of them that were answered 204.
    taken: Arc<Mutex<Vec<(String, Value)>>>,
}

/// Answers nothing at all.
const HANG: u16 = 0;

impl Receiver {
    fn new(secret: Secret) -> Self {
        let status = Arc::new(AtomicU16::new(204));
        let got: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let taken: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let (answers, keeps, takes) = (Arc::clone(&status), Arc::clone(&got), Arc::clone(&taken));
        let address = serve(move |request| {
            let alert = verified(request, &secret);
            keeps.lock().unwrap().push(alert.clone());
            match answers.load(Ordering::Relaxed) {
                204 => {
                    takes.lock().unwrap().push(alert);
                    Some(answer(204, "", ""))
                }
                HANG => {
                    std::thread::park();
                    None
                }
                status => Some(answer(status, "", "")),
            }
        });
        Self { address, status, got, taken }
    }

    fn got(&self) -> Vec<(String, Value)> {
        self.got.lock().unwrap().clone()
    }

    /// The types of what came, each id once.
    fn told(&self) -> Vec<String> {
        let mut seen = Vec::new();
        let got = self.got();
        let first = got.iter().filter(|(id, _)| {
            !seen.contains(id) && {
                seen.push(id.clone());
                true
            }
        });
        first.map(|(_, alert)| alert["type"].as_str().unwrap().to_owned()).collect()
    }
}

fn verified(request: &Request, secret: &Secret) -> (String, Value) {
    assert_eq!(request.line, "POST /in?key=hunter2 HTTP/1.1");
    let field =
        |name: &str| request.field(name).unwrap_or_else(|| panic!("{name} in {request:?}")).to_owned();
    let (id, timestamp) = (field("webhook-id"), field("webhook-timestamp"));
    let expected = secret.sign(&id, timestamp.parse().unwrap(), request.body.as_bytes());
    assert_eq!(field("webhook-signature"), expected, "{request:?}");
    assert_eq!(field("Content-Type"), "application/json");
    let alert: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(alert["id"], id.as_str());
    (id, alert)
}

/// A box whose alerts go to a receiver.
fn with_receiver(more: &str) -> (EdgeBox, Receiver) {
    let edge_box = EdgeBox::new();
    let (text, secret) = Secret::generate(&[7; 32]);
    edge_box.write_secret("alert-secret", &text);
    let receiver = Receiver::new(secret);
    edge_box.configure(&format!(
        "[alerts]\nurl = \"http://{}/in?key=hunter2\"\nsecret_file = \"alert-secret\"\n{more}",
        receiver.address
    ));
    (edge_box, receiver)
}

/// A box whose alerts go to a script, which finds itself in the box's folder.
fn with_command(script: &str, more: &str) -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.write("tell", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(edge_box.path("tell"), fs::Permissions::from_mode(0o755)).unwrap();
    edge_box.configure(&format!("[alerts]\ncommand = [\"./tell\"]\nafter_failures = 1\n{more}"));
    edge_box
}

fn undelivered(edge_box: &EdgeBox) -> i64 {
    edge_box.number("SELECT count(*) FROM alerts")
}

fn run(edge_box: &EdgeBox, flow: &str) {
    Operator::of(edge_box).ask_with(&format!("POST /flows/{flow}/runs"), "Prefer: wait=20\r\n", "");
}

#[test]
fn a_failing_flow_is_one_signed_post_and_its_recovery_another() {
    let (edge_box, receiver) = with_receiver("after_failures = 2\n");
    edge_box.script("it", "", "test -e repaired || { echo no luck; exit 3; }");
    let mut daemon = edge_box.start();
    for _ in 0..4 {
        run(&edge_box, "it");
    }
    until("it is told", || undelivered(&edge_box) == 0 && !receiver.got().is_empty());
    let got = receiver.got();
    assert_eq!(got.len(), 1, "{got:?}");
    let (id, alert) = &got[0];
    assert!(id.starts_with("alert_") && id.len() == 38, "{id}");
    assert_eq!((&alert["type"], &alert["data"]["flow"]), (&"flow.failing".into(), &"it".into()));
    assert_eq!(alert["data"]["consecutive_failures"], 2);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(alert["data"]["box"]["host"], host.trim());
    let status = Operator::of(&edge_box).status();
    assert_eq!(status["alerts"]["open"][0]["subject"], "it");
    assert_eq!(status["alert_counts"]["delivered"], 1);
    assert!(edge_box.command(&["status"]).1.contains("flow.failing it since"));
    edge_box.write("repaired", "");
    run(&edge_box, "it");
    until("the recovery is told", || receiver.told() == ["flow.failing", "flow.recovered"]);
    daemon.stop();
    assert!(daemon.log().contains(&format!("alert delivered alert={id} type=flow.failing tried=1")));
    assert!(!daemon.log().contains("hunter2") && !daemon.log().contains("/in"), "{}", daemon.log());
}

#[test]
fn no_alert_is_lost_while_nobody_answers_and_the_daemon_is_killed_again_and_again() {
    let (edge_box, receiver) = with_receiver("after_failures = 1\n");
    let flows = ["a", "b", "c", "d"];
    for flow in flows {
        edge_box.script(flow, "", "exit 1");
    }
    receiver.status.store(503, Ordering::Relaxed);
    for flow in flows {
        let mut daemon = edge_box.start();
        run(&edge_box, flow);
        let told = format!("SELECT count(*) FROM alerts WHERE subject = 'flow {flow}'");
        assert_eq!(edge_box.number(&told), 1, "recorded with the end of the run");
        let refused = format!("{told} AND last_error LIKE '% answered 503'");
        until("it is refused, and stays", || edge_box.number(&refused) == 1);
        daemon.kill();
    }
    receiver.status.store(HANG, Ordering::Relaxed);
    let mut daemon = edge_box.start();
    let before = receiver.got().len();
    until("one is on its way", || receiver.got().len() > before);
    daemon.kill();
    receiver.status.store(204, Ordering::Relaxed);
    let _daemon = edge_box.start();
    until("all are delivered", || undelivered(&edge_box) == 0);
    let mut by_flow: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, alert) in receiver.taken.lock().unwrap().clone() {
        let ids = by_flow.entry(alert["data"]["flow"].as_str().unwrap().to_owned()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    assert_eq!(by_flow.keys().map(String::as_str).collect::<Vec<_>>(), flows);
    assert!(by_flow.values().all(|ids| ids.len() == 1), "each under one id: {by_flow:?}");
}

#[test]
fn a_receiver_that_hangs_holds_up_nothing() {
    let (edge_box, receiver) = with_receiver("after_failures = 1\n");
    edge_box.script("bad", "", "exit 1");
    edge_box.script("good", "", "true");
    receiver.status.store(HANG, Ordering::Relaxed);
    let mut daemon = edge_box.start();
    run(&edge_box, "bad");
    until("it is on its way", || receiver.got().len() == 1);
    for _ in 0..3 {
        run(&edge_box, "good");
        assert_eq!(edge_box.ended_run("good").status, "success");
    }
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(undelivered(&edge_box), 1, "the next daemon tells it");
}

#[test]
fn a_command_gets_the_alert_on_its_input_and_what_it_is_about_in_its_environment() {
    let edge_box = with_command(
        "cat >> told; env > environment; echo $((1 + $(cat n || echo 0))) > n; exit $(cat fails)",
        "",
    );
    edge_box.write("fails", "4");
    edge_box.script("it", "", "exit 1");
    let daemon = edge_box.start();
    run(&edge_box, "it");
    daemon.until_logged("the command ended with exit status 4");
    assert_eq!(undelivered(&edge_box), 1);
    edge_box.write("fails", "0");
    until("it is told", || undelivered(&edge_box) == 0);
    let told = edge_box.read("told");
    let mut told = serde_json::Deserializer::from_str(&told).into_iter::<Value>().map(Result::unwrap);
    let (first, second) = (told.next().unwrap(), told.next().unwrap());
    assert_eq!(first, second, "at each try the same");
    assert_eq!((&first["type"], &first["data"]["flow"]), (&"flow.failing".into(), &"it".into()));
    let environment = edge_box.read("environment");
    let id = format!("HEARTBEAT_ALERT_ID={}", first["id"].as_str().unwrap());
    for line in [id.as_str(), "HEARTBEAT_ALERT_TYPE=flow.failing", "HEARTBEAT_FLOW=it"] {
        assert!(environment.lines().any(|found| found == line), "{line} in {environment}");
    }
    assert!(
        environment.contains("HEARTBEAT_ALERT_MESSAGE=flow it failed once: exit status 1"),
        "{environment}"
    );
    assert!(
        !environment.contains("HEARTBEATD_") && !environment.contains("HEARTBEAT_RUN_ID"),
        "{environment}"
    );
}

#[test]
fn a_command_that_hangs_holds_up_nothing_and_is_ended_with_what_it_started() {
    let edge_box =
        with_command("test -e wake && exit 0; sleep 600 & echo $! > inner; echo $$ > outer; sleep 600", "");
    edge_box.script("bad", "", "exit 1");
    edge_box.script("good", "", "true");
    let mut daemon = edge_box.start();
    run(&edge_box, "bad");
    until("it runs", || !edge_box.read("outer").is_empty());
    run(&edge_box, "good");
    assert_eq!(edge_box.ended_run("good").status, "success");
    daemon.kill();
    let (outer, inner) = (edge_box.read("outer"), edge_box.read("inner"));
    assert!(is_alive(&outer) && is_alive(&inner), "a crash leaves them");
    edge_box.write("wake", "");
    let mut daemon = edge_box.start();
    until("the next daemon ends them", || !is_alive(&outer) && !is_alive(&inner));
    until("and tells it again", || undelivered(&edge_box) == 0);
    fs::remove_file(edge_box.path("wake")).unwrap();
    fs::remove_file(edge_box.path("outer")).unwrap();
    edge_box.script("worse", "", "exit 1");
    daemon.signal(rustix::process::Signal::HUP);
    daemon.until_logged("reloaded");
    run(&edge_box, "worse");
    until("it runs", || !edge_box.read("outer").is_empty());
    let (outer, inner) = (edge_box.read("outer"), edge_box.read("inner"));
    assert_eq!(daemon.stop().code(), Some(0), "nobody waits for it");
    assert!(!is_alive(&outer) && !is_alive(&inner), "nothing of it outlives the daemon");
}

#[test]
fn a_long_run_and_a_silent_agent_are_told_of_and_so_is_the_agent_s_return() {
    let (edge_box, receiver) = with_receiver("run_longer_than = \"1s\"\nno_heartbeat_for = \"1s\"\n");
    edge_box.script("slow", "", "while ! test -e go; do sleep 0.01; done");
    let daemon = edge_box.start();
    until("the silence is told", || receiver.told() == ["agent.silent"]);
    daemon.beat();
    until("its return as well", || receiver.told().get(1).is_some_and(|told| told == "agent.returned"));
    until("and the run", || receiver.told().iter().any(|told| told == "run.long"));
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("slow").status, "success");
}

#[test]
fn every_configured_agent_is_expected_to_be_heard() {
    let agent = "[[agents]]\nname = \"gatus\"\nscheme = \"token\"\nsecret_files = [\"gatus\"]\n";
    let (edge_box, receiver) = with_receiver(&format!("no_heartbeat_for = \"1s\"\n{agent}"));
    edge_box.write_secret("gatus", "gatus-gatus-gatus");
    let _daemon = edge_box.start();
    until("two agents are silent", || receiver.told() == ["agent.silent", "agent.silent"]);
    let agents: Vec<Value> = receiver.got().iter().map(|(_, alert)| alert["data"]["agent"].clone()).collect();
    assert!(agents.contains(&"default".into()) && agents.contains(&"gatus".into()), "{agents:?}");
}

#[test]
fn whoever_watches_the_daemon_is_asked_while_all_is_well_and_no_log_line_shows_the_url() {
    let beats: Arc<Mutex<Vec<String>>> = Arc::default();
    let keeps = Arc::clone(&beats);
    let address = serve(move |request| {
        let mut beats = keeps.lock().unwrap();
        beats.push(request.line.clone());
        Some(answer(if beats.len() < 3 { 500 } else { 200 }, "", "OK"))
    });
    let edge_box = EdgeBox::new();
    edge_box.configure(&format!(
        "[alerts]\nwatchdog_url = \"http://{address}/ping/hunter2?x=y\"\nevery = \"1s\"\n"
    ));
    let mut daemon = edge_box.start();
    until("beats come", || beats.lock().unwrap().len() >= 3);
    daemon.until_logged("the watchdog is reached again");
    assert_eq!(beats.lock().unwrap()[0], "GET /ping/hunter2?x=y HTTP/1.1");
    daemon.stop();
    let log = daemon.log();
    assert_eq!(log.matches("the watchdog is not reached").count(), 1, "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_secret_that_is_missing_or_open_to_others_is_no_start_and_a_reload_takes_up_everything() {
    let (edge_box, receiver) = with_receiver("after_failures = 1\n");
    edge_box.set_mode("alert-secret", 0o644);
    let (code, said) = edge_box.command(&["check"]);
    assert!(code == Some(78) && said.contains("alert-secret"), "{said}");
    let (code, _) = support::daemon::Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(78));
    edge_box.set_mode("alert-secret", 0o600);
    let settings = edge_box.read("heartbeatd.toml");
    edge_box.configure("");
    edge_box.script("it", "", "exit 1");
    let daemon = edge_box.start();
    run(&edge_box, "it");
    assert_eq!(undelivered(&edge_box), 0, "nobody is to be told");
    edge_box.write("heartbeatd.toml", settings);
    daemon.signal(rustix::process::Signal::HUP);
    daemon.until_logged("reloaded");
    run(&edge_box, "it");
    until("it is told", || receiver.told() == ["flow.failing"]);
}

#[test]
fn a_secret_that_starts_flows_signs_no_alert() {
    let (edge_box, _) = with_receiver("");
    let secret = edge_box.read("secret");
    edge_box.write_secret("alert-secret", &secret);
    let (code, said) = edge_box.command(&["check"]);
    assert!(code == Some(78) && said.contains("a secret of the agent `default`"), "{said}");
    assert!(!said.contains(secret.trim()), "{said}");
    assert_eq!(support::daemon::Daemon::refused(&edge_box, |_| {}).0, Some(78));
}

#[test]
fn the_settings_that_the_guide_shows_are_right_with_the_secret_that_its_command_makes() {
    let edge_box = EdgeBox::new();
    let guide = Guide::of("docs/alerts.md");
    let [settings, command] = blocks(guide.text().split("\n## ").next().unwrap())[..] else {
        panic!("settings and a command")
    };
    edge_box.configure(settings.text);
    let (code, said) = edge_box.command(&["check"]);
    assert!(code == Some(78) && said.contains("alert-secret"), "there is none yet: {said}");
    shell(&edge_box, command.text).unwrap();
    let (code, said) = edge_box.command(&["check"]);
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
}
