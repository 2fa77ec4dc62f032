//! An answer, and what is asked of its fields.

use std::time::Duration;

use super::link;
use crate::time::Wall;

/// An answer, all of it here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// From 200 on. Above 599 it means what a 500 means (RFC 9110 section 15).
    pub status: u16,
    /// Name and value of each field, in the order of their coming. What is not UTF-8 in a value is replaced.
    pub fields: Vec<(String, String)>,
    /// The content, its transfer coding removed.
    pub body: Vec<u8>,
    /// Whether another request may be sent on the connection: as far as both sides said, and if nothing came behind
    /// the answer.
    pub may_reuse: bool,
}

impl Answer {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let same = move |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str())
    }

    /// Where to go instead: a reference for [`super::Url::join`].
    pub fn location(&self) -> Option<&str> {
        self.field("Location")
    }

    /// The next page, by the `Link` fields (RFC 8288): a reference for [`super::Url::join`].
    pub fn next_link(&self) -> Option<&str> {
        self.all("Link").find_map(link::next)
    }

    /// Type and subtype of the content, in lower case and without parameters.
    pub fn content_type(&self) -> Option<String> {
        let essence = self.field("Content-Type")?.split(';').next()?.trim();
        (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
    }

    /// How long to wait before asking again (RFC 9110 section 10.2.3), counted from now; zero if that time has gone
    /// by. None if nothing is said that can be read.
    pub fn retry_after(&self, now: Wall) -> Option<Duration> {
        let value = self.field("Retry-After")?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let wait_ms = Wall::parse_http_date(value)?.as_millis().saturating_sub(now.as_millis());
        Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(fields: &[(&str, &str)]) -> Answer {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Answer { fields: fields.iter().map(owned).collect(), ..Answer::default() }
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let answer = with(&[("location", "/a"), ("X", "1"), ("x", "2")]);
        assert_eq!((answer.location(), answer.field("x"), answer.field("y")), (Some("/a"), Some("1"), None));
    }

    #[test]
    fn a_content_type_is_told_without_its_parameters() {
        let essence = |value| with(&[("content-type", value)]).content_type();
        assert_eq!(essence("Application/JSON; charset=utf-8").as_deref(), Some("application/json"));
        assert_eq!(essence("text/csv ;header=present").as_deref(), Some("text/csv"));
        assert_eq!((essence(""), essence(";a=b"), with(&[]).content_type()), (None, None, None));
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = Wall::from_seconds(784_111_777);
        let wait = |value| with(&[("Retry-After", value)]).retry_after(now);
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("99999999999999999999999"), Some(Duration::from_secs(u64::MAX)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT"), Some(Duration::ZERO), "a time gone by");
        for wrong in ["", "-1", "1.5", "soon", "120 s"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_next_page_may_stand_in_any_link_field() {
        let answer = with(&[("Link", "</1>; rel=prev"), ("link", "</3>; rel=last, </2>; rel=next")]);
        assert_eq!(answer.next_link(), Some("/2"));
        assert_eq!(with(&[]).next_link(), None);
    }
}
