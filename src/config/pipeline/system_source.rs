//! `[source]` of the type `system`.

use super::values;
use super::{Connector, described, paths_of};
use crate::config::document::Node;
use crate::config::key::{Judge, Key, Presence};
use crate::config::kind::Kind;
use crate::flow::{SourceSettings, SystemSource};

pub(super) const CONNECTOR: Connector<SourceSettings> =
    Connector { name: "system", read, paths: || paths_of(KEYS), described: || described(KEYS) };

fn read(node: &Node, judge: &mut Judge<'_>) -> Option<SourceSettings> {
    let mut system = SystemSource::default();
    judge.read_table(KEYS, "source", node, &mut system).then_some(SourceSettings::System(system))
}

static KEYS: &[Key<SystemSource>] = &[
    Key {
        path: "source.type",
        kind: Kind::Word { set: |_, _| {}, words: &["system"] },
        presence: Presence::Required(r#""system""#),
        doc: "Where records come from. \"system\": the machine itself, of which each run yields one record.",
    },
    Key {
        path: "source.metrics",
        kind: Kind::Own {
            read: |value, _, source| values::metrics(value).map(|metrics| source.metrics = metrics),
            right: "a list of metrics",
        },
        presence: Presence::Default(r#"["load", "memory", "disk", "temperature", "uptime", "network"]"#),
        doc: "What is looked at; what the machine has not yields no field.",
    },
    Key {
        path: "source.disk",
        kind: Kind::Path(|source, path| source.disk = path),
        presence: Presence::Default(r#""/""#),
        doc: "A path on the file system whose space the metric disk tells; give the path of a local one.",
    },
];
