//! Whole runs between databases: what arrives, what is counted, and what a second run does.

mod http_source;

use rusqlite::Connection;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Owner;
use super::files::{Files as _, SystemFiles};
use super::outside::{Happened, Need};
use super::run::{Moving, Step};
use super::sink::State;
use crate::flow::{Counters, Exit, Pipeline};

/// Does what a step needs, as the shell would.
fn outside(need: Need) -> Happened {
    let Need::Program(launch) = need else { return Happened::Resumed };
    let mut process = std::process::Command::new(&launch.argv[0])
        .args(&launch.argv[1..])
        .env_clear()
        .envs(launch.environment.iter().cloned())
        .current_dir(&launch.working_directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Who takes nothing closes its end.
    let _ = process.stdin.take().unwrap().write_all(&launch.stdin);
    let output = process.wait_with_output().unwrap();
    let exit = output.status.code().map(Exit::Code);
    Happened::Ended { exit, stdout: if launch.stdout_max.is_some() { output.stdout } else { Vec::new() } }
}

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("heartbeat-pipeline-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn database(&self, name: &str, sql: &str) -> Connection {
        let database = Connection::open(self.0.join(name)).unwrap();
        database.execute_batch(sql).unwrap();
        database
    }

    /// Runs a pipeline to its end: its counters, or why it failed.
    fn run(&self, settings: &str) -> Result<Counters, String> {
        self.run_with(settings, &mut None)
    }

    fn run_with(&self, settings: &str, recorded: &mut Option<State>) -> Result<Counters, String> {
        let mut moving = self.moving(settings, recorded.clone());
        let files = SystemFiles::default();
        loop {
            match moving.step(&files).map_err(|failure| failure.message)? {
                Step::More => {}
                Step::Record => {
                    *recorded = moving.to_record().cloned();
                    moving.recorded();
                }
                Step::Wait(need) => moving.happened(outside(need)),
                Step::Done => return Ok(moving.counters()),
            }
        }
    }

    /// `DIR` in the settings is this folder.
    fn moving(&self, settings: &str, recorded: Option<State>) -> Moving {
        let text = settings.replace("DIR", &self.0.to_string_lossy());
        let pipeline: Pipeline = serde_json::from_str(&text).unwrap();
        let owner = Owner { database_id: "0123".to_owned(), flow: "it".to_owned() };
        Moving::new(&pipeline, &owner, recorded)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn rows(path: &Path, sql: &str) -> Vec<String> {
    let database = Connection::open(path).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

/// From table `t` of `a.db` to table `u` of `b.db`, with what is given instead of the defaults.
fn settings(source: &str, rest: &str, sink: &str) -> String {
    format!(
        r#"{{"source":{{"type":"sqlite","database":"DIR/a.db",{source}}},{rest}
        "sink":{{"type":"sqlite","database":"DIR/b.db","table":"u",{sink}}},
        "batch":{{"records":3,"bytes":1000000,"run_bytes":8000000,"whole":false}},"on_reject":"DIR/dead"}}"#
    )
}

const NUMBERS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, x);
    INSERT INTO t (x) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i * 10 FROM n;";

#[test]
fn rows_are_moved_once_and_a_second_run_moves_what_is_new() {
    let folder = Folder::new();
    let source = folder.database("a.db", NUMBERS);
    let settings = settings(r#""table":"t","cursor":"id""#, "", r#""create":true"#);
    let first = folder.run(&settings).unwrap();
    assert_eq!((first.read, first.written), (10, 10));
    assert_eq!(folder.run(&settings).unwrap(), Counters::default());
    source.execute_batch("INSERT INTO t (x) VALUES (110), (120)").unwrap();
    assert_eq!(folder.run(&settings).unwrap().written, 2);
    let moved = rows(
        &folder.0.join("b.db"),
        "SELECT group_concat(id || '=' || x) FROM (SELECT * FROM u ORDER BY id)",
    );
    assert_eq!(moved, ["1=10,2=20,3=30,4=40,5=50,6=60,7=70,8=80,9=90,10=100,11=110,12=120"]);
}

#[test]
fn rows_that_share_a_cursor_value_are_not_lost_where_a_batch_ends() {
    for source in [r#""table":"t","cursor":"at""#, r#""query":"SELECT * FROM t -- all;","cursor":"at""#] {
        let folder = Folder::new();
        let values: Vec<String> = (0..20).map(|n| format!("({n}, {})", if n < 8 { 5 } else { 6 })).collect();
        let source_db = folder
            .database("a.db", &format!("CREATE TABLE t (n, at); INSERT INTO t VALUES {}", values.join(",")));
        let settings = settings(source, "", r#""create":true"#);
        assert_eq!(folder.run(&settings).unwrap().written, 20, "{source}");
        source_db.execute_batch("INSERT INTO t VALUES (99, 6)").unwrap();
        assert_eq!(folder.run(&settings).unwrap().written, 1, "{source}");
        let moved = rows(&folder.0.join("b.db"), "SELECT count(*) || ' ' || count(DISTINCT n) FROM u");
        assert_eq!(moved, ["21 21"], "{source}");
    }
}

#[test]
fn a_cursor_that_is_null_somewhere_fails_the_run_before_anything_is_lost() {
    let folder = Folder::new();
    folder.database("a.db", "CREATE TABLE t (n, at); INSERT INTO t VALUES (1, NULL), (2, 2)");
    let failed = folder.run(&settings(r#""table":"t","cursor":"at""#, "", r#""create":true"#)).unwrap_err();
    assert!(failed.contains("is null in some rows"), "{failed}");
}

#[test]
fn a_rowid_is_no_cursor_of_a_table_whatever_stands_in_it() {
    for rows in ["", "INSERT INTO t VALUES ('x')"] {
        let folder = Folder::new();
        folder.database("a.db", &format!("CREATE TABLE t (a); {rows}"));
        for cursor in ["rowid", "_rowid_", "OID"] {
            let source = format!(r#""table":"t","cursor":"{cursor}""#);
            let failed = folder.run(&settings(&source, "", r#""create":true"#)).unwrap_err();
            let expected = format!("there is no column `{cursor}`: VACUUM may change a rowid");
            assert!(failed.contains(&expected), "{failed}");
        }
        let source = r#""query":"SELECT rowid AS id, * FROM t","cursor":"id""#;
        let moved = folder.run(&settings(source, "", r#""create":true"#)).unwrap();
        assert_eq!(moved.read, u64::from(!rows.is_empty()));
    }
}

#[test]
fn an_upsert_says_what_is_new_what_changed_and_what_was_there() {
    let folder = Folder::new();
    let source = folder.database("a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, k, v); INSERT INTO t (k, v) VALUES ('a', 1), ('b', 2), ('a', 1)");
    folder.database("b.db", "CREATE TABLE u (k TEXT PRIMARY KEY, v)");
    let select = r#""transforms":[{"sql":"SELECT k, v FROM batch"}],"#;
    let upsert = settings(r#""table":"t","cursor":"id""#, select, r#""mode":"upsert","key":["k"]"#);
    let counters = folder.run(&upsert).unwrap();
    assert_eq!((counters.read, counters.written, counters.updated, counters.skipped), (3, 2, 0, 1));
    source.execute_batch("INSERT INTO t (k, v) VALUES ('a', 7), ('b', 2), (NULL, 3)").unwrap();
    let counters = folder.run(&upsert).unwrap();
    assert_eq!((counters.written, counters.updated, counters.skipped, counters.rejected), (1, 1, 1, 1));
    assert_eq!(rows(&folder.0.join("b.db"), "SELECT k || v FROM u ORDER BY k"), ["a7", "b2"]);
}

#[test]
fn an_upsert_takes_a_change_of_case_for_a_change() {
    let folder = Folder::new();
    let source = folder.database(
        "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k, v); INSERT INTO t (k, v) VALUES ('a', 'foo')",
    );
    folder.database("b.db", "CREATE TABLE u (k TEXT PRIMARY KEY, v COLLATE NOCASE)");
    let select = r#""transforms":[{"sql":"SELECT k, v FROM batch"}],"#;
    let upsert = settings(r#""table":"t","cursor":"id""#, select, r#""mode":"upsert","key":["k"]"#);
    assert_eq!(folder.run(&upsert).unwrap().written, 1);
    source.execute_batch("INSERT INTO t (k, v) VALUES ('a', 'FOO')").unwrap();
    assert_eq!(folder.run(&upsert).unwrap().updated, 1);
    assert_eq!(rows(&folder.0.join("b.db"), "SELECT v FROM u"), ["FOO"]);
}

#[test]
fn a_row_that_is_gone_from_a_query_takes_no_other_with_it() {
    let folder = Folder::new();
    let source_db =
        folder.database("a.db", "CREATE TABLE t (n, at); INSERT INTO t VALUES (1, 5), (2, 5), (3, 5)");
    let settings = settings(r#""query":"SELECT n, at FROM t","cursor":"at""#, "", r#""create":true"#);
    assert_eq!(folder.run(&settings).unwrap().written, 3);
    source_db.execute_batch("DELETE FROM t; INSERT INTO t VALUES (4, 6), (5, 6), (6, 7)").unwrap();
    assert_eq!(folder.run(&settings).unwrap().written, 3);
}

#[test]
fn a_query_that_never_ends_fails_the_run() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    let forever =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS c FROM n";
    let source = format!(r#""query":"{forever}","cursor":"c""#);
    let failed = folder.run(&settings(&source, "", r#""create":true"#)).unwrap_err();
    assert!(failed.contains("took longer than 5 s"), "{failed}");
}

#[test]
fn what_a_constraint_refuses_is_rejected_alone() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    folder.database(
        "b.db",
        "CREATE TABLE u (id INTEGER PRIMARY KEY, x CHECK (x <> 50)); INSERT INTO u VALUES (2, 0)",
    );
    let counters = folder.run(&settings(r#""table":"t","cursor":"id""#, "", "\"mode\":\"insert\"")).unwrap();
    assert_eq!((counters.read, counters.written, counters.rejected), (10, 8, 2));
    let counters = folder.run(&settings(r#""table":"t","cursor":"id""#, "", "\"mode\":\"ignore\"")).unwrap();
    assert_eq!(counters, Counters::default());
}

#[test]
fn a_transform_that_leaves_out_and_adds_is_counted() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    let few = r#""transforms":[{"sql":"SELECT max(x) AS x FROM batch"}],"#;
    let counters = folder.run(&settings(r#""table":"t","cursor":"id""#, few, r#""create":true"#)).unwrap();
    assert_eq!((counters.read, counters.written, counters.transformed_out), (10, 4, 6));
    let many = r#""transforms":[{"sql":"SELECT a.x FROM batch AS a, batch AS b"}],"#;
    let other = settings(r#""table":"t","cursor":"id""#, many, r#""create":true"#).replace("b.db", "c.db");
    let counters = folder.run(&other).unwrap();
    assert_eq!((counters.read, counters.written, counters.transformed_in), (10, 28, 18));
}

#[test]
fn a_database_that_another_program_holds_is_busy_and_nothing_is_lost() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    let target = folder.database("b.db", "PRAGMA journal_mode = WAL; CREATE TABLE u (id, x)");
    target.execute_batch("BEGIN IMMEDIATE").unwrap();
    let settings = settings(r#""table":"t","cursor":"id""#, "", r#""create":false"#);
    let mut moving = folder.moving(&settings, None);
    let files = SystemFiles::default();
    assert!(moving.step(&files).unwrap_err().is_busy);
    assert!(moving.step(&files).unwrap_err().is_busy);
    target.execute_batch("COMMIT").unwrap();
    while moving.step(&files).unwrap() != Step::Done {}
    assert_eq!(moving.counters().written, 10);
}

#[test]
fn an_attached_database_that_another_program_holds_is_waited_for() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    let attached = folder.database("ref.db", "CREATE TABLE r (id, name); INSERT INTO r VALUES (3, 'three')");
    attached.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let join = r#""transforms":[{"sql":"SELECT r.name FROM batch JOIN ref.r ON r.id = batch.id","attach":{"ref":"DIR/ref.db"}}],"#;
    let settings = settings(r#""table":"t","cursor":"id""#, join, r#""create":true"#);
    let mut moving = folder.moving(&settings, None);
    let files = SystemFiles::default();
    assert!(moving.step(&files).unwrap_err().is_busy);
    attached.execute_batch("COMMIT").unwrap();
    while moving.step(&files).unwrap() != Step::Done {}
    assert_eq!((moving.counters().read, moving.counters().written), (10, 1));
}

#[test]
fn our_own_database_is_no_sink() {
    let folder = Folder::new();
    folder.database("a.db", NUMBERS);
    folder.database("b.db", &format!("PRAGMA application_id = {}", crate::store::APPLICATION_ID));
    let failed = folder.run(&settings(r#""table":"t","cursor":"id""#, "", r#""create":true"#)).unwrap_err();
    assert!(failed.contains("heartbeatd's own"), "{failed}");
}

/// From a file to a program that appends what it takes to `out`, and the key to `keys`.
fn to_program(script: &str) -> String {
    json!({
        "source": { "type": "file", "path": "DIR/in.jsonl" },
        "sink": { "type": "exec", "argv": [script], "shell": true, "working_directory": "DIR" },
        "on_reject": "DIR/dead.jsonl",
        "batch": { "records": 2 },
    })
    .to_string()
}

const TAKE: &str = "echo $HEARTBEAT_IDEMPOTENCY_KEY >> keys && cat >> out";

#[test]
fn batches_go_to_a_program_each_with_a_key_of_its_own() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\n{\"n\":2}\nno\n{\"n\":3}\n").unwrap();
    let mut recorded = None;
    let counters = folder.run_with(&to_program(TAKE), &mut recorded).unwrap();
    assert_eq!((counters.read, counters.written, counters.rejected), (4, 3, 1));
    assert_eq!(folder.read("out"), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let keys: BTreeSet<String> = folder.read("keys").lines().map(str::to_owned).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(folder.run_with(&to_program(TAKE), &mut recorded).unwrap(), Counters::default());
}

#[test]
fn what_a_program_does_not_take_is_given_to_it_again_as_it_was_whatever_comes_in_between() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\n").unwrap();
    let mut recorded = None;
    let refuse = "echo $HEARTBEAT_IDEMPOTENCY_KEY >> keys; exit 3";
    let failed = folder.run_with(&to_program(refuse), &mut recorded).unwrap_err();
    assert!(failed.contains("exit status 3"), "{failed}");
    // The source has more by now, and the flow another definition: neither may change what stands for the key.
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let settings = to_program(TAKE)
        .replace("\"sink\"", "\"transforms\":[{\"sql\":\"SELECT n * 10 AS n FROM batch\"}],\"sink\"");
    let counters = folder.run_with(&settings, &mut recorded).unwrap();
    assert_eq!((counters.read, counters.written), (2, 2));
    assert_eq!(folder.read("out"), "{\"n\":1}\n{\"n\":20}\n");
    let keys = folder.read("keys");
    let keys: Vec<&str> = keys.lines().collect();
    assert!(keys.len() == 3 && keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[test]
fn a_dead_letter_is_written_though_another_flow_rejected_the_same_and_the_run_was_cut_short_before() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\nno\n").unwrap();
    folder.run_with(&to_program(TAKE), &mut None).unwrap();
    let another = |script| to_program(script).replace("dead.jsonl", "another.jsonl");
    let mut recorded = None;
    folder.run_with(&another("exit 3"), &mut recorded).unwrap_err();
    folder.run_with(&another(TAKE), &mut recorded).unwrap();
    assert_eq!(folder.read("another.jsonl"), folder.read("dead.jsonl"));
}

#[test]
fn what_was_on_its_way_when_the_flow_got_another_sink_is_for_people_to_judge() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\n").unwrap();
    let mut recorded = None;
    folder.run_with(&to_program("exit 3"), &mut recorded).unwrap_err();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\n{\"n\":2}\n").unwrap();
    let settings = to_file_from(json!({ "type": "file", "path": "DIR/in.jsonl" }));
    let counters = folder.run_with(&settings, &mut recorded).unwrap();
    assert_eq!((counters.read, counters.written, counters.rejected), (2, 1, 1));
    assert_eq!(folder.read("out.jsonl"), "{\"n\":2}\n");
    let dead = folder.read("dead.jsonl");
    assert!(dead.contains("{\"record\":{\"n\":1},\"reason\":\"it was on its way"), "{dead}");
    assert_eq!(recorded.unwrap().outbox, None);
}

#[test]
fn nothing_is_stranded_in_our_database_when_a_sink_comes_that_keeps_its_own_state() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("in.jsonl"), "{\"n\":1}\nno\n{\"n\":2}\n").unwrap();
    let mut recorded = None;
    folder
        .run_with(&to_program("exit 3").replace("\"records\":2", "\"records\":9"), &mut recorded)
        .unwrap_err();
    let settings = json!({
        "source": { "type": "exec", "argv": ["true"], "working_directory": "DIR", "environment": {} },
        "sink": { "type": "sqlite", "database": "DIR/out.db", "table": "t", "create": true },
        "on_reject": "DIR/dead.jsonl",
    });
    for _ in 0..2 {
        folder.run_with(&settings.to_string(), &mut recorded).unwrap();
        let dead = folder.read("dead.jsonl");
        let reasons = [
            "no JSON",
            "{\"n\":1},\"reason\":\"it was on its way",
            "{\"n\":2},\"reason\":\"it was on its way",
        ];
        assert!(reasons.iter().all(|reason| dead.contains(reason)) && dead.lines().count() == 3, "{dead}");
        let state = recorded.as_ref().unwrap();
        assert!(state.outbox.is_none() && state.dead_letters.get("pending").is_none(), "{state:?}");
    }
}

fn to_file_from(source: Json) -> String {
    json!({ "source": source, "sink": { "type": "file", "path": "DIR/out.jsonl" }, "on_reject": "DIR/dead.jsonl" }).to_string()
}

fn from_program(script: &str) -> String {
    let source = json!({ "type": "exec", "argv": [script], "shell": true, "working_directory": "DIR" });
    to_file_from(source)
}

#[test]
fn what_a_program_writes_is_taken_whole_when_it_ends_well() {
    let folder = Folder::new();
    let script = "echo '{\"n\":1}'; echo; echo no; printf '{\"n\":2}'";
    let counters = folder.run(&from_program(script)).unwrap();
    assert_eq!((counters.read, counters.written, counters.rejected, counters.bytes_read), (3, 2, 1, 19));
    assert_eq!(folder.read("out.jsonl"), "{\"n\":1}\n{\"n\":2}\n");
    for (script, why) in
        [("echo '{}'; exit 7", "exit status 7"), ("head -c 9000000 /dev/zero", "run_bytes = 8388608")]
    {
        let failed = folder.run(&from_program(script)).unwrap_err();
        assert!(failed.contains(why), "{failed}");
    }
    assert_eq!(folder.read("out.jsonl").lines().count(), 2);
}

#[test]
fn a_file_that_was_closed_can_be_opened_whatever_is_started_meanwhile() {
    let folder = Folder::new();
    let (path, files) = (folder.0.join("out.jsonl"), SystemFiles::default());
    std::thread::scope(|scope| {
        let started = scope.spawn(|| {
            for _ in 0..200 {
                assert!(std::process::Command::new("/bin/true").status().unwrap().success());
            }
        });
        while !started.is_finished() {
            drop(files.open_to_append(&path).unwrap());
        }
    });
}
