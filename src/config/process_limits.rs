//! `limits` of a command: what its process may use.

use std::time::Duration;

use super::document::Raw;
use super::kind::{Wrong, collected, duration, integer, size, whole_seconds, within};
use super::size::format_size;
use crate::flow::ProcessLimits;
use crate::limits;

pub(super) fn process_limits(value: &Raw) -> Result<ProcessLimits, Vec<Wrong>> {
    let Raw::Table(table) = value else {
        return Err(vec![format!("{} is not a table", value.described()).into()]);
    };
    let mut limits = ProcessLimits::default();
    let read: Result<Vec<()>, _> = collected(table.iter().map(|(key, node)| {
        let read = process_limit(key, &node.value, &mut limits);
        read.map_err(|wrong| Wrong { line: node.line, message: format!("{key}: {}", wrong.message), ..wrong })
    }));
    read.map(|_| limits)
}

fn process_limit(key: &str, value: &Raw, into: &mut ProcessLimits) -> Result<(), Wrong> {
    let count = |min: usize, max: usize| -> Result<Option<u64>, Wrong> {
        let number = integer(value).and_then(|number| within(number, min, max, |v| v.to_string()))?;
        Ok(u64::try_from(number).ok())
    };
    match key {
        "memory" => {
            let (min, max) = (limits::PROCESS_MEMORY_BYTES_MIN, usize::MAX / 2);
            let bytes = size(value).and_then(|bytes| within(bytes, min, max, format_size))?;
            into.memory_bytes = u64::try_from(bytes).ok();
        }
        "processes" => into.processes = count(1, 1 << 22)?,
        "files" => into.files = count(limits::PROCESS_FILES_MIN, 1 << 20)?,
        "cpu" => {
            let time = duration(value, Duration::from_secs(1), limits::RUN_INTERVAL_MAX)?;
            into.cpu_s = Some(whole_seconds(time)?);
        }
        _ => {
            let help = "remove it; known here: memory, processes, files, cpu".to_owned();
            return Err(Wrong::with_help("is not a limit that is known".to_owned(), help));
        }
    }
    Ok(())
}
