//! The extension point for sinks: one trait, one file for each, one registry.
//!
//! A batch is `begin`, a `write` for each record, `commit`; or `roll_back`. What was committed last comes back from
//! `begin` after a crash, with everything that the sink has taken and nothing that it has not.

mod exec;
pub mod file;
mod http;
mod outbox;
mod sqlite;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use outbox::{Carrier, Form, Outbox};

use super::files::Files;
use super::outside::{Happened, Need};
use super::record::Record;
use super::{Owner, Result};
use crate::flow::{Field, SinkSettings};

/// What is committed with a batch: where the source got to, and what the sink and the dead letters need to know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The source's.
    pub cursor: Json,
    /// The sink's own.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub sink: Json,
    /// The dead letters'.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub dead_letters: Json,
    /// Files of dead letters that were fed back, each with how far: moved by runs that feed, and by no other.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub feeds: Json,
    /// How many batches were put into the outbox so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub batches: u64,
    /// A batch that its source has passed, and that is on its way to somebody who may not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<Arc<Outbox>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    New,
    /// It took another's place.
    Updated,
    /// It was there.
    Skipped,
    /// It does not fit; why.
    Rejected(String),
}

/// What is left to do after a batch was handed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Committed {
    /// Nothing: it is durable, with its state.
    Durable,
    /// The state is to be recorded in our own database, and then [`Sink::carry_out`] called.
    Announced(State),
}

/// What came of doing what was announced.
#[derive(Clone, Debug, PartialEq)]
pub enum Carried {
    /// It is done: the state that is to be recorded with the next commit, or alone.
    Done(State),
    /// Nothing came of it yet.
    Needs(Need),
    /// Whoever it was sent to will never take it: its records are for people to see.
    Refused {
        /// What holds once they are put where people see them.
        state: State,
        /// What is refused.
        outbox: Arc<Outbox>,
        /// Why.
        reason: String,
    },
}

/// A place that records go to.
pub trait Sink: fmt::Debug {
    /// Begins a batch: opens what is not open, and brings it to what was committed last. `recorded` is the state in our own
    /// database; the one that holds is returned.
    ///
    /// # Errors
    /// It cannot be written; or another program holds it, for now.
    fn begin(&mut self, recorded: Option<&State>, files: &dyn Files) -> Result<State>;

    /// Takes a record.
    ///
    /// # Errors
    /// The batch is lost.
    fn write(&mut self, record: &Record<'_>) -> Result<Written>;

    /// Ends the batch; `state` holds if it succeeds.
    ///
    /// # Errors
    /// The batch is lost.
    fn commit(&mut self, state: State, files: &dyn Files) -> Result<Committed>;

    /// Does what was announced, now that the announcement is on record; or says what that needs, and is called again when
    /// [`Sink::happened`] has told what came of it.
    ///
    /// # Errors
    /// It may be half done, which [`Sink::begin`] mends.
    fn carry_out(&mut self, files: &dyn Files) -> Result<Carried>;

    /// Takes what came of [`Carried::Needs`].
    fn happened(&mut self, _: Happened) {}

    /// Whose batches it sends again, if it is one that sends any.
    fn carrier(&self) -> Option<Carrier> {
        None
    }

    /// Whether it keeps the state itself, and looks at none of ours.
    fn keeps_its_state(&self) -> bool {
        false
    }

    /// Drops the batch. After a failure it is called before anything else.
    fn roll_back(&mut self);

    /// Sets the state, where the sink itself keeps it: an operator's word. False: our own database keeps it.
    ///
    /// # Errors
    /// It cannot be written.
    fn set_state(&mut self, state: &State, files: &dyn Files) -> Result<bool>;

    /// The state that holds, looked at while others write.
    ///
    /// # Errors
    /// It cannot be read.
    fn state(&self, recorded: Option<&State>) -> Result<Option<State>> {
        Ok(recorded.cloned())
    }
}

/// The sink that these settings name, for records with these fields. Nothing is opened yet.
pub fn open(settings: &SinkSettings, fields: &BTreeMap<String, Field>, owner: &Owner) -> Box<dyn Sink> {
    match settings {
        SinkSettings::Sqlite(settings) => Box::new(sqlite::SqliteSink::new(settings, fields, owner)),
        SinkSettings::File(settings) => Box::new(file::FileSink::new(settings, fields)),
        SinkSettings::Exec(command) => Box::new(exec::ExecSink::new(command, fields, owner)),
        SinkSettings::Http(settings) => Box::new(http::HttpSink::new(settings, fields, owner)),
    }
}
