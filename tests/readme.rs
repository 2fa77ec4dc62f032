//! The README's commands, from its own text: only the address is another, because a test takes a free port.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use std::fs;
use std::path::PathBuf;
use support::EdgeBox;
use support::guide::{Guide, blocks, done};
use support::metrics::document;

/// A box as its first commands make it, on ports that are free.
struct FirstUse {
    edge_box: EdgeBox,
    readme: Guide,
}

impl FirstUse {
    fn new() -> Self {
        let (edge_box, readme) = (EdgeBox::new(), Guide::of("README.md"));
        let made = Self { edge_box, readme };
        let init =
            made.readme.blocks("First use", "sh")[0].lines().find(|line| line.starts_with("heartbeatd init"));
        let printed = done(&format!("{} --listen 127.0.0.1:0", init.unwrap_or_default()), &made.folder());
        assert!(
            printed.contains("create") && made.folder().join("box/flows/example.toml").exists(),
            "{printed}"
        );
        let shown = fs::read_to_string(made.folder().join("box/heartbeatd.toml")).expect("the configuration");
        let status = "\n# listen = \"127.0.0.1:8788\"";
        assert!(shown.contains(status), "the default address of the status page");
        let elsewhere = shown.replace(status, "\nlisten = \"127.0.0.1:0\"");
        fs::write(made.folder().join("box/heartbeatd.toml"), elsewhere).expect("write the configuration");
        made
    }

    fn folder(&self) -> PathBuf {
        self.edge_box.path("")
    }

    /// What commands print while the daemon runs, started as the first block ends.
    fn with_daemon(&self, commands: &str) -> String {
        let serve = self.readme.blocks("First use", "sh")[0].lines().last().unwrap_or_default();
        let with_ports = commands
            .replace("127.0.0.1:8787", "127.0.0.1:$(cat port)")
            .replace("127.0.0.1:8788", "127.0.0.1:$(status_port)")
            .replace(" beat", " beat --url \"http://127.0.0.1:$(cat port)/data_flows/heartbeat\"");
        let script = format!(
            "rm -f port; {serve} --port-file port 2>log & trap 'kill $!; wait' EXIT
             status_port() {{ sed -n 's/.*look on address=127.0.0.1://p' log; }}
             while [ -z \"$(status_port)\" ] || [ ! -e port ]; do kill -0 $!; done
             {with_ports}"
        );
        done(&script, &self.folder())
    }
}

#[test]
fn the_first_use_does_what_it_says() {
    let first = FirstUse::new();
    let [_, beat, look] = first.readme.blocks("First use", "sh")[..] else {
        panic!("three blocks of commands")
    };
    let page = first
        .readme
        .section("First use")
        .split('<')
        .find_map(|text| text.split_once('>'))
        .expect("the page")
        .0;
    let printed = first.with_daemon(&format!("{beat}\n{look}\ncurl --silent --show-error {page}"));
    let shown = first.readme.blocks("First use", "json")[0];
    for part in
        [r#""flows_due":1,"flows_triggered":1"#, r#""runs":[{"id":1,"flow":"example","status":"success","#]
    {
        assert!(shown.contains(part) && printed.contains(part), "{part}: {printed}");
    }
    assert!(printed.contains("example ran") && printed.contains("0 due, 0 triggered"), "{printed}");
    assert!(printed.contains("<!doctype html>") && printed.contains("/flows/example"), "{printed}");
}

#[test]
fn its_flows_are_made_tried_and_led() {
    let first = FirstUse::new();
    let [flows, records, operate] = first.readme.blocks("Flows", "sh")[..] else {
        panic!("three blocks of commands")
    };
    let printed = first.with_daemon(flows);
    assert!(printed.contains("upload-readings") && !printed.contains("error"), "{printed}");

    let printed = first.with_daemon(records);
    assert!(printed.contains("0 read, 0 would be written") && !printed.contains("error"), "{printed}");

    let printed = first.with_daemon(operate);
    let told = ["disable  upload-readings", "reload  flows: 0 created", "1 held"];
    assert!(told.iter().all(|words| printed.contains(words)) && !printed.contains("error"), "{printed}");
}

#[test]
fn the_commands_within_its_sentences_go_well() {
    let first = FirstUse::new();
    let text = first.readme.text();
    let spans = text.split("\n```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let commands: Vec<_> = spans.filter(|span| span.starts_with("heartbeatd ")).collect();
    assert!(
        commands.contains(&"heartbeatd init --systemd box") && commands.contains(&"heartbeatd man"),
        "{commands:?}"
    );
    let commands = commands.join("\n").replace("COMMAND", "runs list");
    first.with_daemon(&format!("export HEARTBEATD_CONFIG=box/heartbeatd.toml\n{commands}"));
}

/// The others are run by the tests here.
#[test]
fn what_needs_the_sources_is_run_by_ci_as_it_stands() {
    let readme = Guide::of("README.md");
    let commands: Vec<_> = blocks(readme.text()).into_iter().filter(|block| block.language == "sh").collect();
    let lines = commands.iter().flat_map(|block| block.text.lines());
    let of_cargo: Vec<_> = lines.filter(|line| line.starts_with("cargo ")).collect();
    let sections: usize =
        ["First use", "Flows"].iter().map(|heading| readme.blocks(heading, "sh").len()).sum();
    assert_eq!(commands.len(), 3 + sections, "a block that no test runs");
    assert_eq!(of_cargo.len(), 4, "{of_cargo:?}");
    let scripts = [document(".ci/run"), document(".ci/full")].concat();
    for line in of_cargo {
        let step = format!(".ci/readme.sh '{line}'");
        assert!(scripts.contains(&step), "no step of .ci/run or .ci/full is: {step}");
    }
}

#[test]
fn the_flows_that_it_shows_are_valid() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    let [command, pipeline] = readme.blocks("Flows", "toml")[..] else { panic!("two flows") };
    edge_box.flow("upload-readings", command);
    edge_box.flow("readings", pipeline);
    let printed = done("heartbeatd --config heartbeatd.toml check", &edge_box.path(""));
    assert!(printed.contains("2 flows are right") && !printed.contains("error"), "{printed}");
}

#[test]
fn the_alerts_that_it_shows_are_valid() {
    let readme = Guide::of("README.md");
    let edge_box = EdgeBox::new();
    edge_box.write_secret("alert-secret", "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    edge_box.configure(readme.blocks("In operation", "toml")[0]);
    let printed = done("heartbeatd --config heartbeatd.toml check", &edge_box.path(""));
    assert!(printed.contains("is right") && !printed.contains("error"), "{printed}");
}
