//! See `checks/http_written.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::http_written::check(data));
