//! An operator on the control socket.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use super::edge_box::EdgeBox;
use super::wire::{Answer, read_answer};
use super::{PATIENCE, eventually};

/// A connection to a box's control socket.
pub(crate) struct Operator {
    pub(crate) stream: UnixStream,
}

impl Operator {
    /// Connects, once the socket is there.
    pub(crate) fn of(edge_box: &EdgeBox) -> Self {
        let connect = || Self::try_connect(edge_box).ok();
        eventually("the control socket answers", connect)
    }

    pub(crate) fn try_connect(edge_box: &EdgeBox) -> io::Result<Self> {
        let stream = UnixStream::connect(edge_box.path("heartbeatd.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    pub(crate) fn send(&mut self, request: &str, fields: &str, body: &str) {
        self.try_send(request, fields, body).expect("send to the daemon");
    }

    fn try_send(&mut self, request: &str, fields: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let text =
            format!("{request} HTTP/1.1\r\nHost: box\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        self.stream.write_all(text.as_bytes())
    }

    /// One request, one answer.
    pub(crate) fn ask(&mut self, request: &str) -> Answer {
        self.ask_with(request, "", "")
    }

    pub(crate) fn ask_with(&mut self, request: &str, fields: &str, body: &str) -> Answer {
        self.try_ask(request, fields, body).expect("an answer comes")
    }

    pub(crate) fn try_ask(&mut self, request: &str, fields: &str, body: &str) -> io::Result<Answer> {
        self.try_send(request, fields, body)?;
        read_answer(&mut self.stream)
    }

    /// The content of an answer that must be a 200.
    pub(crate) fn json(&mut self, request: &str) -> Value {
        let answer = self.ask(request);
        assert_eq!(answer.status, 200, "{request}: {answer:?}");
        answer.json()
    }

    pub(crate) fn patch(&mut self, flow: &str, held: bool) -> Answer {
        self.ask_with(&format!("PATCH /flows/{flow}"), "", &format!("{{\"held\":{held}}}"))
    }

    /// The daemon's state.
    pub(crate) fn status(&mut self) -> Value {
        self.json("GET /status")
    }

    /// What still comes, until these words are there or the connection ends.
    pub(crate) fn read_until(&mut self, words: &str) -> String {
        let mut text = String::new();
        let mut buffer = [0; 4096];
        while !text.contains(words) {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
                Err(error) => panic!("{error} after {text:?}"),
            }
        }
        text
    }
}
