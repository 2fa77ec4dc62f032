//! Chance that can be repeated: splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014),
//! or bytes that somebody else chose.

use std::time::Duration;

/// Every choice of a simulation comes from here, so that its seed, or its bytes, are the whole of it.
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
    /// What decides before the state does, last byte first.
    chosen: Vec<u8>,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, chosen: Vec::new() }
    }

    /// Choices by these bytes, one each, and then as if by a seed.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { state: 0, chosen: bytes.iter().rev().copied().collect() }
    }

    /// Whether somebody else's choices are left.
    pub(crate) fn is_chosen(&self) -> bool {
        !self.chosen.is_empty()
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1. The bias of a remainder is of no concern here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let first = self.chosen.pop().map(u64::from);
        match first {
            None => self.next() % bound,
            Some(byte) if bound <= 256 => byte % bound,
            Some(byte) => (byte << 8 | u64::from(self.chosen.pop().unwrap_or(0))) % bound,
        }
    }

    /// An index of a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("an index fits")
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    /// Less than so many milliseconds.
    pub(crate) fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.index(last + 1));
        }
    }
}
