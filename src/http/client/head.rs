//! A whole head: status line and fields, and what they say about framing (RFC 9112 sections 4, 6 and 9).
//!
//! As for requests, the scan has made sure of the lines, httparse does their grammar, and what may be understood in
//! two ways is refused here. Folded lines are refused as well, though RFC 9112 section 5.2 has a client unfold them:
//! nothing that is in use sends them.

use super::fault::Fault;
use super::request::Method;
use crate::http::Limits;
use crate::http::framing::{Codings, Persistence, decimal, elements};
use crate::http::head::refusal_of;
use crate::limits::HEADERS_MAX;

/// How the end of the content is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// By a number of bytes.
    Length(usize),
    /// By the chunked transfer coding.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// There is content, which is not read.
    Unreadable(Fault),
}

/// What a head says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) framing: Framing,
    pub(super) may_reuse: bool,
}

impl Head {
    /// Reads a head that the scan has found whole, empty line included. None if it is an interim answer's.
    pub(super) fn read(bytes: &[u8], method: Method, limits: &Limits) -> Result<Option<Self>, Fault> {
        let mut table = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let (table, _) = table.split_at_mut(limits.headers.min(HEADERS_MAX));
        let mut parsed = httparse::Response::new(table);
        match parsed.parse(bytes) {
            // Two readers of one line ending would be one too many: httparse has to agree with the scan.
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => {}
            Ok(_) => return Err(Fault::malformed("the head has an empty line too many")),
            Err(error) => return Err(fault_of(error, limits)),
        }
        let status = parsed.code.unwrap_or_default();
        match status {
            ..100 => return Err(Fault::malformed("a status is a number from 100 on")),
            101 => return Err(Fault::Switched),
            102..200 | 100 => return Ok(None),
            200.. => {}
        }
        let mut special = Special::default();
        for header in parsed.headers.iter() {
            special.note(header)?;
        }
        let minor_version = parsed.version.unwrap_or_default();
        let (framing, may_reuse) = special.framing(status, method, minor_version, limits)?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let fields =
            parsed.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
        Ok(Some(Self { status, fields, framing, may_reuse }))
    }
}

/// What the fields that concern this layer said.
#[derive(Default)]
struct Special {
    length: Option<u64>,
    codings: Codings,
    persistence: Persistence,
    content_coding: Option<String>,
}

impl Special {
    fn note(&mut self, header: &httparse::Header<'_>) -> Result<(), Fault> {
        let (name, value) = (header.name, header.value);
        if name.eq_ignore_ascii_case("content-length") {
            return elements(value).try_for_each(|length| self.note_length(length));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.codings.note(value);
        } else if name.eq_ignore_ascii_case("connection") {
            self.persistence.note(value);
        } else if name.eq_ignore_ascii_case("content-encoding") {
            let other = |coding: &&[u8]| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
            if let Some(coding) = elements(value).find(other) {
                self.content_coding = Some(String::from_utf8_lossy(coding).into_owned());
            }
        }
        Ok(())
    }

    /// RFC 9110 section 8.6: `5, 5` and two equal fields may be taken for one, as answers gather them on their way
    /// through proxies.
    fn note_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let length = decimal(value).ok_or_else(|| Fault::malformed("the Content-Length is not a number"))?;
        if self.length.is_some_and(|other| other != length) {
            return Err(Fault::malformed("there are two Content-Lengths that differ"));
        }
        self.length = Some(length);
        Ok(())
    }

    /// How the content ends (RFC 9112 section 6.3), and whether another answer may follow it.
    fn framing(
        self,
        status: u16,
        method: Method,
        minor_version: u8,
        limits: &Limits,
    ) -> Result<(Framing, bool), Fault> {
        let chunked = self.codings.are_chunked().map_err(|refusal| Fault::of(refusal, status, limits))?;
        if chunked && self.length.is_some() {
            return Err(Fault::malformed("there are a Content-Length and a Transfer-Encoding"));
        }
        if chunked && minor_version == 0 {
            return Err(Fault::malformed("HTTP/1.0 has no Transfer-Encoding"));
        }
        let persists = self.persistence.holds(minor_version);
        if method == Method::Head || matches!(status, 204 | 304) {
            // A 204 that announces content may be followed by it, which would pass for the next answer.
            let announces = status == 204 && (chunked || self.length.is_some_and(|length| length > 0));
            return Ok((Framing::None, persists && !announces));
        }
        if let Some(coding) = self.content_coding {
            return Ok((Framing::Unreadable(Fault::Compressed { status, coding }), false));
        }
        match self.length {
            _ if chunked => Ok((Framing::Chunked, persists)),
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes => Ok((Framing::Length(length), persists)),
                _ => Ok((Framing::Unreadable(Fault::body_too_long(status, limits)), false)),
            },
            None => Ok((Framing::UntilClose, false)),
        }
    }
}

/// What is wrong with a head that httparse does not take.
fn fault_of(error: httparse::Error, limits: &Limits) -> Fault {
    match error {
        httparse::Error::TooManyHeaders | httparse::Error::HeaderName | httparse::Error::HeaderValue => {
            Fault::of(refusal_of(error, b""), 0, limits)
        }
        httparse::Error::Version => Fault::malformed("its version is neither HTTP/1.0 nor HTTP/1.1"),
        _ => Fault::malformed("the first line is not `HTTP/1.1 STATUS reason`"),
    }
}
