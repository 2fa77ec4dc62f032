//! What callers were told: it is what is on record, and a duplicate is told the same.

use serde_json::Value;

use super::agents::{Letter, NARROW, NARROW_FLOWS};
use super::invariants::Book;

/// What a caller was told under an id: everything that a duplicate must be told as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    counts: [u64; 4],
    timestamp: String,
    runs: Vec<i64>,
}

impl Book {
    /// A caller got 200.
    pub(crate) fn judge_answer(&mut self, letter: &Letter, body: &[u8]) -> Vec<i64> {
        let answer: Value = serde_json::from_slice(body).expect("an answer is JSON");
        let count = |name: &str| answer[name].as_u64().expect("a count");
        let runs = answer["runs"].as_array().expect("a list of runs");
        let counts = ["flows_due", "flows_triggered", "flows_skipped", "flows_deferred"].map(count);
        for run in runs {
            let on_record = run["id"].as_i64().and_then(|id| self.runs.get(&id));
            let state = on_record.map(|run| run.status.as_str());
            assert_eq!(state, run["status"].as_str(), "an answer tells what is on record: {answer}");
            assert_eq!(on_record.map(|run| run.flow.as_str()), run["flow"].as_str(), "{answer}");
            let may_start = letter.agent != NARROW || NARROW_FLOWS.iter().any(|flow| run["flow"] == *flow);
            assert!(may_start, "{letter:?} starts what its agent may not: {answer}");
        }
        let told = Told {
            counts,
            timestamp: answer["timestamp"].as_str().expect("a timestamp").to_owned(),
            runs: runs.iter().filter_map(|run| run["id"].as_i64()).collect(),
        };
        let pruned = answer["runs_pruned"].as_u64().unwrap_or(0);
        assert_eq!(told.runs.len() as u64 + pruned, counts[1], "every run is named: {answer}");
        assert_eq!(counts[0], counts[1] + counts[2] + counts[3], "every due flow is accounted for: {answer}");
        if !letter.is_signed() {
            assert!(answer["heartbeat_id"].is_null() && answer["duplicate"] == false, "{answer}");
            return told.runs;
        }
        assert_eq!(answer["heartbeat_id"].as_str(), Some(letter.id.as_str()), "{answer}");
        // Two agents may give the same one.
        let id = format!("{}/{}", letter.agent, letter.id);
        if counts[1] == 0 && self.has_forgotten(&id, letter) {
            self.told.remove(&id);
            self.told_first.remove(&id);
        }
        if answer["duplicate"] == false {
            assert!(self.told_first.insert(id.clone()), "{id} is new twice: {answer}");
        }
        let before = self.told.entry(id.clone()).or_insert_with(|| told.clone());
        assert!(
            told.runs.iter().all(|run| before.runs.contains(run)),
            "a duplicate of {id} names the same runs"
        );
        let same = before.counts == told.counts && before.timestamp == told.timestamp;
        assert!(same, "a duplicate of {id} gets the same answer: {before:?}, {told:?}");
        told.runs
    }

    /// Whether an id that started runs is off the record: it starts nothing any more, and may be told what is due.
    fn has_forgotten(&self, id: &str, letter: &Letter) -> bool {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM heartbeats WHERE agent = ?1 AND heartbeat_id = ?2)";
        let is_gone =
            || self.reader.query_row(sql, [letter.agent, &letter.id], |row| row.get(0)).expect("readable");
        self.told.get(id).is_some_and(|told| !told.runs.is_empty()) && is_gone()
    }

    /// The daemon ended: what it had only in memory is gone.
    pub(crate) fn life_is_over(&mut self) {
        self.told.retain(|_, told| !told.runs.is_empty());
        let Self { told, told_first, .. } = self;
        told_first.retain(|id| told.contains_key(id));
        self.life = Default::default();
    }

    pub(crate) fn judge_heartbeats(&mut self) {
        let sql = "SELECT coalesce(agent || '/' || heartbeat_id, 'nameless-' || first_run_id), first_run_id, flows_triggered,
                     flows_skipped, flows_deferred, agent
                   FROM heartbeats WHERE first_run_id > ?1 ORDER BY first_run_id";
        let mut statement = self.reader.prepare_cached(sql).expect("readable");
        let found: Vec<(String, i64, [i64; 3], String)> = statement
            .query_map([self.heartbeats_seen], |row| {
                Ok((row.get(0)?, row.get(1)?, [row.get(2)?, row.get(3)?, row.get(4)?], row.get(5)?))
            })
            .and_then(Iterator::collect)
            .expect("readable");
        for (id, first, [count, skipped, deferred], agent) in found {
            self.heartbeats_seen = first;
            for run in first..first + count {
                let of_run = self.runs.get(&run).map(|run| run.heartbeat_id.as_str());
                let is_gone = of_run.is_none() && self.may_be_gone;
                assert!(of_run == Some(&id) || is_gone, "run {run} of {id} is {of_run:?}");
                self.life.claims_unseen += u64::from(is_gone);
            }
            let most = self.settings.max_claims_per_heartbeat;
            assert!(usize::try_from(count).is_ok_and(|count| count <= most), "{id} claims {count} at once");
            self.somebody_signed |= !id.starts_with("nameless-");
            *self.life.heartbeats.entry(agent).or_default() += 1;
            let counts = [count, skipped, deferred].map(i64::unsigned_abs);
            self.life.found.iter_mut().zip(counts).for_each(|(sum, more)| *sum += more);
            assert_eq!(self.heartbeats.insert(id, (first, count)), None, "a heartbeat is recorded once");
        }
        for (id, run) in self.runs.iter().rev().take(32) {
            let claimed = self.heartbeats.get(&run.heartbeat_id);
            let is_claimed = claimed.is_some_and(|(first, count)| (*first..first + count).contains(id));
            let is_again = self.again.contains(id);
            assert!(
                is_claimed != is_again,
                "run {id} was started by {}, once: {claimed:?}",
                run.heartbeat_id
            );
        }
    }
}
