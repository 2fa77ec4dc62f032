//! The part of a file that is in memory.

use std::io;

use super::position::TAIL_BYTES;
use crate::pipeline::files::OpenFile;

/// Bytes that are read at a time, at least.
const CHUNK_BYTES: usize = 64 * 1024;

/// A buffer that is used again and again; it grows to a record's length at most and a chunk.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// What was read is in front.
    buffer: Vec<u8>,
    length: usize,
    /// Where in the file it begins: some bytes before our place, by which the file is known again.
    start: u64,
}

impl Window {
    /// Forgets what it holds, to read from this place.
    pub(super) fn move_to(&mut self, offset: u64) {
        self.length = 0;
        self.start = offset.saturating_sub(TAIL_BYTES as u64);
    }

    /// What it holds from this place on.
    pub(super) fn after(&self, offset: u64) -> &[u8] {
        self.bytes().get(self.index(offset)..).unwrap_or_default()
    }

    /// The bytes just before this place.
    pub(super) fn before(&self, offset: u64) -> &[u8] {
        let index = self.index(offset);
        self.bytes().get(index.saturating_sub(TAIL_BYTES)..index).unwrap_or_default()
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }

    fn index(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }

    /// Reads more, and forgets what is before this place; false at the file's end.
    pub(super) fn fill(&mut self, file: &dyn OpenFile, offset: u64) -> io::Result<bool> {
        let passed = self.index(offset).saturating_sub(TAIL_BYTES).min(self.length);
        self.buffer.copy_within(passed..self.length, 0);
        self.length -= passed;
        self.start += passed as u64;
        // Twice as much as waits, so that a long record is looked through a few times only.
        let wanted = self.length + self.length.max(CHUNK_BYTES);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let room = self.buffer.get_mut(self.length..wanted).unwrap_or_default();
        let read = loop {
            match file.read_at(room, self.start + self.length as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.length += read;
        Ok(read > 0)
    }

    /// Memory that it takes.
    #[cfg(test)]
    pub(super) const fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
    }
}
