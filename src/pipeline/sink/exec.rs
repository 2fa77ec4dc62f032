//! The `exec` sink: each batch is JSON lines on a program's standard input; exit status 0 takes it.

use std::collections::BTreeMap;

use super::outbox::{Carrier, Envelope, Letterbox};
use super::{Carried, Committed, Sink, State, Written};
use crate::flow::{Command, Exit, Field};
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Happened, Need};
use crate::pipeline::record::Record;
use crate::pipeline::{Failure, Owner, Result};

/// Names the batch to the program, so that it can know one that it was given before.
pub(crate) const KEY_VARIABLE: &str = "HEARTBEAT_IDEMPOTENCY_KEY";

/// A program that takes records.
#[derive(Debug)]
pub(super) struct ExecSink {
    command: Command,
    letterbox: Letterbox,
    /// How it ended.
    ended: Option<Option<Exit>>,
}

impl ExecSink {
    pub(super) fn new(command: &Command, fields: &BTreeMap<String, Field>, owner: &Owner) -> Self {
        let letterbox = Letterbox::new(Carrier::Exec, Envelope::Lines, fields, owner);
        Self { command: command.clone(), letterbox, ended: None }
    }
}

impl Sink for ExecSink {
    fn begin(&mut self, recorded: Option<&State>, _: &dyn Files) -> Result<State> {
        Ok(self.letterbox.begin(recorded))
    }

    fn write(&mut self, record: &Record<'_>) -> Result<Written> {
        Ok(self.letterbox.write(record))
    }

    fn commit(&mut self, state: State, files: &dyn Files) -> Result<Committed> {
        Ok(self.letterbox.commit(state, files))
    }

    fn carry_out(&mut self, _: &dyn Files) -> Result<Carried> {
        let Some(outbox) = self.letterbox.outbox() else {
            return Ok(Carried::Done(self.letterbox.emptied()));
        };
        match self.ended.take() {
            None => {
                let mut launch = self.command.launch();
                launch.stdin = outbox.body.clone().into_bytes();
                launch.environment.retain(|(name, _)| name != KEY_VARIABLE);
                launch.environment.push((KEY_VARIABLE.to_owned(), outbox.key.clone()));
                Ok(Carried::Needs(Need::Program(Box::new(launch))))
            }
            Some(Some(Exit::Code(0))) => Ok(Carried::Done(self.letterbox.emptied())),
            Some(exit) => Err(Failure::sink(format!(
                "{} did not take the batch {}: {}; the next run gives it the same again",
                self.command.program(),
                outbox.key,
                Exit::described(exit)
            ))),
        }
    }

    fn happened(&mut self, happened: Happened) {
        if let Happened::Ended { exit, .. } = happened {
            self.ended = Some(exit);
        }
    }

    fn carrier(&self) -> Option<Carrier> {
        Some(Carrier::Exec)
    }

    fn roll_back(&mut self) {
        self.letterbox.roll_back();
    }

    fn set_state(&mut self, _: &State, _: &dyn Files) -> Result<bool> {
        Ok(false)
    }
}
