//! Batches that are sent to somebody who says whether they are taken: on record, whole and with a key, before they are
//! sent for the first time, so that a key never stands for two bodies, whatever becomes of the source, the flow's
//! definition or this process in between.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
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
    /// By what type of sink.
    #[serde(default)]
    pub carrier: Carrier,
    /// What it is known by to whoever takes it: the same each time that it is sent, and never another's.
    pub key: String,
    /// As it is sent.
    pub body: String,
    /// How its records stand in it.
    pub form: Form,
    /// What counts once it is taken.
    pub tally: Counters,
}

/// Who sends batches. What one of them sent, no other can send again: it is not the same receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carrier {
    /// The `exec` sink.
    #[default]
    Exec,
    /// The `http` sink.
    Http,
}

/// How records stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// An object a line.
    Jsonl,
    /// An array of objects.
    Json,
    /// A call of JSON-RPC 2.0 whose parameter `records` is such an array, and whose id is the key.
    JsonRpc,
}

/// What a body is made to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    Lines,
    Array,
    /// A call of this method.
    Call(String),
}

impl Envelope {
    const fn form(&self) -> Form {
        match self {
            Self::Lines => Form::Jsonl,
            Self::Array => Form::Json,
            Self::Call(_) => Form::JsonRpc,
        }
    }

    /// Puts these lines into it, each of which is an object.
    fn around(&self, lines: String, key: &str) -> String {
        let array = |lines: &str| format!("[{}]", lines.trim_end().replace('\n', ","));
        match self {
            Self::Lines => lines,
            Self::Array => array(&lines),
            Self::Call(method) => {
                let method = serde_json::Value::from(method.as_str());
                let records = array(&lines);
                format!(
                    r#"{{"jsonrpc":"2.0","id":"{key}","method":{method},"params":{{"records":{records}}}}}"#
                )
            }
        }
    }
}

/// What is looked for in a call.
#[derive(Deserialize)]
struct Call<'b> {
    #[serde(borrow)]
    params: Params<'b>,
}

#[derive(Deserialize)]
struct Params<'b> {
    #[serde(borrow)]
    records: Vec<&'b RawValue>,
}

impl Outbox {
    /// Its records, each as JSON, as they were given to us.
    pub fn records(&self) -> Vec<String> {
        let taken_apart = match self.form {
            Form::Jsonl => return self.body.lines().map(str::to_owned).collect(),
            Form::Json => serde_json::from_str::<Vec<&RawValue>>(&self.body),
            Form::JsonRpc => serde_json::from_str::<Call<'_>>(&self.body).map(|call| call.params.records),
        };
        match taken_apart {
            Ok(records) => records.into_iter().map(|record| record.get().to_owned()).collect(),
            // Somebody changed it: better all of it as one text than nothing.
            Err(_) => vec![self.body.clone()],
        }
    }
}

/// Takes the records of a batch, and makes of them what is sent.
#[derive(Debug)]
pub(super) struct Letterbox {
    owner: Owner,
    carrier: Carrier,
    envelope: Envelope,
    fields: BTreeMap<String, Field>,
    lines: Vec<u8>,
    /// What holds; with an outbox until that is taken.
    held: State,
}

impl Letterbox {
    pub(super) fn new(
        carrier: Carrier,
        envelope: Envelope,
        fields: &BTreeMap<String, Field>,
        owner: &Owner,
    ) -> Self {
        Self {
            owner: owner.clone(),
            carrier,
            envelope,
            fields: fields.clone(),
            lines: Vec::new(),
            held: State::default(),
        }
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
    pub(super) fn commit(&mut self, mut state: State, files: &dyn Files) -> Committed {
        // What another sink sent is taken out of the state by a batch without records.
        let is_free = self.held.outbox.is_none() || self.lines.is_empty();
        assert!(is_free && state.outbox.is_none(), "one batch is on its way at a time");
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
        let key = format!("batch_{}", render::short_hash(&digest, KEY_BYTES));
        Outbox {
            carrier: self.carrier,
            body: self.envelope.around(lines, &key),
            key,
            form: self.envelope.form(),
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
