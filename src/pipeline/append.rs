//! A file that only one flow writes, at its end, and what is committed of it so that a crash leaves no trace.
//!
//! What is to be appended is announced by a commit before. After a crash the file is either as it was committed, or
//! longer by some of what was announced, which is cut off. Anything else is the work of others and stops the flow.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

use super::files::{Files, OpenFile, Stat, ends_a_line, read_up_to};
use super::{Failure, Result};

/// What is committed of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Words {
    /// The device it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its durable length in bytes.
    pub length: u64,
    /// Bytes that may or may not be behind that.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub announced: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's attribute asks for a reference")]
const fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

impl Words {
    /// Of a file as it is.
    pub(super) const fn of(stat: Stat) -> Self {
        Self { device: stat.device, inode: stat.inode, length: stat.length, announced: 0 }
    }

    /// Whether both are about one file, whatever its length.
    pub(super) const fn is_same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }

    /// Whether they are about this file, whatever its length.
    pub(super) const fn are_of(&self, stat: Stat) -> bool {
        self.device == stat.device && self.inode == stat.inode
    }
}

/// An open file that only we write.
#[derive(Debug)]
pub(super) struct AppendFile {
    path: PathBuf,
    handle: Box<dyn OpenFile>,
    words: Words,
    /// Where its name, or a folder's on the way to it, is perhaps not durable yet.
    folders_due: Vec<PathBuf>,
}

impl AppendFile {
    /// Opens it as it was committed; one that was never committed, or that others have put aside, is begun as it is.
    ///
    /// # Errors
    /// It cannot be written, another writer holds it, or it is not what was committed.
    pub(super) fn open(path: &Path, committed: Option<&Words>, files: &dyn Files) -> Result<Self> {
        let Some(committed) = committed else { return Self::open_as_it_is(path, files) };
        let at_path = stat_if_any(path, files)?;
        if at_path.is_some_and(|stat| committed.are_of(stat)) {
            let mut file = Self::open_as_it_is(path, files)?;
            file.mend(committed)?;
            return Ok(file);
        }
        if committed.announced > 0 {
            // Put aside by others: what was half written there is cut off there, and comes again.
            match find(path, committed, files)? {
                Some(aside) => Self::open_as_it_is(&aside, files)?.mend(committed)?,
                // One that was just begun goes with the power, as its name was not durable yet.
                None if committed.length == 0 && at_path.is_none_or(|stat| stat.length == 0) => {}
                None => return Err(lost(path, committed)),
            }
        }
        Self::open_as_it_is(path, files)
    }

    /// Opens it as it is now.
    ///
    /// # Errors
    /// It cannot be written, or another writer holds it.
    pub(super) fn open_as_it_is(path: &Path, files: &dyn Files) -> Result<Self> {
        let mut folders_due = folders_without_name(path, files)?;
        let handle = files.open_to_append(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Failure::sink(format!(
                "{}: another flow or program holds it: a file belongs to one flow",
                path.display()
            )),
            _ => cannot("open", path, &error),
        })?;
        let stat = handle.stat().map_err(|error| cannot("look at", path, &error))?;
        if folders_due.is_empty() {
            // Whoever made it may have died before its name was durable, be it this flow.
            folders_due.push(folder_of(path).to_owned());
        }
        Ok(Self { path: path.to_owned(), handle, words: Words::of(stat), folders_due })
    }

    /// What is true of it: nothing is announced.
    pub(super) const fn words(&self) -> Words {
        self.words
    }

    /// Whether its name still stands for it, and nobody else has written to it.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn is_as_left(&self, files: &dyn Files) -> Result<bool> {
        let stat = stat_if_any(&self.path, files)?;
        Ok(stat.is_some_and(|stat| self.words.are_of(stat) && self.words.length == stat.length))
    }

    /// Whether its name still stands for it.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub(super) fn has_its_name(&self, files: &dyn Files) -> Result<bool> {
        Ok(stat_if_any(&self.path, files)?.is_some_and(|stat| self.words.are_of(stat)))
    }

    /// Whether its last byte ends a line; so does nothing at all.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn ends_a_line(&self) -> Result<bool> {
        let ends = ends_a_line(self.handle.as_ref(), self.words.length);
        ends.map_err(|error| cannot("read", &self.path, &error))
    }

    /// Its first bytes.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn head(&self, bytes_max: usize) -> Result<Vec<u8>> {
        read_up_to(self.handle.as_ref(), 0, bytes_max).map_err(|error| cannot("read", &self.path, &error))
    }

    /// Appends and makes durable, a new name too. If it fails the file must be opened again.
    ///
    /// # Errors
    /// Some of it may be there, and may not be durable.
    pub(super) fn append(&mut self, parts: &[&[u8]], files: &dyn Files) -> Result<()> {
        let mut length = self.words.length;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            self.handle.append(part).map_err(|error| cannot("write", &self.path, &error))?;
            length += part.len() as u64;
        }
        self.sync()?;
        for folder in &self.folders_due {
            files.sync_folder(folder).map_err(|error| cannot("make durable", folder, &error))?;
        }
        self.folders_due.clear();
        self.words.length = length;
        Ok(())
    }

    /// Cuts off what was announced and is not committed.
    fn mend(&mut self, committed: &Words) -> Result<()> {
        let surplus = self.words.length.checked_sub(committed.length);
        match surplus {
            // It may have been cut already, and that not be durable: then the bytes would be back after a power cut.
            Some(0) if committed.announced > 0 => self.sync()?,
            Some(0) => {}
            Some(surplus) if surplus <= committed.announced => self.cut(committed.length)?,
            _ => return Err(strange(&self.path, self.words.length, committed)),
        }
        Ok(())
    }

    /// Cuts it, and makes that durable.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn cut(&mut self, length: u64) -> Result<()> {
        self.handle.cut(length).map_err(|error| cannot("cut", &self.path, &error))?;
        self.sync()?;
        self.words.length = length;
        if length == 0 && self.folders_due.is_empty() {
            // It was begun just before a crash.
            self.folders_due.push(folder_of(&self.path).to_owned());
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.handle.sync().map_err(|error| cannot("make durable", &self.path, &error))
    }
}

/// What the name stands for, if for anything.
///
/// # Errors
/// It cannot be looked at.
pub(super) fn stat_if_any(path: &Path, files: &dyn Files) -> Result<Option<Stat>> {
    match files.stat(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("look at", path, &error)),
    }
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The file of these words in the folder where it was, by whatever name.
fn find(path: &Path, words: &Words, files: &dyn Files) -> Result<Option<PathBuf>> {
    let folder = folder_of(path);
    let names = match files.list(folder) {
        // A folder that was just made goes with the power as well, as its name was not durable yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(|error| cannot("read", folder, &error))?,
    };
    for name in names {
        if stat_if_any(&name, files)?.is_some_and(|stat| words.are_of(stat)) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// The folders whose entries on the way to a file are still to be made; none if it is there.
fn folders_without_name(path: &Path, files: &dyn Files) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let mut name = path;
    while let Some(folder) = name.parent() {
        if stat_if_any(name, files)?.is_some() {
            break;
        }
        folders.push(folder.to_owned());
        name = folder;
    }
    Ok(folders)
}

/// A failure of the system's on a file.
pub(super) fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::sink(format!("cannot {what} {}: {error}", path.display()))
}

fn strange(path: &Path, actual: u64, committed: &Words) -> Failure {
    let announced = match committed.announced {
        0 => String::new(),
        announced => format!(" and at most {announced} more"),
    };
    Failure::sink(format!(
        "{} has {actual} bytes, where {}{announced} were written by this flow: put the file back, or accept it as it is \
         with `heartbeatd flow cursor NAME --set …`",
        path.display(),
        committed.length
    ))
}

fn lost(path: &Path, committed: &Words) -> Failure {
    Failure::sink(format!(
        "{} is another file than the one of {} bytes that {} more were being written to, and that one is not in its \
         folder: put the file back, or accept it as it is with `heartbeatd flow cursor NAME --set …`",
        path.display(),
        committed.length,
        committed.announced
    ))
}
