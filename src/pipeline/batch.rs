//! A batch on its way from source to sink: each record that is read is written, skipped, rejected, or left to a transform,
//! and counted.

use serde_json::Value as Json;
use std::collections::BTreeMap;

use super::files::Files;
use super::record::{Origin, Place, Record, Yielded};
use super::schema::Schema;
use super::sink::{Sink, Written};
use super::source::{Progress, Room, Source};
use super::transform::Transforms;
use super::{Failure, Result, render};
use crate::flow::{Counters, ErrorKind};
use crate::limits;

/// Takes what does not fit: its text, why, and where it came from.
pub(super) type Reject<'r> = dyn FnMut(&str, &str, Place<'_>) -> Result<()> + 'r;

/// A batch under way.
pub(super) struct Batch<'b> {
    schema: &'b Schema,
    sink: &'b mut dyn Sink,
    reject: &'b mut Reject<'b>,
    /// What became of its records so far.
    pub(super) tally: Counters,
}

impl<'b> Batch<'b> {
    pub(super) fn new(schema: &'b Schema, sink: &'b mut dyn Sink, reject: &'b mut Reject<'b>) -> Self {
        Self { schema, sink, reject, tally: Counters::default() }
    }

    /// Moves what follows the cursor, as far as there is room.
    pub(super) fn move_from(
        &mut self,
        source: &mut dyn Source,
        cursor: &Json,
        room: Room,
        transforms: &mut Transforms,
        files: &dyn Files,
    ) -> Result<Progress> {
        if transforms.is_none() {
            source.read(cursor, room, files, &mut |yielded, place| self.pass(yielded, place))
        } else {
            self.transform(transforms, source, cursor, room, files)
        }
    }

    /// Takes what the source yields to the sink, as it is.
    fn pass(&mut self, yielded: Yielded<'_>, place: Place<'_>) -> Result<()> {
        match self.judged(yielded, place)? {
            Some(record) => self.write(&record, place),
            None => Ok(()),
        }
    }

    /// The record, if it is one that fits.
    fn judged<'r>(&mut self, yielded: Yielded<'r>, place: Place<'_>) -> Result<Option<Record<'r>>> {
        self.tally.read += 1;
        let (text, reason) = match yielded {
            Yielded::Malformed { text, reason } => (text, reason),
            Yielded::Record(mut record) => {
                // A record is rejected as it was read.
                let before = (!self.schema.is_empty()).then(|| text_of(&record));
                match self.schema.apply(&mut record) {
                    Ok(()) => return Ok(Some(record)),
                    Err(reason) => (before.unwrap_or_default().into(), reason),
                }
            }
        };
        self.reject(&text, &reason, place)?;
        Ok(None)
    }

    fn reject(&mut self, text: &str, reason: &str, place: Place<'_>) -> Result<()> {
        self.tally.rejected += 1;
        (self.reject)(text, reason, place)
    }

    fn write(&mut self, record: &Record<'_>, place: Place<'_>) -> Result<()> {
        match self.sink.write(record)? {
            Written::New => self.tally.written += 1,
            Written::Updated => {
                self.tally.written += 1;
                self.tally.updated += 1;
            }
            Written::Skipped => self.tally.skipped += 1,
            Written::Rejected(reason) => return self.reject(&text_of(record), &reason, place),
        }
        Ok(())
    }

    /// Fills the batch of the first transform, and takes what the last one yields to the sink.
    fn transform(
        &mut self,
        transforms: &mut Transforms,
        source: &mut dyn Source,
        cursor: &Json,
        room: Room,
        files: &dyn Files,
    ) -> Result<Progress> {
        let mut filling = transforms.begin()?;
        // Where the batch begins: what comes out of a SELECT has no place of its own.
        let mut first: Option<Origin> = None;
        let mut taken = 0;
        let progress = source.read(cursor, room, files, &mut |yielded, place| {
            first.get_or_insert_with(|| Origin::of(&place));
            if let Some(record) = self.judged(yielded, place)? {
                match filling.add(&record)? {
                    None => taken += 1,
                    Some(reason) => self.reject(&text_of(&record), &reason, place)?,
                }
            }
            Ok(())
        })?;
        drop(filling);
        let Some(first) = first.filter(|_| taken > 0) else { return Ok(progress) };
        let place = first.place();
        let (mut yielded, mut bytes) = (0, 0);
        transforms.run(&mut |record| {
            yielded += 1;
            bytes += record.as_ref().map_or(0, Record::bytes);
            if bytes > limits::TRANSFORM_MEMORY_BYTES_MAX {
                let message = "what the transforms yield of one batch is too much: make the batch smaller";
                return Err(Failure::new(ErrorKind::Transform, message));
            }
            match record {
                Ok(record) => self.write(&record, place),
                Err(reason) => self.reject("", &reason, place),
            }
        })?;
        self.tally.transformed_out += u64::saturating_sub(taken, yielded);
        self.tally.transformed_in += u64::saturating_sub(yielded, taken);
        Ok(progress)
    }
}

/// A record as the dead letters show it; one that JSON cannot hold by its shape.
fn text_of(record: &Record<'_>) -> String {
    let mut line = Vec::new();
    match render::json_line(record, &BTreeMap::new(), &mut line) {
        Ok(()) => String::from_utf8_lossy(&line).trim_end().to_owned(),
        Err(_) => format!("{:?}", record.fields),
    }
}
