//! New callers: admitted, refused with an answer that reaches them, or one idle caller makes room.

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Server;
use super::connection::{Connection, State};
use super::slots;
use super::token::Source;
use crate::gate::Denial;
use crate::http;
use crate::limits;
use crate::runtime::ConnectionId;
use crate::time::{Monotonic, Now};

/// Callers accepted in one round: the others wait in the kernel's queue while those that are here are served.
const ACCEPTED_PER_ROUND: usize = 64;
/// When accept fails for want of descriptors or memory, how long until the next try.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An address that is listened on.
#[derive(Debug)]
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    /// Whether more callers may wait: readiness comes once.
    backlog: bool,
    retry_at: Option<Monotonic>,
}

impl Listener {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, backlog: false, retry_at: None })
    }

    pub(super) fn register(&mut self, registry: &Registry, index: usize) -> io::Result<()> {
        registry.register(&mut self.socket, Source::Listener(index).token(), Interest::READABLE)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.backlog
    }

    pub(super) fn retry_at(&self) -> Option<Monotonic> {
        self.retry_at
    }

    pub(super) fn is_to_be_tried(&self, now: Monotonic) -> bool {
        self.backlog || self.retry_at.is_some_and(|at| now >= at)
    }
}

impl Server {
    pub(super) fn accept(&mut self, index: usize, now: Now) {
        self.listeners[index].backlog = false;
        self.listeners[index].retry_at = None;
        for _ in 0..ACCEPTED_PER_ROUND {
            match self.listeners[index].socket.accept() {
                Ok((stream, peer)) => self.admit(stream, peer.ip().to_canonical(), now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Errors of the connection that was to be accepted (accept(2)): the next one may be well.
                Err(error) if is_of_one_caller(&error) => {}
                Err(error) => {
                    log::error!("cannot accept a connection: {error}; trying again");
                    self.listeners[index].retry_at = Some(now.monotonic + ACCEPT_RETRY);
                    return;
                }
            }
        }
        self.listeners[index].backlog = true;
    }

    fn admit(&mut self, stream: TcpStream, peer: IpAddr, now: Now) {
        self.counters.connections += 1;
        if !self.gate.admits(peer) {
            return self.turn_away(stream, peer, &Denial::of_address(peer), now);
        }
        let of_this_address = |connection: &&Connection| connection.counts() && connection.peer == peer;
        let from_here = self.connections.iter().flatten().filter(of_this_address).count();
        if from_here >= self.options.limits.connections_per_address && !self.gate.is_trusted_proxy(peer) {
            let denial = Denial::of_overload("too many connections from this address", peer);
            return self.turn_away(stream, peer, &denial, now);
        }
        let open = self.connections.iter().flatten().filter(|connection| connection.counts()).count();
        if open >= self.options.limits.connections && !self.make_room() {
            let denial = Denial::of_overload("too many connections, and none is idle", peer);
            return self.turn_away(stream, peer, &denial, now);
        }
        // An answer is written whole: waiting for more of it would only delay it.
        let _as_it_is = stream.set_nodelay(true);
        self.take_in(stream, peer, now);
    }

    /// Closes the longest idle connection.
    fn make_room(&mut self) -> bool {
        let idle = self.connections.iter_mut().flatten().filter(|connection| connection.is_idle());
        match idle.min_by_key(|connection| connection.since) {
            Some(connection) => {
                connection.state = State::Dead;
                true
            }
            None => false,
        }
    }

    /// Answers a caller of whom nothing is read.
    fn turn_away(&mut self, stream: TcpStream, peer: IpAddr, denial: &Denial, now: Now) {
        self.counters.refused(denial, now.monotonic);
        if self.draining() >= limits::DRAINING_MAX {
            return;
        }
        let Some(index) = self.take_in(stream, peer, now) else { return };
        if let Some(connection) = &mut self.connections[index] {
            connection.shape.connection = http::Connection::Close;
        }
        self.tell_refusal(index, denial, now);
    }

    fn take_in(&mut self, stream: TcpStream, peer: IpAddr, now: Now) -> Option<usize> {
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
