//! One exchange: the addresses of its host, a connection to one of them, the request, the answer; each phase with its
//! time-out.

use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use zeroize::Zeroizing;

use super::resolver::Resolver;
use super::token;
use crate::http;
use crate::http::client::{Answer, Receiver, Url};
use crate::limits;
use crate::runtime::{Exchange, Job, Unanswered};
use crate::server::connection::retry;
use crate::time::{Monotonic, format_duration};

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: u64,
    pub(super) job: Job,
    exchange: Exchange,
    request: Zeroizing<Vec<u8>>,
    receiver: Receiver,
    phase: Phase,
    /// When the phase has taken too long.
    phase_until: Monotonic,
    /// When the whole has.
    until: Monotonic,
    /// Whether the connection was used before.
    is_reused: bool,
    received: usize,
}

#[derive(Debug)]
enum Phase {
    Resolving,
    /// To this address; the others are tried if that fails.
    Connecting(TcpStream, SocketAddr, Vec<SocketAddr>),
    /// So many bytes are sent.
    Talking(TcpStream, usize),
    /// Between two phases.
    None,
}

/// What came of a turn.
#[derive(Debug)]
pub(super) enum Advance {
    /// It goes on when something is ready.
    Waits,
    /// It has more to do.
    GoesOn,
    /// It is over.
    Answered(Answer),
}

impl Active {
    pub(super) fn new(
        id: u64,
        job: Job,
        exchange: Exchange,
        request: Zeroizing<Vec<u8>>,
        now: Monotonic,
    ) -> Self {
        let until = now + exchange.timeout;
        let receiver = receiver(&exchange);
        let (phase, phase_until) = (Phase::None, until);
        Self {
            id,
            job,
            exchange,
            request,
            receiver,
            phase,
            phase_until,
            until,
            is_reused: false,
            received: 0,
        }
    }

    pub(super) fn url(&self) -> &Url {
        &self.exchange.url
    }

    pub(super) fn deadline(&self) -> Monotonic {
        self.phase_until.min(self.until)
    }

    /// Goes on over a connection that was kept.
    pub(super) fn reuse(
        &mut self,
        mut stream: TcpStream,
        index: usize,
        registry: &Registry,
    ) -> Result<(), Unanswered> {
        self.is_reused = true;
        registry
            .register(&mut stream, token(index), Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| self.failed(&format!("cannot watch the connection: {error}")))?;
        self.talk(stream);
        Ok(())
    }

    /// Begins with finding out where the host is.
    pub(super) fn reach(
        &mut self,
        resolver: &mut Option<Resolver>,
        index: usize,
        now: Monotonic,
        registry: &Registry,
    ) -> Result<(), Unanswered> {
        self.receiver = receiver(&self.exchange);
        self.is_reused = false;
        let (host, port) = (self.exchange.url.host().to_owned(), self.exchange.url.port());
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.connect(vec![SocketAddr::new(address, port)], None, index, now, registry);
        }
        self.phase = Phase::Resolving;
        self.phase_until = now + limits::CONNECT_TIMEOUT;
        let resolver = match resolver {
            Some(resolver) => Ok(resolver),
            none => Resolver::start(registry).map(|started| none.insert(started)),
        };
        let asked = resolver.and_then(|resolver| resolver.ask(self.id, &host, port));
        asked.map_err(|error| self.failed(&format!("cannot resolve {host}: {error}")))
    }

    pub(super) fn resolved(
        &mut self,
        addresses: io::Result<Vec<SocketAddr>>,
        index: usize,
        now: Monotonic,
        registry: &Registry,
    ) -> Result<(), Unanswered> {
        if !matches!(self.phase, Phase::Resolving) {
            return Ok(());
        }
        let host = self.exchange.url.host();
        match addresses {
            Ok(addresses) if !addresses.is_empty() => self.connect(addresses, None, index, now, registry),
            Ok(_) => Err(self.failed(&format!("{host} has no address"))),
            Err(error) => Err(self.failed(&format!("cannot resolve {host}: {error}"))),
        }
    }

    /// Connects to the first of these addresses that lets us begin; `why` is what became of those before.
    fn connect(
        &mut self,
        addresses: Vec<SocketAddr>,
        why: Option<String>,
        index: usize,
        now: Monotonic,
        registry: &Registry,
    ) -> Result<(), Unanswered> {
        let mut why = why;
        let mut addresses = addresses.into_iter();
        while let Some(address) = addresses.next() {
            let begun = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, token(index), Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match begun {
                Ok(stream) => {
                    self.phase = Phase::Connecting(stream, address, addresses.collect());
                    self.phase_until = now + limits::CONNECT_TIMEOUT;
                    return Ok(());
                }
                Err(error) => why = Some(format!("cannot connect to {address}: {error}")),
            }
        }
        Err(self.failed(&why.unwrap_or_default()))
    }

    fn talk(&mut self, stream: TcpStream) {
        // The request is written whole: waiting for more of it would only delay it.
        let _as_it_is = stream.set_nodelay(true);
        self.phase = Phase::Talking(stream, 0);
        self.phase_until = self.until;
    }

    /// Whether nothing came of a connection that was used before, so that the request may go over another one.
    pub(super) const fn may_begin_anew(&self) -> bool {
        self.is_reused && self.received == 0
    }

    /// Does what can be done without waiting, a bounded part of it.
    pub(super) fn advance(
        &mut self,
        buffer: &mut [u8],
        index: usize,
        now: Monotonic,
        registry: &Registry,
    ) -> Result<Advance, Unanswered> {
        match std::mem::replace(&mut self.phase, Phase::None) {
            Phase::Connecting(stream, address, others) => {
                let outcome = match stream.take_error() {
                    Ok(None) => stream.peer_addr().map(drop),
                    Ok(Some(error)) | Err(error) => Err(error),
                };
                match outcome {
                    Ok(()) => {
                        self.talk(stream);
                        Ok(Advance::GoesOn)
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        self.phase = Phase::Connecting(stream, address, others);
                        Ok(Advance::Waits)
                    }
                    Err(error) => {
                        let why = format!("cannot connect to {address}: {error}");
                        self.connect(others, Some(why), index, now, registry).map(|()| Advance::Waits)
                    }
                }
            }
            Phase::Talking(stream, sent) => self.exchange_bytes(stream, sent, buffer),
            phase => {
                self.phase = phase;
                Ok(Advance::Waits)
            }
        }
    }

    fn exchange_bytes(
        &mut self,
        mut stream: TcpStream,
        mut sent: usize,
        buffer: &mut [u8],
    ) -> Result<Advance, Unanswered> {
        let mut broken = None;
        while let Some(rest) = self.request.get(sent..).filter(|rest| !rest.is_empty()) {
            match retry(|| stream.write(rest)) {
                Ok(Some(count)) => sent += count,
                Ok(None) => break,
                // An answer may have come before: a refusal, for example, by a server that does not want the rest.
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        let read = retry(|| stream.read(buffer));
        self.phase = Phase::Talking(stream, sent);
        match read {
            Ok(Some(0)) => match self.receiver.end() {
                Ok(answer) => Ok(Advance::Answered(answer)),
                Err(fault) => Err(self.failed(&fault.to_string())),
            },
            Ok(Some(count)) => {
                self.received += count;
                match self.receiver.push(buffer.get(..count).unwrap_or_default()) {
                    Ok(Some(answer)) => {
                        let may_reuse = answer.may_reuse && sent == self.request.len();
                        Ok(Advance::Answered(Answer { may_reuse, ..answer }))
                    }
                    Ok(None) => Ok(Advance::GoesOn),
                    Err(fault) => Err(self.failed(&fault.to_string())),
                }
            }
            Ok(None) => match broken {
                None => Ok(Advance::Waits),
                Some(error) => Err(self.failed(&format!("cannot send: {error}"))),
            },
            Err(error) => Err(self.failed(&format!("the connection broke: {error}"))),
        }
    }

    /// The time is up for this phase: the next address, or the end.
    pub(super) fn took_too_long(
        &mut self,
        index: usize,
        now: Monotonic,
        registry: &Registry,
    ) -> Result<(), Unanswered> {
        let of = |time: Duration| format_duration(time);
        let whole = of(self.exchange.timeout);
        match std::mem::replace(&mut self.phase, Phase::None) {
            Phase::Connecting(_, address, others) if now < self.until => {
                let why =
                    format!("{address} does not accept a connection within {}", of(limits::CONNECT_TIMEOUT));
                self.connect(others, Some(why), index, now, registry)
            }
            Phase::Connecting(_, address, _) => {
                Err(self.failed(&format!("{address} does not accept a connection within {whole}")))
            }
            Phase::Resolving => {
                let limit = of(limits::CONNECT_TIMEOUT.min(self.exchange.timeout));
                let host = self.exchange.url.host();
                Err(self.failed(&format!("cannot resolve {host}: no answer within {limit}")))
            }
            Phase::Talking(_, sent) if sent < self.request.len() => Err(self.failed(&format!(
                "took {sent} of {} bytes of the request within {whole}, and no more",
                self.request.len()
            ))),
            Phase::Talking(..) | Phase::None => Err(self.failed(&match self.received {
                0 => format!("no answer within {whole}"),
                received => format!("the answer is not whole within {whole}: {received} bytes of it came"),
            })),
        }
    }

    fn failed(&self, why: &str) -> Unanswered {
        let message = format!("{}: {why}", self.exchange.url.without_query());
        Unanswered { message, may_succeed_later: true }
    }

    /// The connection, and what it leads to.
    pub(super) fn into_connection(self) -> Option<(Url, TcpStream)> {
        match self.phase {
            Phase::Talking(stream, _) => Some((self.exchange.url, stream)),
            _ => None,
        }
    }
}

fn receiver(exchange: &Exchange) -> Receiver {
    let limits = http::Limits { body_bytes: exchange.body_bytes_max, ..http::Limits::default() };
    let receiver = Receiver::new(limits, exchange.method);
    if exchange.needs_content { receiver } else { receiver.without_need_of_content() }
}
