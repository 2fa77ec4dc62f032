//! Ends of processes: of runs, of what they left behind, and of what an earlier daemon left.

use mio::Events;
use std::time::Duration;

use super::child::Ended;
use super::processes::Mark;
use super::{Server, ServerError};
use crate::limits;
use crate::runtime::{Event, Job, Runtime};
use crate::time::Now;

/// How often what KILL was sent to is looked at, at the very end.
const LAST_LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long leftovers have from TERM to KILL; none: their flow wants them left alone.
fn grace_of<'a>(runtime: &'a Runtime, kill_grace: Duration) -> impl Fn(&Mark) -> Option<Duration> + use<'a> {
    move |mark| {
        let Job::Run(run) = mark.job else { return Some(kill_grace) };
        let ends = runtime.ends_leftovers_of(run, &mark.flow).unwrap_or_else(|error| {
            log::error!(run = mark.job; "what the run left behind is left alone: {error}; help: {}", error.help());
            false
        });
        ends.then_some(kill_grace)
    }
}

impl Server {
    /// Makes this process the parent of what its children leave behind, and ends what an earlier daemon's left.
    pub(super) fn end_survivors(&mut self, now: Now) -> Result<(), ServerError> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .map_err(|error| ServerError::System("become a subreaper", error.into()))?;
        let jobs = {
            let grace = grace_of(&self.runtime, self.options.kill_grace);
            self.leftovers.look_for_survivors(&grace, now.monotonic, self.poll.registry())
        };
        self.side_file.begin(self.leftovers.records.iter().copied());
        self.runtime.await_leftovers(jobs)?;
        Ok(())
    }

    pub(super) fn survivor_gone(&mut self, index: usize, now: Now) {
        if let Some(job) = self.leftovers.survivor_gone(index, now.monotonic, self.poll.registry()) {
            self.side_file.gone(job);
            self.runtime.handle(Event::LeftoversGone(job), now);
        }
    }

    /// Some child has ended: a run's own process, or one that it left behind.
    ///
    /// First comes every end, then the list of our children: what those that ended left behind is in it.
    pub(super) fn reap(&mut self, now: Now) {
        let mut ends = Vec::new();
        for index in self.children.running() {
            let Some(ended) = self.children.reap(index, &mut self.buffer) else { continue };
            let Ended { job, exit, output, fresh, leader, cleanup } = ended;
            if let Job::Run(run) = job {
                self.pass_on(run, &fresh, now);
            }
            let leftovers = self.leftovers.begin_ending(job, leader, cleanup, now.monotonic);
            ends.push((job, exit, output, leftovers));
        }
        let mut gone = {
            let grace = grace_of(&self.runtime, self.options.kill_grace);
            self.leftovers.look(&self.children, &grace, now.monotonic)
        };
        for (job, exit, output, leftovers) in ends {
            let leftovers = leftovers && !gone.remove(&job);
            match leftovers {
                true => log::info!(run = job; "the run left processes behind: sending SIGTERM"),
                false => self.side_file.gone(job),
            }
            let event = match exit {
                Some(exit) => Event::Exited { job, exit, output, leftovers },
                None => Event::Lost { job, output, leftovers },
            };
            self.runtime.handle(event, now);
        }
        for job in gone {
            self.side_file.gone(job);
            self.runtime.handle(Event::LeftoversGone(job), now);
        }
    }

    /// The loop is over, and nothing of a run outlives the daemon: what still lives is killed, within a bound.
    pub(super) fn end_what_is_left(&mut self) {
        let mut events = Events::with_capacity(64);
        let give_up = self.clock.now().monotonic + limits::LAST_KILL;
        loop {
            let now = self.clock.now();
            self.children.kill_all();
            self.leftovers.kill_all();
            self.reap(now);
            let nothing_is_left = self.children.running().is_empty() && self.leftovers.is_empty();
            if nothing_is_left || now.monotonic >= give_up {
                return;
            }
            let _interrupted = self.poll.poll(&mut events, Some(LAST_LOOK_EVERY));
        }
    }
}
