//! See `checks/agents.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::agents::check(data));
