//! The `http` source: records that a server answers, in one answer or page by page.
//!
//! Of pages, each record is taken once: the cursor names the page to read next, and how many records of it were taken. The
//! last page is asked for again in the next run, as more may have come to it. A page that leads back to one that was read is
//! remembered in the cursor: runs fail there, so that no record comes twice.

mod call;
mod cursor;
mod digest;
mod document;
mod next;
#[cfg(test)]
mod tests;

use serde_json::Value as Json;
use std::collections::BTreeSet;

use super::{Progress, Room, Source, Take, jsonl};
use crate::flow::{self, HttpFormat};
use crate::http::client::{Answer, Method, Url};
use crate::limits;
use crate::pipeline::conversation::{Conversation, Turn, parsed, told};
use crate::pipeline::files::Files;
use crate::pipeline::outside::{Happened, Need};
use crate::pipeline::record::{At, Place};
use crate::pipeline::{Failure, Result};
use cursor::{Form, Position, Validator};

/// A server.
#[derive(Debug)]
pub(super) struct HttpSource {
    settings: flow::HttpSource,
    /// The hash of the settings, which goes into the cursor.
    digest: String,
    form: Form,
    /// What is asked after this cursor, until it is answered.
    asked: Option<(Json, Conversation)>,
    /// What was answered last: the same cursor may be read again, as when a sink is busy.
    page: Option<Page>,
    /// Hashes of the pages of this run.
    seen: BTreeSet<String>,
}

/// An answer to what was asked after a cursor.
#[derive(Debug)]
struct Page {
    cursor: Json,
    /// Whose answer it is, behind all redirects.
    url: Url,
    answer: Answer,
}

/// What came of asking, so far.
enum Asked {
    Needs(Need),
    Answered(Page),
}

impl HttpSource {
    pub(super) fn new(settings: &flow::HttpSource) -> Self {
        let (form, digest) = (Form::of(settings), digest::digest(settings));
        Self { settings: settings.clone(), digest, form, asked: None, page: None, seen: BTreeSet::new() }
    }

    fn ask(&mut self, cursor: &Json, position: &Position, room: Room, files: &dyn Files) -> Result<Asked> {
        let asked = self.asked.take().filter(|(known, _)| known == cursor);
        let mut conversation = match asked {
            Some((_, conversation)) => conversation,
            None => self.conversation(position, room),
        };
        match conversation.turn(files) {
            Turn::Needs(need) => {
                self.asked = Some((cursor.clone(), conversation));
                Ok(Asked::Needs(need))
            }
            Turn::Answered(answer) => {
                let url = conversation.exchange().url.clone();
                Ok(Asked::Answered(Page { cursor: cursor.clone(), url, answer }))
            }
            Turn::GivenUp(why) => Err(Failure::source(why)),
        }
    }

    fn conversation(&self, position: &Position, room: Room) -> Conversation {
        let bytes_max = if self.is_whole() { room.bytes } else { limits::RUN_BYTES_DEFAULT };
        let mut conversation = Conversation::new(&self.settings.target, position.url.clone(), bytes_max);
        let exchange = conversation.exchange();
        // What the author gives is the author's word.
        let mut add = |name: &str, value: &str| {
            let is_given = exchange.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
                || exchange.field_files.keys().any(|known| known.eq_ignore_ascii_case(name));
            if !is_given {
                exchange.fields.push((name.to_owned(), value.to_owned()));
            }
        };
        match &self.settings.json_rpc {
            Some(call) => {
                add("Content-Type", "application/json");
                exchange.method = Method::Post;
                exchange.body = Some(call::message(call, self.settings.next.as_ref(), &position.parameter));
            }
            None => {
                // What other settings asked for may have been called the same.
                let validator = position.validator.as_ref().filter(|_| !self.is_other(position));
                if let Some((name, value)) = validator.map(Validator::field) {
                    add(name, value);
                }
            }
        }
        conversation
    }

    /// Yields what an answer holds beyond what was taken.
    fn pass(&mut self, page: &Page, position: Position, take: &mut Take<'_>) -> Result<Progress> {
        let Page { url, answer, .. } = page;
        let same = self.stay(&page.cursor, &position);
        match answer.status {
            204 | 304 => return Ok(same),
            200..=299 => {}
            _ => return Err(Failure::source(told(url, answer))),
        }
        let failed = |why: String| Failure::source(format!("{}: {why}", url.without_query()));
        let document = self.document(answer).map_err(failed)?;
        let way = self.next(&position, page, document).map_err(failed)?;
        let path = url.without_query();
        let mut pass = |index: usize, yielded: super::Yielded<'_>| {
            take(yielded, Place { path: &path, at: At::Offset(index as u64) })
        };
        let count = match document {
            Some(document) => {
                let records = self.records(document).map_err(failed)?;
                document::each_record(records, position.taken, &mut pass)?
            }
            None => {
                let mut count = 0;
                for (_, line) in jsonl::Lines::of(document::content(&answer.body)) {
                    if count >= position.taken {
                        pass(count, line.parse())?;
                    }
                    count += 1;
                }
                count
            }
        };
        let bytes = answer.body.len() as u64;
        if count < position.taken {
            let warning = format!(
                "{path}: the page has {count} records, of which {} were taken already: nothing of it is taken, as nobody \
                 knows which are new; once it is in order again the flow goes on, or else set its cursor",
                position.taken
            );
            let warnings = [same.warnings, vec![warning]].concat();
            return Ok(Progress { bytes, warnings, ..same });
        }
        let mut progress = Progress { bytes, ..same };
        self.move_on(position, way, count, answer, &mut progress);
        Ok(progress)
    }

    /// Progress that leaves the cursor where it is. Pages that were begun under other settings are gone on with.
    fn stay(&self, cursor: &Json, position: &Position) -> Progress {
        let same = Progress { cursor: cursor.clone(), is_end: true, ..Progress::default() };
        if self.form == Form::Whole || position.settings.is_none() || !self.is_other(position) {
            return same;
        }
        let warning = "url, format, pointer, next or json_rpc changed since: it goes on with the page that was reached; \
                       `heartbeatd flow cursor NAME --reset` begins anew";
        let cursor = self.form.write(position, &self.digest);
        Progress { cursor, warnings: vec![warning.to_owned()], ..same }
    }

    /// Whether the cursor was written under other settings, as far as it tells.
    fn is_other(&self, position: &Position) -> bool {
        position.settings.as_ref() != Some(&self.digest)
    }

    /// Sets where to read after a page whose records are all taken.
    fn move_on(&mut self, at: Position, way: next::Way, count: usize, answer: &Answer, to: &mut Progress) {
        self.seen.insert(at.hash());
        let is_paged = self.form != Form::Whole;
        if let next::Way::On(next) = &way {
            to.cursor = self.form.write(next, &self.digest);
            to.is_end = self.seen.len() >= limits::PAGES_PER_RUN;
            if to.is_end {
                let pages = limits::PAGES_PER_RUN;
                to.warnings.push(format!(
                    "this run has read {pages} pages, the most there may be: the next run goes on"
                ));
            }
            return;
        }
        let validator = self.may_ask_for_changes().then(|| Validator::of(answer)).flatten();
        let taken = if is_paged { count } else { 0 };
        // The page is asked for once more, and if it leads back again it is left at that, in each run.
        let back = if let next::Way::Back(hash) = way { Some(hash) } else { None };
        to.is_end = back.is_none();
        to.cursor = self.form.write(&Position { taken, validator, back, ..at }, &self.digest);
    }

    /// Whether an answer that is called as before says that there is nothing new. A server may call a page by its records,
    /// and so the same when it has come to name another: then the flow would stand still for ever.
    fn may_ask_for_changes(&self) -> bool {
        self.settings.json_rpc.is_none() && self.form == Form::Whole
    }

    /// The document of an answer that is one; of a call, its result.
    fn document<'a>(&self, answer: &'a Answer) -> Result<Option<&'a str>, String> {
        let content = document::content(&answer.body);
        if self.settings.format == HttpFormat::Jsonl {
            return document::check_end(content).map(|()| None);
        }
        let document =
            document::parsed(content).map_err(|why| format!("what was answered cannot be read: {why}"))?;
        match &self.settings.json_rpc {
            Some(call) => call::result(document, &call.method).map(Some),
            None => Ok(Some(document)),
        }
    }

    /// Where in a document the records are.
    fn records<'a>(&self, document: &'a str) -> Result<&'a str, String> {
        let pointer = self.settings.pointer.as_deref().unwrap_or_default();
        let value = match document::point(document, pointer)? {
            document::Way::Value(value) => value,
            document::Way::Nowhere(there) => {
                return Err(format!("pointer \"{pointer}\" leads nowhere: {there}"));
            }
        };
        match value.as_bytes().first() {
            Some(b'[' | b'{' | b'n') => Ok(value),
            _ => {
                let what =
                    if pointer.is_empty() { "it".to_owned() } else { format!("what \"{pointer}\" leads to") };
                let kind = document::kind(value);
                Err(format!("{what} is {kind}; an array of objects, or one object, would be right"))
            }
        }
    }
}

impl Source for HttpSource {
    fn read(
        &mut self,
        cursor: &Json,
        room: Room,
        files: &dyn Files,
        take: &mut Take<'_>,
    ) -> Result<Progress> {
        let start = parsed(&self.settings.target.url, Failure::source)?;
        let position = self.form.read(&start, cursor).map_err(Failure::source)?;
        let page = match self.page.take().filter(|page| page.cursor == *cursor) {
            Some(page) => page,
            None => match self.ask(cursor, &position, room, files)? {
                Asked::Answered(page) => page,
                Asked::Needs(need) => {
                    return Ok(Progress { cursor: cursor.clone(), needs: Some(need), ..Progress::default() });
                }
            },
        };
        let progress = self.pass(&page, position, take);
        self.page = Some(page);
        progress
    }

    fn happened(&mut self, happened: Happened) {
        if let Some((_, conversation)) = &mut self.asked {
            conversation.happened(happened);
        }
    }

    fn is_whole(&self) -> bool {
        self.form == Form::Whole
    }

    fn check_cursor(&self, cursor: &Json) -> Result<(), String> {
        let start = Url::parse(&self.settings.target.url)?;
        self.form.read(&start, cursor).map(drop)
    }
}
