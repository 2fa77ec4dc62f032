//! The README's commands, from its own text: only the address is another, because a test takes a free port.

mod support;

use std::path::Path;
use support::EdgeBox;
use support::guide::{Guide, script};

/// Runs a text of the README in a folder. What it prints.
fn shell(text: &str, folder: &Path) -> String {
    script(text, folder).text
}

#[test]
fn the_heartbeat_by_hand_is_accepted() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    edge_box.flow("example", "run_interval = \"15m\"\n[command]\nargv = [\"echo\", \"example ran\"]\n");
    let daemon = edge_box.start();
    let text = readme.blocks("A heartbeat by hand", "sh")[0];
    assert!(text.contains("127.0.0.1:8787"), "the default address");
    let answer = shell(&text.replace(":8787", &format!(":{}", daemon.port)), &edge_box.path(""));
    assert!(
        answer.contains(r#""flows_triggered":1"#) && answer.contains(r#""status":"success""#),
        "{answer}"
    );
    assert_eq!(edge_box.ended_run("example").output, "example ran\n");
}

#[test]
fn the_first_use_does_what_it_says() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    let folder = edge_box.path("");
    let [install, beat, flows, records, operate] = readme.blocks("First use", "sh")[..] else {
        panic!("five blocks of commands")
    };
    let init = install.lines().find(|line| line.starts_with("heartbeatd init")).unwrap_or_default();
    let printed = shell(&format!("{init} --listen 127.0.0.1:0"), &folder);
    assert!(printed.contains("create") && folder.join("box/flows/example.toml").exists(), "{printed}");

    let serve = install.lines().last().unwrap_or_default();
    let url = "--url \"http://127.0.0.1:$(cat port)/data_flows/heartbeat\"";
    let commands = beat.replace("beat --wait", &format!("beat {url} --wait"));
    let with_daemon = |commands: &str| {
        let script = format!(
            "rm -f port; {serve} --port-file port 2>log & trap 'kill $!; wait' EXIT
             while [ ! -e port ]; do kill -0 $!; done
             {commands}"
        );
        shell(&script, &folder)
    };
    let printed = with_daemon(&commands);
    assert!(printed.contains("1 due, 1 triggered") && printed.contains("example ran"), "{printed}");

    let printed = with_daemon(flows);
    assert!(printed.contains("upload-readings") && !printed.contains("error"), "{printed}");

    let printed = with_daemon(records);
    assert!(printed.contains("0 read, 0 would be written") && !printed.contains("error"), "{printed}");

    let printed = with_daemon(operate);
    let told = ["disable  upload-readings", "reload  flows: 0 created", "1 held"];
    assert!(told.iter().all(|words| printed.contains(words)) && !printed.contains("error"), "{printed}");
}

#[test]
fn the_flows_that_it_shows_are_valid() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    let [command, pipeline] = readme.blocks("First use", "toml")[..] else { panic!("two flows") };
    edge_box.flow("upload-readings", command);
    edge_box.flow("readings", pipeline);
    let printed = shell("heartbeatd --config heartbeatd.toml check", &edge_box.path(""));
    assert!(printed.contains("2 flows are right") && !printed.contains("error"), "{printed}");
}

#[test]
fn the_alerts_that_it_shows_are_valid() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    edge_box.write_secret("alert-secret", "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    edge_box.configure(readme.blocks("In operation", "toml")[0]);
    let printed = shell("heartbeatd --config heartbeatd.toml check", &edge_box.path(""));
    assert!(printed.contains("is right") && !printed.contains("error"), "{printed}");
}
