//! Ways in: each is a file that implements `Listen`, and a line of [`Listeners`].

use mio::event::Source as Pollable;
use mio::{Interest, Registry};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::ServerError;
use super::control_socket::ControlSocket;
use super::stream::{Peer, Stream};
use super::tcp::Tcp;
use super::token::Source;
use crate::status::Port;
use crate::time::Monotonic;

/// A way in.
pub(super) trait Listen: fmt::Debug {
    /// What the poll watches.
    fn source(&mut self) -> &mut dyn Pollable;

    /// The next caller, as the peer by which it is judged and served; `WouldBlock` if none waits.
    ///
    /// # Errors
    /// Those of accept(2).
    fn accept(&self) -> io::Result<(Stream, Peer)>;

    /// At which address of the network it listens, and for whom.
    fn address(&self) -> Option<(SocketAddr, Port)> {
        None
    }
}

/// A way in, and whether somebody waits there.
#[derive(Debug)]
pub(super) struct Listener {
    way_in: Box<dyn Listen>,
    /// Whether more callers may wait: readiness comes once.
    pub(super) backlog: bool,
    pub(super) retry_at: Option<Monotonic>,
}

impl Listener {
    fn new(way_in: impl Listen + 'static) -> Self {
        Self { way_in: Box::new(way_in), backlog: false, retry_at: None }
    }

    pub(super) fn register(&mut self, registry: &Registry, index: usize) -> io::Result<()> {
        registry.register(self.way_in.source(), Source::Listener(index).token(), Interest::READABLE)
    }

    pub(super) fn accept(&self) -> io::Result<(Stream, Peer)> {
        self.way_in.accept()
    }

    /// Callers wait: they get their turn after those that are here, who may be about to be answered.
    pub(super) fn has_callers(&mut self) {
        self.backlog = true;
    }

    pub(super) fn is_to_be_tried(&self, now: Monotonic) -> bool {
        self.backlog || self.retry_at.is_some_and(|at| now >= at)
    }
}

/// Where it is listened, before anything else is touched.
#[derive(Debug)]
pub struct Listeners(pub(super) Vec<Listener>);

impl Listeners {
    /// Listens on every address; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be listened on.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, ServerError> {
        let bind = |address: &SocketAddr| match Tcp::bind(*address, Port::Heartbeat) {
            Ok(way_in) => Ok(Listener::new(way_in)),
            Err(error) => Err(ServerError::Listen(*address, error)),
        };
        addresses.iter().map(bind).collect::<Result<_, _>>().map(Self)
    }

    /// Listens for those who look on as well; see [`Server::with_viewers`](super::Server::with_viewers).
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn add_status(&mut self, address: SocketAddr) -> Result<(), ServerError> {
        let way_in = Tcp::bind(address, Port::Status).map_err(|error| ServerError::Status(address, error))?;
        self.0.push(Listener::new(way_in));
        Ok(())
    }

    /// Listens on the control socket as well, whose file has these permissions. Called by the holder of the database's
    /// lock: a socket there that nobody answers at is removed.
    ///
    /// # Errors
    /// It cannot be made, or another daemon answers there.
    pub fn add_control(&mut self, path: &Path, mode: u32) -> Result<(), ServerError> {
        let way_in = ControlSocket::bind(path, mode);
        let way_in = way_in.map_err(|error| ServerError::Control(path.to_owned(), error))?;
        self.0.push(Listener::new(way_in));
        Ok(())
    }

    /// The addresses for heartbeats, with the ports that were taken.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.of(Port::Heartbeat).collect()
    }

    /// The address for those who look on, if there is one.
    pub fn status_address(&self) -> Option<SocketAddr> {
        self.of(Port::Status).next()
    }

    fn of(&self, port: Port) -> impl Iterator<Item = SocketAddr> {
        let at = move |listener: &Listener| match listener.way_in.address() {
            Some((address, of)) if of == port => Some(address),
            _ => None,
        };
        self.0.iter().filter_map(at)
    }
}
