//! The part of a file that is in memory.

use std::io;

use super::position::TAIL_BYTES;
use crate::pipeline::files::OpenFile;

/// Bytes that are read at a time, at least.
const CHUNK_BYTES: usize = 64 * 1024;

/// A buffer that is used again and again; it grows to a record's length at most and a chunk.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// Where in the file it begins: some bytes before our place, by which the file is known again.
    start: u64,
}

impl Window {
    /// Forgets what it holds, to read from this place.
    pub(super) fn move_to(&mut self, offset: u64) {
        self.bytes.clear();
        self.start = offset.saturating_sub(TAIL_BYTES as u64);
    }

    /// What it holds from this place on.
    pub(super) fn after(&self, offset: u64) -> &[u8] {
        self.bytes.get(self.index(offset)..).unwrap_or_default()
    }

    /// The bytes just before this place.
    pub(super) fn before(&self, offset: u64) -> &[u8] {
        let index = self.index(offset);
        self.bytes.get(index.saturating_sub(TAIL_BYTES)..index).unwrap_or_default()
    }

    fn index(&self, offset: u64) -> usize {
        usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }

    /// Reads more, and forgets what is before this place; false at the file's end.
    pub(super) fn fill(&mut self, file: &dyn OpenFile, offset: u64) -> io::Result<bool> {
        let passed = self.index(offset).saturating_sub(TAIL_BYTES).min(self.bytes.len());
        self.bytes.drain(..passed);
        self.start += passed as u64;
        let length = self.bytes.len();
        // Twice as much as waits, so that a long record is looked through a few times only.
        self.bytes.resize(length + length.max(CHUNK_BYTES), 0);
        let room = self.bytes.get_mut(length..).unwrap_or_default();
        let read = loop {
            match file.read_at(room, self.start + length as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(length + read.as_ref().copied().unwrap_or_default());
        read.map(|count| count > 0)
    }

    /// Memory that it takes.
    #[cfg(test)]
    pub(super) const fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}
