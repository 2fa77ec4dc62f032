//! `[source]` of the type `sqlite`.

use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Place, Presence};
use crate::config::kind::Kind;
use crate::flow::{SourceSettings, SqliteSource};
use std::path::PathBuf;

pub(super) const CONNECTOR: Connector<SourceSettings> =
    Connector { name: "sqlite", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SourceSettings> {
    let mut sqlite =
        SqliteSource { database: PathBuf::new(), table: None, query: None, cursor: String::new() };
    let is_right = judge.read_table(KEYS, "source", node, &mut sqlite);
    let (table, query) = (judge.place("source.table"), judge.place("source.query"));
    let is_one = match (table, query) {
        (Some(_), Some(place)) => {
            let help = "a source is one of the two: remove one of them";
            judge.fault(place, "source.query", "stands beside table", help);
            false
        }
        (None, None) if !judge.is_broken() => {
            let help = "give table = \"reading\" or query = \"SELECT …\" under [source]";
            judge.fault(Place::Line(node.line), "source.table", "is missing, and query is too", help);
            false
        }
        _ => true,
    };
    (is_right && is_one).then_some(SourceSettings::Sqlite(sqlite))
}

static KEYS: &[Key<SqliteSource>] = &[
    Key {
        path: "source.type",
        kind: Kind::Word { set: |_, _| {}, words: &["sqlite"] },
        presence: Presence::Required(r#""sqlite""#),
        doc: "Where records come from. \"sqlite\": rows of a database that others write.",
    },
    Key {
        path: "source.database",
        kind: Kind::Path(|source, path| source.database = path),
        presence: Presence::Required(r#""/var/lib/sensors/sensors.db""#),
        doc: "The database's file.",
    },
    Key {
        path: "source.table",
        kind: Kind::Own {
            read: |value, _, source| values::name_into(value, |name| source.table = Some(name)),
            right: "the name of a table or view",
        },
        presence: Presence::Optional(r#""reading""#),
        doc: "The table whose rows are the records.",
    },
    Key {
        path: "source.query",
        kind: Kind::Own {
            read: |value, _, source| values::sql_into(value, |sql| source.query = Some(sql)),
            right: "a SELECT",
        },
        presence: Presence::Optional(r#""SELECT id, sensor, value FROM reading WHERE value IS NOT NULL""#),
        doc: "In place of table: a SELECT whose rows are the records.",
    },
    Key {
        path: "source.cursor",
        kind: Kind::Own {
            read: |value, _, source| values::name_into(value, |name| source.cursor = name),
            right: "the name of a column",
        },
        presence: Presence::Required(r#""id""#),
        doc: "A column that only grows: rows are taken in its order, and later runs take those beyond the last.",
    },
];
