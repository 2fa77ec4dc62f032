//! The control socket: operators change flows and start runs over it, and what they are told is on the disk.

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Command;
use support::daemon::Daemon;
use support::heartbeat::Heartbeat;
use support::operator::Operator;
use support::tools::can_run;
use support::{EdgeBox, eventually, until};

const UNTIL_TOLD: &str = "while [ ! -e go ]; do sleep 0.02; done";

fn posted(name: &str, text: &str) -> String {
    serde_json::json!({ "files": [{ "path": format!("/media/{name}.toml"), "text": text }] }).to_string()
}

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_with_the_daemon() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    let path = edge_box.path("heartbeatd.sock");
    let file = fs::metadata(&path).expect("the socket is there");
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    assert_eq!(daemon.stop().code(), Some(0));
    assert!(!path.exists(), "the socket is removed at the end");
}

#[test]
fn the_mode_is_what_the_operator_says() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[control]\nsocket = \"own.sock\"\nmode = \"0660\"\n");
    let _daemon = edge_box.start();
    let file = fs::metadata(edge_box.path("own.sock")).expect("the socket is there");
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
}

#[test]
fn another_user_is_refused_by_the_sockets_permissions() {
    let other = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    if !can_run("setpriv", &[&other[..], &["true"]].concat()) || !can_run("curl", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    let _daemon = edge_box.start();
    let path = edge_box.path("heartbeatd.sock");
    let ask = |program: &mut Command| {
        program.args(["curl", "--silent", "--unix-socket"]).arg(&path).arg("http://box/status");
        program.output().expect("run curl")
    };
    let own = ask(&mut Command::new("env"));
    assert!(own.status.success() && !own.stdout.is_empty(), "{own:?}");
    let others = ask(Command::new("setpriv").args(other));
    assert!(!others.status.success() && others.stdout.is_empty(), "{others:?}");
}

#[test]
fn a_socket_that_a_crash_left_is_replaced_and_anything_else_is_not() {
    let edge_box = EdgeBox::new();
    edge_box.start().kill();
    assert!(edge_box.path("heartbeatd.sock").exists(), "a crash leaves the socket");
    let mut daemon = edge_box.start();
    assert_eq!(Operator::of(&edge_box).status()["phase"], "serving");
    daemon.stop();
    edge_box.write("heartbeatd.sock", "mine");
    let (code, said) = Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("heartbeatd.sock") && said.contains("no socket"), "{said}");
    assert_eq!(edge_box.read("heartbeatd.sock"), "mine");
}

#[test]
fn a_second_daemon_leaves_the_socket_of_the_first_alone() {
    let edge_box = EdgeBox::new();
    let _daemon = edge_box.start();
    let (code, _) = Daemon::refused(&edge_box, |_| {});
    assert_eq!(code, Some(75));
    assert_eq!(Operator::of(&edge_box).status()["phase"], "serving");
    // One with a database of its own has that one's lock, and still finds somebody at the socket.
    let (code, said) = Daemon::refused(&edge_box, |command| {
        command.env("HEARTBEATD_DATABASE", edge_box.path("other.db"));
    });
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("another daemon answers there"), "{said}");
    assert_eq!(Operator::of(&edge_box).status()["phase"], "serving");
}

#[test]
fn a_flow_is_added_changed_held_run_and_removed() {
    let edge_box = EdgeBox::new();
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    let text = "run_interval = \"1h\"\n[command]\nargv = [\"echo\", \"hello\"]\nenvironment = { API_TOKEN = \"hush\" }\n";
    let added = operator.ask_with("POST /flows", "", &posted("mine", text));
    assert_eq!((added.status, &added.json()["flows"][0]["action"]), (200, &"create".into()), "{added:?}");
    let again = operator.ask_with("POST /flows", "", &posted("mine", text));
    assert_eq!(again.json()["flows"][0]["action"], "identical");
    let changed = operator.ask_with("POST /flows", "", &posted("mine", &text.replace("1h", "2h")));
    assert_eq!(changed.json()["flows"][0]["action"], "update");
    let flow = operator.json("GET /flows/mine");
    assert_eq!((&flow["run_interval"], &flow["origin"]), (&7200.into(), &"database".into()));
    assert_eq!(flow["configuration"]["settings"]["environment"]["API_TOKEN"], "…");
    assert!(!operator.ask("GET /flows").json().to_string().contains("hush"));

    assert_eq!(operator.patch("mine", true).json()["held"], true);
    assert_eq!(operator.patch("mine", true).json()["held"], true, "it can be ordered again");
    assert_eq!(daemon.beat().count("flows_due"), 0, "a held flow is not due");
    let run = operator.ask_with("POST /flows/mine/runs", "Prefer: wait=20\r\n", "");
    assert_eq!(run.field("Preference-Applied"), Some("wait=20"));
    let run = run.json();
    assert_eq!((&run["status"], &run["output"]), (&"success".into(), &"hello\n".into()), "{run}");
    assert!(run["agent"].is_null() && run["heartbeat_id"].is_null(), "{run}");
    assert!(operator.json("GET /flows/mine")["next_run_at"].is_null(), "its run time stays where it is");
    assert_eq!(operator.patch("mine", false).json()["held"], false);
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    assert_eq!(operator.json("GET /flows/mine/runs")["runs"].as_array().map(Vec::len), Some(2));

    assert_eq!(operator.ask("DELETE /flows/mine").status, 204);
    assert_eq!(operator.ask("GET /flows/mine").error(), "not_found");
    assert_eq!(edge_box.number("SELECT count(*) FROM data_flow_runs"), 0);
    let log = daemon.log();
    for line in ["flows added uid=", "flow disabled uid=", "run ordered uid=", "flow removed uid="] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn lists_are_newest_first_and_come_in_pages() {
    let edge_box = EdgeBox::new();
    for name in ["a", "b", "c"] {
        edge_box.script(name, "", "true");
    }
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let mut operator = Operator::of(&edge_box);
    let names = |list: &serde_json::Value| -> Vec<String> {
        list["flows"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&operator.json("GET /flows")), ["c", "b", "a"]);
    let first = operator.json("GET /flows?limit=2");
    assert_eq!((names(&first), &first["next"]), (vec!["c".to_owned(), "b".to_owned()], &"b".into()));
    assert_eq!(names(&operator.json("GET /flows?limit=2&before=b")), ["a"]);
    assert_eq!(operator.ask("GET /flows?before=x").error(), "not_found");
    let ids = |list: &serde_json::Value| -> Vec<i64> {
        list["runs"].as_array().expect("a list").iter().map(|it| it["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids(&operator.json("GET /runs")), [3, 2, 1]);
    let second = operator.json("GET /runs?limit=1&before=3");
    assert_eq!((ids(&second), &second["next"]), (vec![2], &2.into()));
    let last = operator.json("GET /runs?limit=1&before=2");
    assert_eq!((ids(&last), &last["next"]), (vec![1], &serde_json::Value::Null), "nothing is behind it");
    assert_eq!(ids(&operator.json("GET /runs?status=failed")), [0; 0]);
    assert_eq!(ids(&operator.json("GET /flows/a/runs")).len(), 1);
    assert!(operator.json("GET /runs")["runs"][0].get("output").is_none());
}

#[test]
fn heartbeats_that_started_runs_are_listed_with_their_runs() {
    let edge_box = EdgeBox::new();
    edge_box.script("a", "", "true");
    edge_box.script("b", "", "true");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.json("GET /heartbeats"), serde_json::json!({"heartbeats": [], "next": null}));
    let first = Heartbeat::new().wait(20);
    let answer = daemon.send(&first).json();
    assert_eq!(daemon.beat().count("flows_triggered"), 0, "one that starts nothing is not listed");
    let listed = operator.json("GET /heartbeats");
    let of_first = serde_json::json!({
        "id": 1, "agent": "default", "heartbeat_id": first.id, "received_at": answer["timestamp"],
        "signed_at": heartbeat_runtime::time::Wall::from_seconds(first.signed_at_s),
        "flows_due": 2, "flows_triggered": 2, "flows_skipped": 0, "flows_deferred": 0,
        "first_run_id": 1, "last_run_id": 2,
    });
    assert_eq!(listed, serde_json::json!({"heartbeats": [of_first], "next": null}));

    for name in ["c", "d"] {
        let text = "run_interval = 60\n[command]\nargv = [\"true\"]\n";
        assert_eq!(operator.ask_with("POST /flows", "", &posted(name, text)).status, 200);
        assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    }
    let newest = operator.json("GET /heartbeats?limit=2&agent=default");
    let ids = |list: &serde_json::Value| -> Vec<i64> {
        let list = list["heartbeats"].as_array().expect("a list").iter();
        list.map(|it| it["first_run_id"].as_i64().unwrap()).collect()
    };
    assert_eq!((ids(&newest), &newest["next"]), (vec![4, 3], &2.into()));
    let rest = operator.json("GET /heartbeats?limit=2&agent=default&before=2");
    assert_eq!(rest, listed, "paging ends where it began");
    assert_eq!(ids(&operator.json("GET /heartbeats?agent=nobody")), [0; 0]);
}

#[test]
fn what_cannot_be_done_is_told_with_its_name() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", UNTIL_TOLD);
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    for (request, error) in [
        ("GET /flows/none", "not_found"),
        ("DELETE /flows/none", "not_found"),
        ("POST /flows/none/runs", "not_found"),
        ("GET /flows/none/runs", "not_found"),
        ("GET /runs/7", "not_found"),
        ("GET /runs/7/output", "not_found"),
        ("POST /runs/7/cancel", "not_found"),
        ("POST /heartbeats", "method_not_allowed"),
        ("POST /backup", "invalid_request"),
        ("GET /data_flows/heartbeat", "not_found"),
        ("PUT /status", "method_not_allowed"),
        ("GET /runs?limit=1000", "invalid_request"),
        ("POST /flows", "invalid_request"),
        ("DELETE /flows/it", "conflict"),
    ] {
        let answer = operator.ask(request);
        assert_eq!(answer.error(), error, "{request}: {answer:?}");
        assert_eq!(answer.field("Content-Type"), Some("application/problem+json"));
        assert!(!answer.json()["detail"].as_str().unwrap_or_default().is_empty(), "{answer:?}");
    }
    let bad = operator.ask_with("POST /flows", "", &posted("bad", "run_interval = 0\n"));
    assert_eq!((bad.status, bad.error().as_str()), (422, "invalid_flow"));
    assert_eq!(bad.json()["faults"][0]["line"], 1, "{bad:?}");
    let of_a_file = posted("it", "run_interval = 60\n[command]\nargv = [\"true\"]\n");
    assert_eq!(operator.ask_with("POST /flows", "", &of_a_file).error(), "conflict");
    let named = operator.ask("DELETE /flows/it");
    assert!(named.json()["detail"].as_str().unwrap().contains("flows/it.toml"), "{named:?}");

    let run = operator.ask("POST /flows/it/runs").json()["id"].clone();
    assert_eq!(operator.ask("POST /flows/it/runs").error(), "conflict", "one run at a time");
    fs::remove_file(edge_box.path("flows/it.toml")).expect("remove the file");
    assert_eq!(operator.ask("DELETE /flows/it").error(), "conflict", "its run is open");
    edge_box.write("go", "");
    until("the run ends", || operator.json(&format!("GET /runs/{run}"))["status"] == "success");
    assert_eq!(operator.ask(&format!("POST /runs/{run}/cancel")).error(), "conflict", "it has ended");
    assert_eq!(operator.ask("DELETE /flows/it").status, 204, "its file is gone, and no run is open");
    assert_eq!(
        daemon.exchange("GET /status HTTP/1.1\r\nHost: box\r\n\r\n").status,
        404,
        "not on the network"
    );
}

#[test]
fn a_pending_run_is_cancelled_and_one_in_progress_is_ended_first() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\nkill_grace = \"100ms\"\n");
    edge_box.script("first", "", "trap '' TERM; echo $$ > pid; while :; do sleep 0.02; done");
    edge_box.script("second", "", "true");
    let _daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    let first = operator.ask("POST /flows/first/runs").json()["id"].clone();
    let second = operator.ask("POST /flows/second/runs").json();
    assert_eq!(second["status"], "pending");
    let cancelled = operator.ask(&format!("POST /runs/{}/cancel", second["id"])).json();
    assert_eq!((&cancelled["status"], &cancelled["error_kind"]), (&"failed".into(), &"cancelled".into()));
    assert!(cancelled["started_at"].is_null(), "{cancelled}");
    let pid = eventually("the first runs", || Some(edge_box.read("pid")).filter(|pid| pid.ends_with('\n')));
    let request = format!("POST /runs/{first}/cancel");
    let cancelled = operator.ask_with(&request, "Prefer: wait=20\r\n", "").json();
    assert_eq!(
        (&cancelled["error_kind"], &cancelled["signal"]),
        (&"cancelled".into(), &9.into()),
        "{cancelled}"
    );
    assert!(!support::is_alive(&pid), "nothing of it lives on");
    let flow = operator.json("GET /flows/first");
    let told = (&flow["last_run_status"], &flow["consecutive_failures"]);
    assert_eq!(told, (&"failed".into(), &0.into()), "an operator's word says nothing of the flow");
}

#[test]
fn a_cancelled_run_is_asked_to_end_before_it_is_made_to() {
    let edge_box = EdgeBox::new();
    edge_box.configure("kill_grace = \"1m\"\n");
    edge_box.script("it", "", "trap 'echo asked; exit 0' TERM; touch begun; while :; do sleep 0.02; done");
    let _daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.ask("POST /flows/it/runs");
    until("it has begun", || edge_box.path("begun").exists());
    let told = operator.ask_with("POST /runs/1/cancel", "Prefer: wait=20\r\n", "").json();
    assert_eq!(told["error_kind"], "cancelled", "{told}");
    assert!(told["output"].as_str().unwrap_or_default().ends_with("asked\n"), "{told}");
}

#[test]
fn the_next_heartbeat_finds_what_an_operator_changed() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.patch("it", true);
    assert_eq!(daemon.beat().count("flows_due"), 0);
    operator.patch("it", false);
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    assert_eq!(daemon.beat().count("flows_due"), 0);
    operator.ask_with(
        "POST /flows",
        "",
        &posted("more", "run_interval = 60\n[command]\nargv = [\"true\"]\n"),
    );
    assert_eq!(daemon.beat().count("flows_triggered"), 1);
}

#[test]
fn disabling_ends_what_waits_and_lets_what_runs_finish() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\n");
    edge_box.script("runs", "", UNTIL_TOLD);
    edge_box.script("waits", "", "true");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    assert_eq!(daemon.beat().count("flows_triggered"), 2);
    for flow in ["runs", "waits"] {
        assert_eq!(operator.patch(flow, true).json()["held"], true);
    }
    let waits = edge_box.ended_run("waits");
    assert_eq!((waits.error_kind.as_deref(), waits.started_at), (Some("cancelled"), None));
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("runs").status, "success");
}

#[test]
fn disabling_ends_an_attempt_that_waits_for_its_time() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "retry = { attempts = 2, backoff = \"1h\", backoff_cap = \"1h\" }", "exit 1");
    let daemon = edge_box.start();
    daemon.beat_and_wait();
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.json("GET /runs/2")["status"], "pending");
    operator.patch("it", true);
    let second = operator.json("GET /runs/2");
    assert_eq!((&second["error_kind"], &second["attempt"]), (&"cancelled".into(), &2.into()), "{second}");
    assert_eq!(operator.status()["runs"]["pending"], 0);
}

#[test]
fn an_operator_that_goes_away_cancels_nothing() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", UNTIL_TOLD);
    let _daemon = edge_box.start();
    let mut waits = Operator::of(&edge_box);
    waits.send("POST /flows/it/runs", "Prefer: wait=60\r\n", "");
    let mut follows = Operator::of(&edge_box);
    until("the run has begun", || follows.ask("GET /runs/1").status == 200);
    follows.send("GET /runs/1/output", "", "");
    follows.read_until("\r\n\r\n");
    drop((waits, follows));
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.json("GET /runs/1")["status"], "in_progress");
    edge_box.write("go", "");
    assert_eq!(edge_box.ended_run("it").status, "success");
    assert_eq!(operator.status()["phase"], "serving");
}

#[test]
fn a_hold_lasts_over_reloads_restarts_and_crashes() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "true");
    let mut daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.patch("it", true).status, 200);
    // At once after the answer: what was told is on the disk.
    daemon.kill();
    let mut daemon = edge_box.start();
    assert_eq!(daemon.beat().count("flows_due"), 0);
    edge_box.script("it", "", "echo changed");
    let mut operator = Operator::of(&edge_box);
    assert_eq!(operator.ask("POST /reload").json()["flows"]["updated"], 1);
    assert_eq!(daemon.beat().count("flows_due"), 0, "a changed definition lifts no hold");
    daemon.stop();
    let mut daemon = edge_box.start();
    assert_eq!(Operator::of(&edge_box).patch("it", false).status, 200);
    daemon.kill();
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
}

#[test]
fn every_change_that_was_answered_survives_a_crash() {
    let edge_box = EdgeBox::new();
    let mut daemon = edge_box.start();
    for round in 0..5 {
        let mut operator = Operator::of(&edge_box);
        let name = format!("flow-{round}");
        let text = "run_interval = \"1h\"\n[command]\nargv = [\"sleep\", \"60\"]\n";
        assert_eq!(operator.ask_with("POST /flows", "", &posted(&name, text)).status, 200);
        let run = operator.ask(&format!("POST /flows/{name}/runs")).json()["id"].as_i64().expect("an id");
        daemon.kill();
        assert_eq!(edge_box.number(&format!("SELECT count(*) FROM data_flow_runs WHERE id = {run}")), 1);
        daemon = edge_box.start();
        assert_eq!(Operator::of(&edge_box).json(&format!("GET /runs/{run}"))["flow"], name.as_str());
    }
    assert!(edge_box.is_sound());
}

#[test]
fn a_run_is_followed_while_it_writes_until_its_end() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", &format!("echo first; {UNTIL_TOLD}; echo last"));
    let _daemon = edge_box.start();
    let run = Operator::of(&edge_box).ask("POST /flows/it/runs").json()["id"].clone();
    let mut followers: Vec<Operator> = (0..2).map(|_| Operator::of(&edge_box)).collect();
    for follower in &mut followers {
        follower.send(&format!("GET /runs/{run}/output"), "", "");
        assert!(follower.read_until("first").contains("first\n"), "it comes before the run's end");
    }
    edge_box.write("go", "");
    for follower in &mut followers {
        assert!(follower.read_until("never").ends_with("last\n"), "the connection ends with the run");
    }
    let whole = Operator::of(&edge_box).ask(&format!("GET /runs/{run}/output"));
    assert_eq!(String::from_utf8_lossy(&whole.body), "first\nlast\n");
    assert_eq!(whole.field("Content-Type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn who_follows_and_does_not_read_holds_up_nobody_and_takes_bounded_memory() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", "head -c 50000000 /dev/zero | tr '\\0' 'x'; echo; echo end");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    let run = operator.ask("POST /flows/it/runs").json()["id"].clone();
    let mut idler = Operator::of(&edge_box);
    idler.send(&format!("GET /runs/{run}/output"), "", "");
    until("the run ends", || operator.json(&format!("GET /runs/{run}"))["status"] == "success");
    assert!(daemon.proc_status("VmHWM") < 60_000, "{} KiB", daemon.proc_status("VmHWM"));
    let mut rest = Vec::new();
    let read = std::io::Read::read_to_end(&mut idler.stream, &mut rest).expect("it ends");
    assert!(read < 5_000_000, "what was not read in time is left out: {read} bytes came");
}

#[test]
fn a_run_that_waits_for_a_slot_is_followed_from_its_start() {
    let edge_box = EdgeBox::new();
    edge_box.configure("max_concurrent_runs = 1\n");
    edge_box.script("first", "", UNTIL_TOLD);
    edge_box.script("second", "", "echo second");
    let _daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.ask("POST /flows/first/runs");
    let run = operator.ask("POST /flows/second/runs").json()["id"].clone();
    let mut follower = Operator::of(&edge_box);
    follower.send(&format!("GET /runs/{run}/output"), "", "");
    follower.read_until("\r\n\r\n");
    edge_box.write("go", "");
    assert_eq!(follower.read_until("never"), "second\n");
}

#[test]
fn operators_and_callers_have_room_of_their_own() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nconnections = 2\nconnections_per_address = 2\n");
    edge_box.script("it", "enabled = false", UNTIL_TOLD);
    let daemon = edge_box.start();
    let mut held: Vec<_> = (0..2).map(|_| daemon.connect()).collect();
    // Half a request each: neither is idle.
    held.iter_mut().for_each(|wire| wire.send("POST /data_flows/heartbeat HTTP/1.1\r\n"));
    until("both are taken in", || daemon.exchange("").status == 503);
    let mut operators: Vec<Operator> = (0..16).map(|_| Operator::of(&edge_box)).collect();
    for operator in &mut operators {
        operator.send("GET /status", "", "");
        assert!(operator.read_until("}").starts_with("HTTP/1.1 200"), "operators are not crowded out");
    }
    // The seventeenth takes the place of the one that is idle for longest, ...
    assert_eq!(Operator::of(&edge_box).status()["phase"], "serving");
    drop(held);
    until("callers have room", || daemon.beat().status == 200);
    // ... and those that are in the middle of something take no caller's place.
    let mut busy: Vec<Operator> = (0..16).map(|_| Operator::of(&edge_box)).collect();
    assert_eq!(busy[0].ask("POST /flows/it/runs").status, 200);
    for operator in &mut busy {
        operator.send("GET /runs/1/output", "", "");
        operator.read_until("\r\n\r\n");
    }
    let more = Operator::of(&edge_box).ask("GET /status");
    assert_eq!((more.status, more.error().as_str()), (503, "overloaded"), "{more:?}");
    assert_eq!(daemon.beat().status, 200);
}

#[test]
fn a_request_that_is_none_or_too_large_is_refused_and_a_slow_one_is_given_up() {
    let edge_box = EdgeBox::new();
    edge_box.configure("[limits]\nhead_timeout = \"100ms\"\n");
    let _daemon = edge_box.start();
    assert_eq!(Operator::of(&edge_box).ask("GET  /flows").status, 400);
    let large = "x".repeat(2 << 20);
    let mut operator = Operator::of(&edge_box);
    let head = format!("POST /flows HTTP/1.1\r\nHost: box\r\nContent-Length: {}\r\n\r\n", large.len());
    std::io::Write::write_all(&mut operator.stream, head.as_bytes()).expect("send the head");
    assert!(operator.read_until("never").starts_with("HTTP/1.1 413"));
    let mut slow = Operator::of(&edge_box);
    std::io::Write::write_all(&mut slow.stream, b"GET /fl").expect("send a part");
    let told = slow.read_until("never");
    assert!(told.starts_with("HTTP/1.1 408") && told.contains("request_timeout"), "{told}");
}

#[test]
fn the_state_of_the_whole_is_told() {
    let edge_box = EdgeBox::new();
    edge_box.script("it", "", UNTIL_TOLD);
    edge_box.script("held", "", "true");
    edge_box.write("flows/bad.toml", "run_interval = 0\n");
    let daemon = edge_box.start();
    let mut operator = Operator::of(&edge_box);
    operator.patch("held", true);
    daemon.beat();
    let status = operator.status();
    assert_eq!((&status["phase"], &status["clock_is_set"]), (&"serving".into(), &true.into()), "{status}");
    assert_eq!(
        status["flows"],
        serde_json::json!({"total": 2, "enabled": 2, "held": 1, "disabled": 0, "due": 0}),
        "{status}"
    );
    assert_eq!(status["runs"], serde_json::json!({"pending": 0, "in_progress": 1}), "{status}");
    assert_eq!(status["agents"][0]["agent"], "default", "{status}");
    assert!(status["bad_flow_files"][0].as_str().unwrap().contains("bad.toml:1"), "{status}");
    assert!(status["database_bytes"].as_u64().unwrap() > 4096 && status["degraded"].is_null(), "{status}");
    assert!(status["uptime_s"].is_u64() && status["version"].is_string(), "{status}");
}
