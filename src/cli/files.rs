//! Files that commands write: whole or not at all, and never over something that is to be kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::failure::Failure;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It was not there.
    Create,
    /// It is what would have been written.
    Identical,
    /// It is something else, and is kept.
    Skip,
    /// It was something else.
    Force,
}

impl Written {
    /// The word that is printed.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Identical => "identical",
            Self::Skip => "skip",
            Self::Force => "force",
        }
    }
}

/// Writes `text` to `path`. A file that says something else is kept, unless `force`.
pub(super) fn write_text(path: &Path, text: &str, force: bool) -> Result<Written, Failure> {
    let failed = |error: &io::Error| Failure::io("write the file", path, error);
    let there = match fs::read(path) {
        Ok(bytes) if bytes == text.as_bytes() => return Ok(Written::Identical),
        Ok(_) if !force => return Ok(Written::Skip),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(&error)),
    };
    replace(path, text).map_err(|error| failed(&error))?;
    Ok(if there { Written::Force } else { Written::Create })
}

/// Writes `text` to `path`, whatever is there, by way of a temporary file beside it: nobody ever sees half of it.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    let written = fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| {
        let _best_effort = fs::remove_file(&temporary);
    })
}

/// Writes a new file that only its owner may read. One that is there is kept, whatever it holds.
pub(super) fn write_private(path: &Path, text: &str) -> Result<Written, Failure> {
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Written::Skip),
        Err(error) => return Err(Failure::io("write the file", path, &error)),
    };
    // A secret that was written by half would be kept for good by the next call.
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map(|()| Written::Create).map_err(|error| {
        let _best_effort = fs::remove_file(path);
        Failure::io("write the file", path, &error)
    })
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io("make the folder", path, &error))
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    PathBuf::from(name)
}
