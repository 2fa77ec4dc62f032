//! See `checks/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::config::check(data));
