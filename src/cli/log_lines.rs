//! Lines for a reader who may be slow, stuck or gone: standard error is written to only as far as it takes something at
//! once, so that whoever reads the log cannot hold up the daemon. What finds no room is counted, and told with the first line
//! that does.
//!
//! Invariant: a line is written whole or not at all, however often it takes.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

use crate::limits;

/// Says how many lines were left out, as a line.
type LeftOut = fn(u64) -> String;

/// A log whose reader is not waited for.
#[derive(Debug)]
pub(super) struct LogLines<F> {
    file: F,
    /// The rest of what was begun.
    unwritten: Vec<u8>,
    left_out: u64,
    tell_left_out: Option<LeftOut>,
}

impl<F: AsFd> LogLines<F> {
    pub(super) fn new(file: F, tell_left_out: Option<LeftOut>) -> Self {
        Self { file, unwritten: Vec::new(), left_out: 0, tell_left_out }
    }

    fn take(&mut self, line: &[u8]) {
        if !self.write_on() {
            self.left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut self.left_out);
        if let Some(tell) = self.tell_left_out.filter(|_| left_out > 0) {
            self.unwritten.extend_from_slice(tell(left_out).as_bytes());
        }
        self.unwritten.extend_from_slice(line);
        self.write_on();
    }

    /// Writes what is there, as far as it is taken; whether nothing is left.
    fn write_on(&mut self) -> bool {
        while !self.unwritten.is_empty() {
            if !has_room(&self.file) {
                return false;
            }
            let piece = self.unwritten.len().min(limits::LOG_PIECE_BYTES);
            match rustix::io::write(&self.file, &self.unwritten[..piece]) {
                Ok(written) => drop(self.unwritten.drain(..written)),
                Err(Errno::INTR) => {}
                // Nobody reads, or the disk is full: the rest waits for better times.
                Err(_) => return false,
            }
        }
        true
    }
}

impl<F: AsFd> io::Write for LogLines<F> {
    /// Takes one line, or several, with their line breaks.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether [`limits::LOG_PIECE_BYTES`] can be written without waiting. `O_NONBLOCK` would say it as well, but holds for
/// everybody who shares the terminal or pipe (open(2)).
fn has_room(file: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(file, PollFlags::OUT)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn left_out(count: u64) -> String {
        format!("{count} left out\n")
    }

    #[test]
    fn a_reader_that_does_not_read_gets_whole_lines_and_the_number_of_those_left_out() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = LogLines::new(writer, Some(left_out));
        // Longer than a piece, and no part of a pipe's capacity.
        let line = |number: usize| format!("{number} {}\n", "x".repeat(5000));
        for number in 0..100 {
            lines.write_all(line(number).as_bytes()).unwrap();
        }
        let mut read = vec![0; 64 * 1024];
        let count = reader.read(&mut read).unwrap();
        read.truncate(count);
        lines.write_all(b"after\n").unwrap();
        drop(lines);
        reader.read_to_end(&mut read).unwrap();
        let text = String::from_utf8(read).unwrap();
        let told: Vec<&str> = text.lines().collect();
        let kept = told.len() - 2;
        assert!((1..100).contains(&kept), "{kept}");
        for (number, told) in told.iter().take(kept).enumerate() {
            assert_eq!(format!("{told}\n"), line(number));
        }
        assert_eq!(told[kept..], [format!("{} left out", 100 - kept).as_str(), "after"]);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut lines = LogLines::new(writer, Some(left_out));
        for _ in 0..100 {
            lines.write_all(b"a line\n").unwrap();
        }
        assert_eq!(lines.unwritten.len(), 7, "no more than a line waits");
    }
}
