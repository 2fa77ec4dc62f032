//! What follows a page's question mark. Lenient: what makes no sense counts as not there, as people type and bookmark it.

use std::fmt::{self, Display};

use super::standing::Filter;
use super::strip::Span;
use crate::flow::Status;
use crate::store::RunId;

/// A search is cut off here, in bytes: no name is longer.
const SEARCH_BYTES_MAX: usize = 128;

/// Which flows, and how they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowsQuery {
    /// Part of a name or description, in lower case.
    pub(super) search: String,
    pub(super) filter: Option<Filter>,
    pub(super) span: Span,
    /// From 0 on.
    pub(super) page: usize,
}

/// Which runs of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunsQuery {
    pub(super) status: Option<Status>,
    /// With smaller ids than this.
    pub(super) before: Option<RunId>,
}

/// Which heartbeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemQuery {
    /// With smaller numbers than this.
    pub(super) before: Option<i64>,
}

impl SystemQuery {
    pub(in crate::status) fn read(query: Option<&str>) -> Self {
        let before = pairs(query).filter(|(name, _)| name == "before").last();
        Self { before: before.and_then(|(_, value)| value.parse().ok()).filter(|id| *id > 0) }
    }
}

impl FlowsQuery {
    pub(in crate::status) fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "q" => {
                    // Some letters are longer in lower case.
                    let small = value.to_lowercase();
                    let end = small.floor_char_boundary(SEARCH_BYTES_MAX);
                    read.search = small[..end].trim().to_owned();
                }
                "state" => read.filter = Filter::from_word(&value),
                "span" => read.span = Span::from_word(&value).unwrap_or_default(),
                "page" => {
                    read.page = value.parse().map_or(0, |page: u16| usize::from(page.saturating_sub(1)))
                }
                _ => {}
            }
        }
        read
    }
}

/// The target of the same page: what is as ever is left out.
impl Display for FlowsQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        let mut before = '?';
        let mut pair = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn Display| {
            let separator = std::mem::replace(&mut before, '&');
            write!(f, "{separator}{name}={value}")
        };
        if !self.search.is_empty() {
            pair(f, "q", &Encoded(&self.search))?;
        }
        if let Some(filter) = self.filter {
            pair(f, "state", &filter.as_str())?;
        }
        if self.span != Span::default() {
            pair(f, "span", &self.span.as_str())?;
        }
        if self.page > 0 {
            pair(f, "page", &(self.page + 1))?;
        }
        Ok(())
    }
}

impl RunsQuery {
    pub(in crate::status) fn read(query: Option<&str>) -> Self {
        let mut read = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "status" => read.status = Status::from_word(&value),
                "before" => read.before = value.parse().ok().filter(|id| *id > 0).map(RunId),
                _ => {}
            }
        }
        read
    }

    /// The target of these runs of a flow.
    pub(super) fn target(&self, flow: &str) -> String {
        let mut target = format!("/flows/{flow}");
        if let Some(status) = self.status {
            target.push_str(&format!("?status={}", status.as_str()));
        }
        if let Some(before) = self.before {
            let separator = if self.status.is_some() { '&' } else { '?' };
            target.push_str(&format!("{separator}before={}", before.0));
        }
        target
    }
}

/// A span, if one is asked for.
pub(super) fn span(query: Option<&str>) -> Option<Span> {
    pairs(query).find(|(name, _)| name == "span").and_then(|(_, word)| Span::from_word(&word))
}

/// Names and values as forms send them (application/x-www-form-urlencoded, URL Standard section 5.1).
fn pairs(query: Option<&str>) -> impl Iterator<Item = (String, String)> {
    query.unwrap_or_default().split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

/// What is no percent-encoding stands for itself.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digit = |at: usize| behind.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        let encoded = digit(0).zip(digit(1)).filter(|_| *first == b'%');
        match encoded.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The same backwards.
struct Encoded<'a>(&'a str);

impl Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b' ' => f.write_str("+"),
            b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => write!(f, "{}", char::from(byte)),
            _ => write!(f, "%{byte:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = FlowsQuery::read(Some("q=Up+l%C3%B6%26&state=problems&span=7d&page=3&x=%zz"));
        assert_eq!(query.search, "up l\u{f6}&");
        assert_eq!((query.filter, query.span, query.page), (Some(Filter::Problems), Span::Week, 2));
        let written = query.to_string();
        assert_eq!(written, "/?q=up+l%C3%B6%26&state=problems&span=7d&page=3");
        assert_eq!(FlowsQuery::read(written.split_once('?').map(|(_, query)| query)), query);
        assert_eq!(FlowsQuery::default().to_string(), "/");
    }

    #[test]
    fn a_search_that_is_cut_off_stays_the_same_from_page_to_page() {
        for letter in ["%C8%BA", "x+", "%C4%B0"] {
            let query = FlowsQuery::read(Some(&format!("q={}", letter.repeat(100))));
            let link = query.to_string();
            assert_eq!(FlowsQuery::read(link.split_once('?').map(|(_, query)| query)), query, "{letter}");
        }
    }

    #[test]
    fn what_makes_no_sense_counts_as_not_there() {
        for query in ["page=-1&state=x&span=1y", "page=99999999", "&&=&%", "q"] {
            assert_eq!(FlowsQuery::read(Some(query)), FlowsQuery::default(), "{query}");
        }
        assert_eq!(RunsQuery::read(Some("before=0&status=odd")), RunsQuery::default());
        let read = RunsQuery::read(Some("before=12&status=failed"));
        assert_eq!((read.before, read.status), (Some(RunId(12)), Some(Status::Failed)));
        assert_eq!(read.target("one"), "/flows/one?status=failed&before=12");
        assert_eq!(RunsQuery { status: None, ..read }.target("one"), "/flows/one?before=12");
        let before = |query| SystemQuery::read(Some(query)).before;
        assert_eq!(["before=7", "before=-7", "before=x", "a=7"].map(before), [Some(7), None, None, None]);
    }
}
