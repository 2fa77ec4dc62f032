//! The control socket's file. Its permissions are the access control, so there is no moment at which it can be reached
//! with others; and whoever makes or removes it holds the database's lock.

use mio::event::Source;
use mio::net::{UnixListener, UnixStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with, sockopt,
};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::listener::Listen;
use super::stream::{Peer, Stream};

/// How long a child of a daemon that was killed may keep its socket.
const HELD_BY_A_CHILD_MAX: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// Operators in the kernel's queue.
const BACKLOG: i32 = 16;

/// The socket; its file goes with it.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl ControlSocket {
    /// Listens at `path`. Called by the holder of the database's lock: a socket that nobody answers at is stale.
    pub(super) fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        remove_stale(path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        // Until it listens nobody can connect, whatever mode the umask has made of it.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        let identity = identity(path)?;
        listen(&socket, BACKLOG)?;
        let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(socket));
        Ok(Self { listener, path: path.to_owned(), identity })
    }
}

impl Listen for ControlSocket {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.listener
    }

    /// The next operator, with the user id that the kernel vouches for.
    fn accept(&self) -> io::Result<(Stream, Peer)> {
        let (stream, _) = self.listener.accept()?;
        let uid = sockopt::socket_peercred(&stream)?.uid.as_raw();
        Ok((Stream::Control(stream), Peer::Operator(uid)))
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Somebody may have put another one in its place.
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            let _gone_already = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there"));
        }
        Ok(_) => {}
    }
    // Of another database's daemon, which has the lock of that one. A full queue is somebody's as well.
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(stream) if is_bereft(&stream)? => fs::remove_file(path),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "another daemon answers there")),
    }
}

/// Whether a connection that nobody accepted goes with its socket. A daemon that was killed may have left a child between
/// fork(2) and the end of execve(2), which closes descriptors one by one: first that of the lock, then that of the socket.
fn is_bereft(stream: &UnixStream) -> io::Result<bool> {
    let mut stream = [PollFd::new(stream, PollFlags::IN)];
    poll(&mut stream, Some(&HELD_BY_A_CHILD_MAX))?;
    Ok(stream.iter().any(|stream| stream.revents().contains(PollFlags::HUP)))
}
