//! Which of our things a readiness event is about, packed into mio's token.

use mio::Token;

/// A thing that is registered with the poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Signals,
    Listener(usize),
    Connection(usize),
    /// A child's pidfd.
    Exit(usize),
    /// A child's output, or its standard output where that is kept apart.
    Output(usize),
    /// The pidfd of a process that outlived an earlier daemon.
    Survivor(usize),
    /// The connection of a request that a run makes.
    Outgoing(usize),
    /// Names are resolved.
    Resolved,
    /// A backup has ended.
    BackedUp,
}

const KINDS: usize = 8;

impl Source {
    pub(super) const fn token(self) -> Token {
        let (index, kind) = match self {
            Self::Signals => (0, 0),
            Self::Resolved => (1, 0),
            Self::BackedUp => (2, 0),
            Self::Listener(index) => (index, 1),
            Self::Connection(index) => (index, 2),
            Self::Exit(index) => (index, 3),
            Self::Output(index) => (index, 4),
            Self::Survivor(index) => (index, 5),
            Self::Outgoing(index) => (index, 6),
        };
        Token(index * KINDS + kind)
    }

    pub(super) fn of(token: Token) -> Self {
        let index = token.0 / KINDS;
        match token.0 % KINDS {
            0 if index == 0 => Self::Signals,
            0 if index == 1 => Self::Resolved,
            0 => Self::BackedUp,
            1 => Self::Listener(index),
            2 => Self::Connection(index),
            3 => Self::Exit(index),
            4 => Self::Output(index),
            5 => Self::Survivor(index),
            _ => Self::Outgoing(index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_source() {
        let sources = [Source::Listener, Source::Connection, Source::Exit, Source::Output];
        let others: [fn(usize) -> Source; 2] = [Source::Survivor, Source::Outgoing];
        for source in sources.into_iter().chain(others) {
            assert_eq!(Source::of(source(77).token()), source(77));
        }
        for source in [Source::Signals, Source::Resolved, Source::BackedUp] {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}
