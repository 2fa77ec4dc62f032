//! Where a flow stands, in one word and one shape.

use std::time::Duration;

use crate::flow::{DAY_S, ErrorKind, Status, Window};
use crate::limits;
use crate::runtime::{INTERNAL_AGENT, Runtime};
use crate::store::Standing;
use crate::time::Now;

/// The state of a flow, problems first: lists are sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its last runs failed.
    Failing,
    /// It should have run by now, and no heartbeat started it.
    Overdue,
    /// All else that may run.
    Running,
    Waiting,
    Fine,
    /// Its last run was cancelled or interrupted, which says nothing about the flow.
    CutShort,
    New,
    /// Those that may not run.
    Held,
    Disabled,
}

/// Which flows a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Problems,
    Running,
    Healthy,
    Off,
}

impl State {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 9] = [
        Self::Failing,
        Self::Overdue,
        Self::Running,
        Self::Waiting,
        Self::Fine,
        Self::CutShort,
        Self::New,
        Self::Held,
        Self::Disabled,
    ];
    /// How many ranks there are.
    pub(super) const RANKS: usize = 4;

    pub(super) fn of(flow: &Standing, runtime: &Runtime, now: Now) -> Self {
        if !flow.enabled {
            return Self::Disabled;
        }
        if flow.held {
            return Self::Held;
        }
        if flow.consecutive_failures > 0 {
            return Self::Failing;
        }
        match flow.in_progress {
            Some(true) => return Self::Running,
            Some(false) => return Self::Waiting,
            None if is_overdue(flow, runtime, now) => return Self::Overdue,
            None => {}
        }
        match flow.last_run_succeeded {
            Some(true) => Self::Fine,
            Some(false) => Self::CutShort,
            None => Self::New,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        self.told().0
    }

    /// The shape that stands for it, and its class in the style.
    pub(super) const fn shape(self) -> &'static str {
        self.told().1
    }

    const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Failing => ("failing", "failing"),
            Self::Overdue => ("overdue", "overdue"),
            Self::Running => ("running", "running"),
            Self::Waiting => ("waiting", "waiting"),
            Self::Fine => ("fine", "fine"),
            Self::CutShort => ("cut short", "cut"),
            Self::New => ("never ran", "new"),
            Self::Held => ("held", "held"),
            Self::Disabled => ("disabled", "off"),
        }
    }

    pub(super) const fn is_problem(self) -> bool {
        matches!(self, Self::Failing | Self::Overdue)
    }

    /// Whether it may not run.
    pub(super) const fn is_off(self) -> bool {
        matches!(self, Self::Held | Self::Disabled)
    }

    /// Where it comes in a list: a flow that begins to run does not move.
    pub(super) const fn rank(self) -> usize {
        match self {
            Self::Failing => 0,
            Self::Overdue => 1,
            Self::Held | Self::Disabled => 3,
            _ => 2,
        }
    }
}

impl Filter {
    pub(super) const ALL: [Self; 4] = [Self::Problems, Self::Running, Self::Healthy, Self::Off];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Problems => "problems",
            Self::Running => "running",
            Self::Healthy => "healthy",
            Self::Off => "off",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.as_str() == word)
    }

    pub(super) fn admits(self, state: State, is_open: bool) -> bool {
        match self {
            Self::Problems => state.is_problem(),
            Self::Running => is_open,
            Self::Healthy => !state.is_problem() && !state.is_off(),
            Self::Off => state.is_off(),
        }
    }
}

/// How a run stands, in a word, and the shape for it. What says nothing about its flow is told apart from failures.
pub(super) const fn of_run(status: Status, why: Option<ErrorKind>) -> (&'static str, &'static str) {
    match (status, why) {
        (Status::Success, _) => ("success", "fine"),
        (Status::Failed, Some(ErrorKind::Interrupted)) => ("interrupted", "cut"),
        (Status::Failed, Some(ErrorKind::Cancelled)) => ("cancelled", "cut"),
        (Status::Failed, _) => ("failed", "failing"),
        (Status::InProgress, _) => ("in progress", "running"),
        (Status::Pending, _) => ("pending", "waiting"),
    }
}

/// Whether it has been due for so long that somebody should ask where the heartbeats are. Outside of its window it waits,
/// unless it was due through a whole one.
fn is_overdue(flow: &Standing, runtime: &Runtime, now: Now) -> bool {
    let late_after = flow.next_run_at.unwrap_or(flow.created_at) + patience(runtime);
    if !now.wall.is_set() || now.wall < late_after {
        return false;
    }
    let Some(window) = flow.only_between.as_deref().and_then(Window::parse) else { return true };
    let civil_s = runtime.zones().get_or_utc(Some(&window.time_zone)).civil_s(now.wall);
    let is_open_long =
        window.open_for_s(civil_s).is_some_and(|s| u64::from(s) >= limits::OVERDUE_AFTER.as_secs());
    is_open_long || now.wall >= late_after + Duration::from_secs(DAY_S.into())
}

/// How late a flow may be: as long as an agent may be silent, where that was set; and where the box alone beats, that much longer.
fn patience(runtime: &Runtime) -> Duration {
    let beats_alone = runtime.heard().all(|(agent, _)| agent == INTERNAL_AGENT);
    let own_beats = runtime.internal_heartbeat().filter(|_| beats_alone).unwrap_or_default();
    (limits::OVERDUE_AFTER + own_beats).max(runtime.no_heartbeat_for().unwrap_or_default())
}
