//! How far a server was read, as the source's cursor has it.

use serde_json::{Map, Value as Json};

use crate::flow::{FNV_BASIS, HttpSource, NextPage, fnv1a};
use crate::http::client::{Answer, Scheme, Url, check_field};
use crate::limits;
use crate::time::Wall;

/// What a cursor can be, by the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// There is one answer, which may be known by what the server calls it.
    Whole,
    /// Each page is a URL.
    Urls,
    /// Each page is a value of a call's parameter.
    Parameters,
}

/// A page, and what of it was taken.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) url: Url,
    /// The value of the call's parameter; null where that is left as it is.
    pub(super) parameter: Json,
    /// The records of the page that were taken, from its first on.
    pub(super) taken: usize,
    /// What the server called the answer that was taken last.
    pub(super) validator: Option<Validator>,
    /// The hash of the settings that it was written under; a cursor that an operator set may have none.
    pub(super) settings: Option<String>,
    /// The hash of a page that was read already, to which this one led back.
    pub(super) back: Option<String>,
}

/// What a server calls a state of what it has (RFC 9110 section 8.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Validator {
    Etag(String),
    LastModified(String),
}

impl Form {
    pub(super) fn of(settings: &HttpSource) -> Self {
        match (&settings.next, &settings.json_rpc) {
            (None, _) => Self::Whole,
            (Some(NextPage::Value { parameter: Some(_), .. }), Some(_)) => Self::Parameters,
            (Some(_), _) => Self::Urls,
        }
    }

    /// What a cursor of this form looks like.
    fn right(self) -> &'static str {
        match self {
            Self::Whole => {
                "null, {\"etag\": TEXT} or {\"last_modified\": TEXT}: what the last answer was called; it is sent if \
                 \"settings\" beside it is the hash of the present ones"
            }
            Self::Urls => {
                "null or {\"url\": URL, \"taken\": N}: the page to read, and how many of its records were taken"
            }
            Self::Parameters => {
                "null or {\"parameter\": VALUE, \"taken\": N}: the page to ask for, and how many of its records were taken"
            }
        }
    }

    /// Reads a cursor of a source that begins at this URL.
    pub(super) fn read(self, start: &Url, cursor: &Json) -> Result<Position, String> {
        let first = Position::first(start.clone());
        let wrong = || format!("a cursor of this http source is {}", self.right());
        let members = match cursor {
            Json::Null => return Ok(first),
            Json::Object(members) => members,
            _ => return Err(wrong()),
        };
        let text = |name: &str| members.get(name).and_then(Json::as_str);
        let taken =
            || members.get("taken").and_then(Json::as_u64).and_then(|taken| usize::try_from(taken).ok());
        let read = match self {
            Self::Whole => {
                let etag = text("etag").map(|etag| Validator::Etag(etag.to_owned()));
                let modified = || text("last_modified").map(|time| Validator::LastModified(time.to_owned()));
                let validator = etag.or_else(modified).ok_or_else(wrong)?;
                // It would be left out of the request, and nobody told.
                let (name, value) = validator.field();
                check_field(name, value)?;
                Position { validator: Some(validator), ..first }
            }
            Self::Urls => {
                let url = Url::parse(text("url").ok_or_else(wrong)?)?;
                check_origin(start, &url)?;
                Position { url, taken: taken().ok_or_else(wrong)?, ..first }
            }
            Self::Parameters => {
                let parameter = members.get("parameter").cloned().ok_or_else(wrong)?;
                let is_value = parameter.is_null() || parameter.is_string() || parameter.is_number();
                let taken = taken().filter(|_| is_value).ok_or_else(wrong)?;
                Position { parameter, taken, ..first }
            }
        };
        // Members that have no meaning were meant for something.
        let known = match self {
            Self::Whole => 1,
            Self::Urls | Self::Parameters => 2,
        };
        let settings = text("settings").map(str::to_owned);
        let back = text("back").filter(|_| self != Self::Whole).map(str::to_owned);
        let known = known + usize::from(settings.is_some()) + usize::from(back.is_some());
        if members.len() == known { Ok(Position { settings, back, ..read }) } else { Err(wrong()) }
    }

    /// The cursor of a position, under the settings of this hash.
    pub(super) fn write(self, position: &Position, settings: &str) -> Json {
        let mut members = Map::new();
        match self {
            Self::Whole => {}
            Self::Urls => {
                members.insert("url".to_owned(), position.url.to_string().into());
                members.insert("taken".to_owned(), position.taken.into());
            }
            Self::Parameters => {
                members.insert("parameter".to_owned(), position.parameter.clone());
                members.insert("taken".to_owned(), position.taken.into());
            }
        }
        match &position.validator {
            Some(Validator::Etag(etag)) => drop(members.insert("etag".to_owned(), etag.as_str().into())),
            Some(Validator::LastModified(time)) => {
                members.insert("last_modified".to_owned(), time.as_str().into());
            }
            None if members.is_empty() => return Json::Null,
            None => {}
        }
        if let Some(back) = &position.back {
            members.insert("back".to_owned(), back.as_str().into());
        }
        members.insert("settings".to_owned(), settings.into());
        Json::Object(members)
    }
}

impl Position {
    /// Before anything was read.
    pub(super) fn first(url: Url) -> Self {
        Self { url, parameter: Json::Null, taken: 0, validator: None, settings: None, back: None }
    }

    /// What tells its page from others.
    pub(super) fn page(&self) -> String {
        format!("{} {}", self.url, self.parameter)
    }

    /// The same in short.
    pub(super) fn hash(&self) -> String {
        format!("{:016x}", fnv1a(FNV_BASIS, self.page().bytes()))
    }
}

/// The fields with our secrets go to whoever answers at a page.
pub(super) fn check_origin(start: &Url, page: &Url) -> Result<(), String> {
    if page.scheme() == Scheme::Https && start.scheme() != Scheme::Https {
        return Err(
            "a page has an https URL, which needs a build with TLS, which there is not yet".to_owned()
        );
    }
    match page.same_origin(start) {
        true => Ok(()),
        false => Err(format!(
            "a page is at {}://{}, and pages are read from {}://{} alone, as whatever a request's fields hold would go there",
            page.scheme().as_str(),
            page.authority(),
            start.scheme().as_str(),
            start.authority()
        )),
    }
}

impl Validator {
    /// What an answer is called.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let etag = answer.field("ETag").filter(|etag| is_entity_tag(etag));
        let modified = || answer.field("Last-Modified").filter(|time| is_long_ago(time, answer));
        let validator = match etag {
            Some(etag) => Self::Etag(etag.to_owned()),
            None => Self::LastModified(modified()?.to_owned()),
        };
        let (name, value) = validator.field();
        let may_be_sent = value.len() <= limits::VALIDATOR_BYTES_MAX && check_field(name, value).is_ok();
        may_be_sent.then_some(validator)
    }

    /// The field that asks for what is called otherwise.
    pub(super) fn field(&self) -> (&'static str, &str) {
        match self {
            Self::Etag(etag) => ("If-None-Match", etag),
            Self::LastModified(time) => ("If-Modified-Since", time),
        }
    }
}

/// Whether this is one entity-tag (RFC 9110 section 8.8.3): a list of them, or `*`, would match what it was not meant for.
fn is_entity_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| !inner.contains('"'))
}

/// Whether a time was over for so long, when it was answered, that nothing can have changed within it since.
fn is_long_ago(modified: &str, answer: &Answer) -> bool {
    let of = |text: &str| Wall::parse_http_date(text).map(Wall::as_millis);
    let (Some(modified), Some(date)) = (of(modified), answer.field("Date").and_then(of)) else {
        return false;
    };
    i128::from(date) - i128::from(modified) >= limits::LAST_MODIFIED_AGE_MIN.as_millis().cast_signed()
}
