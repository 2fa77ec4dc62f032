//! Whoever writes the files that a pipeline reads: lines, halves of lines, and lines that are none, in files that are put
//! aside under another name, or copied and begun anew. Each line has a number of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::random::Random;

/// So that every number has as many digits, and nothing else has.
pub(crate) const FIRST_NUMBER: u64 = 100_000;
const DIGITS: usize = 6;
/// What a source knows a file by.
const KNOWN_BY_BYTES: usize = 1024;

/// A writer and its files.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    live: PathBuf,
    /// The number of its next line.
    pub(crate) next: u64,
    /// What is left to write of a line.
    half: Option<String>,
    /// Whether it writes lines that its pipeline's schema rejects.
    breaks_schema: bool,
    renames: bool,
    copies: bool,
    /// Whether the source has read of its file and knows it: what is put aside before that is none of the source's.
    pub(crate) is_followed: bool,
    /// A power cut took something of its files, and no run that began after this one has looked at them since.
    pub(crate) unsettled_since: Option<i64>,
    /// Whether it waits for that look. A file that lost some of what it is known by, and has grown again since, cannot be
    /// told from another.
    waits: bool,
    /// Lines that it did not wait with: they may be lost, and not doubled.
    pub(crate) excused: BTreeSet<u64>,
}

impl Writer {
    pub(crate) fn new(folder: PathBuf, breaks_schema: bool, random: &mut Random) -> Self {
        Self {
            live: folder.join("in.jsonl"),
            folder,
            next: FIRST_NUMBER,
            half: None,
            breaks_schema,
            renames: random.percent(70),
            copies: random.percent(40),
            is_followed: false,
            unsettled_since: None,
            waits: false,
            excused: BTreeSet::new(),
        }
    }

    /// Writes something, or does something else with its files; what, in words.
    pub(crate) fn act(&mut self, disk: &Disk, random: &mut Random) -> String {
        if self.unsettled_since.is_some() && self.waits {
            return format!("the writer of {} waits", self.folder.display());
        }
        let did = match random.below(100) {
            0..60 => {
                let count = 1 + random.below(5);
                (0..count).for_each(|_| self.write_line(disk, random));
                format!("{count} lines up to {}", self.next - 1)
            }
            60..72 => {
                self.finish_line(disk);
                let line = self.line(random);
                let (begun, rest) = line.split_at(random.index(line.len()));
                disk.append(&self.live, begun.as_bytes());
                self.half = Some(rest.to_owned());
                format!("half of line {}", self.next - 1)
            }
            72..84 => {
                self.finish_line(disk);
                disk.sync(&self.live);
                "a sync".to_owned()
            }
            84..92 if self.renames && self.is_followed => {
                self.put_aside(disk);
                if random.one_in(2) {
                    disk.sync(&self.live);
                }
                "a file put aside".to_owned()
            }
            92..100 if self.copies && self.is_followed => {
                self.copy_and_empty(disk);
                "a file copied and emptied".to_owned()
            }
            _ => "nothing".to_owned(),
        };
        format!("the writer of {}: {did}", self.folder.display())
    }

    /// The power is back, and perhaps something is lost.
    pub(crate) fn begin_anew(&mut self, disk: &Disk, has_lost: bool, newest_run: i64, random: &mut Random) {
        self.half = None;
        if disk.read(&self.live).is_some_and(|content| content.last().is_some_and(|last| *last != b'\n')) {
            // A line that is torn ends here.
            self.half = Some("\n".to_owned());
        }
        if has_lost {
            self.unsettled_since = Some(newest_run);
            let is_short = disk.read(&self.live).is_none_or(|content| content.len() < KNOWN_BY_BYTES);
            self.waits = is_short || random.one_in(2);
        }
    }

    fn write_line(&mut self, disk: &Disk, random: &mut Random) {
        self.finish_line(disk);
        let line = self.line(random);
        disk.append(&self.live, line.as_bytes());
    }

    pub(crate) fn finish_line(&mut self, disk: &Disk) {
        if let Some(rest) = self.half.take() {
            disk.append(&self.live, rest.as_bytes());
        }
    }

    fn line(&mut self, random: &mut Random) -> String {
        let number = self.next;
        self.next += 1;
        if self.unsettled_since.is_some() {
            self.excused.insert(number);
        }
        match random.below(100) {
            0..5 => format!("#{number} is no JSON\n"),
            5..10 if self.breaks_schema => format!("{{\"n\":\"{number}\"}}\n"),
            _ => format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(random.index(60))),
        }
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.live.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    /// `x.1` becomes `x.2`, and so on.
    fn make_room(&self, disk: &Disk) {
        let taken = (1..).take_while(|number| disk.read(&self.aside(*number)).is_some());
        let last = taken.last().unwrap_or(0);
        for number in (1..=last).rev() {
            disk.rename(&self.aside(number), &self.aside(number + 1));
        }
    }

    fn put_aside(&mut self, disk: &Disk) {
        self.finish_line(disk);
        if disk.read(&self.live).is_none() {
            return;
        }
        self.make_room(disk);
        disk.rename(&self.live, &self.aside(1));
    }

    /// All of it durable at once: a copy beside a file that was not emptied is doubled by its writer.
    fn copy_and_empty(&mut self, disk: &Disk) {
        self.finish_line(disk);
        let Some(content) = disk.read(&self.live) else { return };
        self.make_room(disk);
        let copy = self.aside(1);
        disk.append(&copy, &content);
        disk.empty(&self.live);
        disk.sync(&copy);
        disk.sync(&self.live);
    }

    /// The numbers of the lines that are whole, file by file.
    pub(crate) fn lines(&self, disk: &Disk) -> Vec<(PathBuf, Vec<u64>)> {
        let whole = |content: &[u8]| {
            let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            numbers(&content[..end])
        };
        disk.contents(&self.folder).into_iter().map(|(path, _, content)| (path, whole(&content))).collect()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The number of each line that has one.
pub(crate) fn numbers(content: &[u8]) -> Vec<u64> {
    lines(content).filter_map(number).collect()
}

/// The lines, without their ends; the last may have none.
pub(crate) fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'\n', content).chain([content.len()]);
    ends.scan(0, |start, end| {
        let line = &content[*start..end];
        *start = end + 1;
        Some(line)
    })
    .filter(|line| !line.is_empty())
}

/// The first six digits in a row; those by which JSON escapes the zeros that a power cut left do not count.
pub(crate) fn number(line: &[u8]) -> Option<u64> {
    let (mut number, mut digits, mut escaped) = (0, 0, 0);
    for (at, byte) in line.iter().enumerate() {
        if line[at..].starts_with(b"\\u0000") {
            escaped = at + 6;
        }
        if at < escaped {
            (number, digits) = (0, 0);
            continue;
        }
        if !byte.is_ascii_digit() {
            (number, digits) = (0, 0);
            continue;
        }
        number = 10 * number + u64::from(byte - b'0');
        digits += 1;
        if digits == DIGITS {
            return Some(number);
        }
    }
    None
}
