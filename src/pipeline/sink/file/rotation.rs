//! Putting a file aside: the names that it gets, what a crash leaves of it, and which are deleted.

use std::io;
use std::path::{Path, PathBuf};

use crate::pipeline::append::{self, AppendFile, cannot, folder_of, stat_if_any};
use crate::pipeline::files::Files;
use crate::pipeline::{Failure, Result};
use crate::sorted::sort_by;
use crate::time::Wall;

/// Opens the file that the next batch goes to, after a batch was announced that was to put this one aside as `to`.
///
/// # Errors
/// It cannot be written, or others have changed what the names stand for.
pub(super) fn recover(
    path: &Path,
    committed: &append::Words,
    to: &Path,
    files: &dyn Files,
) -> Result<AppendFile> {
    let at_path = stat_if_any(path, files)?;
    if at_path.is_some_and(|stat| committed.are_of(stat)) {
        // Not renamed, so nothing was appended to it.
        return AppendFile::open(path, Some(&append::Words { announced: 0, ..*committed }), files);
    }
    let is_renamed = stat_if_any(to, files)?.is_some_and(|stat| committed.are_of(stat));
    let ours_max = if is_renamed { committed.announced } else { 0 };
    let length = at_path.map_or(0, |stat| stat.length);
    if length > ours_max {
        return Err(Failure::sink(format!(
            "{} has {length} bytes, where at most {ours_max} of a new file are right, after one of {} bytes was put \
             aside as {}: put the files back, or accept it as it is with `heartbeatd flow cursor NAME --set …`",
            path.display(),
            committed.length,
            to.display()
        )));
    }
    // The name may not be durable yet: after a power cut the old file would stand where the new one is announced.
    let folder = folder_of(path);
    files.sync_folder(folder).map_err(|error| cannot("make durable", folder, &error))?;
    let mut file = AppendFile::open_as_it_is(path, files)?;
    if file.words().length > 0 {
        file.cut(0)?;
    }
    Ok(file)
}

/// Renames a file and begins a new one in its place.
///
/// # Errors
/// It may be renamed or not; or others were faster, and nothing is.
pub(super) fn put_aside(file: AppendFile, path: &Path, to: &Path, files: &dyn Files) -> Result<AppendFile> {
    if !file.has_its_name(files)? || stat_if_any(to, files)?.is_some() {
        return Err(Failure::sink(format!(
            "another program has put {} aside, or made {}: the batch comes again",
            path.display(),
            to.display()
        )));
    }
    files.rename(path, to).map_err(|error| cannot("rename", path, &error))?;
    let folder = folder_of(path);
    files.sync_folder(folder).map_err(|error| cannot("make durable", folder, &error))?;
    drop(file);
    let new = AppendFile::open_as_it_is(path, files)?;
    if new.words().length > 0 {
        return Err(Failure::sink(format!(
            "another program writes to {}: a file belongs to one flow",
            path.display()
        )));
    }
    Ok(new)
}

/// A name with the time in it that is not taken.
///
/// # Errors
/// The folder cannot be looked at.
pub(super) fn free_name(path: &Path, files: &dyn Files) -> Result<PathBuf> {
    let second = Wall::from_seconds(Wall::from_millis(files.wall_ms()).as_seconds());
    let stamp = second.rfc3339().replace(['-', ':'], "");
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{stamp}"));
    let mut free = PathBuf::from(&name);
    let mut number = 0_u32;
    while stat_if_any(&free, files)?.is_some() {
        number += 1;
        let mut numbered = name.clone();
        numbered.push(format!("-{number}"));
        free = PathBuf::from(numbered);
    }
    Ok(free)
}

/// Deletes the oldest that were put aside, but for so many, and for the one that a recovery may still look for.
///
/// # Errors
/// One cannot be deleted.
pub(super) fn prune(path: &Path, keep: u64, spare: Option<&Path>, files: &dyn Files) -> Result<()> {
    let folder = folder_of(path);
    let names = match files.list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot("read", folder, &error)),
    };
    let mut aside: Vec<((String, u32), PathBuf)> =
        names.into_iter().filter_map(|name| Some((age_of(path, &name)?, name))).collect();
    sort_by(&mut aside, Ord::cmp);
    let surplus = aside.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    for (_, name) in aside.into_iter().take(surplus).filter(|(_, name)| Some(name.as_path()) != spare) {
        match files.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot("delete", &name, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What tells which was put aside first; none if it is not one of ours.
fn age_of(path: &Path, name: &Path) -> Option<(String, u32)> {
    let rest = name.file_name()?.to_str()?.strip_prefix(path.file_name()?.to_str()?)?.strip_prefix('.')?;
    let (stamp, number) = match rest.split_once('-') {
        Some((stamp, number)) => (stamp, number.parse().ok().filter(|number| *number > 0)?),
        None => (rest, 0),
    };
    let is_stamp = stamp.len() == "20261125T223000Z".len()
        && stamp.bytes().enumerate().all(|(index, byte)| match index {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    is_stamp.then(|| (stamp.to_owned(), number))
}
