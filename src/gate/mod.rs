//! What the heartbeat port lets through: from a parsed request to a verified heartbeat, a question about health, or
//! a refusal. The order of checks is fixed: address, size (the HTTP core's), signature; replays are the runtime's.
//!
//! Architecture invariant: pure. No sockets, clocks or SQL; nothing about flows is known here, so nothing leaks.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Allowlist, Failure, FailureLimiter, Keyring, Verdict, Verified, client_address};
use crate::http::{ErrorCode, Method, Problem, Refusal, Request};
use crate::time::{Now, Wall};

/// What a 401 names (RFC 9110 section 11.6.1). Standard Webhooks registers no scheme; this name says what is meant.
const CHALLENGE: &str = "Standard-Webhooks realm=\"heartbeatd\"";
/// How long a sender should leave a box whose clock is not set.
const CLOCK_RETRY_S: u64 = 30;
/// How long a sender with wrong credentials should stay away.
const FAILURES_RETRY_S: u64 = 60;

/// Decides about connections and requests.
#[derive(Debug)]
pub struct Gate {
    endpoint_path: String,
    keyring: Keyring,
    /// None: every address may call.
    whitelist: Option<Allowlist>,
    trusted_proxies: Allowlist,
    failures: FailureLimiter,
}

/// What a request is.
#[derive(Debug)]
pub enum Passage<'r> {
    /// A heartbeat whose sender is proved.
    Heartbeat {
        /// The proof.
        verified: Verified<'r>,
        /// `Prefer: wait=N`.
        wait: Option<Duration>,
    },
    /// Does the process answer?
    Health,
    /// Could it record a run?
    Readiness,
    /// `OPTIONS`: the methods that the target knows.
    Options(&'static str),
    /// Not let through.
    Refused(Denial),
}

/// Why a request is not let through, and what its sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Decides the status.
    pub code: ErrorCode,
    /// A sentence for people.
    pub detail: Cow<'static, str>,
    /// `Allow`, with 405.
    pub allow: Option<&'static str>,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
    /// `WWW-Authenticate`, with 401.
    pub authenticate: Option<&'static str>,
    /// Whose request it was, as far as can be told.
    pub client: IpAddr,
    /// Who it is, where that was proved.
    pub agent: Option<Arc<str>>,
}

impl Gate {
    /// A gate. `whitelist` is none where every address may call.
    pub fn new(
        endpoint_path: String,
        keyring: Keyring,
        whitelist: Option<Allowlist>,
        trusted_proxies: Allowlist,
        failed_signatures_per_minute: u32,
    ) -> Self {
        let failures = FailureLimiter::new(failed_signatures_per_minute);
        Self { endpoint_path, keyring, whitelist, trusted_proxies, failures }
    }

    /// Takes over from the gate before: what that counted still counts, under the same limit.
    pub fn succeed(&mut self, next: Self) {
        let before = std::mem::replace(self, next);
        if self.failures.per_minute() == before.failures.per_minute() {
            self.failures = before.failures;
        }
    }

    /// The names of the agents that may send heartbeats.
    pub fn agents(&self) -> impl Iterator<Item = &str> {
        self.keyring.names()
    }

    /// The agents that may send heartbeats.
    pub const fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// Whether a byte from this peer is read at all.
    pub fn admits(&self, peer: IpAddr) -> bool {
        self.is_known(peer) || self.is_trusted_proxy(peer)
    }

    /// Whether the peer speaks for others.
    pub fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.contains(peer)
    }

    /// Whether anybody may call from this address.
    fn is_known(&self, address: IpAddr) -> bool {
        self.is_whitelisted(address) || self.keyring.is_expected_from(address)
    }

    fn is_whitelisted(&self, address: IpAddr) -> bool {
        self.whitelist.as_ref().is_none_or(|whitelist| whitelist.contains(address))
    }

    /// Judges a request from an admitted peer.
    pub fn pass<'r>(
        &mut self,
        request: &'r Request<'r>,
        peer: IpAddr,
        now: Now,
        greatest_signed_at: Option<Wall>,
    ) -> Passage<'r> {
        let client = self.client(request, peer);
        match self.route(request, client, now, greatest_signed_at) {
            Ok(passage) => passage,
            Err(denial) => Passage::Refused(denial),
        }
    }

    /// Whose request it is: the peer's, or that of whom a trusted proxy speaks for.
    pub fn client(&self, request: &Request<'_>, peer: IpAddr) -> IpAddr {
        if !self.is_trusted_proxy(peer) {
            return peer;
        }
        let forwarded: Vec<&[u8]> = request.fields("x-forwarded-for").collect();
        client_address(peer, &self.trusted_proxies, forwarded.into_iter())
    }

    fn route<'r>(
        &mut self,
        request: &'r Request<'r>,
        client: IpAddr,
        now: Now,
        greatest_signed_at: Option<Wall>,
    ) -> Result<Passage<'r>, Denial> {
        if !self.is_known(client) {
            return Err(Denial::of_address(client));
        }
        if request.method == Method::Other {
            return Err(Denial::new(ErrorCode::NotImplemented, "this method is not known here", client));
        }
        if request.target_is_asterisk() {
            return Ok(Passage::Options("GET, HEAD, OPTIONS, POST"));
        }
        let readable = Method::Get == request.method || Method::Head == request.method;
        match (request.path, request.method) {
            (path, method) if path == self.endpoint_path => match method {
                Method::Post => self.verify(request, client, now, greatest_signed_at),
                Method::Options => Ok(Passage::Options("OPTIONS, POST")),
                _ => Err(Denial::of_method("OPTIONS, POST", client)),
            },
            ("/healthz", _) if readable => Ok(Passage::Health),
            ("/readyz", _) if readable => Ok(Passage::Readiness),
            ("/healthz" | "/readyz", Method::Options) => Ok(Passage::Options("GET, HEAD, OPTIONS")),
            ("/healthz" | "/readyz", _) => Err(Denial::of_method("GET, HEAD, OPTIONS", client)),
            _ => Err(Denial::new(ErrorCode::NotFound, "nothing is at this path", client)),
        }
    }

    fn verify<'r>(
        &mut self,
        request: &'r Request<'r>,
        client: IpAddr,
        now: Now,
        greatest_signed_at: Option<Wall>,
    ) -> Result<Passage<'r>, Denial> {
        if request.content_is_encoded() {
            let detail = "the content is signed as it is sent: no Content-Encoding but identity";
            return Err(Denial::new(ErrorCode::UnsupportedMediaType, detail, client));
        }
        // Browsers name the page with each POST (<https://fetch.spec.whatwg.org/#origin-header>), and agents are none. Where
        // credentials are asked for, no page has them.
        if !self.keyring.asks_for_proof() && request.fields("origin").next().is_some() {
            let detail =
                "a web page sent this (Origin), and no page may start flows where authentication is off";
            return Err(Denial::new(ErrorCode::AddressNotAllowed, detail, client));
        }
        let verified = self
            .keyring
            .verify(request, request.body, now.wall, greatest_signed_at)
            .map_err(|failure| self.deny(failure, client, now))?;
        // An address on the list of one agent is none of another's.
        let may_call = match &verified.scope().whitelist {
            Some(own) => own.contains(client),
            None => self.is_whitelisted(client),
        };
        if !may_call {
            return Err(Denial { agent: Some(Arc::clone(verified.agent())), ..Denial::of_address(client) });
        }
        Ok(Passage::Heartbeat { verified, wait: request.prefer_wait().map(Duration::from_secs) })
    }

    fn deny(&mut self, failure: Failure, client: IpAddr, now: Now) -> Denial {
        let denial = Denial::new(failure.code(), failure.to_string(), client);
        if failure == Failure::ClockNotSet {
            return Denial { retry_after_s: Some(CLOCK_RETRY_S), ..denial };
        }
        let guesses_too_often =
            failure.counts_against_sender() && self.failures.record(client, now.monotonic) == Verdict::Quiet;
        if guesses_too_often {
            let detail = "too many wrong credentials from this address; right ones are served all the same";
            let denial = Denial::new(ErrorCode::TooManyFailures, detail, client);
            return Denial { retry_after_s: Some(FAILURES_RETRY_S), ..denial };
        }
        Denial { authenticate: Some(CHALLENGE), ..denial }
    }
}

impl Denial {
    fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>, client: IpAddr) -> Self {
        let detail = detail.into();
        Self { code, detail, allow: None, retry_after_s: None, authenticate: None, client, agent: None }
    }

    fn of_method(allow: &'static str, client: IpAddr) -> Self {
        let detail = "this path does not know this method; Allow names those that it knows";
        Self { allow: Some(allow), ..Self::new(ErrorCode::MethodNotAllowed, detail, client) }
    }

    /// What a caller from an address that is on no list gets.
    pub fn of_address(client: IpAddr) -> Self {
        Self::new(ErrorCode::AddressNotAllowed, "this address is not in whitelisted_ips", client)
    }

    /// What a peer gets that is one too many.
    pub fn of_overload(detail: &'static str, client: IpAddr) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(ErrorCode::Overloaded, detail, client) }
    }

    /// What a verified heartbeat gets that could not be served.
    pub fn of_store(code: ErrorCode, detail: String, client: IpAddr, retry_after_s: u64) -> Self {
        let denial = Self::new(code, detail, client);
        match code {
            // Of a time that lies before all that is known here: no wait makes it younger.
            ErrorCode::TimestampTooOld => Self { authenticate: Some(CHALLENGE), ..denial },
            _ => Self { retry_after_s: Some(retry_after_s), ..denial },
        }
    }

    /// What goes over the wire.
    pub fn problem(&self) -> Problem<'_> {
        Problem {
            allow: self.allow,
            retry_after_s: self.retry_after_s,
            authenticate: self.authenticate,
            ..Problem::new(self.code, &self.detail)
        }
    }

    /// What the HTTP core did not let through.
    pub fn of_refusal(refusal: Refusal, client: IpAddr) -> Self {
        Self::new(refusal.code, refusal.detail, client)
    }
}
