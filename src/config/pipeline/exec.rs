//! `[source]` and `[sink]` of the type `exec`.

use super::{Connector, described, paths_of};
use crate::config::program::{SINK_KEYS, SOURCE_KEYS, program};
use crate::flow::{SinkSettings, SourceSettings};

pub(super) const SOURCE: Connector<SourceSettings> = Connector {
    name: "exec",
    read: |node, judge| program(SOURCE_KEYS, "source", node, judge).map(SourceSettings::Exec),
    paths: || paths_of(SOURCE_KEYS),
    described: || described(SOURCE_KEYS),
};

pub(super) const SINK: Connector<SinkSettings> = Connector {
    name: "exec",
    read: |node, judge| program(SINK_KEYS, "sink", node, judge).map(SinkSettings::Exec),
    paths: || paths_of(SINK_KEYS),
    described: || described(SINK_KEYS),
};
