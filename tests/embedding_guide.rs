//! docs/embedding.md shows a program and a flow for it: here both do what it says. In a file of its own, as the daemon takes the
//! process's signals.

mod support;

#[path = "../examples/embedding.rs"]
#[expect(dead_code, reason = "its `main` is for a process of its own")]
mod example;

use rustix::process::{Signal, getpid, kill_process};
use std::sync::mpsc;
use support::EdgeBox;
use support::guide::Guide;
use support::heartbeat::Heartbeat;
use support::metrics::document;
use support::wire::Wire;

#[test]
fn the_program_that_the_guide_shows_is_the_example() {
    let guide = Guide::of("docs/embedding.md");
    let [program] = guide.blocks("A flow kind", "rust")[..] else { panic!("one program") };
    let example = document("examples/embedding.rs");
    let (_, example) = example.split_once("\n\n").expect("a head, and then the program");
    assert_eq!(format!("{program}\n"), example);
}

#[test]
fn the_guide_s_program_runs_the_guide_s_flow() {
    let edge_box = EdgeBox::new();
    let guide = Guide::of("docs/embedding.md");
    let [flow] = guide.blocks("A flow kind", "toml")[..] else { panic!("one flow") };
    let folder = edge_box.path("");
    let folder = folder.to_str().expect("a path in UTF-8");
    edge_box.flow(
        "keep-readings",
        &flow.replace("/srv/", folder).replace("/mnt/stick/", &format!("{folder}copy-of-")),
    );
    edge_box.write("readings.csv", "sensor,value\n");
    let (tell, told) = mpsc::channel();
    let secret = edge_box.secret.clone();
    let caller = std::thread::spawn(move || {
        let port = told.recv().expect("it listens");
        let mut wire = Wire::connect(port);
        wire.send(Heartbeat::new().wait(20).to_bytes(&secret));
        let answer = wire.answer();
        kill_process(getpid(), Signal::TERM).expect("tell it to end");
        answer
    });
    let served = example::serve(&edge_box.path("heartbeatd.toml"), |addresses| {
        tell.send(addresses[0].port()).expect("the caller waits for it");
    });
    served.expect("it serves and ends");
    let answer = caller.join().expect("the caller had its answer");
    assert_eq!(answer.count("flows_triggered"), 1, "{answer:?}");
    let run = edge_box.ended_run("keep-readings");
    assert_eq!((run.status.as_str(), run.attempt), ("success", 1), "{run:?}");
    assert_eq!(edge_box.read("copy-of-readings.csv"), "sensor,value\n");
    assert!(run.output.contains("copy-of-readings.csv"), "{run:?}");
}

#[test]
fn a_flow_that_the_kind_does_not_take_is_told_with_its_line() {
    use heartbeat_runtime::config::{FlowContext, parse_flow};
    use heartbeat_runtime::time::Zones;
    let mut kinds = heartbeat_runtime::pipeline::kinds();
    kinds.register(Box::new(example::Copy));
    let zones = Zones::utc_only();
    let root = std::path::Path::new("/");
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: root };
    let text = "run_interval = \"1h\"\n[copy]\nfrom = \"readings.csv\"\nto = \"/x\"\n";
    let faults = parse_flow(text, &root.join("it.toml"), &context).expect_err("it is wrong").to_string();
    assert!(faults.contains("it.toml:3: copy.from") && faults.contains("not an absolute path"), "{faults}");
}
