//! Whatever bytes a file of JSON lines holds, and wherever its writer had got to when it was looked at, it yields the
//! same.

use heartbeat_runtime::flow::Format;

use super::growing;

/// The target.
pub fn check(data: &[u8]) {
    growing::check(data, Format::Jsonl);
}
