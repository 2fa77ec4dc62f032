//! Those who look on: admitted, shown what they ask for, and told what is counted, after the round's commit.

use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;

use super::clock;
use super::connection::State;
use super::events::Watchers;
use super::pages::Pages;
use super::serve::{Reply, Step};
use super::stream::{Peer, Stream};
use super::{Server, ServerError};
use crate::gate::Denial;
use crate::http::{Response, Status};
use crate::limits;
use crate::runtime::{Action, ConnectionId};
use crate::setup;
use crate::status::{CONTENT_TYPE, Port, Sight, View, Viewers, policy, render};
use crate::store::{FlowStates, Size};
use crate::time::Now;

/// What there is for those who look on.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) viewers: Viewers,
    /// Who wants metrics of this round.
    waiting: Vec<ConnectionId>,
    pub(super) pages: Pages,
    pub(super) watchers: Watchers,
    /// What a page may load and run: nothing of others.
    pub(super) policy: String,
    /// The name of this box.
    pub(super) host: String,
    /// proc(5) of this thread. Opened before the process becomes non-dumpable, after which only root may.
    account: Option<File>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self {
            viewers: Viewers::default(),
            waiting: Vec::new(),
            pages: Pages::default(),
            watchers: Watchers::new(clock::wall()),
            policy: policy(),
            host: setup::host_name(),
            account: File::open("/proc/thread-self/io").ok(),
        }
    }

    /// Bytes that this thread caused to be written to disks; none: the kernel keeps no account of it.
    pub(super) fn written_bytes(&self) -> Option<u64> {
        let mut text = [0; 512];
        let count = self.account.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..count)?).ok()?;
        text.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
    }
}

impl Server {
    /// Shows it to these; to nobody without this.
    #[must_use]
    pub fn with_viewers(mut self, viewers: Viewers) -> Self {
        self.watch.viewers = viewers;
        self
    }

    /// Viewers have room of their own.
    pub(super) fn admit_viewer(&mut self, stream: Stream, peer: IpAddr, now: Now) {
        self.counters.connections[Port::Status as usize] += 1;
        let viewer = Peer::Viewer(peer);
        if let Err(denial) = self.watch.viewers.admit(peer) {
            return self.turn_away(stream, viewer, &denial, now);
        }
        let is_viewer = |peer: Peer| peer.port() == Port::Status;
        let open = self.open_connections(is_viewer);
        if open >= limits::STATUS_CONNECTIONS_MAX && !self.make_room(viewer, now) {
            let denial = Denial::of_overload("too many look on, and none is idle or slow", peer);
            return self.turn_away(stream, viewer, &denial, now);
        }
        stream.send_at_once();
        self.take_in(stream, viewer, now);
    }

    /// Shows what was asked for.
    pub(super) fn show(&mut self, index: usize, sight: Result<Sight, Denial>, now: Now) -> Step {
        let reply = match sight {
            Ok(Sight::Health) => Reply::Health,
            Ok(Sight::Readiness) => Reply::Readiness,
            Ok(Sight::Options(allow)) => Reply::Options(allow),
            Err(denial) => Reply::Denied(denial),
            Ok(Sight::Page(page)) => {
                self.begin_page(index, page);
                return Step::Stuck;
            }
            Ok(Sight::Events) => return self.begin_to_watch(index, now),
            Ok(Sight::Metrics) => {
                if let Some(connection) = &mut self.connections[index] {
                    connection.state = State::Awaiting;
                    self.watch.waiting.push(connection.id);
                }
                return Step::Stuck;
            }
        };
        self.reply(index, reply, now)
    }

    /// Has the round committed, and counts how long it takes where there is something to write.
    pub(super) fn commit(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), ServerError> {
        let commits = self.runtime.tally().commits;
        let begun = self.clock.monotonic();
        self.runtime.finish(now, actions)?;
        if self.runtime.tally().commits > commits {
            self.counters.commits.observe(self.clock.monotonic().since(begun));
        }
        Ok(())
    }

    /// Ends a round: those who wait for metrics get what it has come to, once its changes are on the disk.
    pub(super) fn end_round(&mut self, now: Now) {
        self.tell_viewers(now);
        self.tell_watchers(now);
        self.draw(now);
        let took = self.clock.monotonic().since(now.monotonic);
        self.counters.rounds.observe(took);
    }

    fn tell_viewers(&mut self, now: Now) {
        if self.watch.waiting.is_empty() {
            return;
        }
        let page = self.metrics(now);
        for viewer in std::mem::take(&mut self.watch.waiting) {
            let Some(index) = self.index_of(viewer) else { continue };
            let Some(connection) = self.connections[index].as_mut() else { continue };
            let response =
                Response { status: Status::OK, content_type: CONTENT_TYPE, fields: &[], body: &page };
            connection.respond(&response, self.clock.date(now.wall), now.monotonic);
            self.flush(index, now);
            self.look_again(index);
        }
    }

    fn metrics(&mut self, now: Now) -> Vec<u8> {
        let record = self.record();
        if let Some((states, _)) = &record {
            // In the order of their ids.
            let is_shown = |id| states.flows.binary_search_by_key(&id, |flow| flow.id).is_ok();
            self.runtime.tally_mut().keep_apart(is_shown);
        }
        let connections = Port::ALL.map(|port| self.connections_at(port));
        render(&View {
            counters: &self.counters,
            runtime: &self.runtime,
            record,
            agents: self.gate.agents().collect(),
            connections,
            written_bytes: self.watch.written_bytes(),
            reloads: (self.facts.failed_reloads, self.facts.reload_error.is_some()),
            flow_file_faults: self.facts.bad_flow_files.len(),
            now,
        })
    }

    /// What the database tells. Why it cannot be read stands in the log where that matters.
    fn record(&self) -> Option<(FlowStates, Size)> {
        let store = Some(self.runtime.store()).filter(|_| !self.runtime.is_closed())?;
        Some((store.flow_states(limits::METRICS_FLOWS_MAX).ok()?, store.size().ok()?))
    }

    fn connections_at(&self, port: Port) -> usize {
        self.connections.iter().flatten().filter(|connection| connection.peer.port() == port).count()
    }
}
