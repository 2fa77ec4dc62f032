//! Requests that runs make: each is one at a time for its run, over a connection that is kept for the run's next one to the
//! same origin.

mod exchange;
mod request;
mod resolver;

use mio::Registry;
use mio::net::TcpStream;
use std::io::Read;

use super::connection::retry;
use super::slots;
use super::token::Source;
use super::turns::Turns;
use crate::http::client::{Answer, Url};
use crate::runtime::{Exchange, Job, Unanswered};
use crate::time::{Monotonic, Now};
use exchange::{Active, Advance};
use resolver::Resolver;

/// An exchange that is over: whose, and what came of it.
pub(super) type Over = (Job, Result<Box<Answer>, Unanswered>);

/// The exchanges under way, and the connections that are kept.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    slots: Vec<Option<Active>>,
    kept: Vec<Kept>,
    /// None before the first name is to be resolved.
    resolver: Option<Resolver>,
    begun: u64,
    /// Exchanges that may go on.
    turns: Turns,
}

/// A connection that nothing is under way on.
#[derive(Debug)]
struct Kept {
    job: Job,
    origin: Url,
    stream: TcpStream,
}

impl Kept {
    /// Whether nothing came behind the last answer. What did would pass for the next one (RFC 9112 section 6.3).
    fn is_silent(&self) -> bool {
        matches!(retry(|| (&self.stream).read(&mut [0])), Ok(None))
    }
}

impl Outgoing {
    /// Begins an exchange; what came of it, if that is known at once.
    pub(super) fn begin(
        &mut self,
        job: Job,
        exchange: Exchange,
        now: Now,
        registry: &Registry,
    ) -> Option<Over> {
        let bytes = match request::bytes(&exchange, now.wall) {
            Ok(bytes) => bytes,
            Err(message) => return Some((job, Err(Unanswered { message, may_succeed_later: false }))),
        };
        let exchange = Exchange { body: None, ..exchange };
        self.begun += 1;
        let index = slots::free(&mut self.slots);
        let mut active = Active::new(self.begun, job, exchange, bytes, now.monotonic);
        let kept = self.kept.iter().position(|kept| kept.job == job && kept.origin.same_origin(active.url()));
        let kept = kept.map(|kept| self.kept.swap_remove(kept)).filter(Kept::is_silent);
        let begun = match kept {
            Some(kept) => active.reuse(kept.stream, index, registry),
            None => active.reach(&mut self.resolver, index, now.monotonic, registry),
        };
        self.slots[index] = Some(active);
        match begun {
            Ok(()) => {
                self.turns.ask(index);
                None
            }
            Err(why) => self.end(index, Err(why)),
        }
    }

    /// Something is ready, or may be.
    pub(super) fn ready(&mut self, index: usize) {
        if self.slots.get(index).is_some_and(Option::is_some) {
            self.turns.ask(index);
        }
    }

    /// Names are resolved.
    pub(super) fn resolved(&mut self, now: Monotonic, registry: &Registry) -> Vec<Over> {
        let mut over = Vec::new();
        let resolved: Vec<_> = self.resolver.iter_mut().flat_map(Resolver::take).collect();
        for (id, addresses) in resolved {
            let of_id = |active: &Option<Active>| active.as_ref().is_some_and(|active| active.id == id);
            let Some(index) = self.slots.iter().position(of_id) else { continue };
            let Some(active) = self.slots[index].as_mut() else { continue };
            if let Err(why) = active.resolved(addresses, index, now, registry) {
                over.extend(self.end(index, Err(why)));
            }
        }
        over
    }

    /// Whether somebody waits for a turn, not for readiness.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// One bounded turn for each that may go on.
    pub(super) fn take_turns(&mut self, buffer: &mut [u8], now: Monotonic, registry: &Registry) -> Vec<Over> {
        let mut over = Vec::new();
        let turns = self.turns.take();
        for &index in &turns {
            let Some(active) = self.slots.get_mut(index).and_then(Option::as_mut) else { continue };
            let advanced = match active.advance(buffer, index, now, registry) {
                // The server had closed a connection that was kept, as it may at any time (RFC 9112 section 9.5): nothing of
                // the request was answered, so it goes over another one.
                Err(_) if active.may_begin_anew() => {
                    active.reach(&mut self.resolver, index, now, registry).map(|()| Advance::Waits)
                }
                advanced => advanced,
            };
            match advanced {
                Ok(Advance::Waits) => {}
                Ok(Advance::GoesOn) => self.turns.ask(index),
                Ok(Advance::Answered(answer)) => over.extend(self.end_answered(index, answer, registry)),
                Err(why) => over.extend(self.end(index, Err(why))),
            }
        }
        self.turns.done(turns);
        over
    }

    /// When something is to be given up.
    pub(super) fn next_timeout(&self) -> Option<Monotonic> {
        self.slots.iter().flatten().map(Active::deadline).min()
    }

    /// Gives up what took too long.
    pub(super) fn judge_deadlines(&mut self, now: Monotonic, registry: &Registry) -> Vec<Over> {
        let mut over = Vec::new();
        for index in 0..self.slots.len() {
            let Some(active) = self.slots[index].as_mut().filter(|active| now >= active.deadline()) else {
                continue;
            };
            if let Err(why) = active.took_too_long(index, now, registry) {
                over.extend(self.end(index, Err(why)));
            }
        }
        over
    }

    /// Drops what belongs to runs that are over.
    pub(super) fn retain(&mut self, is_in_hand: impl Fn(Job) -> bool) {
        self.kept.retain(|kept| is_in_hand(kept.job));
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|active| !is_in_hand(active.job)) {
                *slot = None;
            }
        }
    }

    fn end_answered(&mut self, index: usize, answer: Answer, registry: &Registry) -> Option<Over> {
        let active = self.slots[index].take()?;
        let job = active.job;
        if answer.may_reuse
            && let Some((origin, mut stream)) = active.into_connection()
            && registry.deregister(&mut stream).is_ok()
        {
            self.kept.push(Kept { job, origin, stream });
        }
        Some((job, Ok(Box::new(answer))))
    }

    fn end(&mut self, index: usize, answered: Result<Box<Answer>, Unanswered>) -> Option<Over> {
        let active = self.slots[index].take()?;
        Some((active.job, answered))
    }
}

/// The token of an exchange's socket.
fn token(index: usize) -> mio::Token {
    Source::Outgoing(index).token()
}

#[cfg(test)]
mod tests;
