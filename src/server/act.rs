//! Actions: what the runtime wants done, once it is committed.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::time::Duration;

use super::Server;
use super::program::NotStarted;
use super::stream::Peer;
use crate::control;
use crate::flow::Launch;
use crate::gate::Denial;
use crate::http::{ErrorCode, Response, Status};
use crate::runtime::{Action, Answer, Cleanup, ConnectionId, Event, Job, Refusal};
use crate::time::Now;

/// How long a sender should wait when a heartbeat could not be recorded.
pub(super) const RETRY_AFTER_S: u64 = 5;
/// How long answers may still be on their way when everything else has ended, all of them together.
const LAST_FLUSH: Duration = Duration::from_millis(500);

impl Server {
    pub(super) fn act(&mut self, action: Action, now: Now) {
        match action {
            Action::Answer(connection, answer) => self.answer(connection, answer, now),
            Action::Spawn(job, launch, cleanup) => self.unmade.push_back((job, launch, cleanup)),
            Action::Exchange(job, exchange) => {
                let over = self.outgoing.begin(job, *exchange, now, self.poll.registry());
                self.answered(over, now);
            }
            Action::Signal(job, signal) => {
                // A signal to a process that is not made yet would be lost.
                self.make_processes(None);
                if let Some(leader) = self.children.leader_of(job) {
                    self.leftovers.claim_descendants(job, leader);
                }
                self.children.signal(job, signal);
            }
            Action::Reloaded(outcome) => self.reloaded(outcome, now),
            Action::Stop => {
                // The next start knows by the side file that these never began.
                self.unmade.clear();
                self.stopped = true;
            }
        }
    }

    /// Makes the processes of runs that were taken up, for so long: nobody who calls meanwhile waits for all of them.
    pub(super) fn make_processes(&mut self, time: Option<Duration>) {
        let start = self.clock.monotonic();
        while let Some((job, launch, cleanup)) = self.unmade.pop_front() {
            self.make_process(job, *launch, cleanup);
            if time.is_some_and(|time| self.clock.monotonic().since(start) >= time) {
                return;
            }
        }
    }

    fn make_process(&mut self, job: Job, launch: Launch, cleanup: Cleanup) {
        self.side_file.about_to_spawn(job);
        match self.children.spawn(job, launch, cleanup, self.poll.registry()) {
            Ok(pid) => {
                self.side_file.spawned(job, pid);
                if job.run().is_some_and(|run| self.followers.any_of(run)) {
                    let _nothing_yet = self.children.follow(job);
                }
            }
            Err(NotStarted { kind, message }) => {
                self.side_file.gone(job);
                self.counters.spawn_failures += 1;
                // Recorded in the next round, which comes at once.
                self.runtime.handle(Event::SpawnFailed { job, kind, message }, self.clock.now());
            }
        }
    }

    fn answer(&mut self, id: ConnectionId, answer: Answer, now: Now) {
        // A caller that went away cancels nothing.
        let Some(index) = self.index_of(id) else { return };
        let Some(connection) = self.connections[index].as_mut() else { return };
        match answer {
            Answer::Heartbeat { body, waited_s } => {
                let applied = waited_s.map(|seconds| format!("wait={seconds}"));
                let field = applied.as_deref().map(|applied| ("Preference-Applied", applied));
                let response = Response {
                    status: Status::OK,
                    content_type: "application/json",
                    fields: field.as_slice(),
                    body: &body,
                };
                connection.respond(&response, self.clock.date(now.wall), now.monotonic);
                self.runtime.take_back(body);
                self.flush(index, now);
            }
            Answer::Refused(refusal) => {
                let (code, detail) = explain(&refusal);
                match connection.peer {
                    Peer::Address(peer) | Peer::Viewer(peer) => {
                        let client = connection.client.unwrap_or(peer);
                        let denial = Denial::of_store(code, detail, client, RETRY_AFTER_S);
                        self.refuse(index, &denial, now);
                    }
                    Peer::Operator(_) => {
                        self.tell(index, &control::problem(code, &detail), &[], now);
                    }
                }
            }
            Answer::Operator { reply, waited_s } => self.reply_to_operator(index, reply, waited_s, now),
        }
        self.look_again(index);
    }

    /// After an answer that came with a later round.
    pub(super) fn look_again(&mut self, index: usize) {
        // A pipelined request may have come with the one that is answered now.
        let may_go_on = |connection: &super::Connection| {
            connection.receiver.buffered() > 0 || connection.readable || connection.end_in_sight
        };
        if self.connections[index].as_ref().is_some_and(may_go_on) {
            self.unfinished.ask(index);
        }
    }

    /// Lets the last answers out, within one bound for all of them.
    pub(super) fn flush_the_last(&mut self) {
        let give_up = self.clock.now().monotonic + LAST_FLUSH;
        loop {
            let now = self.clock.monotonic();
            let mut unsent = Vec::new();
            for connection in self.connections.iter_mut().flatten() {
                if connection.flush(now).is_ok() && connection.has_unsent() {
                    unsent.push(PollFd::new(&connection.stream, PollFlags::OUT));
                }
            }
            let left = Timespec::try_from(give_up.since(now)).unwrap_or_default();
            if unsent.is_empty() || now >= give_up {
                return;
            }
            if poll(&mut unsent, Some(&left)).is_err_and(|error| error != Errno::INTR) {
                return;
            }
        }
    }
}

/// What a caller is told of a refusal of the runtime's.
pub(super) fn explain(refusal: &Refusal) -> (ErrorCode, String) {
    match refusal {
        Refusal::StorageFull => {
            (ErrorCode::StorageFull, "the disk is full: nothing can be recorded".to_owned())
        }
        Refusal::StorageUnavailable(why) => (ErrorCode::StorageUnavailable, why.clone()),
        Refusal::Pruned => {
            let detail = "signed before the heartbeats whose ids are still known here, and not one of those: sign a new one";
            (ErrorCode::TimestampTooOld, detail.to_owned())
        }
        Refusal::ShuttingDown => {
            (ErrorCode::ShuttingDown, "the daemon is ending; it may be back soon".to_owned())
        }
        Refusal::Internal => (ErrorCode::Internal, "a fault of this program; its log says more".to_owned()),
    }
}
