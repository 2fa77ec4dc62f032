//! What docs/status-page.md says of reaching the page from elsewhere and of its settings, done as it stands there: through
//! the real nginx, with a password, over TLS.
#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of a test may fail it")]

mod support;

use std::io::Read as _;
use std::process::{Command, Stdio};
use support::metrics::{document, look, status_port};
use support::nginx::{Nginx, free_port};
use support::{EdgeBox, until};

const NAME: &str = "box.example";

/// The first block of the guide in this language that holds these words.
fn block(language: &str, words: &str) -> String {
    let guide = document("docs/status-page.md");
    let begin = format!("```{language}\n");
    let mut blocks = guide.split(&begin).skip(1);
    let found = blocks.find_map(|rest| rest.split("```").next().filter(|block| block.contains(words)));
    found.unwrap_or_else(|| panic!("the guide has a block of {language} with {words}")).to_owned()
}

/// nginx with the guide's server in front of a box.
struct Proxy {
    _nginx: Nginx,
    port: u16,
}

impl Proxy {
    fn start(edge_box: &EdgeBox) -> Self {
        let port = free_port();
        let server = block("nginx", "auth_basic")
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("127.0.0.1:8788", &format!("127.0.0.1:{}", status_port(edge_box)));
        Self { _nginx: Nginx::start(edge_box, &server), port }
    }

    /// curl, as it asks for a path under this name.
    fn curl(&self, name: &str, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--max-time", "60", "--resolve", &format!("{name}:{}:127.0.0.1", self.port)]);
        curl.arg(format!("https://{name}:{}{path}", self.port)).stderr(Stdio::inherit());
        curl
    }

    /// The answer's status and content.
    fn ask(&self, name: &str, path: &str, more: &[&str]) -> (String, String) {
        let mut curl = self.curl(name, path);
        let output = curl.args(["-w", "\n%{http_code}"]).args(more).output().expect("run curl");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (content, status) = said.rsplit_once('\n').unwrap_or_default();
        (status.to_owned(), content.to_owned())
    }
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("run openssl");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn the_guides_proxy_lets_in_who_has_the_password_and_shows_the_page() {
    if !Nginx::is_here() {
        return;
    }
    let edge_box = EdgeBox::new();
    let settings = block("toml", "hosts = [\"box.example\"]");
    edge_box.configure(&format!("{settings}listen = \"127.0.0.1:0\"\n"));
    edge_box.script("good", "", "true");
    let _daemon = edge_box.start();
    let [key, certificate] =
        ["box.key", "box.crt"].map(|name| edge_box.path(name).to_string_lossy().into_owned());
    let subject = format!("/CN={NAME}");
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        &subject,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ]);
    let hash = openssl(&["passwd", "-apr1", "hunter2"]);
    edge_box.write("heartbeatd.htpasswd", [b"me:".as_slice(), &hash].concat());
    let proxy = Proxy::start(&edge_box);
    until("nginx answers", || proxy.ask(NAME, "/", &[]).0 == "401");
    let with_password = ["-u", "me:hunter2"];
    let (status, page) = proxy.ask(NAME, "/", &with_password);
    assert!(status == "200" && page.contains("href=\"/flows/good\""), "{status}: {page}");
    assert_eq!(proxy.ask(NAME, "/flows/good", &with_password).0, "200");
    assert_eq!(proxy.ask(NAME, "/", &["-u", "me:wrong"]).0, "401");
    assert_eq!(proxy.ask(NAME, "/", &["-u", "me:hunter2", "-d", "x"]).0, "405");
    let mut events =
        proxy.curl(NAME, "/events").args(["-N", "-u", "me:hunter2"]).stdout(Stdio::piped()).spawn();
    let events = events.as_mut().expect("run curl");
    let begun = events.stdout.as_mut().expect("it writes").read(&mut [0; 16]).expect("it says something");
    assert!(begun > 0, "the begin of an answer without an end is not held back");
    let _over_already = events.kill();
    events.wait().expect("it ends");
    let (status, problem) = proxy.ask("other.example", "/", &with_password);
    assert!(status == "421" && problem.contains("not this box's"), "{status}: {problem}");
}

#[test]
fn the_guides_settings_are_the_defaults() {
    let edge_box = EdgeBox::new();
    let (code, said) = edge_box.command(&["init", &edge_box.path("new").to_string_lossy()]);
    assert_eq!(code, Some(0), "{said}");
    let defaults = edge_box.read("new/heartbeatd.toml");
    for line in block("toml", "badges = false").lines().skip(1) {
        assert!(defaults.contains(line), "{line} in {defaults}");
    }
}

#[test]
fn every_path_of_the_guide_is_there() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[status]\nlisten = \"127.0.0.1:0\"\nbadges = true\n");
    edge_box.script("good", "", "true");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let guide = document("docs/status-page.md");
    let rows = guide.lines().filter(|line| line.starts_with("| `/"));
    let paths: Vec<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2))
        .collect();
    assert!(paths.len() >= 6, "{paths:?}");
    for path in paths {
        let target = path.replace("NAME", "good").replace("ID", "1");
        assert_eq!(look(&edge_box, &target).status, 200, "{path}");
    }
}
