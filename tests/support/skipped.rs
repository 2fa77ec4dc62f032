//! A test that shows nothing on this machine says so.

use std::io::Write as _;

/// Tells that the running test shows nothing: not by a macro, since what those print is shown only of tests that fail.
pub(crate) fn tell_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _nobody_reads_it = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
