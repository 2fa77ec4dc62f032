//! Secrets: rotation, end dates, tokens, and what is refused before anything starts.

mod support;

use heartbeat_runtime::auth::Secret;
use heartbeat_runtime::time::Wall;
use std::process::Command;
use support::EdgeBox;
use support::daemon::Daemon;
use support::heartbeat::{Heartbeat, now_s};
use support::wire::Answer;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn secret(byte: u8) -> (String, Secret) {
    let (text, secret) = Secret::generate(&[byte; 32]);
    (text.to_string(), secret)
}

/// `until=` so many seconds from now.
fn until_in(seconds: i64) -> String {
    format!("until={}", Wall::from_seconds(now_s() + seconds).rfc3339())
}

fn send(daemon: &Daemon, secret: &Secret) -> Answer {
    daemon.exchange(Heartbeat::new().to_bytes(secret))
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error())
}

fn mismatch() -> (u16, String) {
    (401, "signature_mismatch".to_owned())
}

/// What a daemon says that ends with a configuration error.
fn refused(edge_box: &EdgeBox) -> String {
    let (code, said) = Daemon::refused(edge_box, |_| {});
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("help: "), "{said}");
    said
}

#[test]
fn during_a_rotation_the_old_and_the_new_secret_are_accepted_and_one_that_ended_is_not() {
    let [(old_text, old), (new_text, new), (ended_text, ended)] = [1, 2, 3].map(secret);
    let edge_box = EdgeBox::new();
    let lines =
        format!("# rotation\n{ended_text} {}\n{old_text} {}\n{new_text}", until_in(-1), until_in(3600));
    edge_box.write_secret("secret", &lines);
    let daemon = edge_box.start();
    assert_eq!(send(&daemon, &old).status, 200);
    assert_eq!(send(&daemon, &new).status, 200);
    assert_eq!(refusal(&send(&daemon, &ended)), mismatch());
    assert_eq!(refusal(&send(&daemon, &secret(4).1)), mismatch());
}

#[test]
fn a_secret_ends_at_its_time_while_the_daemon_runs() {
    let (text, short_lived) = secret(1);
    let (lasting_text, lasting) = secret(2);
    let edge_box = EdgeBox::new();
    edge_box.write_secret("secret", &format!("{text} {}\n{lasting_text}", until_in(4)));
    let daemon = edge_box.start();
    assert_eq!(send(&daemon, &short_lived).status, 200);
    support::until("it ends", || refusal(&send(&daemon, &short_lived)) == mismatch());
    assert_eq!(send(&daemon, &lasting).status, 200);
}

#[test]
fn one_good_signature_among_several_is_enough() {
    let edge_box = EdgeBox::new();
    let (_, unknown) = secret(9);
    let daemon = edge_box.start();
    let heartbeat = Heartbeat::new();
    let sign = |secret: &Secret| secret.sign(&heartbeat.id, heartbeat.signed_at_s, b"{}");
    let list = format!("v1a,abc v1,!!! {} {}", sign(&unknown), sign(&edge_box.secret));
    let proof = format!(
        "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {list}\r\n",
        heartbeat.id, heartbeat.signed_at_s
    );
    assert_eq!(daemon.exchange(heartbeat.with_proof(&proof)).status, 200);
    let twice = format!("{proof}webhook-signature: {}\r\n", sign(&edge_box.secret));
    let answer = daemon.exchange(heartbeat.with_proof(&twice));
    assert_eq!(refusal(&answer), (401, "signature_malformed".to_owned()));
}

#[test]
fn secrets_of_several_files_and_of_the_environment_are_in_force() {
    let [(one_text, one), (two_text, two), (three_text, three)] = [1, 2, 3].map(secret);
    let edge_box = EdgeBox::new();
    edge_box.configure("signing_secret_files = [\"one\", \"two\"]\n");
    edge_box.write_secret("one", &one_text);
    edge_box.write_secret("two", &two_text);
    let daemon = Daemon::start(&edge_box, |command| {
        command.env("HEARTBEATD_SIGNING_SECRET", &three_text);
    });
    for secret in [&one, &two, &three] {
        assert_eq!(send(&daemon, secret).status, 200);
    }
    assert_eq!(refusal(&send(&daemon, &edge_box.secret)), mismatch());
}

#[test]
fn a_static_token_starts_runs_and_a_wrong_one_does_not() {
    let edge_box = EdgeBox::new();
    edge_box.configure("authentication_token_file = \"token\"\n");
    edge_box.write_secret("token", TOKEN);
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let with_token = |token: &str| {
        daemon.exchange(Heartbeat::new().with_proof(&format!("X-Heartbeat-Token: {token}\r\n")))
    };
    let wrong = with_token("0123456789abcdef0123456789abcdeF");
    assert_eq!(refusal(&wrong), (401, "token_mismatch".to_owned()));
    assert!(wrong.field("WWW-Authenticate").is_some());
    assert_eq!(with_token(TOKEN).count("flows_triggered"), 1);
    assert_eq!(daemon.beat().status, 200, "signatures are accepted beside it");
}

#[test]
fn a_missing_secret_is_refused_by_its_file_s_name() {
    let edge_box = EdgeBox::new();
    std::fs::remove_file(edge_box.path("secret")).unwrap();
    let said = refused(&edge_box);
    assert!(said.contains(edge_box.path("secret").to_str().unwrap()), "{said}");
}

#[test]
fn an_empty_a_short_and_an_unreadable_secret_are_refused_by_file_and_line() {
    let edge_box = EdgeBox::new();
    let file = edge_box.path("secret");
    let file = file.to_str().unwrap();
    edge_box.write("secret", "");
    assert!(refused(&edge_box).contains(&format!("{file}: the file is empty")));
    for (text, line, says) in [
        ("# only a note", "", "no secret"),
        ("\nwhsec_c2hvcnQ=", ":2", "24 to 64"),
        ("whsec_not*base64", ":1", "base64"),
        ("0123456789abcdef0123456789abcdef", ":1", "whsec_"),
    ] {
        edge_box.write_secret("secret", text);
        let said = refused(&edge_box);
        assert!(said.contains(&format!("{file}{line}")) && said.contains(says), "{text:?}: {said}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let edge_box = EdgeBox::new();
    for mode in [0o644, 0o640, 0o604] {
        edge_box.set_mode("secret", mode);
        let said = refused(&edge_box);
        assert!(said.contains(edge_box.path("secret").to_str().unwrap()), "{said}");
        assert!(said.contains("chmod"), "{said}");
    }
}

/// As systemd makes it where the file system has access lists: the group's bits are the list's mask.
#[test]
fn a_credential_of_the_service_manager_is_a_secret_and_one_that_all_can_read_is_not() {
    let edge_box = EdgeBox::new();
    let (text, credential) = secret(1);
    std::fs::create_dir(edge_box.path("credentials")).unwrap();
    edge_box.write_secret("credentials/secret", &text);
    edge_box.set_mode("credentials/secret", 0o440);
    edge_box.set_mode("credentials", 0o550);
    let folder = edge_box.path("credentials");
    let file = folder.join("secret");
    let as_a_service = |command: &mut Command| {
        command.env("CREDENTIALS_DIRECTORY", &folder).env("HEARTBEATD_SIGNING_SECRET_FILES", &file);
    };
    let daemon = Daemon::start(&edge_box, as_a_service);
    assert_eq!(send(&daemon, &credential).status, 200);
    assert_eq!(refusal(&send(&daemon, &edge_box.secret)), mismatch());
    drop(daemon);
    let elsewhere = Daemon::refused(&edge_box, |command| {
        command.env("CREDENTIALS_DIRECTORY", edge_box.path("")).env("HEARTBEATD_SIGNING_SECRET_FILES", &file);
    });
    assert!(elsewhere.0 == Some(78) && elsewhere.1.contains("mode 0440"), "{elsewhere:?}");
    for mode in [0o444, 0o460, 0o441] {
        edge_box.set_mode("credentials/secret", mode);
        let (code, said) = Daemon::refused(&edge_box, as_a_service);
        assert!(code == Some(78) && said.contains(&format!("mode {mode:04o}")), "{said}");
    }
    edge_box.set_mode("credentials", 0o700);
}

#[test]
fn without_authentication_the_network_is_refused_unless_allowed_by_name() {
    let edge_box = EdgeBox::new();
    let listen_everywhere = |allowed: &str| {
        let text = format!("listen = [\"0.0.0.0:0\"]\nauthentication_enabled = false\n{allowed}");
        edge_box.write("heartbeatd.toml", text);
    };
    listen_everywhere("");
    assert!(refused(&edge_box).contains("allow_unauthenticated_network"));
    listen_everywhere("allow_unauthenticated_network = true\n");
    assert_eq!(edge_box.start().exchange(Heartbeat::new().with_proof("")).status, 200);
    edge_box.configure("authentication_enabled = false\n");
    let daemon = edge_box.start();
    assert_eq!(daemon.exchange(Heartbeat::new().with_proof("")).status, 200);
    assert!(daemon.log().contains("authentication_enabled = false"), "the start says so");
}

#[test]
fn no_part_of_a_secret_a_token_or_a_signature_is_ever_logged() {
    let edge_box = EdgeBox::new();
    edge_box.configure("authentication_token_file = \"token\"\n[log]\nlevel = \"trace\"\n");
    edge_box.write_secret("token", TOKEN);
    edge_box.script("it", "", "env");
    let mut daemon = edge_box.start();
    let heartbeat = Heartbeat::new().wait(10);
    let good = heartbeat.proof(&edge_box.secret);
    let forged = Heartbeat::new();
    let bad = forged.proof(&secret(9).1);
    let answers = [
        daemon.exchange(heartbeat.with_proof(&good)),
        daemon.exchange(forged.with_proof(&bad)),
        daemon.exchange(forged.with_proof(&format!("X-Heartbeat-Token: {TOKEN}\r\n"))),
        daemon.exchange(forged.with_proof("X-Heartbeat-Token: guessed-guessed-guessed\r\n")),
    ];
    assert_eq!(answers.map(|answer| answer.status), [200, 401, 200, 401]);
    daemon.stop();
    let signature = |proof: &str| proof.rsplit_once("v1,").unwrap().1.trim().to_owned();
    let key = edge_box.read("secret").trim().trim_start_matches("whsec_").to_owned();
    let said = format!("{}{}", daemon.log(), edge_box.runs()[0].output);
    assert!(said.contains("signature_mismatch") && said.contains("HEARTBEAT_FLOW=it"), "{said}");
    let guessed = "guessed-guessed-guessed".to_owned();
    for word in [key, TOKEN.to_owned(), signature(&good), signature(&bad), guessed] {
        for part in word.as_bytes().windows(12) {
            let part = std::str::from_utf8(part).unwrap();
            assert!(!said.contains(part), "{part} of {word}");
        }
    }
}
