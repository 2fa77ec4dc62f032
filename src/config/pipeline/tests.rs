//! Pipelines as their authors write them: what they become, and each fault with its line, its key and its help.

mod http;
mod http_sink;
mod system;

use serde_json::json;
use std::path::Path;

use super::*;
use crate::config::{FlowContext, parse_flow};
use crate::flow::{Definition, FlowKind, Kinds, RunContext, Work};
use crate::time::Zones;

/// The kind as it finds a fault of the key that the statement of the last transform names, if it names one.
struct Judging;

impl FlowKind for Judging {
    fn name(&self) -> &'static str {
        Pipeline::KIND
    }
    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        let sql = settings["transforms"].as_array().and_then(|all| all.last()?["sql"].as_str());
        match sql.and_then(|sql| sql.strip_prefix("wrong ")) {
            Some(key) => {
                Err(KindFault { key: Some(key.to_owned()), ..KindFault::from("no\nsuch".to_owned()) })
            }
            None => Ok(()),
        }
    }
    fn launch(&self, _: &serde_json::Value, _: &RunContext<'_>) -> Result<Work, String> {
        Err("never".to_owned())
    }
}

fn read_with(kinds: &Kinds, text: &str) -> Result<Definition, crate::config::Faults> {
    let zones = Zones::utc_only();
    let context = FlowContext { kinds, zones: &zones, working_directory: Path::new("/box") };
    parse_flow(text, Path::new("/box/flows/upload.toml"), &context)
}

fn settings(text: &str) -> serde_json::Value {
    let definition = read_with(&Kinds::default(), text).unwrap();
    assert_eq!(definition.configuration.kind, "pipeline");
    let settings = definition.configuration.settings;
    let pipeline: Pipeline = serde_json::from_value(settings.clone()).unwrap();
    assert_eq!(serde_json::to_value(pipeline).unwrap(), settings, "it reads back");
    settings
}

type Found = (usize, String, String, String);

/// Line, key, message and help of each fault.
fn faults_with(kinds: &Kinds, text: &str) -> Vec<Found> {
    let faults = read_with(kinds, text).unwrap_err();
    let parts = faults.into_iter().map(|fault| {
        assert!(!fault.help.is_empty() && !fault.help.contains('\n') && !fault.message.contains('\n'));
        (fault.line.unwrap_or(0), fault.key.unwrap_or_default(), fault.message, fault.help)
    });
    parts.collect()
}

fn faults(text: &str) -> Vec<Found> {
    faults_with(&Kinds::default(), text)
}

fn found(line: usize, key: &str, message: &str, help: &str) -> Found {
    (line, key.to_owned(), message.to_owned(), help.to_owned())
}

/// A pipeline, its source on the lines 2 to 4 and its sink on 5 to 8, and what follows from line 9 on.
fn with(rest: &str) -> String {
    format!(
        "run_interval = 60\n[source]\ntype = 'file'\npath = 'in.jsonl'\n[sink]\ntype = 'sqlite'\n\
         database = 'out.db'\ntable = 'reading'\n{rest}"
    )
}

/// The same with a source of another kind, from line 2 on, and the sink at its end.
fn from(source: &str) -> String {
    format!("run_interval = 60\n{source}\n[sink]\ntype = 'sqlite'\ndatabase = 'out.db'\ntable = 'reading'\n")
}

/// With another sink, from line 5 on.
fn into(sink: &str) -> String {
    format!("run_interval = 60\n[source]\ntype = 'file'\npath = 'in.jsonl'\n{sink}\n")
}

const WHOLE: &str = r#"
name = "upload-readings"
run_interval = "15m"
transform_time_max = "2s"
[source]
type = "file"
path = "/var/log/readings.jsonl"
format = "jsonl"
[[transform]]
sql = "SELECT sensor, value * 1.8 + 32 AS value FROM batch WHERE value > -40"
attach = { ref = "sensors.db" }
[schema]
on_reject = "dead-letter/readings.jsonl"
fields = { sensor = "text", value = { type = "real", required = true } }
[sink]
type = "sqlite"
database = "readings.db"
table = "reading"
mode = "upsert"
key = ["sensor"]
[batch]
records = 10
bytes = "2 MiB"
run_bytes = "8 MiB"
whole = true
[[test]]
input = [{ sensor = "a", value = 1 }, { sensor = 2026-11-23, value = 1.5 }]
expect = []
now = 2026-11-23T10:30:00Z
"#;

#[test]
fn a_whole_pipeline_becomes_its_settings() {
    let expected = json!({
        "source": {
            "type": "file", "path": "/var/log/readings.jsonl", "format": "jsonl", "from": "start", "missing": "wait",
        },
        "transforms": [{
            "sql": "SELECT sensor, value * 1.8 + 32 AS value FROM batch WHERE value > -40",
            "attach": { "ref": "/box/flows/sensors.db" },
        }],
        "fields": {
            "sensor": { "type": "text", "required": false },
            "value": { "type": "real", "required": true },
        },
        "on_reject": "/box/flows/dead-letter/readings.jsonl",
        "sink": {
            "type": "sqlite", "database": "/box/flows/readings.db", "table": "reading", "mode": "upsert",
            "key": ["sensor"], "create": false,
        },
        "batch": { "records": 10, "bytes": 2_097_152, "run_bytes": 8_388_608, "whole": true },
        "transform_time_max_ms": 2000,
        "tests": [{
            "input": [{ "sensor": "a", "value": 1 }, { "sensor": "2026-11-23", "value": 1.5 }],
            "expect": [],
            "now": "2026-11-23T10:30:00Z",
        }],
    });
    assert_eq!(settings(WHOLE), expected);
}

#[test]
fn a_short_pipeline_takes_the_defaults() {
    let expected = json!({
        "source": {
            "type": "file", "path": "/box/flows/in.jsonl", "format": "jsonl", "from": "start", "missing": "wait",
        },
        "on_reject": "/box/dead-letter/upload.jsonl",
        "sink": {
            "type": "sqlite", "database": "/box/flows/out.db", "table": "reading", "mode": "insert", "create": false,
        },
        "batch": { "records": 1000, "bytes": 1_048_576, "run_bytes": 8_388_608, "whole": false },
        "transform_time_max_ms": 250,
    });
    assert_eq!(settings(&with("")), expected);
}

#[test]
fn the_other_source_and_the_other_sink_are_read_whole() {
    let text = "run_interval = 60\n[source]\ntype = 'sqlite'\ndatabase = '/d/in.db'\nquery = 'SELECT 1 AS id'\n\
                cursor = 'id'\n[sink]\ntype = 'file'\npath = '../out.csv'\nformat = 'csv'\n\
                rotate = { size = '10 MiB', age = '1d' }\n";
    let settings = settings(text);
    let source =
        json!({ "type": "sqlite", "database": "/d/in.db", "query": "SELECT 1 AS id", "cursor": "id" });
    let sink = json!({
        "type": "file", "path": "/box/flows/../out.csv", "format": "csv",
        "rotate": { "size_bytes": 10_485_760, "age_s": 86_400, "keep": 7 },
    });
    assert_eq!((&settings["source"], &settings["sink"]), (&source, &sink));
    let words =
        "[source]\ntype = 'file'\npath = 'logs/a-*.[ct]sv'\nformat = 'lines'\nfrom = 'end'\nmissing = 'fail'";
    let expected = json!({
        "type": "file", "path": "/box/flows/logs/a-*.[ct]sv", "format": "lines", "from": "end", "missing": "fail",
    });
    assert_eq!(self::settings(&from(words))["source"], expected);
}

#[test]
fn fields_of_every_type_take_a_default_of_their_own() {
    let text = with(
        "[schema.fields]\na = { type = 'text', default = '' }\nb = { type = 'integer', default = -1 }\n\
         c = { type = 'real', default = 0 }\nd = { type = 'boolean', default = false }\n\
         e = { type = 'timestamp', default = 2026-11-23T10:30:00Z }\nf = { type = 'json', default = [1, {}] }\n\
         g = 'json'\n",
    );
    let expected = json!({
        "a": { "type": "text", "required": false, "default": "" },
        "b": { "type": "integer", "required": false, "default": -1 },
        "c": { "type": "real", "required": false, "default": 0 },
        "d": { "type": "boolean", "required": false, "default": false },
        "e": { "type": "timestamp", "required": false, "default": "2026-11-23T10:30:00Z" },
        "f": { "type": "json", "required": false, "default": [1, {}] },
        "g": { "type": "json", "required": false },
    });
    assert_eq!(settings(&text)["fields"], expected);
    for (kind, wrong) in [
        ("text", "1"),
        ("integer", "1.0"),
        ("integer", "'1'"),
        ("integer", "9223372036854775808"),
        ("real", "'1'"),
        ("real", "inf"),
        ("boolean", "1"),
        ("timestamp", "'yesterday'"),
        ("timestamp", "2026-11-23"),
        ("json", "nan"),
    ] {
        let text = with(&format!("[schema]\nfields = {{ x = {{ type = '{kind}', default = {wrong} }} }}\n"));
        let found = faults(&text);
        let keys: Vec<_> = found.iter().map(|(line, key, ..)| (*line, key.as_str())).collect();
        assert_eq!(keys, [(10, "schema.fields.x.default")], "{kind} {wrong}");
    }
}

#[test]
fn a_pipeline_has_two_ends_and_is_no_command() {
    let start = "run_interval = 60\n";
    let sink = "[sink] and below it type = \"sqlite\", database = \"readings.db\" and table = \"reading\"";
    let source = "[source] and below it type = \"file\" and path = \"/var/log/readings.jsonl\"";
    assert_eq!(
        faults(&format!("{start}[source]\ntype = 'file'\npath = 'a'\n")),
        [found(2, "source", "has no [sink] to give its records to", &format!("add {sink}"))]
    );
    assert_eq!(
        faults(&format!("{start}\n[sink]\ntype = 'file'\npath = 'a'\n")),
        [found(3, "sink", "has no [source] to take records from", &format!("add {source}"))]
    );
    assert_eq!(
        faults(&format!("{start}[batch]\nwhole = true\n")),
        [found(
            2,
            "batch",
            "is of a pipeline, and there is neither [source] nor [sink]",
            &format!("add {source}, and {sink}")
        )]
    );
    let one =
        "a flow does one thing: keep [command], or the tables of the pipeline, [source], [sink] and so on";
    assert_eq!(
        faults(&with("[command]\nargv = ['date']\n")),
        [found(2, "source", "stands beside [command]", one)]
    );
    let limit = "run_interval = 1\ntransform_time_max = 1\ncommand.argv = ['date']";
    assert_eq!(faults(limit), [found(2, "transform_time_max", "stands beside [command]", one)]);
    let pipeline = "run_interval = 1\n[pipeline]\nsource = 1\n[command]\nargv = ['date']";
    assert_eq!(faults(pipeline).iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [2]);
}

#[test]
fn a_type_that_is_none_is_told_with_those_there_are() {
    let there_is = "there is file, sqlite, exec, system, http";
    assert_eq!(
        faults(&from("[source]\ntype = 'kafka'\nurl = 'x'")),
        [found(3, "source.type", "`kafka` is not a source that is known", there_is)]
    );
    assert_eq!(
        faults(&into("[sink]\ntype = 'sqlit'")),
        [found(
            6,
            "sink.type",
            "`sqlit` is not a sink that is known",
            "did you mean \"sqlite\"? there is file, sqlite, exec, http"
        )]
    );
    let help = "give type = \"file\" under [source]; there is file, sqlite, exec, system, http";
    assert_eq!(faults(&from("[source]\npath = 'x'")), [found(2, "source.type", "is missing", help)]);
    let table = "write [source] on a line of its own, and its keys below";
    assert_eq!(
        faults(&from("source = 'x.jsonl'")),
        [found(2, "source", "the text `x.jsonl` is not a table", table)]
    );
}

#[test]
fn faults_of_sources_stand_where_they_are() {
    let path =
        "give the path of a file, or a pattern, such as path = \"/var/log/readings.jsonl\" under [source]";
    let folder = "name one folder; only the part behind the last / may be a pattern, as in \
                  path = \"/var/log/readings-*.jsonl\"";
    let one = "a source is one of the two: remove one of them";
    let query = "give table = \"reading\" or query = \"SELECT …\" under [source]";
    let format = "give one of \"jsonl\", \"csv\", \"lines\", such as format = \"jsonl\" under [source]";
    let table = "give the name of a table or view, such as table = \"reading\" under [source]";
    let cursor = "give the name of a column, such as cursor = \"id\" under [source]";
    let known = "remove it; known here: type, database, table, query, cursor";
    for (source, expected) in [
        ("type = 'file'", found(2, "source.path", "is missing", path)),
        ("type = 'file'\npath = 'logs/'", found(4, "source.path", "`logs/` is a folder, not a file", path)),
        (
            "type = 'file'\npath = 'a*/x'",
            found(4, "source.path", "the folder `a*` holds one of * ? [", folder),
        ),
        (
            "type = 'file'\npath = 'x'\nformat = 'xml'",
            found(5, "source.format", "the text `xml` is not one of the words", format),
        ),
        (
            "type = 'file'\npath = 'x'\nmisssing = 'fail'",
            found(5, "source.misssing", "is not a key that is known here", "did you mean `missing`?"),
        ),
        (
            "type = 'file'\npath = 'x'\nmode = 'upsert'",
            found(5, "source.mode", "is not a key that is known here", "`mode` belongs under [sink]"),
        ),
        (
            "type = 'sqlite'\ndatabase = 'x'\ncursor = 'id'\ntable = 'a'\nquery = 'SELECT 1'",
            found(7, "source.query", "stands beside table", one),
        ),
        (
            "type = 'sqlite'\ndatabase = 'x'\ncursor = 'id'",
            found(2, "source.table", "is missing, and query is too", query),
        ),
        (
            "type = 'sqlite'\ndatabase = 'x'\ncursor = 'id'\ntable = ' '",
            found(6, "source.table", "the name is empty", table),
        ),
        ("type = 'sqlite'\ndatabase = 'x'\ntable = 'a'", found(2, "source.cursor", "is missing", cursor)),
        (
            "type = 'sqlite'\ndatabase = 'x'\ncursor = 'id'\ntable = 'a'\nmissing = 'fail'",
            found(7, "source.missing", "is not a key that is known here", known),
        ),
    ] {
        assert_eq!(faults(&from(&format!("[source]\n{source}"))), [expected]);
    }
}

#[test]
fn faults_of_sinks_stand_where_they_are() {
    let key = "name the columns that tell records apart, such as key = [\"sensor\"] under [sink]";
    let rotate = "say when a new file is begun, such as rotate = { size = \"10 MiB\" }";
    let rotate_table = "give a table of size, age and keep, such as rotate = { size = \"10 MiB\", age = \"1d\", \
                        keep = 7 } under [sink]";
    let format = "give one of \"jsonl\", \"csv\", such as format = \"jsonl\" under [sink]";
    let own =
        "give them a file of their own, such as on_reject = \"dead-letter/readings.jsonl\" under [schema]";
    let sqlite = "type = 'sqlite'\ndatabase = 'x'\ntable = 'a'";
    let file = "type = 'file'\npath = 'x'";
    for (sink, expected) in [
        (
            format!("{sqlite}\nmode = 'upsert'"),
            found(9, "sink.mode", "is \"upsert\", and there is no key to find the other record by", key),
        ),
        (
            format!("{sqlite}\nkey = []"),
            found(9, "sink.key", "is an empty list", key.trim_end_matches(" under [sink]")),
        ),
        (
            format!("{sqlite}\nkey = ['a', 'A']"),
            found(9, "sink.key", "`A` stands there twice", "remove one of the two"),
        ),
        (
            format!("{file}\nformat = 'lines'"),
            found(8, "sink.format", "the text `lines` is not one of the words", format),
        ),
        (
            format!("{file}\nrotate = {{ keep = 3 }}"),
            found(8, "sink.rotate", "has neither size nor age", rotate),
        ),
        (
            format!("{file}\nrotate = {{ sise = 3 }}"),
            found(8, "sink.rotate.sise", "is not a key that is known here", "did you mean `size`?"),
        ),
        (
            format!("{file}\n[sink.rotate]\nage = '1d'\nkeep = 0"),
            found(10, "sink.rotate.keep", "0 is too little: at least 1", rotate_table),
        ),
        (
            "type = 'file'\npath = './in.jsonl'".to_owned(),
            found(7, "sink.path", "is a file that the source reads", "give the sink a file of its own"),
        ),
        (
            "type = 'file'\npath = '/box/dead-letter/upload.jsonl'".to_owned(),
            found(5, "sink", "the file for rejected records is also the sink's", own),
        ),
    ] {
        assert_eq!(faults(&into(&format!("[sink]\n{sink}"))), [expected]);
    }
    let same = "run_interval = 1\n[source]\ntype = 'sqlite'\ndatabase = 'x'\ntable = 'a'\ncursor = 'id'\n\
                [sink]\ntype = 'sqlite'\ndatabase = 'x'\ntable = ";
    let own = "give the sink a table of its own";
    assert_eq!(
        faults(&format!("{same}'A'")),
        [found(10, "sink.table", "is the table that the source reads", own)]
    );
    settings(&format!("{same}'b'"));
}

#[test]
fn a_sink_may_not_write_what_its_source_reads() {
    let keys = |pattern: &str| {
        let text = format!(
            "run_interval = 1\n[source]\ntype = 'file'\npath = '{pattern}'\n[sink]\ntype = 'file'\npath = 'out.jsonl'\n\
             [schema]\non_reject = 'bad.jsonl'\n"
        );
        let faults = read_with(&Kinds::default(), &text).err();
        faults.into_iter().flatten().filter_map(|fault| fault.key).collect::<Vec<_>>()
    };
    for both in ["*.jsonl", "./*", "*.*l", "???.jsonl*"] {
        assert!(keys(both).contains(&"sink.path".to_owned()), "{both}");
    }
    assert_eq!(keys("b*.json?"), ["schema.on_reject"]);
    for neither in ["a*.jsonl", "*.json", "*.jsonl?", "../*", "[io]n.jsonl", "????.jsonl"] {
        assert_eq!(keys(neither), [""; 0], "{neither}");
    }
}

#[test]
fn faults_of_the_parts_between_name_the_item_and_its_line() {
    let select = "give a SELECT over batch, such as sql = \"SELECT sensor, value * 1.8 + 32 AS value FROM batch WHERE \
                  value > -40\" under [[transform]]";
    let name = "give it another name, such as attach = { ref = \"sensors.db\" }";
    let word = "give a name of letters, digits and _, such as attach = { ref = \"sensors.db\" }";
    let types = "give one of \"text\", \"integer\", \"real\", \"boolean\", \"timestamp\", \"json\"";
    let records =
        "give a list of records, such as expect = [{ sensor = \"door\", value = 68.0 }] under [[test]]";
    let two = "[[transform]]\nsql = 'SELECT 1'\n\n[[transform]]\n";
    for (rest, expected) in [
        (two.to_owned(), found(12, "transform[2].sql", "is missing", select)),
        (
            format!("{two}# what it does\nsql = ''"),
            found(14, "transform[2].sql", "the statement is empty", select),
        ),
        (
            format!("{two}sql = 'x'\nsqll = ''"),
            found(14, "transform[2].sqll", "is not a key that is known here", "did you mean `sql`?"),
        ),
        (
            format!("{two}sql = 'x'\nattach = {{ Temp = 'x' }}"),
            found(14, "transform[2].attach.Temp", "is a name that is taken", name),
        ),
        (
            format!("{two}sql = 'x'\nattach = {{ 'a-b' = 'x' }}"),
            found(14, "transform[2].attach.a-b", "is not a name that SQL takes without quotes", word),
        ),
        (
            format!("{two}sql = 'x'\n[transform.attach]\nref = 'x'\n\nREF = 'y'"),
            found(
                17,
                "transform[2].attach.REF",
                "is there twice: SQL takes no note of capitals",
                "give each database a name of its own",
            ),
        ),
        (
            "[transform]\nsql = 'x'".to_owned(),
            found(
                9,
                "transform",
                "a table is not a list of tables",
                "write [[transform]] on a line of its own, with two brackets, and its keys below",
            ),
        ),
        (
            "[[transforms]]\nsql = 'x'".to_owned(),
            found(9, "transforms", "is not a key that is known here", "did you mean [[transform]]?"),
        ),
        (
            "[schema]\nfields = { a = 'text', b = 'float' }".to_owned(),
            found(10, "schema.fields.b", "`float` is not a type that is known", types),
        ),
        (
            "[schema.fields]\na = 'text'\nb = { required = true }".to_owned(),
            found(11, "schema.fields.b.type", "is missing", types),
        ),
        (
            "[schema.fields]\nb = { type = 'real', required = true, default = 0 }".to_owned(),
            found(
                10,
                "schema.fields.b.default",
                "stands beside required = true",
                "keep one of the two: a field with a default is never missing",
            ),
        ),
        (
            "[batch]\nrecords = 0".to_owned(),
            found(
                10,
                "batch.records",
                "0 is too little: at least 1",
                "give a whole number from 1 to 100000, such as records = 1000 under [batch]",
            ),
        ),
        (
            "[[test]]\ninput = []\nexpect = [1]".to_owned(),
            found(11, "test[1].expect", "the number 1 is not a record", records),
        ),
        ("[[test]]\ninput = []".to_owned(), found(9, "test[1].expect", "is missing", records)),
        (
            "[[test]]\ninput = []\nexpect = []\nnow = 2026-11-23".to_owned(),
            found(
                12,
                "test[1].now",
                "`2026-11-23` is not a time with its zone",
                "give a time as RFC 3339 writes it, such as now = \"2026-11-23T10:30:00Z\" under [[test]]",
            ),
        ),
    ] {
        assert_eq!(faults(&with(&rest)), [expected], "{rest}");
    }
}

#[test]
fn faults_of_every_part_come_at_once() {
    let text = "run_interval = 60\n[source]\ntype = 'file'\n[[transform]]\nattach = 1\n[[transform]]\nsql = 1\n[schema]\n\
                fields = { a = 'x', b = 5 }\n[sink]\ntype = 'mqtt'\n[batch]\nwhole = 1\n[[test]]\nnow = 1\n";
    let lines: Vec<_> = faults(text).into_iter().map(|(line, key, ..)| format!("{line} {key}")).collect();
    let expected = [
        "2 source.path",
        "4 transform[1].sql",
        "5 transform[1].attach",
        "7 transform[2].sql",
        "9 schema.fields.a",
        "9 schema.fields.b",
        "11 sink.type",
        "13 batch.whole",
        "14 test[1].input",
        "14 test[1].expect",
        "15 test[1].now",
    ];
    let sorted = |mut all: Vec<String>| {
        all.sort();
        all
    };
    assert_eq!(sorted(lines), sorted(expected.map(str::to_owned).to_vec()));
}

#[test]
fn what_is_missing_below_a_broken_line_is_not_missed() {
    let found = faults("run_interval = 60\n[source]\nwhat is this\n");
    assert_eq!(found.iter().map(|(line, key, ..)| (*line, key.as_str())).collect::<Vec<_>>(), [(3, "")]);
}

#[test]
fn what_the_kind_finds_stands_at_the_line_of_its_key() {
    let mut kinds = Kinds::default();
    kinds.register(Box::new(Judging));
    let of = |key: &str| {
        let text = with(&format!("[[transform]]\nsql = 'x'\n[[transform]]\nsql = 'wrong {key}'\n"));
        let all = faults_with(&kinds, &text);
        all.into_iter().map(|(line, key, message, _)| format!("{line} {key} {message}")).collect::<Vec<_>>()
    };
    assert_eq!(of("transform.2.sql"), ["12 transform[2].sql no\\nsuch"]);
    assert_eq!(of("transform.1.attach.ref"), ["9 transform[1].attach.ref no\\nsuch"]);
    assert_eq!(of("sink.table"), ["8 sink.table no\\nsuch"]);
    assert_eq!(of("sink.mode"), ["5 sink.mode no\\nsuch"]);
    assert_eq!(of("elsewhere"), ["0 elsewhere no\\nsuch"]);
    assert!(read_with(&kinds, WHOLE).is_ok());
}

#[test]
fn more_than_there_may_be_is_refused() {
    let many = "[[transform]]\nsql = 'x'\n".repeat(limits::TRANSFORMS_MAX + 1);
    let long = format!("[[transform]]\nsql = '{}'\n", "x".repeat(limits::TRANSFORM_SQL_BYTES_MAX + 1));
    let fields: String =
        (0..=limits::RECORD_FIELDS_MAX).map(|number| format!("f{number} = 'text'\n")).collect();
    let attached: Vec<String> = (0..=limits::ATTACHED_MAX).map(|number| format!("d{number} = 'x'")).collect();
    for (rest, key) in [
        (many, "transform"),
        (long, "transform[1].sql"),
        (format!("[schema.fields]\n{fields}"), "schema.fields"),
        (
            format!("[[transform]]\nsql = 'x'\nattach = {{ {} }}\n", attached.join(", ")),
            "transform[1].attach",
        ),
        ("[batch]\nbytes = '17 MiB'".to_owned(), "batch.bytes"),
        ("[batch]\nrun_bytes = '65 MiB'".to_owned(), "batch.run_bytes"),
    ] {
        let found = faults(&with(&rest));
        assert_eq!(found.iter().map(|(_, key, ..)| key.as_str()).collect::<Vec<_>>(), [key]);
    }
    assert_eq!(faults(&with("").replace("60", "60\ntransform_time_max = '11s'"))[0].1, "transform_time_max");
}

#[test]
fn a_new_pipeline_is_valid_as_it_stands() {
    let name = FlowName::new("upload_readings").unwrap();
    let text = pipeline_example(&name);
    let settings = settings(&text);
    assert_eq!(settings["source"]["path"], "/box/flows/../upload_readings.jsonl");
    assert_eq!(settings["sink"]["create"], true);
    assert_eq!(settings["transforms"].as_array().map(Vec::len), Some(1));
    assert_eq!(settings["tests"].as_array().map(Vec::len), Some(1));
    assert!(paths().into_iter().all(|path| {
        let key = path.rsplit('.').next().unwrap_or_default();
        path.starts_with("source.") || path.starts_with("sink.") || text.contains(&format!("{key} = "))
    }));
}
