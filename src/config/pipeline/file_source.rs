//! `[source]` of the type `file`.

use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::Kind;
use crate::flow::{FileSource, Format, From, Missing, SourceSettings};
use std::path::PathBuf;

pub(super) const CONNECTOR: Connector<SourceSettings> =
    Connector { name: "file", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SourceSettings> {
    let mut file = FileSource {
        path: PathBuf::new(),
        format: Format::default(),
        from: From::default(),
        missing: Missing::default(),
    };
    judge.read_table(KEYS, "source", node, &mut file).then_some(SourceSettings::File(file))
}

pub(super) static KEYS: &[Key<FileSource>] = &[
    Key {
        path: "source.type",
        kind: Kind::Word { set: |_, _| {}, words: &["file"] },
        presence: Presence::Required(r#""file""#),
        doc: "Where records come from. \"file\": files that others append to.",
    },
    Key {
        path: "source.path",
        kind: Kind::Own {
            read: |value, base, source| {
                values::pattern(value, base).map(|path| source.path = path).map_err(|wrong| vec![wrong])
            },
            right: "the path of a file, or a pattern",
        },
        presence: Presence::Required(r#""/var/log/readings.jsonl""#),
        doc: "The file. Its name, not its folder's, may be a pattern with *, ? and [...].",
    },
    Key {
        path: "source.format",
        kind: Kind::Word {
            set: |source, word| {
                source.format = match word {
                    "csv" => Format::Csv,
                    "lines" => Format::Lines,
                    _ => Format::Jsonl,
                };
            },
            words: &["jsonl", "csv", "lines"],
        },
        presence: Presence::Default(r#""jsonl""#),
        doc: "What a record is. \"jsonl\": a line with a JSON object; \"csv\": a row, below one of names; \"lines\": a line, \
              as the field line.",
    },
    Key {
        path: "source.from",
        kind: Kind::Word {
            set: |source, word| source.from = if word == "end" { From::End } else { From::Start },
            words: &["start", "end"],
        },
        presence: Presence::Default(r#""start""#),
        doc: "Where a file begins that was never read: at its first byte, or at the end that it has by then.",
    },
    Key {
        path: "source.missing",
        kind: Kind::Word {
            set: |source, word| source.missing = if word == "fail" { Missing::Fail } else { Missing::Wait },
            words: &["wait", "fail"],
        },
        presence: Presence::Default(r#""wait""#),
        doc: "What a missing file means: that there is nothing yet, or that the run fails.",
    },
];
