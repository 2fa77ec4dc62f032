//! Those who watch a page: told that something has changed (server-sent events, WHATWG HTML section 9.2), so that they ask
//! for the page anew; and of heartbeats, which change nothing else.
//!
//! They are told at the end of a round, once a second at most and all at once. Nobody waits for a slow reader: one that
//! takes nothing is closed, and comes again by itself.

use serde_json::{Value, json};

use super::connection::State;
use super::serve::{Reply, Step};
use super::stream::Peer;
use super::{Connection, Server};
use crate::gate::Denial;
use crate::http::{Connection as Persistence, append_until_close};
use crate::limits;
use crate::runtime::ConnectionId;
use crate::store::Cause;
use crate::time::{Monotonic, Now, Wall};

/// How long a browser waits before it comes again, in milliseconds.
const RETRY: &[u8] = b"retry: 5000\n\n";
/// A comment: it tells nothing, and shows whether anybody is there.
const NOTHING: &str = ":\n\n";

/// Who watches, and what they know.
#[derive(Debug)]
pub(super) struct Watchers {
    open: Vec<ConnectionId>,
    /// Rises with every change. The first one is the time of the start, so that a page of an earlier daemon has another.
    number: u64,
    seen: Option<Seen>,
    told: Told,
    /// Nothing is told before this.
    next_at: Monotonic,
    /// Something is told then, be it nothing.
    silent_until: Monotonic,
}

/// What a page is made of, as far as it changes without the clock: a page may be another one when this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    commits: u64,
    failure: Option<Cause>,
    is_closed: bool,
    is_ending: bool,
    is_clock_set: bool,
}

/// What was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    number: u64,
    heartbeats: u64,
}

/// What is to be told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct News {
    changed: bool,
    heard: bool,
}

impl Watchers {
    pub(super) fn new(start: Wall) -> Self {
        let number = u64::try_from(start.as_millis()).unwrap_or(0);
        let begin = Monotonic::since_start(std::time::Duration::ZERO);
        Self {
            open: Vec::new(),
            number,
            seen: None,
            told: Told { number, heartbeats: 0 },
            next_at: begin,
            silent_until: begin,
        }
    }

    /// What a page that is made now shows; see [`crate::status::Look::change`].
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// When it has something to say, whatever happens before. `heartbeats` were verified so far.
    pub(super) fn next_timeout(&self, heartbeats: u64) -> Option<Monotonic> {
        let is_told = self.told == Told { number: self.number, heartbeats };
        let at = if is_told { self.silent_until } else { self.next_at };
        (!self.open.is_empty()).then_some(at)
    }

    /// It knows all that there is to be known so far.
    fn add(&mut self, watcher: ConnectionId, heartbeats: u64, now: Monotonic) {
        if self.open.is_empty() {
            self.told = Told { number: self.number, heartbeats };
            self.silent_until = now + limits::EVENTS_SILENCE_MAX;
        }
        self.open.push(watcher);
    }

    /// Something has changed that no commit tells of.
    pub(super) const fn changed(&mut self) {
        self.number += 1;
    }

    /// It has gone away: however many come and go between two events, those that are gone take no room.
    pub(super) fn forget(&mut self, watcher: ConnectionId) {
        self.open.retain(|open| *open != watcher);
    }

    fn look_at(&mut self, seen: Seen) {
        if self.seen.replace(seen).is_some_and(|before| before != seen) {
            self.changed();
        }
    }

    fn news(&mut self, heartbeats: u64, now: Monotonic) -> Option<News> {
        if self.next_timeout(heartbeats).is_none_or(|at| now < at) {
            return None;
        }
        let news =
            News { changed: self.told.number != self.number, heard: self.told.heartbeats != heartbeats };
        self.told = Told { number: self.number, heartbeats };
        self.next_at = now + limits::EVENTS_EVERY;
        self.silent_until = now + limits::EVENTS_SILENCE_MAX;
        Some(news)
    }
}

impl Server {
    /// Begins an answer that goes on as long as somebody watches.
    pub(super) fn begin_to_watch(&mut self, index: usize, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_ref() else { return Step::Stuck };
        let (id, head_only) = (connection.id, connection.shape.head_only);
        let is_watching = |connection: &&Connection| connection.state == State::Watching;
        let watching = self.connections.iter().flatten().filter(is_watching).count();
        if let Peer::Viewer(peer) = connection.peer
            && watching >= limits::WATCHERS_MAX
            && !head_only
        {
            let denial = Denial::of_overload("too many watch already", peer);
            return self.reply(index, Reply::Denied(denial), now);
        }
        let mut text = Vec::new();
        append_until_close(&mut text, self.clock.date(now.wall), "text/event-stream");
        if !head_only {
            text.extend_from_slice(RETRY);
            // What happened between its page and now, it is told now.
            text.extend_from_slice(self.events(News { changed: true, heard: true }).as_bytes());
        }
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        connection.shape.connection = Persistence::Close;
        connection.stream.send_little_ahead();
        connection.push(&text);
        if head_only {
            connection.enter(State::Closing, now.monotonic);
        } else {
            connection.enter(State::Watching, now.monotonic);
            self.watch.watchers.add(id, self.counters.heartbeats, now.monotonic);
        }
        self.flush(index, now);
        Step::Done
    }

    /// Tells those who watch what the round has come to, if it is time to.
    pub(super) fn tell_watchers(&mut self, now: Now) {
        let seen = Seen {
            commits: self.runtime.tally().commits,
            failure: self.runtime.failure(),
            is_closed: self.runtime.is_closed(),
            is_ending: self.runtime.is_ending(),
            is_clock_set: now.wall.is_set(),
        };
        let watchers = &mut self.watch.watchers;
        watchers.look_at(seen);
        let Some(news) = watchers.news(self.counters.heartbeats, now.monotonic) else { return };
        let mut open = std::mem::take(&mut watchers.open);
        let text = self.events(news);
        open.retain(|watcher| self.tell_watcher(*watcher, text.as_bytes(), now));
        self.watch.watchers.open = open;
    }

    /// False: it is gone.
    fn tell_watcher(&mut self, watcher: ConnectionId, text: &[u8], now: Now) -> bool {
        let Some(index) = self.index_of(watcher) else { return false };
        let Some(connection) = self.connections[index].as_mut() else { return false };
        if connection.unsent() > limits::WATCHER_UNSENT_BYTES_MAX {
            self.bid_farewell(index, now);
            return false;
        }
        if !connection.has_unsent() {
            // How long it takes nothing counts from the first thing that it did not take.
            connection.since = now.monotonic;
        }
        connection.push(text);
        self.flush(index, now);
        self.index_of(watcher).is_some()
    }

    fn events(&self, news: News) -> String {
        let mut text = String::new();
        if news.changed {
            text = format!("event: change\ndata: {}\n\n", self.watch.watchers.number);
        }
        if news.heard {
            let heard = self.runtime.heard().map(|(agent, at)| json!([agent, at.as_millis()]));
            text.push_str(&format!("event: heard\ndata: {}\n\n", Value::Array(heard.collect())));
        }
        if text.is_empty() { NOTHING.to_owned() } else { text }
    }

    /// Closes all of them: they come again, and are judged anew.
    pub(super) fn close_watchers(&mut self, now: Now) {
        for watcher in std::mem::take(&mut self.watch.watchers.open) {
            if let Some(index) = self.index_of(watcher) {
                self.bid_farewell(index, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SEEN: Seen =
        Seen { commits: 1, failure: None, is_closed: false, is_ending: false, is_clock_set: true };

    fn at(ms: u64) -> Monotonic {
        Monotonic::since_start(Duration::from_millis(ms))
    }

    fn watched() -> Watchers {
        let mut watchers = Watchers::new(Wall::from_seconds(1));
        watchers.look_at(SEEN);
        watchers.add(ConnectionId(1), 0, at(0));
        watchers
    }

    #[test]
    fn what_changes_within_a_second_is_told_once() {
        let mut watchers = watched();
        assert_eq!(watchers.news(0, at(1)), None, "that it has begun is no change");
        watchers.look_at(Seen { commits: 2, ..SEEN });
        assert_eq!(watchers.next_timeout(0), Some(at(0)), "at once");
        assert_eq!(watchers.news(0, at(10)), Some(News { changed: true, heard: false }));
        for commits in 3..9 {
            watchers.look_at(Seen { commits, ..SEEN });
            assert_eq!(watchers.news(0, at(10 + commits)), None);
        }
        assert_eq!(watchers.next_timeout(0), Some(at(1010)));
        assert_eq!(watchers.news(0, at(1010)), Some(News { changed: true, heard: false }));
        assert_eq!(watchers.next_timeout(0), Some(at(21_010)), "and then there is nothing to tell");
    }

    #[test]
    fn whatever_a_page_shows_counts_as_a_change() {
        let mut watchers = watched();
        let others = [
            Seen { failure: Some(Cause::Full), ..SEEN },
            Seen { is_closed: true, ..SEEN },
            Seen { is_ending: true, ..SEEN },
            Seen { is_clock_set: false, ..SEEN },
        ];
        for seen in others {
            let before = watchers.number();
            watchers.look_at(seen);
            watchers.look_at(SEEN);
            watchers.look_at(SEEN);
            assert_eq!(watchers.number(), before + 2, "{seen:?}, and back");
        }
    }

    #[test]
    fn a_heartbeat_is_heard_and_changes_nothing() {
        let mut watchers = watched();
        assert_eq!(watchers.news(1, at(5)), Some(News { changed: false, heard: true }));
        assert_eq!(watchers.news(2, at(900)), None);
        assert_eq!(watchers.news(2, at(1005)), Some(News { changed: false, heard: true }));
        assert_eq!(watchers.news(2, at(21_004)), None);
        assert_eq!(watchers.news(2, at(21_005)), Some(News { changed: false, heard: false }), "a comment");
    }

    #[test]
    fn where_nobody_watches_nothing_wakes_the_loop() {
        let mut watchers = watched();
        watchers.forget(ConnectionId(1));
        watchers.look_at(Seen { commits: 2, ..SEEN });
        assert_eq!((watchers.next_timeout(7), watchers.news(7, at(99_000))), (None, None));
    }
}
