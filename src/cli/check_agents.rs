//! What `check` says of each agent: how it proves itself, and what an operator should know of that.

use serde::Serialize;

use super::Context;
use crate::auth::{Agent, DEFAULT_AGENT, Keyring, Scheme, Secret};
use crate::setup::Loaded;
use crate::time::Wall;
use crate::words::counted;

/// An agent and one way in which it may prove itself.
#[derive(Debug, Serialize)]
pub(super) struct AgentLine {
    name: String,
    scheme: &'static str,
    secrets: usize,
    /// When the first of those that have not ended does.
    until: Option<Wall>,
    replayable: bool,
}

impl AgentLine {
    /// What the line about secrets says already needs none.
    pub(super) fn is_worth_a_line(&self) -> bool {
        self.name != DEFAULT_AGENT || self.replayable
    }

    pub(super) fn text(&self) -> String {
        let Self { name, scheme, .. } = self;
        let noun = if *scheme == "token" { "token" } else { "secret" };
        let until = self.until.map(|until| format!(", one ends at {until}")).unwrap_or_default();
        let replay = if self.replayable { "; a captured request can be replayed" } else { "" };
        format!("agent {name}: {scheme}, {}{until}{replay}", counted(self.secrets, noun))
    }
}

pub(super) fn lines(keyring: &Keyring, now: Wall) -> Vec<AgentLine> {
    let each = |agent: &Agent, scheme: &dyn Scheme| AgentLine {
        name: agent.name().to_string(),
        scheme: scheme.name(),
        secrets: scheme.secrets().len(),
        until: in_force(scheme, now).filter_map(Secret::until).min(),
        replayable: scheme.can_be_replayed(),
    };
    let lines =
        keyring.agents().iter().flat_map(|agent| agent.schemes().map(move |scheme| each(agent, scheme)));
    lines.collect()
}

fn in_force(scheme: &dyn Scheme, now: Wall) -> impl Iterator<Item = &Secret> {
    scheme.secrets().iter().filter(move |secret| secret.is_in_force(now))
}

/// Secrets that ended.
pub(super) fn warnings(keyring: &Keyring, now: Wall) -> Vec<String> {
    let mut warnings = Vec::new();
    for agent in keyring.agents() {
        let of = match &**agent.name() {
            DEFAULT_AGENT => String::new(),
            name => format!("agent {name}: "),
        };
        for scheme in agent.schemes().filter(|scheme| !scheme.secrets().is_empty()) {
            let ended = scheme.secrets().iter().filter(|secret| !secret.is_in_force(now));
            for until in ended.filter_map(Secret::until) {
                warnings.push(format!("{of}a secret ended at {until}: take its line out"));
            }
            if in_force(scheme, now).next().is_none() {
                warnings.push(format!("{of}every secret has ended: no signed heartbeat is accepted"));
            }
        }
    }
    warnings
}

/// The flows on record, those that came by command among them. What cannot be read is none.
pub(super) fn stored_flows(context: &Context, loaded: &Loaded) -> Vec<String> {
    let names = |store: crate::store::Store| store.map_flows(|flow| flow.name).ok();
    context.open_to_read(loaded).ok().and_then(names).unwrap_or_default()
}
