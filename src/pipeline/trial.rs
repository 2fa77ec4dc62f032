//! Pipelines tried out, writing nothing: `flow test` on real input, and the tests that an author wrote.

use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::batch::Batch;
use super::files::Files;
use super::outside::{Happened, Need};
use super::record::{At, Place, Record, Value, Yielded};
use super::schema::Schema;
use super::sink::{self, Carried, Committed, Sink, State, Written};
use super::source::{self, Progress, Room, Source, Take};
use super::transform::Transforms;
use super::{Failure, Owner, Result, render};
use crate::flow::{Counters, ErrorKind, Field, Pipeline, Test};

/// What a pipeline would do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// What would be written, in order; tried out, the begin of it.
    pub written: Vec<Row>,
    /// What would go to the dead letters, likewise: the record as text, and why.
    pub rejected: Vec<(String, String)>,
    /// What would be counted, before the sink's own judgement.
    pub counters: Counters,
}

/// A record that would be written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// The names of its fields, in order.
    pub names: Vec<String>,
    /// The fields.
    pub fields: Map<String, Json>,
    /// All of it as JSON, in that order.
    pub json: String,
}

/// Takes records from the real source, from where its cursor stands, through schema and transforms; no more than `records`
/// are shown of what comes of them. `outside` does what the source needs.
///
/// # Errors
/// What would fail the run.
pub fn try_out(
    pipeline: &Pipeline,
    owner: &Owner,
    recorded: Option<&State>,
    records: usize,
    files: &dyn Files,
    outside: &mut dyn FnMut(Need) -> Result<Happened>,
) -> Result<Trial> {
    let state = sink::open(&pipeline.sink, &pipeline.fields, owner).state(recorded)?.unwrap_or_default();
    let mut source = source::open(&pipeline.source);
    let bytes = if source.is_whole() { pipeline.batch.run_bytes } else { pipeline.batch.bytes };
    let room = Room { records, bytes };
    let mut trial = run(pipeline, source.as_mut(), &state.cursor, room, None, files, outside)?;
    // A source that is taken whole heeds no number of records.
    trial.written.truncate(records);
    trial.rejected.truncate(records);
    Ok(trial)
}

/// Runs the tests of a pipeline: for each that fails its number, from 1, and what differs.
pub fn run_tests(pipeline: &Pipeline, files: &dyn Files) -> Vec<(usize, String)> {
    let failed = |(index, test): (usize, &Test)| {
        let difference = match run_test(pipeline, test, files) {
            Ok(trial) => difference(&trial, test),
            Err(failure) => Some(failure.message),
        };
        difference.map(|difference| (index + 1, difference))
    };
    pipeline.tests.iter().enumerate().filter_map(failed).collect()
}

fn run_test(pipeline: &Pipeline, test: &Test, files: &dyn Files) -> Result<Trial> {
    let room = Room { records: usize::MAX, bytes: usize::MAX };
    let now = test.now.as_deref();
    run(pipeline, &mut Given(&test.input), &Json::Null, room, now, files, &mut |_| Ok(Happened::Resumed))
}

fn run(
    pipeline: &Pipeline,
    source: &mut dyn Source,
    cursor: &Json,
    room: Room,
    now: Option<&str>,
    files: &dyn Files,
    outside: &mut dyn FnMut(Need) -> Result<Happened>,
) -> Result<Trial> {
    let mut transforms = Transforms::new(pipeline)
        .map_err(|unfit| Failure::new(ErrorKind::Configuration, unfit.fault.message))?;
    now.map_or(Ok(()), |now| transforms.set_now(now))?;
    let schema = Schema::new(&pipeline.fields);
    let mut sink = Collected { fields: &pipeline.fields, records: Vec::new() };
    let mut rejected = Vec::new();
    let mut reject = |text: &str, reason: &str, _: Place<'_>| {
        rejected.push((text.to_owned(), reason.to_owned()));
        Ok(())
    };
    let mut batch = Batch::new(&schema, &mut sink, &mut reject);
    let progress = loop {
        let progress = batch.move_from(source, cursor, room, &mut transforms, files)?;
        match progress.needs {
            Some(need) => source.happened(outside(need)?),
            None => break progress,
        }
    };
    let counters = Counters { bytes_read: progress.bytes, ..batch.tally };
    Ok(Trial { written: sink.records, rejected, counters })
}

/// What a reader sees at once: the first record that is not as expected.
fn difference(trial: &Trial, test: &Test) -> Option<String> {
    let nothing = || "nothing".to_owned();
    let count = trial.written.len().max(test.expect.len());
    let differs = (0..count).find(|index| match (trial.written.get(*index), test.expect.get(*index)) {
        (Some(written), Some(expected)) => !are_same_objects(&written.fields, expected),
        _ => true,
    })?;
    let rejected = trial.rejected.first().map(|(record, reason)| format!("; rejected {record}: {reason}"));
    Some(format!(
        "record {} is {}, expected {}{}",
        differs + 1,
        trial.written.get(differs).map_or_else(nothing, |row| row.json.clone()),
        test.expect.get(differs).map_or_else(nothing, |record| Json::Object(record.clone()).to_string()),
        rejected.unwrap_or_default()
    ))
}

/// Numbers are compared by their value: 50 is 50.0. A member that is null is one that is not there.
fn are_same_objects(one: &Map<String, Json>, other: &Map<String, Json>) -> bool {
    let covers = |one: &Map<String, Json>, other: &Map<String, Json>| {
        one.iter().all(|(name, value)| are_same(value, other.get(name).unwrap_or(&Json::Null)))
    };
    covers(one, other) && covers(other, one)
}

fn are_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Json::Object(one), Json::Object(other)) => are_same_objects(one, other),
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_same(one, other))
        }
        _ => one == other,
    }
}

/// Records that a test gives.
#[derive(Debug)]
struct Given<'g>(&'g [Map<String, Json>]);

impl Source for Given<'_> {
    fn read(&mut self, _: &Json, _: Room, _: &dyn Files, take: &mut Take<'_>) -> Result<Progress> {
        for (index, record) in self.0.iter().enumerate() {
            let fields =
                record.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value_of(value))).collect();
            let json = Some(Cow::Owned(Json::Object(record.clone()).to_string()));
            let place = Place { path: "input", at: At::Offset(index as u64) };
            take(Yielded::Record(Record { fields, json }), place)?;
        }
        Ok(Progress { is_end: true, ..Progress::default() })
    }

    fn check_cursor(&self, _: &Json) -> Result<(), String> {
        Ok(())
    }
}

fn value_of(value: &Json) -> Value<'_> {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Value::Integer(value),
            (None, Some(value)) if number.is_f64() => Value::Real(value),
            _ => Value::Json(Cow::Owned(number.to_string())),
        },
        Json::String(text) => Value::Text(Cow::Borrowed(text)),
        Json::Array(_) | Json::Object(_) => Value::Json(Cow::Owned(value.to_string())),
    }
}

/// Keeps what a sink would be given.
#[derive(Debug)]
struct Collected<'c> {
    fields: &'c BTreeMap<String, Field>,
    records: Vec<Row>,
}

impl Sink for Collected<'_> {
    fn begin(&mut self, recorded: Option<&State>, _: &dyn Files) -> Result<State> {
        Ok(recorded.cloned().unwrap_or_default())
    }

    fn write(&mut self, record: &Record<'_>) -> Result<Written> {
        let mut line = Vec::new();
        let rendered = render::json_line(record, self.fields, &mut line);
        match rendered.and_then(|()| serde_json::from_slice(&line).map_err(|error| error.to_string())) {
            Ok(fields) => {
                let names = record.fields.iter().map(|(name, _)| name.clone().into_owned()).collect();
                let json = String::from_utf8_lossy(&line).trim_end().to_owned();
                self.records.push(Row { names, fields, json });
            }
            Err(reason) => return Ok(Written::Rejected(reason)),
        }
        Ok(Written::New)
    }

    fn commit(&mut self, _: State, _: &dyn Files) -> Result<Committed> {
        Ok(Committed::Durable)
    }

    fn carry_out(&mut self, _: &dyn Files) -> Result<Carried> {
        Ok(Carried::Done(State::default()))
    }

    fn roll_back(&mut self) {
        self.records.clear();
    }

    fn set_state(&mut self, _: &State, _: &dyn Files) -> Result<bool> {
        Ok(false)
    }
}
