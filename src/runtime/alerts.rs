//! Alerts: what somebody is told without having asked. `rules` finds what is to be told and records it in the round that it is
//! about; `delivery` brings it to its receiver, one at a time.
//!
//! Invariant: an alert is on record before it is told, and a try before it is made. So each is told at least once, under the
//! same id, whatever happens between; and nothing of it takes a run's slot or holds up the loop.

mod delivery;
mod rules;

use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

use super::Runtime;
use crate::http::client::Url;
use crate::limits;
use crate::store::{AlertKind, Result, RunId};
use crate::time::{Monotonic, Now, Wall};
use delivery::{Begun, Outcome, Settled, UnderWay};

pub(super) use delivery::judged;

/// What is told, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// Who is told; none: nothing is told.
    pub to: Option<Recipient>,
    /// Failures of a flow in a row before that is told.
    pub after_failures: u64,
    /// A run that takes longer is told of.
    pub run_longer_than: Option<Duration>,
    /// An agent that was silent for longer is told of.
    pub no_heartbeat_for: Option<Duration>,
    /// The agents that are expected to be heard.
    pub agents: Vec<String>,
    /// The name of this machine, for whoever looks after many.
    pub host: String,
    /// Who is told, again and again, that this daemon is well.
    pub watchdog: Option<Watchdog>,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// A server, by a signed POST.
    Url {
        /// Where.
        url: Url,
        /// What it is signed with.
        secret_file: PathBuf,
    },
    /// A program.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
        /// Where it starts.
        working_directory: PathBuf,
    },
}

/// Who watches this daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watchdog {
    /// What is asked for; whoever knows it may beat as well.
    pub url: Url,
    /// How often.
    pub every: Duration,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            to: None,
            after_failures: limits::ALERT_AFTER_FAILURES_DEFAULT as u64,
            run_longer_than: None,
            no_heartbeat_for: None,
            agents: Vec::new(),
            host: String::new(),
            watchdog: None,
        }
    }
}

/// What became of alerts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AlertCounts {
    /// Alerts that were made, in the order of [`AlertKind::ALL`].
    #[serde(skip)]
    pub created: [u64; AlertKind::ALL.len()],
    /// Alerts that their receiver took.
    pub delivered: u64,
    /// Tries that failed.
    pub failed_attempts: u64,
    /// Alerts that were given up after many tries.
    pub given_up: u64,
    /// Alerts that went because there were too many.
    pub dropped: u64,
    /// Alerts that are not delivered now.
    #[serde(skip)]
    pub queued: u64,
}

/// What is known of alerts beside the record.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    settings: AlertSettings,
    counts: AlertCounts,
    // --- What the rules go by
    /// Silence counts from then on.
    listening_since: Option<Monotonic>,
    /// When each expected agent was last heard, or was first expected.
    heard: Vec<(String, Monotonic)>,
    /// Agents whose silence was told, ...
    silent: Vec<String>,
    /// ... and those of them that were heard since.
    returned: Vec<String>,
    /// Runs in progress that were told of as long.
    long: Vec<RunId>,
    /// Whether the database was told to be near its limit.
    is_near_limit: bool,
    /// Since when nothing can be written.
    failing_since: Option<(Monotonic, Wall)>,
    // --- How they are delivered
    under_way: Option<UnderWay>,
    /// What came of it, until it is on record.
    outcome: Option<Outcome>,
    /// Processes that a command left behind are being ended; nothing else is started before.
    has_leftovers: bool,
    /// Whether the receiver took the last one, or is another one: then those that were tried before wait no longer.
    is_answering: bool,
    /// Tries in a row that found nobody who answers.
    failures: u32,
    /// Nothing is tried before this.
    paused_until: Option<Monotonic>,
    /// When the outbox is looked at; none: it is empty, or a delivery is under way.
    look_at: Option<Monotonic>,
}

/// What a round changes in it.
#[derive(Debug, Default)]
pub(super) struct AlertDelta {
    created: Vec<AlertKind>,
    dropped: usize,
    silent: Vec<String>,
    returned: Vec<String>,
    long: Vec<RunId>,
    is_near_limit: Option<bool>,
    storage_was_told: bool,
    settled: Option<Settled>,
    begun: Option<Begun>,
    look_at: Option<Option<Monotonic>>,
}

impl Alerts {
    fn are_wanted(&self) -> bool {
        self.settings.to.is_some()
    }

    pub(super) fn settings(&self) -> &AlertSettings {
        &self.settings
    }

    pub(super) fn heard(&mut self, agent: &str, now: Monotonic) {
        // Nobody else is asked about.
        let Some((name, heard)) = self.heard.iter_mut().find(|(name, _)| name == agent) else { return };
        *heard = now;
        if self.silent.contains(name) && !self.returned.contains(name) {
            self.returned.push(name.clone());
        }
    }

    /// A round could not be written.
    pub(super) fn note_failure(&mut self, now: Now) {
        self.failing_since.get_or_insert((now.monotonic, now.wall));
    }

    pub(super) fn await_leftovers(&mut self) {
        self.has_leftovers = true;
    }

    pub(super) fn leftovers_gone(&mut self) {
        self.has_leftovers = false;
        self.look_at.get_or_insert(Monotonic::since_start(Duration::ZERO));
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }
}

impl Runtime {
    /// The same, which tells of things; called before anything else.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn with_alerts(mut self, settings: AlertSettings, now: Now) -> Result<Self> {
        let alerts = &mut self.alerts;
        alerts.silent = self.store.open_subjects(AlertKind::AgentSilent)?;
        alerts.is_near_limit = !self.store.open_subjects(AlertKind::DatabaseNearLimit)?.is_empty();
        alerts.counts.queued = self.store.count_alerts()? as u64;
        self.take_up_alerts(Some(Box::new(settings)), now);
        Ok(self)
    }

    /// What became of alerts since the start.
    pub const fn alert_counts(&self) -> AlertCounts {
        self.alerts.counts
    }

    /// Whether somebody is told.
    pub fn tells_alerts(&self) -> bool {
        self.alerts.are_wanted()
    }

    /// Alerts that wait for somebody who did not take the last one that was tried; 0: all is well with that.
    pub fn untaken_alerts(&self) -> u64 {
        if self.alerts.are_wanted() && !self.alerts.is_answering { self.alerts.counts.queued } else { 0 }
    }

    /// How long an agent may be silent before that counts; none: as long as it likes.
    pub const fn no_heartbeat_for(&self) -> Option<Duration> {
        self.alerts.settings.no_heartbeat_for
    }

    /// The expected agents that were not heard for that long.
    pub fn silent_agents(&self, now: Monotonic) -> Vec<&str> {
        let Alerts { silent, returned, settings, .. } = &self.alerts;
        let told = silent.iter().filter(|agent| !returned.contains(agent) && settings.agents.contains(agent));
        let untold = self.deadlines_of_agents().filter(|(_, at)| now >= *at).map(|(agent, _)| agent);
        told.chain(untold).map(String::as_str).collect()
    }

    /// From now on these hold.
    pub(super) fn take_up_alerts(&mut self, settings: Option<Box<AlertSettings>>, now: Now) {
        let Some(settings) = settings else { return };
        let alerts = &mut self.alerts;
        self.watching.take_up(settings.watchdog.is_some(), now.monotonic);
        if settings.no_heartbeat_for != alerts.settings.no_heartbeat_for {
            alerts.listening_since = Some(now.monotonic);
        }
        alerts.heard.retain(|(agent, _)| settings.agents.contains(agent));
        // Whoever is expected from now on was not silent before.
        let newcomers = settings.agents.iter().filter(|agent| !alerts.settings.agents.contains(agent));
        alerts.heard.extend(newcomers.map(|agent| (agent.clone(), now.monotonic)));
        // Whoever is told now may take what another one did not.
        alerts.is_answering = alerts.are_wanted() && settings.to != alerts.settings.to;
        alerts.settings = *settings;
        (alerts.failures, alerts.paused_until) = (0, None);
        alerts.look_at = (alerts.counts.queued > 0 && alerts.under_way.is_none()).then_some(now.monotonic);
    }

    /// When something is to be told or tried.
    pub(super) fn next_alert_at(&self) -> Option<Monotonic> {
        let alerts = &self.alerts;
        let command = alerts.under_way.as_ref().and_then(UnderWay::deadline);
        // What cannot be written waits with everything else.
        if !alerts.are_wanted() || self.store_retry_at.is_some() {
            return command;
        }
        let at_once = Monotonic::since_start(Duration::ZERO);
        let in_hand = alerts.outcome.is_some() || !alerts.returned.is_empty();
        let may_begin = alerts.under_way.is_none() && !alerts.has_leftovers && !self.phase.is_stopping();
        let look_at = alerts.look_at.filter(|_| may_begin);
        let told = [in_hand.then_some(at_once), look_at, self.next_long_run_at(), self.next_silence_at()];
        told.into_iter().chain([command]).flatten().min()
    }

    /// What the round wrote is on record: it counts, and what was begun is done.
    pub(super) fn alerts_are_recorded(
        &mut self,
        delta: AlertDelta,
        now: Now,
        actions: &mut Vec<super::Action>,
    ) {
        let alerts = &mut self.alerts;
        alerts.counts.queued += delta.created.len() as u64;
        for kind in &delta.created {
            alerts.counts.created[*kind as usize] += 1;
        }
        if delta.dropped > 0 {
            let dropped = delta.dropped as u64;
            alerts.counts.dropped += dropped;
            alerts.counts.queued = alerts.counts.queued.saturating_sub(dropped);
            log::error!(dropped; "too many alerts are not delivered: the oldest are dropped; help: see that their receiver answers");
        }
        alerts.silent.retain(|agent| !delta.returned.contains(agent));
        alerts.returned.retain(|agent| !delta.returned.contains(agent));
        alerts.silent.extend(delta.silent);
        alerts.long.extend(delta.long);
        alerts.long.retain(|run| self.running.contains_key(run));
        alerts.is_near_limit = delta.is_near_limit.unwrap_or(alerts.is_near_limit);
        if delta.storage_was_told || self.tick.last_failure.is_none() {
            alerts.failing_since = None;
        }
        if let Some(settled) = delta.settled {
            alerts.settle(settled, now);
        }
        alerts.look_at = delta.look_at.unwrap_or(alerts.look_at);
        if let Some(begun) = delta.begun {
            self.begin_delivery(begun, now, actions);
        }
    }
}

#[cfg(test)]
mod tests;
