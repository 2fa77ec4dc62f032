//! Those who attack: many connections, from as many addresses as it takes.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use rustix::net::sockopt::set_socket_linger;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::tools::tell_skipped;

/// See `limits::CONNECTIONS_PER_ADDRESS_DEFAULT`.
pub(crate) const PER_ADDRESS: usize = 64;

/// The address of the so-many-th attacker; none is the honest agent's.
pub(crate) fn address(number: usize) -> Ipv4Addr {
    let [high, low] = u16::try_from(number).expect("fewer addresses than that").to_be_bytes();
    Ipv4Addr::new(127, 1, high, low.max(1))
}

/// A connection from such an address, which waits for nothing: what it does not get at once is left.
pub(crate) fn caller(source: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    // Not for the daemons that other tests start meanwhile.
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::from((source, 0)))?;
    connect(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// So many connections, as many from an address as it may have. What cannot be had is left out.
pub(crate) fn callers(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count).filter_map(|number| caller(address(1 + number / PER_ADDRESS), port).ok()).collect()
}

/// Sends what can be sent at once; false: the daemon has closed it.
pub(crate) fn push(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let taken = stream.write(bytes);
    !taken.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

/// Does something again and again for so long.
pub(crate) fn keep_on(time: Duration, mut act: impl FnMut()) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        act();
    }
}

/// Leaves with a reset.
pub(crate) fn reset(stream: TcpStream) {
    let _closed_already = set_socket_linger(&stream, Some(Duration::ZERO));
    drop(stream);
}

/// Whether so many sockets may be open here; raises what may be raised.
pub(crate) fn may_open(count: u64) -> bool {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let enough = count + 1000;
    if current.is_some_and(|current| current < enough) {
        let raised = Rlimit { current: maximum.map_or(Some(enough), |most| Some(most.min(enough))), maximum };
        let _as_far_as_it_goes = setrlimit(Resource::Nofile, raised);
    }
    let may = getrlimit(Resource::Nofile).current.is_none_or(|current| current >= enough);
    if !may {
        tell_skipped(&format!("{count} sockets cannot be opened here (RLIMIT_NOFILE)"));
    }
    may
}
