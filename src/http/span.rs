//! A part of the receive buffer that stays valid when the buffer moves.

/// From `start` to before `end`, in bytes from wherever its owner counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// Where `part` lies in `whole`. It has to be a part of it: the address is all that is looked at.
    pub(super) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        Self { start, end: start.wrapping_add(part.len()) }
    }

    /// The same part, counted from `offset` bytes earlier.
    pub(super) fn shifted(self, offset: usize) -> Self {
        Self { start: self.start + offset, end: self.end + offset }
    }

    pub(super) const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// The bytes; none if the span is not of these.
    pub(super) fn bytes(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes as text; none if they are not ASCII or UTF-8.
    pub(super) fn text(self, whole: &[u8]) -> &str {
        std::str::from_utf8(self.bytes(whole)).unwrap_or_default()
    }
}
