//! Why runs ended, and whether what follows them is what their definition says: another attempt, the same once more, or
//! nothing.

use heartbeat_runtime::flow::{Configuration, ErrorKind, Pipeline, Status};

use super::invariants::{Book, Run};
use super::world::World;

/// How often an interrupted run is run again, as the guide says.
const RERUNS_MAX: i64 = 3;

/// What must follow a run.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Another attempt, after so many milliseconds at least and at most.
    Attempt(i64, i64),
    /// The same attempt; whether it counts as one of the few repetitions.
    Again {
        counts: bool,
    },
}

impl World {
    /// Judges the runs that ended since the last time; `across_lives`, if the daemon has ended meanwhile.
    pub(crate) fn judge_reasons(&mut self, across_lives: bool) {
        for id in std::mem::take(&mut self.book().ended_now) {
            // It may be gone with its flow.
            let Some(run) = self.book().runs.get(&id).cloned() else { continue };
            let configuration = self.book().configuration_of(id);
            let kind = run.error_kind.as_deref().and_then(ErrorKind::from_word);
            let is_pipeline = configuration.kind == Pipeline::KIND;
            match kind {
                Some(ErrorKind::Interrupted) => {
                    assert!(across_lives || self.stopping, "run {id} is interrupted by nothing: {run:?}");
                }
                Some(ErrorKind::Timeout) => {
                    let took = run.duration_ms.and_then(|ms| u64::try_from(ms).ok());
                    let is_late = took.is_some_and(|took| took >= configuration.timeout_ms);
                    assert!(is_late, "run {id} is ended before its time is up: {run:?}");
                }
                Some(ErrorKind::Cancelled) if run.started_at.is_some() && !is_pipeline && !across_lives => {
                    assert!(self.operators.is_cancelled(id), "run {id} is cancelled by nobody: {run:?}");
                }
                _ => {}
            }
            let was_started = is_pipeline || self.started.contains(&id);
            let next = next_of(&run, kind, &configuration, was_started);
            self.book().judge_next_of(id, &run, &next);
        }
        self.book().look_at_runnable();
    }
}

impl Book {
    fn judge_next_of(&self, id: i64, run: &Run, next: &Next) {
        let mut later = self.runs.range(id + 1..).map(|(_, later)| later);
        let found = later.find(|later| later.flow_id == run.flow_id);
        let follows = |later: &&Run| {
            let is_of_the_claim =
                later.heartbeat_id == run.heartbeat_id && later.scheduled_at == run.scheduled_at;
            // An operator may order another run in the same moment.
            is_of_the_claim && !(*next == Next::Nothing && later.is_ordered() && later.is_fresh())
        };
        let Some(found) = found.filter(follows) else {
            // An operator may have held it in the very round, or its file may have gone.
            let is_due = self.was_runnable(run.flow_id) && self.is_runnable(run.flow_id);
            assert!(*next == Next::Nothing || !is_due, "{next:?} must follow run {id}: {run:?}");
            return;
        };
        let is_next = match *next {
            Next::Nothing => false,
            Next::Attempt(least, most) => {
                let wait = found.not_before.map(|at| at - found.created_at);
                found.attempt == run.attempt + 1
                    && found.rerun == run.rerun
                    && wait.is_some_and(|wait| (least..=most).contains(&wait))
            }
            Next::Again { counts } => {
                found.attempt == run.attempt && found.rerun == run.rerun + i64::from(counts)
            }
        };
        assert!(is_next, "{next:?} must follow run {id}, {run:?}, and not {found:?}");
    }

    /// Nothing but an operator's order starts a run of a flow that is held or disabled.
    pub(crate) fn judge_may_run(&self, id: i64, run: &Run) {
        let may = self.was_runnable(run.flow_id) || self.is_runnable(run.flow_id);
        let is_known = self.flows_runnable.contains_key(&run.flow_id);
        let is_ordered = run.is_ordered() && run.is_fresh();
        assert!(may || !is_known || is_ordered, "run {id} is of a flow that is held or disabled: {run:?}");
    }

    fn was_runnable(&self, flow: i64) -> bool {
        self.flows_runnable.get(&flow).copied().unwrap_or(false)
    }

    fn is_runnable(&self, flow: i64) -> bool {
        let sql = "SELECT count(*) FROM data_flows WHERE id = ?1 AND enabled AND NOT held";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        statement.query_row([flow], |row| row.get(0)).expect("readable")
    }

    /// Which flows may run by themselves from now on.
    fn look_at_runnable(&mut self) {
        let version = self.version();
        if std::mem::replace(&mut self.runnable_version, version) == version {
            return;
        }
        let sql = "SELECT id, enabled AND NOT held FROM data_flows";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        self.flows_runnable = found.and_then(Iterator::collect).expect("readable");
    }
}

impl Run {
    /// Whether it follows no other.
    fn is_fresh(&self) -> bool {
        (self.attempt, self.rerun, self.not_before) == (1, 0, None)
    }
}

fn next_of(run: &Run, kind: Option<ErrorKind>, configuration: &Configuration, was_started: bool) -> Next {
    let retry = configuration.retry;
    match kind {
        // It was cancelled or refused while it waited.
        _ if run.started_at.is_none() || run.status == Status::Success => Next::Nothing,
        Some(ErrorKind::Interrupted) if !was_started => Next::Again { counts: false },
        Some(ErrorKind::Interrupted) => {
            let by_kind = configuration.kind == Pipeline::KIND;
            let reruns = configuration.rerun_interrupted.unwrap_or(by_kind);
            if reruns && run.rerun < RERUNS_MAX { Next::Again { counts: true } } else { Next::Nothing }
        }
        Some(ErrorKind::Cancelled | ErrorKind::Configuration | ErrorKind::Schema) | None => Next::Nothing,
        Some(_) if run.attempt >= i64::from(retry.attempts) => Next::Nothing,
        Some(_) => {
            let doublings = u32::try_from(run.attempt - 1).expect("a small number").min(20);
            let whole = (retry.backoff_ms << doublings).min(retry.backoff_cap_ms);
            let whole = i64::try_from(whole).expect("a small number");
            Next::Attempt(whole / 2, whole)
        }
    }
}
