//! Which heartbeats are certainly not on record: most are new, and asking the database about each would cost more than
//! everything else together (two file locks and a look-up).
//!
//! A Bloom filter with one hash: a bit that is not set says "certainly not"; one that is set says "ask". It has one
//! size, whatever is on record, and forgetting is not needed: a stale bit only costs a question.

use std::hash::BuildHasher;

/// Bits; a power of two. The ids that start runs in 80 hours at one a minute set about one in fifty.
const BITS: usize = 1 << 18;

/// The ids that may be on record.
#[derive(Debug)]
pub(super) struct KnownIds<S> {
    hasher: S,
    words: Box<[u64]>,
}

impl<S: BuildHasher> KnownIds<S> {
    pub(super) fn new(hasher: S) -> Self {
        Self { hasher, words: vec![0; BITS / 64].into_boxed_slice() }
    }

    pub(super) fn insert(&mut self, agent: &str, id: &str) {
        let (word, bit) = self.place(agent, id);
        self.words[word] |= bit;
    }

    /// False: this heartbeat is certainly not on record.
    pub(super) fn may_contain(&self, agent: &str, id: &str) -> bool {
        let (word, bit) = self.place(agent, id);
        self.words[word] & bit != 0
    }

    fn place(&self, agent: &str, id: &str) -> (usize, u64) {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
        let hash = self.hasher.hash_one((agent, id)) as usize % BITS;
        (hash / 64, 1 << (hash % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::RandomState;

    #[test]
    fn what_was_inserted_is_never_denied_and_most_of_the_rest_is() {
        let mut known = KnownIds::new(RandomState::new());
        let ids: Vec<String> = (0..5000).map(|number| format!("msg_{number}")).collect();
        for id in &ids {
            known.insert("default", id);
        }
        assert!(ids.iter().all(|id| known.may_contain("default", id)));
        let others =
            (0..10_000).filter(|number| known.may_contain("other", &format!("msg_{number}"))).count();
        assert!(others < 1000, "{others} of 10,000 would be asked about");
    }
}
