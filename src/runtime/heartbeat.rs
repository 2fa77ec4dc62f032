//! A verified heartbeat: known already, nothing due, or a claim.

use std::time::Duration;

use super::answer::{Answer, Idle, Refusal, append_idle};
use super::lines::Line;
use super::{ConnectionId, Outcome, Runtime};
use crate::auth::{ReplayKey, Verified};
use crate::flow::{Occurrence, Timetable};
use crate::limits;
use crate::store::{Claim, DueCounts, DueFlow, Heartbeat, LastHeartbeat, NewRun, Result, RunId, Store};
use crate::time::{Now, Wall};

/// When an agent was last heard, and what of it is on record.
#[derive(Debug)]
pub(super) struct AgentSeen {
    name: String,
    last_at: Wall,
    noted_at: Option<Wall>,
}

/// Who asks, and how the answer is wanted.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) connection: ConnectionId,
    pub(super) heartbeat_id: Option<&'a str>,
    pub(super) wait: Option<Duration>,
}

/// What a look at the flows came to.
pub(super) enum Found {
    /// Runs were recorded.
    Claimed(Heartbeat),
    /// Nothing could be claimed.
    Nothing(DueCounts),
}

impl Found {
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Claimed(_) => Outcome::Started,
            Self::Nothing(_) => Outcome::Idle,
        }
    }
}

impl Runtime {
    pub(super) fn heartbeat(
        &mut self,
        connection: ConnectionId,
        verified: &Verified<'_>,
        wait: Option<Duration>,
        now: Now,
    ) {
        if self.phase.is_stopping() {
            self.count_heartbeat(verified.agent(), Outcome::Refused);
            return self.answer(connection, Answer::Refused(Refusal::ShuttingDown));
        }
        if self.round_is_lost() {
            self.count_heartbeat(verified.agent(), Outcome::Refused);
            // Told why at the end of the round.
            return self.answer(connection, Answer::Refused(Refusal::Internal));
        }
        let caller = Caller { connection, heartbeat_id: verified.id(), wait };
        let outcome = self.serve_heartbeat(caller, verified, now).unwrap_or_else(|error| {
            self.event_failed(connection, error);
            Outcome::Refused
        });
        self.count_heartbeat(verified.agent(), outcome);
        self.hear(verified.agent(), now);
    }

    fn serve_heartbeat(&mut self, caller: Caller<'_>, verified: &Verified<'_>, now: Now) -> Result<Outcome> {
        let key = verified.id().map(|id| self.idle_ids.key(verified.agent(), id));
        if let (Some(key), Some(id)) = (key, verified.id()) {
            if let Some(idle) = self.idle_ids.get(key).or_else(|| self.idle_in_this_round(key)) {
                self.answer_idle(caller, &idle, true);
                return Ok(Outcome::Duplicate);
            }
            if self.known_ids.may_contain(key)
                && let Some(heartbeat) = self.store.heartbeat(verified.agent(), id)?
            {
                self.note_signed_anew(&heartbeat, verified, id, now)?;
                return self.answer_claim(caller, &heartbeat, true, now).map(|()| Outcome::Duplicate);
            }
        }
        if self.may_be_pruned(verified.agent(), verified.signed_at()) {
            self.answer(caller.connection, Answer::Refused(Refusal::Pruned));
            return Ok(Outcome::Refused);
        }
        let claim = Claim { agent: verified.agent(), heartbeat_id: verified.id() };
        let may_start = verified.scope().flows.as_deref();
        let counts = match self.claim_due(claim, may_start, verified.signed_at(), now)? {
            Found::Claimed(heartbeat) => {
                return self.answer_claim(caller, &heartbeat, false, now).map(|()| Outcome::Started);
            }
            Found::Nothing(counts) => counts,
        };
        let idle = Idle {
            received_at: now.wall,
            flows_due: counts.due,
            flows_skipped: counts.open,
            flows_deferred: counts.shut,
        };
        self.tick.delta.idle_ids.extend(key.map(|key| (key, idle)));
        self.answer_idle(caller, &idle, false);
        Ok(Outcome::Idle)
    }

    /// A copy with a later signed time is a replay for longer than the first was: the agent's floor has to cover it, once the
    /// id is forgotten.
    fn note_signed_anew(
        &mut self,
        known: &Heartbeat,
        verified: &Verified<'_>,
        id: &str,
        now: Now,
    ) -> Result<()> {
        let (agent, signed_at) = (verified.agent(), verified.signed_at());
        if signed_at <= known.signed_at {
            return Ok(());
        }
        self.ensure_transaction()?;
        self.store.in_savepoint(|store| {
            store.note_signed_anew(agent, id, signed_at)?;
            store.note_agent(agent, now.wall, signed_at)
        })?;
        self.tick.delta.signed_at = self.tick.delta.signed_at.max(signed_at);
        Ok(())
    }

    /// The same heartbeat may come several times in one round.
    fn idle_in_this_round(&self, key: ReplayKey) -> Option<Idle> {
        self.tick.delta.idle_ids.iter().find(|(other, _)| *other == key).map(|(_, idle)| *idle)
    }

    /// Claims what is due, if there is anything that can be claimed; where `may_start` names flows, only of those.
    pub(super) fn claim_due(
        &mut self,
        claim: Claim<'_>,
        may_start: Option<&[String]>,
        signed_at: Option<Wall>,
        now: Now,
    ) -> Result<Found> {
        if !self.may_be_due(now.wall)? {
            return Ok(Found::Nothing(DueCounts::default()));
        }
        let shut = self.shut_windows(now.wall);
        let count = |store: &Store| match may_start {
            Some(flows) => store.count_due_among(flows, now.wall, &shut),
            None => store.count_due(now.wall, &shut),
        };
        let version = self.store.version()?;
        let mut counts = count(&self.store)?;
        if counts.claimable() > 0 {
            self.ensure_transaction()?;
            // From here on nobody else can write. What somebody wrote since is counted again: it is what is claimed.
            if self.store.version()? != version {
                counts = count(&self.store)?;
            }
        }
        if counts.claimable() == 0 {
            self.tick.delta.counted.found_nothing(counts);
            return Ok(Found::Nothing(counts));
        }
        let at_most = self.settings.max_claims_per_heartbeat;
        let flows = match may_start {
            Some(flows) => self.store.claimable_among(flows, now.wall, &shut, at_most)?,
            None => self.store.claimable(now.wall, &shut, at_most)?,
        };
        let (runs, jumped_back): (Vec<NewRun>, Vec<Option<Line>>) =
            flows.into_iter().map(|flow| self.due_run(flow, now.wall)).unzip();
        let heartbeat = self.claim(claim, signed_at, &runs, counts, now)?;
        self.tick.delta.lines.extend(jumped_back.into_iter().flatten());
        Ok(Found::Claimed(heartbeat))
    }

    /// What a run of this flow stands for, and when the next one is due; what is to be told where its clock jumped back.
    fn due_run(&self, flow: DueFlow, now: Wall) -> (NewRun, Option<Line>) {
        let timetable = Timetable::new(
            (&flow.name, flow.run_interval_s),
            flow.schedule,
            &flow.calendar,
            &self.database_id,
            &self.zones,
        );
        let Occurrence { scheduled_at, misfires, next_run_at, clock_jumped_back } =
            timetable.occurrence(flow.next_run_at, now);
        let slack_ms = timetable.slack_ms(next_run_at, now);
        let jumped_back = clock_jumped_back
            .then_some(Line::ClockJumpedBack { flow: flow.name, next_run_at: flow.next_run_at });
        (NewRun { flow: flow.id, scheduled_at, misfires, next_run_at, slack_ms }, jumped_back)
    }

    /// Records the heartbeat and a run for each flow that it claims, whole or not at all.
    fn claim(
        &mut self,
        claim: Claim<'_>,
        signed_at: Option<Wall>,
        runs: &[NewRun],
        counts: DueCounts,
        now: Now,
    ) -> Result<Heartbeat> {
        let heartbeat = self.store.in_savepoint(|store| {
            let first_run = store.record_runs(claim, runs, now.wall)?;
            let triggered = runs.len() as u64;
            let heartbeat = Heartbeat {
                received_at: now.wall,
                flows_due: counts.due,
                flows_triggered: triggered,
                flows_skipped: counts.open,
                flows_deferred: counts.due - counts.open - triggered,
                first_run,
                signed_at,
            };
            store.record_heartbeat(claim.agent, claim.heartbeat_id, &heartbeat)?;
            store.note_agent(claim.agent, now.wall, signed_at)?;
            Ok(heartbeat)
        })?;
        if let Some(id) = claim.heartbeat_id {
            // Before the commit, though the round may yet be dropped: a bit too many costs a question, no more.
            self.known_ids.insert(self.idle_ids.key(claim.agent, id));
        }
        let delta = &mut self.tick.delta;
        delta.counted.claimed(&heartbeat);
        delta.counted.misfires += runs.iter().map(|run| run.misfires).sum::<u64>();
        delta.signed_at = delta.signed_at.max(signed_at);
        delta.claimed.extend((heartbeat.first_run.0..).map(RunId).zip(runs.iter().map(|run| run.flow)));
        delta.lines.push(Line::Claimed {
            agent: claim.agent.to_owned(),
            heartbeat_id: claim.heartbeat_id.map(str::to_owned),
            heartbeat,
        });
        Ok(heartbeat)
    }

    pub(super) fn answer(&mut self, connection: ConnectionId, answer: Answer) {
        self.tick.delta.answers.push((connection, answer));
    }

    fn answer_idle(&mut self, caller: Caller<'_>, idle: &Idle, duplicate: bool) {
        let mut body = self.spare.body();
        append_idle(&mut body, idle, caller.heartbeat_id, duplicate);
        // Nothing to wait for is a wait that is over.
        let waited_s = caller.wait.map(|wait| wait.min(self.settings.wait_max).as_secs());
        self.answer(caller.connection, Answer::Heartbeat { body, waited_s });
    }

    /// Who was heard last since the start, and when.
    pub(super) fn last_heard(&self) -> Option<(&str, Wall)> {
        self.heard().max_by_key(|(_, at)| at.as_millis())
    }

    /// Each agent that was heard since the start, and when last.
    pub fn heard(&self) -> impl Iterator<Item = (&str, Wall)> {
        self.agents.iter().map(|seen| (seen.name.as_str(), seen.last_at))
    }

    fn hear(&mut self, agent: &str, now: Now) {
        self.alerts.heard(agent, now.monotonic);
        let now = now.wall;
        match self.agents.iter_mut().find(|seen| seen.name == agent) {
            Some(seen) => seen.last_at = now,
            None => self.agents.push(AgentSeen { name: agent.to_owned(), last_at: now, noted_at: None }),
        }
    }

    /// Writes agents' last heartbeats with whatever the round writes, or alone once an hour.
    pub(super) fn note_agents(&mut self) -> Result<()> {
        let every_ms = crate::time::millis(limits::LAST_HEARTBEAT_WRITE_EVERY);
        let overdue = |seen: &AgentSeen| {
            seen.noted_at.is_none_or(|noted| (seen.last_at.as_millis() - noted.as_millis()).abs() >= every_ms)
        };
        if !self.store.has_transaction() && !self.agents.iter().any(overdue) {
            return Ok(());
        }
        self.ensure_transaction()?;
        for seen in self.agents.iter().filter(|seen| seen.noted_at != Some(seen.last_at)) {
            self.store.note_agent(&seen.name, seen.last_at, None)?;
        }
        self.tick.delta.agents_noted = true;
        Ok(())
    }

    /// What is on record of agents, with what was heard since.
    pub(super) fn agents_as_heard(&self, on_record: &mut Vec<LastHeartbeat>) {
        for seen in &self.agents {
            match on_record.iter_mut().find(|known| known.agent == seen.name) {
                Some(known) => known.last_heartbeat_at = seen.last_at,
                None => on_record
                    .push(LastHeartbeat { agent: seen.name.clone(), last_heartbeat_at: seen.last_at }),
            }
        }
    }

    pub(super) fn agents_are_noted(&mut self) {
        for seen in &mut self.agents {
            seen.noted_at = Some(seen.last_at);
        }
    }
}
