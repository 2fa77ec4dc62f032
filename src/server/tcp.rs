//! A way in by TCP: for heartbeats, or for those who look on.

use mio::event::Source;
use mio::net::TcpListener;
use std::io;
use std::net::SocketAddr;

use super::listener::Listen;
use super::stream::{Peer, Stream};
use crate::limits;
use crate::status::Port;

#[derive(Debug)]
pub(super) struct Tcp {
    socket: TcpListener,
    address: SocketAddr,
    port: Port,
}

impl Tcp {
    /// With a queue in which a burst of callers finds place: whom the kernel turns away there comes again after a second.
    pub(super) fn bind(address: SocketAddr, port: Port) -> io::Result<Self> {
        let socket = TcpListener::bind(address)?;
        rustix::net::listen(&socket, limits::CALLERS_QUEUED_MAX)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, port })
    }
}

impl Listen for Tcp {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn accept(&self) -> io::Result<(Stream, Peer)> {
        let (stream, peer) = self.socket.accept()?;
        let address = peer.ip().to_canonical();
        let peer = if self.port == Port::Status { Peer::Viewer(address) } else { Peer::Address(address) };
        Ok((Stream::Network(stream), peer))
    }

    fn address(&self) -> Option<(SocketAddr, Port)> {
        Some((self.address, self.port))
    }
}
