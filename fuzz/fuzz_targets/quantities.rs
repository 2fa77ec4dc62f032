//! See `checks/quantities.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::quantities::check(data));
