//! The standard input of a child: a file in memory that holds all of it.
//!
//! Not a pipe: when the daemon dies in the middle of writing to one, the child reads an end where there is none, and takes a
//! part of a batch for the whole.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Seek, Write};

/// A file with this text, to be read from its start; nobody can change it any more.
pub(super) fn of(text: &[u8]) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems want it said that nobody is to run it (vm.memfd_noexec); before Linux 6.3 that cannot be said.
    let made = match memfd_create("stdin", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create("stdin", flags),
        made => made,
    };
    let mut file = File::from(made?);
    file.write_all(text)?;
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}
