//! New callers: admitted, or refused with an answer that reaches them. Who makes room for them is `room`'s.

use mio::Interest;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::Server;
use super::connection::Connection;
use super::slots;
use super::stream::{Peer, Stream};
use super::token::Source;
use crate::control;
use crate::gate::Denial;
use crate::http;
use crate::limits;
use crate::runtime::ConnectionId;
use crate::status::Port;
use crate::time::Now;

/// Callers accepted in one round: the others wait in the kernel's queue while those that are here are served.
const ACCEPTED_PER_ROUND: usize = 64;
/// When accept fails for want of descriptors or memory, how long until the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

impl Server {
    pub(super) fn accept(&mut self, index: usize, now: Now) {
        self.listeners[index].backlog = false;
        let failed_before = self.listeners[index].retry_at.take().is_some();
        for _ in 0..ACCEPTED_PER_ROUND {
            match self.listeners[index].accept() {
                Ok((stream, Peer::Address(peer))) => self.admit(stream, peer, now),
                Ok((stream, Peer::Viewer(peer))) => self.admit_viewer(stream, peer, now),
                Ok((stream, peer)) => self.admit_operator(stream, peer, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Errors of the connection that was to be accepted (accept(2)): the next one may be well.
                Err(error) if is_of_one_caller(&error) => {}
                Err(error) => {
                    if !failed_before {
                        log::error!("cannot accept a connection: {error}; trying again");
                    }
                    self.listeners[index].retry_at = Some(now.monotonic + ACCEPT_RETRY);
                    return;
                }
            }
        }
        self.listeners[index].backlog = true;
    }

    /// Operators have room of their own.
    fn admit_operator(&mut self, stream: Stream, peer: Peer, now: Now) {
        self.counters.connections[Port::Control as usize] += 1;
        let is_operator = |peer: Peer| peer.port() == Port::Control;
        let open = self.open_connections(is_operator);
        let is_full = open >= limits::CONTROL_CONNECTIONS_MAX && !self.make_room(peer, now);
        let Some(index) = self.take_in(stream, peer, now) else { return };
        if is_full {
            if let Some(connection) = &mut self.connections[index] {
                connection.shape.connection = http::Connection::Close;
            }
            let told = control::problem(http::ErrorCode::Overloaded, "too many operators at once");
            self.tell(index, &told, &[], now);
        }
    }

    pub(super) fn open_connections(&self, is_meant: fn(Peer) -> bool) -> usize {
        let counted = |connection: &&Connection| connection.counts() && is_meant(connection.peer);
        self.connections.iter().flatten().filter(counted).count()
    }

    fn admit(&mut self, stream: Stream, peer: IpAddr, now: Now) {
        self.counters.connections[Port::Heartbeat as usize] += 1;
        if !self.gate.admits(peer) {
            return self.turn_away(stream, Peer::Address(peer), &Denial::of_address(peer), now);
        }
        let of_this_address =
            |connection: &&Connection| connection.counts() && connection.peer == Peer::Address(peer);
        let from_here = self.connections.iter().flatten().filter(of_this_address).count();
        if from_here >= self.options.limits.connections_per_address && !self.gate.is_trusted_proxy(peer) {
            let denial = Denial::of_overload("too many connections from this address", peer);
            return self.turn_away(stream, Peer::Address(peer), &denial, now);
        }
        let is_caller = |peer: Peer| peer.port() == Port::Heartbeat;
        let open = self.open_connections(is_caller);
        if open >= self.options.limits.connections && !self.make_room(Peer::Address(peer), now) {
            let denial = Denial::of_overload("too many connections, and none is idle or slow", peer);
            return self.turn_away(stream, Peer::Address(peer), &denial, now);
        }
        stream.send_at_once();
        self.take_in(stream, Peer::Address(peer), now);
    }

    /// Answers a caller of whom nothing is read.
    pub(super) fn turn_away(&mut self, stream: Stream, peer: Peer, denial: &Denial, now: Now) {
        self.counters.refused(peer.port(), denial, now);
        if self.draining() >= limits::DRAINING_MAX {
            return;
        }
        let Some(index) = self.take_in(stream, peer, now) else { return };
        if let Some(connection) = &mut self.connections[index] {
            connection.shape.connection = http::Connection::Close;
        }
        self.tell_refusal(index, denial, now);
    }

    pub(super) fn take_in(&mut self, stream: Stream, peer: Peer, now: Now) -> Option<usize> {
        let index = slots::free(&mut self.connections);
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made << 20 | index as u64);
        let mut connection = Connection::new(id, stream, peer, now.monotonic);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(
            &mut connection.stream,
            Source::Connection(index).token(),
            interest,
        );
        if let Err(error) = registered {
            log::error!("cannot watch a connection: {error}");
            return None;
        }
        self.sweep.expect(connection.deadline(&self.options.limits));
        self.connections[index] = Some(connection);
        Some(index)
    }
}

fn is_of_one_caller(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, NetworkDown, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted | NetworkDown | NetworkUnreachable
    )
}
