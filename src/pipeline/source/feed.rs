//! Dead letters fed back: the records of a file of them, each as the flow's own source would yield it.
//!
//! The cursor lists the files that were fed, each with how far. It stands beside that of the flow's own source and moves
//! alone, so that a feed that was cut short goes on, and a file that is fed again yields nothing twice.

use serde::Deserialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::lines::{self, Piece, malformed};
use super::position::{Entry, Position};
use super::rotation::cannot_read;
use super::window::Window;
use super::{Progress, Room, Source, Take, jsonl};
use crate::flow::{Format, Pipeline, SourceSettings};
use crate::limits;
use crate::pipeline::append::stat_if_any;
use crate::pipeline::files::{Files, OpenFile, Stat};
use crate::pipeline::record::{At, Place, Record, Yielded};
use crate::pipeline::{Failure, Result};

/// A file of dead letters.
#[derive(Debug)]
pub(in crate::pipeline) struct FeedSource {
    path: PathBuf,
    /// What the flow writes: fed from there, the run would never end.
    own: Vec<PathBuf>,
    /// What the flow's source makes of text, if it reads a file.
    format: Option<Format>,
    file: Option<Box<dyn OpenFile>>,
    window: Window,
    /// Whether this run has read anything of it.
    is_begun: bool,
}

/// A line of the file, as far as it counts.
#[derive(Deserialize)]
struct Letter<'a> {
    #[serde(borrow)]
    record: &'a RawValue,
}

impl FeedSource {
    pub(in crate::pipeline) fn new(path: &Path, pipeline: &Pipeline) -> Self {
        let format = match &pipeline.source {
            SourceSettings::File(file) => Some(file.format),
            _ => None,
        };
        Self {
            path: path.to_owned(),
            own: pipeline.written_files().map(Path::to_owned).collect(),
            format,
            file: None,
            window: Window::default(),
            is_begun: false,
        }
    }

    fn open(&mut self, files: &dyn Files) -> Result<(Box<dyn OpenFile>, Stat)> {
        let opened = match self.file.take() {
            Some(file) => Ok(file),
            None => files.open(&self.path),
        };
        let found = opened.and_then(|file| file.stat().map(|stat| (file, stat)));
        let (file, stat) = found.map_err(|error| cannot_read(&self.path, &error))?;
        for own in &self.own {
            let own = stat_if_any(own, files)?;
            if own.is_some_and(|own| (own.device, own.inode) == (stat.device, stat.inode)) {
                return Err(Failure::source(format!(
                    "{} is a file that this flow writes, so the run would never end: give it another name first",
                    self.path.display()
                )));
            }
        }
        Ok((file, stat))
    }

    /// How far the file was fed.
    fn entry(&self, file: &dyn OpenFile, stat: &Stat, position: &Position) -> Result<Entry> {
        let known = position.find(stat).and_then(|index| position.files.get(index));
        let judge = |entry: &Entry| Ok((entry.fits(file)?, entry.head_fits(file)?));
        let judged = known.map(|entry| judge(entry).map(|it| (entry, it))).transpose();
        match judged.map_err(|error| cannot_read(&self.path, &error))? {
            Some((entry, (true, _))) => {
                let mut entry = entry.clone();
                entry.path = self.path.to_string_lossy().into_owned();
                Ok(entry)
            }
            Some((entry, (false, true))) => Err(Failure::source(format!(
                "{} is not as it was when {} bytes of it were fed: feed a copy that holds what is still to be fed",
                self.path.display(),
                entry.offset
            ))),
            // Its number has gone from a file that is deleted to this one.
            Some((_, (false, false))) | None => Ok(Entry::new(&self.path.to_string_lossy(), stat)),
        }
    }

    /// Yields what follows, as far as there is room; true at the file's end.
    fn pass(
        &mut self,
        file: &dyn OpenFile,
        entry: &mut Entry,
        room: Room,
        take: &mut Take<'_>,
    ) -> Result<bool> {
        let path = self.path.to_string_lossy().into_owned();
        let (before, mut records, mut at_end) = (entry.offset, 0, false);
        self.window.move_to(before);
        loop {
            let taken = entry.offset - before;
            if records >= room.records || taken >= room.bytes as u64 {
                return Ok(false);
            }
            if entry.skipping {
                entry.skip(self.window.after(entry.offset));
            }
            let waiting = self.window.after(entry.offset);
            // The last line counts without a line break, too: nobody writes to the file any more.
            let piece = if entry.skipping { Piece::Incomplete } else { lines::cut(waiting, at_end) };
            let place = Place { path: &path, at: At::Offset(entry.offset) };
            let passed = match piece {
                Piece::Incomplete if at_end => return Ok(true),
                Piece::Incomplete => {
                    let filled = self.window.fill(file, entry.offset);
                    at_end = !filled.map_err(|error| cannot_read(&self.path, &error))?;
                    continue;
                }
                Piece::Whole { bytes, .. } | Piece::Broken { bytes, .. }
                    if taken > 0 && taken + bytes as u64 > room.bytes as u64 =>
                {
                    return Ok(false);
                }
                Piece::Whole { body: [], bytes } => bytes,
                Piece::Whole { body, bytes } => {
                    self.yield_letter(body, place, take)?;
                    records += 1;
                    bytes
                }
                Piece::Broken { line, bytes, goes_on, why } => {
                    take(malformed(line, why.reason()), place)?;
                    records += 1;
                    entry.skipping = goes_on;
                    bytes
                }
            };
            entry.offset += passed as u64;
        }
    }

    fn yield_letter(&self, line: &[u8], place: Place<'_>, take: &mut Take<'_>) -> Result<()> {
        let record = match serde_json::from_slice::<Letter<'_>>(line) {
            Ok(letter) => letter.record.get(),
            Err(error) => {
                let reason = format!(
                    "it is no dead letter: {error}; a line of a file of rejected records would be right"
                );
                return take(malformed(line, reason), place);
            }
        };
        match record.as_bytes().first() {
            Some(b'{') => take(self.of_object(record), place),
            Some(b'"') => match serde_json::from_str::<Cow<'_, str>>(record) {
                Ok(text) => take(self.of_text(&text), place),
                Err(error) => take(malformed(line, format!("its record is no text: {error}")), place),
            },
            _ => {
                let reason = "its record is neither an object nor text; one of these would be right";
                take(malformed(line, reason.to_owned()), place)
            }
        }
    }

    /// What another source than one of JSON yielded is JSON only here: its fields are read from text and columns again.
    fn of_object<'t>(&self, text: &'t str) -> Yielded<'t> {
        match jsonl::parse(text.as_bytes()) {
            Yielded::Record(record) if self.format != Some(Format::Jsonl) => {
                Yielded::Record(Record { json: None, ..record })
            }
            yielded => yielded,
        }
    }

    fn of_text<'t>(&self, text: &'t str) -> Yielded<'t> {
        let bytes = text.as_bytes();
        let reason = match self.format {
            _ if text.is_empty() => "nothing of it was kept; its text would be right".to_owned(),
            // It was cut between two characters, the longest of which has four bytes.
            _ if text.len() + 4 > limits::DEAD_LETTER_RECORD_BYTES_MAX => format!(
                "only its first {} bytes were kept; the whole of it would be right",
                limits::DEAD_LETTER_RECORD_BYTES_MAX
            ),
            Some(Format::Jsonl) => return jsonl::parse(bytes),
            Some(Format::Lines) => return lines::parse(bytes),
            Some(Format::Csv) => {
                "it is a row without its names; an object with names and values would be right".to_owned()
            }
            None => "it is text, of which a row cannot be made; an object would be right".to_owned(),
        };
        malformed(bytes, reason)
    }
}

/// Makes room for one more file: those that are gone are forgotten.
fn make_room(position: &mut Position, files: &dyn Files) -> Result<()> {
    while position.files.len() >= limits::FEEDS_MAX {
        let is_gone =
            |entry: &Entry| !files.stat(Path::new(&entry.path)).is_ok_and(|stat| entry.is_numbered(&stat));
        let Some(gone) = position.files.iter().position(is_gone) else {
            let oldest = position.files.first().map(|entry| entry.path.as_str()).unwrap_or_default();
            return Err(Failure::source(format!(
                "{} files that were fed are still there: delete those that are done, such as {oldest}",
                position.files.len()
            )));
        };
        position.files.remove(gone);
    }
    Ok(())
}

impl Source for FeedSource {
    fn read(
        &mut self,
        cursor: &Json,
        room: Room,
        files: &dyn Files,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        let mut position = Position::parse(cursor).map_err(Failure::source)?;
        let (file, stat) = self.open(files)?;
        let mut entry = self.entry(&*file, &stat, &position)?;
        let before = entry.offset;
        let is_end = self.pass(&*file, &mut entry, room, take)?;
        let (bytes, mut warnings) = (entry.offset - before, Vec::new());
        let mut moved = cursor.clone();
        if bytes > 0 {
            self.is_begun = true;
            let noted = entry.note(&*file, self.window.before(entry.offset), files);
            noted.map_err(|error| cannot_read(&self.path, &error))?;
            if position.find(&stat).is_none() {
                make_room(&mut position, files)?;
            }
            position.put_last(entry);
            moved = position.to_json().map_err(Failure::source)?;
        } else if is_end && !self.is_begun && before > 0 {
            warnings.push(format!("all of {} was fed before: nothing is fed twice", self.path.display()));
        }
        self.file = Some(file);
        Ok(Progress { cursor: moved, bytes, is_end, warnings, needs: None })
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        Position::parse(cursor).map(drop)
    }
}

#[cfg(test)]
mod tests;
