//! A file that grows: what it yields in two looks has to be what it yields in one.

use heartbeat_runtime::flow::{FileSource as Settings, Format, From, Missing};
use heartbeat_runtime::pipeline::files::{Files, OpenFile, Space, Stat};
use heartbeat_runtime::pipeline::record::{At, Yielded};
use heartbeat_runtime::pipeline::source::file::FileSource;
use heartbeat_runtime::pipeline::source::{Room, Source};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(super) const PATH: &str = "/box/file";
pub(super) const ROOM: Room = Room { records: 64, bytes: 4096 };

/// One file, as much of it as is written.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    bytes: Rc<[u8]>,
    written: Rc<Cell<usize>>,
}

impl Growing {
    /// All of it.
    pub(super) fn whole(bytes: &[u8]) -> Self {
        Self { bytes: bytes.into(), written: Rc::new(Cell::new(bytes.len())) }
    }

    fn stat(&self) -> Stat {
        Stat { device: 1, inode: 1, length: self.written.get() as u64, modified_ns: 0 }
    }
}

impl Files for Growing {
    fn open(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Files::stat(self, path)?;
        Ok(Box::new(self.clone()))
    }

    fn open_to_append(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        unreachable!("a source writes nothing")
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        if path == Path::new(PATH) { Ok(self.stat()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(vec![PATH.into()])
    }

    fn list_folders(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        unreachable!("a source of files asks for none")
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn boot_id(&self) -> &str {
        "boot"
    }
}

impl OpenFile for Growing {
    fn stat(&self) -> io::Result<Stat> {
        Ok(Self::stat(self))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let written = &self.bytes[..self.written.get()];
        let rest = usize::try_from(offset).ok().and_then(|offset| written.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }

    fn sync(&mut self) -> io::Result<()> {
        unreachable!("a source writes nothing")
    }
}

/// The first two bytes say where the rest is split.
pub fn check(data: &[u8], format: Format) {
    let Some(([high, low], bytes)) = data.split_first_chunk().map(|(head, rest)| (*head, rest)) else {
        return;
    };
    let split = usize::from(u16::from_be_bytes([high, low])) % (bytes.len() + 1);
    assert_eq!(yielded(bytes, format, &[bytes.len()]), yielded(bytes, format, &[split, bytes.len()]));
}

/// What comes out when the file is so long at each look; a failure comes last.
fn yielded(bytes: &[u8], format: Format, lengths: &[usize]) -> Vec<String> {
    let settings = Settings { path: PATH.into(), format, from: From::Start, missing: Missing::Wait };
    let files = Growing { bytes: bytes.into(), written: Rc::default() };
    let mut source = FileSource::new(&settings);
    let (mut cursor, mut passed, mut yielded) = (Json::Null, 0, Vec::new());
    for &length in lengths {
        files.written.set(length);
        loop {
            let mut records = 0;
            let progress = source.read(&cursor, ROOM, &files, &mut |what, place| {
                let At::Offset(offset) = place.at else { unreachable!("a file has offsets") };
                assert!(offset < length as u64);
                if let Yielded::Record(record) = &what
                    && let Some(json) = &record.json
                {
                    // Not as a value: a number may be beyond what one holds.
                    assert!(json.starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok());
                }
                records += 1;
                yielded.push(format!("{offset} {what:?}"));
                Ok(())
            });
            let progress = match progress {
                Ok(progress) => progress,
                Err(failure) => {
                    yielded.push(failure.message);
                    return yielded;
                }
            };
            assert!(records <= ROOM.records && progress.warnings.is_empty());
            assert_eq!(progress.bytes == 0, progress.cursor == cursor);
            assert_eq!(source.check_cursor(&progress.cursor), Ok(()));
            passed += progress.bytes;
            cursor = progress.cursor;
            if progress.is_end {
                break;
            }
        }
    }
    assert!(passed <= bytes.len() as u64);
    yielded
}
