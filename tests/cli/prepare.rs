//! `init`, `check`, wrong usage, exit codes.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::support::Box;

fn actions(out: &str) -> Vec<(&str, &str)> {
    out.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.trim().split_once("  ")).collect()
}

#[test]
fn init_makes_what_check_finds_right() {
    let new = Box::empty();
    let init = new.run(&["init", "box"]);
    let expected = ["box/heartbeatd.toml", "box/secret", "box/heartbeat.db", "box/flows/example.toml"];
    assert_eq!(actions(init.done()), expected.map(|path| ("create", path)));
    assert!(init.out.contains("heartbeatd --config box/heartbeatd.toml serve"), "{}", init.out);
    assert_eq!(fs::metadata(new.path("box/secret")).unwrap().permissions().mode() & 0o777, 0o600);
    let check = new.run(&["check", "--config", "box/heartbeatd.toml"]);
    assert!(check.done().contains("1 flow is right: example"), "{}", check.out);
    let check = new.run(&["check", "--json", "--config", "box/heartbeatd.toml"]);
    assert_eq!(check.json()[0]["flows"], serde_json::json!(["example"]));
}

#[test]
fn init_run_again_changes_nothing_and_force_spares_secret_and_database() {
    let new = Box::new();
    let secret = new.read("secret");
    let again = new.run(&["init", "--listen", "127.0.0.1:0"]);
    let expected = ["identical", "skip", "skip", "identical"];
    assert_eq!(actions(again.done()).into_iter().map(|(action, _)| action).collect::<Vec<_>>(), expected);
    new.write("heartbeatd.toml", "# mine\n");
    let kept = new.run(&["init"]);
    assert_eq!(actions(kept.done())[0], ("skip", "heartbeatd.toml"));
    assert_eq!(new.read("heartbeatd.toml"), "# mine\n");
    let forced = new.run(&["init", "--force", "--json"]);
    forced.done();
    let actions: Vec<_> =
        forced.json().iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["force", "skip", "skip", "identical"]);
    assert_eq!(new.read("secret"), secret);
}

#[test]
fn check_tells_every_fault_at_once() {
    let new = Box::new();
    new.write("heartbeatd.toml", "listne = [\"127.0.0.1:0\"]\nmax_concurrent_runs = 0\n[limits]\nbdoy = 1\n");
    let check = new.run(&["check"]);
    let text = check.refused(78);
    assert_eq!(text.matches("error: heartbeatd.toml:").count(), 3, "{text}");
    assert!(text.contains("heartbeatd.toml:1: listne") && text.contains("`listen`"), "{text}");
    assert!(text.contains("heartbeatd.toml:4: limits.bdoy"), "{text}");

    new.write("heartbeatd.toml", "");
    new.write("secret", "whsec_AAAA\n");
    new.write("flows/a.toml", "run_intervall = \"5m\"\n[command]\nargv = [\"true\"]\n");
    new.write("flows/b.toml", "run_interval = \"5x\"\n[command]\nargv = [\"true\"]\n");
    let check = new.run(&["check", "--json"]);
    let text = check.refused(78);
    for part in ["secret:1: ", "a.toml:1: run_intervall", "b.toml:1: run_interval"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("AAAA"), "{text}");
    let verdict = &check.json()[0];
    assert_eq!(verdict["ok"], false);
    assert_eq!(verdict["faults"].as_array().unwrap().len(), text.matches("error: ").count());
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    let new = Box::new();
    fs::set_permissions(new.path("secret"), Permissions::from_mode(0o644)).unwrap();
    for command in ["check", "serve", "beat", "sign"] {
        let done = new.run(&[command]);
        let text = if command == "beat" { new.run(&["beat", "--url", "http://127.0.0.1:9/"]) } else { done };
        let text = text.refused(78).to_owned();
        assert!(text.contains("mode 0644") && text.contains("chmod 600"), "{command}: {text}");
    }
}

#[test]
fn a_secret_that_ended_is_warned_of() {
    let new = Box::new();
    let secret = new.read("secret");
    new.write("secret", &format!("{} until=2026-01-01T00:00:00Z\n", secret.trim()));
    let check = new.run(&["check"]);
    check.done();
    assert!(check.err.contains("warning: a secret ended at 2026-01-01T00:00:00Z"), "{}", check.err);
}

#[test]
fn a_program_that_is_not_there_is_warned_of() {
    let new = Box::new();
    for (argv, keys, told) in [
        (
            r#"["./upload.sh"]"#,
            "",
            "flows/upload.sh does not exist (a relative path starts at the folder of its file)",
        ),
        (r#"["no-such-program"]"#, "", "no program `no-such-program` in the command's PATH"),
        (r#"["date | wc"]"#, "", "); in argv each word is an item of its own, or set shell = true"),
        (r#"["/bin/ls -l"]"#, "", "/bin/ls -l does not exist; in argv each word is an item of its own"),
        (r#"["true"]"#, "working_directory = \"gone\"\n", "gone is not a folder"),
        (r#"["true"]"#, "", ""),
        ("\"no-such-program\"", "shell = true\n", ""),
    ] {
        new.write("flows/it.toml", &format!("run_interval = \"1h\"\n[command]\nargv = {argv}\n{keys}"));
        let check = new.run(&["check"]);
        check.done();
        assert!(told.contains("argv") || !check.err.contains("argv"), "{argv}: {}", check.err);
        let expected = if told.is_empty() { String::new() } else { "flows/it.toml: [command] ".to_owned() };
        assert!(check.err.contains(&expected) && check.err.contains(told), "{argv}: {}", check.err);
        assert!(!told.is_empty() || check.err.is_empty(), "{argv}: {}", check.err);
    }
}

#[test]
fn flow_files_are_judged_without_a_configuration() {
    let new = Box::empty();
    new.write_flow("good.toml", "true");
    new.run(&["check", "good.toml"]).done();
    new.write("bad.toml", "[command]\nargv = [\"true\"]\n");
    assert!(new.run(&["check", "good.toml", "bad.toml"]).refused(78).contains("run_interval: is missing"));
}

#[test]
fn a_flow_file_that_is_not_there_or_empty_is_told_by_what_is_missing() {
    let new = Box::empty();
    let text = new.run(&["check", "none.toml"]).refused(78).to_owned();
    assert!(text.contains("none.toml: does not exist") && text.contains("heartbeatd flow new"), "{text}");
    new.write("empty.toml", "");
    let text = new.run(&["check", "empty.toml"]).refused(78).to_owned();
    assert!(text.contains("empty.toml: has no [command] or [source] table"), "{text}");
}

#[test]
fn wrong_usage_is_2_with_a_suggestion() {
    let new = Box::empty();
    assert!(new.run(&["chekc"]).refused(2).contains("'check'"));
    assert!(new.run(&["init", "--lisen", "x"]).refused(2).contains("'--listen'"));
    assert!(new.run(&["beat", "--every", "5x"]).refused(2).contains("is not a duration"));
    assert!(new.run(&["-v", "-q", "check"]).refused(2).contains("cannot be used with"));
    let none = new.run(&[]);
    assert_eq!(none.code, Some(2));
    assert!(none.err.contains("Usage: heartbeatd"), "{}", none.err);
}

#[test]
fn help_and_version_are_no_failure() {
    let new = Box::empty();
    assert!(new.run(&["--version"]).done().starts_with("heartbeatd "));
    for command in ["demo", "init", "check", "serve", "beat", "sign", "verify"] {
        assert!(new.run(&[command, "--help"]).done().contains("Examples:"), "{command}");
    }
}

#[test]
fn without_a_configuration_it_is_said_how_to_make_one() {
    let new = Box::empty();
    let text = new.run(&["flow", "list", "--config", "none.toml"]).refused(78).to_owned();
    assert!(text.contains("none.toml: does not exist") && text.contains("heartbeatd init"), "{text}");
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let new = Box::empty();
    let mut child = new.command(&["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_full_output_is_told() {
    let new = Box::empty();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = new.command(&["init"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}
