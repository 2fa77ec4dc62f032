//! A case of the table: bytes in, what must come of them, and where that is written.

/// What becomes of the connection once the bytes of a case are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It goes on: the next byte starts another request.
    Kept,
    /// It ends after the last answer, as the peer asked for or as its version has it.
    Closed,
    /// A last answer with this status, and it ends.
    Refused(u16),
    /// More bytes are needed before anything can be said.
    Waits,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Where it is written: `9112 3` is RFC 9112 section 3.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The statuses of the requests that are understood, in order, as a daemon without authentication gives them.
    pub(crate) served: Vec<u16>,
    pub(crate) end: End,
    /// The content of each request that is understood; unless given, it is not looked at.
    pub(crate) contents: Option<Vec<Vec<u8>>>,
}

fn case(section: &'static str, name: String, bytes: Vec<u8>, served: &[u16], end: End) -> Case {
    Case { section, name, bytes, served: served.to_vec(), end, contents: None }
}

/// One request, served with 200; the connection goes on.
pub(crate) fn keeps(section: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    case(section, name.into(), bytes.into(), &[200], End::Kept)
}

/// One request, served with 200; the connection ends.
pub(crate) fn closes(section: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    case(section, name.into(), bytes.into(), &[200], End::Closed)
}

/// No request: the one answer is a refusal, and the connection ends.
pub(crate) fn refuses(
    status: u16,
    section: &'static str,
    name: impl Into<String>,
    bytes: impl Into<Vec<u8>>,
) -> Case {
    case(section, name.into(), bytes.into(), &[], End::Refused(status))
}

/// A part of a request.
pub(crate) fn waits(section: &'static str, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Case {
    case(section, name.into(), bytes.into(), &[], End::Waits)
}

impl Case {
    /// With other answers before the end than the one or the none that is the rule.
    pub(crate) fn after(mut self, served: &[u16]) -> Self {
        self.served = served.to_vec();
        self
    }

    /// With the content of each request that is understood.
    pub(crate) fn with(mut self, contents: &[&str]) -> Self {
        self.contents = Some(contents.iter().map(|content| content.as_bytes().to_vec()).collect());
        self
    }

    /// How a failure names it.
    pub(crate) fn title(&self) -> String {
        let shown: String = String::from_utf8_lossy(&self.bytes).chars().take(300).collect();
        format!("{} (RFC {}): {shown:?}", self.name, self.section)
    }
}

/// A request of this line and a `Host`.
pub(crate) fn line(line: &str) -> Vec<u8> {
    format!("{line}\r\nHost: a\r\n\r\n").into_bytes()
}

/// A `GET` with these fields beside `Host`.
pub(crate) fn get(fields: &str) -> Vec<u8> {
    format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

/// A `GET` with this one line of a field beside `Host`, in bytes that need not be text.
pub(crate) fn get_field(field: &[u8]) -> Vec<u8> {
    [b"GET /healthz HTTP/1.1\r\nHost: a\r\n", field, b"\r\n\r\n"].concat()
}

/// A `POST` with these fields beside `Host`, and what follows the head.
pub(crate) fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /data_flows/heartbeat HTTP/1.1\r\nHost: a\r\n{fields}\r\n{rest}").into_bytes()
}

/// A `POST` of this version with these fields and no other, and what follows the head.
pub(crate) fn post_of(version: &str, fields: &str, rest: &str) -> Vec<u8> {
    format!("POST /data_flows/heartbeat HTTP/{version}\r\n{fields}\r\n{rest}").into_bytes()
}

/// A `POST` whose content is in chunks.
pub(crate) fn chunked(rest: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", rest)
}

/// A whole request that would be seen if somebody took what stands before it for its own end.
pub(crate) const SECOND: &str = "GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n";
