//! An agent: a name, the ways in which it may prove itself, and what it may then do.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Allowlist, Clock, Failure, Fields, Scheme, Secret, Signed, StandardWebhooks, Token, Unauthenticated,
};

/// The agent that the top-level secrets and token belong to.
pub const DEFAULT_AGENT: &str = "default";

/// What an agent may do. The default is everything that anybody may.
#[derive(Debug, Default)]
pub struct Scope {
    /// From where it may call; none: from where everybody may.
    pub whitelist: Option<Allowlist>,
    /// The names of the flows that it may start, each once; none: all flows.
    pub flows: Option<Vec<String>>,
}

/// A sender of heartbeats.
#[derive(Debug)]
pub struct Agent {
    name: Arc<str>,
    schemes: Vec<Box<dyn Scheme>>,
    scope: Arc<Scope>,
}

impl Agent {
    /// An agent with its schemes in order of precedence: the first one whose fields a request carries judges it alone,
    /// so that a bad signature is not outweighed by a token beside it. It may do everything.
    pub fn new(name: &str, schemes: Vec<Box<dyn Scheme>>) -> Self {
        Self { name: name.into(), schemes, scope: Arc::default() }
    }

    /// The same, which may do no more than this.
    #[must_use]
    pub fn within(self, scope: Scope) -> Self {
        Self { scope: Arc::new(scope), ..self }
    }

    /// The agent `default`, with Standard Webhooks secrets, a static token, or both.
    ///
    /// # Errors
    /// A sentence that says what would be right: there is neither, or the secrets do not go together (see
    /// [`StandardWebhooks::new`]).
    pub fn of_top_level(
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
        Ok(Self::new(DEFAULT_AGENT, schemes))
    }

    /// The agent `default`, which need not prove anything.
    pub(super) fn unauthenticated() -> Self {
        Self::new(DEFAULT_AGENT, vec![Box::new(Unauthenticated)])
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The ways in which it may prove itself.
    pub fn schemes(&self) -> impl Iterator<Item = &dyn Scheme> {
        self.schemes.iter().map(AsRef::as_ref)
    }

    /// What it may do.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// Judges a request; none if it carries no fields of this agent's schemes.
    pub(super) fn verify<'r>(
        &self,
        fields: &'r dyn Fields,
        body: &[u8],
        clock: &Clock,
    ) -> Option<Result<Signed<'r>, Failure>> {
        self.schemes.iter().find_map(|scheme| scheme.verify(fields, body, clock))
    }
}
