//! An input as a row of small decisions, where the text itself is not what is looked at.

/// What is left of an input. At its end every decision is the first choice.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// So many bytes, or as many as there are.
    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the next one says, as text.
    pub(super) fn text(&mut self) -> String {
        let count = usize::from(self.byte());
        String::from_utf8_lossy(self.take(count)).into_owned()
    }

    pub(super) fn number<const N: usize>(&mut self) -> u128 {
        self.take(N).iter().fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }
}
