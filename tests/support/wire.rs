//! A connection to the daemon, and the answers that come over it.

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use super::PATIENCE;

/// More than any test is told in one go.
const REST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Wire {
    pub(crate) fn connect(port: u16) -> Self {
        Self::try_connect(port).expect("connect to the daemon")
    }

    pub(crate) fn try_connect(port: u16) -> io::Result<Self> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(Self::over)
    }

    /// Connects from another loopback address.
    pub(crate) fn connect_from(source: Ipv4Addr, port: u16) -> Self {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.expect("make a socket");
        bind(&socket, &SocketAddr::from((source, 0))).expect("bind the source address");
        connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port))).expect("connect to the daemon");
        Self::over(TcpStream::from(socket))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("set a time-out");
        Self { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send to the daemon");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer comes")
    }

    /// The next answer's head: for those that have no content, whatever length they tell.
    pub(crate) fn head(&mut self) -> Answer {
        self.try_head().expect("an answer comes")
    }

    /// The next answer, if the daemon lives long enough to give it.
    pub(crate) fn try_answer(&mut self) -> io::Result<Answer> {
        let mut answer = self.try_head()?;
        let length = answer.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.unread.len() < length {
            self.fill_more()?;
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    fn try_head(&mut self) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill_more()?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).expect("a head is text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Answer { status: status.expect("an answer has a status"), head, body: Vec::new() })
    }

    fn fill_more(&mut self) -> io::Result<()> {
        if self.fill()? > 0 {
            return Ok(());
        }
        let so_far = String::from_utf8_lossy(&self.unread);
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed after {so_far:?}")))
    }

    /// Everything that still comes until the daemon closes the connection, or enough of it if it never does.
    pub(crate) fn rest(&mut self) -> String {
        while self.unread.len() < REST_BYTES_MAX && self.fill().is_ok_and(|count| count > 0) {}
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let count = loop {
            match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.unread.extend(buffer.iter().take(count));
        Ok(count)
    }
}

/// The one answer that has come, or comes, over a connection.
pub(crate) fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).into_owned();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let mut answer = Answer { status: status.expect("a status"), head, body: Vec::new() };
            let length = answer.field("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                answer.body = bytes[end + 4..end + 4 + length].to_vec();
                return Ok(answer);
            }
        }
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before an answer")),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("an answer's content is JSON")
    }

    /// The problem document's `error`.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// A count of the heartbeat's answer.
    pub(crate) fn count(&self, name: &str) -> u64 {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()[name].as_u64().expect("the answer has the count")
    }

    pub(crate) fn is_duplicate(&self) -> bool {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["duplicate"] == true
    }

    /// The ids of the runs that it names.
    pub(crate) fn run_ids(&self) -> Vec<i64> {
        let answer = self.json();
        let runs = answer["runs"].as_array().expect("the answer names its runs").iter();
        runs.map(|run| run["id"].as_i64().expect("a run has an id")).collect()
    }
}
