//! The command line of heartbeatd.
fn main() {}
