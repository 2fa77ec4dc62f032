//! How long things took, as Prometheus counts it: so many within each bound.

use std::time::Duration;

/// Bounds in rising order: in seconds as they are written, and in microseconds.
pub type Bounds = &'static [(&'static str, u64)];

/// Durations, counted.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: Bounds,
    /// Of each bound those that the bound before has not; at the end those beyond all.
    counts: Box<[u64]>,
    sum: Duration,
}

impl Histogram {
    /// Nothing counted yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1].into(), sum: Duration::ZERO }
    }

    /// Counts one; a duration that is a bound is within it.
    pub fn observe(&mut self, took: Duration) {
        let micros = took.as_nanos().div_ceil(1000);
        let place = self.bounds.iter().take_while(|(_, bound)| micros > u128::from(*bound)).count();
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum += took;
    }

    /// Each bound in seconds, and how many were within it.
    pub fn within(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let mut total = 0;
        self.bounds.iter().zip(&self.counts).map(move |((bound, _), count)| {
            total += count;
            (*bound, total)
        })
    }

    /// The least bound within which so many of a hundred were; none: they were beyond all bounds, or none was counted.
    pub fn bound_of(&self, percent: u64) -> Option<Duration> {
        let wanted = self.count().saturating_mul(percent).div_ceil(100).max(1);
        let mut total = 0;
        let (_, (_, micros)) = self.counts.iter().zip(self.bounds).find(|(count, _)| {
            total += **count;
            total >= wanted
        })?;
        Some(Duration::from_micros(*micros))
    }

    /// All of them, added up.
    pub const fn sum(&self) -> Duration {
        self.sum
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_what_is_as_long_and_all_that_is_shorter() {
        let mut histogram = Histogram::new(&[("0.001", 1000), ("1", 1_000_000)]);
        let took = [0, 999_000, 1_000_000, 1_000_001, 1_000_000_000, 1_000_000_001].map(Duration::from_nanos);
        took.into_iter().for_each(|took| histogram.observe(took));
        assert_eq!(histogram.within().collect::<Vec<_>>(), [("0.001", 3), ("1", 5)]);
        assert_eq!((histogram.count(), histogram.sum()), (6, took.iter().sum()));
    }

    #[test]
    fn the_bound_of_a_share_holds_at_least_that_share() {
        let mut histogram = Histogram::new(&[("0.001", 1000), ("1", 1_000_000)]);
        assert_eq!(histogram.bound_of(50), None, "nothing was counted");
        [1, 1, 500].map(Duration::from_millis).into_iter().for_each(|took| histogram.observe(took));
        let bounds = [0, 50, 66, 67, 100].map(|percent| histogram.bound_of(percent));
        assert_eq!(bounds, [1, 1, 1, 1000, 1000].map(|ms| Some(Duration::from_millis(ms))));
        histogram.observe(Duration::from_secs(2));
        assert_eq!((histogram.bound_of(75), histogram.bound_of(76)), (Some(Duration::from_secs(1)), None));
    }
}
