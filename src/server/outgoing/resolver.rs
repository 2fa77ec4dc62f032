//! Names to addresses. getaddrinfo(3) waits for an answer, so a thread of its own does it, which owns nothing else and tells
//! of its answers by a waker.

use mio::{Registry, Waker};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use crate::limits;
use crate::server::token::Source;

/// What the C library and its modules need of a stack.
const STACK_BYTES: usize = 512 * 1024;

/// A question: whose, about which host and port, and since when.
type Asked = (u64, String, u16, Instant);
/// Its answer.
pub(super) type Resolved = (u64, io::Result<Vec<SocketAddr>>);

/// The thread, and the way to it.
#[derive(Debug)]
pub(super) struct Resolver {
    questions: Sender<Asked>,
    answers: Receiver<Resolved>,
}

impl Resolver {
    /// Starts the thread. It ends with its resolver, or with the process.
    pub(super) fn start(registry: &Registry) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, Source::Resolved.token())?);
        let (questions, asked) = channel::<Asked>();
        let (resolved, answers) = channel();
        let resolve = move || {
            for (id, host, port, since) in asked {
                // Nobody waits for it any more, and others wait behind it.
                if since.elapsed() >= limits::CONNECT_TIMEOUT {
                    continue;
                }
                let addresses = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
                if resolved.send((id, addresses)).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("resolver".to_owned()).stack_size(STACK_BYTES).spawn(resolve)?;
        Ok(Self { questions, answers })
    }

    /// Asks for the addresses of a host.
    pub(super) fn ask(&self, id: u64, host: &str, port: u16) -> io::Result<()> {
        self.questions
            .send((id, host.to_owned(), port, Instant::now()))
            .map_err(|_| io::Error::other("the resolver has ended"))
    }

    /// What was answered since the last time.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Resolved> {
        self.answers.try_iter()
    }
}
