//! Writes a whole answer into a buffer.

use super::decimal::append_decimal;
use super::scan::first_control;

/// Asks the peer for the content that it announced (RFC 9110 section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal;)+) => {
        impl Status {
            $(
                #[doc = concat!("`", stringify!($code), " ", $reason, "`")]
                pub const $name: Self = Self {
                    code: $code,
                    reason: $reason,
                    line: concat!("HTTP/1.1 ", stringify!($code), " ", $reason, "\r\n"),
                };
            )+
        }

        #[cfg(test)]
        const STATUSES: &[Status] = &[$(Status::$name,)+];
    };
}

/// A status in use here, with its reason phrase (RFC 9110 section 15, RFC 6585).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    code: u16,
    reason: &'static str,
    /// The whole status line.
    line: &'static str,
}

statuses! {
    OK = 200 "OK";
    CREATED = 201 "Created";
    ACCEPTED = 202 "Accepted";
    NO_CONTENT = 204 "No Content";
    BAD_REQUEST = 400 "Bad Request";
    UNAUTHORIZED = 401 "Unauthorized";
    FORBIDDEN = 403 "Forbidden";
    NOT_FOUND = 404 "Not Found";
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed";
    REQUEST_TIMEOUT = 408 "Request Timeout";
    CONFLICT = 409 "Conflict";
    LENGTH_REQUIRED = 411 "Length Required";
    CONTENT_TOO_LARGE = 413 "Content Too Large";
    URI_TOO_LONG = 414 "URI Too Long";
    UNSUPPORTED_MEDIA_TYPE = 415 "Unsupported Media Type";
    EXPECTATION_FAILED = 417 "Expectation Failed";
    MISDIRECTED_REQUEST = 421 "Misdirected Request";
    UNPROCESSABLE_CONTENT = 422 "Unprocessable Content";
    TOO_MANY_REQUESTS = 429 "Too Many Requests";
    HEADER_FIELDS_TOO_LARGE = 431 "Request Header Fields Too Large";
    INTERNAL_SERVER_ERROR = 500 "Internal Server Error";
    NOT_IMPLEMENTED = 501 "Not Implemented";
    SERVICE_UNAVAILABLE = 503 "Service Unavailable";
    VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported";
}

impl Status {
    /// The three digits.
    pub const fn code(self) -> u16 {
        self.code
    }

    /// The words behind them.
    pub const fn reason(self) -> &'static str {
        self.reason
    }
}

/// What becomes of the connection after an answer, and so what the answer says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It goes on, as is the rule in HTTP/1.1: nothing is said.
    Persistent,
    /// It goes on because an HTTP/1.0 peer asked for it: `Connection: keep-alive`.
    KeepAlive,
    /// It ends: `Connection: close`.
    Close,
}

/// An answer, all of it known.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// The first line.
    pub status: Status,
    /// `Content-Type`.
    pub content_type: &'a str,
    /// Further fields, such as `Allow`; not those that are written anyway.
    pub fields: &'a [(&'a str, &'a str)],
    /// The content.
    pub body: &'a [u8],
}

impl Response<'_> {
    /// Appends status line, fields and content to `out`.
    ///
    /// `date` is [`crate::time::Wall::http_date`]'s. With `head_only`, for a `HEAD`, the fields are the same
    /// and the content stays away (RFC 9110 section 9.3.2). Nothing that is served here may be cached: it is
    /// the state of a box, or the outcome of a POST. Allocates only where `out` has to grow.
    pub fn append(&self, out: &mut Vec<u8>, date: &str, connection: Connection, head_only: bool) {
        out.reserve(256 + self.body.len());
        out.extend_from_slice(self.status.line.as_bytes());
        out.extend_from_slice(b"Date: ");
        append_value(out, date);
        // RFC 9110 section 8.6: a 204 has no Content-Length.
        if self.status != Status::NO_CONTENT {
            out.extend_from_slice(b"\r\nContent-Type: ");
            append_value(out, self.content_type);
            out.extend_from_slice(b"\r\nContent-Length: ");
            append_decimal(out, u64::try_from(self.body.len()).unwrap_or(u64::MAX));
        }
        out.extend_from_slice(b"\r\nCache-Control: no-store\r\n");
        match connection {
            Connection::Persistent => {}
            Connection::KeepAlive => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            Connection::Close => out.extend_from_slice(b"Connection: close\r\n"),
        }
        for (name, value) in self.fields {
            append_value(out, name);
            out.extend_from_slice(b": ");
            append_value(out, value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        if !head_only && self.status != Status::NO_CONTENT {
            out.extend_from_slice(self.body);
        }
    }
}

/// Appends the head of a 200 whose content ends with the connection (RFC 9112 section 6.3, the last case): for what has
/// no length before its end.
pub fn append_until_close(out: &mut Vec<u8>, date: &str, content_type: &str) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    append_value(out, date);
    out.extend_from_slice(b"\r\nContent-Type: ");
    append_value(out, content_type);
    out.extend_from_slice(b"\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
}

/// A field's text; a control byte, which could start a line of its own, becomes a space.
fn append_value(out: &mut Vec<u8>, value: &str) {
    let mut rest = value.as_bytes();
    while let Some((clean, behind)) = first_control(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(clean);
        out.push(b' ');
        rest = behind.get(1..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Mon, 23 Nov 2026 10:30:00 GMT";

    fn written(response: &Response<'_>, connection: Connection, head_only: bool) -> String {
        let mut out = Vec::new();
        response.append(&mut out, DATE, connection, head_only);
        String::from_utf8(out).unwrap()
    }

    fn with_fields<'a>(fields: &'a [(&'a str, &'a str)]) -> Response<'a> {
        Response { status: Status::OK, content_type: "application/json", fields, body: b"{}" }
    }

    #[test]
    fn an_answer_has_date_type_length_and_content() {
        let expected = "HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:30:00 GMT\r\n\
            Content-Type: application/json\r\nContent-Length: 2\r\nCache-Control: no-store\r\nA: b\r\n\r\n{}";
        assert_eq!(written(&with_fields(&[("A", "b")]), Connection::Persistent, false), expected);
    }

    #[test]
    fn an_answer_to_head_has_the_length_and_no_content() {
        let answer = written(&with_fields(&[]), Connection::Persistent, true);
        assert!(answer.contains("Content-Length: 2\r\n") && answer.ends_with("\r\n\r\n"));
    }

    #[test]
    fn an_answer_says_what_becomes_of_the_connection() {
        let answer = |connection| written(&with_fields(&[]), connection, false);
        assert!(!answer(Connection::Persistent).contains("Connection:"));
        assert!(answer(Connection::KeepAlive).contains("\r\nConnection: keep-alive\r\n"));
        assert!(answer(Connection::Close).contains("\r\nConnection: close\r\n"));
    }

    #[test]
    fn a_204_has_neither_content_nor_its_length() {
        let answer =
            written(&Response { status: Status::NO_CONTENT, ..with_fields(&[]) }, Connection::Close, false);
        assert!(!answer.contains("Content-") && answer.ends_with("\r\n\r\n"));
    }

    #[test]
    fn content_without_a_length_ends_with_the_connection() {
        let mut out = Vec::new();
        append_until_close(&mut out, DATE, "text/plain");
        let head = String::from_utf8(out).unwrap();
        assert!(head.contains("\r\nConnection: close\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
    }

    #[test]
    fn a_field_cannot_start_a_line_of_its_own() {
        let answer = written(&with_fields(&[("A", "b\r\nSet-Cookie: c")]), Connection::Close, false);
        assert!(answer.contains("\r\nA: b  Set-Cookie: c\r\n"));
    }

    #[test]
    fn every_answer_is_read_by_another_parser() {
        for &status in STATUSES {
            let answer =
                written(&Response { status, ..with_fields(&[("A", "b")]) }, Connection::Close, false);
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut parsed = httparse::Response::new(&mut headers);
            assert!(parsed.parse(answer.as_bytes()).unwrap().is_complete());
            assert_eq!((parsed.code, parsed.reason), (Some(status.code()), Some(status.reason())));
        }
    }
}
