//! See `checks/runtime_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::runtime_ops::check(data));
