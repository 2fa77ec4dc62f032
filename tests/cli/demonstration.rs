//! `demo`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shells::is_here;
use crate::support::{Box, wait_for};

#[test]
fn all_that_the_demo_shows_comes_true_in_time() {
    let new = Box::empty();
    let begun = Instant::now();
    let demo = new.run(&["demo", "--dir", "box"]);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let text = demo.done();
    assert!(text.matches('✓').count() >= 10 && !text.contains('✗'), "{text}");
    assert!(text.contains("openssl dgst -sha256") && text.contains("curl"), "{text}");
    assert!(new.path("box/heartbeat.db").exists(), "a folder that was named is kept");
    assert!(new.run(&["demo", "--dir", "box"]).refused(2).contains("is not empty"));
}

#[test]
fn the_demo_is_not_led_astray_by_the_environment() {
    let new = Box::empty();
    let mut command = new.command(&["--json", "demo"]);
    command
        .env("HEARTBEATD_LISTEN", "127.0.0.1:1")
        .env("HEARTBEATD_DATABASE", "/dev/null")
        .env("TMPDIR", &new.folder);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.lines().all(|line| line.contains("\"ok\":true")), "{text}");
    assert_eq!(std::fs::read_dir(&new.folder).unwrap().count(), 0, "its own folder is removed");
}

#[test]
fn the_command_that_the_demo_prints_works_as_it_is_pasted() {
    if !is_here("curl") || !is_here("openssl") {
        return;
    }
    let new = Box::empty();
    let out = std::fs::File::create(new.path("out")).unwrap();
    let mut demo =
        new.command(&["demo", "--dir", "box", "--keep"]).stdout(out).stderr(Stdio::null()).spawn().unwrap();
    let mut shown = String::new();
    while !shown.contains("Serving until") && demo.try_wait().unwrap().is_none() {
        shown = wait_for(&new.path("out"), || true).unwrap_or_default();
    }
    let from = shown.find("  cd '").expect("a command is shown");
    let script = shown[from..].split("\n\n").next().unwrap();
    let pasted = Command::new("sh").arg("-c").arg(script).output().unwrap();
    let answer = String::from_utf8_lossy(&pasted.stdout).into_owned();
    let _ = Command::new("kill").arg(demo.id().to_string()).status();
    let status = demo.wait().unwrap();
    assert!(answer.contains("\"flows_due\":0"), "{answer}{}", String::from_utf8_lossy(&pasted.stderr));
    assert_eq!(status.code(), Some(0), "an interrupt ends it in good order");
}
