//! What is made for Prometheus and Grafana is held against what the daemon tells: the description of each metric, the
//! alerts, the dashboard; and a real Prometheus scrapes a real daemon.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use support::metrics::{Metrics, busy_box, document, status_port};
use support::tools::can_run;
use support::wire::Wire;
use support::{EdgeBox, eventually, until};

const RULES: &str = "docs/prometheus/heartbeatd.rules.yml";

/// The labels of a family's samples, by which its series differ.
fn labels(metrics: &Metrics, name: &str) -> BTreeSet<String> {
    let samples = metrics.families[name].samples.keys();
    let inside = samples.filter_map(|series| series.split_once('{')?.1.strip_suffix('}'));
    // No value here holds a comma.
    let names = inside.flat_map(|labels| labels.split(',')).filter_map(|label| label.split('=').next());
    names.filter(|name| *name != "le").map(str::to_owned).collect()
}

/// Every metric of ours that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("heartbeatd_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_is_described_as_it_is() {
    let (edge_box, _daemon) = busy_box();
    let metrics = Metrics::of(&edge_box);
    let told: BTreeSet<(String, String, BTreeSet<String>)> = metrics
        .families
        .iter()
        .map(|(name, family)| (name.clone(), family.kind.clone(), labels(&metrics, name)))
        .collect();
    let text = document("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `heartbeatd_"));
    let described = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let words = |cell: &str| {
            cell.split(',')
                .map(|word| word.trim_matches([' ', '`']).to_owned())
                .filter(|word| !word.is_empty())
                .collect()
        };
        assert!(cells.len() == 5 && !cells[3].is_empty(), "{row}");
        (format!("heartbeatd_{}", cells[0].trim_end_matches('`')), cells[1].to_owned(), words(cells[2]))
    });
    assert_eq!(told, described.collect());
    assert!(metrics.families.values().all(|family| family.help.ends_with('.')));
}

#[test]
fn alerts_and_dashboard_ask_for_what_there_is() {
    let (edge_box, _daemon) = busy_box();
    let there = Metrics::of(&edge_box).names();
    let dashboard: Value =
        serde_json::from_str(&document("docs/grafana/heartbeatd.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels");
    let mut asked = named(&dashboard["templating"].to_string());
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "an id of its own: {panel}");
        assert!(
            panel["title"].is_string() && panel["type"].is_string() && panel["gridPos"]["w"].is_u64(),
            "{panel}"
        );
        let targets = panel["targets"].as_array().expect("a panel asks for something");
        for target in targets {
            let of_target = named(target["expr"].as_str().expect("a target has a query"));
            assert!(!of_target.is_empty(), "{target}");
            asked.extend(of_target);
        }
    }
    assert!(
        panels.len() > 10 && dashboard["schemaVersion"].as_u64() > Some(30) && dashboard["uid"].is_string()
    );
    let rules = document(RULES);
    let expressions = rules.lines().filter(|line| !line.trim_start().starts_with(['#', '-']));
    asked.extend(named(&expressions.collect::<Vec<_>>().join("\n")));
    let missing: Vec<_> = asked.difference(&there).collect();
    assert!(missing.is_empty() && asked.len() > 20, "{missing:?}");
}

#[test]
fn alerts_are_raised_when_they_should_be_and_not_else() {
    if !can_run("promtool", &["--version"]) {
        return;
    }
    for arguments in [["check", "rules", "heartbeatd.rules.yml"], ["test", "rules", "heartbeatd.test.yml"]] {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/prometheus");
        let judged =
            Command::new("promtool").args(arguments).current_dir(folder).output().expect("run promtool");
        let said = String::from_utf8_lossy(&[judged.stdout, judged.stderr].concat()).into_owned();
        assert!(judged.status.success() && said.contains("SUCCESS"), "{arguments:?}: {said}");
    }
    let tests = document("docs/prometheus/heartbeatd.test.yml");
    let rules = document(RULES);
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let raised = format!("alertname: {alert}\n        exp_alerts:\n          - exp_labels");
        assert!(tests.contains(&raised), "{alert} is raised by a test");
    }
}

/// A Prometheus that is killed when dropped.
struct Prometheus(Child, u16);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

impl Prometheus {
    /// One that scrapes a box twice a second, with our rules.
    fn start(edge_box: &EdgeBox) -> Self {
        let config = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }}\n\
             rule_files: [rules.yml]\nscrape_configs:\n  - job_name: heartbeatd\n    static_configs:\n      \
             - targets: [\"127.0.0.1:{}\"]\n",
            status_port(edge_box)
        );
        edge_box.write("prometheus.yml", config);
        edge_box.write("rules.yml", document(RULES));
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("find a free port").port();
        let log = File::create(edge_box.path("prometheus.log")).expect("make its log");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", edge_box.path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", edge_box.path("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Self(child.expect("start prometheus"), port)
    }

    /// What it answers, once it is ready. By HTTP/1.0, so that a long answer comes as it is, up to the connection's end.
    fn get(&self, path: &str) -> Option<Value> {
        let mut wire = Wire::try_connect(self.1).ok()?;
        wire.try_send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")).ok()?;
        let answer = wire.rest();
        let (head, content) = answer.split_once("\r\n\r\n")?;
        let is_ready = head.contains(" 200 OK");
        is_ready.then(|| serde_json::from_str(content).expect("it answers in JSON"))
    }

    /// The value of a query that has one.
    fn ask(&self, query: &str) -> Option<String> {
        let answer = self.get(&format!("/api/v1/query?query={query}"))?;
        Some(answer["data"]["result"][0]["value"][1].as_str()?.to_owned())
    }
}

#[test]
fn a_real_prometheus_reads_what_is_told_and_judges_it_by_the_rules() {
    if !can_run("prometheus", &["--version"]) {
        return;
    }
    let (edge_box, daemon) = busy_box();
    let prometheus = Prometheus::start(&edge_box);
    let asked = |query: &str| eventually(query, || prometheus.ask(query));
    assert_eq!(asked("heartbeatd_build_info"), "1");
    assert_eq!(asked("up"), "1");
    assert_eq!(asked("heartbeatd_runs_total%7Bflow=%22bad%22,end=%22exit_status%22%7D"), "1");
    assert_eq!(asked("heartbeatd_run_duration_seconds_bucket%7Ble=%22%2BInf%22%7D"), "3");
    assert_eq!(daemon.beat().status, 200);
    until("it sees another heartbeat", || {
        asked("heartbeatd_heartbeats_total%7Boutcome=%22idle%22%7D") == "2"
    });
    let healthy = || {
        let answer = prometheus.get("/api/v1/rules")?;
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        let judged = !rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok");
        judged.then_some(rules.len())
    };
    let alerts = document(RULES).matches("- alert: ").count();
    assert_eq!(eventually("every rule was judged", healthy), alerts);
}
