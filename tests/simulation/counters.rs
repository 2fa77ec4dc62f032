//! What is counted: by the runtime since its start, by the table of days for good, and by us from the record itself.

use std::collections::BTreeMap;

use heartbeat_runtime::flow::{ErrorKind, Status};
use heartbeat_runtime::runtime::{INTERNAL_AGENT, Outcome};
use heartbeat_runtime::store::FlowId;
use serde_json::Value;

use super::invariants::{Book, Run};
use super::waking::beats;
use super::world::World;

/// What one life of the daemon has put on record.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// Heartbeats that started runs, by agent.
    pub(crate) heartbeats: BTreeMap<String, u64>,
    /// Flows triggered, skipped and deferred by them.
    pub(crate) found: [u64; 3],
    pub(crate) misfires: u64,
    /// Runs that were claimed and went with their flow in one round.
    pub(crate) claims_unseen: u64,
    /// Ends of runs by flow and kind of error.
    ends: BTreeMap<(i64, Option<&'static str>), u64>,
    /// Runs whose end nobody saw: they were deleted in the round in which they ended.
    unseen: u64,
}

/// What the runs of a flow came to since it was made.
#[derive(Debug, Default)]
pub(crate) struct Days {
    counts: [i64; 3],
    unseen: i64,
    /// Milliseconds that those took: all together, and the longest.
    durations_ms: [i64; 2],
    failures_in_a_row: i64,
    last_run_at: Option<i64>,
    last_status: Option<&'static str>,
}

/// What callers were told that found nothing: flows skipped and deferred.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    skipped: u64,
    deferred: u64,
}

impl Idle {
    /// Somebody gets 200.
    pub(crate) fn answered(&mut self, body: &[u8]) {
        let answer: Value = serde_json::from_slice(body).expect("an answer is JSON");
        if answer["flows_triggered"] == 0 && answer["duplicate"] == false {
            self.skipped += answer["flows_skipped"].as_u64().expect("a count");
            self.deferred += answer["flows_deferred"].as_u64().expect("a count");
        }
    }
}

impl Book {
    /// A run has ended, or is found to have.
    pub(crate) fn count_end(&mut self, id: i64) {
        let run = self.runs[&id].clone();
        let is_last = !self.is_tried_again(id, &run);
        let kind = run.error_kind.as_deref().and_then(ErrorKind::from_word);
        *self.life.ends.entry((run.flow_id, kind.map(ErrorKind::as_str))).or_default() += 1;
        let days = self.days.entry(run.flow_id).or_default();
        let fails = kind.is_some_and(ErrorKind::counts_as_failure);
        match kind {
            None => days.counts[0] += 1,
            Some(_) if fails => days.counts[1] += 1,
            Some(ErrorKind::Interrupted) => days.counts[2] += 1,
            Some(_) => {}
        }
        if kind.is_none_or(|kind| fails || kind == ErrorKind::Interrupted) {
            let took = run.duration_ms.unwrap_or(0);
            let [sum, longest] = days.durations_ms;
            days.durations_ms = [sum + took, longest.max(took)];
        }
        if is_last {
            days.last_run_at = run.started_at.or(days.last_run_at);
            days.last_status = Some(run.status.as_str());
            days.failures_in_a_row =
                if kind.is_none() { 0 } else { days.failures_in_a_row + i64::from(fails) };
        }
        self.judged_by_flow.insert(run.flow_id);
    }

    /// A run was open, and now it is gone.
    pub(crate) fn count_unseen(&mut self, run: &Run) {
        self.life.unseen += 1;
        self.days.entry(run.flow_id).or_default().unseen += 1;
    }

    /// The table of days has every run that has ended, once; and a flow's failures in a row are those of its runs.
    pub(crate) fn judge_days(&mut self) {
        for flow in std::mem::take(&mut self.judged_by_flow) {
            let sql =
                "SELECT sum(success), sum(failed), sum(interrupted), sum(duration_ms_sum), max(duration_ms_max)
                 FROM flow_days WHERE data_flow_id = ?1";
            let mut statement = self.reader.prepare_cached(sql).expect("readable");
            let read = |row: &rusqlite::Row<'_>| {
                let count =
                    |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.unwrap_or(0));
                Ok(([count(0)?, count(1)?, count(2)?], [count(3)?, count(4)?]))
            };
            let (on_record, durations_ms) = statement.query_row([flow], read).expect("readable");
            if !self.flows.values().any(|grid| grid.id == flow) {
                continue;
            }
            let Days { counts, unseen, durations_ms: took_ms, .. } = &self.days[&flow];
            let is_known = *unseen == 0 && self.clock_is_steady;
            assert!(!is_known || durations_ms == *took_ms, "flow {flow}: {durations_ms:?} for {took_ms:?}");
            for (told, seen) in on_record.into_iter().zip(*counts) {
                // A clock that jumps a year and a half ahead takes days with it.
                let is_short = told < seen && self.clock_is_steady;
                let is_long = told > seen + unseen;
                assert!(!is_short && !is_long, "days of flow {flow}: {on_record:?} for {counts:?}, {unseen}");
            }
            self.judge_failures_in_a_row(flow);
        }
    }

    fn judge_failures_in_a_row(&self, flow: i64) {
        let sql = "SELECT consecutive_failures, last_run_status, last_run_at FROM data_flows WHERE id = ?1";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let told: (i64, Option<String>, Option<i64>) = statement.query_row([flow], read).expect("readable");
        let Days { failures_in_a_row, last_status, last_run_at, unseen, .. } = &self.days[&flow];
        let known = (*failures_in_a_row, last_status.map(str::to_owned), *last_run_at);
        assert!(*unseen > 0 || told == known, "failures in a row of flow {flow}: {told:?} for {known:?}");
    }

    /// What is tried again has not ended, as far as its flow is concerned.
    fn is_tried_again(&self, id: i64, run: &Run) -> bool {
        let mut later = self.runs.range(id + 1..).map(|(_, later)| later);
        later.find(|later| later.flow_id == run.flow_id).is_some_and(|next| next.is_next_attempt_of(run))
    }
}

impl World {
    /// The runtime's own counts are those of the record, and each due flow that was found is accounted for.
    pub(crate) fn judge_tally(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        let tally = runtime.tally();
        let life = &self.book.as_ref().expect("the daemon was started").life;
        assert!(self.own_beats.keeps_on(beats(runtime), &self.settings, self.elapsed), "its own heart stops");
        let mut started = 0;
        for (agent, passed) in &self.heartbeats_passed {
            let told = Outcome::ALL.map(|outcome| tally.heartbeats(agent, outcome));
            assert_eq!(told.iter().sum::<u64>(), *passed, "heartbeats of {agent}: {told:?}");
            let on_record = life.heartbeats.get(agent).copied().unwrap_or(0);
            assert_eq!(told[0], on_record, "heartbeats of {agent} that started runs: {told:?}");
            started += on_record;
        }
        started += tally.heartbeats(INTERNAL_AGENT, Outcome::Started);
        assert_eq!(started, life.heartbeats.values().sum::<u64>(), "each heartbeat is somebody's");
        let [triggered, skipped, deferred] = life.found;
        let found = tally.flows_found;
        assert_eq!(found.triggered, triggered, "flows triggered");
        let told = (found.skipped, found.deferred);
        let known = (skipped + self.tallied.skipped, deferred + self.tallied.deferred);
        let beats = self.settings.internal_heartbeat.is_some() || self.has_beaten;
        let fits = if beats { told.0 >= known.0 && told.1 >= known.1 } else { told == known };
        assert!(fits, "flows skipped and deferred: {told:?} for {known:?}");
        let fits =
            tally.misfires == life.misfires || (life.claims_unseen > 0 && tally.misfires > life.misfires);
        assert!(fits, "run times that passed unused: {} for {}", tally.misfires, life.misfires);
        let mut missing = life.unseen;
        for ((flow, kind), seen) in &life.ends {
            let told =
                tally.flow(FlowId(*flow)).map_or(0, |flow| flow.ends(kind.and_then(ErrorKind::from_word)));
            assert!(
                told >= *seen && told - seen <= missing,
                "ends of flow {flow}, {kind:?}: {told} for {seen}"
            );
            missing -= told - seen;
        }
    }

    /// What waits in memory is what is open on record: nothing is forgotten, and nothing is made up.
    pub(crate) fn judge_what_is_in_hand(&mut self) {
        let Some(runtime) = &self.runtime else { return };
        let in_hand = runtime.in_hand();
        let book = self.book.as_ref().expect("the daemon was started");
        let on_record = |status| book.open().filter(|(_, run)| run.status == status).count();
        assert_eq!(
            in_hand.pending + in_hand.waiting,
            on_record(Status::Pending),
            "runs that wait: {in_hand:?}"
        );
        assert_eq!(in_hand.in_progress, on_record(Status::InProgress), "runs in progress: {in_hand:?}");
        let ended = |run: &i64| book.runs.get(run).is_some_and(|run| !run.status.is_open());
        let left = self.processes.iter().filter(|(run, process)| process.orphan && ended(run)).count();
        assert!(in_hand.leftovers >= left, "flows are locked while something of them lives: {in_hand:?}");
    }
}
