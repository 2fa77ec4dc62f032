//! See `checks/cursor.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::cursor::check(data));
