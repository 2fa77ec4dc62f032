//! Leaves the tables for unwinding out of a release: a panic ends it (`panic = "abort"`) and its frames have no names
//! (`strip`), so nobody would read what is a fourteenth of the binary. Cargo's profiles cannot say so; a linker's script can.
//!
//! With debug information (`CARGO_PROFILE_RELEASE_DEBUG=1`) they stay, for debuggers and profilers.

use std::env::var;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let is = |name: &str, value: &str| var(name).is_ok_and(|set| set == value);
    let mut cargo = io::stdout().lock();
    writeln!(cargo, "cargo::rerun-if-changed=unwind.ld")?;
    let is_known = is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu");
    if is_known && is("PROFILE", "release") && is("DEBUG", "false") {
        let folder = var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
        writeln!(cargo, "cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr")?;
        writeln!(cargo, "cargo::rustc-link-arg-bins=-T{folder}/unwind.ld")?;
    }
    Ok(())
}
