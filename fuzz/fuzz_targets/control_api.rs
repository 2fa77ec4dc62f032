//! See `checks/control_api.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::control_api::check(data));
