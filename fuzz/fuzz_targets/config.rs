//! Holds the place of a target.
#![no_main]

libfuzzer_sys::fuzz_target!(|_data: &[u8]| {});
