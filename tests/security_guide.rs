//! What docs/security.md has an operator do, done as it stands there: secrets changed under a running daemon, the firewall
//! judged by nft(8), the modes of files. tests/reverse_proxy.rs does what it says of TLS.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::auth::Secret;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use support::daemon::Daemon;
use support::guide::{Guide, blocks, done};
use support::heartbeat::Heartbeat;
use support::tools::can_run;
use support::{EdgeBox, until};

const ROTATION: &str = "A new secret, without a gap";

/// Runs commands of the guide in the box's folder, where `heartbeatd` finds its configuration.
fn carry_out(edge_box: &EdgeBox, commands: &str) -> String {
    done(commands, &edge_box.path(""))
}

/// The secret of a line of the box's file.
fn secret(edge_box: &EdgeBox, line: usize) -> Secret {
    let text = edge_box.read("secret");
    let line = text.lines().nth(line).expect("the file has so many lines");
    Secret::parse_line(line).expect("a right line").expect("a secret")
}

/// What becomes of a heartbeat that is signed with this secret: its status, and the error's name.
fn answered(daemon: &Daemon, secret: &Secret) -> String {
    let answer = daemon.exchange(Heartbeat::new().to_bytes(secret));
    if answer.status == 200 { "accepted".to_owned() } else { answer.error() }
}

#[test]
fn a_secret_is_changed_without_a_gap_and_a_stolen_one_at_once() {
    let guide = Guide::of("docs/security.md");
    let [add, take_out, stolen] = guide.blocks(ROTATION, "sh")[..] else { panic!("three blocks") };
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let old = secret(&edge_box, 0);

    let said = carry_out(&edge_box, add);
    let text = edge_box.read("secret");
    assert!(
        text.lines().count() == 2 && text.lines().next().is_some_and(|it| it.contains(" until=")),
        "{text}"
    );
    assert!(said.contains("2 secrets"), "{said}");
    let check: serde_json::Value =
        serde_json::from_str(&carry_out(&edge_box, "heartbeatd --json check")).expect("a verdict");
    let until = check["agents"][0]["until"].as_str().unwrap_or_default();
    assert!(text.contains(until) && !until.is_empty(), "{check}");
    let new = secret(&edge_box, 1);
    assert_eq!([&old, &new].map(|it| answered(&daemon, it)), ["accepted", "accepted"]);
    let signed = carry_out(&edge_box, "heartbeatd sign");
    let fields: Vec<&str> = signed.lines().filter_map(|line| Some(line.split_once(": ")?.1)).collect();
    let [id, signed_at, signature] = fields[..] else { panic!("three fields: {signed}") };
    assert_eq!(
        signature,
        new.sign(id, signed_at.parse().expect("seconds"), b""),
        "the box signs by the new one"
    );

    let said = carry_out(&edge_box, take_out);
    assert_eq!(edge_box.read("secret").lines().count(), 1, "{said}");
    assert_eq!([&old, &new].map(|it| answered(&daemon, it)), ["signature_mismatch", "accepted"]);
    assert!(answered(&daemon, &secret(&edge_box, 0)) == "accepted");

    carry_out(&edge_box, stolen);
    assert_eq!(
        [&new, &secret(&edge_box, 0)].map(|it| answered(&daemon, it)),
        ["signature_mismatch", "accepted"]
    );
    let mode = fs::metadata(edge_box.path("secret")).expect("look at it").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_firewall_is_one_that_nft_takes() {
    // Debian keeps it where users who are not root do not look; its check asks the kernel, of a network of its own.
    let path = "PATH=/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin";
    let nft = [path, "unshare", "--user", "--map-root-user", "--net", "nft"];
    if !can_run("env", &[&nft[..], &["--version"]].concat()) {
        return;
    }
    let guide = Guide::of("docs/security.md");
    let [rules] = guide.blocks("A firewall", "nft")[..] else { panic!("one set of rules") };
    let edge_box = EdgeBox::new();
    edge_box.write("rules.nft", format!("{rules}\n"));
    let mut command = Command::new("env");
    command.args(nft).args(["-c", "-f"]).arg(edge_box.path("rules.nft"));
    let judged = command.output().expect("run nft");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

#[test]
fn files_have_the_modes_that_the_guide_tells() {
    let edge_box = EdgeBox::new();
    let folder = edge_box.path("box");
    let guide = Guide::of("docs/security.md");
    let leads_to_it = blocks(guide.text())[0].text;
    let made = done("umask 022; heartbeatd init box --listen 127.0.0.1:0", &edge_box.path(""));
    let serve = "heartbeatd serve --port-file port & trap 'kill $!; wait' EXIT; while [ ! -e port ]; do kill -0 $!; done";
    let told =
        "stat -c '%n 0%a' secret heartbeat.db heartbeat.db.lock heartbeatd.sock heartbeatd.toml flows/*";
    let listen = "HEARTBEATD_STATUS__LISTEN=127.0.0.1:0";
    let modes = done(&format!("{leads_to_it}\nexport {listen}\n{serve}\ncd box\n{told}"), &edge_box.path(""));
    let rows = guide.section("Least privilege").lines().filter(|line| line.starts_with("| `"));
    let mut seen = 0;
    for row in rows {
        let [_, names, mode, ..] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        for name in names.split('`').skip(1).step_by(2) {
            let line = format!("{name} {}", mode.trim());
            assert!(modes.lines().any(|it| it == line), "{line} in {modes}\n{made}");
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "all of them were looked at");
    until("the daemon has ended", || !folder.join("heartbeatd.sock").exists());
}
