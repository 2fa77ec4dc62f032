//! The programs of docs/signing.md, from its own text, against the real daemon: each is heard, and none with another secret.
//! Only the port is another. Those that need packages are run by tests/interop/run.sh.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

// As its reader copies it.
#[expect(unreachable_pub, reason = "in a program of the reader's")]
#[path = "signing_guide/beat.rs"]
mod beat;

use heartbeat_runtime::auth::Secret;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use support::EdgeBox;
use support::daemon::Daemon;
use support::guide::{blocks, is_shown, section, shell};
use support::heartbeat::Heartbeat;
use support::tools::can_run;
use support::wire::{Answer, Wire};

const GUIDE: &str = include_str!("../docs/signing.md");
const EXAMPLE: &str = "run_interval = \"1h\"\n[command]\nargv = [\"echo\", \"example ran\"]\n";
/// Whose key the box has not.
const FOREIGN: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// The only block below a heading in this language that needs no package.
fn snippet(heading: &str, language: &str) -> &'static str {
    let mut found = blocks(section(GUIDE, heading)).into_iter().filter(|block| block.language == language);
    found.find(|block| !block.text.contains("standardwebhooks")).expect("there is a program").text
}

/// A box with one flow that is due with each heartbeat, and its daemon.
fn listening() -> (EdgeBox, Daemon) {
    let edge_box = EdgeBox::new();
    edge_box.flow("example", EXAMPLE);
    let daemon = edge_box.start();
    (edge_box, daemon)
}

/// Holds that a program is heard where the box's secret lies, and not where another does. `run` gives what it prints.
fn is_heard_with_the_secret_alone(run: impl Fn(&EdgeBox, &Daemon) -> String) {
    is_heard_with_its_secret_alone(&listening(), "secret", run);
}

/// The same of a program that reads its secret from this file.
fn is_heard_with_its_secret_alone(
    (edge_box, daemon): &(EdgeBox, Daemon),
    file: &str,
    run: impl Fn(&EdgeBox, &Daemon) -> String,
) {
    let secret = edge_box.read(file);
    edge_box.write_secret(file, FOREIGN);
    let told = run(edge_box, daemon);
    assert!(told.contains("signature_mismatch") && !told.contains("flows_triggered"), "{told}");
    edge_box.write(file, secret);
    let told = run(edge_box, daemon);
    assert!(told.contains("flows_triggered"), "{told}");
    assert_eq!(edge_box.ended_run("example").output, "example ran\n");
}

/// Writes a program that sends to the daemon, and runs it by a command in the box's folder.
fn run_program(
    edge_box: &EdgeBox,
    daemon: &Daemon,
    (file, text): (&str, &str),
    command: &mut Command,
) -> String {
    assert!(text.contains("127.0.0.1:8787"), "the default address");
    edge_box.write(file, text.replace(":8787", &format!(":{}", daemon.port)) + "\n");
    let output = command.current_dir(edge_box.path("")).output().expect("start it");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// With the `[[agents]]` that docs/agents.md has for them.
#[test]
fn what_grafana_and_github_sign_is_heard_when_it_is_signed_by_hand() {
    if !can_run("curl", &["--version"]) || !can_run("openssl", &["version"]) {
        return;
    }
    let agents = include_str!("../docs/agents.md");
    let scripts = [
        ("GitHub (also Gitea and Forgejo)", "github-secret", snippet("GitHub", "sh")),
        ("Grafana", "grafana-secret", snippet("Grafana", "sh")),
    ];
    for (heading, file, text) in scripts {
        let edge_box = EdgeBox::new();
        let settings = blocks(section(agents, heading)).into_iter().find(|block| block.language == "toml");
        edge_box.configure(&settings.expect("an agent").text.replace("[\"deploy\"]", "[\"example\"]"));
        edge_box.write_secret(file, "It's a secret to everybody");
        edge_box.flow("example", EXAMPLE);
        let daemon = edge_box.start();
        is_heard_with_its_secret_alone(&(edge_box, daemon), file, |edge_box, daemon| {
            let mut bash = Command::new("bash");
            run_program(edge_box, daemon, ("beat.sh", text), bash.args(["-euo", "pipefail", "beat.sh"]))
        });
    }
}

#[test]
fn a_heartbeat_by_curl_and_openssl_is_heard() {
    if !can_run("curl", &["--version"]) || !can_run("openssl", &["version"]) {
        return;
    }
    let text = snippet("curl and openssl", "sh");
    assert!(
        include_str!("../README.md")
            .contains(&format!("```sh\n{}\n```", text.replace("' secret", "' box/secret"))),
        "the same as in the README"
    );
    is_heard_with_the_secret_alone(|edge_box, daemon| {
        let mut bash = Command::new("bash");
        run_program(edge_box, daemon, ("beat.sh", text), bash.args(["-euo", "pipefail", "beat.sh"]))
    });
}

#[test]
fn a_heartbeat_by_python_is_heard() {
    if !can_run("python3", &["--version"]) {
        return;
    }
    is_heard_with_the_secret_alone(|edge_box, daemon| {
        let program = ("beat.py", snippet("Python", "python"));
        run_program(edge_box, daemon, program, Command::new("python3").arg("beat.py"))
    });
}

#[test]
fn a_heartbeat_by_node_is_heard() {
    if !can_run("node", &["--version"]) {
        return;
    }
    is_heard_with_the_secret_alone(|edge_box, daemon| {
        let program = ("beat.mjs", snippet("JavaScript", "js"));
        run_program(edge_box, daemon, program, Command::new("node").arg("beat.mjs"))
    });
}

#[test]
fn a_heartbeat_by_go_is_heard() {
    if !can_run("go", &["version"]) {
        return;
    }
    is_heard_with_the_secret_alone(|edge_box, daemon| {
        let mut go = Command::new("go");
        // Nothing is fetched.
        go.args(["run", "beat.go"]).env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
        go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
        run_program(edge_box, daemon, ("beat.go", snippet("Go", "go")), &mut go)
    });
}

#[test]
fn a_heartbeat_by_rust_is_heard() {
    let text = snippet("Rust", "rust");
    assert_eq!(
        format!("{text}\n"),
        include_str!("signing_guide/beat.rs"),
        "what is run here is what is shown"
    );
    let manifest = include_str!("../Cargo.toml");
    for line in snippet("Rust", "toml").lines().skip(1) {
        let (name, version) = line.split_once(" = ").expect("a crate and its version");
        let is_tested = |own: &str| own.starts_with(&format!("{name} = ")) && own.contains(version);
        assert!(manifest.lines().any(is_tested), "{line} is what is tested");
    }
    is_heard_with_the_secret_alone(|edge_box, daemon| {
        let secret = edge_box.read("secret");
        let address = format!("127.0.0.1:{}", daemon.port);
        beat::beat(&address, secret.trim(), r#"{"agent":"edge-monitor"}"#).expect("an answer")
    });
}

#[test]
fn the_agent_that_it_shows_is_valid() {
    let edge_box = EdgeBox::new();
    edge_box.configure(snippet("What is signed", "toml"));
    shell(&edge_box, snippet("What is signed", "sh")).expect("it makes the secret");
    let said = shell(&edge_box, "heartbeatd check 2>&1").expect("nothing is wrong");
    assert!(said.contains("edge-monitor") && !said.contains("warning"), "{said}");
}

/// The rows of the first table below a heading: their cells.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = section(GUIDE, heading).lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches(['|', ' ']).split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn the_signature_that_it_shows_is_the_right_one() {
    let table = GUIDE.split("this is what must come of it:").nth(1).expect("it is there");
    let value = |name: &str| {
        let row = table.lines().find_map(|line| line.strip_prefix(&format!("| {name} | `"))).expect("a row");
        row.trim_end_matches("` |").to_owned()
    };
    let secret = Secret::parse_line(&value("secret")).ok().flatten().expect("a secret");
    let timestamp = value("timestamp").parse().expect("a number");
    assert_eq!(secret.sign(&value("id"), timestamp, value("body").as_bytes()), value("signature"));
}

/// What comes of what a sender does wrong, in the order of the guide's table, but for its last row.
fn mistakes(edge_box: &EdgeBox, daemon: &Daemon) -> Vec<Answer> {
    let right = Heartbeat::new;
    let sign = |heartbeat: &Heartbeat| heartbeat.proof(&edge_box.secret);
    let send = |heartbeat: &Heartbeat, proof: &str| daemon.exchange(heartbeat.with_proof(proof));
    let by_openssl = |options: &str| {
        let heartbeat = right();
        let signed = format!("{}.{}.{}", heartbeat.id, heartbeat.signed_at_s, heartbeat.body);
        let code = shell(edge_box, &format!("printf %s '{signed}' | openssl dgst -sha256 {options}"));
        let fields = sign(&heartbeat);
        let (before, _) = fields.split_once("webhook-signature").expect("it is there");
        let code = code.expect("openssl signs");
        let code = code.trim().rsplit(' ').next().unwrap_or_default();
        send(&heartbeat, &format!("{before}webhook-signature: v1,{code}\r\n"))
    };
    let (_, foreign) = Secret::generate(&[1; 32]);
    let changed = |from: &str, to: &str| {
        let heartbeat = right();
        let proof = sign(&heartbeat);
        assert!(proof.contains(from), "{from}: {proof}");
        send(&heartbeat, &proof.replace(from, to))
    };
    let with_time = |time: &str| {
        let heartbeat = right();
        send(&heartbeat, &sign(&heartbeat).replace(&heartbeat.signed_at_s.to_string(), time))
    };
    let text = edge_box.read("secret");
    let (sent, repeated) = (right(), right());
    daemon.send(&repeated);
    let milliseconds = Heartbeat { signed_at_s: right().signed_at_s * 1000, ..right() };
    let without_length = right();
    let head = without_length.with_proof(&sign(&without_length));
    let head = String::from_utf8(head).expect("text").replace("Content-Length: 2\r\n\r\n{}", "\r\n");
    let elsewhere = String::from_utf8(right().to_bytes(&edge_box.secret)).expect("text");
    let mut far = Wire::connect_from(Ipv4Addr::new(127, 0, 0, 2), daemon.port);
    far.send(right().to_bytes(&edge_box.secret));
    vec![
        by_openssl(&format!("-hmac '{}' -binary | base64", text.trim())),
        daemon.exchange(right().to_bytes(&foreign)),
        send(&Heartbeat { body: "{}\n".to_owned(), ..sent.clone() }, &sign(&sent)),
        by_openssl("-hmac key"),
        changed("v1,", ""),
        with_time("2026-11-23T10:30:00Z"),
        changed("webhook-id: msg_", "webhook-id: msg."),
        changed("webhook-timestamp", "x-timestamp"),
        daemon.send(&right().signed_in(-400)),
        daemon.send(&right().signed_in(400)),
        daemon.send(&milliseconds),
        daemon.send(&repeated),
        daemon.send(&right().field("Content-Encoding: gzip")),
        daemon.exchange(head),
        daemon.exchange(elsewhere.replace("/data_flows/heartbeat", "/heartbeat")),
        far.answer(),
    ]
}

#[test]
fn each_mistake_gets_the_answer_that_it_is_said_to_get() {
    let edge_box = EdgeBox::new();
    edge_box.configure("whitelisted_ips = [\"127.0.0.1\"]\n");
    edge_box.script("example", "", "true");
    let daemon = edge_box.start();
    let mut answers = mistakes(&edge_box, &daemon);
    let (_, foreign) = Secret::generate(&[1; 32]);
    let guess = || daemon.exchange(Heartbeat::new().to_bytes(&foreign));
    answers.push((0..40).map(|_| guess()).find(|answer| answer.status == 429).expect("it is too much"));
    let rows = rows("When it is refused");
    assert_eq!(rows.len(), answers.len());
    for (row, answer) in rows.iter().zip(answers) {
        let shown = row[1].replace(['`', ','], "");
        let mut words = shown.split(' ');
        assert_eq!(words.next(), Some(answer.status.to_string().as_str()), "{row:?}: {answer:?}");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(words.next().is_some_and(|word| body.contains(word)), "{row:?}: {body}");
    }
}

#[test]
fn a_captured_request_is_judged_as_it_is_shown() {
    let edge_box = EdgeBox::new();
    let heartbeat = Heartbeat::new();
    let proof = heartbeat.proof(&edge_box.secret);
    edge_box
        .write("request.txt", Heartbeat { body: "{ }".to_owned(), ..heartbeat.clone() }.with_proof(&proof));
    let told = shell(&edge_box, snippet("A captured request", "sh")).expect_err("it fails");
    assert!(is_shown(&told, snippet("A captured request", "text")), "{told}");
    edge_box.write("request.txt", heartbeat.with_proof(&proof));
    assert!(shell(&edge_box, snippet("A captured request", "sh")).is_ok());
}

/// Those that are not run here are run elsewhere: by `tests/interop`, or as another test has it.
#[test]
fn every_language_that_it_has_is_run() {
    let tests = include_str!("signing_guide.rs");
    for (heading, text) in support::guide::sections(GUIDE) {
        for block in blocks(text).iter().filter(|block| !["toml", "text"].contains(&block.language)) {
            let is_run_here = tests.contains(&format!("snippet(\"{heading}\", \"{}\")", block.language));
            assert!(is_run_here, "{heading}: {}", block.language);
        }
    }
    let packages = include_str!("interop/signing.py");
    assert!(["python", "js"].iter().all(|language| packages.contains(&format!("\"{language}\""))));
}
