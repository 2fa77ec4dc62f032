//! How an answer names the page after it.

use serde_json::Value as Json;
use std::borrow::Cow;

use super::cursor::{Position, check_origin};
use super::document;
use super::{HttpSource, Page};
use crate::flow::NextPage;
use crate::http::client::Url;
use crate::limits;
use crate::pipeline::Result;

/// Where a page leads.
#[derive(Debug)]
pub(super) enum Way {
    /// Nowhere: it is the last one, and stays so until it names another.
    End,
    /// To a page that may be read.
    On(Position),
    /// Back to a page that was read: the hash of that.
    Back(String),
}

impl HttpSource {
    /// The way on from a page.
    ///
    /// # Errors
    /// It names what may not be read, or still the page that it led back to.
    pub(super) fn next(&self, at: &Position, page: &Page, document: Option<&str>) -> Result<Way, String> {
        let Some(next) = self.named(at, page, document)? else { return Ok(Way::End) };
        // What begins at this origin stays there.
        let start = Url::parse(&self.settings.target.url)?;
        check_origin(&start, &next.url)?;
        // As those do that answer with a token for what comes after: it moves on when something has come.
        if next.page() == at.page() {
            return Ok(Way::End);
        }
        let hash = next.hash();
        let is_known = self.seen.contains(&hash) || next.page() == Position::first(start).page();
        // By turns it may lead to others that are known: one question more is enough.
        if at.back.as_ref().is_some_and(|back| is_known || *back == hash) {
            let why = "the page names one that was read already; none, or a new one, would be right";
            return Err(why.to_owned());
        }
        Ok(if is_known { Way::Back(hash) } else { Way::On(next) })
    }

    fn named(&self, at: &Position, page: &Page, document: Option<&str>) -> Result<Option<Position>, String> {
        let (pointer, parameter) = match &self.settings.next {
            None => return Ok(None),
            Some(NextPage::Link) => {
                let link = page.answer.next_link();
                return link.map(|link| joined(&page.url, link)).transpose();
            }
            Some(NextPage::Value { pointer, parameter }) => (pointer, parameter),
        };
        let document::Way::Value(value) = document::point(document.unwrap_or("null"), pointer)? else {
            return Ok(None);
        };
        let wrong = |right: &str| {
            Err(format!("what \"{pointer}\" leads to is {}; {right} would be right", document::kind(value)))
        };
        let text = match value.as_bytes().first() {
            Some(b'n' | b'f') => return Ok(None),
            Some(b'"') => {
                document::string(value).map_err(|why| format!("what \"{pointer}\" leads to: {why}"))?
            }
            Some(b'-' | b'0'..=b'9') if parameter.is_some() => Cow::Borrowed(value),
            _ if parameter.is_some() => return wrong("a text or number"),
            _ => return wrong("a URL"),
        };
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > limits::URL_BYTES_MAX {
            let most = limits::URL_BYTES_MAX;
            return Err(format!(
                "what \"{pointer}\" leads to is longer than {most} bytes, the most it may be"
            ));
        }
        let Some(parameter) = parameter else { return joined(&page.url, &text).map(Some) };
        let Some(call) = &self.settings.json_rpc else {
            let url = at.url.with_query_parameter(parameter, &text)?;
            return Ok(Some(Position::first(url)));
        };
        let given: Json = serde_json::from_str(value).map_err(|error| error.to_string())?;
        if given.is_number() && given.to_string() != text {
            return wrong("a whole number of 64 bits, or a text,");
        }
        // The first call has the author's own value.
        let is_first = call.params.get(parameter.as_str()) == Some(&given);
        let given = if is_first { Json::Null } else { given };
        Ok(Some(Position { parameter: given, ..Position::first(at.url.clone()) }))
    }
}

fn joined(base: &Url, reference: &str) -> Result<Position, String> {
    let url =
        base.join(reference).map_err(|why| format!("the next page has no URL that can be asked: {why}"))?;
    Ok(Position::first(url))
}
