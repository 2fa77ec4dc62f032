//! The source against real files.

use super::*;
use crate::flow::From;
use crate::pipeline::files::SystemFiles;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const ALL: Room = Room { records: usize::MAX, bytes: usize::MAX };

static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// A folder, a source in it, and what it yielded.
struct Bench {
    folder: PathBuf,
    settings: flow::FileSource,
    source: FileSource,
    files: SystemFiles,
    cursor: Json,
    warnings: Vec<String>,
    is_end: bool,
    bytes: u64,
}

impl Bench {
    fn new(name: &str, format: Format) -> Self {
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("heartbeat-file-source-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let settings =
            flow::FileSource { path: folder.join(name), format, from: From::Start, missing: Missing::Wait };
        Self {
            source: FileSource::new(&settings),
            folder,
            settings,
            files: SystemFiles::default(),
            cursor: Json::Null,
            warnings: Vec::new(),
            is_end: false,
            bytes: 0,
        }
    }

    fn lines() -> Self {
        Self::new("x.log", Format::Lines)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// As logrotate's `copytruncate` does it.
    fn copy_and_truncate(&self, from: &str, to: &str) {
        fs::copy(self.path(from), self.path(to)).unwrap();
        self.cut(from, 0);
    }

    fn cut(&self, name: &str, length: u64) {
        fs::OpenOptions::new().write(true).open(self.path(name)).unwrap().set_len(length).unwrap();
    }

    /// As if it had been written so many seconds ago.
    fn age(&self, name: &str, seconds: u64) {
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        fs::File::open(self.path(name)).unwrap().set_modified(time).unwrap();
    }

    /// As after a start of the program: what is kept is the cursor alone.
    fn restart(&mut self) {
        self.source = FileSource::new(&self.settings);
    }

    /// As after a start of the system: another boot is on record than this one.
    fn reboot(&mut self) {
        self.restart();
        for entry in self.cursor["files"].as_array_mut().unwrap() {
            entry["boot"] = "an earlier one".into();
        }
    }

    fn try_read(&mut self, room: Room) -> Result<Vec<String>> {
        let mut yielded = Vec::new();
        let progress = self.source.read(&self.cursor, room, &self.files, &mut |what, _| {
            yielded.push(told(&what));
            Ok(())
        })?;
        self.cursor = progress.cursor;
        self.warnings = progress.warnings;
        self.is_end = progress.is_end;
        self.bytes += progress.bytes;
        Ok(yielded)
    }

    fn read(&mut self) -> Vec<String> {
        self.try_read(ALL).unwrap()
    }

    /// Reads with so much room until the end, as a new source each time.
    fn read_in_steps(&mut self, room: Room) -> Vec<String> {
        let mut yielded = Vec::new();
        loop {
            let step = self.try_read(room).unwrap();
            assert!(step.len() <= room.records);
            yielded.extend(step);
            if self.is_end {
                return yielded;
            }
            self.restart();
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn told(yielded: &Yielded<'_>) -> String {
    match yielded {
        Yielded::Record(record) => match record.fields.as_slice() {
            [(name, crate::pipeline::record::Value::Text(text))] if name == "line" => text.to_string(),
            fields => format!("{fields:?}"),
        },
        Yielded::Malformed { reason, .. } => format!("! {reason}"),
    }
}

/// The next of a row of numbers that look random.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

mod content;
mod lost;
mod rotated;
