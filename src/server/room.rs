//! Who makes room for whom, when there are too many callers or they hold too much.
//!
//! An idle connection goes first. Else a slow one of the address that has most of them goes: whoever has few is not crowded out
//! by who has many, and a request that arrives in one piece is served before it can be found to be slow.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Server;
use super::connection::Connection;
use super::stream::Peer;
use crate::control;
use crate::gate::Denial;
use crate::http::{self, ErrorCode, Receiver};
use crate::limits;
use crate::status::Port;
use crate::time::{Monotonic, Now};

const PUT_ASIDE: &str = "too many at once, and this one took longest: send it again";

/// What each peer has of something.
struct Shares(BTreeMap<Peer, usize>);

impl Shares {
    /// Of a proxy, which speaks for many, each connection stands for itself.
    fn of(&self, connection: &Connection, own: usize) -> usize {
        self.0.get(&connection.peer).copied().unwrap_or(own)
    }
}

impl Server {
    /// Has one connection make room for a new one of this peer's; false: none of that port can.
    pub(super) fn make_room(&mut self, newcomer: Peer, now: Now) -> bool {
        let port = newcomer.port();
        let shares = self.shares(port, |_| 1);
        // Who came in this round has not had a turn.
        let here =
            |connection: &Connection| connection.peer.port() == port && connection.since < now.monotonic;
        let rank = |connection: &Connection| (shares.of(connection, 1), Reverse(connection.since));
        let idle =
            self.greatest(|connection| (here(connection) && connection.is_idle()).then(|| rank(connection)));
        if let Some(index) = idle {
            self.bid_farewell(index, now);
            return true;
        }
        let own = shares.0.get(&newcomer).copied().unwrap_or(0);
        let has_more = |connection: &Connection| shares.of(connection, 1) > own;
        let is_late = |connection: &Connection| now.monotonic.since(connection.since) >= limits::SLOW_AFTER;
        let slow = self.greatest(|connection| {
            let may_go =
                here(connection) && connection.is_slow() && (has_more(connection) || is_late(connection));
            may_go.then(|| rank(connection))
        });
        let Some(index) = slow else { return false };
        self.put_aside(index, now);
        true
    }

    /// After a connection has come to hold more: as long as all of its port hold too much, one of the peer that holds most
    /// makes room, which may be this one. What one alone holds has bounds of its own.
    pub(super) fn keep_within_memory(&mut self, index: usize, now: Now) {
        let Some(connection) = &self.connections[index] else { return };
        if connection.held_bytes() <= limits::CALLER_BYTES_FREE {
            return;
        }
        let port = connection.peer.port();
        let largest = Receiver::buffered_bytes_max(&connection.http_limits(&self.http_limits));
        let bytes_max = match port {
            Port::Heartbeat => limits::CALLERS_BYTES_MAX,
            Port::Status | Port::Control => limits::ONLOOKERS_BYTES_MAX,
        };
        let bytes_max = bytes_max.max(2 * largest);
        let is_over = |held: usize| held > bytes_max;
        while is_over(self.held_bytes(port)) {
            let shares = self.shares(port, held_bytes);
            let holds =
                |connection: &Connection| connection.peer.port() == port && held_bytes(connection) > 0;
            if self.connections.iter().flatten().filter(|connection| holds(connection)).count() < 2 {
                return;
            }
            let rank = |connection: &Connection| {
                holds(connection)
                    .then(|| (shares.of(connection, held_bytes(connection)), Reverse(connection.since)))
            };
            let Some(index) = self.greatest(rank) else { return };
            self.put_aside(index, now);
        }
    }

    fn held_bytes(&self, port: Port) -> usize {
        let of_port = self.connections.iter().flatten().filter(|connection| connection.peer.port() == port);
        of_port.map(held_bytes).sum()
    }

    fn shares(&self, port: Port, weigh: fn(&Connection) -> usize) -> Shares {
        let mut shares = BTreeMap::new();
        for connection in self.connections.iter().flatten().filter(|connection| connection.counts()) {
            let is_proxy =
                matches!(connection.peer, Peer::Address(address) if self.gate.is_trusted_proxy(address));
            if connection.peer.port() == port && !is_proxy {
                *shares.entry(connection.peer).or_insert(0) += weigh(connection);
            }
        }
        Shares(shares)
    }

    /// The connection of the highest rank; none has one: none.
    fn greatest(&self, rank: impl Fn(&Connection) -> Option<(usize, Reverse<Monotonic>)>) -> Option<usize> {
        let ranked = self.connections.iter().enumerate();
        let ranked = ranked.filter_map(|(index, connection)| Some((rank(connection.as_ref()?)?, index)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, index)| index)
    }

    /// Ends a connection that is at work, and says so where nothing else is being said.
    fn put_aside(&mut self, index: usize, now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        if connection.has_unsent() || !connection.is_slow() {
            return self.bid_farewell(index, now);
        }
        connection.receiver = Receiver::new();
        connection.shape.connection = http::Connection::Close;
        match connection.peer {
            Peer::Address(peer) | Peer::Viewer(peer) => {
                self.refuse(index, &Denial::of_overload(PUT_ASIDE, peer), now);
            }
            Peer::Operator(_) => {
                self.tell(index, &control::problem(ErrorCode::Overloaded, PUT_ASIDE), &[], now)
            }
        }
    }
}

/// What counts of what a connection holds.
fn held_bytes(connection: &Connection) -> usize {
    let held = if connection.counts() { connection.held_bytes() } else { 0 };
    held.saturating_sub(limits::CALLER_BYTES_FREE)
}
