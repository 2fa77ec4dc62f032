//! Operators who watch a run: what it writes is passed on as it comes, until its end is on record.
//!
//! Nobody waits for a slow reader: what does not fit the buffer of its connection is left out for it, and that is said.

use super::Server;
use super::connection::State;
use crate::http::{Connection as Persistence, append_until_close};
use crate::limits;
use crate::runtime::{ConnectionId, Job};
use crate::store::RunId;
use crate::time::Now;

const LEFT_OUT: &[u8] = b"\n[heartbeatd: output is left out here: it came faster than it was read]\n";

/// Who watches which run.
#[derive(Debug, Default)]
pub(super) struct Followers(Vec<Follower>);

#[derive(Debug)]
struct Follower {
    run: RunId,
    connection: ConnectionId,
    /// Whether the last thing that it was told is that something is left out.
    lags: bool,
}

impl Followers {
    pub(super) fn any_of(&self, run: RunId) -> bool {
        self.0.iter().any(|follower| follower.run == run)
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.0.retain(|follower| follower.connection != connection);
    }
}

impl Server {
    pub(super) fn begin_to_follow(&mut self, index: usize, run: RunId, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        // Its length is not known before its end, which is that of the connection.
        connection.shape.connection = Persistence::Close;
        let mut head = Vec::new();
        append_until_close(&mut head, self.clock.date(now.wall), "text/plain; charset=utf-8");
        connection.push(&head);
        connection.state = State::Following;
        self.followers.0.push(Follower { run, connection: connection.id, lags: false });
        if let Some(so_far) = self.children.follow(Job::Run(run)) {
            connection.push(&so_far);
        }
        self.flush(index, now);
    }

    pub(super) fn end_to_follow(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        self.followers.forget(connection.id);
        connection.enter(State::Closing, now.monotonic);
        self.flush(index, now);
    }

    /// Passes on what a run has written since the last time.
    pub(super) fn pass_on(&mut self, run: RunId, written: &[u8], now: Now) {
        if written.is_empty() {
            return;
        }
        for place in 0..self.followers.0.len() {
            let follower = &mut self.followers.0[place];
            if follower.run != run {
                continue;
            }
            let Some(index) = self.connections.iter().position(|connection| {
                connection.as_ref().is_some_and(|connection| connection.id == follower.connection)
            }) else {
                continue;
            };
            let Some(connection) = self.connections[index].as_mut() else { continue };
            let fits = connection.unsent() + written.len() <= limits::FOLLOW_BUFFER_BYTES;
            if fits {
                connection.push(written);
            } else if !follower.lags {
                connection.push(LEFT_OUT);
            }
            follower.lags = !fits;
            self.flush_follower(index, now);
        }
    }

    /// Unlike others it may be closed while the list of followers is gone through: that is done when it is closed.
    fn flush_follower(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        // What cannot be sent is noticed by readiness, too.
        let _closed = connection.flush(now.monotonic);
        self.sweep.expect(connection.deadline(&self.options.limits));
    }
}
