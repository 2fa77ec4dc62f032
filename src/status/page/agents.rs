//! The agents: who may beat, who was heard when, and what came of it.

use super::html::{Html, put};
use super::{Look, figures, shell};
use crate::auth::Agent;
use crate::runtime::{INTERNAL_AGENT, Outcome};
use crate::store::LastHeartbeat;
use crate::time::{Wall, format_duration};

/// How an agent is doing, by word and shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    Heard,
    Silent,
    /// Nobody has heard it, or not since it is on record.
    Never,
    /// What is on record cannot be read.
    Unknown,
    /// It may not beat any more.
    Gone,
}

impl Hearing {
    const fn shape(self) -> &'static str {
        match self {
            Self::Heard => "fine",
            Self::Silent => "overdue",
            Self::Never | Self::Unknown => "new",
            Self::Gone => "off",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Heard => "heard",
            Self::Silent => "silent",
            Self::Never => "never heard",
            Self::Unknown => "not known",
            Self::Gone => "no longer configured",
        }
    }
}

/// The section of the agents. `heard` is when each was last heard; `is_whole` tells whether the record could be read for that.
pub(super) fn write(html: &mut Html, heard: &[LastHeartbeat], is_whole: bool, look: &Look<'_>) {
    let silent = look.runtime.silent_agents(look.now.monotonic);
    put!(html, "<section class=\"sec\" aria-labelledby=\"agents\"><h2 id=\"agents\">Agents</h2><table class=\"ledger\"><thead><tr><th scope=\"col\">Agent"
        "<th scope=\"col\">State<th scope=\"col\">Last heartbeat");
    for (_, words) in OUTCOMES {
        put!(html, "<th scope=\"col\" class=\"n\">"(words));
    }
    put!(html, "</thead><tbody>");
    let last_of =
        |name: &str| heard.iter().find(|heard| heard.agent == name).map(|heard| heard.last_heartbeat_at);
    for agent in look.agents {
        let last = last_of(agent.name());
        let state = match last {
            _ if silent.contains(&&**agent.name()) => Hearing::Silent,
            Some(_) => Hearing::Heard,
            None if is_whole => Hearing::Never,
            None => Hearing::Unknown,
        };
        row(html, agent.name(), &describe(agent), state, last, look);
    }
    let own = look.runtime.internal_heartbeat();
    if let Some(every) = own {
        let about = format!("the daemon itself, every {}", format_duration(every));
        // Only those that started runs are on record.
        let last = last_of(INTERNAL_AGENT);
        row(html, INTERNAL_AGENT, &about, Hearing::Heard, last, look);
    }
    let is_configured = |name: &str| look.agents.iter().any(|agent| &**agent.name() == name);
    for gone in heard.iter().filter(|heard| !is_configured(&heard.agent)) {
        if own.is_none() || gone.agent != INTERNAL_AGENT {
            row(html, &gone.agent, "", Hearing::Gone, Some(gone.last_heartbeat_at), look);
        }
    }
    put!(html, "</tbody></table>");
    match look.runtime.no_heartbeat_for() {
        Some(limit) => {
            put!(html, "<p class=\"dim\">Silent is who was not heard for " (format_duration(limit)) ". Counts are since the start.</p>")
        }
        None => put!(
            html,
            "<p class=\"dim\">Counts are since the start. With no_heartbeat_for under [alerts] it is told when an agent falls silent.</p>"
        ),
    }
    put!(html, "</section>");
}

const OUTCOMES: [(Outcome, &str); Outcome::ALL.len()] = [
    (Outcome::Started, "Started runs"),
    (Outcome::Idle, "Nothing due"),
    (Outcome::Duplicate, "Known already"),
    (Outcome::Refused, "Not recorded"),
];

fn row(html: &mut Html, name: &str, about: &str, state: Hearing, last: Option<Wall>, look: &Look<'_>) {
    put!(html, "<tr><th scope=\"row\">"(name));
    if !about.is_empty() {
        put!(html, " <span class=\"dim\">" (about) "</span>");
    }
    put!(html, "<td data-l=\"State\"><span class=\"" (state.shape()) "\">");
    figures::icon(html, state.shape());
    put!(html, (state.words()) "</span><td data-l=\"Last heartbeat\"><span data-agent=\"" (name) "\">");
    match last {
        Some(at) => shell::time(html, at, look),
        None => put!(html, "\u{2013}"),
    }
    put!(html, "</span>");
    for (outcome, words) in OUTCOMES {
        put!(html, "<td class=\"n\" data-l=\"" (words) "\">" (look.runtime.tally().heartbeats(name, outcome)));
    }
}

/// How it proves itself, and what it is kept to.
fn describe(agent: &Agent) -> String {
    let schemes: Vec<&str> = agent.schemes().map(|scheme| scheme.name()).collect();
    let mut about = schemes.join(", ");
    match agent.scope().flows.as_deref().map(<[String]>::len) {
        None => {}
        Some(1) => about.push_str("; may start one flow"),
        Some(count) => about.push_str(&format!("; may start {count} flows")),
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_column() {
        let columns = OUTCOMES.map(|(outcome, _)| outcome);
        assert_eq!(columns, Outcome::ALL);
    }
}
