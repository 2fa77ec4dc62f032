//! See `checks/http_answer.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::http_answer::check(data));
