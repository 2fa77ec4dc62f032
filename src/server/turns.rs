//! Whose turn it is next: in the order in which they asked, and once a round however often they did.

/// Numbers that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<usize>);

impl Turns {
    /// Asks for a turn, unless it was asked for already.
    pub(super) fn ask(&mut self, number: usize) {
        if !self.0.contains(&number) {
            self.0.push(number);
        }
    }

    /// Everybody who has asked. Who asks from now on has the next round's turn.
    pub(super) fn take(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_has_one_turn_and_in_the_order_of_the_first() {
        let mut turns = Turns::default();
        [3, 1, 3, 2, 1].into_iter().for_each(|number| turns.ask(number));
        assert_eq!(turns.take(), [3, 1, 2]);
        assert!(turns.is_empty());
    }
}
