//! Prometheus's own Alertmanager starts a flow: an alert comes in there, and a heartbeat with a token here.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use support::daemon::Daemon;
use support::guide::{blocks, section};
use support::tools::can_run;
use support::wire::Wire;
use support::{EdgeBox, eventually, until};

/// It has the receiver and the agent.
const GUIDE: &str = include_str!("../docs/agents.md");
/// As Debian calls it.
const PROGRAM: &str = "prometheus-alertmanager";
const TOKEN: &str = "alertmanager-0123456789abcdef";

/// An Alertmanager that sends this token to the daemon; killed when dropped.
struct Alertmanager {
    child: Child,
    port: u16,
}

impl Alertmanager {
    fn start(edge_box: &EdgeBox, daemon: &Daemon, token: &str) -> Self {
        let token_file = edge_box.path("box-token");
        edge_box.write("box-token", token);
        let receivers = blocks(section(GUIDE, "Alertmanager"))[0].text;
        let receivers = receivers
            .replace("box:8787", &format!("127.0.0.1:{}", daemon.port))
            .replace("/etc/alertmanager/box-token", &token_file.to_string_lossy());
        edge_box
            .write("alertmanager.yml", format!("route: {{ receiver: box, group_wait: 0s }}\n{receivers}\n"));
        let option = |name: &str, file: &str| format!("--{name}={}", edge_box.path(file).display());
        let child = Command::new(PROGRAM)
            .args([option("config.file", "alertmanager.yml"), option("storage.path", "alertmanager")])
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="])
            .stdout(Stdio::null())
            .stderr(File::create(edge_box.path("alertmanager.log")).expect("make its log"))
            .spawn()
            .expect("start Alertmanager");
        let port = eventually("Alertmanager listens", || {
            let log = edge_box.read("alertmanager.log");
            let line = log.lines().find(|line| line.contains("Listening on"))?;
            let (_, address) = line.split_once("address=127.0.0.1:")?;
            address.split_whitespace().next()?.parse().ok()
        });
        Self { child, port }
    }

    fn alert(&self, name: &str) {
        let body = format!("[{{\"labels\":{{\"alertname\":\"{name}\"}}}}]");
        let mut wire = Wire::connect(self.port);
        wire.send(format!(
            "POST /api/v2/alerts HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert_eq!(wire.answer().status, 200);
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}

fn box_of_alertmanager() -> EdgeBox {
    let edge_box = EdgeBox::new();
    edge_box.configure(blocks(section(GUIDE, "Alertmanager"))[1].text);
    edge_box.write_secret("alertmanager-token", TOKEN);
    edge_box.script("repair-disk", "", "true");
    edge_box.script("other", "", "true");
    edge_box
}

#[test]
fn an_alert_starts_the_flow_that_alertmanager_may_start() {
    if !can_run(PROGRAM, &["--version"]) {
        return;
    }
    let edge_box = box_of_alertmanager();
    let daemon = edge_box.start();
    let alertmanager = Alertmanager::start(&edge_box, &daemon, TOKEN);
    alertmanager.alert("DiskFull");
    assert_eq!(edge_box.ended_run("repair-disk").status, "success");
    let of_it = "SELECT count(*) FROM data_flow_runs WHERE agent = 'alertmanager'";
    assert_eq!((edge_box.number(of_it), edge_box.runs().len()), (1, 1));
}

#[test]
fn an_alertmanager_with_another_token_starts_nothing() {
    if !can_run(PROGRAM, &["--version"]) {
        return;
    }
    let edge_box = box_of_alertmanager();
    let daemon = edge_box.start();
    let alertmanager = Alertmanager::start(&edge_box, &daemon, "alertmanager-0123456789abcdeF");
    alertmanager.alert("DiskFull");
    daemon.until_logged("token_mismatch");
    until("Alertmanager is told", || edge_box.read("alertmanager.log").contains("401"));
    assert_eq!(edge_box.runs(), []);
}
