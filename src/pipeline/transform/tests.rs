//! What a transform may do, and what it makes of a batch.

use super::*;
use crate::flow::{FileSink, Format, SinkSettings};
use crate::pipeline::record::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn pipeline(sql: &[&str]) -> Pipeline {
    let transform = |sql: &&str| Transform { sql: (*sql).to_owned(), attach: BTreeMap::new() };
    let file = FileSink { path: PathBuf::from("/nowhere"), format: Format::Jsonl, rotate: None };
    Pipeline {
        source: crate::flow::SourceSettings::Sqlite(crate::flow::SqliteSource {
            database: PathBuf::from("/nowhere"),
            table: Some("t".to_owned()),
            query: None,
            cursor: "id".to_owned(),
        }),
        transforms: sql.iter().map(transform).collect(),
        fields: BTreeMap::new(),
        on_reject: PathBuf::from("/nowhere"),
        sink: SinkSettings::File(file),
        batch: Default::default(),
        transform_time_max_ms: 100,
        tests: Vec::new(),
    }
}

fn text(value: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(value))
}

/// Puts records through transforms; what comes out, `name=value` each.
fn through(sql: &[&str], records: &[&[(&'static str, Value<'static>)]]) -> Result<Vec<String>, String> {
    put(Transforms::new(&pipeline(sql)), records)
}

/// The same, with a minute's time.
fn patiently(sql: &[&str], records: &[&[(&'static str, Value<'static>)]]) -> Result<Vec<String>, String> {
    put(Transforms::new(&Pipeline { transform_time_max_ms: 60_000, ..pipeline(sql) }), records)
}

fn put(
    transforms: Result<Transforms, Unfit>,
    records: &[&[(&'static str, Value<'static>)]],
) -> Result<Vec<String>, String> {
    let mut transforms = transforms.map_err(|unfit| unfit.fault.message)?;
    let mut filling = transforms.begin().map_err(|failure| failure.message)?;
    for record in records {
        let fields = record.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        assert_eq!(filling.add(&Record { fields, json: None }).map_err(|failure| failure.message)?, None);
    }
    drop(filling);
    let mut out = Vec::new();
    let ran = transforms.run(&mut |record| {
        let record = record.map_err(|why| Failure::new(ErrorKind::Transform, why))?;
        let shown = |(name, value): &(Cow<'_, str>, Value<'_>)| match value {
            Value::Null => format!("{name}=null"),
            Value::Integer(value) => format!("{name}={value}"),
            Value::Real(value) => format!("{name}={value:?}"),
            Value::Text(value) => format!("{name}='{value}'"),
            other => format!("{name}={other:?}"),
        };
        out.push(record.fields.iter().map(shown).collect::<Vec<_>>().join(" "));
        Ok(())
    });
    ran.map(|()| out).map_err(|failure| failure.message)
}

#[test]
fn a_select_over_the_batch_filters_renames_and_computes() {
    let records: &[&[_]] = &[
        &[("sensor", text("a")), ("value", Value::Integer(10))],
        &[("sensor", text("b")), ("value", Value::Integer(-50))],
        &[("value", Value::Real(1.5)), ("sensor", text("c"))],
    ];
    let sql = "SELECT sensor AS name, value * 1.8 + 32 AS fahrenheit FROM batch WHERE value > -40";
    assert_eq!(through(&[sql], records).unwrap(), ["name='a' fahrenheit=50.0", "name='c' fahrenheit=34.7"]);
    let sum = through(&["SELECT count(*) AS n, sum(value) AS sum FROM batch"], records);
    assert_eq!(sum.unwrap(), ["n=3 sum=-38.5"]);
}

#[test]
fn several_transforms_feed_each_other() {
    let records: &[&[_]] = &[&[("x", Value::Integer(1))], &[("x", Value::Integer(2))]];
    let sql = ["SELECT x * 10 AS y FROM batch", "SELECT y + 1 AS z FROM batch WHERE y > 10"];
    assert_eq!(through(&sql, records).unwrap(), ["z=21"]);
}

#[test]
fn a_column_that_the_batch_lacks_is_null_and_a_star_is_every_name() {
    let records: &[&[_]] = &[&[("x", Value::Integer(1))], &[("y", Value::Integer(2))]];
    assert_eq!(
        through(&["SELECT x, b.absent FROM batch AS b"], records).unwrap(),
        ["x=1 absent=null", "x=null absent=null"]
    );
    assert_eq!(through(&["SELECT * FROM batch"], records).unwrap(), ["x=1 y=null", "x=null y=2"]);
    assert_eq!(through(&["SELECT count(*) AS n FROM batch"], records).unwrap(), ["n=2"]);
}

#[test]
fn a_name_that_comes_with_a_later_batch_is_a_column_of_that_batch() {
    let mut transforms = Transforms::new(&pipeline(&["SELECT * FROM batch"])).map_err(|_| ()).unwrap();
    let mut names = Vec::new();
    for fields in [vec!["a"], vec!["a", "b"], vec!["b", "c"]] {
        let mut filling = transforms.begin().unwrap();
        let fields = fields.into_iter().map(|name| (Cow::Borrowed(name), Value::Integer(1))).collect();
        assert_eq!(filling.add(&Record { fields, json: None }), Ok(None));
        drop(filling);
        let ran = transforms.run(&mut |record| {
            let record = record.map_err(|why| Failure::new(ErrorKind::Transform, why))?;
            names.push(record.fields.iter().map(|(name, _)| name.as_ref()).collect::<Vec<_>>().join(" "));
            Ok(())
        });
        assert_eq!(ran, Ok(()));
    }
    assert_eq!(names, ["a", "a b", "a b c"]);
}

#[test]
fn the_whole_record_and_names_with_dots_are_found_however_they_are_written() {
    let records: &[&[_]] = &[&[("sensor.value", Value::Integer(7)), ("x", Value::Integer(1))]];
    let sql = "SELECT b.\"sensor.value\" AS v, json_extract(Record, '$.x') AS x FROM batch AS b";
    assert_eq!(through(&[sql], records).unwrap(), ["v=7 x=1"]);
}

#[test]
fn records_may_each_have_other_names_or_another_order() {
    let [a, b] = [("a", Value::Integer(1)), ("B", Value::Integer(2))];
    let records: &[&[_]] = &[
        &[a.clone(), b.clone()],
        &[b.clone(), a.clone()],
        &[("b", Value::Integer(3)), b.clone(), a.clone()],
        &[a, ("c", Value::Null), b],
    ];
    let expected = ["a=1 B=2 c=null", "a=1 B=2 c=null", "a=1 B=3 c=null", "a=1 B=2 c=null"];
    assert_eq!(through(&["SELECT * FROM batch"], records).unwrap(), expected);
}

#[test]
fn names_that_differ_only_in_case_are_one_column_and_the_first_counts() {
    let records: &[&[_]] = &[&[("Sensor", text("a")), ("sensor", text("b"))], &[("SENSOR", text("c"))]];
    assert_eq!(through(&["SELECT sensor FROM batch"], records).unwrap(), ["sensor='a'", "sensor='c'"]);
}

#[test]
fn what_does_more_than_read_its_batch_is_refused_when_the_flow_is_loaded() {
    for (sql, why) in [
        ("INSERT INTO batch VALUES (1)", "changes something"),
        ("DELETE FROM batch RETURNING 1", "changes something"),
        ("DROP TABLE batch", "changes something"),
        ("CREATE TABLE x (y)", "changes something"),
        ("ATTACH '/tmp/x' AS x", "attaches a database"),
        ("PRAGMA journal_mode", "pragma"),
        ("SELECT * FROM pragma_database_list", "pragma"),
        ("SELECT * FROM PRAGMA_database_list", "pragma"),
        ("BEGIN", "transaction"),
        ("VACUUM INTO '/tmp/x'", "no SELECT"),
        ("SELECT load_extension('x') FROM batch", "no such function"),
        ("SELECT readfile('/etc/passwd') FROM batch", "no such function"),
        ("SELECT 1 AS x; SELECT 2 AS x", "more than one statement"),
        ("", "empty"),
        ("-- nothing", "empty"),
        ("SELEKT 1", "syntax error"),
        ("SELECT x FROM elsewhere", "no such table"),
        ("SELECT ?1 AS x FROM batch", "parameter"),
        ("SELECT x, y AS X FROM batch", "two columns called"),
        ("EXPLAIN SELECT x FROM batch", "EXPLAIN"),
        ("SELECT \"x y\".z FROM batch", "no such column"),
    ] {
        let refused = Transforms::new(&pipeline(&["SELECT 1 AS x", sql])).map(drop);
        let Err(Unfit { fault, .. }) = refused else { panic!("{sql} is taken") };
        assert_eq!(fault.key.as_deref(), Some("transform.2.sql"));
        assert!(fault.message.contains(why), "{sql}: {}", fault.message);
    }
}

#[test]
fn a_statement_that_never_ends_or_wants_all_memory_fails_and_is_bounded() {
    // In a process of its own: the bound is one of the process, and other tests have databases as well.
    const ALONE: &str = "HEARTBEAT_TEST_IS_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::a_statement_that_never_ends_or_wants_all_memory_fails_and_is_bounded");
        let mut own = std::process::Command::new(std::env::current_exe().unwrap());
        let output = own.args(["--exact", &name]).env(ALONE, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let forever =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n, batch";
    let records: &[&[_]] = &[&[("x", Value::Integer(1))]];
    assert!(through(&[forever], records).unwrap_err().contains("took longer than transform_time_max"));
    let huge = "SELECT zeroblob(1000000000) AS z FROM batch";
    assert!(through(&[huge], records).unwrap_err().contains("too big"));
    let in_one_step =
        "SELECT trim(printf('%.*c', 100000, 'a'), printf('%.*c', 90000, 'b') || 'a') AS t FROM batch";
    assert!(through(&[in_one_step], records).unwrap_err().contains("would take too long"));
    let sorted = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
                  SELECT printf('%0100d', i) AS s FROM n ORDER BY 1 DESC";
    assert!(patiently(&[sorted], records).unwrap_err().contains("out of memory"));
    assert_eq!(through(&["SELECT x FROM batch"], records).unwrap(), ["x=1"], "what was taken is given back");
}
