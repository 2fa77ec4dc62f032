//! Batches that are sent to somebody who says whether they are taken: on record, whole and with a key, before they are
//! sent for the first time, so that a key never stands for two bodies, whatever becomes of the source, the flow's
//! definition or this process in between.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Committed, State, Written};
use crate::flow::{Counters, Field};
use crate::pipeline::files::Files;
use crate::pipeline::record::Record;
use crate::pipeline::{Owner, render};

/// Bytes of the hash that a key is made of.
const KEY_BYTES: usize = 16;

/// A batch on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// What it is known by to whoever takes it: the same each time that it is sent, and never another's.
    pub key: String,
    /// As it is sent.
    pub body: String,
    /// How its records stand in it.
    pub form: Form,
    /// What counts once it is taken.
    pub tally: Counters,
}

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An object a line.
    Jsonl,
}

impl Outbox {
    /// Its records, each as JSON.
    pub fn records(&self) -> Vec<String> {
        match self.form {
            Form::Jsonl => self.body.lines().map(str::to_owned).collect(),
        }
    }
}

/// Takes the records of a batch, and makes of them what is sent.
#[derive(Debug)]
pub(super) struct Letterbox {
    owner: Owner,
    form: Form,
    fields: BTreeMap<String, Field>,
    lines: Vec<u8>,
    /// What holds; with an outbox until that is taken.
    held: State,
}

impl Letterbox {
    pub(super) fn new(form: Form, fields: &BTreeMap<String, Field>, owner: &Owner) -> Self {
        Self { owner: owner.clone(), form, fields: fields.clone(), lines: Vec::new(), held: State::default() }
    }

    pub(super) fn begin(&mut self, recorded: Option<&State>) -> State {
        self.lines.clear();
        self.held = recorded.cloned().unwrap_or_default();
        self.held.clone()
    }

    pub(super) fn write(&mut self, record: &Record<'_>) -> Written {
        let written = render::json_line(record, &self.fields, &mut self.lines);
        written.map_or_else(Written::Rejected, |()| Written::New)
    }

    /// What is to be recorded before anything is sent. The cursor moves with it: from here on the batch is ours.
    pub(super) fn commit(&mut self, state: State, files: &dyn Files) -> Committed {
        assert!(self.held.outbox.is_none(), "one batch is on its way at a time");
        let mut state = state;
        if !self.lines.is_empty() {
            state.batches += 1;
            state.outbox = Some(Arc::new(self.sealed(state.batches, files)));
        }
        self.held = state.clone();
        Committed::Announced(state)
    }

    fn sealed(&mut self, number: u64, files: &dyn Files) -> Outbox {
        let lines = String::from_utf8_lossy(&self.lines).into_owned();
        self.lines.clear();
        let Owner { database_id, flow } = &self.owner;
        // A database that was put back from a backup counts from there again, but at another time.
        let sealed_at_ms = files.wall_ms();
        let identity = format!("{database_id}\n{flow}\n{number}\n{sealed_at_ms}\n");
        let digest = Sha256::new().chain_update(identity).chain_update(&lines).finalize();
        let key = digest.iter().take(KEY_BYTES).map(|byte| format!("{byte:02x}")).collect::<String>();
        Outbox {
            key: format!("batch_{key}"),
            body: match self.form {
                Form::Jsonl => lines,
            },
            form: self.form,
            tally: Counters::default(),
        }
    }

    /// What is to be sent.
    pub(super) fn outbox(&self) -> Option<&Arc<Outbox>> {
        self.held.outbox.as_ref()
    }

    /// What holds once it is over with what was sent.
    pub(super) fn emptied(&mut self) -> State {
        self.held.outbox = None;
        self.held.clone()
    }

    pub(super) fn roll_back(&mut self) {
        self.lines.clear();
    }
}
