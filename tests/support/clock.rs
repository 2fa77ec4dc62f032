//! Another wall clock for the daemon: libfaketime (Debian's package `faketime`), preloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::tell_skipped;

/// Where distributions keep libraries; some have a folder for each architecture in between.
const LIBRARY_FOLDERS: [&str; 4] = ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib"];

/// A library that can set a process's clock.
pub(crate) struct FakeClock {
    library: PathBuf,
}

impl FakeClock {
    /// None where the library is not installed, which is told.
    pub(crate) fn find() -> Option<Self> {
        let library = LIBRARY_FOLDERS.iter().find_map(|folder| library_in(Path::new(folder)));
        if library.is_none() {
            tell_skipped("for want of libfaketime (apt-get install faketime)");
        }
        library.map(|library| Self { library })
    }

    /// Starts the command's wall clock at `time`, as faketime(1) writes it: `@1990-01-01 00:00:00`, or `-2h` from now.
    /// It goes on from there; the monotonic clock is the system's.
    pub(crate) fn set(&self, command: &mut Command, time: &str) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", time);
        leave_monotonic(command);
    }

    /// The same by a file that may change while the command runs.
    pub(crate) fn follow(&self, command: &mut Command, file: &Path) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", file);
        command.env("FAKETIME_NO_CACHE", "1");
        leave_monotonic(command);
    }
}

fn leave_monotonic(command: &mut Command) {
    // The older name of the setting as well.
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let library =
        |folder: &Path| Some(folder.join("faketime/libfaketime.so.1")).filter(|path| path.is_file());
    let of_architectures = || fs::read_dir(folder).ok()?.flatten().find_map(|entry| library(&entry.path()));
    library(folder).or_else(of_architectures)
}
