//! The `http` sink: each batch is the content of a `POST`, with a key by which the server knows one that it was sent before.

mod verdict;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outbox::{Carrier, Envelope, Form, Letterbox, Outbox};
use super::{Carried, Committed, Sink, State, Written};
use crate::flow::{Field, HttpFormat, HttpSink as Settings, OnRejection};
use crate::http::client::Method;
use crate::limits;
use crate::pipeline::conversation::{Conversation, Turn, parsed};
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Exchange, Happened, Need, Signature};
use crate::pipeline::record::Record;
use crate::pipeline::{Failure, Owner, Result};
use verdict::Verdict;

/// Names the batch to the server, so that it can know one that it was sent before.
const KEY_FIELD: &str = "Idempotency-Key";
const TYPE_FIELD: &str = "Content-Type";

/// A server that takes records.
#[derive(Debug)]
pub(super) struct HttpSink {
    settings: Settings,
    letterbox: Letterbox,
    /// About the batch on its way.
    conversation: Option<Conversation>,
}

impl HttpSink {
    pub(super) fn new(settings: &Settings, fields: &BTreeMap<String, Field>, owner: &Owner) -> Self {
        let envelope = match settings.format {
            HttpFormat::Json => Envelope::Array,
            HttpFormat::Jsonl => Envelope::Lines,
            HttpFormat::JsonRpc => Envelope::Call(settings.method.clone().unwrap_or_default()),
        };
        let letterbox = Letterbox::new(Carrier::Http, envelope, fields, owner);
        Self { settings: settings.clone(), letterbox, conversation: None }
    }

    fn conversation(&self, outbox: &Outbox) -> Result<Conversation> {
        let target = &self.settings.target;
        let url = parsed(&target.url, Failure::sink)?;
        // Some servers answer with what they took.
        let answer_bytes_max =
            outbox.body.len().saturating_mul(2).saturating_add(limits::SINK_ANSWER_BYTES_MAX);
        let mut conversation = Conversation::new(target, url, answer_bytes_max).whose_content_may_leave();
        let exchange = conversation.exchange();
        exchange.method = Method::Post;
        exchange.body = Some(outbox.body.clone().into_bytes());
        // A batch that was taken is not sent again because of how that was said.
        exchange.needs_content = outbox.form == Form::JsonRpc;
        exchange.signature = self
            .settings
            .secret_file
            .clone()
            .map(|secret_file| Signature { secret_file, id: outbox.key.clone() });
        Ok(conversation)
    }

    /// The request as it leaves us, wherever a redirect leads: without its key a batch could be taken twice.
    fn addressed(&self, mut exchange: Box<Exchange>, outbox: &Outbox) -> Need {
        let named = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
        let given = self.settings.target.headers.iter().find(|(name, _)| named(name, TYPE_FIELD));
        let content_type = match (given, outbox.form) {
            (Some((_, value)), _) => value,
            (None, Form::Json | Form::JsonRpc) => "application/json",
            (None, Form::Jsonl) => "application/jsonl",
        };
        for (name, value) in [(TYPE_FIELD, content_type), (KEY_FIELD, &outbox.key)] {
            exchange.field_files.retain(|other, _| !named(name, other));
            exchange.fields.retain(|(other, _)| !named(name, other));
            exchange.fields.push((name.to_owned(), value.to_owned()));
        }
        Need::Exchange(exchange)
    }

    /// What is refused for good, as the author wants it.
    fn refused(&mut self, outbox: Arc<Outbox>, reason: String) -> Result<Carried> {
        match self.settings.on_rejection {
            OnRejection::DeadLetter => {
                Ok(Carried::Refused { state: self.letterbox.emptied(), outbox, reason })
            }
            OnRejection::Fail => Err(stays(&outbox, &reason)),
        }
    }
}

/// The batch is kept for a later run.
fn stays(outbox: &Outbox, why: &str) -> Failure {
    let key = &outbox.key;
    Failure::sink(format!("{why}; the batch {key} is kept, and the next run sends the same again"))
}

impl Sink for HttpSink {
    fn begin(&mut self, recorded: Option<&State>, _: &dyn Files) -> Result<State> {
        self.conversation = None;
        Ok(self.letterbox.begin(recorded))
    }

    fn write(&mut self, record: &Record<'_>) -> Result<Written> {
        Ok(self.letterbox.write(record))
    }

    fn commit(&mut self, state: State, files: &dyn Files) -> Result<Committed> {
        Ok(self.letterbox.commit(state, files))
    }

    fn carry_out(&mut self, files: &dyn Files) -> Result<Carried> {
        let Some(outbox) = self.letterbox.outbox().cloned() else {
            return Ok(Carried::Done(self.letterbox.emptied()));
        };
        let mut conversation = match self.conversation.take() {
            Some(conversation) => conversation,
            None => self.conversation(&outbox)?,
        };
        let mut turn = conversation.turn(files);
        loop {
            let answer = match turn {
                Turn::Needs(need) => {
                    self.conversation = Some(conversation);
                    let need = match need {
                        Need::Exchange(exchange) => self.addressed(exchange, &outbox),
                        other => other,
                    };
                    return Ok(Carried::Needs(need));
                }
                Turn::GivenUp(why) => return Err(stays(&outbox, &why)),
                Turn::Answered(answer) => answer,
            };
            match verdict::of(&outbox, &conversation.exchange().url, &answer) {
                Verdict::Taken => return Ok(Carried::Done(self.letterbox.emptied())),
                Verdict::Refused(reason) => return self.refused(outbox, reason),
                Verdict::Misdirected(why) => {
                    let why = format!("{why}; that is about [sink] and not about the records: correct it");
                    return Err(stays(&outbox, &why));
                }
                Verdict::Unclear(why) => return Err(stays(&outbox, &why)),
                Verdict::NotNow(message) => turn = conversation.not_now(message, &answer, files),
            }
        }
    }

    fn happened(&mut self, happened: Happened) {
        if let Some(conversation) = &mut self.conversation {
            conversation.happened(happened);
        }
    }

    fn carrier(&self) -> Option<Carrier> {
        Some(Carrier::Http)
    }

    fn roll_back(&mut self) {
        self.letterbox.roll_back();
    }

    fn set_state(&mut self, _: &State, _: &dyn Files) -> Result<bool> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests;
