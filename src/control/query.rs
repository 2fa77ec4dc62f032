//! What targets say beside their route: percent-encoded names, and which part of a list is wanted.

use std::borrow::Cow;

use super::content::invalid;
use super::render::{Rendered, problem};
use crate::flow::Status;
use crate::http::ErrorCode;
use crate::limits;
use crate::store::{HeartbeatFilter, RunFilter, RunId};

/// Which part of a list is wanted, and of what.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) limit: usize,
    pub(super) before: Option<String>,
    status: Option<Status>,
    agent: Option<String>,
}

impl Page {
    /// Reads a query that has these parameters and no others.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Rendered> {
        let mut page = Self { limit: limits::LIST_DEFAULT, before: None, status: None, agent: None };
        let mut seen: Vec<Cow<'_, str>> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&&*name) || seen.contains(&name) {
                return Err(invalid(&match known {
                    [] => "this request takes no parameters".to_owned(),
                    known => format!("the parameters are {}, each once at most", known.join(", ")),
                }));
            }
            page.set(&name, &value)?;
            seen.push(name);
        }
        Ok(page)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Rendered> {
        match name {
            "limit" => {
                let limit = whole_number(value).and_then(|number| usize::try_from(number).ok());
                let limit = limit.filter(|limit| (1..=limits::LIST_MAX).contains(limit));
                let right = || invalid(&format!("limit is a whole number from 1 to {}", limits::LIST_MAX));
                self.limit = limit.ok_or_else(right)?;
            }
            "status" => {
                let words = Status::ALL.map(Status::as_str).join(", ");
                let right = || invalid(&format!("status is one of {words}"));
                self.status = Some(Status::from_word(value).ok_or_else(right)?);
            }
            "agent" => self.agent = Some(value.to_owned()),
            _ => self.before = Some(value.to_owned()),
        }
        Ok(())
    }

    fn before_id(&self) -> Result<Option<i64>, Rendered> {
        let id = |text: &String| {
            whole_number(text)
                .ok_or_else(|| invalid("before is an id from the list: a whole number from 1 on"))
        };
        self.before.as_ref().map(id).transpose()
    }

    /// As runs are asked for.
    pub(super) fn of_runs(&self, flow: Option<String>) -> Result<RunFilter, Rendered> {
        let before = self.before_id()?.map(RunId);
        let Self { limit, status, .. } = *self;
        Ok(RunFilter { flow, status, before, limit, ..RunFilter::default() })
    }

    /// As heartbeats are asked for.
    pub(super) fn of_heartbeats(&self) -> Result<HeartbeatFilter, Rendered> {
        Ok(HeartbeatFilter { before: self.before_id()?, agent: self.agent.clone(), limit: self.limit })
    }
}

/// The id of a run, out of a path.
pub(super) fn run_id(text: &str) -> Result<RunId, Rendered> {
    let right = || problem(ErrorCode::NotFound, "a run's id is a whole number from 1 on");
    whole_number(text).map(RunId).ok_or_else(right)
}

/// From 1 on, in digits alone: Rust reads a sign as well.
fn whole_number(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_plain && *number > 0)
}

/// A part of a target without its percent-encoding (RFC 3986 section 2.1). A plus sign is one: who means a space writes %20.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>, Rendered> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let pair = part.get(..2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let right = "a percent sign in a target begins two hexadecimal digits";
        bytes.push(byte.ok_or_else(|| invalid(right))?);
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    let text = String::from_utf8(bytes);
    text.map(Cow::Owned).map_err(|_| invalid("what is percent-encoded in a target is text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_percent_encoded_is_read_or_refused() {
        for (text, read) in [("a-b", "a-b"), ("%61%2Db", "a-b"), ("a%2fb", "a/b"), ("%c3%a9+", "\u{e9}+")] {
            assert_eq!(decoded(text).unwrap(), read);
        }
        for wrong in ["%", "a%2", "%zz", "%+1", "%%41", "%c3", "%\u{e9}"] {
            assert!(decoded(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_has_digits_alone() {
        assert_eq!(whole_number("9223372036854775807"), Some(i64::MAX));
        for wrong in ["", "0", "+1", "-1", "1.0", "1e3", " 1", "9223372036854775808", "\u{661}"] {
            assert_eq!(whole_number(wrong), None, "{wrong}");
        }
    }
}
