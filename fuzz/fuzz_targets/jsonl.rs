//! Whatever bytes a file of JSON lines holds, and wherever its writer had got to when it was looked at, it yields the
//! same.
#![no_main]

#[path = "../growing.rs"]
mod growing;

use heartbeat_runtime::flow::Format;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| growing::check(data, Format::Jsonl));
