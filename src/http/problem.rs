//! What a caller gets that is not served: a problem document (RFC 9457).

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::error::{ErrorCode, Refusal};
use super::response::{Connection, Response};

/// The media type of a problem document.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// The value of a further member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member<'a> {
    /// A whole number, such as seconds of clock skew.
    Number(i64),
    /// A text.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Number(number) => serializer.serialize_i64(number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Flag(flag) => serializer.serialize_bool(flag),
        }
    }
}

/// An error as its caller sees it; the fields are those that some statuses go with.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The name for programs; it decides the status.
    pub code: ErrorCode,
    /// A sentence for people.
    pub detail: &'a str,
    /// Further members of the document, behind the standard ones.
    pub members: &'a [(&'a str, Member<'a>)],
    /// `Allow`: what a 405 has to name (RFC 9110 section 15.5.6).
    pub allow: Option<&'a str>,
    /// `Retry-After`, in seconds, with 429 and 503.
    pub retry_after_s: Option<u64>,
    /// `WWW-Authenticate`: what a 401 has to name (RFC 9110 section 15.5.2).
    pub authenticate: Option<&'a str>,
}

impl<'a> Problem<'a> {
    /// One without further members and fields.
    pub const fn new(code: ErrorCode, detail: &'a str) -> Self {
        Self { code, detail, members: &[], allow: None, retry_after_s: None, authenticate: None }
    }

    /// What a refused request is told.
    pub fn of(refusal: &'a Refusal) -> Self {
        Self::new(refusal.code, &refusal.detail)
    }

    /// Appends the document.
    pub fn append_body(&self, out: &mut Vec<u8>) {
        // Writing to memory does not fail, and neither does text as a key.
        let _written = serde_json::to_writer(out, self);
    }

    /// Appends the whole answer; the arguments are [`Response::append`]'s.
    pub fn append(&self, out: &mut Vec<u8>, date: &str, connection: Connection, head_only: bool) {
        let mut body = Vec::with_capacity(256);
        self.append_body(&mut body);
        let retry_after = self.retry_after_s.map(|seconds| seconds.to_string());
        let offered = [
            ("Allow", self.allow),
            ("Retry-After", retry_after.as_deref()),
            ("WWW-Authenticate", self.authenticate),
        ];
        let mut fields = [("", ""); 3];
        let mut count = 0;
        for (slot, field) in fields
            .iter_mut()
            .zip(offered.iter().filter_map(|(name, value)| value.map(|value| (*name, value))))
        {
            *slot = field;
            count += 1;
        }
        let fields = fields.get(..count).unwrap_or_default();
        let response =
            Response { status: self.code.status(), content_type: PROBLEM_TYPE, fields, body: &body };
        response.append(out, date, connection, head_only);
    }
}

impl Serialize for Problem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = self.code.status();
        let mut document = serializer.serialize_map(None)?;
        document.serialize_entry("type", "about:blank")?;
        // RFC 9457 section 4.2.1: with about:blank the title is the status phrase.
        document.serialize_entry("title", status.reason())?;
        document.serialize_entry("status", &status.code())?;
        document.serialize_entry("detail", self.detail)?;
        document.serialize_entry("error", self.code.as_str())?;
        for (name, value) in self.members {
            document.serialize_entry(name, value)?;
        }
        document.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(problem: &Problem<'_>) -> String {
        let mut out = Vec::new();
        problem.append(&mut out, "Mon, 23 Nov 2026 10:30:00 GMT", Connection::Close, false);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_problem_names_its_status_and_its_error() {
        let mut body = Vec::new();
        Problem::new(ErrorCode::SignatureMismatch, "no \"secret\" fits").append_body(&mut body);
        let expected = r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"no \"secret\" fits","error":"signature_mismatch"}"#;
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn further_members_follow_the_standard_ones() {
        let members = [("skew_s", Member::Number(-310)), ("a", Member::Text("b")), ("c", Member::Flag(true))];
        let problem = Problem { members: &members, ..Problem::new(ErrorCode::TimestampTooNew, "") };
        assert!(
            written(&problem).ends_with(r#""error":"timestamp_too_new","skew_s":-310,"a":"b","c":true}"#)
        );
    }

    #[test]
    fn the_fields_that_a_status_goes_with_are_written_where_given() {
        let plain = Problem::new(ErrorCode::MethodNotAllowed, "");
        let answer = written(&Problem { allow: Some("POST"), retry_after_s: Some(7), ..plain });
        assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
        assert!(answer.contains("\r\nContent-Type: application/problem+json\r\n"));
        assert!(answer.contains("\r\nAllow: POST\r\nRetry-After: 7\r\n\r\n"), "{answer}");
        assert!(!answer.contains("WWW-Authenticate"));
        let answer = written(&Problem { authenticate: Some("Signature"), ..plain });
        assert!(answer.contains("\r\nWWW-Authenticate: Signature\r\n\r\n"), "{answer}");
    }
}
