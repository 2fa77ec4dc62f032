//! See `checks/flow_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::flow_file::check(data));
