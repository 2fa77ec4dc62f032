//! Rounds in turns, and what is said of the figures that they give.

use serde_json::{Value, json};

use crate::Outcome;

/// What was measured, once a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figure {
    rounds: Vec<f64>,
}

impl Figure {
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        Self { rounds: rounds.into_iter().collect() }
    }

    /// Of what has no spread, such as the size of a file.
    pub(crate) fn once(value: f64) -> Self {
        Self { rounds: vec![value] }
    }

    pub(crate) fn median(&self) -> f64 {
        percentile(&sorted(self.rounds.clone()), 50.0)
    }

    pub(crate) fn least(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn most(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }

    pub(crate) fn is_single(&self) -> bool {
        self.rounds.len() < 2
    }

    /// The ratio in each round: what was measured one after the other had the same neighbours.
    pub(crate) fn over(&self, other: &Self) -> Self {
        if self.rounds.len() != other.rounds.len() {
            return Self::once(self.median() / other.median());
        }
        Self::of(self.rounds.iter().zip(&other.rounds).map(|(ours, theirs)| ours / theirs))
    }

    pub(crate) fn json(&self) -> Value {
        let rounds: Vec<f64> = self.rounds.iter().copied().map(rounded).collect();
        json!({
            "median": rounded(self.median()), "least": rounded(self.least()), "most": rounded(self.most()), "rounds": rounds,
        })
    }
}

/// With five figures that count: more is noise.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

pub(crate) fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Of sorted values, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil();
    // At most the length, which is a usize.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the values")]
    let index = (rank as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

/// Something that is measured in turns with others.
pub(crate) type Contender<'a, T> = Box<dyn FnMut() -> Outcome<T> + 'a>;

/// Lets all of them have their turn in each round, every other round in the opposite order: what each one measured.
pub(crate) fn in_turns<T>(rounds: usize, contenders: &mut [Contender<'_, T>]) -> Outcome<Vec<Vec<T>>> {
    let mut measured: Vec<Vec<T>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..contenders.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let figure = contenders[index]()?;
            measured[index].push(figure);
        }
    }
    Ok(measured)
}
