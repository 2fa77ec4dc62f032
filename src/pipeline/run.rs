//! A run of a pipeline, as a machine that is stepped: each step moves a batch, or does a part of that which needs a commit
//! of ours before the next.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::batch::Batch;
use super::dead_letters::DeadLetters;
use super::files::Files;
use super::outside::{Happened, Need};
use super::record::{At, Place, Value};
use super::schema::Schema;
use super::sink::{self, Carried, Committed, Outbox, Sink, State};
use super::source::{self, Room, Source};
use super::transform::{Transforms, Unfit};
use super::{Failure, Owner, Result};
use crate::flow::{BatchSettings, Counters, ErrorKind, Pipeline};
use crate::limits;

/// Why a batch is a dead letter that was for a sink before this one.
const OF_ANOTHER_SINK: &str = "it was on its way when the flow got another sink, and may have arrived";

/// What a step led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to do.
    More,
    /// [`Moving::to_record`] is to be recorded in our own database; then [`Moving::recorded`].
    Record,
    /// This is to be done, and then [`Moving::happened`] to be called.
    Wait(Need),
    /// The source has no more for now, and everything is durable.
    Done,
}

/// A run that moves records.
#[derive(Debug)]
pub struct Moving {
    source: Box<dyn Source>,
    schema: Schema,
    /// What is prepared with the first step.
    pipeline: Pipeline,
    transforms: Option<Transforms>,
    sink: Box<dyn Sink>,
    dead_letters: DeadLetters,
    /// Whether the source is a file of dead letters, which has a cursor of its own.
    is_feed: bool,
    /// What holds, as far as our own database or the sink knows it; of a sink that keeps it itself none before it was asked.
    state: Option<State>,
    /// What is to be recorded, and what follows then.
    offer: Option<(State, Then)>,
    then: Option<Then>,
    /// What is carried out and not on record yet, so that a crash would have it cut off and moved again.
    unrecorded: Option<Counters>,
    source_is_at_end: bool,
    /// What our own database holds of a sink before this one, which keeps its state itself.
    stranded: Option<State>,
    /// What the source needs, once what is carried out is on record.
    source_needs: Option<Need>,
    /// Who is told of what happens.
    waiting: Option<Waiting>,
    /// Why the run ends, once the batch before is on record.
    failure: Option<Failure>,
    /// Of what is durable.
    counters: Counters,
    /// Whether the source's cursor was moved on by what has become durable since that was last asked.
    cursor_moved: bool,
    warnings: VecDeque<String>,
}

/// Who waits for something that is done outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Source,
    Sink,
}

/// What follows when an offer is on record.
#[derive(Clone, Debug, PartialEq)]
enum Then {
    /// The sink does what was announced; so much has then moved.
    CarryOut(Counters),
    /// The dead letters of the batch are written out.
    Bury,
    /// The dead letters are written out, and this state is recorded with none pending.
    BuryAndClear(State),
}

impl Moving {
    /// A run over the state on record. Nothing is opened before the first step.
    pub fn new(pipeline: &Pipeline, owner: &Owner, recorded: Option<State>) -> Self {
        let sink = sink::open(&pipeline.sink, &pipeline.fields, owner);
        let is_left_over =
            |state: &&State| state.outbox.is_some() || DeadLetters::has_pending(&state.dead_letters);
        let stranded = recorded.as_ref().filter(|_| sink.keeps_its_state()).filter(is_left_over).cloned();
        Self {
            source: source::open(&pipeline.source),
            schema: Schema::new(&pipeline.fields),
            pipeline: pipeline.clone(),
            transforms: None,
            dead_letters: DeadLetters::new(&pipeline.on_reject),
            is_feed: false,
            state: recorded.filter(|_| !sink.keeps_its_state()),
            sink,
            offer: None,
            then: None,
            unrecorded: None,
            source_is_at_end: false,
            stranded,
            source_needs: None,
            waiting: None,
            failure: None,
            counters: Counters::default(),
            cursor_moved: false,
            warnings: VecDeque::new(),
        }
    }

    /// The same, fed from a file of dead letters in place of the source.
    #[must_use]
    pub fn fed_from(self, file: &Path, pipeline: &Pipeline) -> Self {
        Self { source: source::feed(file, pipeline), is_feed: true, ..self }
    }

    /// What is durable of what it has moved.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether the source's cursor has moved for good since this was last asked.
    pub fn take_cursor_moved(&mut self) -> bool {
        std::mem::take(&mut self.cursor_moved)
    }

    /// Bytes that the flow's source still holds, and those of a batch that was read and that the sink has not taken for
    /// good; none: the source cannot tell, or where the cursor is was not to be learned.
    pub fn unread_bytes(&self, files: &dyn Files) -> Option<u64> {
        let state = match &self.state {
            Some(state) => Cow::Borrowed(state),
            None => Cow::Owned(self.sink.state(None).ok()?.unwrap_or_default()),
        };
        let unread = match self.is_feed {
            false => self.source.unread_bytes(&state.cursor, files),
            true => source::open(&self.pipeline.source).unread_bytes(&state.cursor, files),
        };
        let in_outbox = state.outbox.as_ref().map(|outbox| outbox.tally.bytes_read);
        let unrecorded = self.unrecorded.filter(|_| !self.is_feed).map(|counters| counters.bytes_read);
        Some([in_outbox, unrecorded].into_iter().flatten().fold(unread?, u64::saturating_add))
    }

    /// What is to be recorded in our own database.
    pub fn to_record(&self) -> Option<&State> {
        self.offer.as_ref().map(|(state, _)| state)
    }

    /// What was to be recorded is.
    pub fn recorded(&mut self) {
        if let Some((_, then)) = self.offer.take() {
            if let Some(counters) = self.unrecorded.take() {
                self.count(counters);
            }
            self.then = Some(then);
        }
    }

    /// Counts what has become durable, with the state that holds.
    fn count(&mut self, moved: Counters) {
        self.counters = self.counters.plus(moved);
        let has_cursor = !self.is_feed && self.state.as_ref().is_some_and(|state| !state.cursor.is_null());
        self.cursor_moved |= has_cursor && (moved.read > 0 || moved.bytes_read > 0);
    }

    /// Takes what came of [`Step::Wait`].
    pub fn happened(&mut self, happened: Happened) {
        match self.waiting.take() {
            Some(Waiting::Source) => self.source.happened(happened),
            Some(Waiting::Sink) => self.sink.happened(happened),
            None => {}
        }
    }

    /// What the operator should know, since this was last asked.
    pub fn take_warnings(&mut self) -> impl Iterator<Item = String> {
        self.warnings.drain(..)
    }

    /// Does a bounded part of what is left.
    ///
    /// # Errors
    /// The run cannot go on; where [`Failure::is_busy`] says so, the same step may be tried again.
    pub fn step(&mut self, files: &dyn Files) -> Result<Step> {
        assert!(self.waiting.is_none(), "what is waited for has happened");
        if self.offer.is_some() {
            return Ok(Step::Record);
        }
        match self.then.take() {
            Some(Then::CarryOut(counters)) => {
                if let Some(step) = self.carry_out(counters, files)? {
                    return Ok(step);
                }
            }
            Some(Then::Bury) => self.dead_letters.carry_out(files)?,
            Some(Then::BuryAndClear(state)) => {
                self.dead_letters.carry_out(files)?;
                let dead_letters = self.dead_letters.words();
                self.offer = Some((State { dead_letters, ..state }, Then::Bury));
                return Ok(Step::Record);
            }
            None => {}
        }
        if let Some(stranded) = self.stranded.take() {
            return self.clear(stranded, files);
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(need) = self.source_needs.take() {
            return Ok(self.wait(Waiting::Source, need));
        }
        let moved = match self.source_is_at_end {
            true if self.unrecorded.is_some() => return Ok(self.settle()),
            true => self.put_away(files),
            false => self.move_batch(files),
        };
        if moved.is_err() {
            self.sink.roll_back();
            self.dead_letters.roll_back();
            // What is carried out was moved, whatever became of the batch after it; what is busy is tried again.
            if self.unrecorded.is_some() {
                self.failure = moved.err().filter(|failure| !failure.is_busy);
                return Ok(self.settle());
            }
        }
        moved
    }

    /// What holds is recorded alone.
    fn settle(&mut self) -> Step {
        self.offer = self.state.clone().map(|state| (state, Then::Bury));
        Step::Record
    }

    fn wait(&mut self, who: Waiting, need: Need) -> Step {
        self.waiting = Some(who);
        Step::Wait(need)
    }

    /// Has the sink do what was announced; a step if that is not the end of it.
    fn carry_out(&mut self, counters: Counters, files: &dyn Files) -> Result<Option<Step>> {
        match self.sink.carry_out(files)? {
            Carried::Needs(need) => {
                self.then = Some(Then::CarryOut(counters));
                return Ok(Some(self.wait(Waiting::Sink, need)));
            }
            Carried::Done(state) => self.state = Some(state),
            Carried::Refused { state, outbox, reason } => {
                self.unrecorded = Some(self.bury(&outbox, counters, &reason)?);
                // Those that were rejected with the batch, and are on record with it, are among these words.
                self.state = Some(State { dead_letters: self.dead_letters.announce(files)?, ..state });
                return Ok(Some(self.settle()));
            }
        }
        self.unrecorded = Some(counters);
        Ok(self.dead_letters.are_pending().then(|| self.settle()))
    }

    fn move_batch(&mut self, files: &dyn Files) -> Result<Step> {
        let transforms = match &mut self.transforms {
            Some(transforms) => transforms,
            none => none.insert(prepared(&self.pipeline)?),
        };
        let held = self.sink.begin(self.state.as_ref(), files)?;
        self.dead_letters.begin(&held.dead_letters, files)?;
        if let Some(outbox) = held.outbox.clone() {
            return self.empty(&outbox, held, files);
        }
        let dead_letters = &mut self.dead_letters;
        let mut reject = |text: &str, reason: &str, place: Place<'_>| dead_letters.add(text, reason, &place);
        let mut batch = Batch::new(&self.schema, self.sink.as_mut(), &mut reject);
        let BatchSettings { records, bytes, run_bytes, whole } = self.pipeline.batch;
        let is_whole = whole || self.source.is_whole();
        let room =
            if is_whole { Room { records: usize::MAX, bytes: run_bytes } } else { Room { records, bytes } };
        let cursor = if self.is_feed { &held.feeds } else { &held.cursor };
        let progress = batch.move_from(self.source.as_mut(), cursor, room, transforms, files)?;
        if let Some(need) = progress.needs {
            assert!(batch.tally.read == 0, "a source that needs something has passed nothing");
            self.warnings.extend(progress.warnings);
            self.sink.roll_back();
            self.dead_letters.roll_back();
            self.state = Some(held);
            if self.unrecorded.is_some() {
                self.source_needs = Some(need);
                return Ok(self.settle());
            }
            return Ok(self.wait(Waiting::Source, need));
        }
        if is_whole && !progress.is_end {
            let why = if whole { "whole = true" } else { "its source cannot be read again" };
            let message =
                format!("the run is one batch ({why}), and there is more than run_bytes = {run_bytes} of it");
            return Err(Failure::source(message));
        }
        let tally = Counters { bytes_read: progress.bytes, ..batch.tally };
        assert!(tally.balance(), "each record that is read is accounted for: {tally:?}");
        self.warnings.extend(progress.warnings);
        self.source_is_at_end = progress.is_end;
        if progress.cursor == *cursor && tally.read == 0 {
            self.sink.roll_back();
            self.state = Some(held);
            return match self.source_is_at_end && self.unrecorded.is_none() {
                true => self.put_away(files),
                false => Ok(Step::More),
            };
        }
        let dead_letters = self.dead_letters.announce(files)?;
        let (cursor, feeds) =
            if self.is_feed { (held.cursor, progress.cursor) } else { (progress.cursor, held.feeds) };
        self.commit(State { cursor, dead_letters, feeds, ..held }, tally, files)
    }

    /// A run before this one left a batch that was not taken: it goes first. A sink that has come in place of the one that it
    /// was for cannot know whether that one has it: then it is for people to say.
    fn empty(&mut self, outbox: &Outbox, held: State, files: &dyn Files) -> Result<Step> {
        if self.sink.carrier() == Some(outbox.carrier) {
            self.state = Some(held);
            self.then = Some(Then::CarryOut(outbox.tally));
            return Ok(Step::More);
        }
        let tally = self.bury(outbox, outbox.tally, OF_ANOTHER_SINK)?;
        let dead_letters = self.dead_letters.announce(files)?;
        self.commit(State { dead_letters, outbox: None, ..held }, tally, files)
    }

    /// The same where the sink keeps its own state, and nothing of ours is looked at any more.
    fn clear(&mut self, stranded: State, files: &dyn Files) -> Result<Step> {
        self.dead_letters.begin(&stranded.dead_letters, files)?;
        if let Some(outbox) = &stranded.outbox {
            self.unrecorded = Some(self.bury(outbox, outbox.tally, OF_ANOTHER_SINK)?);
        }
        let state = State { dead_letters: self.dead_letters.announce(files)?, outbox: None, ..stranded };
        self.offer = Some((state.clone(), Then::BuryAndClear(state)));
        Ok(Step::Record)
    }

    /// Sends what was on its way to the dead letters; what counts then in place of what would have, had it been taken.
    fn bury(&mut self, outbox: &Outbox, tally: Counters, reason: &str) -> Result<Counters> {
        let key = Value::Text(outbox.key.as_str().into());
        let place = Place { path: "outbox", at: At::Cursor(&key) };
        let as_before = format!("as the first of {}", outbox.key);
        for (index, record) in outbox.records().iter().enumerate() {
            // What is said of a hundred thousand records would take more than they do.
            let is_told = index < limits::BATCH_RECORDS_DEFAULT;
            self.dead_letters.add(record, if is_told { reason } else { &as_before }, &place)?;
        }
        Ok(Counters { written: 0, updated: 0, rejected: tally.rejected + tally.written, ..tally })
    }

    /// Dead letters that are written out are pending no more: somebody who empties their file means it.
    fn put_away(&mut self, files: &dyn Files) -> Result<Step> {
        let dead_letters = self.dead_letters.words();
        if self.state.as_ref().is_none_or(|state| state.dead_letters == dead_letters) {
            return Ok(Step::Done);
        }
        let held = self.sink.begin(self.state.as_ref(), files)?;
        self.commit(State { dead_letters, ..held }, Counters::default(), files)
    }

    fn commit(&mut self, state: State, tally: Counters, files: &dyn Files) -> Result<Step> {
        match self.sink.commit(state.clone(), files)? {
            Committed::Durable => {
                self.state = Some(state);
                self.count(tally);
                self.dead_letters.carry_out(files)?;
                Ok(Step::More)
            }
            Committed::Announced(mut announced) => {
                if let Some(outbox) = &mut announced.outbox {
                    Arc::make_mut(outbox).tally = tally;
                }
                self.offer = Some((announced, Then::CarryOut(tally)));
                Ok(Step::Record)
            }
        }
    }
}

fn prepared(pipeline: &Pipeline) -> Result<Transforms> {
    Transforms::new(pipeline).map_err(|Unfit { fault, is_busy }| {
        let message = format!("{}: {}", fault.key.unwrap_or_default(), fault.message);
        Failure { is_busy, ..Failure::new(ErrorKind::Configuration, message) }
    })
}

#[cfg(test)]
mod tests;
