//! A whole request, read where it lies in the receive buffer.

use super::head::{Head, is_named};
use super::host;
use super::method::Method;
use super::prefer;
use super::response::Connection;
use super::span::Span;

/// What a request says in a field that may stand once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Not at all.
    Absent,
    /// Once; without the white space around it. May be empty, and may hold bytes from 0x80 up.
    One(&'a [u8]),
    /// More than once: never pick one.
    Repeated,
}

/// A request in hand. It borrows the receive buffer until [`super::Receiver::consume`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// The target's path as it was sent, nothing decoded: visible ASCII that starts with `/`, or `*`.
    pub path: &'a str,
    /// What follows the target's question mark.
    pub query: Option<&'a str>,
    /// The `y` of `HTTP/1.y`: 0 or 1.
    pub minor_version: u8,
    /// Host and port of an absolute-form target, else of the `Host` field; none only in HTTP/1.0. Valid.
    pub host: Option<&'a str>,
    /// Whether the connection goes on after the answer, as far as the peer is concerned.
    pub keep_alive: bool,
    /// The content, its transfer coding removed.
    pub body: &'a [u8],
    head: &'a Head,
    bytes: &'a [u8],
}

impl<'a> Request<'a> {
    /// `bytes` start with the head that `head` describes.
    pub(super) fn new(head: &'a Head, bytes: &'a [u8], body: &'a [u8]) -> Self {
        let path = match head.target.path.text(bytes) {
            "" if head.target.asterisk => "*",
            "" => "/",
            path => path,
        };
        Self {
            method: head.method,
            path,
            query: head.target.query.map(|span| span.text(bytes)),
            minor_version: head.minor_version,
            host: head.target.authority.or(head.host).map(|span| span.text(bytes)),
            keep_alive: head.keep_alive,
            body,
            head,
            bytes,
        }
    }

    /// The method as it was sent: a token.
    pub fn method_text(&self) -> &'a str {
        self.head.method_text.text(self.bytes)
    }

    /// Whether the request is about the server as a whole: `OPTIONS *`.
    pub fn target_is_asterisk(&self) -> bool {
        self.head.target.asterisk
    }

    /// The host that is meant, without its port; an IPv6 address without its brackets.
    pub fn host_name(&self) -> Option<&'a str> {
        host::parse(self.host?.as_bytes()).map(|authority| authority.host)
    }

    /// A field that may stand once; its name in any case.
    pub fn field(&self, name: &str) -> Field<'a> {
        let mut found = Field::Absent;
        for field in &self.head.fields {
            if field.name.len() == name.len() && is_named(field.name.bytes(self.bytes), name) {
                if found != Field::Absent {
                    return Field::Repeated;
                }
                found = Field::One(field.value.bytes(self.bytes));
            }
        }
        found
    }

    /// Every value of a field, in the order sent; its name in any case.
    pub fn fields<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let bytes = self.bytes;
        let named = move |span: Span| span.len() == name.len() && is_named(span.bytes(bytes), name);
        self.head
            .fields
            .iter()
            .filter(move |field| named(field.name))
            .map(move |field| field.value.bytes(bytes))
    }

    /// How many seconds the peer would wait for the end of what it starts: `Prefer: wait=N` (RFC 7240).
    pub fn prefer_wait(&self) -> Option<u64> {
        prefer::wait_seconds(self.fields("prefer"))
    }

    /// Whether the content is encoded in a way that its reader has to undo: a `Content-Encoding` other than
    /// `identity`. Not refused here, because only some routes read content.
    pub fn content_is_encoded(&self) -> bool {
        let elements = self.fields("content-encoding").flat_map(|value| value.split(|&byte| byte == b','));
        elements
            .map(<[u8]>::trim_ascii)
            .any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    }

    /// Whether the answer has no content, being one to `HEAD`.
    pub fn head_only(&self) -> bool {
        self.method == Method::Head
    }

    /// What the answer says about the connection.
    pub fn connection(&self) -> Connection {
        match (self.keep_alive, self.minor_version) {
            (false, _) => Connection::Close,
            (true, 0) => Connection::KeepAlive,
            (true, _) => Connection::Persistent,
        }
    }
}
