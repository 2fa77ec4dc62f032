//! `init` and `flow new`: what they write runs as it stands, and nothing that is there is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Box, Done};

fn mode(new: &Box, name: &str) -> u32 {
    fs::metadata(new.path(name)).unwrap().permissions().mode() & 0o777
}

fn actions(done: &Done) -> Vec<String> {
    done.done();
    done.json().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_generated_runs_to_success_unchanged() {
    let new = Box::new();
    new.run(&["flow", "new", "UploadReadings"]).done();
    new.run(&["flow", "new", "readings", "--kind", "pipeline"]).done();
    let check = new.run(&["check"]);
    assert!(check.done().contains("3 flows are right: example, readings, upload_readings"), "{}", check.out);
    assert_eq!(check.err, "", "no warning either");
    let daemon = new.serve();
    let beat = new.run(&["--json", "beat", "--url", &daemon.url(), "--wait", "20s"]);
    beat.done();
    let answer = &beat.json()[0];
    let runs = answer["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3, "{answer}");
    assert!(runs.iter().all(|run| run["status"] == "success"), "{answer}");
    // A record as the test in that file has it.
    new.write("readings.jsonl", "{\"sensor\":\"door\",\"value\":20.0}\n");
    let run = new.run(&["--json", "flow", "run", "readings", "--wait"]);
    run.done();
    let run = &run.json()[0];
    assert_eq!((&run["records_written"], &run["records_rejected"]), (&1.into(), &0.into()), "{run}");
}

#[test]
fn what_was_begun_and_not_ended_is_made_whole_and_what_is_there_is_kept() {
    let new = Box::new();
    let secret = new.read("secret");
    for empty in ["secret", "heartbeat.db"] {
        new.write(empty, "");
    }
    fs::set_permissions(new.path("secret"), Permissions::from_mode(0o644)).unwrap();
    let again = new.run(&["--json", "init", "--listen", "127.0.0.1:0"]);
    assert_eq!(actions(&again), ["identical", "create", "create", "identical"]);
    assert!(new.read("secret").starts_with("whsec_") && new.read("secret") != secret);
    assert_eq!(mode(&new, "secret"), 0o600);
    new.run(&["check", "--database"]).done();
    let secret = new.read("secret");
    fs::remove_file(new.path("flows/example.toml")).unwrap();
    let again = new.run(&["--json", "init", "--force"]);
    assert_eq!(actions(&again), ["force", "skip", "skip", "create"]);
    assert_eq!(new.read("secret"), secret);
    let left: Vec<_> = fs::read_dir(&new.folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn a_file_that_is_written_over_keeps_its_mode_and_a_link_stays_one() {
    let new = Box::new();
    fs::create_dir(new.path("elsewhere")).unwrap();
    fs::rename(new.path("heartbeatd.toml"), new.path("elsewhere/box.toml")).unwrap();
    symlink("elsewhere/box.toml", new.path("heartbeatd.toml")).unwrap();
    fs::set_permissions(new.path("elsewhere/box.toml"), Permissions::from_mode(0o640)).unwrap();
    new.run(&["init", "--force", "--listen", "127.0.0.1:1"]).done();
    assert!(new.path("heartbeatd.toml").is_symlink());
    assert!(new.read("elsewhere/box.toml").contains("127.0.0.1:1"));
    assert_eq!(mode(&new, "elsewhere/box.toml"), 0o640);
}

#[test]
fn what_is_in_the_place_of_a_file_or_a_folder_is_told_and_kept() {
    let in_place = |name: &str| {
        let new = Box::new();
        let _ = fs::remove_dir_all(new.path(name));
        let _ = fs::remove_file(new.path(name));
        new
    };
    for name in ["heartbeatd.toml", "secret", "heartbeat.db", "flows/example.toml"] {
        let new = in_place(name);
        fs::create_dir(new.path(name)).unwrap();
        new.write(&format!("{name}/kept"), "mine");
        let text = new.run(&["init", "--force"]).refused(74).to_owned();
        assert!(text.contains(name) && text.contains("folder is in its place"), "{text}");
        assert_eq!(new.read(&format!("{name}/kept")), "mine");
        let new = in_place(name);
        symlink("nowhere", new.path(name)).unwrap();
        let text = new.run(&["init", "--force"]).refused(74).to_owned();
        assert!(text.contains(name) && text.contains("link to nowhere"), "{text}");
        assert!(new.path(name).is_symlink() && !new.path("nowhere").exists());
    }
    let new = in_place("flows");
    new.write("flows", "mine");
    assert!(new.run(&["init"]).refused(74).contains("something else is in its place"));
    assert!(new.run(&["flow", "new", "x"]).refused(74).contains("something else is in its place"));
    assert_eq!(new.read("flows"), "mine");
    assert!(new.run(&["init", "flows"]).refused(74).contains("cannot make the folder: flows"));
    // Nobody, not even root, makes a folder there.
    let text = new.run(&["init", "/sys/heartbeatd"]).refused(74).to_owned();
    assert!(text.contains("/sys/heartbeatd") && text.contains("help: "), "{text}");
}

#[test]
fn a_new_flow_is_never_beside_another_of_its_name() {
    let new = Box::new();
    new.write("flows/other.toml", "name = \"mine\"\nrun_interval = \"1h\"\n[command]\nargv = [\"true\"]\n");
    for force in [&[][..], &["--force"]] {
        let text = new.run(&[&["flow", "new", "mine"], force].concat()).refused(1).to_owned();
        assert!(text.contains("flows/other.toml"), "{text}");
    }
    new.write_flow("stored.toml", "true");
    new.run(&["flow", "add", "stored.toml"]).done();
    let text = new.run(&["flow", "new", "Stored"]).refused(1).to_owned();
    assert!(text.contains("in the database") && text.contains("heartbeatd flow remove stored"), "{text}");
    assert!(!new.path("flows/mine.toml").exists() && !new.path("flows/stored.toml").exists());
    // The same again changes nothing.
    new.run(&["flow", "new", "again"]).done();
    assert_eq!(actions(&new.run(&["--json", "flow", "new", "again"])), ["identical"]);
    let long = "x".repeat(129);
    for name in ["", "..", "a/b", "ä", "a\nb", &long] {
        new.run(&["flow", "new", "--", name]).refused(2);
    }
}

#[test]
fn what_needs_nothing_of_a_broken_configuration_works() {
    let new = Box::new();
    let signed = new.run(&["sign"]).done().replace('\n', "\r\n");
    new.write(
        "request",
        &format!("POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\n{signed}\r\n"),
    );
    new.write("heartbeatd.toml", "nonsense = ");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for command in [&["flow", "--help"][..], &["completions", "zsh"], &["man"], &["--version"]] {
        new.run(command).done();
    }
    new.run(&["sign", "--secret-file", "secret"]).done();
    let url = format!("http://{nobody}/");
    new.run(&["beat", "--url", &url, "--secret-file", "secret"]).refused(69);
    let verify = new.run(&["verify", "--secret-file", "secret", "request"]);
    assert!(
        verify.done().contains("passes  credentials") && verify.err.contains("default path"),
        "{}",
        verify.err
    );
    for kind in ["command", "pipeline"] {
        let made = new.run(&["flow", "new", kind, "--kind", kind, "--into", "drafts"]);
        assert!(made.done().contains(&format!("heartbeatd check drafts/{kind}.toml")), "{}", made.out);
    }
    // And what does need it says what is wrong with it.
    for command in [&["verify", "request"][..], &["flow", "new", "x"], &["status"], &["beat", "--url", &url]]
    {
        assert!(new.run(command).refused(78).contains("heartbeatd.toml:1"), "{command:?}");
    }
    let empty = Box::empty();
    for kind in ["command", "pipeline"] {
        empty.run(&["flow", "new", kind, "--kind", kind, "--into", "."]).done();
        empty.run(&["check", &format!("{kind}.toml")]).done();
    }
}

#[test]
fn what_comes_next_is_of_the_configuration_that_was_named() {
    let new = Box::empty();
    let init = new.run(&["init", "a box", "--listen", "127.0.0.1:0"]);
    let named = "--config 'a box/heartbeatd.toml'";
    for next in ["serve", "beat --wait 10s"] {
        assert!(init.done().contains(&format!("  heartbeatd {named} {next}\n")), "{}", init.out);
    }
    let run = |words: &[&str]| new.run(&[&["--config", "a box/heartbeatd.toml"], words].concat());
    let flow = run(&["flow", "new", "mine"]);
    for next in ["check", "reload: a daemon"] {
        assert!(flow.done().contains(&format!("  heartbeatd {named} {next}")), "{}", flow.out);
    }
    assert!(run(&["runs", "list"]).done().contains(&format!("`heartbeatd {named} beat` starts")));
    for (command, told) in [
        (&["runs", "show", "9"][..], "runs list` tells which"),
        (&["flow", "show", "surely-none"], "flow list` tells which"),
        (&["flow", "run", "mine", "--wait"], "serve`; without --wait"),
    ] {
        let done = run(command);
        assert!(done.err.contains(&format!("`heartbeatd {named} {told}")), "{}", done.err);
    }
    // Where none is named, none is.
    assert!(new.run(&["init"]).done().contains("  heartbeatd serve\n"));
    assert!(new.run(&["runs", "list"]).done().contains("`heartbeatd beat` starts"));
}
