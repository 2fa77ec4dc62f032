//! Standard output that is kept whole, up to a limit: the records of a source.

use mio::unix::pipe::Receiver;
use std::io::Read;

use super::connection::retry;

/// What a child has written so far.
#[derive(Debug)]
pub(super) struct Kept {
    /// None: it is at its end, or there is too much of it.
    pipe: Option<Receiver>,
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Kept {
    pub(super) const fn new(pipe: Receiver, bytes_max: usize) -> Self {
        Self { pipe: Some(pipe), bytes: Vec::new(), bytes_max }
    }

    /// Reads at most so many bytes; true if there may be more.
    pub(super) fn drain(&mut self, buffer: &mut [u8], bytes_max: usize) -> bool {
        let Some(pipe) = self.pipe.as_mut() else { return false };
        let mut left = bytes_max;
        while left > 0 {
            // One byte too many shows that there are.
            let room = (self.bytes_max - self.bytes.len()).saturating_add(1).min(left).min(buffer.len());
            match retry(|| pipe.read(&mut buffer[..room])) {
                Ok(None) => return false,
                Ok(Some(0)) | Err(_) => break,
                Ok(Some(count)) => {
                    self.bytes.extend_from_slice(&buffer[..count]);
                    left -= count;
                }
            }
            if self.bytes.len() > self.bytes_max {
                break;
            }
            if left == 0 {
                return true;
            }
        }
        self.pipe = None;
        false
    }

    /// Whether there is more than may be.
    pub(super) const fn is_too_much(&self) -> bool {
        self.bytes.len() > self.bytes_max
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
