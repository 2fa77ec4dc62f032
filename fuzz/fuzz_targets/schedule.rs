//! See `checks/schedule.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::schedule::check(data));
