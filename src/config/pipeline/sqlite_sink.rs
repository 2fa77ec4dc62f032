//! `[sink]` of the type `sqlite`.

use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::Kind;
use crate::flow::{Mode, SinkSettings, SqliteSink};
use std::path::PathBuf;

pub(super) const CONNECTOR: Connector<SinkSettings> =
    Connector { name: "sqlite", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SinkSettings> {
    let mut sqlite = SqliteSink {
        database: PathBuf::new(),
        table: String::new(),
        mode: Mode::default(),
        key: Vec::new(),
        create: false,
    };
    let mut is_right = judge.read_table(KEYS, "sink", node, &mut sqlite);
    if sqlite.mode == Mode::Upsert && judge.place("sink.key").is_none() && !judge.is_broken() {
        let help = "name the columns that tell records apart, such as key = [\"sensor\"] under [sink]";
        judge.fault_of("sink.mode", "is \"upsert\", and there is no key to find the other record by", help);
        is_right = false;
    }
    is_right.then_some(SinkSettings::Sqlite(sqlite))
}

pub(super) static KEYS: &[Key<SqliteSink>] = &[
    Key {
        path: "sink.type",
        kind: Kind::Word { set: |_, _| {}, words: &["sqlite"] },
        presence: Presence::Required(r#""sqlite""#),
        doc: "Where records go. \"sqlite\": a table of a database.",
    },
    Key {
        path: "sink.database",
        kind: Kind::Path(|sink, path| sink.database = path),
        presence: Presence::Required(r#""readings.db""#),
        doc: "The database's file.",
    },
    Key {
        path: "sink.table",
        kind: Kind::Own {
            read: |value, _, sink| values::name_into(value, |name| sink.table = name),
            right: "the name of a table",
        },
        presence: Presence::Required(r#""reading""#),
        doc: "The table.",
    },
    Key {
        path: "sink.mode",
        kind: Kind::Word {
            set: |sink, word| {
                sink.mode = match word {
                    "ignore" => Mode::Ignore,
                    "upsert" => Mode::Upsert,
                    _ => Mode::Insert,
                };
            },
            words: &["insert", "ignore", "upsert"],
        },
        presence: Presence::Default(r#""insert""#),
        doc: "What becomes of a record whose key is there: \"insert\" rejects it, \"ignore\" skips it, \"upsert\" puts it in \
              the other's place.",
    },
    Key {
        path: "sink.key",
        kind: Kind::Own {
            read: |value, _, sink| values::columns(value).map(|columns| sink.key = columns),
            right: "a list of columns",
        },
        presence: Presence::Optional(r#"["sensor"]"#),
        doc: "The columns that tell records apart; \"upsert\" needs them.",
    },
    Key {
        path: "sink.create",
        kind: Kind::Boolean(|sink, create| sink.create = create),
        presence: Presence::Default("false"),
        doc: "Whether a missing table is made, with the types of [schema].",
    },
];
