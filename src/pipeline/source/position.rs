//! Where reading got to, file by file, and how a file is known again: by its number, its beginning and what stands just
//! before the place that was reached.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;

use crate::pipeline::files::{Files, OpenFile, Stat, ends_a_line, read_up_to};
use crate::pipeline::render;

/// Bytes at the beginning of a file that it is known by.
const HEAD_BYTES: usize = 1024;
/// Bytes by which a file is known that lost most of its head.
const START_BYTES: usize = 64;
/// Bytes before the place that was reached.
pub(super) const TAIL_BYTES: usize = 64;
/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;

/// A source's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// Files that were read, the last one last.
    pub(super) files: Vec<Entry>,
}

/// A file that was read, as far as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Its path then.
    pub(super) path: String,
    /// The path under which it was read, where it has left the pattern since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes of it that were passed.
    pub(super) offset: u64,
    head: String,
    head_bytes: usize,
    /// The same of its very first bytes; empty where the file is shorter.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    start: String,
    tail: String,
    tail_bytes: usize,
    /// The start of the system in which all this held.
    boot: String,
    /// When it was last written, as of then, in nanoseconds since 1970; older cursors do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified_ns: Option<i64>,
    /// Why it is in its folder no more, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) absence: Option<Absence>,
    /// Whether what follows, up to the line's end, belongs to a record that was given up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) skipping: bool,
}

/// What is known of a file that is in its folder no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Absence {
    /// It may come back.
    Away,
    /// Others have followed it, and that was told.
    Lost,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Position {
    /// What a cursor says; null says nothing.
    pub(super) fn parse(cursor: &Json) -> Result<Self, String> {
        if cursor.is_null() {
            return Ok(Self::default());
        }
        let position = Self::deserialize(cursor).map_err(|error| {
            format!("the cursor is none of a file source: {error}; null, or one that was shown before, would be right")
        })?;
        let too_long = |entry: &Entry| entry.head_bytes > HEAD_BYTES || entry.tail_bytes > TAIL_BYTES;
        if position.files.iter().any(too_long) {
            return Err(format!(
                "the cursor knows a file by too much of it; at most {HEAD_BYTES} for head_bytes and {TAIL_BYTES} for \
                 tail_bytes would be right"
            ));
        }
        Ok(position)
    }

    /// As the cursor.
    pub(super) fn to_json(&self) -> Result<Json, String> {
        serde_json::to_value(self).map_err(|error| error.to_string())
    }

    /// The place of a file in the list.
    pub(super) fn find(&self, stat: &Stat) -> Option<usize> {
        self.files.iter().position(|entry| entry.is_numbered(stat))
    }

    /// How far a file was read.
    pub(super) fn offset(&self, stat: &Stat) -> u64 {
        self.files.iter().find(|entry| entry.is_numbered(stat)).map_or(0, |entry| entry.offset)
    }

    /// Forgets a file that nobody can write any more. Of the last one it is kept from when on others followed it.
    pub(super) fn forget(&mut self, stat: &Stat) {
        match self.files.last_mut() {
            Some(last) if last.is_numbered(stat) => last.retire(),
            _ => self.files.retain(|entry| !entry.is_numbered(stat)),
        }
    }

    /// Puts a file last, in place of what was known of it.
    pub(super) fn put_last(&mut self, entry: Entry) {
        self.files.retain(|other| (other.device, other.inode) != (entry.device, entry.inode));
        self.files.push(entry);
    }
}

/// Whether a file is the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is, and goes on where we left.
    Same,
    /// It is, but lost what was written last before a power cut.
    Cut,
    /// It is another, or was begun anew.
    Other,
}

impl Entry {
    /// A file of which nothing was read.
    pub(super) fn new(path: &str, stat: &Stat) -> Self {
        Self { path: path.to_owned(), device: stat.device, inode: stat.inode, ..Self::default() }
    }

    /// Whether nothing speaks for a file's having changed since it was read to its end.
    pub(super) fn is_unwritten(&self, path: &Path, stat: &Stat) -> bool {
        path == Path::new(&self.path)
            && stat.length == self.offset
            && self.modified_ns.is_some_and(|time| i128::from(time) == stat.modified_ns)
    }

    /// Whether a file has this number, whatever it holds.
    pub(super) const fn is_numbered(&self, stat: &Stat) -> bool {
        self.device == stat.device && self.inode == stat.inode
    }

    /// The path under which it was read.
    pub(super) fn origin(&self) -> &str {
        self.origin.as_deref().unwrap_or(&self.path)
    }

    /// Notes where it is now, and whether that is where it is read from.
    pub(super) fn move_to(&mut self, path: &Path, is_read_there: bool) {
        let path = path.to_string_lossy();
        if is_read_there {
            self.origin = None;
        } else if path != self.path {
            self.origin.get_or_insert_with(|| self.path.clone());
        }
        self.path = path.into_owned();
    }

    /// Whether a file with our number or content may be the one that was away: not one that was written anew since then,
    /// with the same content or by chance with the same number.
    pub(super) fn may_be_back(&self, stat: &Stat, is_ours_by_name: bool) -> bool {
        self.absence.is_none()
            || self.modified_ns.is_none_or(|time| i128::from(time) == stat.modified_ns)
            || (is_ours_by_name && stat.length > self.offset)
    }

    /// Notes that the file is no more, and another has its number.
    pub(super) const fn retire(&mut self) {
        (self.device, self.inode) = (0, 0);
        self.absence = Some(Absence::Lost);
    }

    /// Whether the file is known to be no more: no file has this number.
    pub(super) const fn is_retired(&self) -> bool {
        self.device == 0 && self.inode == 0
    }

    /// Whether there is anything to know the file by.
    pub(super) const fn is_known(&self) -> bool {
        self.head_bytes > 0
    }

    /// Whether it is known by so much that no other file can be taken for it.
    pub(super) const fn is_well_known(&self) -> bool {
        self.head_bytes == HEAD_BYTES
    }

    /// Whether this is from another start of the system.
    pub(super) fn is_before_boot(&self, files: &dyn Files) -> bool {
        !self.boot.is_empty() && !files.boot_id().is_empty() && self.boot != files.boot_id()
    }

    /// Notes what is true now of a file that is the one that was read; whether that is news.
    pub(super) fn note_as_it_is(&mut self, stat: &Stat, files: &dyn Files) -> bool {
        // A copy was written later than what it is of.
        let modified_ns = match stat.length == self.offset {
            true => i64::try_from(stat.modified_ns).ok(),
            false => self.modified_ns,
        };
        let is_news = modified_ns != self.modified_ns || self.is_before_boot(files);
        self.modified_ns = modified_ns;
        if self.is_before_boot(files) {
            self.note_boot(files);
        }
        is_news
    }

    /// Notes that it held in this start of the system too.
    fn note_boot(&mut self, files: &dyn Files) {
        files.boot_id().clone_into(&mut self.boot);
    }

    /// Whether a file begins as it did, and holds before our place what it held.
    pub(super) fn fits(&self, file: &dyn OpenFile) -> io::Result<bool> {
        Ok(file.stat()?.length >= self.offset && self.head_fits(file)? && self.tail_fits(file)?)
    }

    /// Whether a file begins as it did.
    pub(super) fn head_fits(&self, file: &dyn OpenFile) -> io::Result<bool> {
        let head = read_up_to(file, 0, self.head_bytes)?;
        Ok(head.len() == self.head_bytes && hash(&head) == self.head)
    }

    /// Of a file that is shorter than the head we know, or has holes; one of a few bytes, or whose start is a hole, may be the
    /// same, and is not read twice.
    fn start_fits(&self, file: &dyn OpenFile) -> io::Result<bool> {
        let start = read_up_to(file, 0, START_BYTES)?;
        let tells_nothing = self.start.is_empty() || start.len() < START_BYTES || start.contains(&0);
        Ok(tells_nothing || hash(&start) == self.start)
    }

    fn tail_fits(&self, file: &dyn OpenFile) -> io::Result<bool> {
        let start = self.offset.saturating_sub(u64::try_from(self.tail_bytes).unwrap_or_default());
        let tail = read_up_to(file, start, self.tail_bytes)?;
        Ok(tail.len() == self.tail_bytes && hash(&tail) == self.tail)
    }

    /// Passes what is there of a record that was given up.
    pub(super) fn skip(&mut self, bytes: &[u8]) {
        let line_break = memchr::memchr(b'\n', bytes);
        self.skipping = line_break.is_none();
        self.offset += line_break.map_or(bytes.len(), |end| end + 1) as u64;
    }

    /// Judges the file that has our number now.
    pub(super) fn judge(&self, file: &dyn OpenFile, files: &dyn Files) -> io::Result<Standing> {
        if self.fits(file)? {
            return Ok(Standing::Same);
        }
        let length = usize::try_from(file.stat()?.length).unwrap_or(usize::MAX);
        let may_be_same =
            if length < self.head_bytes { self.start_fits(file)? } else { self.head_fits(file)? };
        let may_have_lost = self.head_has_hole(file)? && self.start_fits(file)?;
        let may_be_same = self.is_before_boot(files) && (may_be_same || may_have_lost);
        Ok(if may_be_same { Standing::Cut } else { Standing::Other })
    }

    /// Whether zeros stand in its head, which a text does not hold: a power cut may leave a file its length, and nothing of
    /// what was written there last.
    fn head_has_hole(&self, file: &dyn OpenFile) -> io::Result<bool> {
        Ok(read_up_to(file, 0, self.head_bytes)?.contains(&0))
    }

    /// Judges a file that may be a copy of ours: one that lost its end is only known by a whole head.
    pub(super) fn judge_copy(&self, file: &dyn OpenFile, files: &dyn Files) -> io::Result<Standing> {
        let standing = self.judge(file, files)?;
        let has_a_head =
            self.is_well_known() && has_whole_head(&file.stat()?) && !self.head_has_hole(file)?;
        Ok(if standing == Standing::Cut && !has_a_head { Standing::Other } else { standing })
    }

    /// Goes on with a file that lost its end: where it ends now, or else with the next line after our place.
    pub(super) fn settle(&mut self, file: &dyn OpenFile, files: &dyn Files) -> io::Result<()> {
        let length = file.stat()?.length;
        // Zeros were never written over since, so that our place is still between two lines.
        let is_after_hole = read_before(file, self.offset)?.last() == Some(&0);
        self.skipping = length > self.offset && !is_after_hole && !ends_a_line(file, self.offset)?;
        self.offset = self.offset.min(length);
        self.head_bytes = 0;
        self.note(file, &read_before(file, self.offset)?, files)
    }

    /// Begins at a file's end, or after it where it is in the middle of a line.
    pub(super) fn begin_at_end(&mut self, file: &dyn OpenFile, files: &dyn Files) -> io::Result<()> {
        self.offset = file.stat()?.length;
        self.skipping = !ends_a_line(file, self.offset)?;
        self.note(file, &read_before(file, self.offset)?, files)
    }

    /// Notes what the file is known by; `tail` is what was read just before our place, which by now may hold other bytes.
    pub(super) fn note(&mut self, file: &dyn OpenFile, tail: &[u8], files: &dyn Files) -> io::Result<()> {
        self.tail = hash(tail);
        self.tail_bytes = tail.len();
        self.modified_ns = i64::try_from(file.stat()?.modified_ns).ok();
        if self.head_bytes < HEAD_BYTES {
            let head = read_up_to(file, 0, HEAD_BYTES)?;
            // It may have been begun anew just now: then what it was known by holds.
            let known = head.get(..self.head_bytes).unwrap_or_default();
            if self.head_bytes == 0 || (known.len() == self.head_bytes && hash(known) == self.head) {
                self.head = hash(&head);
                self.head_bytes = head.len();
                self.start = head.get(..START_BYTES).map(hash).unwrap_or_default();
            }
        }
        self.note_boot(files);
        Ok(())
    }
}

/// Whether a file is long enough to be well known.
pub(super) const fn has_whole_head(stat: &Stat) -> bool {
    stat.length >= HEAD_BYTES as u64
}

fn read_before(file: &dyn OpenFile, offset: u64) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(offset).unwrap_or(TAIL_BYTES).min(TAIL_BYTES);
    read_up_to(file, offset - u64::try_from(bytes).unwrap_or_default(), bytes)
}

fn hash(bytes: &[u8]) -> String {
    render::short_hash(&Sha256::digest(bytes), HASH_BYTES)
}
