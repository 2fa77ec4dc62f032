//! A connection's socket: of the network, or of an operator on this box.

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, BorrowedFd};

use crate::limits;
use crate::status::Port;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Peer {
    /// Canonical: an IPv4-mapped address is IPv4.
    Address(IpAddr),
    /// On the status port; as above.
    Viewer(IpAddr),
    /// On the control socket: this user.
    Operator(u32),
}

impl Peer {
    /// What it has connected to.
    pub(super) const fn port(self) -> Port {
        match self {
            Self::Address(_) => Port::Heartbeat,
            Self::Viewer(_) => Port::Status,
            Self::Operator(_) => Port::Control,
        }
    }
}

/// A socket that does not block.
#[derive(Debug)]
pub(super) enum Stream {
    Network(TcpStream),
    Control(UnixStream),
}

impl Stream {
    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Network(stream) => stream.shutdown(Shutdown::Write),
            Self::Control(stream) => stream.shutdown(Shutdown::Write),
        }
    }

    /// An answer is written whole: waiting for more of it would only delay it.
    pub(super) fn send_at_once(&self) {
        if let Self::Network(stream) = self {
            let _as_it_is = stream.set_nodelay(true);
        }
    }

    /// What it takes ahead of a reader that is slow or gone is little.
    pub(super) fn send_little_ahead(&self) {
        let _as_it_is = set_socket_send_buffer_size(self, limits::WATCHER_SEND_BUFFER_BYTES);
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Network(stream) => stream,
            Self::Control(stream) => stream,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Network(stream) => stream.read(buffer),
            Self::Control(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Network(stream) => stream.write(bytes),
            Self::Control(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Network(stream) => stream.as_fd(),
            Self::Control(stream) => stream.as_fd(),
        }
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().register(registry, token, interests)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
        self.source().reregister(registry, token, interests)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }
}
