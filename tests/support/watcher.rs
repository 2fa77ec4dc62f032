//! Somebody who watches a page: what the daemon tells of changes, as it tells it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use super::PATIENCE;
use super::edge_box::EdgeBox;
use super::metrics::{look, status_port};
use super::wire::Wire;

/// A page that is open.
pub(crate) struct Watcher {
    pub(crate) status: u16,
    reader: BufReader<TcpStream>,
}

/// What it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The number of the change.
    Change(u64),
    /// When each agent was last heard, in milliseconds.
    Heard(Vec<(String, i64)>),
    /// `retry` or a comment.
    Other,
}

impl Watcher {
    pub(crate) fn of(edge_box: &EdgeBox) -> Self {
        let watcher = Self::try_of(edge_box);
        assert_eq!(watcher.status, 200);
        watcher
    }

    pub(crate) fn try_of(edge_box: &EdgeBox) -> Self {
        let mut stream = Wire::connect(status_port(edge_box)).stream;
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("ask for events");
        let mut reader = BufReader::new(stream);
        let head: Vec<String> =
            reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!(
            status != 200 || head.iter().any(|line| line == "Content-Type: text/event-stream"),
            "{head:?}"
        );
        Self { status, reader }
    }

    /// The next event; none: the daemon closed the connection.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let lines = self.reader.by_ref().lines().map(|line| line.expect("an event comes in time"));
        let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        Some(match lines.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => return None,
            ["event: change", data] => Event::Change(data.strip_prefix("data: ")?.parse().expect("a number")),
            ["event: heard", data] => {
                let heard: Value = serde_json::from_str(data.strip_prefix("data: ")?).expect("JSON");
                let pair = |pair: &Value| Some((pair[0].as_str()?.to_owned(), pair[1].as_i64()?));
                Event::Heard(heard.as_array().expect("a list").iter().filter_map(pair).collect())
            }
            [retry] if retry.starts_with("retry: ") || retry.starts_with(':') => Event::Other,
            ref other => panic!("no event: {other:?}"),
        })
    }

    /// Everything up to this change.
    pub(crate) fn up_to(&mut self, change: u64) -> Vec<Event> {
        let (mut events, give_up) = (Vec::new(), Instant::now() + PATIENCE);
        while events.last() != Some(&Event::Change(change)) {
            assert!(Instant::now() < give_up, "waited in vain for {change}: {events:?}");
            events.push(self.next().expect("it goes on"));
        }
        events
    }

    /// Whether the daemon closes the connection in time; comments keep it from looking dead.
    pub(crate) fn is_closed(&mut self) -> bool {
        let give_up = Instant::now() + PATIENCE;
        while Instant::now() < give_up {
            if self.next().is_none() {
                return true;
            }
        }
        false
    }
}

/// The number of the last change that a page of this box knows of.
pub(crate) fn number_on_page(edge_box: &EdgeBox) -> u64 {
    let page = look(edge_box, "/");
    let text = String::from_utf8_lossy(&page.body).into_owned();
    let number = text.split("data-change=\"").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("a page tells what it knows: {text}"))
}
