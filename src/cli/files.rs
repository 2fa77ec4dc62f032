//! Files that commands write: whole or not at all, and never over something that is to be kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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
    // What a link names is written, and the link stays.
    let target = if there { fs::canonicalize(path) } else { leads_somewhere(path).map(|()| path.to_owned()) };
    target.and_then(|target| replace(&target, text)).map_err(|error| failed(&error))?;
    Ok(if there { Written::Force } else { Written::Create })
}

/// Writes `text` to `path`, whatever is there, by way of a temporary file beside it: nobody ever sees half of it. Who may
/// read the file that was there may read the new one, and nobody else.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let temporary = beside(path);
    let _left_by_a_process_of_this_number = fs::remove_file(&temporary);
    let written = write_new(&temporary, text, path).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| {
        let _best_effort = fs::remove_file(&temporary);
    })
}

fn write_new(path: &Path, text: &str, like: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    if let Ok(metadata) = fs::metadata(like) {
        file.set_permissions(metadata.permissions())?;
        // Only root can give a file away; to anybody else it belongs already, as a rule.
        let _best_effort = std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    }
    file.write_all(text.as_bytes())?;
    // A rename that a power cut overtakes must not leave an empty file.
    file.sync_all()
}

/// Writes a new file that only its owner may read. One that is there is kept, whatever it holds; one that holds nothing
/// was begun by a call that a power cut ended.
pub(super) fn write_private(path: &Path, text: &str) -> Result<Written, Failure> {
    let failed = |error: &io::Error| Failure::io("write the file", path, error);
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let mut file = match there(path).map_err(|error| failed(&error))? {
        There::Something => return Ok(Written::Skip),
        There::Nothing => options.create_new(true).open(path),
        There::Empty => options.open(path),
    }
    .map_err(|error| failed(&error))?;
    let private = file.set_permissions(fs::Permissions::from_mode(0o600));
    // A secret that was written by half would be kept for good by the next call.
    let written = private.and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
    written.map(|()| Written::Create).map_err(|error| {
        let _best_effort = fs::remove_file(path);
        failed(&error)
    })
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    /// A file that was begun.
    Empty,
    Something,
}

/// What is at `path`, where a file is wanted.
///
/// # Errors
/// It is a folder, or a link that leads nowhere.
pub(super) fn there(path: &Path) -> io::Result<There> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if metadata.is_file() && metadata.len() == 0 => Ok(There::Empty),
        Ok(_) => Ok(There::Something),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            leads_somewhere(path).map(|()| There::Nothing)
        }
        Err(error) => Err(error),
    }
}

/// Refuses a link in whose place a file would be made, while nothing is where it leads.
fn leads_somewhere(path: &Path) -> io::Result<()> {
    match fs::read_link(path) {
        Ok(target) => {
            let why = format!("it is a link to {}, which does not exist", target.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, why))
        }
        Err(_) => Ok(()),
    }
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
