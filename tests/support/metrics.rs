//! What `/metrics` tells, read as Prometheus would.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;

use super::daemon::Daemon;
use super::heartbeat::Heartbeat;
use super::wire::{Answer, Wire};
use super::{EdgeBox, until};

/// A box whose daemon lets everybody here look on.
pub(crate) fn watched_box() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\n");
    edge_box
}

/// The port for those who look on, as the last start's log tells it.
pub(crate) fn status_port(edge_box: &EdgeBox) -> u16 {
    let logs = (1..).map(|start| edge_box.read(&format!("log-{start}"))).take_while(|log| !log.is_empty());
    let log = logs.last().unwrap_or_default();
    let told = log.split("look on address=127.0.0.1:").nth(1).and_then(|rest| rest.lines().next());
    told.and_then(|port| port.parse().ok()).unwrap_or_else(|| panic!("nobody can look on:\n{log}"))
}

/// Asks the status port for a path.
pub(crate) fn look(edge_box: &EdgeBox, path: &str) -> Answer {
    look_as(edge_box, Ipv4Addr::LOCALHOST, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// Sends a request to the status port from another address.
pub(crate) fn look_as(edge_box: &EdgeBox, source: Ipv4Addr, request: &str) -> Answer {
    let mut wire = Wire::connect_from(source, status_port(edge_box));
    wire.send(request);
    wire.answer()
}

/// A family: its type, what it tells, and its samples by series.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) samples: BTreeMap<String, String>,
}

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) text: String,
    pub(crate) families: BTreeMap<String, Family>,
}

impl Metrics {
    pub(crate) fn of(edge_box: &EdgeBox) -> Self {
        let answer = look(edge_box, "/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self::read(String::from_utf8(answer.body).expect("metrics are text"))
    }

    /// None where whoever asks is turned away, as there are too many: by a reset where as many are turned away already.
    pub(crate) fn asked_of(edge_box: &EdgeBox) -> Option<Self> {
        let mut wire = Wire::connect_from(Ipv4Addr::LOCALHOST, status_port(edge_box));
        wire.try_send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").ok()?;
        let answer = wire.try_answer().ok()?;
        (answer.status == 200).then(|| Self::read(String::from_utf8(answer.body).expect("metrics are text")))
    }

    fn read(text: String) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                let family = Family { help: help.to_owned(), ..Family::default() };
                assert!(families.insert(name.to_owned(), family).is_none(), "{name} comes once");
                current = name.to_owned();
                continue;
            }
            let family = families.get_mut(&current).expect("a family begins with what it tells");
            if let Some(kind) = line.strip_prefix(&format!("# TYPE {current} ")) {
                family.kind = kind.to_owned();
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            assert!(series.starts_with(&current), "{series} stands in the family {current}");
            assert!(value.parse::<f64>().is_ok(), "{series} has a number: {value}");
            let before = family.samples.insert(series.to_owned(), value.to_owned());
            assert!(before.is_none(), "{series} comes once");
        }
        Self { text, families }
    }

    /// What a series tells; none: there is none.
    pub(crate) fn find(&self, series: &str) -> Option<&str> {
        let name = series.split('{').next().unwrap_or_default();
        let of_histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end));
        let family = self.families.get(name).or_else(|| self.families.get(of_histogram?));
        family?.samples.get(series).map(String::as_str)
    }

    /// The same of a count, which there must be.
    pub(crate) fn count(&self, series: &str) -> i64 {
        let value = self.find(series).unwrap_or_else(|| panic!("no {series} in\n{}", self.text));
        value.parse().unwrap_or_else(|_| panic!("{series} is a count: {value}"))
    }

    /// Every name that a query may use.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let samples = self.families.values().flat_map(|family| family.samples.keys());
        let names = samples.map(|series| series.split('{').next().unwrap_or_default().to_owned());
        names.chain(self.families.keys().cloned()).collect()
    }
}

/// A box to which a bit of everything has happened: a run that went well, one that failed, a pipeline with a record that does
/// not fit, heartbeats that were new, idle, replayed, forged and unsigned, and a look at the wrong port.
pub(crate) fn busy_box() -> (EdgeBox, Daemon) {
    let edge_box = watched_box();
    edge_box.script("good", "", "true");
    edge_box.script("bad", "", "exit 3");
    edge_box.write("in.jsonl", "{\"v\":1}\n{\"v\":\"x\"}\n{\"v\":2}\n");
    let pipeline = "[source]\ntype = \"file\"\npath = \"DIR/in.jsonl\"\n[schema]\nfields = { v = \"integer\" }\n\
                    [sink]\ntype = \"sqlite\"\ndatabase = \"DIR/out.db\"\ntable = \"t\"\ncreate = true\n";
    edge_box.flow("pipe", pipeline);
    let daemon = edge_box.start();
    let first = Heartbeat::new().wait(20);
    assert_eq!(daemon.send(&first).count("flows_triggered"), 3);
    until("every run has ended", || !edge_box.has_open_runs());
    assert!(daemon.send(&first).is_duplicate());
    assert_eq!(daemon.beat().count("flows_due"), 0);
    let signed = Heartbeat::new();
    let forged = Heartbeat { body: "[]".to_owned(), ..signed.clone() };
    assert_eq!(daemon.exchange(forged.with_proof(&signed.proof(&edge_box.secret))).status, 401);
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof("")).error(), "signature_missing");
    assert_eq!(daemon.get("/metrics").status, 404, "the port for heartbeats shows no metrics");
    (edge_box, daemon)
}

/// A file of the repository.
pub(crate) fn document(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
