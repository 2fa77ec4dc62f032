//! `flow new|add|list|show` and `runs list|show`.

use crate::support::Box;

#[test]
fn a_new_flow_is_right_as_it_stands_and_never_over_an_old_one() {
    let new = Box::new();
    assert!(
        new.run(&["flow", "new", "UploadReadings"]).done().contains("create  flows/upload_readings.toml")
    );
    assert!(new.run(&["check"]).done().contains("2 flows are right: example, upload_readings"));
    new.write("flows/upload_readings.toml", "# mine\n");
    assert!(new.run(&["flow", "new", "upload_readings"]).refused(1).contains("--force"));
    assert_eq!(new.read("flows/upload_readings.toml"), "# mine\n");
    assert!(new.run(&["flow", "new", "upload_readings", "--force"]).done().contains("force  flows/"));
    new.run(&["flow", "new", "a/b"]).refused(2);
    assert!(new.run(&["flow", "new", "Bad.Name"]).refused(2).contains("`Bad.Name` is not a flow name"));
    new.run(&["flow", "new", "x", "--kind", "pipelin"]).refused(2);
}

#[test]
fn a_flow_that_was_added_is_listed_and_shown_without_its_secrets() {
    let new = Box::new();
    new.write(
        "mine.toml",
        "name = \"mine\"\nrun_interval = \"90s\"\n[command]\nargv = [\"true\"]\nenvironment = { API_TOKEN = \"hush\", LANG = \"C\" }\n",
    );
    assert!(new.run(&["flow", "add", "mine.toml"]).done().contains("create  mine"));
    assert!(new.run(&["flow", "add", "mine.toml"]).done().contains("identical  mine"));
    let list = new.run(&["flow", "list"]);
    let columns: Vec<&str> = list.done().lines().last().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["mine", "1m30s", "enabled", "never", "due", "database"]);
    let shown = new.run(&["--json", "flow", "show", "mine"]);
    shown.done();
    let flow = &shown.json()[0];
    assert_eq!(
        flow["configuration"]["settings"]["environment"],
        serde_json::json!({"API_TOKEN": "…", "LANG": "C"})
    );
    let keys = [
        "name",
        "description",
        "enabled",
        "held",
        "run_interval",
        "configuration",
        "origin",
        "last_run_at",
        "last_run_status",
        "next_run_at",
        "consecutive_failures",
        "created_at",
        "updated_at",
    ];
    assert!(keys.iter().all(|key| flow.get(key).is_some()), "{flow}");
    assert!(!new.run(&["flow", "show", "mine"]).done().contains("hush"));
    assert!(new.run(&["flow", "show", "mien"]).refused(1).contains("`mine`"));
    assert!(new.run(&["runs", "list", "--flow", "mien"]).refused(1).contains("`mine`"));
}

#[test]
fn nothing_is_added_if_one_file_is_bad() {
    let new = Box::new();
    new.write_flow("good.toml", "true");
    new.write_flow("Bad.toml", "true");
    new.write("worse.toml", "run_interval = 0\n");
    let text = new.run(&["flow", "add", "good.toml", "Bad.toml", "worse.toml"]).refused(78).to_owned();
    assert!(text.contains("Bad.toml") && text.contains("worse.toml:1"), "{text}");
    assert_eq!(new.run(&["--json", "flow", "list"]).done(), "");
    let inside = new.run(&["flow", "add", "flows/example.toml"]);
    assert!(inside.refused(2).contains("flows folder"));
}

#[test]
fn beside_a_daemon_reading_works_and_a_second_one_does_not() {
    let new = Box::new();
    let _daemon = new.serve();
    assert!(new.run(&["flow", "list"]).done().contains("example"));
    assert!(new.run(&["serve"]).refused(75).contains("another process owns it"));
}

#[test]
fn a_run_is_shown_with_its_output() {
    let new = Box::new();
    new.write_flow("flows/fails.toml", "echo so it goes; exit 3");
    let daemon = new.serve();
    new.run(&["beat", "--url", &daemon.url(), "--wait", "10s"]).done();
    let failed = new.run(&["--json", "runs", "list", "--status", "failed"]);
    failed.done();
    let run = failed.json().remove(0);
    assert_eq!((run["flow"].as_str(), run["exit_code"].as_i64()), (Some("fails"), Some(3)));
    assert!(run.get("output").is_none(), "{run}");
    let id = run["id"].to_string();
    assert!(new.run(&["runs", "show", &id]).done().contains("so it goes"));
    assert_eq!(new.run(&["--json", "runs", "show", &id]).json()[0]["output"], "so it goes\n");
    assert_eq!(new.run(&["--json", "runs", "list", "--limit", "1"]).json().len(), 1);
    assert!(new.run(&["flow", "list"]).done().contains("failed"));
    new.run(&["runs", "show", "99"]).refused(1);
}

#[test]
fn a_database_that_is_not_ours_is_told() {
    let new = Box::new();
    new.write("heartbeat.db", &"not a database ".repeat(100));
    new.run(&["flow", "list"]).refused(78);
    std::fs::remove_file(new.path("heartbeat.db")).unwrap();
    assert!(new.run(&["flow", "list"]).refused(74).contains("no database yet"));
}
