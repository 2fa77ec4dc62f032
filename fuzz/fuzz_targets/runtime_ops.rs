//! See `checks/runtime_ops.rs`.
#![no_main]

#[path = "../checks/runtime_ops.rs"]
mod runtime_ops;

libfuzzer_sys::fuzz_target!(|data: &[u8]| runtime_ops::check(data));
