//! See `checks/json_lines.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::json_lines::check(data));
