//! Rejected records on their way to a file: committed in the state first, then appended, so that none is lost or doubled.
//!
//! A batch goes: `begin` with the words on record, `add`…, [`DeadLetters::announce`] into the state; once that state itself
//! is on record, `carry_out`. A file is for people: they may empty it or move it away, and it goes on or begins anew.
//! All that has to be found out after a crash is whether what was pending is in it. Where a run ends, the words are best
//! recorded once more: then nothing is pending, and a file that people empty between runs stays empty.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::io;
use std::path::{Path, PathBuf};

use super::append::{folder_of, stat_if_any};
use super::files::{Files, OpenFile, Stat, ends_a_line, read_up_to};
use super::record::{At, Place};
use super::{Failure, Result, render};
use crate::flow::ErrorKind;
use crate::limits;

const MIB: u64 = 1024 * 1024;

/// What is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Words {
    /// The device of the file.
    device: u64,
    /// Its number there; 0: there was no file.
    inode: u64,
    /// Its length before what is pending.
    length: u64,
    /// Lines that are to be appended, or were.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pending: String,
}

impl Words {
    fn of(stat: Stat) -> Self {
        Self { device: stat.device, inode: stat.inode, length: stat.length, pending: String::new() }
    }

    /// Whether they may be of this file.
    const fn fit(&self, stat: Stat) -> bool {
        let is_same = self.device == stat.device && self.inode == stat.inode;
        (is_same || self.inode == 0) && self.length <= stat.length
    }
}

/// The file of rejected records.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    /// What holds. None: there never was one.
    words: Option<Words>,
    /// What the words on record were when they were carried out, and what is the same since.
    carried_out: Option<Json>,
    /// Lines of the batch.
    batch: String,
    /// Of the file as it was when the batch began.
    found: Words,
}

impl DeadLetters {
    /// To this file.
    pub(super) fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            words: None,
            carried_out: None,
            batch: String::new(),
            found: Words::default(),
        }
    }

    /// Whether the words on record say that something is still to be written.
    pub(super) fn has_pending(words: &Json) -> bool {
        words.get("pending").and_then(Json::as_str).is_some_and(|pending| !pending.is_empty())
    }

    /// Begins a batch: carries out what the words on record (null: there are none) say is pending.
    ///
    /// # Errors
    /// The file cannot be written, or the words cannot be read.
    pub(super) fn begin(&mut self, words: &Json, files: &dyn Files) -> Result<()> {
        self.batch.clear();
        if self.carried_out.as_ref() != Some(words) {
            self.carried_out = None;
            self.words = match words {
                Json::Null => None,
                json => Some(Words::deserialize(json).map_err(|error| {
                    schema(format!("what is committed of {} cannot be read: {error}", self.path.display()))
                })?),
            };
            if let Some(words) = &self.words
                && is_put_aside(&self.path, words, files)?
            {
                self.words = None;
            }
            self.complete(files)?;
            self.carried_out = Some(words.clone());
        }
        self.found = stat_if_any(&self.path, files)?.map(Words::of).unwrap_or_default();
        Ok(())
    }

    /// Adds a rejected record to the batch: its text, why, and where it came from.
    ///
    /// # Errors
    /// There are too many in the file.
    pub(super) fn add(&mut self, text: &str, reason: &str, place: &Place<'_>) -> Result<()> {
        // What is there counts, not the batch: one that has no room in an empty file would never have any.
        let pending = self.words.as_ref().map_or(0, |words| words.pending.len());
        if self.found.length + (pending as u64) < limits::DEAD_LETTERS_BYTES_MAX {
            self.batch.push_str(&line(text, reason, place));
            return Ok(());
        }
        Err(schema(format!(
            "{} holds {} MiB of rejected records: move the file away, and feed it back with `heartbeatd flow run NAME \
             --from FILE`",
            self.path.display(),
            self.found.length / MIB
        )))
    }

    /// What to commit with this batch; null if there never was a dead letter. A file that is missing is begun: by its
    /// number it is known again under another name, and another flow's that holds the same is not taken for it.
    ///
    /// # Errors
    /// The file cannot be begun, or looked at.
    pub(super) fn announce(&mut self, files: &dyn Files) -> Result<Json> {
        if self.words.is_none() && !self.batch.is_empty() && self.found.inode == 0 {
            let file = open(&self.path, files)?;
            let stat = file.stat().map_err(|error| cannot("look at", &self.path, &error))?;
            self.found = Words::of(stat);
        }
        Ok(self.words())
    }

    /// What holds with this batch, as long as that has no dead letter for a file that is missing.
    pub(super) fn words(&self) -> Json {
        let mut words = match &self.words {
            None if self.batch.is_empty() => return Json::Null,
            words => words.clone().unwrap_or_else(|| self.found.clone()),
        };
        words.pending.push_str(&self.batch);
        serde_json::to_value(&words).unwrap_or_default()
    }

    /// Appends the batch, now that its words are on record.
    ///
    /// # Errors
    /// It may be half done, which [`DeadLetters::begin`] mends.
    pub(super) fn carry_out(&mut self, files: &dyn Files) -> Result<()> {
        let recorded = self.words();
        self.carried_out = None;
        if !self.batch.is_empty() {
            let words = self.words.get_or_insert_with(|| self.found.clone());
            words.pending.push_str(&std::mem::take(&mut self.batch));
        }
        self.complete(files)?;
        self.carried_out = Some(recorded);
        Ok(())
    }

    /// Whether the batch has any.
    pub(super) fn are_pending(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Drops the batch.
    pub(super) fn roll_back(&mut self) {
        self.batch.clear();
    }

    fn complete(&mut self, files: &dyn Files) -> Result<()> {
        let Some(words) = self.words.as_mut().filter(|words| !words.pending.is_empty()) else {
            return Ok(());
        };
        let stat = append_pending(&self.path, words, files)?;
        *words =
            Words { device: stat.device, inode: stat.inode, length: stat.length, pending: String::new() };
        Ok(())
    }
}

fn open(path: &Path, files: &dyn Files) -> Result<Box<dyn OpenFile>> {
    files.open_to_append(path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => schema(format!(
            "{}: another flow or program holds it: a file belongs to one flow",
            path.display()
        )),
        _ => cannot("open", path, &error),
    })
}

/// Brings what is pending into the file, unless it is there.
fn append_pending(path: &Path, words: &Words, files: &dyn Files) -> Result<Stat> {
    let cannot = |what: &str, error: &io::Error| cannot(what, path, error);
    let mut file = open(path, files)?;
    let stat = file.stat().map_err(|error| cannot("look at", &error))?;
    let torn_bytes = torn(file.as_ref(), stat, words).map_err(|error| cannot("read", &error))?;
    if let Some(torn_bytes) = torn_bytes {
        let length = stat.length.saturating_sub(torn_bytes);
        if torn_bytes > 0 {
            file.cut(length).map_err(|error| cannot("cut", &error))?;
        }
        if !ends_a_line(file.as_ref(), length).map_err(|error| cannot("read", &error))? {
            file.append(b"\n").map_err(|error| cannot("write", &error))?;
        }
        file.append(words.pending.as_bytes()).map_err(|error| cannot("write", &error))?;
    }
    file.sync().map_err(|error| cannot("make durable", &error))?;
    files.sync_folder(folder_of(path)).map_err(|error| cannot("make the name durable of", &error))?;
    file.stat().map_err(|error| cannot("look at", &error))
}

/// Whether somebody gave the file another name in its folder after what is pending was written to it, as is done to feed it
/// back: once more in a new file, the records would be fed twice.
fn is_put_aside(path: &Path, words: &Words, files: &dyn Files) -> Result<bool> {
    let pending = words.pending.as_bytes();
    if pending.is_empty() || stat_if_any(path, files)?.is_some_and(|stat| words.fit(stat)) {
        return Ok(false);
    }
    let holds = |name: &PathBuf| {
        let is_candidate = files.stat(name).is_ok_and(|stat| words.fit(stat));
        let file = files.open(name).ok().filter(|_| is_candidate);
        file.is_some_and(|mut file| {
            let there = read_up_to(file.as_ref(), words.length, pending.len());
            // A crash may have come before it was made durable.
            there.is_ok_and(|there| there == pending) && file.sync().is_ok()
        })
    };
    // What cannot be looked at was not put there by us.
    Ok(files.list(folder_of(path)).unwrap_or_default().iter().any(holds))
}

/// How many bytes at its end are to be cut off before what is pending can be appended; none: all of it is there, and others
/// have written since. What is all there at the end is written once more: a sync that failed may have lost it, and the next
/// one says nothing of that.
fn torn(file: &dyn OpenFile, stat: Stat, words: &Words) -> io::Result<Option<u64>> {
    let pending = words.pending.as_bytes();
    if words.fit(stat) {
        // Where people left a line without an end, it was ended before ours were written.
        let end = if ends_a_line(file, words.length)? { "" } else { "\n" };
        let ours = [end.as_bytes(), pending].concat();
        let there = read_up_to(file, words.length, ours.len())?;
        let surplus = stat.length - words.length;
        if there == ours && surplus > ours.len() as u64 {
            return Ok(None);
        }
        // What is not ours stays.
        let is_ours = surplus <= ours.len() as u64 && begins_like(&there, &ours);
        return Ok(Some(if is_ours { surplus } else { 0 }));
    }
    // Begun or emptied since: as much as the file ends in.
    let tail = read_up_to(file, stat.length.saturating_sub(pending.len() as u64), pending.len())?;
    let is_ours = |bytes: &usize| begins_like(tail.get(tail.len() - bytes..).unwrap_or_default(), pending);
    Ok(Some((0..=tail.len()).rev().find(is_ours).unwrap_or_default() as u64))
}

/// Whether this is how our lines begin, as far as a power cut has not made zeros of it: it may lose any part of what
/// was appended, and leave what comes after. No line holds a zero.
fn begins_like(there: &[u8], ours: &[u8]) -> bool {
    let lines = ours.get(..there.len()).unwrap_or_default();
    there.len() == lines.len() && there.iter().zip(lines).all(|(found, line)| *found == *line || *found == 0)
}

fn line(text: &str, reason: &str, place: &Place<'_>) -> String {
    let mut out = b"{\"record\":".to_vec();
    if text.len() <= limits::DEAD_LETTER_RECORD_BYTES_MAX && is_object(text) {
        render::push_on_one_line(text.trim(), &mut out);
    } else {
        let end = text.floor_char_boundary(limits::DEAD_LETTER_RECORD_BYTES_MAX);
        render::push_string(text.get(..end).unwrap_or_default(), &mut out);
    }
    out.extend_from_slice(b",\"reason\":");
    render::push_string(reason, &mut out);
    out.extend_from_slice(b",\"from\":{\"path\":");
    render::push_string(place.path, &mut out);
    match place.at {
        At::Offset(offset) => out.extend_from_slice(format!(",\"offset\":{offset}").as_bytes()),
        At::Cursor(value) => {
            out.extend_from_slice(b",\"cursor\":");
            if render::json_value(value, None, &mut out).is_err() {
                out.extend_from_slice(b"null");
            }
        }
    }
    out.extend_from_slice(b"}}\n");
    String::from_utf8_lossy(&out).into_owned()
}

fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && render::is_json(text)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    schema(format!("cannot {what} {}: {error}", path.display()))
}

fn schema(message: String) -> Failure {
    Failure::new(ErrorKind::Schema, message)
}

#[cfg(test)]
mod tests;
