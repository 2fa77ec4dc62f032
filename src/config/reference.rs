//! The reference of all keys, made from the tables by which files are read.

use super::agents::AGENT_KEYS;
use super::flow_keys::FLOW_KEYS;
use super::key::{Described, described, heading, parts};
use super::keys::KEYS;
use super::pipeline;
use super::program::COMMAND_KEYS;

const HEAD: &str = "\
# Configuration reference

Every key of `heartbeatd.toml` and of flow files. This page is made from the definitions by which the program reads them
(`cargo run --example reference`); a test says if it is stale. `heartbeatd check` tells everything that is wrong, with file, line,
key and what would be right.

Durations are written `\"250ms\"`, `\"5s\"`, `\"1h30m\"`, `\"90d\"`, or as a whole number of seconds; sizes `\"64 KiB\"`, or as a
whole number of bytes. Relative paths are relative to the file that they stand in.

## heartbeatd.toml

Each key has an environment variable that overrides it: `HEARTBEATD_` and its path in capitals, with two underscores between table
and key, as `HEARTBEATD_LIMITS__BODY=65536`; lists are separated by commas there. `[[agents]]` can only stand in the file.
";

const FLOWS: &str = "
## Flow files

`flows/NAME.toml` is a flow. It has `[command]`, or the tables of a pipeline: `[source]`, any number of `[[transform]]`, and
`[sink]`; see [pipelines.md](pipelines.md) and [schedules.md](schedules.md).
";

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    write_tables(&mut page, None, &described(KEYS));
    write_tables(&mut page, None, &described(AGENT_KEYS));
    page.push_str(FLOWS);
    write_tables(&mut page, None, &described(FLOW_KEYS));
    write_tables(&mut page, None, &described(COMMAND_KEYS));
    for (kind, keys) in pipeline::described_tables() {
        write_tables(&mut page, kind, &keys);
    }
    page
}

/// A heading and a table for each run of keys of the same table.
fn write_tables(page: &mut String, kind: Option<&str>, keys: &[Described]) {
    for keys in keys.chunk_by(|one, other| parts(one.path).0 == parts(other.path).0) {
        let table = keys.first().map_or("", |key| parts(key.path).0);
        let name =
            if table.is_empty() { "The top level".to_owned() } else { format!("`{}`", heading(table)) };
        let kind = kind.map(|kind| format!(", `type = \"{kind}\"`")).unwrap_or_default();
        page.push_str(&format!(
            "\n### {name}{kind}\n\n| key | value | default | |\n| --- | --- | --- | --- |\n"
        ));
        for key in keys {
            let cells = [&key.right, &key.default, key.doc].map(|text| text.replace('|', "\\|"));
            page.push_str(&format!("| `{}` | {} |\n", parts(key.path).1, cells.join(" | ")));
        }
    }
}
