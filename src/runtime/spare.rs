//! Memory of rounds that are over, kept for those that come: a heartbeat that starts nothing allocates none.

use super::answer::{Answer, Idle};
use super::tally::{Counted, Outcome};
use super::tick::Delta;
use super::{ConnectionId, Runtime};
use crate::auth::ReplayKey;

/// Items of each list, and answers, whose memory is kept: heartbeats of one round, if not those of a crowd.
const ITEMS_MAX: usize = 256;
/// The longest answer whose memory is kept, in bytes: most start nothing, and name no runs.
const ANSWER_BYTES_MAX: usize = 1024;

/// Empty lists, and the memory of answers.
#[derive(Debug, Default)]
pub(super) struct Spare {
    answers: Vec<(ConnectionId, Answer)>,
    idle_ids: Vec<(ReplayKey, Idle)>,
    heartbeats: Vec<(usize, Outcome)>,
    bodies: Vec<Vec<u8>>,
}

impl Spare {
    /// What the next round changes: nothing so far.
    pub(super) fn delta(&mut self) -> Delta {
        Delta {
            answers: std::mem::take(&mut self.answers),
            idle_ids: std::mem::take(&mut self.idle_ids),
            counted: Counted { heartbeats: std::mem::take(&mut self.heartbeats), ..Counted::default() },
            ..Delta::default()
        }
    }

    /// Takes the lists of a round back that is over.
    pub(super) fn keep(
        &mut self,
        answers: Vec<(ConnectionId, Answer)>,
        idle_ids: Vec<(ReplayKey, Idle)>,
        heartbeats: Vec<(usize, Outcome)>,
    ) {
        self.answers = emptied(answers);
        self.idle_ids = emptied(idle_ids);
        self.heartbeats = emptied(heartbeats);
    }

    /// Room for an answer.
    pub(super) fn body(&mut self) -> Vec<u8> {
        self.bodies.pop().unwrap_or_default()
    }
}

fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list.shrink_to(ITEMS_MAX);
    list
}

impl Runtime {
    /// Takes the memory of an answer back that was sent.
    pub fn take_back(&mut self, mut body: Vec<u8>) {
        let Self { spare, .. } = self;
        if body.capacity() <= ANSWER_BYTES_MAX && spare.bodies.len() < ITEMS_MAX {
            body.clear();
            spare.bodies.push(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_empty_and_bounded() {
        let mut spare = Spare::default();
        spare.keep(Vec::new(), Vec::new(), vec![(0, Outcome::Idle); 10 * ITEMS_MAX]);
        let delta = spare.delta();
        assert!(delta.counted.heartbeats.is_empty());
        assert!((1..=ITEMS_MAX).contains(&delta.counted.heartbeats.capacity()));
        assert_eq!(spare.delta().counted.heartbeats.capacity(), 0, "it is given once");
    }
}
