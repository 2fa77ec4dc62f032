//! The agents that may send heartbeats, and the one place where a request becomes [`Verified`].

use std::sync::Arc;
use std::time::Duration;

use super::{Clock, Failure, Fields, Scheme, Secret, Signed, StandardWebhooks, Token, Unauthenticated};
use crate::time::Wall;

/// The agent that the top-level secrets and token belong to.
pub const DEFAULT_AGENT: &str = "default";

/// A sender of heartbeats: its name and the ways in which it may prove itself.
#[derive(Debug)]
pub struct Agent {
    name: Arc<str>,
    schemes: Vec<Box<dyn Scheme>>,
}

impl Agent {
    /// An agent with its schemes in order of precedence: the first one whose fields a request carries judges it alone,
    /// so that a bad signature is not outweighed by a token beside it.
    pub fn new(name: &str, schemes: Vec<Box<dyn Scheme>>) -> Self {
        Self { name: name.into(), schemes }
    }

    fn verify<'r>(&self, fields: &'r dyn Fields, body: &[u8], clock: &Clock) -> Result<Signed<'r>, Failure> {
        let which = self.schemes.first().map_or("credentials", |scheme| scheme.wants());
        self.schemes
            .iter()
            .find_map(|scheme| scheme.verify(fields, body, clock))
            .unwrap_or(Err(Failure::SignatureMissing { which }))
    }
}

/// Every agent that may send heartbeats.
#[derive(Debug)]
pub struct Keyring {
    agents: Vec<Agent>,
}

impl Keyring {
    /// These agents.
    pub fn new(agents: Vec<Agent>) -> Self {
        Self { agents }
    }

    /// The one agent `default`, with Standard Webhooks secrets, a static token, or both.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is neither, or the secrets do not go together (see
    /// [`StandardWebhooks::new`]).
    pub fn of_default_agent(
        secrets: Vec<Secret>,
        token: Option<Token>,
        tolerance: Duration,
    ) -> Result<Self, String> {
        let mut schemes: Vec<Box<dyn Scheme>> = Vec::new();
        if !secrets.is_empty() || token.is_none() {
            schemes.push(Box::new(StandardWebhooks::new(secrets, tolerance)?));
        }
        if let Some(token) = token {
            schemes.push(Box::new(token));
        }
        Ok(Self::new(vec![Agent::new(DEFAULT_AGENT, schemes)]))
    }

    /// `authentication_enabled = false`: every request is the agent `default`'s.
    pub fn disabled() -> Self {
        Self::new(vec![Agent::new(DEFAULT_AGENT, vec![Box::new(Unauthenticated)])])
    }

    /// Judges a request: who sent it, and is that proved? `greatest_signed_at` is the greatest signed time ever
    /// accepted, from the store, so that an expired secret stays expired when our clock falls back.
    ///
    /// # Errors
    /// Why no agent is proved; where several come close, the failure that got furthest.
    pub fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        now: Wall,
        greatest_signed_at: Option<Wall>,
    ) -> Result<Verified<'r>, Failure> {
        let clock = Clock { now, greatest_signed_at };
        let mut furthest = Failure::SignatureMissing { which: "credentials" };
        for agent in &self.agents {
            match agent.verify(fields, body, &clock) {
                Ok(Signed { id, signed_at }) => {
                    return Ok(Verified { agent: Arc::clone(&agent.name), id, signed_at });
                }
                Err(failure) if failure.progress() >= furthest.progress() => furthest = failure,
                Err(_) => {}
            }
        }
        Err(furthest)
    }
}

/// A request whose sender is proved (or need not be: [`Keyring::disabled`]). Only [`Keyring::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Verified<'r> {
    agent: Arc<str>,
    id: Option<&'r str>,
    signed_at: Option<Wall>,
}

impl<'r> Verified<'r> {
    /// The agent's name.
    pub fn agent(&self) -> &Arc<str> {
        &self.agent
    }

    /// The heartbeat's id; a retry has the same one. `None` where the scheme has no ids: nothing then tells a retry
    /// from a new heartbeat.
    pub fn id(&self) -> Option<&'r str> {
        self.id
    }

    /// The signed time, in whole seconds; `None` where the scheme signs none.
    pub fn signed_at(&self) -> Option<Wall> {
        self.signed_at
    }
}
