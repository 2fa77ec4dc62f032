//! What became of the files that were read: each is looked for by its number and by what it held.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::names::{is_rotated, name_of};
use super::position::{Absence, Entry, Position, Standing, has_whole_head};
use super::rotation::{Found, Last, Planner, age, cannot_read, is_same, number, present};
use crate::pipeline::Result;
use crate::pipeline::files::OpenFile;
use crate::sorted::sort_by;

/// What has a file's number now.
enum Sight {
    Same(Found),
    /// The file, without what was written last before a power cut.
    Cut(Found),
    Other,
    Nothing,
}

impl Sight {
    fn ours(&self) -> Option<(u64, u64)> {
        match self {
            Self::Same(found) | Self::Cut(found) => Some(number(&found.stat)),
            Self::Other | Self::Nothing => None,
        }
    }
}

/// What became of a file that was read.
enum Fate {
    Here(Found),
    /// It is in its folder no more.
    Gone,
    /// It was begun anew, or another has its number now.
    Replaced,
}

/// What is missing by now, or not ours to look at, is none. Any other failure is one of the run: a file that counted as
/// gone would be read anew when it can be seen again.
pub(super) fn visible<V>(path: &Path, result: io::Result<V>) -> Result<Option<V>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        result => present(path, result),
    }
}

impl Planner<'_> {
    /// Looks for every file that was read. One that is gone may come back, and would then be read anew if it were
    /// forgotten: it drops out once a newer one of its path was read.
    pub(super) fn resolve_all(
        &mut self,
        position: &mut Position,
        living: &[Found],
    ) -> Result<(Vec<Found>, Option<Last>)> {
        let entries = std::mem::take(&mut position.files);
        let read: HashSet<(u64, u64)> = living.iter().map(|found| number(&found.stat)).collect();
        let count = entries.len();
        let mut seen = Vec::with_capacity(count);
        for (index, entry) in entries.into_iter().enumerate() {
            let sight = self.see(&entry, index + 1 == count)?;
            seen.push((entry, sight));
        }
        let mut ours: HashSet<(u64, u64)> = seen.iter().filter_map(|(_, sight)| sight.ours()).collect();
        let mut resolved = Vec::with_capacity(count);
        // The newest first: of two that a copy fits, it is of the one that holds more of it.
        for (mut entry, sight) in seen.into_iter().rev() {
            let fate = self.resolve(&mut entry, sight, &mut ours)?;
            if let Fate::Here(found) = &fate {
                *self.is_changed |= entry.absence.take().is_some();
                entry.move_to(&found.path, self.pattern.is_none() || read.contains(&number(&found.stat)));
            }
            resolved.push((entry, fate));
        }
        let last = resolved.first().map(|(entry, fate)| match fate {
            Fate::Here(found) => Last::Here(found.clone()),
            Fate::Gone | Fate::Replaced => Last::Gone(entry.modified_ns),
        });
        let mut left = Vec::new();
        // Paths of which a newer file was read.
        let mut newer = HashSet::new();
        for (index, (mut entry, fate)) in resolved.into_iter().enumerate() {
            let is_last = index == 0;
            let is_newest = match self.pattern {
                Some(_) => newer.insert(entry.origin().to_owned()),
                None => is_last,
            };
            if self.is_kept(&mut entry, &fate, is_last, living.is_empty() || is_newest) {
                position.files.push(entry);
            } else {
                *self.is_changed = true;
            }
            if let Fate::Here(found) = fate {
                left.push(found);
            }
        }
        position.files.reverse();
        left.reverse();
        Ok((left, last))
    }

    /// Whether a file stays known; `may_return` says that nothing stands in the way of its coming back.
    fn is_kept(&mut self, entry: &mut Entry, fate: &Fate, is_last: bool, may_return: bool) -> bool {
        match fate {
            Fate::Here(_) => true,
            Fate::Gone => {
                if may_return && entry.absence.is_none() {
                    entry.absence = Some(Absence::Away);
                    *self.is_changed = true;
                }
                may_return
            }
            Fate::Replaced => {
                if !entry.is_retired() {
                    if is_last && entry.is_known() && entry.absence != Some(Absence::Lost) {
                        self.warn_of_loss(entry);
                    }
                    entry.retire();
                    *self.is_changed = true;
                }
                is_last && self.pattern.is_none()
            }
        }
    }

    /// Says which files are gone, once others have followed them.
    pub(super) fn tell_losses(&mut self, position: &mut Position, living: &[Found]) {
        let written: HashSet<&Path> =
            living.iter().filter(|found| found.stat.length > 0).map(|found| found.path.as_path()).collect();
        let has_new =
            living.iter().any(|found| found.stat.length > 0 && position.find(&found.stat).is_none());
        let count = position.files.len();
        for (index, entry) in position.files.iter_mut().enumerate() {
            let is_followed = match self.pattern {
                Some(_) => written.contains(Path::new(entry.origin())) || (has_new && index + 1 == count),
                None => index + 1 == count,
            };
            if is_followed && entry.absence == Some(Absence::Away) {
                entry.absence = Some(Absence::Lost);
                *self.is_changed = true;
                if entry.is_known() {
                    self.warn_of_loss(entry);
                }
            }
        }
    }

    /// Looks at the file with an entry's number.
    fn see(&self, entry: &Entry, is_last: bool) -> Result<Sight> {
        if entry.is_retired() {
            return Ok(Sight::Other);
        }
        let Some(found) = self.find(entry)? else { return Ok(Sight::Nothing) };
        if !entry.may_be_back(&found.stat, self.is_ours_by_name(entry, &found)) {
            return Ok(Sight::Other);
        }
        if !is_last && entry.is_unwritten(&found.path, &found.stat) {
            return Ok(Sight::Same(found));
        }
        Ok(match self.look_into(&found, |file| entry.judge(file, self.files))? {
            Some(Standing::Same) => Sight::Same(found),
            Some(Standing::Cut) => Sight::Cut(found),
            Some(Standing::Other) | None => Sight::Other,
        })
    }

    /// Says what became of a file; `ours` are the numbers of those that were found.
    fn resolve(&mut self, entry: &mut Entry, sight: Sight, ours: &mut HashSet<(u64, u64)>) -> Result<Fate> {
        if let Sight::Same(found) = sight {
            *self.is_changed |= entry.note_as_it_is(&found.stat, self.files);
            return Ok(Fate::Here(found));
        }
        let copy = if entry.is_retired() { None } else { self.find_copy(entry, ours)? };
        let (found, standing) = match (sight, copy) {
            // A few bytes are a weaker sign than a whole head.
            (Sight::Cut(found), copy) if copy.is_none() || has_whole_head(&found.stat) => {
                (found, Standing::Cut)
            }
            (_, Some(copy)) => copy,
            (Sight::Nothing, None) => return Ok(Fate::Gone),
            (_, None) => return Ok(Fate::Replaced),
        };
        (entry.device, entry.inode) = number(&found.stat);
        ours.insert(number(&found.stat));
        if standing == Standing::Same {
            return Ok(Fate::Here(found));
        }
        let offset = entry.offset;
        self.look_into(&found, |file| entry.settle(file, self.files))?;
        *self.is_changed = true;
        self.warnings.push(format!(
            "{} lost what was written last when the system stopped: {offset} bytes of it were read, it goes on at byte {}",
            found.path.display(),
            entry.offset
        ));
        Ok(Fate::Here(found))
    }

    fn warn_of_loss(&mut self, entry: &Entry) {
        let seen = self.kept.filter(|kept| entry.is_numbered(&kept.stat)).map(|kept| kept.stat.length);
        let unread = match seen.map(|length| length.saturating_sub(entry.offset)) {
            Some(bytes) if bytes > 0 => format!("{bytes} bytes or more are unread"),
            _ => "what followed there, if anything, is unread".to_owned(),
        };
        let message =
            format!("{}, read up to byte {}, is gone or compressed: {unread}", entry.path, entry.offset);
        self.warnings.push(message);
    }

    fn is_ours_by_name(&self, entry: &Entry, found: &Found) -> bool {
        let name = name_of(&found.path);
        [Path::new(&entry.path), Path::new(entry.origin()), &self.settings.path]
            .map(name_of)
            .iter()
            .any(|other| name == *other || is_rotated(name, other))
    }

    /// Reads a file that was found; none if it is gone by now.
    fn look_into<V>(
        &self,
        found: &Found,
        look: impl FnOnce(&dyn OpenFile) -> io::Result<V>,
    ) -> Result<Option<V>> {
        let kept = self.kept.filter(|kept| found.is_nameless && is_same(&kept.stat, &found.stat));
        let result = match kept {
            Some(kept) => look(&*kept.file),
            None => match present(&found.path, self.files.open(&found.path))? {
                Some(file) => look(&*file),
                None => return Ok(None),
            },
        };
        result.map(Some).map_err(|error| cannot_read(&found.path, &error))
    }

    /// The file with an entry's number: where it was, elsewhere in the folder, or nameless.
    fn find(&self, entry: &Entry) -> Result<Option<Found>> {
        let path = PathBuf::from(&entry.path);
        if let Some(stat) = present(&path, self.files.stat(&path))?
            && entry.is_numbered(&stat)
        {
            return Ok(Some(Found { path, stat, is_nameless: false }));
        }
        if let Some(found) = self.neighbours()?.iter().find(|found| entry.is_numbered(&found.stat)) {
            return Ok(Some(found.clone()));
        }
        let Some(kept) = self.kept.filter(|kept| entry.is_numbered(&kept.stat)) else { return Ok(None) };
        let stat = kept.file.stat().map_err(|error| cannot_read(&path, &error))?;
        Ok(Some(Found { path, stat, is_nameless: true }))
    }

    /// A file that holds what an entry's file held: it was copied there before it was begun anew. One that lost its end in
    /// a power cut before that will do if there is no better.
    fn find_copy(&self, entry: &Entry, ours: &HashSet<(u64, u64)>) -> Result<Option<(Found, Standing)>> {
        if !entry.is_known() {
            return Ok(None);
        }
        let name = name_of(Path::new(&entry.path)).to_owned();
        let may_be_cut = entry.is_before_boot(self.files);
        let mut copies: Vec<&Found> = self.neighbours()?.iter().collect();
        copies.retain(|found| {
            let other = name_of(&found.path);
            // Short heads are alike, as those of two tables: only a file of our name can be ours then.
            (entry.is_well_known() || other == name || is_rotated(other, &name))
                && (found.stat.length >= entry.offset || may_be_cut)
                && entry.may_be_back(&found.stat, true)
                && !ours.contains(&number(&found.stat))
        });
        sort_by(&mut copies, |one, other| age(other).cmp(&age(one)));
        let mut cut = None;
        for found in copies {
            let Some(file) = visible(&found.path, self.files.open(&found.path))? else { continue };
            match entry.judge_copy(&*file, self.files).map_err(|error| cannot_read(&found.path, &error))? {
                Standing::Same => return Ok(Some((found.clone(), Standing::Same))),
                Standing::Cut => cut = cut.or_else(|| Some((found.clone(), Standing::Cut))),
                Standing::Other => {}
            }
        }
        Ok(cut)
    }
}
