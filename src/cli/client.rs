//! The command line's way to a server: the client that pipelines have as well, over sockets that wait with a bound.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(super) use crate::http::client::{Answer, Url};

use crate::http;
use crate::http::client::{Fault, Method, Receiver, Request, Scheme};
use crate::limits;

/// The most of an answer that is read, in bytes: a run with its output, in JSON.
const ANSWER_BYTES_MAX: usize = 4 * limits::OUTPUT_BYTES_MAX;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum ClientError {
    /// Nobody took the request.
    Unreachable(io::Error),
    /// Somebody closed the connection without a word.
    Closed(String),
    /// Somebody did not answer in time, or not in HTTP.
    NoAnswer(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::Closed(reason) | Self::NoAnswer(reason) => f.write_str(reason),
        }
    }
}

/// Reads an address that can be spoken to.
///
/// # Errors
/// A sentence that says what is wrong.
pub(super) fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)?;
    match url.scheme() {
        Scheme::Http => Ok(url),
        Scheme::Https => Err("https is not built in: send to a local proxy, or over a VPN".to_owned()),
    }
}

/// The bytes of a `POST`.
pub(super) fn post(url: &Url, fields: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let mut bytes = Vec::new();
    Request { method: Method::Post, url, fields: &fields, body: Some(body) }.append(&mut bytes);
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

/// A client of one server, which keeps its connection.
#[derive(Debug, Default)]
pub(super) struct Client {
    kept: Option<TcpStream>,
}

impl Client {
    /// Sends a request and reads its answer, all within `timeout`.
    pub(super) fn exchange(
        &mut self,
        url: &Url,
        request: &[u8],
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let started = Instant::now();
        if let Some(stream) = self.kept.take().filter(is_silent) {
            match self.converse(stream, request, timeout) {
                // It may close a connection that is kept at any time (RFC 9112 section 9.5).
                Err(ClientError::Closed(_)) => {}
                outcome => return outcome,
            }
        }
        let left = || timeout.saturating_sub(started.elapsed());
        let stream = connect(url, left().min(CONNECT_TIMEOUT)).map_err(ClientError::Unreachable)?;
        self.converse(stream, request, left())
    }

    fn converse(
        &mut self,
        mut stream: TcpStream,
        request: &[u8],
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let answer = converse(&mut stream, request, timeout)?;
        self.kept = answer.may_reuse.then_some(stream);
        Ok(answer)
    }
}

/// Whether nothing came behind the last answer. What did would pass for the next one (RFC 9112 section 6.3).
fn is_silent(stream: &TcpStream) -> bool {
    let is_silent = stream.set_nonblocking(true).is_ok()
        && stream.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    is_silent && stream.set_nonblocking(false).is_ok()
}

/// The same once, over a connection of its own.
pub(super) fn exchange(url: &Url, request: &[u8], timeout: Duration) -> Result<Answer, ClientError> {
    Client::default().exchange(url, request, timeout)
}

/// The same over a connection that is there.
pub(super) fn converse(
    stream: &mut impl Wire,
    request: &[u8],
    timeout: Duration,
) -> Result<Answer, ClientError> {
    let deadline = Instant::now() + timeout;
    let mut nothing_came = true;
    let lost = |error: io::Error, nothing_came| {
        let message = format!("the connection broke: {error}");
        if nothing_came { ClientError::Closed(message) } else { ClientError::NoAnswer(message) }
    };
    stream.set_timeout(timeout.max(Duration::from_millis(1))).map_err(|error| lost(error, true))?;
    // Whoever refuses at once may have closed already: what it said is still to be read.
    let sent = stream.write_all(request);
    let limits = http::Limits { body_bytes: ANSWER_BYTES_MAX, ..http::Limits::default() };
    let mut receiver = Receiver::new(limits, Method::Post);
    let no_answer = |fault: Fault| match fault {
        Fault::Closed => ClientError::Closed(fault.to_string()),
        fault => ClientError::NoAnswer(fault.to_string()),
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ClientError::NoAnswer(format!("no whole answer within {}s", timeout.as_secs())));
        }
        stream.set_timeout(left).map_err(|error| lost(error, nothing_came))?;
        let mut chunk = [0; 8192];
        match stream.read(&mut chunk) {
            Ok(0) => return receiver.end().map_err(no_answer),
            Ok(count) => {
                nothing_came = false;
                if let Some(answer) =
                    receiver.push(chunk.get(..count).unwrap_or_default()).map_err(no_answer)?
                {
                    return Ok(answer);
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(lost(sent.err().unwrap_or(error), nothing_came)),
        }
    }
}

/// Tries every address of the host.
fn connect(url: &Url, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (url.host(), url.port()).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn bytes_behind_an_answer_are_not_taken_for_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        let answer = |stream: &mut TcpStream, content: &str| {
            assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", content.len()).unwrap();
        };
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let (said, goes_on) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let (mut first, _) = listener.accept().unwrap();
            answer(&mut first, "one");
            answer(&mut first, "two");
            told.recv().unwrap();
            first.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nforge").unwrap();
            said.send(()).unwrap();
            answer(&mut listener.accept().unwrap().0, "three");
        });
        let mut client = Client::default();
        let mut ask = || client.exchange(&url, &post(&url, &[], b"x"), Duration::from_secs(20)).unwrap().body;
        assert_eq!([ask(), ask()], [b"one", b"two"]);
        go_on.send(()).unwrap();
        goes_on.recv().unwrap();
        assert_eq!(ask(), b"three");
        server.join().unwrap();
    }
}
