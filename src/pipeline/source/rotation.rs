//! Which files are to be read, in which order: those that were left unfinished wherever they are now, then those that
//! came between, then those that stand under the path.

use glob::{MatchOptions, Pattern};
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::names::{is_compressed, is_rotated, name_of};
use super::position::{Entry, Position};
use super::search::visible;
use crate::flow::{FileSource, From};
use crate::limits;
use crate::pipeline::files::{Files, OpenFile, Stat};
use crate::pipeline::{Failure, Result};
use crate::sorted::sort_by;

/// A file that has left its pattern, and was not written for so long, is taken to be whole.
const QUIET_MS: i128 = 5 * 60 * 1000;

/// A file that is open from one step to the next, so that it is read on whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) file: Box<dyn OpenFile>,
    pub(super) stat: Stat,
}

/// A file to read.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    /// Whether nobody goes on writing it, so that its last line is whole without a line break.
    pub(super) is_final: bool,
    /// Whether it may be forgotten once it was read: it has no name any more, and another has its place.
    pub(super) is_over: bool,
}

/// What there is to do.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    /// Whether nothing stands under the path.
    pub(super) is_missing: bool,
}

/// A file where it is now.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) stat: Stat,
    pub(super) is_nameless: bool,
}

/// The file that was read last.
pub(super) enum Last {
    Here(Found),
    /// It is no more; when it was last written, if that is known.
    Gone(Option<i64>),
}

/// Looks at the folder.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    pub(super) settings: &'a FileSource,
    pub(super) pattern: Option<&'a Pattern>,
    pub(super) files: &'a dyn Files,
    pub(super) kept: Option<&'a Kept>,
    pub(super) warnings: &'a mut Vec<String>,
    /// Whether the position says something else now.
    pub(super) is_changed: &'a mut bool,
    /// The folder's files, once they were asked for.
    pub(super) neighbours: OnceCell<Vec<Found>>,
}

/// A failure to read.
pub(super) fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    Failure::source(format!("cannot read {}: {error}", path.display()))
}

/// What is missing is none.
pub(super) fn present<V>(path: &Path, result: io::Result<V>) -> Result<Option<V>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

impl Planner<'_> {
    /// Brings the position to what the folder holds, and says what is to be read.
    pub(super) fn plan(&mut self, is_first: bool, position: &mut Position) -> Result<Plan> {
        let living = self.living()?;
        if is_first && self.settings.from == From::End {
            for found in &living {
                self.begin_at_end(found, position)?;
            }
            *self.is_changed = true;
        }
        let (mut left, last) = self.resolve_all(position, &living)?;
        self.make_room(position, &mut left, &living)?;
        let is_living = |found: &Found| living.iter().any(|other| is_same(&other.stat, &found.stat));
        let left: Vec<Found> = left.into_iter().filter(|found| !is_living(found)).collect();
        let between = match &last {
            _ if self.pattern.is_some() => Vec::new(),
            Some(Last::Here(found)) if is_living(found) => Vec::new(),
            Some(Last::Here(found)) => self.between(&living, position, |other| age(other) > age(found))?,
            Some(Last::Gone(Some(since))) => {
                self.between(&living, position, |other| other.stat.modified_ns >= i128::from(*since))?
            }
            Some(Last::Gone(None)) => {
                let last = left.last();
                self.between(&living, position, |other| last.is_none_or(|last| age(other) > age(last)))?
            }
            None => Vec::new(),
        };
        let is_written = living.iter().any(|found| found.stat.length > 0);
        if is_written || !between.is_empty() {
            self.tell_losses(position, &living);
        }
        let written: HashSet<&Path> =
            living.iter().filter(|found| found.stat.length > 0).map(|found| found.path.as_path()).collect();
        let mut tasks = Vec::new();
        for found in left {
            let entry = position.find(&found.stat).and_then(|index| position.files.get(index));
            let is_followed = match self.pattern {
                Some(_) => entry.is_some_and(|entry| written.contains(Path::new(entry.origin()))),
                None => is_written || !between.is_empty(),
            };
            if found.stat.length > entry.map_or(0, |entry| entry.offset) {
                let is_final = is_followed || (self.pattern.is_some() && self.is_quiet(&found));
                tasks.push(Task { is_over: found.is_nameless && is_followed, ..task(found, is_final) });
            } else if found.is_nameless && is_followed {
                position.forget(&found.stat);
                *self.is_changed = true;
            }
        }
        let between_count = between.len();
        for (index, found) in between.into_iter().enumerate() {
            tasks.push(task(found, is_written || index + 1 < between_count));
        }
        let is_missing = living.is_empty();
        let unfinished = living.into_iter().filter(|found| found.stat.length > position.offset(&found.stat));
        tasks.extend(unfinished.map(|found| task(found, false)));
        Ok(Plan { tasks, is_missing })
    }

    /// Whether it has not been written for so long that nobody completes its last line any more: what has left a
    /// pattern, to a name that nobody uses again, is followed by none.
    fn is_quiet(&self, found: &Found) -> bool {
        let modified_ms = found.stat.modified_ns / 1_000_000;
        i128::from(self.files.wall_ms()).saturating_sub(modified_ms) >= QUIET_MS
    }

    fn begin_at_end(&self, found: &Found, position: &mut Position) -> Result<()> {
        let Some(file) = present(&found.path, self.files.open(&found.path))? else { return Ok(()) };
        let stat = file.stat().map_err(|error| cannot_read(&found.path, &error))?;
        let mut entry = Entry::new(&found.path.to_string_lossy(), &stat);
        entry.begin_at_end(&*file, self.files).map_err(|error| cannot_read(&found.path, &error))?;
        position.put_last(entry);
        Ok(())
    }

    /// Forgets, the oldest first, what is too much: files that left their path and were read to their end. One that has
    /// more to read, or still stands there, would be read anew if it were forgotten.
    fn make_room(&mut self, position: &mut Position, left: &mut Vec<Found>, living: &[Found]) -> Result<()> {
        let mut surplus = position.files.len().saturating_sub(limits::SOURCE_FILES_MAX);
        if surplus == 0 {
            return Ok(());
        }
        let living: HashSet<_> = living.iter().map(|found| number(&found.stat)).collect();
        let lengths: HashMap<_, _> =
            left.iter().map(|found| (number(&found.stat), found.stat.length)).collect();
        let mut unread = 0;
        let mut forgotten = HashSet::new();
        position.files.retain(|entry| {
            let number = (entry.device, entry.inode);
            if living.contains(&number) {
                return true;
            }
            let is_unread = lengths.get(&number).is_some_and(|length| *length > entry.offset);
            unread += usize::from(is_unread);
            let is_surplus = !is_unread && surplus > 0;
            if is_surplus {
                surplus -= 1;
                forgotten.insert(number);
            }
            !is_surplus
        });
        left.retain(|found| !forgotten.contains(&number(&found.stat)));
        *self.is_changed |= !forgotten.is_empty();
        if unread > limits::SOURCE_FILES_MAX {
            let most = limits::SOURCE_FILES_MAX;
            let path = self.settings.path.display();
            return Err(Failure::source(format!(
                "{unread} files left {path} before they were read to their end; at most {most} would be right"
            )));
        }
        Ok(())
    }

    /// What stands under the path now.
    fn living(&self) -> Result<Vec<Found>> {
        let path = &self.settings.path;
        let Some(pattern) = self.pattern else {
            let stat = present(path, self.files.stat(path))?;
            let found = stat.map(|stat| Found { path: path.clone(), stat, is_nameless: false });
            return Ok(found.into_iter().collect());
        };
        let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::new() };
        let mut living =
            self.list(|name| !is_compressed(name) && pattern.matches_with(name, options), present)?;
        if living.len() > limits::SOURCE_FILES_MAX {
            return Err(Failure::source(format!(
                "{} matches {} files; at most {} would be right",
                path.display(),
                living.len(),
                limits::SOURCE_FILES_MAX
            )));
        }
        sort_by(&mut living, |one, other| {
            (one.stat.modified_ns, &one.path).cmp(&(other.stat.modified_ns, &other.path))
        });
        Ok(living)
    }

    /// Files that were under the path after the last one that was read, and are no more.
    fn between(
        &self,
        living: &[Found],
        position: &Position,
        is_after: impl Fn(&Found) -> bool,
    ) -> Result<Vec<Found>> {
        let live_name = name_of(&self.settings.path);
        let mut between = self.neighbours()?.to_vec();
        between.retain(|found| {
            let name = name_of(&found.path);
            found.stat.length > 0
                && is_rotated(name, live_name)
                && !is_compressed(name)
                && position.find(&found.stat).is_none()
                && !living.iter().any(|other| is_same(&other.stat, &found.stat))
                && is_after(found)
        });
        sort_by(&mut between, |one, other| age(one).cmp(&age(other)));
        Ok(between)
    }

    /// Every file of the folder.
    pub(super) fn neighbours(&self) -> Result<&[Found]> {
        match self.neighbours.get() {
            Some(found) => Ok(found),
            None => {
                let found = self.list(|_| true, visible)?;
                Ok(self.neighbours.get_or_init(|| found))
            }
        }
    }

    /// Files of the folder whose name is wanted; one that is no text never is.
    fn list(
        &self,
        is_wanted: impl Fn(&str) -> bool,
        look: impl Fn(&Path, io::Result<Stat>) -> Result<Option<Stat>>,
    ) -> Result<Vec<Found>> {
        let folder = self.settings.path.parent().unwrap_or(Path::new("/"));
        let paths = present(folder, self.files.list(folder))?.unwrap_or_default();
        let wanted = paths.into_iter().filter(|path| path.to_str().is_some() && is_wanted(name_of(path)));
        let found = wanted.filter_map(|path| {
            let stat = look(&path, self.files.stat(&path)).transpose()?;
            Some(stat.map(|stat| Found { path, stat, is_nameless: false }))
        });
        found.collect()
    }
}

/// What a file is known by to the system.
pub(super) const fn number(stat: &Stat) -> (u64, u64) {
    (stat.device, stat.inode)
}

pub(super) const fn is_same(one: &Stat, other: &Stat) -> bool {
    one.device == other.device && one.inode == other.inode
}

fn task(found: Found, is_final: bool) -> Task {
    Task { path: found.path, stat: found.stat, is_final, is_over: false }
}

/// The order in which files were written: of two with the same time, `x.2` was before `x.1`.
pub(super) fn age(found: &Found) -> (i128, Reverse<u32>, &Path) {
    let suffix =
        found.path.extension().and_then(|extension| extension.to_str()).filter(|text| text.len() <= 3);
    let number = suffix.and_then(|text| text.parse().ok()).unwrap_or_default();
    (found.stat.modified_ns, Reverse(number), &found.path)
}
