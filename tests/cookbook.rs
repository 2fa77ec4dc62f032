//! The recipes of docs/cookbook.md, from its own text: each runs in a real box, and does what it says. Only paths, addresses
//! and times are others.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use heartbeat_runtime::auth::Secret;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use support::clock::FakeClock;
use support::daemon::Daemon;
use support::guide::{blocks, done, is_shown, section, sections, shell};
use support::heartbeat::{Heartbeat, now_s};
use support::http_server::{Request, answer, serve};
use support::kitchen::{COOKBOOK, Kitchen};
use support::tools::tell_skipped;
use support::{EdgeBox, until};

/// A heartbeat that starts one run, which succeeds; what is told of it.
fn one_run(daemon: &Daemon) -> Value {
    let answer = daemon.beat_and_wait().json();
    assert_eq!(
        (&answer["flows_triggered"], &answer["runs"][0]["status"]),
        (&1.into(), &"success".into()),
        "{answer}"
    );
    answer["runs"][0].clone()
}

/// What a server got.
type Received = Arc<Mutex<Vec<Request>>>;

/// A server that answers with what it is told to, and with the next ones after that.
fn server(judge: impl Fn(usize, &Request) -> String + Send + Sync + 'static) -> (String, Received) {
    let received = Received::default();
    let kept = Arc::clone(&received);
    let address = serve(move |request| {
        let mut kept = kept.lock().expect("nobody failed");
        kept.push(request.clone());
        Some(judge(kept.len() - 1, request))
    });
    (format!("http://{address}"), received)
}

/// What was signed with the secret of a file of the box.
fn is_signed(edge_box: &EdgeBox, file: &str, request: &Request) -> bool {
    let field = |name: &str| request.field(name).unwrap_or_default().to_owned();
    let text = edge_box.read(file);
    let secret = Secret::parse_line(text.trim()).ok().flatten().expect("it is a secret");
    let timestamp = field("webhook-timestamp").parse().expect("a number");
    secret.sign(&field("webhook-id"), timestamp, request.body.as_bytes()) == field("webhook-signature")
}

#[test]
fn a_log_file_is_in_the_table_once_and_what_is_no_record_among_the_dead_letters() {
    let folders = ["var/log/pump", "var/lib/pump"];
    let Some(kitchen) = Kitchen::with("A log file into SQLite", &folders, &[]) else { return };
    kitchen.append("var/log/pump/pump.jsonl", &kitchen.json());
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    let run = one_run(&daemon);
    assert_eq!((&run["records_written"], &run["records_rejected"]), (&2.into(), &1.into()), "{run}");
    kitchen.shows_what_it_says();
    fs::rename(
        kitchen.edge_box.path("var/log/pump/pump.jsonl"),
        kitchen.edge_box.path("var/log/pump/pump.jsonl.1"),
    )
    .expect("rotate it");
    kitchen.append("var/log/pump/pump.jsonl", kitchen.json().lines().next().expect("a line"));
    kitchen.append("var/log/pump/pump.jsonl", "\n");
    kitchen.shell("heartbeatd flow run pump-log --wait");
    assert_eq!(
        kitchen.number("var/lib/pump/pump.db", "SELECT count(*) FROM event"),
        3,
        "what is new, and no more"
    );
}

/// Files of a sensor, of which the humidity may be missing.
fn sensor(kitchen: &Kitchen, number: u32, name: &str, humidity: Option<&str>) {
    let folder = format!("sys/bus/iio/devices/iio:device{number}");
    fs::create_dir_all(kitchen.edge_box.path(&folder)).expect("make its folder");
    kitchen.edge_box.write(&format!("{folder}/name"), format!("{name}\n"));
    kitchen.edge_box.write(&format!("{folder}/in_temp_input"), "21370\n");
    if let Some(humidity) = humidity {
        kitchen.edge_box.write(&format!("{folder}/in_humidityrelative_input"), humidity);
    }
}

#[test]
fn a_sensor_that_fails_leaves_nothing_half_and_the_next_attempt_has_all() {
    let Some(kitchen) = Kitchen::with("A sensor script", &["var/lib/climate"], &[]) else { return };
    sensor(&kitchen, 0, "bme280", Some("48250\n"));
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    one_run(&daemon);
    kitchen.shows_what_it_says();
    sensor(&kitchen, 1, "dht22", None);
    kitchen.shell("heartbeatd flow run climate");
    let failed = || kitchen.edge_box.runs().into_iter().find(|run| run.status == "failed");
    until("it fails", || failed().is_some());
    let rows = || kitchen.number("var/lib/climate/climate.db", "SELECT count(*) FROM reading");
    assert_eq!(rows(), 1, "nothing of the sensor that answered");
    sensor(&kitchen, 1, "dht22", Some("50000\n"));
    until("a later attempt succeeds", || rows() == 3);
    until("it is on record", || !kitchen.edge_box.has_open_runs());
    assert!(kitchen.edge_box.ended_run("climate").attempt > 1);
}

#[test]
fn the_commands_before_the_recipes_lead_to_the_box() {
    let edge_box = EdgeBox::new();
    let [lead, take_up] = blocks(COOKBOOK.split("\n## ").next().expect("an introduction"))[..] else {
        panic!("two blocks")
    };
    let script = format!(
        "heartbeatd init box --listen 127.0.0.1:0\n{}
         heartbeatd serve --port-file port 2>log & trap 'kill $!; wait' EXIT
         while [ ! -e port ]; do kill -0 $!; done
         {}",
        lead.text, take_up.text
    );
    let told = done(&script, &edge_box.path(""));
    assert!(told.contains("1 flow is right: example") && told.contains("reload  flows: 0 created"), "{told}");
}

/// The guard of a disk that always counts as nearly full.
fn nearly_full() -> Option<Kitchen> {
    let changes = [
        ("0.10 *", "1.10 *"),
        ("* 10)) -ge", "* 0)) -ge"),
        ("\"50\"", "\"2\""),
        ("disk_available_bytes = 100 ", "disk_available_bytes = 1100 "),
    ];
    Kitchen::with("A disk-space guard", &["var/lib/camera"], &changes)
}

/// Makes a recording of some days ago.
fn record(kitchen: &Kitchen, days_ago: u64) -> PathBuf {
    let path = kitchen.edge_box.path(&format!("var/lib/camera/2026-11-{}.mp4", 24 - days_ago));
    let written = SystemTime::now() - Duration::from_hours(24 * days_ago);
    File::create(&path).and_then(|file| file.set_modified(written)).expect("make one");
    path
}

#[test]
fn a_guard_that_failed_deletes_nothing_once_there_is_room() {
    let Some(kitchen) = nearly_full() else { return };
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    assert_eq!(daemon.beat_and_wait().json()["runs"][0]["status"], "failed", "there is nothing to delete");
    let recordings: Vec<_> = (1..=4).map(|days_ago| record(&kitchen, days_ago)).collect();
    let script = kitchen.edge_box.read("bin/delete-oldest");
    kitchen.edge_box.write("bin/delete-oldest", script.replace("-ge \"${size##*[!0-9]}\"", "-ge 0"));
    let told = kitchen.shell("heartbeatd flow run disk-guard --wait");
    assert!(told.contains("there is room"), "what failed was given again: {told}");
    assert!(recordings.iter().all(|recording| recording.exists()), "{told}");
}

#[test]
fn a_guard_that_cannot_tell_how_much_room_there_is_deletes_nothing() {
    let Some(kitchen) = nearly_full() else { return };
    let recording = record(&kitchen, 1);
    let script = kitchen.edge_box.read("bin/delete-oldest");
    kitchen.edge_box.write("bin/delete-oldest", script.replace("set -eu\n", "set -eu\ndf() { return 1; }\n"));
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    assert_eq!(daemon.beat_and_wait().json()["runs"][0]["status"], "failed");
    assert!(recording.exists(), "{:?}", kitchen.edge_box.runs());
}

#[test]
fn a_disk_that_is_nearly_full_loses_its_oldest_recordings_and_a_guard_that_finds_none_fails() {
    let Some(kitchen) = nearly_full() else { return };
    for age in 1..=3 {
        record(&kitchen, age);
    }
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    one_run(&daemon);
    kitchen.shows_what_it_says();
    assert!(kitchen.edge_box.path("var/lib/camera/2026-11-23.mp4").exists(), "the newest is kept");
    kitchen.shell("heartbeatd flow run disk-guard --wait");
    assert!(!kitchen.edge_box.path("var/lib/camera/2026-11-23.mp4").exists());
    let told = shell(&kitchen.edge_box, "heartbeatd flow run disk-guard --wait");
    assert!(told.as_ref().is_err_and(|told| told.contains("nothing is left to delete")), "{told:?}");
}

#[test]
fn a_disk_with_room_starts_no_program() {
    let Some(kitchen) = Kitchen::with(
        "A disk-space guard",
        &["var/lib/camera"],
        &[("0.10 *", "0.00 *"), ("disk_available_bytes = 99 }", "disk_available_bytes = -1 }")],
    ) else {
        return;
    };
    kitchen.edge_box.write("bin/delete-oldest", "#!/bin/sh\ntouch started\n");
    kitchen.prepare();
    let run = one_run(&kitchen.edge_box.start());
    assert_eq!((&run["records_read"], &run["records_written"]), (&1.into(), &0.into()), "{run}");
    assert!(!kitchen.edge_box.path("started").exists());
}

#[test]
fn a_backup_holds_both_databases_whole_for_a_week_and_without_its_stick_there_is_none() {
    let folders = ["mnt/stick", "var/lib/pump", "bin"];
    let Some(kitchen) = Kitchen::with("A backup", &folders, &[]) else { return };
    if !has_zones() {
        return;
    }
    let pump = Connection::open(kitchen.edge_box.path("var/lib/pump/pump.db")).expect("open it");
    pump.execute_batch("CREATE TABLE event (time); INSERT INTO event VALUES (1), (2)").expect("fill it");
    kitchen.prepare();
    let mut daemon = kitchen.start_when_due();
    assert_eq!(daemon.beat_and_wait().json()["runs"][0]["status"], "failed", "there is no stick");
    assert!(kitchen.edge_box.runs()[0].output.contains("no stick"), "{:?}", kitchen.edge_box.runs());
    let retry =
        kitchen.edge_box.runs().into_iter().find(|run| run.status == "pending").expect("it is tried again");
    kitchen.shell(&format!("heartbeatd runs cancel {}", retry.id));
    daemon.stop();
    kitchen.append("mnt/stick/.backup-stick", "");
    for day in 10..20 {
        fs::create_dir(kitchen.edge_box.path(&format!("mnt/stick/2025-01-{day}"))).expect("make an old one");
    }
    let daemon = kitchen.start_when_due();
    one_run(&daemon);
    let days = || fs::read_dir(kitchen.edge_box.path("mnt/stick")).expect("list it").flatten();
    let kept: BTreeSet<String> = days().map(|day| day.file_name().to_string_lossy().into_owned()).collect();
    assert!(kept.len() == 8 && kept.contains("2025-01-19") && !kept.contains("2025-01-13"), "{kept:?}");
    for old in 14..20 {
        fs::remove_dir(kitchen.edge_box.path(&format!("mnt/stick/2025-01-{old}"))).expect("it is empty");
    }
    kitchen.shows_what_it_says();
    let copy = kitchen.shell("cd /mnt/stick; ls 20*/heartbeat.db");
    let copy = Connection::open(kitchen.edge_box.path("mnt/stick").join(copy.trim())).expect("open it");
    let flow: String =
        copy.query_row("SELECT name FROM data_flows", [], |row| row.get(0)).expect("it is a copy");
    assert_eq!(flow, "backup");
}

#[test]
fn an_upload_that_is_refused_for_now_is_tried_again_and_what_was_sent_is_moved_away() {
    let (url, received) = server(|number, _| answer(if number == 0 { 503 } else { 201 }, "", ""));
    let changes = [("https://collector.example", url.as_str()), ("\"30s\"", "\"100ms\"")];
    let Some(kitchen) = Kitchen::with("Upload with retry", &["var/lib/camera/pictures"], &changes) else {
        return;
    };
    kitchen.edge_box.write("var/lib/camera/pictures/door.jpg", "a picture");
    kitchen.prepare();
    let daemon = kitchen.start_when_due();
    daemon.beat_and_wait();
    until("it is tried again", || kitchen.edge_box.runs().iter().any(|run| run.status == "success"));
    kitchen.shows_what_it_says();
    let received = received.lock().expect("nobody failed");
    assert_eq!(received.len(), 2);
    for request in received.iter() {
        assert_eq!(request.line, "PUT /pictures/door.jpg HTTP/1.1");
        assert_eq!(request.field("Authorization"), Some("Bearer 3f1c0a5d9e"));
        assert_eq!(request.body, "a picture");
    }
}

#[test]
fn a_json_rpc_call_that_fails_comes_again_with_its_key_and_its_bytes() {
    let (url, received) = server(|number, request| {
        if number == 0 {
            return answer(503, "Retry-After: 0\r\n", "");
        }
        let call: Value = serde_json::from_str(&request.body).expect("it is JSON");
        answer(200, "", &serde_json::json!({"jsonrpc": "2.0", "id": call["id"], "result": true}).to_string())
    });
    let changes = [("http://collector.lan:8080", url.as_str())];
    let Some(kitchen) = Kitchen::with("Submit by JSON-RPC", &["var/lib/climate"], &changes) else { return };
    let climate = Connection::open(kitchen.edge_box.path("var/lib/climate/climate.db")).expect("open it");
    let rows = "CREATE TABLE reading (time, sensor, celsius); INSERT INTO reading VALUES ('2026-11-23T10:30:00Z', 'bme280', 21.37)";
    climate.execute_batch(rows).expect("fill it");
    kitchen.prepare();
    let daemon = kitchen.start_when_due();
    one_run(&daemon);
    kitchen.shows_what_it_says();
    let received = received.lock().expect("nobody failed");
    assert_eq!(received.len(), 2, "once refused, once taken");
    for request in received.iter() {
        assert_eq!(
            (request.line.as_str(), request.field("Authorization")),
            ("POST /rpc HTTP/1.1", Some("Bearer 8c2f5b7a"))
        );
        assert!(is_signed(&kitchen.edge_box, "collector-secret", request));
        assert!(is_shown(&request.body, &kitchen.json()), "{}", request.body);
    }
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].field("Idempotency-Key"), received[1].field("Idempotency-Key"));
}

#[test]
fn readings_get_their_place_and_none_without_one_is_lost() {
    let folders = ["var/log/sensors", "var/lib/sensors"];
    let Some(kitchen) = Kitchen::with("Join with a local table", &folders, &[]) else { return };
    kitchen.append("var/log/sensors/readings.jsonl", &kitchen.json());
    kitchen.prepare();
    one_run(&kitchen.edge_box.start());
    kitchen.shows_what_it_says();
}

#[test]
fn of_messages_that_come_twice_the_first_is_kept_also_in_a_later_run() {
    let folders = ["var/log/radio", "var/lib/radio"];
    let Some(kitchen) = Kitchen::with("Deduplicate", &folders, &[]) else { return };
    kitchen.append("var/log/radio/uplinks.jsonl", &kitchen.json());
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    one_run(&daemon);
    kitchen.shows_what_it_says();
    kitchen.append("var/log/radio/uplinks.jsonl", &kitchen.json());
    kitchen.shell("heartbeatd flow run uplinks --wait");
    assert_eq!(kitchen.number("var/lib/radio/radio.db", "SELECT count(*) FROM uplink"), 2);
}

#[test]
fn a_minute_that_comes_in_parts_is_one_row_and_nothing_is_added_twice() {
    let folders = ["var/log/meter", "var/lib/meter"];
    let Some(kitchen) = Kitchen::with("Aggregate per minute", &folders, &[]) else { return };
    let lines = kitchen.json();
    let (first, late) = lines.trim_end().rsplit_once('\n').expect("lines");
    kitchen.append("var/log/meter/power.jsonl", &format!("{first}\n"));
    kitchen.prepare();
    let mut daemon = kitchen.edge_box.start();
    one_run(&daemon);
    kitchen.append("var/log/meter/power.jsonl", &format!("{late}\n"));
    kitchen.shell("heartbeatd flow run power --wait");
    kitchen.shows_what_it_says();
    // Several batches of one minute, and a daemon that is killed among them.
    let line = "{\"time\":\"2026-11-23T10:40:00Z\",\"meter\":\"m2\",\"watt\":1}\n";
    kitchen.append("var/log/meter/power.jsonl", &line.repeat(20_000));
    kitchen.shell("heartbeatd flow run power");
    let added = || {
        kitchen.number("var/lib/meter/meter.db", "SELECT coalesce(max(n), 0) FROM minute WHERE meter = 'm2'")
    };
    until("some are added", || added() > 0);
    daemon.kill();
    let _daemon = kitchen.edge_box.start();
    until("the rest is added", || added() >= 20_000 && !kitchen.edge_box.has_open_runs());
    assert_eq!(
        kitchen.number("var/lib/meter/meter.db", "SELECT CAST(total AS INTEGER) FROM minute WHERE n = 20000"),
        20_000
    );
}

#[test]
fn rows_of_more_than_ninety_days_ago_are_deleted_and_no_others() {
    let Some(kitchen) = Kitchen::with("Prune", &["var/lib/pump"], &[]) else { return };
    if !has_zones() {
        return;
    }
    let pump = Connection::open(kitchen.edge_box.path("var/lib/pump/pump.db")).expect("open it");
    pump.execute_batch(
        "CREATE TABLE event (time, event);
         WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 12000)
           INSERT INTO event SELECT strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-90 days', '-1 minutes'), n FROM n;
         INSERT INTO event VALUES (strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-90 days', '+1 hours'), 'young'),
           (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'now')",
    )
    .expect("fill it");
    drop(pump);
    kitchen.prepare();
    let mut daemon = kitchen.edge_box.start();
    kitchen.shows_what_it_says();
    daemon.stop();
    one_run(&kitchen.start_when_due());
    assert_eq!(kitchen.edge_box.ended_run("prune-pump").output, "0 rows deleted\n");
}

#[test]
fn a_flow_that_fails_three_times_is_told_once_and_so_is_its_recovery() {
    let status = Arc::new(AtomicU16::new(500));
    let camera_status = Arc::clone(&status);
    let (camera, _) = server(move |_, _| answer(camera_status.load(Ordering::Relaxed), "", ""));
    let (operator, alerts) = server(|_, _| answer(204, "", ""));
    let changes = [
        ("http://192.168.1.20:8080", operator.as_str()),
        ("http://192.168.1.30", camera.as_str()),
        ("run_interval = \"1m\"", "run_interval = \"1s\""),
    ];
    let Some(kitchen) = Kitchen::with("Alert on failure", &[], &changes) else { return };
    kitchen.prepare();
    let daemon = kitchen.edge_box.start();
    let told = || alerts.lock().expect("nobody failed").clone();
    until("it is told", || {
        daemon.beat_and_wait();
        !told().is_empty()
    });
    kitchen.shows_what_it_says();
    status.store(200, Ordering::Relaxed);
    until("its recovery is told", || {
        daemon.beat_and_wait();
        told().len() > 1
    });
    let told = told();
    assert!(is_shown(&told[0].body, &kitchen.json()), "{}", told[0].body);
    assert!(told[1].body.contains("flow.recovered") && told.len() == 2, "{told:?}");
    assert!(told.iter().all(|request| is_signed(&kitchen.edge_box, "alert-secret", request)));
}

/// Whether this machine knows the zone of the recipes.
fn has_zones() -> bool {
    let has = std::path::Path::new("/usr/share/zoneinfo/Europe/Berlin").exists();
    if !has {
        tell_skipped("for want of time zone data (apt-get install tzdata)");
    }
    has
}

#[test]
fn each_box_of_a_fleet_has_its_own_time_within_the_window() {
    let mut times = BTreeSet::new();
    for _ in 0..5 {
        let Some(kitchen) = Kitchen::with("A nightly window over a fleet", &["var/lib/sensors"], &[]) else {
            return;
        };
        if !has_zones() {
            return;
        }
        kitchen.prepare();
        let _daemon = kitchen.edge_box.start();
        kitchen.shows_what_it_says();
        let flow: Value =
            serde_json::from_str(&kitchen.shell("heartbeatd --json flow show fetch-sensors")).expect("JSON");
        let next = flow["next_run_at"].as_str().expect("it has one");
        let local = Command::new("date")
            .args(["-d", next, "+%H:%M"])
            .env("TZ", "Europe/Berlin")
            .output()
            .expect("run date");
        let local = String::from_utf8_lossy(&local.stdout).trim().to_owned();
        assert!(("01:00".."04:01").contains(&local.as_str()), "{next} is {local}");
        times.insert(next.to_owned());
    }
    assert_eq!(times.len(), 5, "{times:?}");
}

#[test]
fn a_box_that_was_off_at_night_waits_for_the_next_window_and_a_week_is_one_run() {
    let Some(clock) = FakeClock::find() else { return };
    let (url, received) =
        server(|_, _| answer(200, "", "id,place,correction\ns1,boiler room,-0.4\ns2,roof,0.1\n"));
    let changes = [("https://collector.example", url.as_str())];
    let Some(kitchen) = Kitchen::with("A nightly window over a fleet", &["var/lib/sensors"], &changes) else {
        return;
    };
    if !has_zones() {
        return;
    }
    kitchen.prepare();
    let noon_s = 12 * 3600 - now_s() % 86_400;
    let at = |hours: i64| {
        let offset_s = noon_s + hours * 3600;
        let daemon = Daemon::start(&kitchen.edge_box, |command| clock.set(command, &format!("{offset_s:+}")));
        let answer = daemon.send(&Heartbeat::new().signed_in(offset_s).wait(20));
        ["flows_due", "flows_triggered", "flows_deferred"].map(|name| answer.count(name))
    };
    assert_eq!(at(0), [0, 0, 0], "it waits for its first night");
    assert_eq!(at(24), [1, 0, 1], "off for the night, it waits for the next");
    assert_eq!(at(36), [1, 1, 0], "one or two in the morning there");
    assert_eq!(kitchen.edge_box.ended_run("fetch-sensors").output, "2 sensors\n");
    assert_eq!(at(36 + 7 * 24), [1, 1, 0], "off for a week");
    let run = kitchen.edge_box.ended_run("fetch-sensors");
    assert!(run.misfires >= 5 && received.lock().expect("nobody failed").len() == 2, "{run:?}");
}

#[test]
fn every_recipe_has_its_test() {
    let recipes: Vec<&str> = sections(COOKBOOK).into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(recipes.len(), 12);
    let tests: Vec<&str> = include_str!("cookbook.rs").split("#[test]\n").skip(1).collect();
    for heading in recipes {
        let named = format!("\"{heading}\"");
        assert!(
            tests.iter().any(|test| test.contains("Kitchen::with(") && test.contains(&named)),
            "{heading} has no test"
        );
        let shown = blocks(section(COOKBOOK, heading));
        let has = |language: &str| shown.iter().any(|block| block.language == language);
        assert!(has("toml") && has("text"), "{heading} has a flow, and says what one sees");
    }
}
