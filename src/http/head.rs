//! A whole head: request line and fields, and what they say about framing (RFC 9112 sections 3, 5, 6 and 9).
//!
//! The scan has already made sure that every line ends with CR LF and holds no control bytes; httparse does
//! the grammar of the lines; what may be understood in two ways is refused here.

use std::mem::MaybeUninit;

use super::error::{ErrorCode, Refusal};
use super::framing::{Codings, Persistence, decimal};
use super::method::Method;
use super::span::Span;
use super::target::{self, Target};
use super::{Limits, host};
use crate::limits::HEADERS_MAX;

/// Where one field is, counted from the start of the head.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldSpan {
    pub(super) name: Span,
    pub(super) value: Span,
}

/// How the end of the content is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a number of bytes.
    Length(usize),
    /// By the chunked transfer coding.
    Chunked,
    /// There is none.
    #[default]
    None,
}

/// What a head says. One is kept for each connection and filled anew, so that a request allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Length in bytes, the empty line included.
    pub(super) end: usize,
    pub(super) method: Method,
    pub(super) method_text: Span,
    pub(super) target: Target,
    pub(super) minor_version: u8,
    pub(super) host: Option<Span>,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) framing: Framing,
    pub(super) fields: Vec<FieldSpan>,
}

impl Head {
    /// Reads a head that the scan has found whole, empty line included.
    pub(super) fn fill(&mut self, bytes: &[u8], limits: &Limits) -> Result<(), Refusal> {
        let mut table = [const { MaybeUninit::<httparse::Header<'_>>::uninit() }; HEADERS_MAX];
        let (table, _) = table.split_at_mut(limits.headers.min(HEADERS_MAX));
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, table) {
            // Two readers of one line ending would be one too many: httparse has to agree with the scan.
            Ok(httparse::Status::Complete(end)) if end == bytes.len() => self.end = end,
            Ok(_) => return Err(Refusal::bad("the head has an empty line too many")),
            Err(error) => return Err(refusal_of(error, bytes)),
        }
        let (method, target) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
        self.method = Method::from_token(method);
        self.method_text = Span::of(method.as_bytes(), bytes);
        self.minor_version = parsed.version.unwrap_or_default();
        let offset = Span::of(target.as_bytes(), bytes).start;
        self.target = target::parse(self.method, target.as_bytes())?;
        self.target.path = self.target.path.shifted(offset);
        self.target.query = self.target.query.map(|span| span.shifted(offset));
        self.target.authority = self.target.authority.map(|span| span.shifted(offset));
        self.fields.clear();
        self.read_fields(parsed.headers, bytes, limits)
    }

    /// One pass over the fields; those that this layer lives by are looked at, all are kept.
    fn read_fields(
        &mut self,
        headers: &[httparse::Header<'_>],
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(), Refusal> {
        let mut special = Special::default();
        for header in headers {
            // An empty value may be a constant of httparse's: it has no place in the head.
            let place = if header.value.is_empty() { Span::default() } else { Span::of(header.value, bytes) };
            self.fields.push(FieldSpan { name: Span::of(header.name.as_bytes(), bytes), value: place });
            special.note(header, place)?;
        }
        if special.host.is_none() && self.minor_version == 1 {
            return Err(Refusal::bad("there is no Host field"));
        }
        if special.other_expectation {
            return Err(Refusal::new(ErrorCode::ExpectationFailed, "only 100-continue can be expected"));
        }
        self.host = special.host;
        self.keep_alive = special.persistence.holds(self.minor_version);
        // RFC 9110 section 10.1.1: in HTTP/1.0 it is ignored.
        self.expects_continue = special.expects_continue && self.minor_version == 1;
        self.framing = special.framing(self.method, self.minor_version, limits)?;
        Ok(())
    }
}

/// Whether a field has this name, in any case. What is cheap first: most senders write a name as it is asked for, and
/// names that begin alike end differently.
pub(super) fn is_named(sent: &[u8], name: &str) -> bool {
    let alike = |(sent, asked): (&u8, &u8)| sent.eq_ignore_ascii_case(asked);
    sent == name.as_bytes() || (sent.len() == name.len() && sent.iter().zip(name.as_bytes()).rev().all(alike))
}

/// What the fields that concern this layer said.
#[derive(Default)]
struct Special {
    host: Option<Span>,
    length: Option<u64>,
    codings: Codings,
    persistence: Persistence,
    expects_continue: bool,
    other_expectation: bool,
}

impl Special {
    fn note(&mut self, header: &httparse::Header<'_>, place: Span) -> Result<(), Refusal> {
        let (name, value) = (header.name, header.value);
        // By length first: most fields are none of these.
        match name.len() {
            4 if is_named(name.as_bytes(), "host") => self.note_host(value, place),
            6 if is_named(name.as_bytes(), "expect") => {
                let is_continue = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= is_continue;
                self.other_expectation |= !is_continue;
                Ok(())
            }
            10 if is_named(name.as_bytes(), "connection") => {
                self.persistence.note(value);
                Ok(())
            }
            14 if is_named(name.as_bytes(), "content-length") => self.note_length(value),
            17 if is_named(name.as_bytes(), "transfer-encoding") => {
                self.codings.note(value);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 section 3.2: more than one, or one that is not valid, is a 400.
    fn note_host(&mut self, value: &[u8], place: Span) -> Result<(), Refusal> {
        if self.host.is_some() {
            return Err(Refusal::bad("there are two Host fields"));
        }
        if !host::is_valid(value) {
            return Err(Refusal::bad("the Host field is not a host with an optional port"));
        }
        self.host = Some(place);
        Ok(())
    }

    /// RFC 9110 section 8.6 lets a recipient take `5, 5` or two equal fields for one. They are refused: only
    /// a broken or a hostile hop makes them.
    fn note_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Err(Refusal::bad("there are two Content-Length fields"));
        }
        let length = decimal(value).ok_or_else(|| Refusal::bad("the Content-Length is not one number"))?;
        self.length = Some(length);
        Ok(())
    }

    /// RFC 9112 section 6.3.
    fn framing(&self, method: Method, minor_version: u8, limits: &Limits) -> Result<Framing, Refusal> {
        let chunked = self.codings.are_chunked()?;
        if chunked && self.length.is_some() {
            return Err(Refusal::bad("there are a Content-Length and a Transfer-Encoding"));
        }
        if chunked && minor_version == 0 {
            return Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding"));
        }
        match self.length {
            _ if chunked => Ok(Framing::Chunked),
            Some(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body_bytes => Ok(Framing::Length(length)),
                _ => Err(too_large()),
            },
            None if method.has_content() => Err(Refusal::new(
                ErrorCode::LengthRequired,
                "this method needs a Content-Length, 0 where there is no content (curl: --data '')",
            )),
            None => Ok(Framing::None),
        }
    }
}

/// 413, as soon as it is known that the content will be over its limit.
pub(super) fn too_large() -> Refusal {
    Refusal::new(ErrorCode::BodyTooLarge, "the content is larger than is accepted")
}

/// 431, for a head or a trailer section.
pub(super) fn head_too_large() -> Refusal {
    Refusal::new(ErrorCode::HeadTooLarge, "the head is larger, or has more fields, than is accepted")
}

/// What is wrong with a head that httparse does not take; for trailers, `bytes` has no request line.
pub(super) fn refusal_of(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => head_too_large(),
        httparse::Error::Version if is_other_version(bytes) => {
            Refusal::new(ErrorCode::VersionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        httparse::Error::HeaderName => {
            Refusal::bad("a field's name is not valid: no white space before the colon, no folded lines")
        }
        httparse::Error::HeaderValue => Refusal::bad("a field's value is not valid"),
        _ => Refusal::bad("the request line is not `METHOD target HTTP/1.1`"),
    }
}

/// Whether the request line ends with a well-formed version (RFC 9112 section 2.3) that is not ours.
fn is_other_version(bytes: &[u8]) -> bool {
    let line_end = memchr::memchr(b'\r', bytes).unwrap_or(bytes.len());
    let mut words = bytes.get(..line_end).unwrap_or_default().split(|&byte| byte == b' ').skip(2);
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => {
            major.is_ascii_digit() && minor.is_ascii_digit() && !matches!((major, minor), (b'1', b'0' | b'1'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_named;

    #[test]
    fn a_name_is_all_of_its_letters_in_any_case() {
        for sent in ["webhook-signature", "Webhook-Signature", "WEBHOOK-SIGNATURE"] {
            assert!(is_named(sent.as_bytes(), "webhook-signature"), "{sent}");
        }
        for other in
            ["webhook-timestamp", "xebhook-signature", "webhook-signaturf", "webhook-signatur", "", "\r"]
        {
            assert!(!is_named(other.as_bytes(), "webhook-signature"), "{other}");
        }
        assert!(!is_named(b"transfer\x0dencoding", "transfer-encoding"), "only letters have another case");
    }
}
