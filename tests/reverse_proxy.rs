//! What docs/security.md says of TLS, done as it stands there: its settings, its nginx, its certificate, and its commands for
//! the agent and for whoever looks. Only ports, folders and the agent's address are others.
#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use std::fs;
use support::daemon::Daemon;
use support::guide::{Guide, Said, done, script};
use support::metrics::status_port;
use support::nginx::{Nginx, free_port};
use support::{EdgeBox, until};

const SECTION: &str = "TLS by nginx";
/// The agent; nginx itself calls from 127.0.0.1.
const AGENT: &str = "127.0.0.2";
const STRANGER: &str = "127.0.0.3";

/// A box behind nginx, both as the guide has them.
struct Behind {
    guide: Guide,
    edge_box: EdgeBox,
    port: u16,
    _daemon: Daemon,
    _nginx: Nginx,
}

/// The guide's settings, for ports that are free here.
fn settings(guide: &Guide) -> String {
    let [settings] = guide.blocks(SECTION, "toml")[..] else { panic!("one block of settings") };
    let listen = "listen = [\"127.0.0.1:8787\"]\n";
    assert!(settings.starts_with(listen), "heartbeats from the proxy alone");
    settings[listen.len()..].replace(":8788", ":0").replace("192.0.2.10", AGENT)
}

impl Behind {
    fn start(settings: &str) -> Self {
        let guide = Guide::of("docs/security.md");
        let edge_box = EdgeBox::new();
        edge_box.configure(settings);
        edge_box.script("good", "", "true");
        let daemon = edge_box.start();
        let [files, ..] = guide.blocks(SECTION, "sh")[..] else { panic!("the commands are there") };
        let folder = edge_box.path("");
        let folder_text = folder.to_str().expect("a path in UTF-8");
        // A password is asked for on a terminal, and nginx judges the whole of a machine's configuration.
        let files = files.replace("passwd -apr1", "passwd -apr1 hunter2").replace("nginx -t", "");
        done(&files.replace("/etc/nginx/", folder_text), &folder);
        let port = free_port();
        let [server] = guide.blocks(SECTION, "nginx")[..] else { panic!("one server") };
        let server = server
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("127.0.0.1:8787", &format!("127.0.0.1:{}", daemon.port))
            .replace("127.0.0.1:8788", &format!("127.0.0.1:{}", status_port(&edge_box)));
        let nginx = Nginx::start(&edge_box, &server);
        let behind = Self { guide, edge_box, port, _daemon: daemon, _nginx: nginx };
        until("nginx answers", || {
            behind.run_from(AGENT, "curl -s --cacert box.crt https://box.example/").went_well
        });
        behind
    }

    /// Runs commands that call from this address, as if box.example led to nginx.
    fn run_from(&self, address: &str, commands: &str) -> Said {
        let to = format!("--connect-to box.example:443:127.0.0.1:{}", self.port);
        let curl = format!("curl() {{ command curl --max-time 60 --interface {address} {to} \"$@\"; }}");
        script(&format!("{curl}\n{commands}"), &self.edge_box.path(""))
    }

    /// The guide's commands for the agent, from this address, with further arguments to curl.
    fn beat_from(&self, address: &str, more: &str) -> String {
        let [_, beat, _] = self.guide.blocks(SECTION, "sh")[..] else { panic!("three blocks") };
        let said = self.run_from(address, &beat.replace("-H @headers", &format!("-H @headers {more}")));
        assert!(said.went_well, "{}", said.text);
        said.text
    }

    /// The guide's command for who looks, with another end: status and content.
    fn look(&self, change: impl Fn(&str) -> String) -> (String, String) {
        let [.., look] = self.guide.blocks(SECTION, "sh")[..] else { panic!("three blocks") };
        let said = self.run_from(STRANGER, &(change(look) + " -w '\\n%{http_code}'"));
        assert!(said.went_well, "{}", said.text);
        let (content, status) = said.text.rsplit_once('\n').unwrap_or_default();
        (status.to_owned(), content.to_owned())
    }
}

#[test]
fn a_signed_heartbeat_over_tls_is_accepted_from_the_agent_and_from_nobody_else() {
    if !Nginx::is_here() {
        return;
    }
    let behind = Behind::start(&settings(&Guide::of("docs/security.md")));
    let answer = behind.beat_from(AGENT, "");
    assert!(
        answer.contains("\"flows_triggered\":1") && answer.contains("\"status\":\"success\""),
        "{answer}"
    );
    let refused = behind.beat_from(STRANGER, "");
    assert!(refused.contains("\"error\":\"address_not_allowed\""), "{refused}");
    let claimed = behind.beat_from(STRANGER, &format!("-H 'X-Forwarded-For: {AGENT}'"));
    assert!(claimed.contains("\"error\":\"address_not_allowed\""), "{claimed}");
    assert_eq!(behind.edge_box.runs().len(), 1);

    // Who trusts nobody else's certificate trusts no other than this one.
    fs::rename(behind.edge_box.path("box.crt"), behind.edge_box.path("away")).expect("take it away");
    done(
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=box.example -keyout k -out box.crt",
        &behind.edge_box.path(""),
    );
    let [_, beat, _] = behind.guide.blocks(SECTION, "sh")[..] else { panic!("three blocks") };
    assert!(!behind.run_from(AGENT, beat).went_well, "another certificate is not believed");
}

#[test]
fn without_trusted_proxies_the_proxy_s_own_address_is_judged() {
    if !Nginx::is_here() {
        return;
    }
    let settings = settings(&Guide::of("docs/security.md"));
    let untrusted = settings.replace("trusted_proxies = [\"127.0.0.1\"]\n", "");
    assert_ne!(settings, untrusted);
    let behind = Behind::start(&untrusted);
    let refused = behind.beat_from(AGENT, "");
    assert!(refused.contains("\"error\":\"address_not_allowed\""), "{refused}");
}

#[test]
fn the_status_page_is_there_for_who_has_the_password() {
    if !Nginx::is_here() {
        return;
    }
    let behind = Behind::start(&settings(&Guide::of("docs/security.md")));
    let (status, page) = behind.look(str::to_owned);
    assert!(status == "200" && page.contains("href=\"/flows/good\""), "{status}: {page}");
    let metrics = behind.look(|look| format!("{}metrics", look.trim_end()));
    assert!(metrics.0 == "200" && metrics.1.contains("heartbeatd_flows 1"), "{metrics:?}");
    for without in [" --user me:hunter2", "hunter2"] {
        assert_eq!(behind.look(|look| look.replace(without, "")).0, "401", "{without}");
    }
}
