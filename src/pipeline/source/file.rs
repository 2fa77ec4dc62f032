//! The `file` source: lines and rows of files that others append to, followed over every kind of rotation.

use glob::Pattern;
use serde_json::Value as Json;
use std::cell::OnceCell;
use std::path::PathBuf;

use super::lines::{BYTE_ORDER_MARK, Piece};
use super::position::{Entry, Position};
use super::rotation::{Kept, Plan, Planner, Task, cannot_read};
use super::window::Window;
use super::{Progress, Room, Source, Take, csv, jsonl, lines};
use crate::flow::{self, Format, Missing};
use crate::limits;
use crate::pipeline::files::{Files, Stat};
use crate::pipeline::record::{At, Place, Yielded};
use crate::pipeline::{Failure, Result};

/// Records given up in one step: each of them may have been looked through for its whole length.
const BROKEN_MAX: usize = 16;

/// Files that others append to.
#[derive(Debug)]
pub struct FileSource {
    settings: flow::FileSource,
    pattern: Option<Pattern>,
    kept: Option<Kept>,
    header: Option<Header>,
    window: Window,
}

/// The first row of the file that is kept.
#[derive(Debug)]
struct Header {
    names: Vec<String>,
    /// The byte after it.
    end: u64,
}

/// What one step has done.
struct Step<'a, 't> {
    files: &'a dyn Files,
    take: &'a mut Take<'t>,
    room: Room,
    position: Position,
    records: usize,
    broken: usize,
    bytes: u64,
}

/// Why reading a file came to an end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It holds no more for now.
    Done,
    /// There is no more room.
    Full,
}

impl Step<'_, '_> {
    /// Whether there is room for a record of so many bytes.
    fn has_room(&self, bytes: usize) -> bool {
        let bytes_max = self.room.bytes as u64;
        let fits = self.bytes == 0 || (self.bytes < bytes_max && self.bytes + bytes as u64 <= bytes_max);
        fits && self.records < self.room.records && self.broken < BROKEN_MAX
    }

    fn pass(&mut self, entry: &mut Entry, bytes: usize) {
        entry.offset += bytes as u64;
        self.bytes += bytes as u64;
    }
}

impl Source for FileSource {
    fn read(
        &mut self,
        cursor: &Json,
        room: Room,
        files: &dyn Files,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        let position = Position::parse(cursor).map_err(Failure::source)?;
        let mut step = Step { files, take, room, position, records: 0, broken: 0, bytes: 0 };
        let mut warnings = Vec::new();
        let mut is_changed = false;
        let mut outcome = self.go_on(&mut step)?;
        if outcome == Outcome::Done {
            let is_first = cursor.is_null() && step.bytes == 0;
            let mut planner = self.planner(files, &mut warnings, &mut is_changed);
            let plan = planner.plan(is_first, &mut step.position)?;
            self.check_missing(&plan, &step)?;
            for task in &plan.tasks {
                outcome = self.read_file(task, &mut step, &mut is_changed)?;
                if outcome == Outcome::Full {
                    break;
                }
            }
        }
        let is_equal = step.bytes == 0 && !is_changed;
        let cursor =
            if is_equal { cursor.clone() } else { step.position.to_json().map_err(Failure::source)? };
        Ok(Progress { cursor, bytes: step.bytes, is_end: outcome == Outcome::Done, warnings, needs: None })
    }

    /// As a run would read them that begins now.
    fn unread_bytes(&self, cursor: &Json, files: &dyn Files) -> Option<u64> {
        let mut position = Position::parse(cursor).ok()?;
        let (mut warnings, mut is_changed) = (Vec::new(), false);
        let mut planner = self.planner(files, &mut warnings, &mut is_changed);
        let tasks = planner.plan(cursor.is_null(), &mut position).ok()?.tasks;
        let unread = |stat: &Stat| stat.length.saturating_sub(position.offset(stat));
        Some(tasks.iter().map(|task| unread(&task.stat)).fold(0, u64::saturating_add))
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        Position::parse(cursor).map(drop)
    }
}

impl FileSource {
    /// A source with these settings.
    pub fn new(settings: &flow::FileSource) -> Self {
        let name = settings.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_pattern = name.contains(flow::FileSource::WILDCARDS);
        Self {
            settings: settings.clone(),
            pattern: is_pattern.then(|| Pattern::new(name).ok()).flatten(),
            kept: None,
            header: None,
            window: Window::default(),
        }
    }

    fn planner<'a>(
        &'a self,
        files: &'a dyn Files,
        warnings: &'a mut Vec<String>,
        is_changed: &'a mut bool,
    ) -> Planner<'a> {
        Planner {
            settings: &self.settings,
            pattern: self.pattern.as_ref(),
            files,
            kept: self.kept.as_ref(),
            warnings,
            is_changed,
            neighbours: OnceCell::new(),
        }
    }

    fn check_missing(&self, plan: &Plan, step: &Step<'_, '_>) -> Result<()> {
        let is_fault = self.settings.missing == Missing::Fail && plan.is_missing && plan.tasks.is_empty();
        if !is_fault || step.bytes > 0 {
            return Ok(());
        }
        let path = self.settings.path.display();
        Err(Failure::source(match self.pattern {
            Some(_) => format!("no file matches {path}; one would be right, or missing = \"wait\""),
            None => format!("{path} is missing; a file there would be right, or missing = \"wait\""),
        }))
    }

    /// Reads on in the file that is kept, as long as it holds more: where it is does not matter until its end.
    fn go_on(&mut self, step: &mut Step<'_, '_>) -> Result<Outcome> {
        let (Some(kept), Some(entry)) = (&self.kept, step.position.files.last()) else {
            return Ok(Outcome::Done);
        };
        let path = PathBuf::from(&entry.path);
        let stat = kept.file.stat().map_err(|error| cannot_read(&path, &error))?;
        let goes_on = entry.is_numbered(&stat)
            && !entry.is_before_boot(step.files)
            && stat.length > entry.offset
            && entry.fits(&*kept.file).map_err(|error| cannot_read(&path, &error))?;
        if !goes_on {
            return Ok(Outcome::Done);
        }
        let task = Task { path, stat, is_final: false, is_over: false };
        self.read_file(&task, step, &mut false)
    }

    fn read_file(&mut self, task: &Task, step: &mut Step<'_, '_>, is_changed: &mut bool) -> Result<Outcome> {
        if !self.keep(task, step.files)? {
            return Ok(Outcome::Done);
        }
        let path = task.path.to_string_lossy();
        let known = step.position.find(&task.stat).and_then(|index| step.position.files.get(index));
        let mut entry = known.cloned().unwrap_or_else(|| Entry::new(&path, &task.stat));
        let offset = entry.offset;
        let outcome = self.read_entry(&mut entry, task, step)?;
        if let Some(kept) = self.kept.as_mut().filter(|_| entry.offset > offset) {
            let noted = kept.file.stat().and_then(|stat| {
                kept.stat = stat;
                entry.note(&*kept.file, self.window.before(entry.offset), step.files)
            });
            noted.map_err(|error| cannot_read(&task.path, &error))?;
            step.position.put_last(entry);
        }
        if outcome == Outcome::Done && task.is_over {
            step.position.forget(&task.stat);
            *is_changed = true;
        }
        Ok(outcome)
    }

    /// Opens a file, if it is not the one that is open; false if its name stands for another by now.
    fn keep(&mut self, task: &Task, files: &dyn Files) -> Result<bool> {
        let is_task =
            |kept: &Kept| (kept.stat.device, kept.stat.inode) == (task.stat.device, task.stat.inode);
        if self.kept.as_ref().is_some_and(is_task) {
            return Ok(true);
        }
        let opened = files.open(&task.path).and_then(|file| Ok(Kept { stat: file.stat()?, file }));
        match opened {
            Ok(kept) if is_task(&kept) => {
                self.kept = Some(kept);
                self.header = None;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(cannot_read(&task.path, &error)),
        }
    }

    fn read_entry(&mut self, entry: &mut Entry, task: &Task, step: &mut Step<'_, '_>) -> Result<Outcome> {
        // A file that was begun anew under its number has another header.
        if entry.offset == 0 {
            self.header = None;
        }
        if self.settings.format == Format::Csv && !self.read_header(entry, task, step)? {
            return Ok(Outcome::Done);
        }
        self.window.move_to(entry.offset);
        let path = task.path.to_string_lossy();
        let mut is_end = false;
        loop {
            if !step.has_room(0) {
                return Ok(Outcome::Full);
            }
            if entry.skipping {
                self.skip(entry, step);
            }
            let bytes = self.window.after(entry.offset);
            let piece =
                if entry.skipping { Piece::Incomplete } else { self.cut(bytes, is_end && task.is_final) };
            let (passed, goes_on, yielded) = match piece {
                Piece::Incomplete if is_end => return Ok(Outcome::Done),
                Piece::Incomplete => {
                    is_end = !self.fill(entry, task)?;
                    continue;
                }
                Piece::Whole { body, bytes } => (bytes, false, self.parse(body, entry.offset)),
                Piece::Broken { line, bytes, goes_on, why } => {
                    step.broken += 1;
                    (bytes, goes_on, Some(lines::malformed(line, why.reason())))
                }
            };
            if !step.has_room(if goes_on { 0 } else { passed }) {
                return Ok(Outcome::Full);
            }
            if let Some(yielded) = yielded {
                (step.take)(yielded, Place { path: &path, at: At::Offset(entry.offset) })?;
                step.records += 1;
            }
            entry.skipping = goes_on;
            step.pass(entry, passed);
        }
    }

    fn fill(&mut self, entry: &Entry, task: &Task) -> Result<bool> {
        let Some(kept) = &self.kept else { return Ok(false) };
        self.window.fill(&*kept.file, entry.offset).map_err(|error| cannot_read(&task.path, &error))
    }

    /// Passes what is there of a record that was given up.
    fn skip(&self, entry: &mut Entry, step: &mut Step<'_, '_>) {
        let before = entry.offset;
        entry.skip(self.window.after(before));
        step.bytes += entry.offset - before;
    }

    fn cut<'a>(&self, bytes: &'a [u8], is_whole: bool) -> Piece<'a> {
        match self.settings.format {
            Format::Csv => csv::cut(bytes, is_whole),
            Format::Jsonl | Format::Lines => lines::cut(bytes, is_whole),
        }
    }

    /// What a record says; none if it is empty.
    fn parse<'a>(&'a self, body: &'a [u8], offset: u64) -> Option<Yielded<'a>> {
        let body = match self.settings.format {
            Format::Jsonl if offset == 0 => body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body),
            _ => body,
        };
        let names = self.header.as_ref().map(|header| header.names.as_slice()).unwrap_or_default();
        (!body.is_empty()).then(|| match self.settings.format {
            Format::Jsonl => jsonl::parse(body),
            Format::Lines => lines::parse(body),
            Format::Csv => csv::parse(body, names),
        })
    }

    /// Reads the names, also when going on in the middle, and passes them; false if they are not whole yet.
    fn read_header(&mut self, entry: &mut Entry, task: &Task, step: &mut Step<'_, '_>) -> Result<bool> {
        if self.header.is_none() {
            self.header = self.find_header(task)?;
        }
        let Some(header) = &self.header else { return Ok(false) };
        if entry.offset < header.end {
            step.bytes += header.end - entry.offset;
            entry.offset = header.end;
            entry.skipping = false;
        }
        Ok(true)
    }

    fn find_header(&mut self, task: &Task) -> Result<Option<Header>> {
        let path = task.path.display();
        let mut begin = Entry::new("", &task.stat);
        let mut is_end = false;
        self.window.move_to(0);
        while begin.offset <= limits::RECORD_BYTES_MAX as u64 {
            let bytes = self.window.after(begin.offset);
            let mark = if begin.offset == 0 && bytes.starts_with(BYTE_ORDER_MARK) {
                BYTE_ORDER_MARK.len()
            } else {
                0
            };
            match csv::cut(bytes.get(mark..).unwrap_or_default(), is_end && task.is_final) {
                Piece::Incomplete if is_end => return Ok(None),
                Piece::Incomplete => is_end = !self.fill(&begin, task)?,
                Piece::Whole { body, bytes } => {
                    begin.offset += (mark + bytes) as u64;
                    if !body.is_empty() {
                        return match csv::names(body) {
                            Ok(names) => Ok(Some(Header { names, end: begin.offset })),
                            Err(reason) => {
                                let message =
                                    format!("cannot read {path}: the first row holds no names: {reason}");
                                Err(Failure::source(message))
                            }
                        };
                    }
                }
                Piece::Broken { .. } => break,
            }
        }
        Err(Failure::source(format!(
            "cannot read {path}: its first row does not end within {} bytes; a row of names would be right",
            limits::RECORD_BYTES_MAX
        )))
    }
}

#[cfg(test)]
mod tests;
