//! `import rails`: a database that ActiveRecord itself made, and others like it.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

mod support;

use rusqlite::Connection;
use serde_json::Value;
use std::process::Command;
use support::guide::{Guide, done};
use support::tools::can_run;
use support::{EdgeBox, until};

/// The flow's class and what the engine did with it, without the seconds that Rails takes to load.
const APPLICATION: &str = r#"
require "json"
module MyApp; module Flows; class DataSyncFlow
  def initialize(configuration) = @configuration = configuration
  def run = puts("synced #{@configuration.dig("options", "batch_size")} rows")
end; end; end
Object.const_get(ARGV.fetch(0)).new(JSON.parse(ENV.fetch("DATA_FLOW_CONFIGURATION"))).run
"#;

/// Makes `app.sqlite3` in the box by ActiveRecord; false where that is not installed.
fn make_database(edge_box: &EdgeBox, prefix: &str) -> bool {
    if !can_run("ruby", &["-W0", "-ractive_record", "-rsqlite3", "-e", "1"]) {
        return false;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rails/database.rb");
    let mut command = Command::new("ruby");
    let made = command.args(["-W0", script]).arg(edge_box.path("app.sqlite3")).arg(prefix).output();
    let made = made.expect("run ruby");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

/// The commands of docs/from-rails.md, as they stand there.
#[test]
fn the_guide_moves_an_application_by_its_own_commands() {
    let edge_box = EdgeBox::new();
    make_by_sql(&edge_box, FLOW);
    let guide = Guide::of("docs/from-rails.md");
    let said = done(guide.blocks("The move", "sh")[0], &edge_box.path(""));
    assert!(said.contains("flows: 1 came over") && said.contains("sync "), "{said}");
}

/// Who posts with the engine's token is heard, and so is the box's own cron.
#[test]
fn the_guides_settings_let_the_agent_go_on() {
    if !can_run("curl", &["--version"]) {
        return;
    }
    let edge_box = EdgeBox::new();
    let guide = Guide::of("docs/from-rails.md");
    let blocks = |language| guide.blocks("The agent", language);
    let ([settings], [token, post], [cron]) = (&blocks("toml")[..], &blocks("sh")[..], &blocks("cron")[..])
    else {
        panic!("settings, the token, the engine's request, and cron's")
    };
    edge_box.write("settings.toml", format!("{settings}\n"));
    let beat = cron.splitn(6, ' ').last().unwrap_or_default().replace("/srv/box", "box");
    let post = post.replace(":8787", ":$(cat port)");
    let script = format!(
        "heartbeatd init box; cat settings.toml box/heartbeatd.toml > new.toml; mv new.toml box/heartbeatd.toml
         export HEARTBEATD_CONFIG=box/heartbeatd.toml HEARTBEATD_STATUS__LISTEN=127.0.0.1:0
         {token}
         HEARTBEATD_LISTEN=127.0.0.1:0 heartbeatd serve --port-file port & trap 'kill $!; wait' EXIT
         while [ ! -e port ]; do kill -0 $!; done
         {post}
         export HEARTBEATD_LISTEN=127.0.0.1:$(cat port)
         {beat}"
    );
    let said = done(&script, &edge_box.path(""));
    assert!(said.contains("is right: listens on 0.0.0.0:8787"), "{said}");
    assert!(said.contains("\"flows_triggered\":1") && !said.contains("refused"), "{said}");
}

/// Imports `app.sqlite3` with these arguments as well: the exit code, and what it says.
fn import(edge_box: &EdgeBox, arguments: &[&str]) -> (Option<i32>, String) {
    let file = edge_box.path("app.sqlite3");
    edge_box.command(&[&["import", "rails", file.to_str().expect("UTF-8")], arguments].concat())
}

/// A database of the engine, made by SQL: no ruby is needed.
fn make_by_sql(edge_box: &EdgeBox, sql: &str) {
    let connection = Connection::open(edge_box.path("app.sqlite3")).expect("make a database");
    let tables = "
        CREATE TABLE data_flows (id INTEGER PRIMARY KEY, name, description, enabled, configuration, run_interval,
          last_run_at, last_run_status, created_at, updated_at);
        CREATE TABLE data_flow_runs (id INTEGER PRIMARY KEY, data_flow_id, status, started_at, ended_at,
          error_message, error_backtrace, created_at, updated_at);";
    connection.execute_batch(&format!("{tables}{sql}")).expect("fill it");
}

const FLOW: &str = "INSERT INTO data_flows VALUES (1, 'sync', NULL, 1, '{\"class_name\":\"Sync\"}', 60,
    '2026-11-17 10:30:00', 'success', '2026-11-01 00:00:00', '2026-11-01 00:00:00');";

fn rows(edge_box: &EdgeBox, sql: &str) -> Vec<String> {
    let database = edge_box.database();
    let mut statement = database.prepare(sql).expect("a query");
    let row = |row: &rusqlite::Row<'_>| {
        let columns = (0..row.as_ref().column_count()).map(|column| match row.get_ref(column)? {
            rusqlite::types::ValueRef::Null => Ok("-".to_owned()),
            rusqlite::types::ValueRef::Integer(number) => Ok(number.to_string()),
            value => Ok(value.as_str().unwrap_or("?").to_owned()),
        });
        columns.collect::<rusqlite::Result<Vec<String>>>().map(|columns| columns.join("|"))
    };
    statement.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect()
}

#[test]
fn flows_and_history_come_over_with_ids_statuses_and_times() {
    let edge_box = EdgeBox::new();
    if !make_database(&edge_box, "") {
        return;
    }
    let (code, said) = import(&edge_box, &["--working-directory", "/srv/app"]);
    assert_eq!(code, Some(1), "some rows do not fit: {said}");
    assert_eq!(
        rows(
            &edge_box,
            "SELECT id, name, description, enabled, held, run_interval, origin, last_run_status,
              consecutive_failures, (next_run_at - last_run_at) FROM data_flows ORDER BY id"
        ),
        [
            // The engine noted the end of a run, 1.5 s after its start.
            "1|data_sync_flow|Syncs data every 5 minutes|1|0|300|database|success|0|301500",
            "2|never_ran|Never Ran|1|0|3600|database|-|0|-",
            "3|text-only|-|1|1|60|database|failed|3|52000",
            "7|data-sync_flow|data-sync flow|1|0|60|database|-|0|-",
        ]
    );
    // 2026-11-17 10:30:00.250 UTC.
    let start: i64 = 1_794_911_400_250;
    let told =
        "SELECT id, data_flow_id, status, started_at - 1794911400250, duration_ms, error_kind, error_message,
                  error_backtrace LIKE '%database.rb:%' FROM data_flow_runs WHERE id <= 4 ORDER BY id";
    assert_eq!(
        rows(&edge_box, told),
        [
            "1|1|success|0|1500|-|-|-".to_owned(),
            "2|1|failed|300000|1500|exit_status|no readings: \"none\" came|1".to_owned(),
            "3|1|success|600000|1500|-|-|-".to_owned(),
            "4|1|success|900000|1500|-|-|-".to_owned(),
        ]
    );
    assert_eq!(edge_box.number("SELECT started_at FROM data_flow_runs WHERE id = 1"), start);
    assert_eq!(
        rows(&edge_box, "SELECT id, status, error_kind FROM data_flow_runs WHERE id = 12"),
        ["12|failed|interrupted"],
        "what a killed server left open"
    );
    assert_eq!(
        rows(&edge_box, "SELECT success, failed, interrupted FROM flow_days ORDER BY data_flow_id, day")[0],
        "4|3|0",
        "the long view has them"
    );
    let (_, shown) = edge_box.command(&["runs", "show", "2"]);
    assert!(shown.contains("\nbacktrace:\n") && shown.contains("database.rb:"), "{shown}");
    let told = [
        "flow 2: it is called never_ran here, for `Never Ran`",
        "flow 4: did not fit: configuration `{\"options\":{}}` holds no class_name",
        "flow 5: did not fit: configuration `{\"class_name\":\"x'; system",
        "flow 6: did not fit: nothing of its name",
        "flow 8: did not fit: there is a flow data_sync_flow here already, with id 1",
        "flow 9: did not fit: configuration `--- !ruby/hash` is not JSON",
        "run 12: it was in_progress",
        "run 13: did not fit: its flow 9",
        "run 14: did not fit: ended_at",
        "run 15: did not fit: its flow 777",
        "flows: 4 came over, 0 were here already, 5 did not fit",
        "runs: 12 came over, 0 were here already, 3 did not fit",
        "error: 8 rows did not fit",
    ];
    told.iter().for_each(|words| assert!(said.contains(words), "{words} in {said}"));
    assert!(edge_box.is_sound());
}

#[test]
fn what_is_here_already_stays_when_it_is_done_again() {
    let edge_box = EdgeBox::new();
    if !make_database(&edge_box, "") {
        return;
    }
    import(&edge_box, &[]);
    let all = "SELECT * FROM data_flows JOIN data_flow_runs ON data_flow_id = data_flows.id ORDER BY data_flow_runs.id";
    let before = (rows(&edge_box, all), rows(&edge_box, "SELECT * FROM flow_days ORDER BY 1, 2"));
    let (_, said) = import(&edge_box, &["--command", "another"]);
    assert!(said.contains("flows: 0 came over, 4 were here already, 5 did not fit"), "{said}");
    assert!(said.contains("runs: 0 came over, 12 were here already, 3 did not fit"), "{said}");
    assert_eq!((rows(&edge_box, all), rows(&edge_box, "SELECT * FROM flow_days ORDER BY 1, 2")), before);
}

#[test]
fn a_dry_run_says_the_same_and_changes_nothing() {
    let edge_box = EdgeBox::new();
    if !make_database(&edge_box, "") {
        return;
    }
    let (_, without_database) = import(&edge_box, &["--dry-run"]);
    assert!(!edge_box.path("heartbeat.db").exists());
    edge_box.start().stop();
    let (code, said) = import(&edge_box, &["--dry-run"]);
    assert_eq!(said, without_database);
    assert_eq!((code, edge_box.number("SELECT count(*) FROM data_flows")), (Some(1), 0));
    let (_, done) = import(&edge_box, &[]);
    assert_eq!(done, said.replace("would come over", "came over"));
}

#[test]
fn tables_with_the_engines_prefix_are_found() {
    let edge_box = EdgeBox::new();
    if !make_database(&edge_box, "active_data_flow_rails_heartbeat_app_") {
        return;
    }
    let (_, said) = import(&edge_box, &[]);
    assert!(said.contains("runs: 12 came over"), "{said}");
}

#[test]
fn an_imported_flow_calls_the_application_with_its_configuration() {
    let edge_box = EdgeBox::new();
    if !make_database(&edge_box, "") {
        return;
    }
    edge_box.write("app.rb", APPLICATION);
    let folder = edge_box.path("");
    let there = folder.to_str().expect("UTF-8");
    import(&edge_box, &["--command", "ruby app.rb {class_name}", "--working-directory", there]);
    let daemon = edge_box.start();
    let due = daemon.beat();
    assert_eq!(due.count("flows_due"), 3, "their last run is more than an interval ago, or never was");
    until("it has run", || {
        edge_box.number("SELECT count(*) FROM data_flow_runs WHERE data_flow_id = 1") == 8
    });
    let run = edge_box.ended_run("data_sync_flow");
    assert_eq!((run.status.as_str(), run.output.as_str()), ("success", "synced 100 rows\n"));
    assert!(run.id > 12, "its id is a new one: {}", run.id);
}

/// A box with a database of the engine and a Rails application, which writes its log there; none where Rails is not installed.
fn with_application() -> Option<(EdgeBox, String)> {
    let edge_box = EdgeBox::new();
    if !can_run("ruby", &["-W0", "-rrails", "-e", "1"]) || !make_database(&edge_box, "") {
        return None;
    }
    let application = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rails/application");
    done(&format!("cp -R '{application}' application"), &edge_box.path(""));
    let there = edge_box.path("application").display().to_string();
    Some((edge_box, there))
}

#[test]
fn by_default_rails_itself_runs_the_flows_class_in_production() {
    let Some((edge_box, application)) = with_application() else { return };
    import(&edge_box, &["--working-directory", &application]);
    edge_box.start().beat_and_wait();
    let run = edge_box.ended_run("data_sync_flow");
    assert_eq!(
        (run.status.as_str(), run.output.as_str()),
        ("success", "synced 100 rows in production, none:\n")
    );
    let unknown = edge_box.ended_run("never_ran");
    assert!(
        unknown.status == "failed" && unknown.output.contains("uninitialized constant NeverRan"),
        "{unknown:?}"
    );
}

#[test]
fn the_guides_command_gives_rails_its_environment() {
    let Some((edge_box, application)) = with_application() else { return };
    edge_box.write("app.env", "DATABASE_URL=postgresql://db/edge\n");
    let command = Guide::of("docs/from-rails.md").blocks("The move", "sh")[2]
        .replace("box/heartbeatd.toml", "heartbeatd.toml")
        .replace("/srv/app", &application)
        .replace("/etc/app.env", &edge_box.path("app.env").to_string_lossy());
    // Some rows do not fit.
    done(&format!("{command} || true"), &edge_box.path(""));
    edge_box.start().beat_and_wait();
    let run = edge_box.ended_run("data_sync_flow");
    assert_eq!(run.output, "synced 100 rows in production, postgresql://db/edge\n", "{run:?}");
}

#[test]
fn a_daemon_that_runs_is_not_overtaken() {
    let edge_box = EdgeBox::new();
    make_by_sql(&edge_box, FLOW);
    let daemon = edge_box.start();
    let (code, said) = import(&edge_box, &[]);
    assert_eq!(code, Some(75), "{said}");
    drop(daemon);
    assert_eq!(import(&edge_box, &[]).0, Some(0));
}

#[test]
fn what_is_no_database_of_the_engine_is_named() {
    let edge_box = EdgeBox::new();
    let cases: [(&str, &str); 4] = [
        ("", "it has no tables data_flows and data_flow_runs"),
        (
            "CREATE TABLE data_flows (id, name); CREATE TABLE data_flow_runs (id);",
            "data_flows has no column description",
        ),
        (
            "CREATE TABLE data_flows (id); CREATE TABLE data_flow_runs (id);
             CREATE TABLE old_data_flows (id); CREATE TABLE old_data_flow_runs (id);",
            "more than once (data_flows, old_data_flows)",
        ),
        (
            "CREATE TABLE data_flows (id); CREATE TABLE data_flow_runs (id); PRAGMA application_id = 0x48425444;",
            "it is a database of heartbeatd",
        ),
    ];
    for (sql, expected) in cases {
        let _none_yet = std::fs::remove_file(edge_box.path("app.sqlite3"));
        let connection = Connection::open(edge_box.path("app.sqlite3")).expect("make a database");
        connection.execute_batch(sql).expect("fill it");
        let (code, said) = import(&edge_box, &[]);
        assert_eq!(code, Some(65), "{said}");
        assert!(said.contains(expected), "{expected} in {said}");
    }
    edge_box.write("app.sqlite3", "no database");
    let (code, said) = import(&edge_box, &[]);
    assert!(code == Some(65) && said.contains("it is not a SQLite database"), "{said}");
    assert!(!edge_box.path("heartbeat.db").exists(), "nothing was made for it");
}

#[test]
fn an_id_that_is_taken_here_is_not_given_twice() {
    let edge_box = EdgeBox::new();
    edge_box.script("example", "", "true");
    let daemon = edge_box.start();
    assert_eq!(daemon.beat_and_wait().count("flows_triggered"), 1);
    drop(daemon);
    make_by_sql(&edge_box, FLOW);
    let (code, said) = import(&edge_box, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("flow 1: did not fit: its id is that of the flow example here"), "{said}");
}

#[test]
fn times_and_booleans_of_older_versions_are_read_and_others_told() {
    let edge_box = EdgeBox::new();
    make_by_sql(
        &edge_box,
        &format!(
            "{FLOW} UPDATE data_flows SET enabled = 'f';
             INSERT INTO data_flow_runs (id, data_flow_id, status, started_at, ended_at, created_at, updated_at) VALUES
               (1, 1, 'success', '2026-11-17 10:30:00', '2026-11-17T10:30:01.5', '2026-11-17 10:30:00', '2026-11-17 10:30:00'),
               (2, 1, 'success', 'yesterday', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00'),
               (3, 1, 'success', 1731839400, '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00'),
               (4, 1, 'lost', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00'),
               (6, 'x', 'success', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00'),
               (5, 1, NULL, '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00', '2026-11-17 10:30:00');"
        ),
    );
    let (_, said) = import(&edge_box, &["--json"]);
    let told: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refused = |id: i64| told.iter().find(|row| row["id"] == id).and_then(|row| row["refused"].as_str());
    assert!(
        refused(2).is_some_and(|why| why.starts_with("started_at `yesterday` is no time as Rails writes it"))
    );
    assert!(refused(3).is_some_and(|why| why.starts_with("started_at 1731839400 is no time")));
    assert!(refused(4).is_some_and(|why| why.starts_with("status `lost` is none of")));
    assert!(refused(5).is_some_and(|why| why.starts_with("status null is no text")));
    assert_eq!(refused(6), Some("its flow `x` is not among those that came over"));
    assert_eq!(told.last().map(|row| row["runs"]["imported"].clone()), Some(Value::from(1)), "{said}");
    assert_eq!(edge_box.number("SELECT held FROM data_flows"), 1);
    assert_eq!(edge_box.number("SELECT duration_ms FROM data_flow_runs"), 1500);
}

#[test]
fn nothing_in_their_database_becomes_a_part_of_a_command_but_a_constants_name() {
    let edge_box = EdgeBox::new();
    let names =
        ["Sync;id", "Sync'", "$(id)", "`id`", "sync", "Sync.new;exit", "A::b", "Sy nc", "", "::", "S\u{e4}"];
    let flow = |(index, name): (usize, &&str)| {
        let configuration = serde_json::json!({ "class_name": name }).to_string().replace('\'', "''");
        let id = index + 2;
        format!("INSERT INTO data_flows SELECT {id}, 'f{id}', description, enabled, '{configuration}', run_interval,
                   last_run_at, last_run_status, created_at, updated_at FROM data_flows WHERE id = 1;")
    };
    make_by_sql(&edge_box, &(FLOW.to_owned() + &names.iter().enumerate().map(flow).collect::<String>()));
    let (_, said) = import(&edge_box, &["--command", "run {class_name} {name} {id}"]);
    assert!(said.contains("flows: 1 came over, 0 were here already, 11 did not fit"), "{said}");
    assert_eq!(said.matches("its class_name is no name of a Ruby class").count(), 11, "{said}");
    let argv = "SELECT json_extract(configuration, '$.settings.argv[0]') FROM data_flows";
    assert_eq!(rows(&edge_box, argv), ["run Sync sync 1"]);
}
