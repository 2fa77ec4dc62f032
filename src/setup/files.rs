//! Files read whole, up to a bound, and never waited for.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

use super::users::help_of_denial;
use crate::config::{Fault, format_size};
use crate::limits;

/// Set by systemd: the folder of the unit's credentials, which nobody but the unit's user and root can look into.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Reads a file that only its owner may read: a secret or token.
///
/// What was read is zeroed when it is dropped, and no copy of it stays behind.
///
/// # Errors
/// If it is missing, not a regular file, empty, larger than [`limits::SECRET_FILE_BYTES_MAX`], not UTF-8, or if
/// others may read or change it.
pub fn read_private_file(path: &Path) -> Result<Zeroizing<String>, Fault> {
    let missing = "correct the path, or make it: `heartbeatd init` makes the box's own secret, \
                   `(umask 077; openssl rand -hex 32 > FILE)` a token or a text";
    let text = read_private(path, missing)?;
    if text.trim().is_empty() {
        let help = "put the secret in it; `heartbeatd init` makes one";
        return Err(Fault::of_file(path, "the file is empty", help));
    }
    Ok(text)
}

/// The same, but it may be empty; `missing` is the help if it does not exist.
pub(super) fn read_private(path: &Path, missing: &str) -> Result<Zeroizing<String>, Fault> {
    let (file, metadata) = open(path, missing)?;
    let credentials = std::env::var_os(CREDENTIALS_DIRECTORY);
    if metadata.permissions().mode() & bits_of_others(path, credentials.as_deref()) != 0 {
        let mode = metadata.permissions().mode() & 0o777;
        let message = format!("others than its owner have access to it (mode {mode:04o})");
        return Err(Fault::of_file(path, message, format!("chmod 600 {}", path.display())));
    }
    // One allocation of the greatest size, so that no smaller one is left behind with a part of a secret in it.
    let buffer = Vec::with_capacity(limits::SECRET_FILE_BYTES_MAX + 64);
    let bytes = read(path, file, limits::SECRET_FILE_BYTES_MAX, buffer)?;
    utf8(path, bytes)
}

/// The bits of a mode (inode(7)) that let others at a private file.
///
/// A credential is owned by root, with an access list that lets one user read it, where the file system has such lists
/// (systemd.exec(5), `LoadCredential=`): what stands in the place of the group's bits then is that list's mask (acl(5)).
fn bits_of_others(path: &Path, credentials: Option<&OsStr>) -> u32 {
    let is_credential = credentials.is_some_and(|folder| path.parent() == Some(Path::new(folder)));
    if is_credential { 0o037 } else { 0o077 }
}

/// Reads a text file of at most `bytes_max`; `missing` is the help if it does not exist.
pub(super) fn read_text(path: &Path, bytes_max: usize, missing: &str) -> Result<String, Fault> {
    let (file, metadata) = open(path, missing)?;
    let bytes = read(path, file, bytes_max, buffer_for(&metadata, bytes_max))?;
    utf8(path, bytes).map(|mut text| std::mem::take(&mut *text))
}

/// Reads a file of at most `bytes_max`; none if it cannot be read whole.
pub(super) fn read_bytes(path: &Path, bytes_max: usize) -> Option<Vec<u8>> {
    let (file, metadata) = open(path, "").ok()?;
    read(path, file, bytes_max, buffer_for(&metadata, bytes_max))
        .ok()
        .map(|mut bytes| std::mem::take(&mut *bytes))
}

fn open(path: &Path, missing: &str) -> Result<(File, Metadata), Fault> {
    // Without O_NONBLOCK opening a FIFO waits for a writer.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
    let file = opened.map_err(|error| cannot_read(path, &error, missing))?;
    let metadata = file.metadata().map_err(|error| cannot_read(path, &error, missing))?;
    if metadata.is_file() {
        return Ok((file, metadata));
    }
    let what = if metadata.is_dir() { "a folder" } else { "not a regular file" };
    Err(Fault::of_file(path, format!("is {what}"), "name a regular file"))
}

/// What an error of the operating system says of `path`.
pub(super) fn cannot_read(path: &Path, error: &io::Error, missing: &str) -> Fault {
    let help = match error.kind() {
        io::ErrorKind::NotFound => return Fault::of_file(path, "does not exist", missing),
        io::ErrorKind::PermissionDenied => help_of_denial(path),
        _ => "see that the path is right and its disk readable".to_owned(),
    };
    Fault::of_file(path, format!("cannot be read: {error}"), help)
}

/// As large as the file, and no larger: a large allocation, once freed, makes malloc(3) keep more memory for good
/// (`M_MMAP_THRESHOLD` in mallopt(3)).
fn buffer_for(metadata: &Metadata, bytes_max: usize) -> Vec<u8> {
    Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(bytes_max).min(bytes_max) + 1)
}

fn read(path: &Path, file: File, bytes_max: usize, buffer: Vec<u8>) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let mut bytes = Zeroizing::new(buffer);
    let take = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = file.take(take).read_to_end(&mut bytes);
    read.map_err(|error| cannot_read(path, &error, "see that the path is right"))?;
    if bytes.len() > bytes_max {
        let message = format!("the file is larger than {}", format_size(bytes_max));
        return Err(Fault::of_file(path, message, "is it the right file?"));
    }
    Ok(bytes)
}

fn utf8(path: &Path, mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, Fault> {
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        let (good, mut bytes) = (error.utf8_error().valid_up_to(), error.into_bytes());
        let line = 1 + bytes.iter().take(good).filter(|byte| **byte == b'\n').count();
        bytes.zeroize();
        let help = "save it as UTF-8, or is it the right file?";
        Fault { line: Some(line), ..Fault::of_file(path, "is not UTF-8 text", help) }
    })
}
