//! Heartbeats that started nothing, remembered in memory: the latest ones, so that a replay of them gets the same answer.
//!
//! Ids that started runs are the store's; these cost no write, and forgetting one at a restart does no harm, because
//! it started nothing. An entry is a keyed hash of agent and id (nobody without the key can make two collide), so it
//! has one size whatever the id's length. All memory is allocated at the start.

use std::fmt;
use std::hash::BuildHasher;

/// An agent and an id, hashed with the ring's own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayKey(u64);

impl ReplayKey {
    /// The hash itself; every bit of it depends on the ring's key.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// The latest ids with the answer that each got. Oldest out first.
pub struct ReplayRing<T: Copy, S: BuildHasher> {
    hasher: S,
    /// In order of arrival, from `oldest` on once it is full.
    entries: Vec<(ReplayKey, T)>,
    oldest: u32,
    capacity: u32,
    /// Open addressing with linear probing: an entry's position plus one, or 0 for a free slot; and above it the low half of
    /// its key, so that a probe looks at no entry but the one that it is for: those lie far from each other in memory. At
    /// least half of the slots are free, so that probes stay short; the length is a power of two.
    table: Vec<u64>,
}

impl<T: Copy, S: BuildHasher> ReplayRing<T, S> {
    /// Room for `capacity` ids, at least one ([`crate::limits::REPLAY_RING_IDS`]). `hasher` carries the key and must
    /// be random; `std::hash::RandomState` is.
    pub fn new(capacity: u32, hasher: S) -> Self {
        let capacity = capacity.max(1);
        let table = vec![0; (capacity as usize * 2).next_power_of_two()];
        Self { hasher, entries: Vec::with_capacity(capacity as usize), oldest: 0, capacity, table }
    }

    /// What `agent`'s heartbeat `id` is known by here.
    pub fn key(&self, agent: &str, id: &str) -> ReplayKey {
        ReplayKey(self.hasher.hash_one((agent, id)))
    }

    /// The answer that this heartbeat got, if it is remembered.
    pub fn get(&self, key: ReplayKey) -> Option<T> {
        let (_, found) = self.look_up(key);
        found.map(|position| self.entries[position].1)
    }

    /// Remembers the answer; one that is remembered already is replaced and keeps its age.
    pub fn insert(&mut self, key: ReplayKey, answer: T) {
        if let (_, Some(position)) = self.look_up(key) {
            self.entries[position].1 = answer;
            return;
        }
        let position = self.oldest;
        if self.entries.len() < self.capacity as usize {
            self.entries.push((key, answer));
        } else {
            let (forgotten, _) = std::mem::replace(&mut self.entries[position as usize], (key, answer));
            self.unlink(forgotten, position);
        }
        self.oldest = (position + 1) % self.capacity;
        let (free, _) = self.look_up(key);
        self.table[free] = slot_of(key, position);
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The slot that holds the key and its position in `entries`; or the free slot where it belongs.
    fn look_up(&self, key: ReplayKey) -> (usize, Option<usize>) {
        let mut slot = self.home(tag_of(key));
        while let Some((position, tag)) = self.content_of(slot) {
            if tag == tag_of(key) && self.entries[position].0 == key {
                return (slot, Some(position));
            }
            slot = self.next(slot);
        }
        (slot, None)
    }

    /// Frees the slot that links `key` to `position`, then moves later entries of the probe up, so that none is cut off
    /// by the gap (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R).
    fn unlink(&mut self, key: ReplayKey, position: u32) {
        let mut gap = self.home(tag_of(key));
        while self.table[gap] != slot_of(key, position) {
            gap = self.next(gap);
        }
        self.table[gap] = 0;
        let mut slot = self.next(gap);
        while let Some((_, tag)) = self.content_of(slot) {
            let home = self.home(tag);
            if self.distance(home, slot) >= self.distance(gap, slot) {
                self.table[gap] = self.table[slot];
                self.table[slot] = 0;
                gap = slot;
            }
            slot = self.next(slot);
        }
    }

    /// The slot where the probe for a key with this tag starts.
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
    fn home(&self, tag: u64) -> usize {
        tag as usize & (self.table.len() - 1)
    }

    /// The position and the tag of the entry that a slot links; none if it is free.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
    fn content_of(&self, slot: usize) -> Option<(usize, u64)> {
        let content = self.table[slot];
        Some(((content as u32 as usize).checked_sub(1)?, content >> 32))
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.table.len() - 1)
    }

    /// Slots from `from` forward to `to`, round the end of the table.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.table.len() - 1)
    }
}

/// What is kept of a key beside its entry's position.
const fn tag_of(key: ReplayKey) -> u64 {
    key.0 & 0xffff_ffff
}

fn slot_of(key: ReplayKey, position: u32) -> u64 {
    tag_of(key) << 32 | u64::from(position + 1)
}

/// The key of the hashes stays out of sight.
impl<T: Copy, S: BuildHasher> fmt::Debug for ReplayRing<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayRing").field("ids", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

    type Fixed = BuildHasherDefault<DefaultHasher>;

    #[test]
    fn an_answer_is_given_again_until_newer_ids_push_it_out() {
        let mut ring = ReplayRing::new(2, Fixed::default());
        let [a, b, c] = ["a", "b", "c"].map(|id| ring.key("default", id));
        ring.insert(a, 1);
        ring.insert(b, 2);
        assert_eq!((ring.get(a), ring.get(b), ring.get(c)), (Some(1), Some(2), None));
        ring.insert(c, 3);
        assert_eq!((ring.get(a), ring.get(b), ring.get(c)), (None, Some(2), Some(3)));
        assert_eq!(ring.len(), 2);
    }

    #[test]
    fn the_same_id_of_two_agents_is_two_heartbeats() {
        let ring = ReplayRing::<u8, _>::new(2, Fixed::default());
        assert_ne!(ring.key("a", "bc"), ring.key("ab", "c"));
        assert_ne!(ring.key("a", "id"), ring.key("b", "id"));
    }

    #[test]
    fn an_answer_replaced_keeps_its_age() {
        let mut ring = ReplayRing::new(2, Fixed::default());
        let [a, b, c] = ["a", "b", "c"].map(|id| ring.key("default", id));
        ring.insert(a, 1);
        ring.insert(b, 2);
        ring.insert(a, 9);
        assert_eq!(ring.get(a), Some(9));
        ring.insert(c, 3);
        assert_eq!((ring.get(a), ring.get(b)), (None, Some(2)));
    }

    #[test]
    fn nothing_is_allocated_after_the_start() {
        let mut ring = ReplayRing::new(100, Fixed::default());
        let before = (ring.entries.capacity(), ring.table.capacity());
        for id in 0..1_000 {
            let key = ring.key("default", &id.to_string());
            ring.insert(key, id);
        }
        assert_eq!((ring.entries.capacity(), ring.table.capacity()), before);
        assert_eq!(ring.len(), 100);
    }

    /// Few different hashes, so that probes run into each other and round the end of the table.
    #[derive(Default)]
    struct Colliding(u64);

    impl Hasher for Colliding {
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0.wrapping_mul(31)).wrapping_add(u64::from(*byte));
            }
        }
        fn finish(&self) -> u64 {
            // The low bits choose among three slots near the table's end; the high ones keep the keys apart.
            self.0 << 8 | (14 + self.0 % 3)
        }
    }

    #[test]
    fn colliding_ids_are_kept_apart_like_in_a_plain_list() {
        let mut ring = ReplayRing::new(7, BuildHasherDefault::<Colliding>::default());
        let mut plain: VecDeque<(ReplayKey, u32)> = VecDeque::new();
        let mut random = 1_u32;
        for step in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = ring.key("default", &(random >> 16).rem_euclid(23).to_string());
            if let Some(known) = plain.iter_mut().find(|(other, _)| *other == key) {
                known.1 = step;
            } else {
                plain.push_back((key, step));
                if plain.len() > 7 {
                    plain.pop_front();
                }
            }
            ring.insert(key, step);
            for id in 0..23 {
                let key = ring.key("default", &id.to_string());
                let expected = plain.iter().find(|(other, _)| *other == key).map(|(_, answer)| *answer);
                assert_eq!(ring.get(key), expected, "step {step}, id {id}");
            }
        }
    }
}
