//! The keys of what stands between source and sink, and beside them.

use super::values;
use crate::config::key::{Key, Presence};
use crate::config::kind::Kind;
use crate::flow::{BatchSettings, Field, Test, Transform};
use crate::limits;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[schema]` as written.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) on_reject: Option<PathBuf>,
    pub(super) fields: BTreeMap<String, Field>,
}

pub(super) static TRANSFORM_KEYS: &[Key<Transform>] = &[
    Key {
        path: "transform[].sql",
        kind: Kind::Own {
            read: |value, _, transform| values::sql_into(value, |sql| transform.sql = sql),
            right: "a SELECT over batch",
        },
        presence: Presence::Required(
            r#""SELECT sensor, value * 1.8 + 32 AS value FROM batch WHERE value > -40""#,
        ),
        doc: "One SELECT over the table batch; its rows are the records from here on. Transforms follow one another.",
    },
    Key {
        path: "transform[].attach",
        kind: Kind::Own {
            read: |value, base, transform| {
                values::attached(value, base).map(|found| transform.attach = found)
            },
            right: "a table of names and databases",
        },
        presence: Presence::Optional(r#"{ ref = "sensors.db" }"#),
        doc: "Databases that it may read, by the name that stands before their tables, as in ref.sensor.",
    },
];

pub(super) static SCHEMA_KEYS: &[Key<Schema>] = &[
    Key {
        path: "schema.on_reject",
        kind: Kind::Own {
            read: |value, base, schema| {
                values::file(value, base)
                    .map(|path| schema.on_reject = Some(path))
                    .map_err(|wrong| vec![wrong])
            },
            right: "the path of a file",
        },
        presence: Presence::Optional(r#""dead-letter/readings.jsonl""#),
        doc: "The file that rejected records go to; by default dead-letter/NAME.jsonl beside heartbeatd.toml.",
    },
    Key {
        path: "schema.fields",
        kind: Kind::Own {
            read: |value, _, schema| values::fields(value).map(|fields| schema.fields = fields),
            right: "a table of fields and their types",
        },
        presence: Presence::Optional(r#"{ sensor = "text", value = { type = "real", required = true } }"#),
        doc: "What the source's records must be like: text, integer, real, boolean, timestamp or json; required rejects a \
              record without the field, default fills it in.",
    },
];

pub(super) static BATCH_KEYS: &[Key<BatchSettings>] = &[
    Key {
        path: "batch.records",
        kind: Kind::Integer {
            set: |batch, records| batch.records = records,
            min: 1,
            max: limits::BATCH_RECORDS_MAX,
        },
        presence: Presence::Default("1000"),
        doc: "Records that are moved at a time, and committed together.",
    },
    Key {
        path: "batch.bytes",
        kind: Kind::Size { set: |batch, bytes| batch.bytes = bytes, min: 1, max: limits::BATCH_BYTES_MAX },
        presence: Presence::Default(r#""1 MiB""#),
        doc: "Their bytes at most; a longer record is moved by itself.",
    },
    Key {
        path: "batch.run_bytes",
        kind: Kind::Size { set: |batch, bytes| batch.run_bytes = bytes, min: 1, max: limits::RUN_BYTES_MAX },
        presence: Presence::Default(r#""8 MiB""#),
        doc: "Bytes of a run that is one batch; past them it fails, having written nothing.",
    },
    Key {
        path: "batch.whole",
        kind: Kind::Boolean(|batch, whole| batch.whole = whole),
        presence: Presence::Default("false"),
        doc: "Whether a run is one batch, so that GROUP BY is over all of it.",
    },
];

pub(super) static TEST_KEYS: &[Key<Test>] = &[
    Key {
        path: "test[].input",
        kind: Kind::Own {
            read: |value, _, test| values::records(value).map(|records| test.input = records),
            right: "a list of records",
        },
        presence: Presence::Required(r#"[{ sensor = "door", value = 20.0 }]"#),
        doc: "Records as the source would yield them.",
    },
    Key {
        path: "test[].expect",
        kind: Kind::Own {
            read: |value, _, test| values::records(value).map(|records| test.expect = records),
            right: "a list of records",
        },
        presence: Presence::Required(r#"[{ sensor = "door", value = 68.0 }]"#),
        doc: "The records that must reach the sink; heartbeatd check says so if they do not.",
    },
    Key {
        path: "test[].now",
        kind: Kind::Own {
            read: |value, _, test| {
                values::time(value).map(|time| test.now = Some(time)).map_err(|wrong| vec![wrong])
            },
            right: "a time as RFC 3339 writes it",
        },
        presence: Presence::Optional(r#""2026-11-23T10:30:00Z""#),
        doc: "The time that the transforms take for now.",
    },
];
