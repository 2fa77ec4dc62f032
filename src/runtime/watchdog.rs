//! The beat to whoever watches this watcher: sent while all is well, and left out while it is not. Nothing of it is on record.

use std::time::Duration;

use super::alerts::judged;
use super::{Action, Exchange, Job, Runtime, Unanswered, Watchdog};
use crate::http::client::{Answer, Method, Url};
use crate::limits;
use crate::time::{Monotonic, Now};

/// What is known of the beats.
#[derive(Debug, Default)]
pub(super) struct Watching {
    next_at: Option<Monotonic>,
    /// Who was asked and has not answered: by now another one may be.
    asked: Option<Url>,
    /// Whether the last one failed: it is told once.
    is_failing: bool,
}

impl Watching {
    /// The first beat comes at once.
    pub(super) fn take_up(&mut self, is_wanted: bool, now: Monotonic) {
        self.next_at = is_wanted.then_some(now);
    }

    pub(super) const fn is_under_way(&self) -> bool {
        self.asked.is_some()
    }
}

impl Runtime {
    /// When the next beat is due; none while the database cannot be written or the daemon ends: then there is none.
    pub(super) fn next_watchdog_at(&self) -> Option<Monotonic> {
        let is_well = self.tick.last_failure.is_none() && !self.phase.is_stopping() && !self.is_closed;
        self.watching.next_at.filter(|_| is_well && !self.watching.is_under_way())
    }

    pub(super) fn beat_watchdog(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Some(Watchdog { url, every }) = &self.alerts.settings().watchdog else { return };
        if self.next_watchdog_at().is_none_or(|at| now.monotonic < at) {
            return;
        }
        let exchange = Exchange {
            url: url.clone(),
            method: Method::Get,
            fields: Vec::new(),
            field_files: Default::default(),
            body: None,
            signature: None,
            timeout: limits::WATCHDOG_TIMEOUT.min(*every).max(Duration::from_secs(1)),
            body_bytes_max: limits::ALERT_ANSWER_BYTES_MAX,
            needs_content: false,
        };
        self.watching.next_at = Some(now.monotonic + *every);
        self.watching.asked = Some(url.clone());
        actions.push(Action::Exchange(Job::Watchdog, Box::new(exchange)));
    }

    /// There is no other try than the next beat.
    pub(super) fn watchdog_answered(&mut self, answered: Result<Box<Answer>, Unanswered>) {
        let Some(url) = self.watching.asked.take() else { return };
        let judged = judged(&url, answered);
        let was_failing = std::mem::replace(&mut self.watching.is_failing, judged.is_err());
        match judged {
            Err((_, why)) if !was_failing => log::warn!("the watchdog is not reached: {why}"),
            Ok(()) if was_failing => log::info!("the watchdog is reached again"),
            _ => {}
        }
    }
}
