//! Whose turn it is next: in the order in which they asked, and once a round however often they did.

/// Numbers that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    waiting: Vec<usize>,
    /// By number, whether it waits.
    waits: Vec<bool>,
    /// The memory of those who had their turn, so that a round allocates none.
    spare: Vec<usize>,
}

impl Turns {
    /// Asks for a turn, unless it was asked for already.
    pub(super) fn ask(&mut self, number: usize) {
        if self.waits.len() <= number {
            self.waits.resize(number + 1, false);
        }
        if !std::mem::replace(&mut self.waits[number], true) {
            self.waiting.push(number);
        }
    }

    /// Everybody who has asked. Who asks from now on has the next round's turn.
    pub(super) fn take(&mut self) -> Vec<usize> {
        for number in &self.waiting {
            self.waits[*number] = false;
        }
        std::mem::replace(&mut self.waiting, std::mem::take(&mut self.spare))
    }

    /// They had their turn.
    pub(super) fn done(&mut self, mut taken: Vec<usize>) {
        taken.clear();
        self.spare = taken;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_has_one_turn_and_in_the_order_of_the_first() {
        let mut turns = Turns::default();
        [3, 1, 3, 2, 1].into_iter().for_each(|number| turns.ask(number));
        let first = turns.take();
        assert_eq!(first, [3, 1, 2]);
        assert!(turns.is_empty());
        turns.ask(2);
        turns.done(first);
        assert_eq!(turns.take(), [2], "who asks meanwhile waits for the next round");
        assert!(turns.is_empty());
    }
}
