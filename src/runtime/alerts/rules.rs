//! What is told, and when: once when it begins, and once when it is over.

use serde_json::{Value, json};
use std::time::Duration;

use super::super::Runtime;
use super::super::running::{Running, Stage};
use crate::config::format_size;
use crate::flow::{End, ErrorKind};
use crate::limits;
use crate::store::{AlertKind, Cause, FlowId, Result, RunId, Size, StoreError};
use crate::time::{Monotonic, Now, Wall, format_duration, millis};

/// What an alert about the box itself is about.
const DATABASE: &str = "database";
const STORAGE: &str = "storage";

/// Something to tell.
struct Told {
    kind: AlertKind,
    subject: String,
    /// In words.
    message: String,
    /// What a program reads.
    data: Value,
}

impl Runtime {
    /// A flow's run has ended for good: whether that is to be told. Called in the transaction that records it.
    pub(in super::super) fn tell_of_end(
        &mut self,
        (flow, name): (FlowId, &str),
        run: RunId,
        end: &End,
        now: Wall,
    ) -> Result<()> {
        let told = match &end.error {
            None => self.recovered(flow, name, run, now),
            Some((kind, message)) if kind.counts_as_failure() && self.alerts.are_wanted() => {
                self.failing(flow, name, run, (*kind, message), now)
            }
            // The daemon's end and an operator's word say nothing about the flow; nor is there something to say to nobody.
            Some(_) => return Ok(()),
        };
        self.unless_refused(told)
    }

    fn failing(
        &mut self,
        flow: FlowId,
        name: &str,
        run: RunId,
        (kind, message): (ErrorKind, &str),
        now: Wall,
    ) -> Result<()> {
        let failures = self.store.consecutive_failures(flow)?;
        let subject = flow.0.to_string();
        if failures < self.alerts.settings.after_failures
            || self.store.condition(AlertKind::FlowFailing, &subject)?.is_some()
        {
            return Ok(());
        }
        self.store.open_condition(AlertKind::FlowFailing, &subject, Some(flow), now)?;
        let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
        self.tell(
            Told {
                kind: AlertKind::FlowFailing,
                subject: of_flow(name),
                message: format!("flow {name} failed {times}: {message}"),
                data: json!({
                    "flow": name, "run_id": run.0, "consecutive_failures": failures, "error_kind": kind.as_str(),
                    "error_message": message,
                }),
            },
            now,
        )
    }

    fn recovered(&mut self, flow: FlowId, name: &str, run: RunId, now: Wall) -> Result<()> {
        let subject = flow.0.to_string();
        let Some(since) = self.store.condition(AlertKind::FlowFailing, &subject)? else { return Ok(()) };
        self.store.close_condition(AlertKind::FlowFailing, &subject)?;
        // Over is over, though nobody is told: what was open still would keep the next failure quiet.
        if !self.alerts.are_wanted() {
            return Ok(());
        }
        self.tell(
            Told {
                kind: AlertKind::FlowRecovered,
                subject: of_flow(name),
                message: format!("flow {name} succeeded again"),
                data: json!({ "flow": name, "run_id": run.0, "failing_since": since }),
            },
            now,
        )
    }

    /// What comes with time alone: runs that take long, agents that are not heard.
    pub(in super::super) fn tell_what_time_shows(&mut self, now: Now) -> Result<()> {
        if !self.alerts.are_wanted() {
            return Ok(());
        }
        let told = self.tell_of_long_runs(now).and_then(|()| self.tell_of_agents(now));
        self.unless_refused(told)
    }

    fn tell_of_long_runs(&mut self, now: Now) -> Result<()> {
        let Some(limit) = self.alerts.settings.run_longer_than else { return Ok(()) };
        let is_long = |running: &Running| now.monotonic >= running.started_at + limit;
        let long = self.runs_not_told_of().filter(|(_, running)| is_long(running));
        let long: Vec<_> = long
            .map(|(run, running)| (run, running.flow_name.clone(), now.monotonic.since(running.started_at)))
            .collect();
        for (run, flow, time) in long {
            let told = Told {
                kind: AlertKind::RunLong,
                subject: of_flow(&flow),
                message: format!(
                    "run {} of flow {flow} takes longer than {}, and goes on",
                    run.0,
                    format_duration(limit)
                ),
                data: json!({
                    "flow": flow, "run_id": run.0, "running_for_ms": millis(time), "limit_ms": millis(limit),
                }),
            };
            self.tell(told, now.wall)?;
            self.tick.delta.alerts.long.push(run);
        }
        Ok(())
    }

    fn runs_not_told_of(&self) -> impl Iterator<Item = (RunId, &Running)> {
        let runs = self.running.iter().map(|(run, running)| (*run, running));
        runs.filter(|(run, running)| !matches!(running.stage, Stage::Gone) && !self.alerts.long.contains(run))
    }

    pub(super) fn next_long_run_at(&self) -> Option<Monotonic> {
        let limit = self.alerts.settings.run_longer_than?;
        self.runs_not_told_of().map(|(_, running)| running.started_at + limit).min()
    }

    fn tell_of_agents(&mut self, now: Now) -> Result<()> {
        for agent in self.alerts.returned.clone() {
            let since = self.store.condition(AlertKind::AgentSilent, &agent)?;
            self.close_silence(&agent)?;
            let told = Told {
                kind: AlertKind::AgentReturned,
                subject: of_agent(&agent),
                message: format!("agent {agent} is heard again"),
                data: json!({ "agent": agent, "silent_since": since }),
            };
            self.tell(told, now.wall)?;
        }
        // Nobody waits any more for those that are expected no more.
        let settings = &self.alerts.settings;
        let gone = self.alerts.silent.iter().filter(|agent| !settings.agents.contains(agent));
        for agent in gone.cloned().collect::<Vec<_>>() {
            self.close_silence(&agent)?;
        }
        let silent: Vec<String> = self
            .deadlines_of_agents()
            .filter(|(_, at)| now.monotonic >= *at)
            .map(|it| it.0.clone())
            .collect();
        for agent in silent {
            self.tell_of_silence(&agent, now)?;
        }
        Ok(())
    }

    fn close_silence(&mut self, agent: &str) -> Result<()> {
        self.ensure_transaction()?;
        self.store.close_condition(AlertKind::AgentSilent, agent)?;
        self.tick.delta.alerts.returned.push(agent.to_owned());
        Ok(())
    }

    fn tell_of_silence(&mut self, agent: &str, now: Now) -> Result<()> {
        let Some(limit) = self.alerts.settings.no_heartbeat_for else { return Ok(()) };
        let mut heard = self.store.last_heartbeats()?;
        self.agents_as_heard(&mut heard);
        let heard = heard.iter().find(|heard| heard.agent == agent).map(|heard| heard.last_heartbeat_at);
        self.ensure_transaction()?;
        self.store.open_condition(AlertKind::AgentSilent, agent, None, now.wall)?;
        let told = Told {
            kind: AlertKind::AgentSilent,
            subject: of_agent(agent),
            message: format!("agent {agent} was not heard for {}", format_duration(limit)),
            data: json!({ "agent": agent, "last_heartbeat_at": heard, "limit_ms": millis(limit) }),
        };
        self.tell(told, now.wall)?;
        self.tick.delta.alerts.silent.push(agent.to_owned());
        Ok(())
    }

    /// When each expected agent that is not silent yet is. What was heard before this daemon's start does not count: a box
    /// that is off hears nobody.
    pub(super) fn deadlines_of_agents(&self) -> impl Iterator<Item = (&String, Monotonic)> {
        let alerts = &self.alerts;
        let limit = alerts.settings.no_heartbeat_for.zip(alerts.listening_since);
        let agents = alerts.heard.iter().filter(|(agent, _)| !alerts.silent.contains(agent));
        agents.filter_map(move |(agent, heard)| {
            let (limit, start) = limit?;
            Some((agent, start.max(*heard) + limit))
        })
    }

    pub(super) fn next_silence_at(&self) -> Option<Monotonic> {
        self.deadlines_of_agents().map(|(_, at)| at).min()
    }

    /// How full the database is: told when nothing is left to delete, and when it is well below its limit again.
    pub(in super::super) fn tell_of_size(&mut self, size: Size, nothing_left: bool, now: Wall) -> Result<()> {
        let (bytes, limit) =
            (size.used_bytes.saturating_add(size.log_bytes), self.settings.history.database_bytes);
        let told = match self.alerts.is_near_limit {
            _ if !self.alerts.are_wanted() => return Ok(()),
            false if nothing_left => self.near_limit(bytes, limit, now),
            // Well below where history is cut back, so that it does not go to and fro.
            true if bytes <= limit / 10 * 7 => self.below_limit(bytes, limit, now),
            _ => return Ok(()),
        };
        self.unless_refused(told)
    }

    fn near_limit(&mut self, bytes: u64, limit: u64, now: Wall) -> Result<()> {
        self.ensure_transaction()?;
        self.store.open_condition(AlertKind::DatabaseNearLimit, DATABASE, None, now)?;
        self.tick.delta.alerts.is_near_limit = Some(true);
        let message = "the database is near its limit, with no history left to delete";
        self.tell(of_size(AlertKind::DatabaseNearLimit, message, bytes, limit), now)
    }

    fn below_limit(&mut self, bytes: u64, limit: u64, now: Wall) -> Result<()> {
        self.ensure_transaction()?;
        self.store.close_condition(AlertKind::DatabaseNearLimit, DATABASE)?;
        self.tick.delta.alerts.is_near_limit = Some(false);
        let message = "the database is well below its limit again";
        self.tell(of_size(AlertKind::DatabaseBelowLimit, message, bytes, limit), now)
    }

    /// Nothing could be written, and now something can, whatever it is: told if that took long.
    pub(in super::super) fn tell_of_storage(&mut self, now: Now) -> Result<()> {
        let Some((since, since_wall)) = self.alerts.failing_since else { return Ok(()) };
        let time = now.monotonic.since(since);
        let failure = self.tick.last_failure.as_ref().map(ToString::to_string);
        let Some(why) = failure.filter(|_| self.alerts.are_wanted() && time >= limits::ALERT_STORAGE_AFTER)
        else {
            return Ok(());
        };
        self.tick.delta.alerts.storage_was_told = true;
        let told = Told {
            kind: AlertKind::StorageRecovered,
            subject: STORAGE.to_owned(),
            message: format!("nothing could be recorded for {}: {why}", format_duration(whole_seconds(time))),
            data: json!({ "failing_since": since_wall, "lasted_ms": millis(time), "error_message": why }),
        };
        let told = self.tell(told, now.wall);
        self.unless_refused(told)
    }

    /// Records it, and lets the oldest go where there are too many.
    fn tell(&mut self, told: Told, now: Wall) -> Result<()> {
        let Told { kind, subject, message, mut data } = told;
        let box_ = json!({ "id": self.database_id, "host": self.alerts.settings.host });
        data["message"] = printable(&message, limits::ERROR_MESSAGE_BYTES_MAX).into();
        data["box"] = box_;
        self.ensure_transaction()?;
        self.store.add_alert(kind, &subject, &data.to_string(), now)?;
        let delta = &mut self.tick.delta.alerts;
        delta.created.push(kind);
        let queued = self.alerts.counts.queued + delta.created.len() as u64;
        if queued > limits::ALERTS_MAX as u64 + delta.dropped as u64 {
            delta.dropped += self.store.trim_alerts(limits::ALERTS_MAX)?;
        }
        Ok(())
    }

    /// A constraint that refuses an alert is a mistake in this program, and no reason to drop the round.
    fn unless_refused(&mut self, told: Result<(), StoreError>) -> Result<()> {
        match told {
            Err(error) if error.cause == Cause::Constraint => {
                log::error!("an alert is not told: {error}; help: {}", error.help());
                Ok(())
            }
            told => told,
        }
    }
}

fn of_flow(name: &str) -> String {
    format!("flow {name}")
}

fn of_agent(name: &str) -> String {
    format!("agent {name}")
}

fn of_size(kind: AlertKind, message: &str, bytes: u64, limit: u64) -> Told {
    let size = |bytes: u64| format_size(usize::try_from(bytes).unwrap_or(usize::MAX));
    Told {
        kind,
        subject: DATABASE.to_owned(),
        message: format!("{message}: {} of {}", size(bytes), size(limit)),
        data: json!({ "database_bytes": bytes, "limit_bytes": limit }),
    }
}

fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// On one line, without anything that a terminal would obey, and so many characters of it at most.
pub(super) fn printable(text: &str, characters_max: usize) -> String {
    let plain = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().take(characters_max).map(plain).collect()
}
