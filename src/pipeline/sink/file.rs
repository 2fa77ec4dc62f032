//! The `file` sink: JSON lines or CSV in a file that only this flow writes, begun anew now and then.
//!
//! A batch goes: `begin`, `write`…, `commit`, the announcement is recorded in our database, `carry_out`. The announcement
//! holds the cursor and dead letters of the batch *before*, with how many bytes follow; what `carry_out` returns holds
//! those of this one, and is recorded alone or with the next announcement, which contains it. A crash in between leaves
//! bytes that were announced and whose cursor is not recorded: `begin` cuts them off, and the source reads them again.
//!
//! A batch that begins a new file announces the name that the old one gets. `carry_out` renames, makes the name durable,
//! and appends to the new file, so that after a crash the names tell how far it came.
//!
//! A CSV file has the columns of its first record, unless it was begun because another would have become too long: then
//! the batch was written for that one's columns, and keeps them.
//!
//! Where a run ends, what `carry_out` returned is best recorded alone: then nothing is announced while others may put the
//! file aside.

mod rotation;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Carried, Committed, Sink, State, Written};
use crate::flow::{self, Field, Format, Rotation};
use crate::limits;
use crate::pipeline::append::{self, AppendFile};
use crate::pipeline::files::Files;
use crate::pipeline::record::Record;
use crate::pipeline::{Failure, Result, render};
use crate::time::Wall;

/// What is committed of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    #[serde(flatten)]
    file: append::Words,
    /// When it was begun or first seen.
    begun_at_ms: i64,
    /// The name that it gets before what is announced goes to a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotate_to: Option<PathBuf>,
    /// The names in its header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Batch {
    /// What goes before the records if a new file is begun.
    header: Vec<u8>,
    /// The records.
    lines: Vec<u8>,
    /// The names of the CSV's columns, once there is a record.
    columns: Option<Vec<String>>,
    /// Whether the file is too old for this batch.
    is_too_old: bool,
}

/// What was handed over with `commit`.
#[derive(Debug)]
struct Announced {
    /// As it is recorded.
    announcement: State,
    /// What holds once it is carried out; its sink's words are still to be found.
    next: State,
    words: Words,
}

/// The open file and what is true of it.
#[derive(Debug)]
struct Open {
    file: AppendFile,
    words: Words,
    /// Whether its last line, by others, has no end.
    is_torn: bool,
}

/// A file that records are appended to.
#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    is_csv: bool,
    rotation: Option<Rotation>,
    fields: BTreeMap<String, Field>,
    open: Option<Open>,
    /// What holds.
    held: State,
    /// What led to it, which may be all that is on record.
    origin: Option<State>,
    batch: Batch,
    announced: Option<Announced>,
    /// Whether there may be files to delete that had to stay until now.
    prune_is_due: bool,
}

impl FileSink {
    /// As a flow file says.
    pub fn new(settings: &flow::FileSink, fields: &BTreeMap<String, Field>) -> Self {
        Self {
            path: settings.path.clone(),
            is_csv: settings.format == Format::Csv,
            rotation: settings.rotate,
            fields: fields.clone(),
            open: None,
            held: State::default(),
            origin: None,
            batch: Batch::default(),
            announced: None,
            prune_is_due: true,
        }
    }

    /// Whether memory knows more than the record: the record is what led to what we hold.
    fn is_known(&self, recorded: &State) -> bool {
        *recorded == self.held || self.origin.as_ref() == Some(recorded)
    }

    /// Opens the file and brings it to what is committed.
    fn recover(&mut self, state: State, files: &dyn Files) -> Result<()> {
        // Before it is opened again: the lock would be ours.
        self.open = None;
        let words: Option<Words> = match &state.sink {
            Json::Null => None,
            json => Some(Words::deserialize(json).map_err(|error| {
                Failure::sink(format!("what is committed of {} cannot be read: {error}", self.path.display()))
            })?),
        };
        let file = match &words {
            Some(Words { file, rotate_to: Some(to), .. }) => rotation::recover(&self.path, file, to, files)?,
            _ => AppendFile::open(&self.path, words.as_ref().map(|words| &words.file), files)?,
        };
        let same = words.filter(|words| words.file.is_same_file(&file.words()) && file.words().length > 0);
        let (begun_at_ms, columns) = match same {
            // The columns beside a name to be put aside under are those of the file to come; without any it was written
            // as JSON lines, or is as others left it.
            Some(
                Words { rotate_to: Some(_), begun_at_ms, .. } | Words { columns: None, begun_at_ms, .. },
            ) => (begun_at_ms, self.columns_of(&file)?),
            Some(words) => (words.begun_at_ms, words.columns),
            None => (files.wall_ms(), self.columns_of(&file)?),
        };
        let is_torn = !file.ends_a_line()?;
        let words = Words { file: file.words(), begun_at_ms, rotate_to: None, columns };
        self.held = State { sink: to_json(&words)?, ..state };
        self.open = Some(Open { file, words, is_torn });
        Ok(())
    }

    /// The header of a file that was there already.
    fn columns_of(&self, file: &AppendFile) -> Result<Option<Vec<String>>> {
        if !self.is_csv || file.words().length == 0 {
            return Ok(None);
        }
        let head = file.head(limits::RECORD_BYTES_MAX)?;
        match render::csv_first_row(&String::from_utf8_lossy(&head)) {
            Some(columns) => Ok(Some(columns)),
            None => Err(Failure::sink(format!(
                "{} does not begin with a line of column names: put it aside, or begin it with one",
                self.path.display()
            ))),
        }
    }

    fn begin_batch(&mut self, files: &dyn Files) {
        let Some(open) = &mut self.open else { return };
        let now_ms = files.wall_ms();
        let is_set = |ms| Wall::from_millis(ms).is_set();
        if is_set(now_ms) && !is_set(open.words.begun_at_ms) {
            open.words.begun_at_ms = now_ms;
        }
        let age_max_ms =
            self.rotation.and_then(|rotation| rotation.age_s).map(|age_s| age_s.saturating_mul(1000));
        let age_ms = u64::try_from(now_ms.saturating_sub(open.words.begun_at_ms)).unwrap_or_default();
        let is_too_old =
            open.words.file.length > 0 && age_max_ms.is_some_and(|age_max_ms| age_ms >= age_max_ms);
        let columns = if is_too_old { None } else { open.words.columns.clone() };
        self.batch = Batch { columns, is_too_old, ..Batch::default() };
    }

    fn write_csv(&mut self, record: &Record<'_>) -> Result<(), String> {
        if self.batch.columns.is_none() {
            if record.fields.is_empty() {
                return Err(
                    "it has no fields, and would be the first of a CSV file: one is needed".to_owned()
                );
            }
            let names: Vec<String> = record.fields.iter().map(|(name, _)| name.to_string()).collect();
            render::csv_line(record, &names, &self.fields, &mut self.batch.lines)?;
            self.batch.columns = Some(names);
            return Ok(());
        }
        let columns = self.batch.columns.as_deref().unwrap_or_default();
        render::csv_line(record, columns, &self.fields, &mut self.batch.lines)
    }

    /// The name that the file gets before this batch, if it does.
    fn rotate_to(&self, open: &Open, files: &dyn Files) -> Result<Option<PathBuf>> {
        let Some(rotation) = self.rotation.filter(|_| open.words.file.length > 0) else { return Ok(None) };
        let length = open.words.file.length + self.batch.lines.len() as u64;
        if self.batch.is_too_old || rotation.size_bytes.is_some_and(|size_bytes| length > size_bytes) {
            return rotation::free_name(&self.path, files).map(Some);
        }
        Ok(None)
    }

    /// Does what was announced; a failure leaves the file closed.
    fn carry_out_announced(&mut self, announced: Announced, files: &dyn Files) -> Result<()> {
        let Some(Open { mut file, is_torn, .. }) = self.open.take() else {
            return Err(Failure::sink(format!("{} is not open: a batch begins first", self.path.display())));
        };
        let keep = self.rotation.map(|rotation| rotation.keep);
        if let Some(keep) = keep.filter(|_| self.prune_is_due) {
            rotation::prune(&self.path, keep, None, files)?;
            self.prune_is_due = false;
        }
        let mut words = announced.words;
        if let Some(to) = words.rotate_to.take() {
            file = rotation::put_aside(file, &self.path, &to, files)?;
            words.begun_at_ms = files.wall_ms();
            file.append(&[&self.batch.header, &self.batch.lines], files)?;
            let keep = keep.unwrap_or(u64::MAX);
            rotation::prune(&self.path, keep, Some(&to), files)?;
            self.prune_is_due = keep == 0;
        } else {
            let line_end: &[u8] = if is_torn { b"\n" } else { b"" };
            file.append(&[line_end, &self.batch.header, &self.batch.lines], files)?;
        }
        words.file = file.words();
        self.held = State { sink: to_json(&words)?, ..announced.next };
        self.origin = Some(announced.announcement);
        self.open = Some(Open { file, words, is_torn: false });
        self.batch = Batch::default();
        Ok(())
    }
}

impl Sink for FileSink {
    fn begin(&mut self, recorded: Option<&State>, files: &dyn Files) -> Result<State> {
        self.roll_back();
        let recorded = recorded.cloned().unwrap_or_default();
        let is_known = self.is_known(&recorded);
        let is_as_left = match &self.open {
            Some(open) if is_known => open.file.is_as_left(files)?,
            _ => false,
        };
        if !is_as_left {
            // A record without words is an operator's, who accepts the file as it is.
            let state =
                if is_known && !recorded.sink.is_null() { self.held.clone() } else { recorded.clone() };
            self.recover(state, files)?;
            self.origin = Some(recorded);
        }
        self.begin_batch(files);
        Ok(self.held.clone())
    }

    fn write(&mut self, record: &Record<'_>) -> Result<Written> {
        let written = if self.is_csv {
            self.write_csv(record)
        } else {
            render::json_line(record, &self.fields, &mut self.batch.lines)
        };
        Ok(written.map_or_else(Written::Rejected, |()| Written::New))
    }

    fn commit(&mut self, state: State, files: &dyn Files) -> Result<Committed> {
        let Some(open) = &self.open else {
            return Err(Failure::sink(format!("{} is not open: a batch begins first", self.path.display())));
        };
        let mut words = open.words.clone();
        if self.batch.lines.is_empty() {
            let next = State { sink: to_json(&words)?, ..state };
            self.announced = Some(Announced { announcement: next.clone(), next: next.clone(), words });
            return Ok(Committed::Announced(next));
        }
        words.rotate_to = self.rotate_to(open, files)?;
        words.columns.clone_from(&self.batch.columns);
        self.batch.header.clear();
        if let Some(columns) =
            words.columns.as_ref().filter(|_| words.file.length == 0 || words.rotate_to.is_some())
        {
            render::csv_header(columns, &mut self.batch.header);
        }
        let line_end = usize::from(open.is_torn && words.rotate_to.is_none());
        words.file.announced = (line_end + self.batch.header.len() + self.batch.lines.len()) as u64;
        let announcement = State { sink: to_json(&words)?, ..self.held.clone() };
        self.announced = Some(Announced { announcement: announcement.clone(), next: state, words });
        Ok(Committed::Announced(announcement))
    }

    fn carry_out(&mut self, files: &dyn Files) -> Result<Carried> {
        match self.announced.take() {
            None => {}
            Some(announced) if self.batch.lines.is_empty() => {
                self.held = announced.next;
                self.origin = Some(announced.announcement);
            }
            Some(announced) => self.carry_out_announced(announced, files)?,
        }
        Ok(Carried::Done(self.held.clone()))
    }

    fn roll_back(&mut self) {
        self.batch = Batch::default();
        self.announced = None;
    }

    fn set_state(&mut self, _: &State, _: &dyn Files) -> Result<bool> {
        Ok(false)
    }
}

fn to_json(words: &Words) -> Result<Json> {
    serde_json::to_value(words)
        .map_err(|error| Failure::sink(format!("cannot commit the state of a file: {error}")))
}

#[cfg(test)]
mod tests;
