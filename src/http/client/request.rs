//! Writes a request.

use super::fields::check_field;
use super::url::Url;
use crate::http::decimal::append_decimal;

const USER_AGENT: &str = concat!("heartbeatd/", env!("CARGO_PKG_VERSION"));

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: an answer has no content.
    Head,
    /// `POST`
    Post,
}

impl Method {
    /// The name as it is sent.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// A request, all of it known.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What is asked.
    pub method: Method,
    /// Whom, and for what.
    pub url: &'a Url,
    /// Further fields. One that [`check_field`] refuses is not sent; whoever reads the configuration has said so.
    pub fields: &'a [(String, String)],
    /// The content.
    pub body: Option<&'a [u8]>,
}

impl Request<'_> {
    /// Appends request line, fields and content to `out`. The connection is kept: that is HTTP/1.1's rule.
    pub fn append(&self, out: &mut Vec<u8>) {
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            out.extend_from_slice(b"\r\n");
        };
        line(&[self.method.as_str(), " ", self.url.target(), " HTTP/1.1"]);
        line(&["Host: ", self.url.authority()]);
        let fields = self.fields.iter().filter(|(name, value)| check_field(name, value).is_ok());
        if !fields.clone().any(|(name, _)| name.eq_ignore_ascii_case("User-Agent")) {
            line(&["User-Agent: ", USER_AGENT]);
        }
        line(&["Accept-Encoding: identity"]);
        fields.for_each(|(name, value)| line(&[name, ": ", value]));
        // RFC 9110 section 8.6: a method that is about content has its length told, none as well.
        if self.body.is_some() || self.method == Method::Post {
            let body = self.body.unwrap_or_default();
            out.extend_from_slice(b"Content-Length: ");
            append_decimal(out, u64::try_from(body.len()).unwrap_or(u64::MAX));
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.body.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    fn written(method: Method, fields: &[(&str, &str)], body: Option<&[u8]>) -> String {
        let url = Url::parse("http://Box.example:8080/a?b=c").unwrap();
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut out = Vec::new();
        Request { method, url: &url, fields: &fields, body }.append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_request_says_whom_it_asks_and_that_nothing_shall_be_compressed() {
        assert_eq!(
            written(Method::Get, &[("Accept", "text/csv")], None),
            format!(
                "GET /a?b=c HTTP/1.1\r\nHost: box.example:8080\r\nUser-Agent: {USER_AGENT}\r\n\
                 Accept-Encoding: identity\r\nAccept: text/csv\r\n\r\n"
            )
        );
    }

    #[test]
    fn content_has_its_length_told_and_a_post_without_any_too() {
        assert!(written(Method::Post, &[], Some(b"hi")).ends_with("\r\nContent-Length: 2\r\n\r\nhi"));
        assert!(written(Method::Post, &[], None).ends_with("\r\nContent-Length: 0\r\n\r\n"));
        assert!(!written(Method::Get, &[], None).contains("Content-Length"));
    }

    #[test]
    fn a_field_that_is_refused_is_not_sent() {
        let request = written(Method::Get, &[("A", "b\r\nC: d"), ("Host", "other"), ("E", "f")], None);
        assert!(!request.contains("C: d") && !request.contains("other") && request.contains("\r\nE: f\r\n"));
    }

    #[test]
    fn an_agents_name_that_is_given_is_the_only_one() {
        let request = written(Method::Get, &[("user-agent", "box/1")], None);
        assert!(request.contains("user-agent: box/1") && !request.contains(USER_AGENT), "{request}");
    }

    #[test]
    fn our_own_server_reads_what_is_written() {
        let request = written(Method::Post, &[("A", "b")], Some(b"hi"));
        let mut receiver = http::Receiver::new();
        receiver.receive(request.as_bytes());
        let limits = http::Limits::default();
        let http::Progress::Request(read) = receiver.poll(&limits) else { unreachable!("{request}") };
        assert_eq!((read.method, read.path, read.query), (http::Method::Post, "/a", Some("b=c")));
        assert_eq!((read.host, read.body, read.keep_alive), (Some("box.example:8080"), &b"hi"[..], true));
    }
}
