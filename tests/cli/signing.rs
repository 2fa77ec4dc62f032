//! `sign`, `verify`, and `beat` against a running daemon.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;

use crate::skipped::tell_skipped;
use crate::support::{Box, Daemon, Done};

/// A raw request with the headers that `sign` prints for `body`.
fn signed(new: &Box, body: &str) -> String {
    let sign = new.run_with(&["sign", "--body", "-"], body.as_bytes());
    let headers = sign.done().replace('\n', "\r\n");
    let length = body.len();
    format!(
        "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
}

#[test]
fn what_is_signed_is_verified_and_what_was_changed_is_refused() {
    let new = Box::new();
    let request = signed(&new, "{\"a\":1}");
    let verify = |request: &str| new.run_with(&["verify", "-"], request.as_bytes());
    let good = verify(&request);
    assert!(good.done().contains("passes  credentials, agent default"), "{}", good.out);
    assert!(verify(&request.replace("\"a\":1", "\"a\":2")).refused(77).contains("signature_mismatch"));
    assert!(verify(&request.replace("webhook-id", "webhook-ib")).refused(77).contains("signature_missing"));
    assert!(verify(&request.replace("POST /data", "POST /date")).refused(77).contains("not_found"));
    let large = request.replace("Content-Length: 7", "Content-Length: 700000");
    assert!(verify(&large).refused(77).contains("body_too_large"));
    assert!(verify(&request.replace("\r\n", "\n")).refused(65).contains("CRLF"));
    assert!(verify(&request[..request.len() - 1]).refused(65).contains("not complete"));
    new.write("request", &request);
    let json = new.run(&["verify", "--json", "request"]);
    json.done();
    assert_eq!(json.json()[0]["accepted"], true);
    assert!(json.json()[0]["skew_s"].as_i64().unwrap() < 60);
    new.run(&["verify", "gone"]).refused(74);
}

#[test]
fn a_captured_request_that_is_too_old_is_told_with_its_skew() {
    let new = Box::new();
    // Signed with the key 00 01 … 1f at 2026-01-01T00:00:00Z by openssl.
    new.write("secret", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    let request = signed(&new, "");
    let time = request.split("webhook-timestamp: ").nth(1).unwrap().split('\r').next().unwrap();
    let tampered = request.replace(time, "1767225600");
    let text = new.run_with(&["verify", "-"], tampered.as_bytes()).refused(77).to_owned();
    assert!(text.contains("signature_mismatch"), "skew is told only where the signature is good: {text}");
    let old = OLD.replace('\n', "\r\n");
    let verify = new.run_with(&["verify", "-"], old.as_bytes());
    assert!(verify.refused(77).contains("timestamp_too_old"), "{}", verify.err);
    assert!(
        verify.out.contains("passes  credentials") && verify.out.contains(" fails  time, signed"),
        "{}",
        verify.out
    );
}

const OLD: &str = "POST /data_flows/heartbeat HTTP/1.1
Host: box
Content-Length: 0
webhook-id: msg_old
webhook-timestamp: 1767225600
webhook-signature: v1,jw3Zz36FuTtFGIAR9sVmy78WyOemIHlWQCma7btPjn0=

";

#[test]
fn sign_prints_one_object_for_programs() {
    let new = Box::new();
    let sign = new.run(&["sign", "--json", "--secret-file", "secret"]);
    sign.done();
    let object = &sign.json()[0];
    assert!(object["webhook-id"].as_str().unwrap().starts_with("msg_"));
    assert!(object["webhook-signature"].as_str().unwrap().starts_with("v1,"));
    assert!(object["webhook-timestamp"].as_str().unwrap().parse::<i64>().is_ok());
}

#[test]
fn beat_prints_what_ran() {
    let new = Box::new();
    let daemon = new.serve();
    let url = daemon.url();
    let beat = new.run(&["beat", "--url", &url, "--wait", "10s"]);
    assert!(beat.done().starts_with("1 due, 1 triggered\n"), "{}", beat.out);
    assert!(beat.out.contains("example") && beat.out.contains("success"), "{}", beat.out);
    let json = new.run(&["beat", "--json", "--url", &url]);
    json.done();
    assert_eq!(json.json()[0]["flows_due"], 0);
    let often = new.run(&["beat", "--json", "--url", &url, "--every", "1ms", "--count", "3"]);
    often.done();
    let ids: std::collections::HashSet<_> =
        often.json().iter().map(|answer| answer["heartbeat_id"].to_string()).collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn beat_tells_why_a_run_failed_where_that_is_on_record() {
    let boxes = [Box::new(), Box::new()];
    let text = "run_interval = \"1h\"\n[command]\nargv = [\"./gone.sh\"]\n";
    boxes.iter().for_each(|it| it.write("flows/example.toml", text));
    let [here, there] = &boxes;
    let daemons = boxes.each_ref().map(Box::serve);
    let [own, other] = daemons.each_ref().map(Daemon::url);
    let beat = here.run(&["--config", "heartbeatd.toml", "beat", "--url", &own, "--wait", "20s"]);
    let why = "flows/gone.sh does not exist (a relative path starts at the folder of its file)";
    let hint = "`heartbeatd --config heartbeatd.toml runs show 1` tells more";
    assert!(beat.done().ends_with(&format!("{why}\n{hint}\n")), "{}", beat.out);

    // Run 1 of another box is not the one of this number here.
    std::fs::copy(there.path("secret"), here.path("secret")).unwrap();
    let beat = here.run(&["beat", "--url", &other, "--wait", "20s"]);
    assert!(
        beat.done().contains("  run 1  example  failed") && beat.out.ends_with("  spawn\n"),
        "{}",
        beat.out
    );
}

#[test]
fn a_secret_of_another_user_is_told_with_the_command_that_may_read_it() {
    let new = Box::new();
    let is_root = rustix::process::geteuid().is_root();
    let (file, sudo) = if is_root { ("secret", "sudo -u '#4242'") } else { ("/etc/shadow", "sudo") };
    let mut command =
        new.command(&["beat", "--secret-file", file, "--url", "http://127.0.0.1:9/?a&b", "--wait", "1s"]);
    if is_root {
        std::os::unix::fs::chown(new.path("secret"), Some(4242), None).unwrap();
        command.uid(65534);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return tell_skipped(&format!("another user cannot run the program: {error}")),
    };
    let done = Done::of(output);
    let right =
        format!("`{sudo} heartbeatd beat --secret-file {file} --url 'http://127.0.0.1:9/?a&b' --wait 1s`");
    assert!(done.refused(78).contains(&right), "{right}: {}", done.err);
}

#[test]
fn beat_tells_a_refusal_from_an_absence() {
    let new = Box::new();
    let daemon = new.serve();
    let stranger = Box::new();
    let other = stranger.path("secret");
    let refused = new.run(&["beat", "--url", &daemon.url(), "--secret-file", other.to_str().unwrap()]);
    assert!(refused.refused(77).contains("signature_mismatch"));
    let elsewhere = daemon.url().replace("heartbeat", "elsewhere");
    assert!(new.run(&["beat", "--url", &elsewhere]).refused(1).contains("404"));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/");
    assert!(new.run(&["beat", "--url", &url]).refused(69).contains("cannot connect"));
    let twice = new.run(&["beat", "--url", &url, "--every", "1ms", "--count", "2"]);
    assert_eq!(twice.refused(69).matches("error: ").count(), 2, "it goes on after a failure");
    assert!(new.run(&["beat", "--url", "https://box/"]).refused(2).contains("https"));
    assert!(new.run(&["beat"]).refused(2).contains("port 0"));
}

#[test]
fn beat_keeps_its_connection_and_tries_again_with_the_same_id() {
    let new = Box::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    // Two answers over one connection, a close, a refusal for now, and what a third connection brings.
    let server = std::thread::spawn(move || {
        let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n";
        let accepted = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let connections = [vec![accepted, accepted], vec![busy, accepted]];
        let mut ids = Vec::new();
        for answers in connections {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.push(char::from(byte[0]));
                }
                let id = head.lines().find_map(|line| line.strip_prefix("webhook-id: ")).unwrap();
                ids.push(id.to_owned());
                stream.write_all(answer.as_bytes()).unwrap();
            }
        }
        ids
    });
    let beat = new.run(&["beat", "--url", &url, "--every", "2s", "--count", "3"]);
    beat.done();
    assert!(beat.err.contains("503") && beat.err.contains("trying again in 500ms"), "{}", beat.err);
    let ids = server.join().unwrap();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] == ids[3], "{ids:?}");
}

#[test]
fn beat_takes_any_retry_after() {
    let new = Box::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let busy = "HTTP/1.1 503 X\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(busy.as_bytes()).unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    assert!(new.run(&["beat", "--url", &url, "--every", "1s", "--count", "1"]).refused(75).contains("503"));
    server.join().unwrap();
}

#[test]
fn beat_uses_the_token_where_there_is_no_secret() {
    let new = Box::new();
    new.write("token", "0123456789abcdef0123456789abcdef\n");
    std::fs::set_permissions(new.path("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    new.write(
        "heartbeatd.toml",
        "listen = [\"127.0.0.1:0\"]\nsigning_secret_files = []\nauthentication_token_file = \"token\"\n",
    );
    let daemon = new.serve();
    assert!(new.run(&["beat", "--url", &daemon.url()]).done().starts_with("1 due"));
}
