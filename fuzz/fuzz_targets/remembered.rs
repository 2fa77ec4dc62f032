//! See `checks/remembered.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::remembered::check(data));
