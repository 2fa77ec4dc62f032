//! See `checks/chunked.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::chunked::check(data));
