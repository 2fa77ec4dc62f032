//! Which heartbeats are certainly not on record: most are new, and asking the database about each would cost more than
//! everything else together (two file locks and a look-up).
//!
//! A Bloom filter with one hash: a bit that is not set says "certainly not"; one that is set says "ask". It has one
//! size, whatever is on record, and forgetting is not needed: a stale bit only costs a question.

use crate::auth::ReplayKey;

/// Bits; a power of two. The ids that start runs in 80 hours at one a minute set about one in fifty.
const BITS: usize = 1 << 18;

/// The ids that may be on record.
#[derive(Debug)]
pub(super) struct KnownIds {
    words: Box<[u64]>,
}

impl KnownIds {
    pub(super) fn new() -> Self {
        Self { words: vec![0; BITS / 64].into_boxed_slice() }
    }

    pub(super) fn insert(&mut self, key: ReplayKey) {
        let (word, bit) = place(key);
        self.words[word] |= bit;
    }

    /// False: this heartbeat is certainly not on record.
    pub(super) fn may_contain(&self, key: ReplayKey) -> bool {
        let (word, bit) = place(key);
        self.words[word] & bit != 0
    }
}

fn place(key: ReplayKey) -> (usize, u64) {
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
    let hash = key.as_u64() as usize % BITS;
    (hash / 64, 1 << (hash % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ReplayRing;
    use std::hash::RandomState;

    #[test]
    fn what_was_inserted_is_never_denied_and_most_of_the_rest_is() {
        let ring: ReplayRing<(), _> = ReplayRing::new(1, RandomState::new());
        let mut known = KnownIds::new();
        let ids: Vec<String> = (0..5000).map(|number| format!("msg_{number}")).collect();
        for id in &ids {
            known.insert(ring.key("default", id));
        }
        assert!(ids.iter().all(|id| known.may_contain(ring.key("default", id))));
        let is_known = |number: &u32| known.may_contain(ring.key("other", &format!("msg_{number}")));
        let others = (0..10_000).filter(is_known).count();
        assert!(others < 1000, "{others} of 10,000 would be asked about");
    }
}
