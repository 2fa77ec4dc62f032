//! What is counted of heartbeats and runs since the start, and the state of things in memory: for those who look on.
//!
//! A round's counts stand in its delta and are added after the commit. What a dropped round would have counted did not
//! happen: its heartbeats were refused, and its ends come again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::{Bounds, Histogram};
use super::{HistorySettings, Runtime};
use crate::flow::{Counters, ErrorKind};
use crate::limits;
use crate::store::{Cause, DueCounts, FlowId, Heartbeat, LastHeartbeat, RunId};
use crate::time::Wall;

/// What became of a verified heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It started runs.
    Started,
    /// Nothing was to be started.
    Idle,
    /// It was known already.
    Duplicate,
    /// It could not be recorded, or came when the daemon was ending.
    Refused,
}

impl Outcome {
    /// Every one, in the order of the declaration: counts are indexed by it (`outcome as usize`).
    pub const ALL: [Self; 4] = [Self::Started, Self::Idle, Self::Duplicate, Self::Refused];

    /// The word in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Idle => "idle",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }
}

/// Due flows that heartbeats found, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowsFound {
    /// A run was recorded.
    pub triggered: u64,
    /// A run of theirs was open.
    pub skipped: u64,
    /// Left due.
    pub deferred: u64,
}

/// What the runs of a flow came to.
#[derive(Clone, Debug, Default)]
pub struct FlowTally {
    /// Successes, and then failures in the order of [`ErrorKind::ALL`].
    ends: [u64; 1 + ErrorKind::ALL.len()],
    /// What they moved.
    pub records: Counters,
    /// When a run last moved the cursor, for good.
    pub cursor_moved_at: Option<Wall>,
    /// What the source held beyond the cursor when the last run ended, in bytes; none: that could not be told.
    pub unread_bytes: Option<u64>,
}

impl FlowTally {
    /// How many runs ended so; none is success.
    pub const fn ends(&self, error: Option<ErrorKind>) -> u64 {
        match error {
            None => self.ends[0],
            Some(kind) => self.ends[1 + kind as usize],
        }
    }

    fn add(&mut self, other: &Self) {
        self.ends.iter_mut().zip(other.ends).for_each(|(count, more)| *count += more);
        self.records = self.records.plus(other.records);
    }
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct RunEnd {
    pub(super) flow: FlowId,
    pub(super) error: Option<ErrorKind>,
    /// None: it was never started, or nobody saw its end.
    pub(super) took: Option<Duration>,
    pub(super) records: Counters,
    /// Beyond the cursor of a pipeline's source, where that can be told.
    pub(super) unread_bytes: Option<u64>,
}

impl RunEnd {
    /// Of a run whose duration is not known, or that was never started.
    pub(super) fn unstarted(flow: FlowId, error: ErrorKind) -> Self {
        Self { flow, error: Some(error), took: None, records: Counters::default(), unread_bytes: None }
    }
}

/// What a round would count.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// By the agent's place in the tally.
    pub(super) heartbeats: Vec<(usize, Outcome)>,
    pub(super) flows: FlowsFound,
    pub(super) misfires: u64,
    pub(super) ends: Vec<RunEnd>,
}

impl Counted {
    pub(super) fn found_nothing(&mut self, counts: DueCounts) {
        self.flows.skipped += counts.open;
        self.flows.deferred += counts.shut;
    }

    pub(super) fn claimed(&mut self, heartbeat: &Heartbeat) {
        self.flows.triggered += heartbeat.flows_triggered;
        self.flows.skipped += heartbeat.flows_skipped;
        self.flows.deferred += heartbeat.flows_deferred;
    }
}

/// Counts since the start of the process, of what was committed.
#[derive(Debug)]
pub struct Tally {
    /// Few: they are configured, and most often there is one.
    agents: Vec<(Box<str>, [u64; Outcome::ALL.len()])>,
    flows: BTreeMap<FlowId, FlowTally>,
    others: FlowTally,
    /// How long runs took that were started.
    pub durations: Histogram,
    /// See [`FlowsFound`].
    pub flows_found: FlowsFound,
    /// Run times that passed unused and are made up for by one run.
    pub misfires: u64,
    /// Rounds that were committed.
    pub commits: u64,
    /// Rounds that had something to write and could not.
    pub dropped_rounds: u64,
}

const STEPS: Bounds = &[
    ("0.1", 100_000),
    ("1", 1_000_000),
    ("5", 5_000_000),
    ("15", 15_000_000),
    ("60", 60_000_000),
    ("300", 300_000_000),
    ("1800", 1_800_000_000),
    ("7200", 7_200_000_000),
];

impl Default for Tally {
    fn default() -> Self {
        Self {
            agents: Vec::new(),
            flows: BTreeMap::new(),
            others: FlowTally::default(),
            durations: Histogram::new(STEPS),
            flows_found: FlowsFound::default(),
            misfires: 0,
            commits: 0,
            dropped_rounds: 0,
        }
    }
}

impl Tally {
    fn place_of(&mut self, agent: &str) -> usize {
        let known = self.agents.iter().position(|(name, _)| **name == *agent);
        known.unwrap_or_else(|| {
            self.agents.push((agent.into(), [0; Outcome::ALL.len()]));
            self.agents.len() - 1
        })
    }

    fn heard(&mut self, place: usize, outcome: Outcome) {
        if let Some((_, counts)) = self.agents.get_mut(place) {
            counts[outcome as usize] += 1;
        }
    }

    pub(super) fn committed(&mut self, counted: &Counted) {
        let Counted { heartbeats, flows, misfires, ends } = counted;
        for (place, outcome) in heartbeats {
            self.heard(*place, *outcome);
        }
        self.flows_found.triggered += flows.triggered;
        self.flows_found.skipped += flows.skipped;
        self.flows_found.deferred += flows.deferred;
        self.misfires += misfires;
        for end in ends {
            if let Some(took) = end.took {
                self.durations.observe(took);
            }
            let mut more = FlowTally { records: end.records, ..FlowTally::default() };
            more.ends[end.error.map_or(0, |kind| 1 + kind as usize)] = 1;
            let flow = self.of_flow(end.flow);
            flow.add(&more);
            if end.took.is_some() {
                flow.unread_bytes = end.unread_bytes;
            }
        }
    }

    /// Its own, as long as there is room: flows come and go, and the room is made when somebody looks.
    fn of_flow(&mut self, flow: FlowId) -> &mut FlowTally {
        if self.flows.len() >= limits::METRICS_FLOWS_MAX && !self.flows.contains_key(&flow) {
            return &mut self.others;
        }
        self.flows.entry(flow).or_default()
    }

    /// A run has moved its flow's cursor.
    pub(super) fn cursor_moved(&mut self, flow: FlowId, at: Wall) {
        self.of_flow(flow).cursor_moved_at = Some(at);
    }

    pub(super) fn dropped(&mut self, counted: &Counted) {
        self.dropped_rounds += 1;
        for (place, _) in &counted.heartbeats {
            self.heard(*place, Outcome::Refused);
        }
    }

    /// How many heartbeats of an agent came to this.
    pub fn heartbeats(&self, agent: &str, outcome: Outcome) -> u64 {
        let of_agent = self.agents.iter().find(|(name, _)| **name == *agent);
        of_agent.map_or(0, |(_, counts)| counts[outcome as usize])
    }

    /// What the runs of a flow came to; none: it had none that is counted as its own.
    pub fn flow(&self, flow: FlowId) -> Option<&FlowTally> {
        self.flows.get(&flow)
    }

    /// What all other flows' runs came to, and those of flows that are gone.
    pub const fn others(&self) -> &FlowTally {
        &self.others
    }

    /// From now on only these flows have counts of their own; what the others have is added up, so that nothing that was
    /// counted is lost.
    pub fn keep_apart(&mut self, is_kept: impl Fn(FlowId) -> bool) {
        let Self { flows, others, .. } = self;
        for (_, gone) in flows.extract_if(.., |flow, _| !is_kept(*flow)) {
            others.add(&gone);
        }
    }
}

/// What is open, as it stands in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InHand {
    /// Runs in progress.
    pub in_progress: usize,
    /// Runs that wait for a slot.
    pub pending: usize,
    /// Attempts that wait for the end of their backoff.
    pub waiting: usize,
    /// Runs whose flow waits until what they left behind is gone.
    pub leftovers: usize,
    /// Runs in progress that are allowed at once.
    pub slots: usize,
}

impl Runtime {
    /// What is counted of heartbeats and runs.
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The same, to be cut back by whoever shows it.
    pub const fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Goes on counting where the runtime before has stopped, which stood in for this one.
    pub fn take_over_tally(&mut self, before: &mut Self) {
        self.tally = std::mem::take(&mut before.tally);
    }

    /// What is open.
    pub fn in_hand(&self) -> InHand {
        InHand {
            in_progress: self.running.len(),
            pending: self.pending.len(),
            waiting: self.waiting.len(),
            leftovers: self.locked.len(),
            slots: self.settings.max_concurrent_runs,
        }
    }

    /// When each agent was last heard, be it on record or not.
    pub fn last_heartbeats(&self) -> Vec<LastHeartbeat> {
        // What cannot be read is told by what else is missing.
        let mut heard = self.store.last_heartbeats().unwrap_or_default();
        self.agents_as_heard(&mut heard);
        heard
    }

    /// The most that the database may take, in bytes.
    pub const fn database_bytes_max(&self) -> u64 {
        self.settings.history.database_bytes
    }

    /// How much history is kept.
    pub const fn history(&self) -> HistorySettings {
        self.settings.history
    }

    /// How often the runtime beats by itself, if it does.
    pub const fn internal_heartbeat(&self) -> Option<Duration> {
        self.settings.internal_heartbeat
    }

    /// Whether the runtime beats by itself.
    pub const fn beats_by_itself(&self) -> bool {
        self.settings.internal_heartbeat.is_some()
    }

    /// Whether the store refuses what is to be written.
    pub const fn is_degraded(&self) -> bool {
        self.tick.last_failure.is_some()
    }

    /// Why the store refuses what is to be written, if it does.
    pub fn failure(&self) -> Option<Cause> {
        self.tick.last_failure.as_ref().map(|error| error.cause)
    }

    /// Counts a heartbeat with the round's commit.
    pub(super) fn count_heartbeat(&mut self, agent: &str, outcome: Outcome) {
        let place = self.tally.place_of(agent);
        self.tick.delta.counted.heartbeats.push((place, outcome));
    }

    /// Counts runs that were pending and are cancelled; called before they leave the places where they wait.
    pub(super) fn count_cancelled(&mut self, runs: &[RunId]) {
        let ends = self.ends_of_cancelled(runs);
        self.tick.delta.counted.ends.extend(ends);
    }

    pub(super) fn ends_of_cancelled(&self, runs: &[RunId]) -> Vec<RunEnd> {
        let flow_of = |run: &RunId| {
            let claimed = &self.tick.delta.claimed;
            let new = claimed.iter().find(|(claimed, _)| claimed == run).map(|(_, flow)| *flow);
            let known = || self.pending.get(run).copied();
            let waits = || self.waiting.get(run).map(|(flow, _)| *flow);
            new.or_else(known).or_else(waits)
        };
        let flows = runs.iter().filter_map(flow_of);
        flows.map(|flow| RunEnd::unstarted(flow, ErrorKind::Cancelled)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(flow: i64, error: Option<ErrorKind>) -> Counted {
        let records = Counters { read: 2, written: 2, ..Counters::default() };
        let took = Some(Duration::from_secs(2));
        let end = RunEnd { flow: FlowId(flow), error, took, records, unread_bytes: None };
        Counted { ends: vec![end], ..Counted::default() }
    }

    #[test]
    fn beyond_the_bound_flows_are_counted_together_and_none_is_lost() {
        let mut tally = Tally::default();
        let most = i64::try_from(limits::METRICS_FLOWS_MAX).unwrap();
        for flow in 1..=most + 3 {
            tally.committed(&end(flow, None));
            tally.committed(&end(flow, Some(ErrorKind::Interrupted)));
        }
        assert_eq!(tally.flow(FlowId(most)).map(|flow| flow.ends(None)), Some(1));
        assert!(tally.flow(FlowId(most + 1)).is_none());
        assert_eq!((tally.others().ends(None), tally.others().records.read), (3, 12));
        tally.keep_apart(|flow| flow.0 > 1);
        tally.committed(&end(most + 1, None));
        assert!(tally.flow(FlowId(1)).is_none() && tally.flow(FlowId(most + 1)).is_some());
        assert_eq!(tally.others().ends(Some(ErrorKind::Interrupted)), 4);
        assert_eq!(tally.durations.count(), u64::try_from(2 * most + 7).unwrap());
    }

    #[test]
    fn the_heartbeats_of_a_dropped_round_were_refused_and_its_ends_were_none() {
        let mut tally = Tally::default();
        let place = tally.place_of("default");
        let counted = Counted { heartbeats: vec![(place, Outcome::Started)], ..end(1, None) };
        tally.dropped(&counted);
        assert_eq!(tally.heartbeats("default", Outcome::Refused), 1);
        assert_eq!(tally.heartbeats("default", Outcome::Started), 0);
        assert!(tally.flow(FlowId(1)).is_none());
        assert_eq!(tally.heartbeats("nobody", Outcome::Refused), 0);
    }

    #[test]
    fn counts_are_indexed_in_the_order_of_the_words() {
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
        assert!(ErrorKind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }
}
