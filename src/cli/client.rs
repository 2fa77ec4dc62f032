//! A small blocking HTTP/1.1 client (RFC 9112): one request, one bounded answer, one deadline for all of it.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The most of an answer that is read, in bytes: a hundred runs take a tenth.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Fields of an answer.
const FIELDS_MAX: usize = 64;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An `http` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Host and port as `Host` has them.
    authority: String,
    host: String,
    port: u16,
    /// Path and query.
    target: String,
}

impl Url {
    /// Reads `http://host[:port][/path]`.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("https is not built in: send to a local proxy, or over a VPN".to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or("it does not start with http://")?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it holds something other than visible ASCII".to_owned());
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err("it holds a user name, which a heartbeat has no use for".to_owned());
        }
        let after_host = authority.rfind(']').map_or(0, |bracket| bracket + 1);
        let colon =
            authority.get(after_host..).and_then(|rest| rest.find(':')).map(|colon| after_host + colon);
        let (host, port) = match colon {
            Some(colon) => {
                let port = authority.get(colon + 1..).and_then(|port| port.parse().ok());
                (authority.get(..colon).unwrap_or_default(), port.filter(|port| *port > 0))
            }
            None => (authority, Some(80)),
        };
        let port = port.ok_or("its port is not a number from 1 to 65535")?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("it names no host".to_owned());
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { authority: authority.to_owned(), host: host.to_owned(), port, target })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.target)
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ClientError {
    /// Nobody took the request.
    Unreachable(io::Error),
    /// Somebody did, and did not answer in time, or not in HTTP.
    NoAnswer(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::NoAnswer(reason) => f.write_str(reason),
        }
    }
}

/// The bytes of a `POST`.
pub(super) fn post(url: &Url, fields: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("POST {} HTTP/1.1\r\nHost: {}\r\n", url.target, url.authority);
    for (name, value) in fields {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A connection that can be waited for with a bound.
pub(super) trait Wire: Read + Write {
    /// How long the next calls may take.
    fn set_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

impl Wire for UnixStream {
    fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))?;
        self.set_write_timeout(Some(timeout))
    }
}

/// Sends a request and reads its answer, all within `timeout`.
pub(super) fn exchange(url: &Url, request: &[u8], timeout: Duration) -> Result<Answer, ClientError> {
    let started = Instant::now();
    let mut stream = connect(url, timeout.min(CONNECT_TIMEOUT)).map_err(ClientError::Unreachable)?;
    converse(&mut stream, request, timeout.saturating_sub(started.elapsed()))
}

/// The same over a connection that is there.
pub(super) fn converse(
    stream: &mut impl Wire,
    request: &[u8],
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let deadline = Instant::now() + timeout;
    let lost = |error: io::Error| ClientError::NoAnswer(format!("the connection broke: {error}"));
    stream.set_timeout(timeout.max(Duration::from_millis(1))).map_err(lost)?;
    // Whoever refuses at once may have closed already: what it said is still to be read.
    let sent = stream.write_all(request);
    let mut bytes = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::NoAnswer(format!("no whole answer within {}s", timeout.as_secs())));
        }
        stream.set_timeout(left).map_err(lost)?;
        let mut chunk = [0; 8192];
        let closed = match stream.read(&mut chunk) {
            Ok(0) => true,
            Ok(count) => {
                bytes.extend(chunk.iter().take(count));
                false
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(error) => return Err(lost(sent.err().unwrap_or(error))),
        };
        if let Some(answer) = read_answer(&bytes, closed).map_err(ClientError::NoAnswer)? {
            return Ok(answer);
        }
        if closed {
            return Err(ClientError::NoAnswer(
                "the connection was closed before the answer was whole".to_owned(),
            ));
        }
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::NoAnswer("the answer is larger than 1 MiB".to_owned()));
        }
    }
}

/// Tries every address of the host.
fn connect(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (url.host.as_str(), url.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The answer in `bytes`; `None` if it is not whole yet. Answers before the final one (1xx) are passed over.
fn read_answer(bytes: &[u8], closed: bool) -> Result<Option<Answer>, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let head_bytes = match head.parse(bytes) {
        Ok(httparse::Status::Complete(count)) => count,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer is not HTTP: {error}")),
    };
    let status = head.code.unwrap_or(0);
    let rest = bytes.get(head_bytes..).unwrap_or_default();
    if (100..200).contains(&status) {
        return read_answer(rest, closed);
    }
    let field = |name: &str| {
        head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    };
    let body = if matches!(status, 204 | 304) {
        Some(Vec::new())
    } else if field("transfer-encoding").is_some() {
        chunked(rest)?
    } else if let Some(length) = field("content-length") {
        let length = std::str::from_utf8(length).ok().and_then(|length| length.trim().parse::<usize>().ok());
        let length = length.ok_or("the answer's Content-Length is not a number")?;
        rest.get(..length).map(<[u8]>::to_vec)
    } else {
        closed.then(|| rest.to_vec())
    };
    Ok(body.map(|body| Answer { status, body }))
}

/// The content of chunks; `None` if the last one is not here yet.
fn chunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let (start, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("the answer's chunks cannot be read".to_owned()),
        };
        if length == 0 {
            return Ok(Some(body));
        }
        let length = usize::try_from(length).map_err(|_| "the answer's chunk is too long".to_owned())?;
        let end = start.checked_add(length).ok_or("the answer's chunk is too long")?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        let Some(after) = rest.get(end..).filter(|after| after.len() >= 2) else { return Ok(None) };
        rest = after.strip_prefix(b"\r\n").ok_or("the answer's chunks cannot be read")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let url = Url::parse("http://127.0.0.1:8787/data_flows/heartbeat").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("127.0.0.1", 8787));
        assert_eq!(url.to_string(), "http://127.0.0.1:8787/data_flows/heartbeat");
        let url = Url::parse("http://[::1]:80?x=1").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.target.as_str()), ("::1", 80, "/?x=1"));
        assert_eq!(Url::parse("http://box").unwrap().to_string(), "http://box/");
        for wrong in [
            "https://box/",
            "box:80",
            "http://",
            "http://:80/",
            "http://box:0/",
            "http://box:x/",
            "http://a b/",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Url::parse("http://box/\r\nX: y").is_err(), "no field can be smuggled in");
    }

    #[test]
    fn an_answer_is_framed_by_length_chunks_or_the_close() {
        let whole = |text: &str, closed| read_answer(text.as_bytes(), closed);
        let body = |body: &str| Ok(Some(Answer { status: 200, body: body.as_bytes().to_vec() }));
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole(length, false), body("{}"));
        assert_eq!(whole(&length[..length.len() - 1], false), Ok(None));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n";
        assert_eq!(whole(chunks, false), body("{}"));
        for end in 20..chunks.len() - 4 {
            assert_eq!(whole(&chunks[..end], false), Ok(None), "{end}");
        }
        let close = "HTTP/1.1 200 OK\r\n\r\n{}";
        assert_eq!(whole(close, false), Ok(None));
        assert_eq!(whole(close, true), body("{}"));
        let interim = format!("HTTP/1.1 100 Continue\r\n\r\n{length}");
        assert_eq!(whole(&interim, false), body("{}"));
        assert!(whole("SSH-2.0-OpenSSH\r\n", false).is_err());
    }
}
