//! See `checks/allowlist.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::allowlist::check(data));
