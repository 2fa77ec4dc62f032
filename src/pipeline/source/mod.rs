//! The extension point for sources: one trait, one file for each, one registry.

mod csv;
mod exec;
mod feed;
pub mod file;
mod http;
mod jsonl;
mod lines;
mod names;
mod position;
mod rotation;
mod search;
mod sqlite;
mod system;
mod window;

use serde_json::Value as Json;
use std::fmt;
use std::path::Path;

use super::Result;
use super::files::Files;
use super::outside::{Happened, Need};
use super::record::{Place, Yielded};
use crate::flow::{Pipeline, SourceSettings};

/// How much a source may yield in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Records, malformed ones included.
    pub records: usize,
    /// Bytes, but for a single record.
    pub bytes: usize,
}

/// Takes what a source yields.
pub type Take<'t> = dyn FnMut(Yielded<'_>, Place<'_>) -> Result<()> + 't;

/// Where a source got to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// What to read after next time: the source's own words. Equal to the one before if nothing was passed.
    pub cursor: Json,
    /// Bytes taken in.
    pub bytes: u64,
    /// Whether there is no more for now.
    pub is_end: bool,
    /// What the operator should know: a file that was rotated away unread, for example.
    pub warnings: Vec<String>,
    /// What it needs before it can yield anything: then nothing was passed.
    pub needs: Option<Need>,
}

/// A place that records come from.
///
/// The cursor is all that it remembers for good; what else it keeps (open files) only saves work. The same cursor yields
/// the same records again, and perhaps more, unless [`Source::is_whole`].
pub trait Source: fmt::Debug {
    /// Yields what follows `cursor` (null: nothing was read yet), as far as there is room.
    ///
    /// # Errors
    /// It cannot be read, or `take` fails.
    fn read(&mut self, cursor: &Json, room: Room, files: &dyn Files, take: &mut Take<'_>)
    -> Result<Progress>;

    /// Takes what came of [`Progress::needs`].
    fn happened(&mut self, _: Happened) {}

    /// Whether what it yields in a run is taken whole or not at all, as it cannot be read again.
    fn is_whole(&self) -> bool {
        false
    }

    /// Bytes that follow `cursor` now; none: it cannot tell.
    fn unread_bytes(&self, _cursor: &Json, _: &dyn Files) -> Option<u64> {
        None
    }

    /// Judges a cursor that an operator sets.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    fn check_cursor(&self, cursor: &Json) -> Result<(), String>;

    /// What will be slow with its settings, as far as it can be told before any run.
    fn warning(&self) -> Option<String> {
        None
    }
}

/// What will be slow with these settings.
pub fn warning(settings: &SourceSettings) -> Option<String> {
    open(settings).warning()
}

/// The source that these settings name. Nothing is opened yet.
pub fn open(settings: &SourceSettings) -> Box<dyn Source> {
    match settings {
        SourceSettings::File(settings) => Box::new(file::FileSource::new(settings)),
        SourceSettings::Sqlite(settings) => Box::new(sqlite::SqliteSource::new(settings)),
        SourceSettings::Exec(command) => Box::new(exec::ExecSource::new(command)),
        SourceSettings::Http(settings) => Box::new(http::HttpSource::new(settings)),
        SourceSettings::System(settings) => Box::new(system::SystemSource::new(settings)),
    }
}

/// The dead letters of a file, as the pipeline's own source would have yielded their records.
pub(super) fn feed(path: &Path, pipeline: &Pipeline) -> Box<dyn Source> {
    Box::new(feed::FeedSource::new(path, pipeline))
}
