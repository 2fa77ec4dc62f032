//! What a caller gets that is not served: a problem document (RFC 9457).

use serde::Serialize;
use serde_json::Value;

use super::error::{ErrorCode, Refusal};
use super::response::{Connection, Response};

/// The media type of a problem document.
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// An error as its caller sees it; the fields are those that some statuses go with.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    /// The name for programs; it decides the status.
    pub code: ErrorCode,
    /// A sentence for people.
    pub detail: &'a str,
    /// Further members of the document, behind the standard ones.
    pub members: &'a [(&'a str, Value)],
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

    /// Appends the document. What is our own word stands in JSON as it is: a flood of refusals pays for each letter that is
    /// looked at.
    pub fn append_body(&self, out: &mut Vec<u8>) {
        let status = self.code.status();
        // RFC 9457 section 4.2.1: with about:blank the title is the status phrase.
        out.extend_from_slice(br#"{"type":"about:blank","title":""#);
        out.extend_from_slice(status.reason().as_bytes());
        out.extend_from_slice(br#"","status":"#);
        append_json(out, &status.code());
        out.extend_from_slice(br#","detail":"#);
        append_json(out, self.detail);
        out.extend_from_slice(br#","error":""#);
        out.extend_from_slice(self.code.as_str().as_bytes());
        out.push(b'"');
        for (name, value) in self.members {
            out.push(b',');
            append_json(out, *name);
            out.push(b':');
            append_json(out, value);
        }
        out.push(b'}');
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

fn append_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to memory does not fail, and neither does text or a number.
    let _written = serde_json::to_writer(out, value);
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
    fn each_error_is_told_in_json() {
        for &code in ErrorCode::ALL {
            let mut body = Vec::new();
            Problem::new(code, "a\tb").append_body(&mut body);
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let status = code.status();
            let expected = serde_json::json!({
                "type": "about:blank", "title": status.reason(), "status": status.code(), "detail": "a\tb", "error": code.as_str(),
            });
            assert_eq!(document, expected);
        }
    }

    #[test]
    fn further_members_follow_the_standard_ones() {
        let members = [("skew_s", (-310).into()), ("a", "b".into()), ("c", true.into())];
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
