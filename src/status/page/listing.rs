//! Which flows a list shows: looked at some at a time, so that no number of flows holds up the loop.

use super::Look;
use super::query::FlowsQuery;
use super::standing::{Filter, State};
use crate::limits;
use crate::store::{FlowId, Result};

/// What is known of the flows so far.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The last name that was looked at.
    after: String,
    /// Those that the list shows, by rank, each in the order of names.
    ranks: [Vec<(FlowId, State)>; State::RANKS],
    states: [usize; State::ALL.len()],
    with_open_run: usize,
}

impl Listing {
    /// Looks at some more flows; true when all were looked at. A flow that changes meanwhile is told as it was when it was
    /// looked at.
    pub(super) fn step(&mut self, query: &FlowsQuery, look: &Look<'_>) -> Result<bool> {
        let store = look.runtime.store();
        let (flows, last) = store.standings(&query.search, &self.after, limits::FLOWS_PER_LOOK)?;
        for flow in flows {
            let state = State::of(&flow, look.runtime, look.now);
            let is_open = flow.in_progress.is_some();
            self.states[state as usize] += 1;
            self.with_open_run += usize::from(is_open);
            if query.filter.is_none_or(|filter| filter.admits(state, is_open)) {
                self.ranks[state.rank()].push((flow.id, state));
            }
        }
        match last {
            Some(last) => self.after = last,
            None => return Ok(true),
        }
        Ok(false)
    }

    /// How many flows were found, whatever their state.
    pub(super) fn found(&self) -> usize {
        self.states.iter().sum()
    }

    pub(super) const fn count(&self, state: State) -> usize {
        self.states[state as usize]
    }

    /// How many of those that were found a filter admits.
    pub(super) fn admitted(&self, filter: Filter) -> usize {
        if filter == Filter::Running {
            return self.with_open_run;
        }
        let admitted = State::ALL.into_iter().filter(|state| filter.admits(*state, false));
        admitted.map(|state| self.count(state)).sum()
    }

    /// How many the list shows, on all of its pages.
    pub(super) fn shown(&self) -> usize {
        self.ranks.iter().map(Vec::len).sum()
    }

    /// Those of one page, counted from 0, in order: problems first.
    pub(super) fn page(&self, page: usize) -> impl Iterator<Item = (FlowId, State)> {
        let before = page * limits::FLOWS_PER_PAGE;
        self.ranks.iter().flatten().copied().skip(before).take(limits::FLOWS_PER_PAGE)
    }
}
