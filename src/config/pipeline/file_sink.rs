//! `[sink]` of the type `file`.

use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::Kind;
use crate::flow::{FileSink, Format, SinkSettings};
use std::path::PathBuf;

pub(super) const CONNECTOR: Connector<SinkSettings> =
    Connector { name: "file", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SinkSettings> {
    let mut file = FileSink { path: PathBuf::new(), format: Format::default(), rotate: None };
    judge.read_table(KEYS, "sink", node, &mut file).then_some(SinkSettings::File(file))
}

static KEYS: &[Key<FileSink>] = &[
    Key {
        path: "sink.type",
        kind: Kind::Word { set: |_, _| {}, words: &["file"] },
        presence: Presence::Required(r#""file""#),
        doc: "Where records go. \"file\": a file that only this flow writes.",
    },
    Key {
        path: "sink.path",
        kind: Kind::Own {
            read: |value, base, sink| {
                values::file(value, base).map(|path| sink.path = path).map_err(|wrong| vec![wrong])
            },
            right: "the path of a file",
        },
        presence: Presence::Required(r#""/var/lib/upload/readings.jsonl""#),
        doc: "The file; records are appended.",
    },
    Key {
        path: "sink.format",
        kind: Kind::Word {
            set: |sink, word| sink.format = if word == "csv" { Format::Csv } else { Format::Jsonl },
            words: &["jsonl", "csv"],
        },
        presence: Presence::Default(r#""jsonl""#),
        doc: "\"jsonl\": a line with a JSON object for each record; \"csv\": a row, below one of names.",
    },
    Key {
        path: "sink.rotate",
        kind: Kind::Own {
            read: |value, _, sink| values::rotation(value).map(|rotation| sink.rotate = Some(rotation)),
            right: "a table of size, age and keep",
        },
        presence: Presence::Optional(r#"{ size = "10 MiB", age = "1d", keep = 7 }"#),
        doc: "When the file is put aside and a new one begun: before it would outgrow size, or when it is older than age; \
              keep is how many are kept.",
    },
];
